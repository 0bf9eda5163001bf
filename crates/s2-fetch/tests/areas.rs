//! Areas in the files that people have, written by a program that nobody here wrote (GeoPandas), through the command `plan`.
#![allow(clippy::unwrap_used)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::*;

fn plan(dir: &Path, area: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2-fetch"));
    command.current_dir(dir).arg("plan").args(area).args(["--assets", "visual", "--out", "list.tsv"]);
    command.output().unwrap()
}

/// The granules of an area.
fn granules(dir: &Path, area: &[&str]) -> Vec<String> {
    ok(plan(dir, area));
    let list = std::fs::read_to_string(dir.join("list.tsv")).unwrap();
    list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

const WRITE: &str = r#"
import geopandas, gzip, json, shutil
from shapely.geometry import box
names = ["锦江区", "Québec", "Fiji"]
zones = geopandas.GeoDataFrame(
    {"adcode": [510104, 24, 3], "name": names}, geometry=[box(103.9, 30.5, 104.2, 30.8), box(-71.5, 46.6, -71.1, 46.9), box(178, -18.2, 178.5, -17.5)], crs=4490)
zones.to_file("zones.gpkg")
zones.to_file("zones.fgb", driver="FlatGeobuf")
zones.to_file("zones.shp", encoding="UTF-8")
zones.to_crs(4326).to_file("zones.geojson", driver="GeoJSON")
zones.iloc[:1].to_crs(32648).to_file("metres.gpkg")
zones.iloc[:1].to_crs(3857).to_file("metres.geojson", driver="GeoJSON")
text = open("zones.geojson", encoding="utf-8").read()
open("packed.geojson.gz", "wb").write(gzip.compress(text.encode()))
open("marked.geojson", "w", encoding="utf-8-sig").write(text)
text = json.dumps(json.loads(text), ensure_ascii=False).replace("Québec", "Quebec")
for encoding in ["gb18030", "utf-16", "utf-16-le"]:
    open(encoding + ".geojson", "w", encoding=encoding).write(text)
"#;

#[test]
fn an_area_is_read_from_every_kind_of_file_and_in_every_coordinate_system() {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: want TEST_PYTHON, a Python with GeoPandas; scripts/test-python sets one up");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let written = Command::new(python).current_dir(dir).args(["-c", WRITE]).output().unwrap();
    assert!(written.status.success(), "{}", stderr(&written));
    let all = granules(dir, &["--area", "zones.geojson"]);
    let one = granules(dir, &["--bbox=103.9,30.5,104.2,30.8"]);
    assert!(all.len() > 3, "{all:?}");
    for file in ["zones.gpkg", "zones.fgb", "packed.geojson.gz", "marked.geojson"] {
        assert_eq!(granules(dir, &["--area", file]), all, "{file}");
        for name in ["锦江区", "510104"] {
            assert_eq!(granules(dir, &["--boundary", file, "--name", name]), one, "{file} {name}");
        }
    }
    for file in ["metres.gpkg", "metres.geojson"] {
        assert_eq!(granules(dir, &["--area", file]), one, "{file}");
    }
    for file in ["zones.shp", "gb18030.geojson", "utf-16.geojson", "utf-16-le.geojson"] {
        let output = plan(dir, &["--boundary", file, "--name", "锦江区"]);
        if output.status.success() {
            assert_eq!(granules(dir, &["--boundary", file, "--name", "锦江区"]), one, "{file}");
        } else {
            assert!(refused(output).contains(file), "{file}");
        }
    }
}

#[test]
fn a_code_that_is_a_number_names_a_place_and_the_texts_come_first() {
    let dir = tempfile::tempdir().unwrap();
    let square = |x: f64, y: f64| serde_json::json!({"type": "Polygon", "coordinates": [[[x, y], [x + 0.2, y], [x + 0.2, y + 0.2], [x, y + 0.2], [x, y]]]});
    let feature = |properties, x, y| serde_json::json!({"type": "Feature", "properties": properties, "geometry": square(x, y)});
    let zones = serde_json::json!({"type": "FeatureCollection", "features": [
        feature(serde_json::json!({"fid": 1, "adcode": 510104}), 104.0, 30.6),
        feature(serde_json::json!({"fid": 2, "adcode": 310000.0, "name": "1"}), 121.4, 31.1),
    ]});
    std::fs::write(dir.path().join("zones.geojson"), zones.to_string()).unwrap();
    let named = |name: &str| granules(dir.path(), &["--boundary", "zones.geojson", "--name", name]);
    let [west, east] =
        ["--bbox=104,30.6,104.2,30.8", "--bbox=121.4,31.1,121.6,31.3"].map(|b| granules(dir.path(), &[b]));
    assert_ne!(west, east);
    assert_eq!(named("510104"), west);
    assert_eq!(named("310000"), east);
    assert_eq!(named("1"), east, "a name before a number");
    let line = refused(plan(dir.path(), &["--boundary", "zones.geojson", "--name", "510105"]));
    assert!(line.contains("zones.geojson") && line.contains("near: 510104"), "{line}");
}
