//! The plain cost of splitting: decode every block of a scene once, write so many bytes once, wait for the disk. On one thread.
//!
//! Prints one line of JSON as the peers do, for benches: `{"job": "floor", "seconds": …, …}`.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use clap::Parser;
use raster::{Dtype, Pixel, Source};

#[derive(Parser)]
struct Args {
    /// The scene
    #[arg(long)]
    scene: PathBuf,
    /// How many bytes to write
    #[arg(long)]
    bytes: usize,
    /// Where to
    #[arg(long)]
    out: PathBuf,
}

/// Bytes that are written at once.
const CHUNK_BYTES: usize = 8 << 20;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    raster::stay_on_this_thread();
    let begun = Instant::now();
    let scene = Source::open(&args.scene)?;
    match scene.dtype() {
        Dtype::U8 => decode::<u8>(&scene)?,
        _ => decode::<u16>(&scene)?,
    }
    let decoded_s = begun.elapsed().as_secs_f64();
    let mut file = File::create(&args.out).context("making the output")?;
    let chunk = vec![0x5A; CHUNK_BYTES];
    let mut n_left = args.bytes;
    while n_left > 0 {
        let n = n_left.min(chunk.len());
        file.write_all(&chunk[..n])?;
        n_left -= n;
    }
    file.sync_all()?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        r#"{{"job": "floor", "seconds": {seconds:.4}, "decode_seconds": {decoded_s:.4}, "bytes": {}}}"#,
        args.bytes
    );
    Ok(())
}

fn decode<T: Pixel>(scene: &Source) -> anyhow::Result<()> {
    let (block_height, block_width) = scene.block_shape()?;
    let (grid, bands) = (scene.grid(), (1..=scene.n_bands()).collect::<Vec<_>>());
    let mut pixels = Vec::new();
    for row in (0..grid.height).step_by(block_height) {
        for col in (0..grid.width).step_by(block_width) {
            let (height, width) = (block_height.min(grid.height - row), block_width.min(grid.width - col));
            pixels.resize(bands.len() * height * width, T::default());
            scene.read_bands_into(&bands, (row, col), (height, width), &mut pixels)?;
        }
    }
    Ok(())
}
