//! The program on a made map and made zones, its failures too.
#![allow(clippy::unwrap_used)]

mod scene;

use std::process::Command;

use contract::{Metric, Region, Targeting};
use scene::{Scene, stderr};

#[test]
fn zones_get_their_means_places_and_copies_and_the_bytes_do_not_depend_on_threads() {
    let scene = Scene::new();
    let output = scene.report(&[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Region> = contract::read(&scene.path("regions.parquet")).unwrap();
    assert_eq!(rows.len(), 16);
    for row in &rows[..15] {
        assert!((row.coverage_share - 1.0).abs() < 1e-9, "{row:?}");
        assert!(row.low.unwrap() <= row.score.unwrap() && row.score.unwrap() <= row.high.unwrap());
        assert!(row.rank_low <= row.rank && row.rank <= row.rank_high);
    }
    let score = |name: &str| rows.iter().find(|row| row.name == name).unwrap().score.unwrap();
    assert!(score("zone 3") > score("zone 2") && score("zone 2") > score("zone 0"), "it rises to the east");
    assert_eq!(rows[15].skipped.as_deref(), Some("less than 0.5 of the area has a score"));
    assert_eq!(rows.iter().filter(|row| row.targeted).count(), 3, "a fifth of 15");

    let csv = std::fs::read_to_string(scene.path("page/regions.csv")).unwrap();
    for (line, row) in csv.lines().skip(1).zip(&rows) {
        let field = line.split(',').nth(8).unwrap();
        assert_eq!(field.parse::<f64>().unwrap(), row.score.unwrap(), "the CSV holds every digit");
    }
    let names = [
        "regions.parquet",
        "metrics.parquet",
        "targeting.parquet",
        "page/data.js",
        "page/regions.geojson",
        "page/region-outlines.parquet",
    ];
    let hashes = || names.map(|name| contract::sha256_of(&scene.path(name)).unwrap());
    let before = hashes();
    let output = scene.command(&[]).env("RAYON_NUM_THREADS", "1").output().unwrap();
    assert!(output.status.success() && hashes() == before);
}

#[test]
fn known_numbers_give_agreement_and_a_simulation_of_targeting() {
    let scene = Scene::new();
    scene.write("official.csv", &scene::official());
    let official = scene.text("official.csv");
    let lights = scene.text("lights.tif");
    let output = scene.report(&[
        "--official",
        &official,
        "--official-key",
        "code",
        "--official-value",
        "gdp",
        "--official-name",
        "GDP a head",
        "--night-lights",
        &lights,
        "--population",
        &lights,
        "--budget-people",
        "1000000",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let metrics: Vec<Metric> = contract::read(&scene.path("metrics.parquet")).unwrap();
    let of = |of: &str| metrics.iter().find(|m| m.name == "spearman_zones" && m.of == of).unwrap();
    let gdp = of("score, GDP a head");
    assert!(gdp.value.unwrap() > 0.9 && gdp.low.unwrap() <= gdp.value.unwrap() && gdp.n == 15, "{gdp:?}");
    assert!(of("score, night light").value.unwrap() > 0.5);
    let targeting: Vec<Targeting> = contract::read(&scene.path("targeting.parquet")).unwrap();
    let mean = |rule: &str| {
        let rows: Vec<f64> = targeting
            .iter()
            .filter(|row| row.rule == rule && row.truth == "official")
            .map(|row| row.exclusion)
            .collect();
        rows.iter().sum::<f64>() / rows.len() as f64
    };
    assert!(mean("score") < mean("random"), "{} {}", mean("score"), mean("random"));
    let rows: Vec<Region> = contract::read(&scene.path("regions.parquet")).unwrap();
    assert!(rows.iter().all(|row| row.change.is_none()), "no change was given");
    assert!(rows[0].population.unwrap() > 0.0 && rows[0].population_score.is_some());
}

#[test]
fn a_zone_that_changed_is_told_from_those_that_chance_moved() {
    const RISEN: usize = 5;
    let scene = Scene::new();
    scene.change("change.tif", RISEN, 0.1, "change/1");
    let output = scene.report(&["--change", &scene.text("change.tif")]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Region> = contract::read(&scene.path("regions.parquet")).unwrap();
    let risen = &rows[RISEN];
    assert!((risen.change.unwrap() - 0.1).abs() < 0.01, "{risen:?}");
    let beyond = |row: &&Region| row.change.unwrap().abs() > row.change_detectable.unwrap();
    let known: Vec<&Region> = rows.iter().filter(|row| row.change_detectable.is_some()).collect();
    assert_eq!((known.len(), rows[15].change), (15, None), "most of the last zone has no score");
    let n_beyond = known.iter().copied().filter(|row| beyond(row)).count();
    assert!(beyond(&risen) && n_beyond <= 3, "{n_beyond} of 15 zones changed, one did");
    let metrics: Vec<Metric> = contract::read(&scene.path("metrics.parquet")).unwrap();
    let value = |name: &str| metrics.iter().find(|m| m.name == name).unwrap().value.unwrap();
    assert_eq!(value("zones_risen") + value("zones_fallen"), n_beyond as f64);
    assert!((0.001..0.02).contains(&value("change_noise_sd")), "{}", value("change_noise_sd"));
    assert!(std::fs::read_to_string(scene.path("page/data.js")).unwrap().contains(r#""id":"change""#));
    scene.change("other.tif", RISEN, 0.1, "heatmap/2");
    let refused = scene.report(&["--change", &scene.text("other.tif")]);
    let said = stderr(&refused);
    assert!(refused.status.code() == Some(1) && said.lines().count() == 1, "{said}");
    assert!(said.contains("other.tif: want raster change/1, got heatmap/2"), "{said}");
}

#[test]
fn what_does_not_fit_is_one_line_and_leaves_no_file() {
    let scene = Scene::new();
    scene.write("points.geojson", r#"{"type":"FeatureCollection","features":[]}"#);
    scene.write("far.geojson", &scene::square_at(10.0, 10.0));
    scene.write("text.csv", "code,gdp\n1,many\n");
    let (points, far, text) =
        (scene.text("points.geojson"), scene.text("far.geojson"), scene.text("text.csv"));
    let zones = scene.text("zones.geojson");
    let cases: [(&[&str], &str); 5] = [
        (&["--zones", &points], "points.geojson: want polygons"),
        (&["--zones", &far], "far.geojson: want zones on the map"),
        (&["--zone-id", "adcode"], "want attribute adcode of zone 1, found code, name, part"),
        (&["--heatmap", &zones], "want a GeoTIFF"),
        (
            &["--official", &text, "--official-key", "code", "--official-value", "gdp"],
            "want a number in column gdp of record 2",
        ),
    ];
    for (flags, wanted) in cases {
        let output = scene.report(flags);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted) && said.trim_end().lines().count() == 1, "{said}");
        assert!(!scene.path("regions.parquet").exists() && !scene.path("page").exists());
    }
}

#[test]
fn zonal_means_are_those_of_every_pixel_counted_by_hand() {
    let scene = Scene::new();
    let output = Command::new(env!("CARGO_BIN_EXE_region-report"))
        .args(["zonal", "--raster", &scene.text("heatmap.tif"), "--zones", &scene.text("zones.geojson")])
        .args(["--zone-id", "code", "--out", &scene.text("means.csv")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table = std::fs::read_to_string(scene.path("means.csv")).unwrap();
    let mut n_cases = 0;
    for (line, (n_px, mean)) in table.lines().skip(1).zip(scene::means_by_hand()) {
        let fields: Vec<f64> = line.split(',').skip(1).map(|text| text.parse().unwrap()).collect();
        assert!(
            (fields[0] - n_px).abs() < 1e-6 && (fields[1] - mean).abs() < 1e-6,
            "{line}: want {n_px} {mean}"
        );
        n_cases += 1;
    }
    assert_eq!(n_cases, 16);
}

#[test]
fn a_geopackage_a_flatgeobuf_and_a_packed_geojson_give_the_means_of_the_plain_one() {
    let scene = Scene::new();
    let plain = scene.text("zones.geojson");
    for (driver, name) in [("GPKG", "zones.gpkg"), ("FlatGeobuf", "zones.fgb")] {
        let made = Command::new("ogr2ogr").args(["-f", driver, &scene.text(name), &plain]).status().unwrap();
        assert!(made.success(), "want ogr2ogr of gdal-bin to write {name}");
    }
    assert!(Command::new("gzip").args(["--keep", &plain]).status().unwrap().success());
    let means = |name: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_region-report"))
            .args(["zonal", "--raster", &scene.text("heatmap.tif"), "--zones", &scene.text(name)])
            .args(["--zone-id", "code", "--out", &scene.text("means.csv")])
            .output()
            .unwrap();
        assert!(output.status.success(), "{name}: {}", stderr(&output));
        let text = std::fs::read_to_string(scene.path("means.csv")).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        // A FlatGeobuf keeps its zones in an order of its own.
        lines.sort();
        lines
    };
    let wanted = means("zones.geojson");
    assert_eq!(wanted.len(), 17);
    for name in ["zones.gpkg", "zones.fgb", "zones.geojson.gz"] {
        assert_eq!(means(name), wanted, "{name}");
    }
}
