//! `heatmap-stitch change`: what two maps of the same ground at two dates differ by, and how much of that is more than chance.
//!
//! Scores of two dates differ where nothing has changed, by season, haze and the model. Most ground does not change between two dates, so the middle
//! of all differences is taken as the shift between the dates, and their spread around it, estimated by the median absolute deviation, which a
//! minority of changed ground does not move, as the noise of unchanged ground. The minimum detectable change is 1.96 times that noise: of unchanged
//! ground 5 % differ by more, so of many tiles some always do. With `--unchanged`, shift and noise are taken from the pixels of that raster that
//! are not 0. Left out: whether a change is one of development.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use contract::{CHANGE, HEATMAP, Made, Metric, RasterSpec};
use figure::{Ground, Legend, Map, Panel, Scale, Words};
use raster::{BandOut, CogOptions, Grid, Overviews, Source, write_cog};

use crate::atlas::{corners_deg, tags};
use crate::stitch::NODATA;

/// Flags of `heatmap-stitch change`.
#[derive(clap::Args, Debug)]
pub struct ChangeArgs {
    /// The earlier map, as `heatmap-stitch map` writes it
    #[arg(long, value_name = "TIF")]
    before: PathBuf,
    /// The later map, its pixels on the same grid
    #[arg(long, value_name = "TIF")]
    after: PathBuf,
    /// Ground known not to have changed: a raster on the same grid, not 0 there [default: most of the ground]
    #[arg(long, value_name = "TIF")]
    unchanged: Option<PathBuf>,
    /// Title of the picture
    #[arg(long)]
    title: String,
    /// Source and licence of the images, as the picture names them
    #[arg(long)]
    credit: String,
    /// The picture to write
    #[arg(long, value_name = "PNG")]
    out_png: PathBuf,
    /// The table of metrics to write: shift, noise, minimum detectable change, shares of changed ground
    #[arg(long, value_name = "PARQUET")]
    metrics_out: PathBuf,
    /// The map to write: change of the score, and 1 or -1 where it is detectable
    #[arg(long, value_name = "TIF")]
    out: PathBuf,
}

/// The spread of a normal distribution over its median absolute deviation.
const SD_OVER_MAD: f64 = 1.4826;
/// Standard deviations that hold 95 % of a normal distribution.
const CONFIDENCE_SDS: f64 = 1.96;
/// The fewest pixels of unchanged ground from which noise is estimated.
const LEAST_UNCHANGED: usize = 30;
/// ZSTD level of the output.
const ZSTD_LEVEL: u8 = 9;

/// Compares the maps.
///
/// # Errors
/// For files that are no heat maps of this version or whose grids do not fit, and too little ground in common.
pub fn run(args: &ChangeArgs) -> anyhow::Result<stage::Ledger> {
    let (grid, differences) = differences(&args.before, &args.after)?;
    let unchanged = args.unchanged.as_deref().map(|path| mask(path, &grid)).transpose()?;
    let mut ledger = stage::Ledger::of("pixels", grid.len());
    let known = differences.iter().filter(|d| !d.is_nan()).count();
    ledger.ok(known);
    (known..grid.len()).for_each(|_| ledger.skip("no score at one of the dates"));
    let noise = Noise::of(&differences, unchanged.as_deref()).with_context(|| {
        format!("{}: want at least {LEAST_UNCHANGED} pixels of unchanged ground with a score at both dates, got fewer", args.after.display())
    })?;
    let change: Vec<f32> = differences
        .iter()
        .map(|d| if d.is_nan() { NODATA } else { (f64::from(*d) - noise.shift) as f32 })
        .collect();
    let detectable: Vec<f32> = change.iter().map(|&c| noise.verdict(c)).collect();
    let mut made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("credit", &args.credit)
        .input(&args.before)?
        .input(&args.after)?;
    if let Some(path) = &args.unchanged {
        made = made.input(path)?;
    }
    let picture = picture(args, &grid, &change, &noise)?;
    let names: Vec<(&str, &str)> = CHANGE.bands.iter().map(|band| (band.name, band.unit)).collect();
    let bands = [&change, &detectable];
    let bands: Vec<BandOut<'_, f32>> =
        names.iter().zip(bands).map(|((name, unit), pixels)| BandOut { name, unit, pixels }).collect();
    let options = CogOptions {
        zstd_level: ZSTD_LEVEL,
        overviews: Overviews::Nearest,
        nodata: CHANGE.nodata,
        tags: tags(&made, &CHANGE.tag()),
        colours: None,
    };
    write_cog(&args.out, &grid, &bands, &options)?;
    contract::write(&args.metrics_out, &metrics(&noise, &detectable), &made)?;
    contract::file::write(&args.out_png, &picture)?;
    tracing::info!("minimum detectable change {:.3}", noise.detectable());
    Ok(ledger)
}

/// The later scores less the earlier ones on the ground of both; NaN where one is missing.
fn differences(before: &Path, after: &Path) -> anyhow::Result<(Grid, Vec<f32>)> {
    let (early, late) = (open(before)?, open(after)?);
    let (a, b) = (early.grid(), late.grid());
    let (row, col) = a.offset_of(b).with_context(|| {
        format!(
            "{}: want the grid of {}, got another; draw both with the same --pixel-m and --crs",
            after.display(),
            before.display()
        )
    })?;
    let common = |start: i64, n: usize, other: usize| (start.max(0), (start + other as i64).min(n as i64));
    let ((top, bottom), (left, right)) = (common(row, a.height, b.height), common(col, a.width, b.width));
    ensure!(
        top < bottom && left < right,
        "{}: want ground of {}, got none of it",
        after.display(),
        before.display()
    );
    let (height, width) = ((bottom - top) as usize, (right - left) as usize);
    let grid = a.window(top, left, height, width);
    let first: Vec<f32> = early.read_window(1, top as usize, left as usize, height, width)?;
    let second: Vec<f32> = late.read_window(1, (top - row) as usize, (left - col) as usize, height, width)?;
    let less = |(a, b): (&f32, &f32)| if *a == NODATA || *b == NODATA { f32::NAN } else { b - a };
    Ok((grid, first.iter().zip(&second).map(less).collect()))
}

fn open(path: &Path) -> anyhow::Result<Source> {
    let source = Source::open(path)?;
    let tag = source.tag("", RasterSpec::TAG).unwrap_or_else(|| "no contract tag".to_owned());
    ensure!(
        tag == HEATMAP.tag(),
        "{}: want raster {}, got {tag}; make it again with {}",
        path.display(),
        HEATMAP.tag(),
        HEATMAP.made_by
    );
    Ok(source)
}

/// Where a raster on the same grid is not 0.
fn mask(path: &Path, grid: &Grid) -> anyhow::Result<Vec<bool>> {
    let source = Source::open(path)?;
    let place = source.grid().offset_of(grid).and_then(|(row, col)| {
        let fits = |start: i64, n: usize, end: usize| start >= 0 && start as usize + n <= end;
        let inside =
            fits(row, grid.height, source.grid().height) && fits(col, grid.width, source.grid().width);
        inside.then_some((row as usize, col as usize))
    });
    let (row, col) = place.with_context(|| {
        format!("{}: want a raster over the maps on their grid, got another", path.display())
    })?;
    let pixels: Vec<f64> = source.read_window(1, row, col, grid.height, grid.width)?;
    let nodata = source.nodata();
    Ok(pixels.into_iter().map(|value| value != 0.0 && Some(value) != nodata).collect())
}

/// How unchanged ground differs between the dates.
struct Noise {
    shift: f64,
    sd: f64,
    n: usize,
}

impl Noise {
    fn of(differences: &[f32], unchanged: Option<&[bool]>) -> Option<Noise> {
        let counts = |i: usize| unchanged.is_none_or(|mask| mask[i]);
        let mut values: Vec<f64> = differences
            .iter()
            .enumerate()
            .filter(|(i, d)| !d.is_nan() && counts(*i))
            .map(|(_, d)| f64::from(*d))
            .collect();
        if values.len() < LEAST_UNCHANGED {
            return None;
        }
        let shift = median(&mut values);
        let mut away: Vec<f64> = values.iter().map(|v| (v - shift).abs()).collect();
        Some(Noise { shift, sd: SD_OVER_MAD * median(&mut away), n: values.len() })
    }

    /// The minimum detectable change.
    fn detectable(&self) -> f64 {
        CONFIDENCE_SDS * self.sd
    }

    /// 1 where the score rose, -1 where it fell, 0 where chance may have done it.
    fn verdict(&self, change: f32) -> f32 {
        if change == NODATA {
            return NODATA;
        }
        if f64::from(change).abs() <= self.detectable() { 0.0 } else { change.signum() }
    }
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

fn metrics(noise: &Noise, detectable: &[f32]) -> Vec<Metric> {
    let known = detectable.iter().filter(|&&v| v != NODATA).count();
    let share =
        |wanted: f32| detectable.iter().filter(|&&v| v == wanted).count() as f64 / known.max(1) as f64;
    let row = |name: &str, of: &str, value: f64, unit: &str, n: usize, note: &str| Metric {
        name: name.to_owned(),
        of: of.to_owned(),
        value: Some(value),
        low: None,
        high: None,
        unit: unit.to_owned(),
        n: n as u64,
        note: Some(note.to_owned()),
    };
    let chance = "of unchanged ground 2.5 % rises and 2.5 % falls by more than the minimum detectable change";
    vec![
        row(
            "change_shift",
            "unchanged ground",
            noise.shift,
            "share",
            noise.n,
            "median difference of the dates, taken off",
        ),
        row(
            "change_noise_sd",
            "unchanged ground",
            noise.sd,
            "share",
            noise.n,
            "1.4826 times the median absolute deviation",
        ),
        row(
            "minimum_detectable_change",
            "a pixel",
            noise.detectable(),
            "share",
            noise.n,
            "1.96 times the noise",
        ),
        row("change_risen", "ground with both dates", share(1.0), "share of ground", known, chance),
        row("change_fallen", "ground with both dates", share(-1.0), "share of ground", known, chance),
    ]
}

/// All changes, and those that are more than chance.
fn picture(args: &ChangeArgs, grid: &Grid, change: &[f32], noise: &Noise) -> anyhow::Result<Vec<u8>> {
    /// Noise beyond which colours do not change.
    const RANGE_SDS: f64 = 4.0;
    let most = (RANGE_SDS * noise.sd).max(0.01);
    let least = noise.detectable();
    let ground = Some(Ground { corners_deg: corners_deg(grid)? });
    let panel = |heading: String, shown: Vec<f32>| {
        let legend = Legend::linear("Change of the score", Scale::Score, -most, most).nodata("one date only");
        let image = legend.paint(grid.height, grid.width, &shown)?;
        Ok::<_, figure::FigureError>(Panel::Map(Map { heading, image, ground, legend }))
    };
    let known = |c: f32| if c == NODATA { f32::NAN } else { c };
    let beyond = |c: f32| if noise.verdict(c) == 0.0 { 0.0 } else { known(c) };
    let panels = [
        panel("Every change".to_owned(), change.iter().map(|&c| known(c)).collect())?,
        panel(format!("More than ±{least:.3}"), change.iter().map(|&c| beyond(c)).collect())?,
    ];
    let subtitle = format!(
        "The minimum detectable change is {least:.3}: of ground where nothing changed 95 % differs by less, and 5 % by more. A shift of {:+.3} between the dates is taken off. Left: what was found; right: what is more than that.",
        noise.shift
    );
    let words = Words { title: args.title.clone(), subtitle, credit: args.credit.clone() };
    Ok(figure::side_by_side(&words, &panels)?)
}
