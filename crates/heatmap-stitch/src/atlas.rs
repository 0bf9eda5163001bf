//! `heatmap-stitch map`: reads scores, draws them, writes three files.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use contract::{HEATMAP, HEATMAP_COLOUR, Made, Score};
use figure::{Ground, Legend, Map, Scale, Words};
use raster::{BandOut, CogOptions, Crs, Grid, Overviews, transform_points, write_cog};

use crate::stitch::{HeatMap, MAX_PIXELS, NODATA, Patch, grid_around, stitch};

/// Flags of `heatmap-stitch map`.
#[derive(clap::Args, Debug)]
pub struct MapArgs {
    /// A table of scores, as stage3-train writes it; repeat for more granules
    #[arg(long, value_name = "PARQUET", required = true)]
    scores: Vec<PathBuf>,
    /// Side of a pixel of the map in metres
    #[arg(long, value_name = "M", value_parser = stage::positive)]
    pixel_m: f64,
    /// Title of the picture
    #[arg(long)]
    title: String,
    /// Source and licence of the images, as the picture names them
    #[arg(long)]
    credit: String,
    /// The picture to write
    #[arg(long, value_name = "PNG")]
    out_png: PathBuf,
    /// The map with a colour table to write: 0 to 200 for scores of 0 to 1, 255 without
    #[arg(long, value_name = "TIF")]
    out_colour: PathBuf,
    /// The map to write: score and its standard deviation as 32-bit floats, -9999 without
    #[arg(long, value_name = "TIF")]
    out: PathBuf,
}

/// Pixels on the longer side of the map that the picture is painted from; more would not be seen.
const PICTURE_PX: f64 = 1600.0;
/// ZSTD level of the outputs, which are kept and shared.
const ZSTD_LEVEL: u8 = 9;
/// Steps of the paletted map.
const STEPS: f32 = 200.0;
const COLOUR_NODATA: u8 = 255;

/// Draws the maps.
///
/// # Errors
/// For tables that cannot be read, disagree in their coordinate system or model, or hold no score.
pub fn run(args: &MapArgs) -> anyhow::Result<stage::Ledger> {
    let input = Input::read(&args.scores)?;
    let mut ledger = stage::Ledger::of("tiles", input.rows.len());
    for row in &input.rows {
        match row.score {
            Some(_) => ledger.ok(1),
            None => ledger.skip(row.skipped.as_deref().unwrap_or("no score")),
        }
    }
    let grid = grid_around(&input.patches, args.pixel_m, &input.crs).with_context(|| {
        format!(
            "--pixel-m {}: want a map of at most {MAX_PIXELS} pixels, choose a larger pixel",
            args.pixel_m
        )
    })?;
    let map = stitch(&input.patches, &grid);
    let made = made(args, &input)?;
    write_maps(args, &grid, &map, &made, &input)?;
    let picture = picture(args, &grid, &input)?;
    contract::file::write(&args.out_png, &picture)?;
    tracing::info!("{} x {} pixels of {} m in {}", grid.height, grid.width, args.pixel_m, args.out.display());
    Ok(ledger)
}

/// What the score tables hold, checked to fit on one map.
struct Input {
    rows: Vec<Score>,
    patches: Vec<Patch>,
    crs: Crs,
    /// Name and hash of every model file behind the scores.
    models: BTreeSet<String>,
}

impl Input {
    fn read(paths: &[PathBuf]) -> anyhow::Result<Input> {
        let mut rows = Vec::new();
        let mut first: Option<(&Path, Crs, BTreeSet<String>)> = None;
        for path in paths {
            let table: Vec<Score> = contract::read(path)?;
            let models = models(path)?;
            let Some(crs) = one_crs(path, &table)? else { continue };
            match &first {
                None => first = Some((path, crs, models)),
                Some(first) => agree(first, (path, crs, models))?,
            }
            rows.extend(table);
        }
        let (_, crs, models) =
            first.context("no tile in any --scores table; run stage3-train score on tiles with pixels")?;
        ensure!(
            rows.iter().any(|row| row.score.is_some()),
            "{}: want at least one tile with a score, got {} tiles without; look at the ledger of stage3-train",
            paths[0].display(),
            rows.len()
        );
        rows.sort_by(|a, b| (&a.granule, a.tile).cmp(&(&b.granule, b.tile)));
        let patches = rows.iter().map(patch).collect::<anyhow::Result<_>>()?;
        Ok(Input { rows, patches, crs, models })
    }

    /// Side of a tile in metres: the median of all.
    fn tile_side_m(&self) -> f64 {
        let mut sides: Vec<f64> = self.patches.iter().map(|patch| patch.east_m - patch.west_m).collect();
        sides.sort_by(f64::total_cmp);
        sides[sides.len() / 2]
    }
}

/// The coordinate system of a table, if it has rows.
fn one_crs(path: &Path, table: &[Score]) -> anyhow::Result<Option<Crs>> {
    let texts: BTreeSet<&str> = table.iter().map(|row| row.crs.as_str()).collect();
    let mut texts = texts.into_iter();
    let Some(text) = texts.next() else { return Ok(None) };
    if let Some(other) = texts.next() {
        bail!(
            "{}: want one coordinate system, got {text} and {other}; make it again with stage3-train",
            path.display()
        );
    }
    let crs =
        Crs::from_text(text).with_context(|| format!("{}: reading its coordinate system", path.display()))?;
    ensure!(
        !crs.is_geographic(),
        "{}: want a coordinate system in metres, got {text}; tile the scene in a projected system",
        path.display()
    );
    Ok(Some(crs))
}

/// The model files among the inputs that a score table names, as `name sha256`.
fn models(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let tags = contract::tags(path)?;
    let inputs = tags.iter().find(|(key, _)| key == "inputs").map_or("[]", |(_, text)| text);
    let inputs: Vec<serde_json::Value> = serde_json::from_str(inputs).unwrap_or_default();
    let text = |input: &serde_json::Value, key: &str| input[key].as_str().unwrap_or_default().to_owned();
    let named = inputs.iter().map(|input| (text(input, "name"), text(input, "sha256")));
    Ok(named
        .filter(|(name, _)| name.starts_with("model"))
        .map(|(name, hash)| format!("{name} {hash}"))
        .collect())
}

fn agree(
    (path, crs, models): &(&Path, Crs, BTreeSet<String>),
    (other_path, other_crs, other_models): (&PathBuf, Crs, BTreeSet<String>),
) -> anyhow::Result<()> {
    ensure!(
        crs.same_as(&other_crs),
        "{}: want {} as in {}, got {}; draw each zone as a map of its own",
        other_path.display(),
        crs.to_text(),
        path.display(),
        other_crs.to_text()
    );
    ensure!(
        *models == other_models,
        "{}: want scores of the model of {}, got those of another model; score all granules with one model",
        other_path.display(),
        path.display()
    );
    Ok(())
}

fn patch(row: &Score) -> anyhow::Result<Patch> {
    let place = || format!("granule {} tile {}", row.granule, row.tile);
    let edges = [row.west_m, row.south_m, row.east_m, row.north_m];
    let upright =
        edges.iter().all(|edge| edge.is_finite()) && row.west_m < row.east_m && row.south_m < row.north_m;
    ensure!(
        upright,
        "{}: want west < east and south < north in metres, got {edges:?}; make the scores again",
        place()
    );
    for share in [row.score, row.sd].into_iter().flatten() {
        ensure!(
            (0.0..=1.0).contains(&share),
            "{}: want shares from 0 to 1, got {share}; make the scores again",
            place()
        );
    }
    Ok(Patch {
        west_m: row.west_m,
        south_m: row.south_m,
        east_m: row.east_m,
        north_m: row.north_m,
        score_share: row.score,
        sd_share: row.sd,
    })
}

fn made(args: &MapArgs, input: &Input) -> anyhow::Result<Made> {
    let mut made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("pixel_m", args.pixel_m)
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
fn tags(made: &Made, tag: &str) -> Vec<(String, String)> {
    made.pairs(tag).into_iter().map(|(key, text)| (key.to_uppercase(), text)).collect()
}

fn write_maps(args: &MapArgs, grid: &Grid, map: &HeatMap, made: &Made, input: &Input) -> anyhow::Result<()> {
    let [score, sd] = HEATMAP.bands else { bail!("the heat map has two bands by contract") };
    let bands = [
        BandOut { name: score.name, unit: score.unit, pixels: &map.score_share },
        BandOut { name: sd.name, unit: sd.unit, pixels: &map.sd_share },
    ];
    let mut options = CogOptions {
        zstd_level: ZSTD_LEVEL,
        overviews: Overviews::Average,
        nodata: HEATMAP.nodata,
        tags: tags(made, &HEATMAP.tag()),
        colours: None,
    };
    options.tags.push(("TILE_SIDE_M".to_owned(), input.tile_side_m().to_string()));
    write_cog(&args.out, grid, &bands, &options)?;

    let steps: Vec<u8> = map.score_share.iter().map(|&share| step(share)).collect();
    let [band] = HEATMAP_COLOUR.bands else { bail!("the paletted map has one band by contract") };
    let options = CogOptions {
        overviews: Overviews::Nearest,
        nodata: HEATMAP_COLOUR.nodata,
        tags: tags(made, &HEATMAP_COLOUR.tag()),
        colours: Some(colours()),
        ..options
    };
    let band = BandOut { name: band.name, unit: band.unit, pixels: &steps };
    Ok(write_cog(&args.out_colour, grid, &[band], &options)?)
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

fn picture(args: &MapArgs, grid: &Grid, input: &Input) -> anyhow::Result<Vec<u8>> {
    let longer = grid.height.max(grid.width) as f64;
    let pixel_m = args.pixel_m * (longer / PICTURE_PX).max(1.0);
    let grid = grid_around(&input.patches, pixel_m, &input.crs)
        .context("the picture's grid is smaller than the map's")?;
    let map = stitch(&input.patches, &grid);
    let values: Vec<f32> = map.score_share.iter().map(|&v| if v == NODATA { f32::NAN } else { v }).collect();
    let legend = Legend::linear("Development score", Scale::Score, 0.0, 1.0)
        .ends("less developed", "more developed")
        .nodata("no score");
    let image = legend.paint(grid.height, grid.width, &values)?;
    let ground = Some(Ground { corners_deg: corners_deg(&grid)? });
    let words = Words { title: args.title.clone(), subtitle: subtitle(input), credit: args.credit.clone() };
    Ok(figure::map(&words, &Map { heading: String::new(), image, ground, legend })?)
}

fn subtitle(input: &Input) -> String {
    let scored: Vec<&Score> = input.rows.iter().filter(|row| row.score.is_some()).collect();
    let granules: BTreeSet<&str> = input.rows.iter().map(|row| row.granule.as_str()).collect();
    let members = scored.iter().map(|row| row.n_members).max().unwrap_or(0);
    let models = if members == 1 { "One model".to_owned() } else { format!("Mean of {members} models") };
    let side = input.tile_side_m();
    let side = if side < 1000.0 { format!("{side:.0} m") } else { format!("{:.2} km", side / 1000.0) };
    let granules =
        if granules.len() == 1 { String::new() } else { format!(" in {} granules", granules.len()) };
    format!(
        "{models} for each tile of {side}; {} of {} tiles{granules} have a score. \
         The score is a place in an order of ground types, not money.",
        scored.len(),
        input.rows.len()
    )
}

/// Longitude and latitude of the corners: north-west, north-east, south-east, south-west.
fn corners_deg(grid: &Grid) -> anyhow::Result<[[f64; 2]; 4]> {
    let b = grid.bounds();
    let (mut x, mut y) = ([b.west, b.east, b.east, b.west], [b.north, b.north, b.south, b.south]);
    transform_points(&grid.crs, &Crs::wgs84()?, &mut x, &mut y)?;
    Ok(std::array::from_fn(|i| [x[i], y[i]]))
}
