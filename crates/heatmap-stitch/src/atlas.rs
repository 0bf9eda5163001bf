//! `heatmap-stitch map`: reads scores, joins their granules, draws them, writes maps, a picture and a report of the seams.

mod alone;
mod input;
mod picture;
mod region;
mod style;

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use contract::{HEATMAP, HEATMAP_COLOUR, Made, RasterSpec};
use figure::Scale;
use raster::{CogOptions, Crs, Grid, Overviews, Window, write_cog_painted};

use crate::judge::Judge;
use crate::offsets::Offsets;
use crate::overlap::{Granule, pairs};
use crate::seams;
use crate::stitch::{Bands, Joining, Layer, Mosaic, NODATA};
use crate::support::same_everywhere;
pub use alone::{read_granules, write_granule};
use input::Input;
pub(crate) use picture::corners_deg;

/// Flags of `heatmap-stitch map`.
#[derive(clap::Args, Debug)]
pub struct MapArgs {
    /// A table of scores, as stage3-train writes it; repeat for more granules, of any UTM zones
    #[arg(long, value_name = "PARQUET", required = true)]
    scores: Vec<PathBuf>,
    /// Side of a pixel of the map in metres
    #[arg(long, value_name = "M", value_parser = stage::positive)]
    pixel_m: f64,
    /// Coordinate system of the map in metres, EPSG:<code> or WKT [default: that of the granules; an equal-area one where they have several]
    #[arg(long, value_name = "CRS")]
    crs: Option<String>,
    /// Keep the differences between scenes of the same ground instead of bringing them together
    #[arg(long)]
    keep_offsets: bool,
    /// Distance from its edge over which a granule gains weight against others; 0 for the plain mean
    #[arg(long, value_name = "M", default_value_t = 10_000.0, value_parser = not_negative)]
    feather_m: f64,
    /// Ground without a tile this close to tiles of two granules takes their mean
    #[arg(long, value_name = "M", default_value_t = 60.0, value_parser = not_negative)]
    close_gaps_m: f64,
    /// Title of the picture
    #[arg(long)]
    title: String,
    /// Source and licence of the images, as the picture names them
    #[arg(long)]
    credit: String,
    /// The card of the offline judge behind the order, the .json beside its heads: the picture says what it was trained on
    #[arg(long, value_name = "JSON")]
    judge: Option<PathBuf>,
    /// The ledger of the judge's labels of a granule, from vlm-label classify; repeat for more: the picture says how far this ground lies from that
    #[arg(long, value_name = "JSON", requires = "judge")]
    judge_ledger: Vec<PathBuf>,
    /// The picture to write
    #[arg(long, value_name = "PNG")]
    out_png: PathBuf,
    /// The map with a colour table to write: 0 to 200 for scores of 0 to 1, 255 without
    #[arg(long, value_name = "TIF")]
    out_colour: PathBuf,
    /// A style for QGIS to write; beside the map under its name, QGIS takes it up by itself
    #[arg(long, value_name = "QML")]
    out_qml: Option<PathBuf>,
    /// The report of the seams to write, a table of metrics
    #[arg(long, value_name = "PARQUET")]
    seams_out: Option<PathBuf>,
    /// A folder for a picture of each granule, its scores as they were read
    #[arg(long, value_name = "FOLDER")]
    granules_out: Option<PathBuf>,
    /// The map to write as 32-bit floats, -9999 without: score, standard deviation, scenes, share unlike all that was learnt from
    #[arg(long, value_name = "TIF")]
    out: PathBuf,
}

impl MapArgs {
    fn joining(&self) -> Joining {
        Joining { feather_m: self.feather_m, close_gaps_m: self.close_gaps_m }
    }
}

/// ZSTD level of the outputs, which are kept and shared.
const ZSTD_LEVEL: u8 = 9;
/// Steps of the paletted map.
const STEPS: f32 = 200.0;
const COLOUR_NODATA: u8 = 255;

/// Draws the maps.
///
/// # Errors
/// For tables that cannot be read, disagree in their model, or hold no score; for a region that has no place in the coordinate system.
pub fn run(args: &MapArgs) -> anyhow::Result<stage::Ledger> {
    let input = Input::read(&args.scores)?;
    let mut ledger = stage::Ledger::of("tiles", input.rows.len());
    for row in &input.rows {
        match row.score {
            Some(_) => ledger.ok(1),
            None => ledger.skip(row.skipped.as_deref().unwrap_or("no score")),
        }
    }
    if let Some(note) = same_everywhere(&input.scores()) {
        tracing::warn!("all {} tiles with a score have the same: {note}", ledger.n_ok);
    }
    let grid = region::grid(&input.granules, args.pixel_m, &crs(args, &input)?)?;
    let pairs = pairs(&input.granules)?;
    let offsets = if args.keep_offsets || pairs.is_empty() {
        Offsets::none(&input.granules)
    } else {
        Offsets::solve(&input.granules, &pairs)
    };
    let layers: Vec<(Crs, Layer)> =
        offsets.applied(&input.granules).into_iter().map(|granule| (granule.crs, granule.layer)).collect();
    let mosaic = Mosaic::of(&layers, &grid, args.joining())?;
    let made = made(args, &input, &grid)?;
    let judge = args.judge.as_deref().map(|card| Judge::read(card, &args.judge_ledger)).transpose()?;
    let picture = picture::picture(args, &grid, &layers, &input, judge.as_ref())?;
    write_maps(args, &grid, &mosaic, &made, &input)?;
    contract::file::write(&args.out_png, &picture)?;
    if let Some(path) = &args.out_qml {
        contract::file::write(path, style::qml().as_bytes())?;
    }
    if let Some(path) = &args.seams_out {
        report_seams(path, &input.granules, &pairs, &offsets, &made)?;
    }
    if let Some(folder) = &args.granules_out {
        picture::granule_pictures(folder, args, &input.granules)?;
    }
    tracing::info!("{} x {} pixels of {} m in {}", grid.height, grid.width, args.pixel_m, args.out.display());
    Ok(ledger)
}

/// The map's coordinate system: the one asked for, the granules' own, or an equal-area one.
fn crs(args: &MapArgs, input: &Input) -> anyhow::Result<Crs> {
    let Some(text) = &args.crs else {
        return input.common_crs().map_or_else(|| region::equal_area(&input.granules), |crs| Ok(crs.clone()));
    };
    let crs = Crs::from_text(text).context("reading --crs")?;
    if crs.is_geographic() {
        bail!("--crs: want a coordinate system in metres, got {text}; choose a projected one");
    }
    Ok(crs)
}

fn report_seams(
    path: &std::path::Path,
    granules: &[Granule],
    pairs: &[crate::overlap::Pair],
    offsets: &Offsets,
    made: &Made,
) -> anyhow::Result<()> {
    let rows = seams::report(granules, pairs, offsets);
    for row in rows.iter().filter(|row| row.name.starts_with("overlap_difference")) {
        if let Some(value) = row.value {
            tracing::info!("{} {value:.4}, {} pairs of tiles", row.name, row.n);
        }
    }
    Ok(contract::write(path, &rows, made)?)
}

fn made(args: &MapArgs, input: &Input, grid: &Grid) -> anyhow::Result<Made> {
    let mut made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("pixel_m", args.pixel_m)
        .flag("crs", grid.crs.to_text())
        .flag("keep_offsets", args.keep_offsets)
        .flag("feather_m", args.feather_m)
        .flag("close_gaps_m", args.close_gaps_m)
        .flag("tile_side_m", input.tile_side_m())
        .flag("models", &input.models)
        .flag("credit", &args.credit);
    let mut tables: Vec<&PathBuf> = args.scores.iter().collect();
    tables.sort();
    for table in tables {
        made = made.input(table)?;
    }
    Ok(made)
}

/// Provenance as a raster's tags, their names in capitals as GDAL has it.
pub(crate) fn tags(made: &Made, tag: &str) -> Vec<(String, String)> {
    made.pairs(tag).into_iter().map(|(key, text)| (key.to_uppercase(), text)).collect()
}

fn write_maps(
    args: &MapArgs,
    grid: &Grid,
    mosaic: &Mosaic<'_>,
    made: &Made,
    input: &Input,
) -> anyhow::Result<()> {
    let mut options = CogOptions {
        zstd_level: ZSTD_LEVEL,
        overviews: Overviews::Average,
        nodata: HEATMAP.nodata,
        tags: tags(made, &HEATMAP.tag()),
        colours: None,
    };
    options.tags.push(("TILE_SIDE_M".to_owned(), input.tile_side_m().to_string()));
    let paint = |window: Window, bands: &mut [Vec<f32>]| paint(mosaic, window, bands);
    write_cog_painted(&args.out, grid, &names(&HEATMAP), &options, &paint)?;

    let options = CogOptions {
        overviews: Overviews::Nearest,
        nodata: HEATMAP_COLOUR.nodata,
        tags: tags(made, &HEATMAP_COLOUR.tag()),
        colours: Some(colours()),
        ..options
    };
    let steps = |window: Window, bands: &mut [Vec<u8>]| {
        let mut shares = vec![0.0; window.len()];
        let only = Bands { score: &mut shares, sd: &mut [], scenes: &mut [], outside: &mut [] };
        mosaic.paint(window, &mut { only });
        bands[0].iter_mut().zip(&shares).for_each(|(to, share)| *to = step(*share));
    };
    Ok(write_cog_painted(&args.out_colour, grid, &names(&HEATMAP_COLOUR), &options, &steps)?)
}

/// Names and units of a raster's bands.
fn names(spec: &RasterSpec) -> Vec<(&'static str, &'static str)> {
    spec.bands.iter().map(|band| (band.name, band.unit)).collect()
}

/// A window of the map in the order of its bands.
fn paint(mosaic: &Mosaic<'_>, window: Window, bands: &mut [Vec<f32>]) {
    let [score, sd, scenes, outside] = bands else { unreachable!("the heat map has four bands by contract") };
    mosaic.paint(window, &mut Bands { score, sd, scenes, outside });
}

fn step(share: f32) -> u8 {
    if share == NODATA { COLOUR_NODATA } else { (share * STEPS).round() as u8 }
}

/// The score scale for steps 0 to 200; the rest is unused and transparent.
fn colours() -> Vec<[u8; 4]> {
    let mut colours: Vec<[u8; 4]> =
        Scale::Score.table(STEPS as usize + 1).iter().map(|c| [c.0, c.1, c.2, 255]).collect();
    colours.resize(256, [0, 0, 0, 0]);
    colours
}

fn not_negative(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| format!("want a number, got {text}"))?;
    if number.is_finite() && number >= 0.0 { Ok(number) } else { Err(format!("want 0 or more, got {text}")) }
}
