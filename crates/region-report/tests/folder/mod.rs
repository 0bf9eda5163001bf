//! A folder with rasters and files of zones, and the program on them.
#![allow(clippy::new_without_default, reason = "a test's helper")]

use std::path::PathBuf;
use std::process::{Command, Output};

use raster::{Affine, BandOut, CogOptions, Crs, Grid, write_cog};
use serde_json::{Value, json};

/// Zone, pixels and mean.
pub type Line = (String, f64, Option<f64>);

pub struct Folder(tempfile::TempDir);

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A raster in degrees whose pixels have the number of their column, counted from 1.
    pub fn degrees(&self, name: &str, west: f64, north: f64, side: f64, (height, width): (usize, usize)) {
        let transform = Affine { west, north, pixel_width: side, pixel_height: side };
        self.raster(name, Grid { height, width, transform, crs: Crs::wgs84().unwrap() });
    }

    pub fn raster(&self, name: &str, grid: Grid) {
        let pixels: Vec<f32> = (0..grid.len()).map(|i| (i % grid.width + 1) as f32).collect();
        let band = [BandOut { name: "column", unit: "1", pixels: &pixels }];
        write_cog(&self.path(name), &grid, &band, &CogOptions::default()).unwrap();
    }

    pub fn features(&self, name: &str, features: &[(Value, Value)]) {
        let feature = |(properties, geometry): &(Value, Value)| json!({"type": "Feature", "properties": properties, "geometry": geometry});
        let all: Vec<Value> = features.iter().map(feature).collect();
        let text = json!({"type": "FeatureCollection", "features": all}).to_string();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn zonal(&self, raster: &str, zones: &str, flags: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_region-report"))
            .args(["zonal", "--by-area", "false", "--raster"])
            .arg(self.path(raster))
            .arg("--zones")
            .arg(self.path(zones))
            .arg("--out")
            .arg(self.path("means.csv"))
            .arg("--ledger")
            .arg(self.path("ledger.json"))
            .args(flags)
            .output()
            .unwrap()
    }

    /// Zone, pixels and mean of each line.
    pub fn lines(&self) -> Vec<Line> {
        let text = std::fs::read_to_string(self.path("means.csv")).unwrap();
        let line = |line: &str| {
            let fields: Vec<&str> = line.split(',').collect();
            (fields[0].to_owned(), fields[1].parse().unwrap(), fields[2].parse().ok())
        };
        text.lines().skip(1).map(line).collect()
    }
}

pub fn square(west: f64, south: f64, side: f64) -> Value {
    let (east, north) = (west + side, south + side);
    json!({"type": "Polygon", "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]]})
}

pub fn refused(output: &Output, wanted: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let line = said.trim_end().lines().last().unwrap();
    for word in wanted {
        assert!(line.contains(word), "want {word} in: {said}");
    }
    assert!(!said.contains("Some(") && said.matches("error:").count() == 1, "{said}");
}
