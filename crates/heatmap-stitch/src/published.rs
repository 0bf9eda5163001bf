//! `heatmap-stitch published`: a published list of tile scores as score tables, one a granule.
//!
//! The list is CSV, plain or gzip, with the columns `granule`, `row`, `col` and `score` (see `contract::delimited_text`), rows and columns from 0 at the north-west of a granule.
//! Where granules lie is read from a GeoJSON of footprints with a property `Name`. Left out: standard deviations and what a list does not have.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use contract::delimited_text::{Row, parse};
use contract::{Made, Score, TileId};
use raster::{Crs, transform_points};

/// Flags of `heatmap-stitch published`.
#[derive(clap::Args, Debug)]
pub struct PublishedArgs {
    /// The scores: CSV, also packed by gzip, with the columns granule, row, col and score
    #[arg(long, value_name = "CSV")]
    table: PathBuf,
    /// Footprints of granules in degrees, with a property Name such as 48RVV
    #[arg(long, value_name = "GEOJSON")]
    footprints: PathBuf,
    /// Side of a tile in metres
    #[arg(long, value_name = "M", value_parser = stage::positive)]
    tile_m: f64,
    /// The folder to write to: <granule>.parquet, the granule's name after a T
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
}

/// Corners of Sentinel-2 granules are multiples of this.
const GRANULE_SNAP_M: f64 = 60.0;
/// The northernmost band of latitude letters in the southern half.
const LAST_SOUTHERN_BAND: char = 'M';

/// Writes the tables.
///
/// # Errors
/// For a list or footprints that cannot be read, and a granule without footprint.
pub fn run(args: &PublishedArgs) -> anyhow::Result<stage::Ledger> {
    let scores = scores(&args.table)?;
    let corners = corners(&args.footprints)?;
    let mut ledger = stage::Ledger::of("tiles", scores.values().map(Vec::len).sum());
    let made = Made::by(env!("CARGO_PKG_NAME"))
        .flag("tile_m", args.tile_m)
        .input(&args.table)?
        .input(&args.footprints)?;
    let mut tables = Vec::new();
    for (name, tiles) in &scores {
        let corner = corners.get(name).with_context(|| {
            format!(
                "{}: want a footprint of granule {name}, got none; give the footprints of the list",
                args.footprints.display()
            )
        })?;
        tables.push((name, rows(name, corner, tiles, args.tile_m)?));
    }
    for (name, rows) in tables {
        ledger.ok(rows.len());
        contract::write(&args.out.join(format!("T{name}.parquet")), &rows, &made)?;
    }
    Ok(ledger)
}

/// A tile's row, column and score.
type Tile = (u32, u32, f64);

/// What a packed list may unpack to, whatever its size, and beyond that for each byte.
const FREE_BYTES: u64 = 512 << 20;
const BYTES_A_BYTE: u64 = 64;

fn scores(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<Tile>>> {
    const COLUMNS: [&str; 4] = ["granule", "row", "col", "score"];
    let bytes = unpacked(path)?;
    let table = parse(&bytes, &COLUMNS).with_context(|| path.display().to_string())?;
    let mut columns = [0; 4];
    for (place, name) in columns.iter_mut().zip(COLUMNS) {
        *place = table.column(name)?;
    }
    let mut granules: BTreeMap<String, Vec<Tile>> = BTreeMap::new();
    for row in &table.rows {
        let (granule, tile) = tile(row, columns).with_context(|| {
            let got = columns.map(|at| row.get(at)).join(",");
            let (path, line) = (path.display(), row.line);
            format!("{path}: want granule, row, col and a score from 0 to 1 in line {line}, got {got:?}")
        })?;
        granules.entry(granule).or_default().push(tile);
    }
    for (granule, tiles) in &mut granules {
        tiles.sort_by_key(|tile| (tile.0, tile.1));
        let twice = tiles.windows(2).find(|pair| (pair[0].0, pair[0].1) == (pair[1].0, pair[1].1));
        if let Some([(row, col, _), _]) = twice {
            let path = path.display();
            bail!("{path}: want one score a tile, got two for row {row}, column {col} of granule {granule}");
        }
    }
    Ok(granules)
}

/// The file's bytes, unpacked where it is packed by gzip.
fn unpacked(path: &Path) -> anyhow::Result<Vec<u8>> {
    let place = || format!("{}: reading the published scores", path.display());
    let bytes = std::fs::read(path).map_err(contract::Error::io(path, "read"))?;
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(bytes);
    }
    let most = FREE_BYTES + BYTES_A_BYTE * bytes.len() as u64;
    let mut text = Vec::new();
    let n = flate2::read::MultiGzDecoder::new(&bytes[..]).take(most + 1).read_to_end(&mut text);
    let n = n.with_context(place)? as u64;
    ensure!(n <= most, "{}: want a list, got one that unpacks to more than {most} bytes", path.display());
    Ok(text)
}

fn tile(row: &Row, [granule, row_at, col, score]: [usize; 4]) -> Option<(String, Tile)> {
    let score: f64 = row.get(score).trim().parse().ok()?;
    let granule = row.get(granule).trim();
    let tile = (row.get(row_at).trim().parse().ok()?, row.get(col).trim().parse().ok()?, score);
    ((0.0..=1.0).contains(&score) && !granule.is_empty()).then(|| (granule.to_owned(), tile))
}

/// Longitudes and latitudes of the outlines of all footprints, by name.
fn corners(path: &Path) -> anyhow::Result<BTreeMap<String, Vec<(f64, f64)>>> {
    let bytes = std::fs::read(path).map_err(contract::Error::io(path, "read"))?;
    let map: serde_json::Value =
        serde_json::from_slice(&bytes).with_context(|| format!("{}: reading footprints", path.display()))?;
    let features = map["features"].as_array().map_or(&[][..], Vec::as_slice);
    let outline = |feature: &serde_json::Value| {
        let ring = feature["geometry"]["coordinates"][0].as_array()?;
        let point = |point: &serde_json::Value| Some((point[0].as_f64()?, point[1].as_f64()?));
        Some((feature["properties"]["Name"].as_str()?.to_owned(), ring.iter().filter_map(point).collect()))
    };
    let found: BTreeMap<String, Vec<(f64, f64)>> = features.iter().filter_map(outline).collect();
    ensure!(!found.is_empty(), "{}: want footprints with a property Name, got none", path.display());
    Ok(found)
}

fn rows(name: &str, outline: &[(f64, f64)], tiles: &[Tile], tile_m: f64) -> anyhow::Result<Vec<Score>> {
    let granule: contract::GranuleId = format!("T{name}").parse()?;
    let crs = utm(name)
        .with_context(|| format!("granule {name}: want a name such as 48RVV that begins with a UTM zone"))?;
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = outline.iter().copied().unzip();
    transform_points(&Crs::wgs84()?, &crs, &mut x, &mut y)?;
    let snap = |metres: f64| (metres / GRANULE_SNAP_M).round() * GRANULE_SNAP_M;
    let west = snap(x.iter().copied().fold(f64::INFINITY, f64::min));
    let north = snap(y.iter().copied().fold(f64::NEG_INFINITY, f64::max));
    let text = crs.to_text();
    let row = |&(row, col, score): &Tile| {
        let (west_m, north_m) = (west + f64::from(col) * tile_m, north - f64::from(row) * tile_m);
        Score {
            granule: granule.clone(),
            tile: TileId { row, col },
            crs: text.clone(),
            west_m,
            south_m: north_m - tile_m,
            east_m: west_m + tile_m,
            north_m,
            score: Some(score),
            sd: None,
            low: None,
            high: None,
            distance_ratio: None,
            outside: None,
            n_members: 1,
            skipped: None,
        }
    };
    Ok(tiles.iter().map(row).collect())
}

/// The UTM system of a granule's name.
fn utm(name: &str) -> Option<Crs> {
    let zone: u32 = name.get(..2)?.parse().ok()?;
    let band = name.chars().nth(2)?;
    let base = if band > LAST_SOUTHERN_BAND { 32_600 } else { 32_700 };
    Crs::from_epsg(base + zone).ok()
}
