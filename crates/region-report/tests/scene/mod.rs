//! A made map of a region: scores that rise to the east, zones that do not follow pixels, lights.
#![allow(dead_code, clippy::new_without_default, reason = "each test binary uses a part")]

use std::path::PathBuf;
use std::process::{Command, Output};

use raster::{Affine, BandOut, CogOptions, Crs, Grid, write_cog};
use serde_json::json;

/// Side of a pixel, and pixels of the map's side.
const PIXEL_M: f64 = 50.0;
const SIDE: usize = 240;
const WEST_M: f64 = 420_000.0;
const NORTH_M: f64 = 3_450_000.0;
/// Zones a side; each is a little under a quarter of the map.
const ZONES: usize = 4;

pub struct Scene {
    folder: tempfile::TempDir,
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A score that rises to the east, in tiles of 16 pixels; most of the last zone is without.
fn score(row: usize, col: usize) -> f32 {
    let tile = (row / 16 * 7 + col / 16 * 5) % 11;
    if row >= 195 && col >= 180 { -9999.0 } else { 0.1 + 0.7 * col as f32 / SIDE as f32 + tile as f32 * 0.01 }
}

fn grid(crs: Crs, transform: Affine) -> Grid {
    Grid { height: SIDE, width: SIDE, transform, crs }
}

/// West, south, east, north of a zone in pixels from the north-west corner; edges cut pixels.
fn edges_px(zone: usize) -> [f64; 4] {
    let side = SIDE as f64 / ZONES as f64;
    let (row, col) = ((zone / ZONES) as f64, (zone % ZONES) as f64);
    [col * side + 0.3, (row + 1.0) * side - 0.25, (col + 1.0) * side - 0.6, row * side + 0.4]
}

impl Scene {
    pub fn new() -> Self {
        let scene = Self { folder: tempfile::tempdir().unwrap() };
        let transform = Affine { west: WEST_M, north: NORTH_M, pixel_width: PIXEL_M, pixel_height: PIXEL_M };
        let utm = grid(Crs::from_epsg(32_648).unwrap(), transform);
        let pixels: Vec<f32> = (0..utm.len()).map(|i| score(i / SIDE, i % SIDE)).collect();
        let sd: Vec<f32> = pixels.iter().map(|v| if *v < 0.0 { *v } else { 0.02 }).collect();
        let tags = [("CONTRACT", contract::HEATMAP.tag()), ("TILE_SIDE_M", "800".to_owned())];
        let options = CogOptions {
            nodata: Some(-9999.0),
            tags: tags.map(|(key, value)| (key.to_owned(), value)).to_vec(),
            ..CogOptions::default()
        };
        let bands = [("score_share", &pixels), ("sd_share", &sd)];
        let bands = bands.map(|(name, pixels)| BandOut { name, unit: "share", pixels });
        write_cog(&scene.path("heatmap.tif"), &utm, &bands, &options).unwrap();
        scene.lights();
        scene.write("zones.geojson", &zones().to_string());
        scene
    }

    /// Lights in degrees, brighter to the east.
    fn lights(&self) {
        let transform = Affine { west: 104.0, north: 31.4, pixel_width: 0.005, pixel_height: 0.005 };
        let pixels: Vec<f32> = (0..SIDE * SIDE).map(|i| ((i % SIDE) as f32 / 20.0).exp() / 50.0).collect();
        let band = [BandOut { name: "radiance", unit: "nW cm-2 sr-1", pixels: &pixels }];
        let lights = grid(Crs::wgs84().unwrap(), transform);
        write_cog(&self.path("lights.tif"), &lights, &band, &CogOptions::default()).unwrap();
    }

    /// What changed since an earlier date: chance, even within 0.02 of 0 in tiles of 16 pixels, and one zone that rose.
    pub fn change(&self, name: &str, risen: usize, by: f32, tag: &str) {
        let transform = Affine { west: WEST_M, north: NORTH_M, pixel_width: PIXEL_M, pixel_height: PIXEL_M };
        let utm = grid(Crs::from_epsg(32_648).unwrap(), transform);
        let [west, south, east, north] = edges_px(risen);
        let inside = |row: f64, col: f64| west < col && col < east && north < row && row < south;
        let pixel = |i: usize| {
            let (row, col) = (i / SIDE, i % SIDE);
            let chance = ((row / 16 * 131 + col / 16 * 17) * 7919 % 1009) as f32 / 1009.0 * 0.04 - 0.02;
            let rose = inside(row as f64 + 0.5, col as f64 + 0.5);
            if score(row, col) < 0.0 { -9999.0 } else { chance + if rose { by } else { 0.0 } }
        };
        let change: Vec<f32> = (0..utm.len()).map(pixel).collect();
        let bands = [("change_share", "share"), ("detectable", "code")];
        let bands = bands.map(|(name, unit)| BandOut { name, unit, pixels: &change });
        let tags = vec![("CONTRACT".to_owned(), tag.to_owned())];
        let options = CogOptions { nodata: Some(-9999.0), tags, ..CogOptions::default() };
        write_cog(&self.path(name), &utm, &bands, &options).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    /// The program with flags that make everything; of a flag that comes again the new one counts.
    pub fn command(&self, more: &[&str]) -> Command {
        let usual = [
            ("--heatmap", "heatmap.tif"),
            ("--zones", "zones.geojson"),
            ("--metrics-out", "metrics.parquet"),
            ("--targeting-out", "targeting.parquet"),
            ("--page", "page"),
            ("--out", "regions.parquet"),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_region-report"));
        command.arg("report").env("RUST_LOG", "error");
        for (flag, name) in usual.iter().filter(|(flag, _)| !more.contains(flag)) {
            command.arg(flag).arg(self.path(name));
        }
        for (flag, text) in [
            ("--zone-id", "code"),
            ("--zone-name", "name"),
            ("--zone-part-of", "part"),
            ("--block-m", "800"),
            ("--rounds", "200"),
        ] {
            if !more.contains(&flag) {
                command.args([flag, text]);
            }
        }
        command.args(more);
        command
    }

    pub fn report(&self, more: &[&str]) -> Output {
        self.command(more).output().unwrap()
    }
}

/// Sixteen rectangles in the map's own coordinate system.
fn zones() -> serde_json::Value {
    let feature = |zone: usize| {
        let [west, south, east, north] = edges_px(zone);
        let place = |col: f64, row: f64| json!([WEST_M + col * PIXEL_M, NORTH_M - row * PIXEL_M]);
        let ring = json!([
            place(west, north),
            place(west, south),
            place(east, south),
            place(east, north),
            place(west, north)
        ]);
        json!({"type": "Feature", "properties": {"code": 100 + zone, "name": format!("zone {zone}"), "part": if zone < 8 { "北部" } else { "南部" }},
          "geometry": {"type": "Polygon", "coordinates": [ring]}})
    };
    let crs = json!({"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32648"}});
    json!({"type": "FeatureCollection", "crs": crs, "features": (0..ZONES * ZONES).map(feature).collect::<Vec<_>>()})
}

/// A square of one degree.
pub fn square_at(lon: f64, lat: f64) -> String {
    let (east, north) = (lon + 1.0, lat + 1.0);
    let ring = json!([[lon, lat], [east, lat], [east, north], [lon, north], [lon, lat]]);
    let properties = json!({"code": 1, "name": "far", "part": "x"});
    json!({"type": "FeatureCollection", "features": [{"type": "Feature", "properties": properties,
      "geometry": {"type": "Polygon", "coordinates": [ring]}}]})
    .to_string()
}

/// A number that rises to the east as the score does, with a little noise.
pub fn official() -> String {
    let line = |zone: usize| format!("{}.0,{}\n", 100 + zone, 1000 * (zone % ZONES) + 37 * (zone * 5 % 16));
    "code,gdp\n".to_owned() + &(0..ZONES * ZONES).map(line).collect::<String>()
}

/// Pixels with a value and their mean, of each zone, from every pixel's overlap with its rectangle.
pub fn means_by_hand() -> Vec<(f64, f64)> {
    let overlap =
        |at: usize, low: f64, high: f64| ((at as f64 + 1.0).min(high) - (at as f64).max(low)).max(0.0);
    let mean = |zone: usize| {
        let [west, south, east, north] = edges_px(zone);
        let (mut n, mut sum) = (0.0, 0.0);
        for row in 0..SIDE {
            for col in 0..SIDE {
                let share = overlap(row, north, south) * overlap(col, west, east);
                let value = f64::from(score(row, col));
                if value >= 0.0 {
                    n += share;
                    sum += share * value;
                }
            }
        }
        (n, sum / n)
    };
    (0..ZONES * ZONES).map(mean).collect()
}
