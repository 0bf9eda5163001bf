//! The map against night lights: does the score rise where the light does?
//!
//! Both rasters are averaged by area onto the coarser of their grids (the map's tiles, or the lights' pixels). A cell
//! counts if at least half of it has a score and at least half a radiance. Reported are Pearson's coefficient with
//! the radiance, Pearson's with log(1 + radiance), Spearman's, and the number of cells; below `--min-n` cells each
//! coefficient is missing and the table says why.
//!
//! Radiance is in nW cm⁻² sr⁻¹. Background correction makes dark ground slightly negative: such values stay as they
//! are for Pearson's raw and Spearman's coefficient and count as 0 in the logarithm.
//!
//! Left out: intervals. Neighbouring cells are alike, so the number of cells overstates what is known, and the table
//! says so. Night light must not be an input of the score that it judges.

pub mod correlate;
pub mod fields;
pub mod regrid;
mod report;

use std::path::PathBuf;

use contract::Made;

/// Flags of viirs-corr.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The map, as heatmap-stitch writes it
    #[arg(long, value_name = "TIF")]
    heatmap: PathBuf,
    /// Radiance in nW cm-2 sr-1, as floats
    #[arg(long, value_name = "TIF")]
    night_lights: PathBuf,
    /// The fewest cells for which a coefficient is reported
    #[arg(long, value_name = "N", default_value_t = 30)]
    min_n: usize,
    /// Radiance above this counts as this much
    #[arg(long, value_name = "NW_CM2_SR", value_parser = stage::positive)]
    saturation_nw_cm2_sr: Option<f64>,
    /// Title of the picture
    #[arg(long, default_value = "Development score against night light")]
    title: String,
    /// Source and licence of images and lights, as the picture names them
    #[arg(long, default_value = "")]
    credit: String,
    /// The picture to write: both maps on one grid, and the scatter plot
    #[arg(long, value_name = "PNG")]
    out_png: PathBuf,
    /// The table of metrics to write
    #[arg(long, value_name = "PARQUET")]
    out: PathBuf,
}

/// A cell counts where both fields cover at least this share of it.
pub const MIN_COVER_SHARE: f64 = 0.5;

/// Compares the two rasters.
///
/// # Errors
/// For rasters that cannot be read, are not what they should be or do not meet, and outputs that cannot be written.
pub fn run(args: Args) -> anyhow::Result<stage::Ledger> {
    let scores = fields::read_scores(&args.heatmap)?;
    let lights = fields::open_lights(&args.night_lights)?;
    let grid = fields::target_grid(&scores.grid, &lights)?;
    let score = fields::scores_on(&scores, &grid)?;
    let light = fields::lights_on(&lights, &grid, args.saturation_nw_cm2_sr)?;

    let mut ledger = stage::Ledger::of("cells", grid.len());
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    for cell in 0..grid.len() {
        if score.cover[cell] < MIN_COVER_SHARE {
            ledger.skip("less than half has a score");
        } else if light.cover[cell] < MIN_COVER_SHARE {
            ledger.skip("less than half has a radiance");
        } else {
            ledger.ok(1);
            xs.push(light.values[cell]);
            ys.push(score.values[cell]);
        }
    }
    let rows = report::metrics(&xs, &ys, args.min_n, args.saturation_nw_cm2_sr);
    let made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("min_n", args.min_n)
        .flag("saturation_nw_cm2_sr", args.saturation_nw_cm2_sr)
        .input(&args.heatmap)?
        .input(&args.night_lights)?;
    let corners = fields::corners_deg(&grid)?;
    let picture = report::picture(&args.title, &args.credit, &rows, (&score, &light), corners, (xs, ys))?;
    contract::write(&args.out, &rows, &made)?;
    contract::file::write(&args.out_png, &picture)?;
    for row in &rows {
        tracing::info!("{}", report::line(row));
    }
    Ok(ledger)
}
