//! Two rasters regridded by area and correlated, as `corr_scipy.py` does it: the seconds of reading, regridding, Pearson and Spearman.
//!
//! Prints one line of JSON as the peers do, for benches: `{"job": "corr", "seconds": …, …}`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Parser;
use raster::{Source, Window};
use viirs_corr::correlate::{pearson, spearman};
use viirs_corr::fields::area_means;

#[derive(Parser)]
struct Args {
    /// The finer raster
    #[arg(long)]
    heat: PathBuf,
    /// The coarser raster, on whose grid both are compared
    #[arg(long)]
    light: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let begun = Instant::now();
    let heat = Source::open(&args.heat)?;
    let light = Source::open(&args.light)?;
    // GDAL starts and looks up the coordinate system, here as in the peer.
    let opening = begun.elapsed().as_secs_f64();
    let side_px = light.grid().transform.pixel_width / heat.grid().transform.pixel_width;
    let mut pixels = Vec::new();
    light.read_window_together::<f64>(1, Window::of(light.grid()), &mut pixels)?;
    let light = pixels;
    let heat = area_means(&heat, (side_px, side_px))?;
    let plain = pearson(&heat.field.values, &light).context("both vary")?;
    let ranks = spearman(&heat.field.values, &light).context("both vary")?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        r#"{{"job": "corr", "seconds": {seconds:.4}, "opening_seconds": {opening:.4}, "pearson": {plain:.4}, "spearman": {ranks:.4}, "n": {}}}"#,
        light.len()
    );
    Ok(())
}
