//! The published Sichuan scores against real night lights (METHODS T6). Needs `REFERENCE_DATA`; skips without.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use contract::Metric;
use raster::{Affine, BandOut, CogOptions, Crs, Declared, Grid, transform_points, write_cog};
use viirs_corr::correlate::{pearson, spearman};
use viirs_corr::lights::{lights_on, open_lights};

/// The study's tiles: 32 x 32 of 343 pixels of 10 m.
const TILES: usize = 32;
const TILE_M: f64 = 3430.0;
/// Agreement asked for by METHODS T6.
const TOLERANCE: f64 = 0.01;

fn reference() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("REFERENCE_DATA")?);
    folder.join("sichuan/study_scores.csv.gz").is_file().then_some(folder)
}

/// Scores of a granule by row and column.
type Scores = BTreeMap<(usize, usize), f64>;

fn scores(folder: &Path) -> BTreeMap<String, Scores> {
    let unpacked =
        Command::new("gzip").arg("-dc").arg(folder.join("sichuan/study_scores.csv.gz")).output().unwrap();
    let mut granules: BTreeMap<String, Scores> = BTreeMap::new();
    for line in String::from_utf8(unpacked.stdout).unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let place = (fields[2].parse().unwrap(), fields[3].parse().unwrap());
        granules.entry(fields[0].to_owned()).or_default().insert(place, fields[4].parse().unwrap());
    }
    granules
}

/// The north-west corners of the granules' footprints, longitude and latitude.
fn corners(folder: &Path) -> BTreeMap<String, (f64, f64)> {
    let text = std::fs::read_to_string(folder.join("sichuan/s2_tiles.geojson")).unwrap();
    let map: serde_json::Value = serde_json::from_str(&text).unwrap();
    let corner = |feature: &serde_json::Value| {
        let point = &feature["geometry"]["coordinates"][0][0];
        let name = feature["properties"]["Name"].as_str().unwrap().to_owned();
        (name, (point[0].as_f64().unwrap(), point[1].as_f64().unwrap()))
    };
    map["features"].as_array().unwrap().iter().map(corner).collect()
}

fn tile_grid(granule: &str, (lon_deg, lat_deg): (f64, f64)) -> Grid {
    let zone: u32 = granule[..2].parse().unwrap();
    let crs = Crs::from_epsg(32_600 + zone).unwrap();
    let (mut x, mut y) = ([lon_deg], [lat_deg]);
    transform_points(&Crs::wgs84().unwrap(), &crs, &mut x, &mut y).unwrap();
    // Corners of granules are multiples of 60 m, and the footprints are written to the metre.
    let snap = |metres: f64| (metres / 60.0).round() * 60.0;
    let transform = Affine { west: snap(x[0]), north: snap(y[0]), pixel_width: TILE_M, pixel_height: TILE_M };
    Grid { height: TILES, width: TILES, transform, crs }
}

#[test]
fn the_published_scores_correlate_with_night_light_as_published() {
    let Some(folder) = reference() else {
        println!("skipped: REFERENCE_DATA does not lead to sichuan/study_scores.csv.gz");
        return;
    };
    let lights =
        open_lights(&folder.join("nightlights/viirs_vnl_2025_sichuan.tif"), &Declared::default()).unwrap();
    let corners = corners(&folder);
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    let granules = scores(&folder);
    for (granule, scores) in &granules {
        let field = lights_on(&lights, &tile_grid(granule, corners[granule]), None).unwrap();
        for (&(row, column), &score) in scores {
            let cell = row * TILES + column;
            assert!(field.cover[cell] > 0.999, "{granule} row {row} column {column} is covered");
            xs.push(field.values[cell]);
            ys.push(score);
        }
    }
    assert_eq!((granules.len(), xs.len()), (30, 30_720));
    let logs: Vec<f64> = xs.iter().map(|radiance| radiance.max(0.0).ln_1p()).collect();
    let (rank, log) = (spearman(&xs, &ys).unwrap(), pearson(&logs, &ys).unwrap());
    println!("30,720 tiles: Spearman {rank:.3}, Pearson with log(1 + radiance) {log:.3}");
    assert!((rank - 0.40).abs() <= TOLERANCE, "Spearman {rank}, published .40");
    assert!((log - 0.47).abs() <= TOLERANCE, "Pearson with log {log}, published .47");
}

#[test]
fn one_published_granule_goes_through_the_program() {
    let Some(folder) = reference() else {
        println!("skipped: REFERENCE_DATA does not lead to sichuan/study_scores.csv.gz");
        return;
    };
    let scores = &scores(&folder)["48RVU"];
    let grid = tile_grid("48RVU", corners(&folder)["48RVU"]);
    let shares: Vec<f32> = scores.values().map(|&score| score as f32).collect();
    let bands = ["score_share", "sd_share"].map(|name| BandOut { name, unit: "share", pixels: &shares });
    let tags = [("CONTRACT", "heatmap/2".to_owned()), ("TILE_SIDE_M", TILE_M.to_string())];
    let tags = tags.map(|(key, text)| (key.to_owned(), text)).to_vec();
    let work = tempfile::tempdir().unwrap();
    let path = |name: &str| work.path().join(name);
    let options = CogOptions { nodata: Some(-9999.0), tags, ..CogOptions::default() };
    write_cog(&path("heatmap.tif"), &grid, &bands, &options).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_viirs-corr"))
        .arg("--heatmap")
        .arg(path("heatmap.tif"))
        .arg("--night-lights")
        .arg(folder.join("nightlights/viirs_vnl_2025_sichuan.tif"))
        .args(["--title", "Published score of granule T48RVU against night light"])
        .args([
            "--credit",
            "Scores: Sichuan study. Night light: VIIRS VNL, Earth Observation Group, CC BY 4.0.",
        ])
        .arg("--out-png")
        .arg(path("viirs.png"))
        .arg("--out")
        .arg(path("corr.parquet"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Metric> = contract::read(&path("corr.parquet")).unwrap();
    assert!(rows.iter().all(|row| row.n == 1024 && row.value.is_some()), "{rows:?}");
    println!("T48RVU: Spearman {:.3}", rows[0].value.unwrap());
    if let Some(folder) = std::env::var_os("FIGURE_OUT") {
        std::fs::copy(path("viirs.png"), Path::new(&folder).join("viirs-48RVU.png")).unwrap();
    }
}
