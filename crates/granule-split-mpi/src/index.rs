//! The index of tiles: read from the finished files, a granule at a time, and written as GeoParquet.

use std::path::Path;

use contract::{Footprint, FootprintWriter, Made, Tile, TileReader};
use raster::{Crs, transform_points};

use crate::flags::Job;

/// Writes the index of the tiles of `jobs`, whose files must be whole.
///
/// # Errors
/// If a file cannot be read, or the index cannot be written; an old one then stays.
pub fn write(path: &Path, jobs: &[&Job]) -> anyhow::Result<()> {
    let mut made = Made::by("granule-split-mpi");
    for job in jobs {
        made = made.input(&job.out)?;
    }
    let mut writer = FootprintWriter::begin(path, &made)?;
    for job in jobs {
        writer.push(&footprints(&job.out)?)?;
    }
    Ok(writer.finish()?)
}

fn footprints(path: &Path) -> anyhow::Result<Vec<Footprint>> {
    let reader = TileReader::open(path)?;
    let tiles = reader.index()?;
    let corners = |t: &Tile| {
        [(t.west_m, t.south_m), (t.east_m, t.south_m), (t.east_m, t.north_m), (t.west_m, t.north_m)]
    };
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = tiles.iter().flat_map(corners).unzip();
    transform_points(&Crs::from_text(&reader.meta().crs)?, &Crs::wgs84()?, &mut x, &mut y)?;
    let footprint = |(i, tile): (usize, Tile)| Footprint {
        granule: reader.granule().clone(),
        tile: tile.tile,
        valid_share: tile.valid_share,
        cloud_share: tile.cloud_share,
        skipped: tile.skipped,
        lon_deg: tile.lon_deg,
        lat_deg: tile.lat_deg,
        corners_deg: std::array::from_fn(|corner| (x[4 * i + corner], y[4 * i + corner])),
    };
    Ok(tiles.into_iter().enumerate().map(footprint).collect())
}
