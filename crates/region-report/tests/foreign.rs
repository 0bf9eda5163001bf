//! Night lights, people and rasters to add up as other people have them: fill values without a tag, masks, scales.
#![allow(clippy::unwrap_used)]

mod scene;

use std::process::{Command, Output};

use contract::Region;
use raster::{Affine, BandOut, CogOptions, Crs, Grid, write_cog};
use scene::{Scene, stderr};

const SIDE: usize = 240;

/// How far a zone's mean may move where one pixel in twenty is left out, as a share of it.
const TOLERANCE: f64 = 0.02;

/// The lights of the made scene, smooth to the east, with another number in one pixel of twenty.
fn filled(scene: &Scene, name: &str, number: Option<f32>) -> String {
    let transform = Affine { west: 104.0, north: 31.4, pixel_width: 0.005, pixel_height: 0.005 };
    let grid = Grid { height: SIDE, width: SIDE, transform, crs: Crs::wgs84().unwrap() };
    let light = |i: usize| 5.0 + (i % SIDE) as f32 / 50.0;
    let pixel =
        |i: usize| number.filter(|_| ((i as u64 * 2_654_435_761) >> 13) % 20 == 3).unwrap_or(light(i));
    let pixels: Vec<f32> = (0..grid.len()).map(pixel).collect();
    let band = [BandOut { name: "radiance", unit: "nW cm-2 sr-1", pixels: &pixels }];
    write_cog(&scene.path(name), &grid, &band, &CogOptions::default()).unwrap();
    scene.text(name)
}

fn rows(scene: &Scene, more: &[&str]) -> Vec<Region> {
    let output = scene.report(more);
    assert!(output.status.success(), "{more:?}: {}", stderr(&output));
    contract::read(&scene.path("regions.parquet")).unwrap()
}

fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", stderr(output));
    stderr(output)
}

#[test]
fn a_fill_value_that_no_light_can_have_is_left_out_and_one_that_it_could_is_refused_with_the_flag() {
    let scene = Scene::new();
    let clean = filled(&scene, "clean.tif", None);
    let wanted = rows(&scene, &["--night-lights", &clean]);
    let same = |name: &str, number: f32, more: &[&str]| {
        let lights = filled(&scene, name, Some(number));
        let found = rows(&scene, &[&["--night-lights", &lights][..], more].concat());
        for (a, b) in found.iter().zip(&wanted) {
            let (a, b) = (a.night_light.unwrap(), b.night_light.unwrap());
            assert!((a - b).abs() < TOLERANCE * b, "{name}: {a} and {b}");
        }
    };
    same("low.tif", -999.3, &[]);
    same("vast.tif", -1.5e9, &[]);
    same("full.tif", 65_535.0, &["--lights-nodata", "65535"]);
    same("byte.tif", 255.0, &["--lights-nodata", "255"]);
    for (name, number) in [("full.tif", "65535"), ("byte.tif", "255")] {
        let text = refusal(&scene.report(&["--night-lights", &scene.text(name)]));
        assert!(text.contains(name) && text.contains(&format!("give --lights-nodata {number}")), "{text}");
    }
}

#[test]
fn people_below_none_or_beyond_a_world_are_refused_with_the_flag() {
    let scene = Scene::new();
    let clean = filled(&scene, "clean.tif", None);
    let wanted = rows(&scene, &["--population", &clean]);
    for (name, number) in [("less.tif", "-200"), ("full.tif", "65535")] {
        let people = filled(&scene, name, Some(number.parse().unwrap()));
        let text = refusal(&scene.report(&["--population", &people]));
        assert!(text.contains(name) && text.contains("--population-nodata"), "{text}");
        let found = rows(&scene, &["--population", &people, "--population-nodata", number]);
        let all = |rows: &[Region]| rows.iter().filter_map(|row| row.population).sum::<f64>();
        let share = all(&found) / all(&wanted);
        assert!((share - 0.95).abs() < TOLERANCE, "{name}: {share}");
    }
}

/// Writes rasters of 20 x 20 pixels: 22 in the north and, under what hides it, 0 in the south.
const RASTERS: &str = r#"
import sys, numpy as np, rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
values = np.where(np.arange(20)[:, None] < 10, 22, 0) * np.ones((1, 20))
known = np.where(values > 0, 255, 0).astype("uint8")
place = dict(driver="GTiff", height=20, width=20, crs="EPSG:4326", transform=from_origin(104, 31, 0.01, 0.01))
for name, inside in (("inside", True), ("beside", False)):
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(f"{sys.argv[1]}/{name}.tif", "w", count=1, dtype="float32", **place) as to:
        to.write(values.astype("float32"), 1)
        to.write_mask(known)
with rasterio.open(f"{sys.argv[1]}/alpha.tif", "w", count=2, dtype="uint8", **place) as to:
    to.write(values.astype("uint8"), 1)
    to.colorinterp = [ColorInterp.gray, ColorInterp.alpha]
    to.write(known, 2)
with rasterio.open(f"{sys.argv[1]}/scaled.tif", "w", count=1, dtype="uint16", nodata=0, **place) as to:
    to.write((values * 10).astype("uint16"), 1)
    to.scales = [0.1]
with rasterio.open(f"{sys.argv[1]}/digits.tif", "w", count=1, dtype="float32", nodata=-999.3, **place) as to:
    to.write(np.where(values > 0, values, -999.3).astype("float32"), 1)
"#;

#[test]
fn a_mean_takes_no_masked_pixel_and_is_scaled_as_the_file_says() {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON names no interpreter with rasterio");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(python).args(["-c", RASTERS]).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let path = |name: &str| folder.path().join(name);
    let zone = r#"{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {},
        "geometry": {"type": "Polygon", "coordinates": [[[104, 30.8], [104.2, 30.8], [104.2, 31], [104, 31], [104, 30.8]]]}}]}"#;
    std::fs::write(path("zone.geojson"), zone).unwrap();
    for name in ["inside", "beside", "alpha", "scaled", "digits"] {
        let output = Command::new(env!("CARGO_BIN_EXE_region-report"))
            .args(["zonal", "--by-area", "false", "--raster"])
            .arg(path(name).with_extension("tif"))
            .arg("--zones")
            .arg(path("zone.geojson"))
            .arg("--out")
            .arg(path("z.csv"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let text = std::fs::read_to_string(path("z.csv")).unwrap();
        let fields: Vec<f64> =
            text.lines().nth(1).unwrap().split(',').skip(1).map(|field| field.parse().unwrap()).collect();
        let [n_px, mean, sd, coverage] = fields[..] else { panic!("{text}") };
        assert!((mean - 22.0).abs() < 1e-4 && sd < 1e-2 && (coverage - 0.5).abs() < 1e-9, "{name}: {text}");
        assert!((n_px - 200.0).abs() < 1e-6, "{name}: {text}");
    }
}
