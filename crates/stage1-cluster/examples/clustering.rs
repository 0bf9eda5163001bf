//! Times k-means and the silhouette sweep over K = 3..20 for `make bench-learning`, as the peer does its own.
//!
//! Reads the `.npy` file that the peer reads (float32, `[row, feature]`) and prints two lines of JSON under the same terms: seconds of the
//! work itself, the least inertia of the starts, the K of the highest silhouette.

use anyhow::{Context, ensure};
use clap::Parser;
use ndarray::Array2;
use stage1_cluster::kmeans::{Search, kmeans};
use stage1_cluster::silhouette::silhouettes;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// Features as NumPy saves them
    #[arg(long)]
    features: PathBuf,
    /// Rows that are taken, from the first
    #[arg(long, default_value_t = 5000)]
    rows: usize,
    /// Starts of k-means at K = 20; the sweep takes one
    #[arg(long, default_value_t = 1)]
    starts: u64,
    /// Seed of all draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let rows = read_npy(&args.features, args.rows)?;
    let search = |n_starts| Search { n_starts, max_steps: 100, seed: args.seed };
    let shape = rows.shape().to_vec();
    let begun = Instant::now();
    let inertia = kmeans(rows.view(), 20, search(args.starts)).inertia();
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{{\"job\": \"kmeans_k20\", \"seconds\": {seconds:.4}, \"shape\": {shape:?}, \"inertia\": {inertia}}}"
    );
    let begun = Instant::now();
    let groupings: Vec<Vec<usize>> = (3..=20).map(|k| kmeans(rows.view(), k, search(1)).of_row).collect();
    let found = silhouettes(rows.view(), &groupings.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let best =
        (0..found.len()).reduce(|best, i| if found[i] > found[best] { i } else { best }).unwrap_or(0) + 3;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{{\"job\": \"silhouette_sweep\", \"seconds\": {seconds:.4}, \"shape\": {shape:?}, \"best_k\": {best}}}"
    );
    Ok(())
}

fn read_npy(path: &Path, n_rows: usize) -> anyhow::Result<Array2<f32>> {
    let bytes = std::fs::read(path).with_context(|| format!("{}: reading the features", path.display()))?;
    let bad =
        || format!("{}: want a version 1 .npy file of little-endian float32, [row, feature]", path.display());
    ensure!(bytes.starts_with(b"\x93NUMPY\x01\x00") && bytes.len() > 10, bad());
    let (head, body) = bytes[10..]
        .split_at_checked(usize::from(u16::from_le_bytes([bytes[8], bytes[9]])))
        .with_context(bad)?;
    let head = String::from_utf8_lossy(head);
    ensure!(head.contains("'<f4'") && head.contains("'fortran_order': False"), bad());
    let shape = head.split('(').nth(1).and_then(|rest| rest.split(')').next()).with_context(bad)?;
    let sides: Vec<usize> = shape.split(',').filter_map(|side| side.trim().parse().ok()).collect();
    let &[height, width] = sides.as_slice() else { anyhow::bail!(bad()) };
    let height = height.min(n_rows);
    let values: Vec<f32> =
        body.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    ensure!(values.len() >= height * width, bad());
    Ok(Array2::from_shape_vec((height, width), values[..height * width].to_vec())?)
}
