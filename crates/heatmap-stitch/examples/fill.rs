//! Seconds of filling granules of 32 x 32 tiles of 343 px at full resolution, and of a plain fill of as many bytes on the same threads.
//!
//! Prints one line of JSON as the peers do, for benches: `{"job": "fill", "seconds": …, "plain_seconds": …, …}`.

use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use heatmap_stitch::stitch::{Patch, grid_around, stitch};
use raster::Crs;
use rayon::prelude::*;

#[derive(Parser)]
struct Args {
    /// Granules to fill, one after the other
    #[arg(long, default_value_t = 1)]
    granules: usize,
}

const TILES: usize = 32;
const TILE_PX: usize = 343;
const PIXEL_M: f64 = 10.0;
/// Fills of which the fastest counts: the first ones touch new memory.
const ROUNDS: usize = 3;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let crs = Crs::from_epsg(32_648)?;
    let patches: Vec<Patch> = (0..TILES * TILES).map(patch).collect();
    let grid = grid_around(&patches, PIXEL_M, &crs).context("a granule fits")?;
    let (mut seconds, mut plain_seconds, mut bytes) = (f64::INFINITY, f64::INFINITY, 0);
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        for _ in 0..args.granules {
            let map = stitch(&patches, &grid);
            bytes = size_of_val(&map.score_share[..]) + size_of_val(&map.sd_share[..]);
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
    }
}
