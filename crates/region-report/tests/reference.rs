//! Means over zones of all kinds, valid and not, against Shapely and exactextract, which nobody here wrote.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// exactextract keeps the share of a pixel in 32 bits, and curves become edges of a degree here and there of less.
const SHARE_TOLERANCE: f64 = 2e-4;
const PX_TOLERANCE: f64 = 1e-4;
/// A hair's share of its pixels is known to few digits.
const MEAN_TOLERANCE: f64 = 2e-3;
/// Of zones of at least a pixel.
const LARGE_MEAN_TOLERANCE: f64 = 1e-4;

const REFERENCE: &str = include_str!("zones_reference.py");

/// Pixels with a value, mean, and share with a value of each zone.
type Means = BTreeMap<String, (f64, Option<f64>, Option<f64>)>;

fn means(folder: &Path, raster: &str, zones: &[&str]) -> (Means, String) {
    let (mut all, mut said) = (Means::new(), String::new());
    for zones in zones {
        let out = folder.join("means.csv");
        let output = Command::new(env!("CARGO_BIN_EXE_region-report"))
            .args(["zonal", "--zone-id", "zone", "--raster"])
            .arg(folder.join(raster))
            .arg("--zones")
            .arg(folder.join(zones))
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        said += &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{raster}: {said}");
        for line in std::fs::read_to_string(out).unwrap().lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let number = |place: usize| fields[place].parse::<f64>().ok();
            all.insert(fields[0].to_owned(), (number(1).unwrap(), number(2), number(4)));
        }
    }
    (all, said)
}

#[test]
fn means_over_zones_valid_and_not_are_those_of_shapely_and_exactextract() {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON is not set, make test sets it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("reference.py");
    std::fs::write(&script, REFERENCE).unwrap();
    assert!(Command::new(python).arg(&script).arg(folder.path()).status().unwrap().success());
    let curves = Command::new("ogr2ogr")
        .args(["-f", "GPKG", "-a_srs", "EPSG:32648", "-nlt", "GEOMETRY", "-oo", "GEOM_POSSIBLE_NAMES=wkt"])
        .arg(folder.path().join("curves.gpkg"))
        .arg(folder.path().join("curves.csv"))
        .status()
        .unwrap();
    assert!(curves.success(), "want ogr2ogr of gdal-bin");
    let text = std::fs::read_to_string(folder.path().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut n_cases = 0;
    for (raster, wanted) in expected["means"].as_object().unwrap() {
        let (found, said) = means(folder.path(), raster, &["zones.gpkg", "curves.gpkg"]);
        assert!(said.contains(&format!("{} of 40 features are not valid", expected["n_invalid"])), "{said}");
        for (zone, wanted) in wanted.as_object().unwrap() {
            let (n_px, mean, share) = found[zone];
            let [wanted_px, wanted_mean, wanted_share] = [0, 1, 2].map(|place| wanted[place].as_f64());
            let wanted_px = wanted_px.unwrap();
            let context = || format!("{raster}, {zone}: found {n_px} {mean:?} {share:?}, want {wanted}");
            assert!((n_px - wanted_px).abs() < PX_TOLERANCE * wanted_px.max(1.0), "{}", context());
            let tolerance = if wanted_px < 1.0 { MEAN_TOLERANCE } else { LARGE_MEAN_TOLERANCE };
            let near = |a: Option<f64>, b: Option<f64>, by: f64| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < by,
                (a, b) => a.is_none() && b.is_none(),
            };
            assert!(near(mean, wanted_mean, tolerance), "{}", context());
            assert!(
                near(share, wanted_share, if wanted_px < 1.0 { MEAN_TOLERANCE } else { SHARE_TOLERANCE }),
                "{}",
                context()
            );
            n_cases += 1;
        }
    }
    assert_eq!(n_cases, 42 * expected["means"].as_object().unwrap().len());
    assert!(n_cases >= 42 * 5);
}

#[test]
fn zones_on_every_pixel_hold_the_area_of_the_valid_shape() {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON is not set, make test sets it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("reference.py");
    std::fs::write(&script, REFERENCE).unwrap();
    assert!(Command::new(python).arg(&script).arg(folder.path()).status().unwrap().success());
    let text = std::fs::read_to_string(folder.path().join("expected.json")).unwrap();
    let expected: serde_json::Value = serde_json::from_str(&text).unwrap();
    let (shapes, crs) = raster::read_shapes(&folder.path().join("zones.gpkg")).unwrap();
    assert_eq!((shapes.len(), crs.epsg()), (40, Some(32_648)));
    for shape in &shapes {
        let area: f64 = shape.rings.iter().map(|ring| region_report::zones::signed_area(ring)).sum();
        let wanted = expected["areas_px"][shape.field("zone").unwrap()].as_f64().unwrap();
        // Coordinates of millions of metres keep areas to a millimetre times the outline.
        assert!(
            (area / 2500.0 - wanted).abs() < 1e-6,
            "{:?}: {}, want {wanted}",
            shape.field("zone"),
            area / 2500.0
        );
    }
}
