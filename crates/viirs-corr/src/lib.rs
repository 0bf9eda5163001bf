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
//! effective number of cells, p values with it and against fields of the same spectrum, the coefficients at the cells' and larger scales, as an
//! earlier saturated sensor would give them, without cells beside bright ones, at the registration that fits best (a warning, never used), and what
//! rivals of the score (position, `--baseline`) tell and leave. With `--scores` each granule is reported too, and all tiles of all granules pooled.
//!
//! Left out: night light must not be an input of the score that it judges; nothing here can see whether it was.

pub mod baseline;
mod blooming;
pub mod correlate;
pub mod dependence;
pub mod details;
pub mod fft;
pub mod field_pair;
pub mod fields;
mod granules;
pub mod lights;
pub mod made;
pub mod regrid;
mod report;
mod table;

use std::path::PathBuf;

use anyhow::Context as _;
use contract::Made;

use baseline::Baseline;
use details::{Drawing, Kind, Worth};
use field_pair::FieldPair;
use lights::{Limits, Quality};
use raster::{Declared, Nodata};

/// Flags of viirs-corr.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The map, as heatmap-stitch writes it
    #[arg(long, value_name = "TIF")]
    heatmap: PathBuf,
    /// Radiance in nW cm-2 sr-1: a GeoTIFF (also .gz) of floats, or of whole numbers with a scale
    #[arg(long, value_name = "TIF")]
    night_lights: PathBuf,
    /// The number of the lights that stands for no data, where the file does not say it, or none where all suspicious ones are data
    #[arg(long, value_name = "NUMBER|none", allow_negative_numbers = true)]
    lights_nodata: Option<Nodata>,
    /// Radiance of a step of the lights' numbers, such as 0.1 for Black Marble [default: what the file says]
    #[arg(long, value_name = "NW_CM2_SR", value_parser = stage::positive)]
    lights_scale: Option<f64>,
    /// Radiance that is added to the scaled numbers
    #[arg(
        long,
        value_name = "NW_CM2_SR",
        default_value_t = 0.0,
        allow_negative_numbers = true,
        requires = "lights_scale"
    )]
    lights_offset: f64,
    /// The fewest cells for which a coefficient is reported
    #[arg(long, value_name = "N", default_value_t = 30)]
    min_n: usize,
    /// Radiance above this counts as this much
    #[arg(long, value_name = "NW_CM2_SR", value_parser = stage::positive)]
    saturation_nw_cm2_sr: Option<f64>,
    /// How often each pixel of the lights was seen without cloud, on their own pixels (cf_cvg of VIIRS composites)
    #[arg(long, value_name = "TIF")]
    quality: Option<PathBuf>,
    /// Pixels of the lights whose --quality is below this are missing
    #[arg(long, value_name = "N", default_value_t = 1.0, requires = "quality")]
    min_quality: f64,
    /// A rival of the score, such as elevation=dem.tif: what it tells of the light, and what the score tells given it; repeat for more
    #[arg(long, value_name = "NAME=TIF", value_parser = named_raster, requires = "details_out")]
    baseline: Vec<(String, PathBuf)>,
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
    /// A table to write, a line a granule: CSV if its name ends in .csv, else Markdown; repeat for both; wants --scores
    #[arg(long, value_name = "FILE", requires = "scores")]
    table_out: Vec<PathBuf>,
    /// The table of metrics to write
    #[arg(long, value_name = "PARQUET")]
    out: PathBuf,
}

impl Args {
    fn declared(&self) -> Declared {
        let scaling = |scale: f64| raster::Scaling { scale, offset: self.lights_offset };
        Declared { nodata: self.lights_nodata, scaling: self.lights_scale.map(scaling) }
    }
}

/// A cell counts where both fields cover at least this share of it.
pub const MIN_COVER_SHARE: f64 = 0.5;

/// Compares the two rasters.
///
/// # Errors
/// For rasters that cannot be read, are not what they should be or do not meet, and outputs that cannot be written.
pub fn run(args: Args) -> anyhow::Result<stage::Ledger> {
    let scores = fields::read_scores(&args.heatmap)?;
    let lights = lights::open_lights(&args.night_lights, &args.declared())?;
    let grid = fields::target_grid(&scores.grid, &lights)?;
    let score = fields::scores_on(&scores, &grid)?;
    let limits = limits(&args, &lights)?;
    let light = lights::limited_on(&lights, &grid, &limits)?;

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
    let made = made(&args, &lights)?;
    let corners = fields::corners_deg(&grid)?;
    let picture = report::picture(&args.title, &args.credit, &rows, (&score, &light), corners, &pair)?;
    let rivals =
        args.baseline.iter().map(|named| rival(named, &grid, &pair)).collect::<anyhow::Result<Vec<_>>>()?;
    let found = Found { pair: &pair, cell_km, worths: &worths, rivals: &rivals };
    let more = details(&args, &lights, &limits, &found, drawing)?;
    contract::write(&args.out, &rows, &made)?;
    contract::file::write(&args.out_png, &picture)?;
    if let Some(path) = &args.details_out {
        contract::write(path, &more.rows, &made)?;
    }
    for path in &args.table_out {
        contract::file::write(path, table::table(path, &more.lines).as_bytes())?;
    }
    for row in &rows {
        tracing::info!("{}", report::line(row));
    }
    Ok(ledger)
}

/// What the comparison rests on.
struct Found<'a> {
    pair: &'a FieldPair,
    cell_km: f64,
    worths: &'a [Option<Worth>; 3],
    rivals: &'a [Baseline],
}

/// What the coefficients are worth, and every granule; nothing where nobody asked.
fn details(
    args: &Args,
    lights: &raster::Source,
    limits: &Limits,
    found: &Found<'_>,
    drawing: Drawing,
) -> anyhow::Result<granules::Granules> {
    let mut all = granules::Granules { rows: Vec::new(), lines: Vec::new() };
    if args.details_out.is_some() {
        all.rows = details::details(found.pair, found.cell_km, drawing, found.rivals);
    }
    if !args.scores.is_empty() {
        let place = |kind: Kind| Kind::ALL.iter().position(|&other| other == kind);
        let effective = |kind: Kind| found.worths[place(kind)?].map(|worth| worth.effective_n);
        let each = granules::granules(&args.scores, lights, limits, effective, drawing)?;
        all.rows.extend(each.rows);
        all.lines = each.lines;
    }
    Ok(all)
}

fn limits(args: &Args, lights: &raster::Source) -> anyhow::Result<Limits> {
    let quality =
        args.quality.as_ref().map(|path| Quality::open(path, args.min_quality, lights)).transpose()?;
    let trusted = args.lights_nodata.is_some();
    let saturation_nw_cm2_sr = args.saturation_nw_cm2_sr;
    Ok(Limits { saturation_nw_cm2_sr, quality, ..Limits::of_radiance(trusted) })
}

/// A rival's field on the grid of the comparison.
fn rival(
    (name, path): &(String, PathBuf),
    grid: &raster::Grid,
    pair: &FieldPair,
) -> anyhow::Result<Baseline> {
    let source = raster::Source::open(path)?;
    let limits = Limits { quantity: Some(raster::OTHER), ..Limits::default() };
    let field = lights::limited_on(&source, grid, &limits)
        .with_context(|| format!("{}: the baseline {name}", path.display()))?;
    Ok(Baseline::of(name, &field, pair))
}

fn named_raster(text: &str) -> Result<(String, PathBuf), String> {
    let named = text.split_once('=').filter(|(name, path)| !name.is_empty() && !path.is_empty());
    let (name, path) = named.ok_or_else(|| format!("want NAME=TIF, got {text}"))?;
    Ok((name.to_owned(), path.into()))
}

fn made(args: &Args, lights: &raster::Source) -> anyhow::Result<Made> {
    let mut made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("min_n", args.min_n)
        .flag("draws", args.draws)
        .flag("saturation_nw_cm2_sr", args.saturation_nw_cm2_sr)
        .flag("min_quality", args.quality.as_ref().map(|_| args.min_quality))
        .flag("baselines", args.baseline.iter().map(|(name, _)| name).collect::<Vec<_>>())
        .seed(args.seed)
        .input(&args.heatmap)?
        .input(&args.night_lights)?;
    let scaling = lights.scaling(1);
    if scaling != raster::Scaling::NONE {
        let by = if args.lights_scale.is_some() { "flags" } else { "file" };
        made = made
            .flag("lights_scaling", format!("scale {} offset {} by the {by}", scaling.scale, scaling.offset));
    }
    if let Some(nodata) = args.lights_nodata {
        made = made.flag("lights_nodata", nodata.to_string());
    }
    let mut tables: Vec<&PathBuf> = args.scores.iter().collect();
    tables.sort();
    let rasters = args.quality.iter().chain(args.baseline.iter().map(|(_, path)| path));
    for input in tables.into_iter().chain(rasters) {
        made = made.input(input)?;
    }
    Ok(made)
}
