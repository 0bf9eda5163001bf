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
//! Neighbouring cells are alike, so each coefficient comes with what it is worth: its interval over blocks of cells, and, in `--details-out`, the
//! effective number of cells, p values with it and against fields of the same spectrum, the coefficients at larger scales, as an earlier saturated
//! sensor would give them, at the registration that fits best (a warning, never used), and what position alone would give. With `--scores` each
//! granule is reported too, and all tiles of all granules pooled.
//!
//! Left out: night light must not be an input of the score that it judges; nothing here can see whether it was.

pub mod correlate;
pub mod dependence;
pub mod details;
pub mod fft;
pub mod field_pair;
pub mod fields;
mod granules;
pub mod made;
pub mod regrid;
mod report;

use std::path::PathBuf;

use contract::Made;

use details::{Drawing, Kind, Worth};
use field_pair::FieldPair;

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
    /// A table of scores behind the map, to report each granule and all tiles pooled; repeat for more
    #[arg(long, value_name = "PARQUET")]
    scores: Vec<PathBuf>,
    /// Fields of the score's spectrum to draw for the null
    #[arg(long, value_name = "N", default_value_t = 199, value_parser = clap::value_parser!(u32).range(1..))]
    draws: u32,
    /// Seed of all draws
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Title of the picture
    #[arg(long, default_value = "Development score against night light")]
    title: String,
    /// Source and licence of images and lights, as the picture names them
    #[arg(long, default_value = "")]
    credit: String,
    /// The picture to write: both maps on one grid, and the scatter plot
    #[arg(long, value_name = "PNG")]
    out_png: PathBuf,
    /// A table of metrics to write: what the coefficients are worth, scales, saturation, shifts, granules
    #[arg(long, value_name = "PARQUET")]
    details_out: Option<PathBuf>,
    /// A table in Markdown to write, a line a granule; wants --scores
    #[arg(long, value_name = "MD", requires = "scores")]
    table_out: Option<PathBuf>,
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
    let mut pair = FieldPair { height: grid.height, width: grid.width, ..FieldPair::default() };
    for cell in 0..grid.len() {
        if score.cover[cell] < MIN_COVER_SHARE {
            ledger.skip("less than half has a score");
        } else if light.cover[cell] < MIN_COVER_SHARE {
            ledger.skip("less than half has a radiance");
        } else {
            ledger.ok(1);
            pair.cells.push(cell);
            pair.xs.push(light.values[cell]);
            pair.ys.push(score.values[cell]);
        }
    }
    let drawing = Drawing { draws: args.draws as usize, seed: args.seed, min_n: args.min_n };
    let enough = pair.cells.len() >= args.min_n;
    let worths = Kind::ALL.map(|kind| enough.then(|| details::worth(&pair, kind, args.seed)).flatten());
    let cell_km = fields::cell_km(&grid);
    let rows = report::metrics(&pair.xs, &pair.ys, args.min_n, args.saturation_nw_cm2_sr);
    let rows = report::with_worth(rows, &worths, cell_km);
    let made = made(&args)?;
    let corners = fields::corners_deg(&grid)?;
    let picture = report::picture(&args.title, &args.credit, &rows, (&score, &light), corners, &pair)?;
    let more = details(&args, &lights, &pair, cell_km, &worths, drawing)?;
    contract::write(&args.out, &rows, &made)?;
    contract::file::write(&args.out_png, &picture)?;
    if let Some(path) = &args.details_out {
        contract::write(path, &more.rows, &made)?;
    }
    if let Some(path) = &args.table_out {
        contract::file::write(path, more.table.as_bytes())?;
    }
    for row in &rows {
        tracing::info!("{}", report::line(row));
    }
    Ok(ledger)
}

/// What the coefficients are worth, and every granule; nothing where nobody asked.
fn details(
    args: &Args,
    lights: &raster::Source,
    pair: &FieldPair,
    cell_km: f64,
    worths: &[Option<Worth>; 3],
    drawing: Drawing,
) -> anyhow::Result<granules::Granules> {
    let mut found = granules::Granules { rows: Vec::new(), table: String::new() };
    if args.details_out.is_some() {
        found.rows = details::details(pair, cell_km, drawing);
    }
    if !args.scores.is_empty() {
        let place = |kind: Kind| Kind::ALL.iter().position(|&other| other == kind);
        let effective = |kind: Kind| worths[place(kind)?].map(|worth| worth.effective_n);
        let each = granules::granules(&args.scores, lights, args.saturation_nw_cm2_sr, effective, drawing)?;
        found.rows.extend(each.rows);
        found.table = each.table;
    }
    Ok(found)
}

fn made(args: &Args) -> anyhow::Result<Made> {
    let mut made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("min_n", args.min_n)
        .flag("draws", args.draws)
        .flag("saturation_nw_cm2_sr", args.saturation_nw_cm2_sr)
        .seed(args.seed)
        .input(&args.heatmap)?
        .input(&args.night_lights)?;
    let mut tables: Vec<&PathBuf> = args.scores.iter().collect();
    tables.sort();
    for table in tables {
        made = made.input(table)?;
    }
    Ok(made)
}
