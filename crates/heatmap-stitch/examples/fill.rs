//! Seconds of filling granules of 32 x 32 tiles of 343 px at full resolution, and of a plain fill of as many bytes on the same threads; with `--cog`
//! seconds of filling one band of one granule and writing it as a packed COG, as `stitch_numpy.py` does.
//!
//! Prints one line of JSON as the peers do, for benches: `{"job": "fill", "seconds": …, "plain_seconds": …, …}`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use heatmap_stitch::stitch::{Bands, Joining, Layer, Mosaic, NODATA, Patch, grid_around, stitch};
use raster::{CogOptions, Crs, Grid, Window, write_cog_painted};
use rayon::prelude::*;

#[derive(Parser)]
struct Args {
    /// Granules to fill, one after the other
    #[arg(long, default_value_t = 1)]
    granules: usize,
    /// Fills of which the fastest counts
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Write one granule's scores to this COG instead
    #[arg(long)]
    cog: Option<PathBuf>,
    /// ZSTD level of the COG: that of heatmap-stitch
    #[arg(long, default_value_t = 9)]
    zstd_level: u8,
}

const TILES: usize = 32;
const TILE_PX: usize = 343;
const PIXEL_M: f64 = 10.0;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let crs = Crs::from_epsg(32_648)?;
    let patches: Vec<Patch> = (0..TILES * TILES).map(patch).collect();
    let grid = grid_around(&patches, PIXEL_M, &crs).context("a granule fits")?;
    if let Some(path) = &args.cog {
        return write(path, &patches, &grid, args.zstd_level);
    }
    let (mut seconds, mut plain_seconds, mut bytes) = (f64::INFINITY, f64::INFINITY, 0);
    for _ in 0..args.rounds {
        let begun = Instant::now();
        for _ in 0..args.granules {
            let map = stitch(&patches, &grid);
            bytes = 4 * size_of_val(&map.score_share[..]);
            std::hint::black_box(&map);
        }
        seconds = seconds.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        for _ in 0..args.granules {
            std::hint::black_box(plain(bytes / size_of::<f32>()));
        }
        plain_seconds = plain_seconds.min(begun.elapsed().as_secs_f64());
    }
    let bytes = bytes * args.granules;
    println!(
        r#"{{"job": "fill", "seconds": {seconds:.4}, "plain_seconds": {plain_seconds:.4}, "granules": {}, "bytes": {bytes}}}"#,
        args.granules
    );
    Ok(())
}

/// Fills one granule block by block and writes its scores.
fn write(path: &Path, patches: &[Patch], grid: &Grid, zstd_level: u8) -> anyhow::Result<()> {
    let begun = Instant::now();
    let layers = [(grid.crs.clone(), Layer::of(patches))];
    let mosaic = Mosaic::of(&layers, grid, Joining { feather_m: 0.0, close_gaps_m: 0.0 })?;
    let paint = |window: Window, bands: &mut [Vec<f32>]| {
        let score = &mut bands[0];
        mosaic.paint(window, &mut Bands { score, sd: &mut [], scenes: &mut [], outside: &mut [] });
    };
    let options = CogOptions { zstd_level, nodata: Some(f64::from(NODATA)), ..CogOptions::default() };
    write_cog_painted(path, grid, &[("score_share", "share")], &options, &paint)?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        r#"{{"job": "fill_and_cog", "seconds": {seconds:.4}, "bytes": {}}}"#,
        std::fs::metadata(path)?.len()
    );
    Ok(())
}

/// New memory, filled by all threads.
fn plain(n: usize) -> Vec<f32> {
    let mut pixels = vec![0.0_f32; n];
    pixels.par_chunks_mut(1 << 20).for_each(|part| part.fill(0.5));
    pixels
}

fn patch(i: usize) -> Patch {
    let side_m = TILE_PX as f64 * PIXEL_M;
    let (west_m, north_m) =
        (399_960.0 + (i % TILES) as f64 * side_m, 3_500_040.0 - (i / TILES) as f64 * side_m);
    let share = (i * 37 % 101) as f64 / 100.0;
    Patch {
        west_m,
        north_m,
        south_m: north_m - side_m,
        east_m: west_m + side_m,
        score_share: Some(share),
        sd_share: Some(share / 10.0),
        outside: Some(false),
    }
}
