//! Granules drawn each for itself, by whoever fills their pixels.

use std::path::{Path, PathBuf};

use contract::{HEATMAP, Made};
use raster::{CogOptions, Grid, Overviews, Window, write_cog_painted};

use super::input::Input;
use super::{ZSTD_LEVEL, names, tags};
use crate::card::BANDS;
use crate::overlap::Granule;

/// The granules of tables of scores, as they were scored.
///
/// # Errors
/// For tables that cannot be read, disagree in their model, or hold no score.
pub fn read_granules(scores: &[PathBuf]) -> anyhow::Result<Vec<Granule>> {
    Ok(Input::read(scores)?.granules)
}

/// Writes the map of one granule from its bands, `[row, column]` each.
///
/// # Errors
/// For tables that cannot be read again and a file that cannot be written.
pub fn write_granule(
    path: &Path,
    grid: &Grid,
    bands: [&[f32]; BANDS],
    granule: &Granule,
    scores: &[PathBuf],
) -> anyhow::Result<()> {
    let mut made = Made::by(env!("CARGO_PKG_NAME")).flag("granule", &granule.name);
    for table in scores {
        made = made.input(table)?;
    }
    let side_m = granule.patches[0].east_m - granule.patches[0].west_m;
    let mut options = CogOptions {
        zstd_level: ZSTD_LEVEL,
        overviews: Overviews::Average,
        nodata: HEATMAP.nodata,
        tags: tags(&made, &HEATMAP.tag()),
        colours: None,
    };
    options.tags.push(("TILE_SIDE_M".to_owned(), side_m.to_string()));
    let paint = |window: Window, to: &mut [Vec<f32>]| {
        for (to, band) in to.iter_mut().zip(bands) {
            for (row, line) in to.chunks_exact_mut(window.width).enumerate() {
                let first = (window.row + row) * grid.width + window.col;
                line.copy_from_slice(&band[first..first + window.width]);
            }
        }
    };
    Ok(write_cog_painted(path, grid, &names(&HEATMAP), &options, &paint)?)
}
