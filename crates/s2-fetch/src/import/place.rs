//! The granule of a scene that nobody named one for.

use anyhow::Context;
use contract::GranuleId;
use geo::{Contains, Point};
use raster::{Crs, Grid, transform_points};

use crate::import::files::{Files, telling_parts};
use crate::stac::{granule_key, is_mgrs};
use crate::tiling;

/// The granule in a file's path, else the one whose square the scene's centre lies in.
///
/// # Errors
/// If the centre lies in none: then it has to be said.
pub(super) fn granule(files: &Files, grid: &Grid) -> anyhow::Result<GranuleId> {
    let named = |part: &str| {
        let tokens = part.split(|c: char| !c.is_ascii_alphanumeric());
        tokens.filter(|token| token.starts_with('T')).map(granule_key).find(|key| is_mgrs(key))
    };
    let path = &files.picks[0].path;
    if let Some(key) = telling_parts(path).iter().find_map(|part| named(part)) {
        return Ok(format!("T{key:0>5}").parse()?);
    }
    under_centre(grid)?.with_context(|| {
        format!("{}: want a granule's name, found none for its place; say --granule NAME", path.display())
    })
}

fn under_centre(grid: &Grid) -> anyhow::Result<Option<GranuleId>> {
    let (x, y) = grid.transform.to_world(grid.height as f64 / 2.0, grid.width as f64 / 2.0);
    let (mut x, mut y) = ([x], [y]);
    transform_points(&grid.crs, &Crs::wgs84()?, &mut x, &mut y)?;
    let (centre, zone) = (Point::new(x[0], y[0]), ((x[0] + 180.0) / 6.0).floor().clamp(0.0, 59.0) as u32 + 1);
    let mut cores = tiling::cores(&tiling::squares(zone, y[0] - 1.0, y[0] + 1.0))?;
    cores.retain(|core| core.square.has_granule());
    if let Some(core) = cores.iter().find(|core| core.shape.contains(&centre)) {
        return Ok(Some(core.granule.clone()));
    }
    // At the edge of a zone a granule reaches beyond its square.
    let squares: Vec<_> = cores.iter().map(|core| core.square).collect();
    let around = tiling::footprints(&squares)?.iter().position(|footprint| footprint.contains(&centre));
    Ok(around.map(|place| cores[place].granule.clone()))
}
