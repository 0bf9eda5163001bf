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
fn how_official_rows_met_the_zones_is_said_in_one_line_and_counted_in_the_metrics() {
    let scene = Scene::new();
    let line = |zone: usize| format!("{}000000;\"2.{zone:03},5\";town 5\" pipe\n", 100 + zone);
    let rows: String = (0..14).map(line).collect();
    scene.write(
        "official.csv",
        &format!("code;gdp;note\n{rows}999000000;1;x\n100000001;2;y\n114000000;NA;z\n"),
    );
    let official = scene.text("official.csv");
    let flags = [
        "--official",
        &official,
        "--official-key",
        "code",
        "--official-value",
        "gdp",
        "--out-csv",
        &scene.text("r.csv"),
    ];
    let output = scene.command(&flags).env("RUST_LOG", "info").output().unwrap();
    let said = stderr(&output);
    assert!(output.status.success(), "{said}");
    let wanted = "15 of 16 zones found in column code (by the longer codes without the zeros at their end), 1 of them without a number; 1 zones without a row, such as 115; 2 rows without a zone, such as \"999000000\" on line 16";
    assert!(said.contains(wanted), "{said}");
    let rows: Vec<Region> = contract::read(&scene.path("regions.parquet")).unwrap();
    assert_eq!((rows[3].official, rows[14].official, rows[15].official), (Some(2003.5), None, None));
    let metrics: Vec<Metric> = contract::read(&scene.path("metrics.parquet")).unwrap();
    let counts: Vec<f64> =
        metrics.iter().filter(|m| m.name.starts_with("official_")).filter_map(|m| m.value).collect();
    assert_eq!(counts, [14.0, 1.0, 1.0, 2.0]);
}

#[test]
fn names_from_outside_stay_text_in_the_note_the_tables_and_the_page() {
    let scene = Scene::new();
    let mut zones: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(scene.path("zones.geojson")).unwrap()).unwrap();
    for (zone, name) in ["=1+1", "@SUM(1)", "a | b", "<img src=x>", "</script><b>"].into_iter().enumerate() {
        zones["features"][zone]["properties"]["name"] = name.into();
    }
    scene.write("odd.geojson", &zones.to_string());
    let (note, csv) = (scene.text("r.md"), scene.text("r.csv"));
    let output = scene.report(&["--zones", &scene.text("odd.geojson"), "--out-md", &note, "--out-csv", &csv]);
    assert!(output.status.success(), "{}", stderr(&output));
    let note = std::fs::read_to_string(note).unwrap();
    assert!(note.contains("| a \\| b |") && !note.contains("<"), "{note}");
    let page = std::fs::read_to_string(scene.path("page/data.js")).unwrap();
    for text in [
        std::fs::read_to_string(csv).unwrap(),
        std::fs::read_to_string(scene.path("page/regions.csv")).unwrap(),
    ] {
        assert!(text.contains(",'=1+1,") && text.contains(",'@SUM(1),"), "{text}");
        let again = serde_json::Value::from(text).to_string();
        assert!(page.contains(&again), "the page offers the same table");
    }
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
    scene.write("text.csv", "code,gdp\n100,many\n");
    scene.write("alien.csv", "code,gdp\nx1,5\n");
    scene.write("years.csv", "code,year,gdp\n100,2019,5\n100,2020,6\n");
    let (points, far, text) =
        (scene.text("points.geojson"), scene.text("far.geojson"), scene.text("text.csv"));
    let (alien, years) = (scene.text("alien.csv"), scene.text("years.csv"));
    let zones = scene.text("zones.geojson");
    let cases: [(&[&str], &str); 7] = [
        (&["--zones", &points], "points.geojson: want polygons"),
        (&["--zones", &far], "far.geojson: want zones on the map"),
        (&["--zone-id", "adcode"], "want attribute adcode of zone 1, found code, name, part"),
        (&["--heatmap", &zones], "want a GeoTIFF"),
        (
            &["--official", &text, "--official-key", "code", "--official-value", "gdp"],
            "text.csv: want a number in column gdp of line 2, found \"many\"",
        ),
        (
            &["--official", &alien, "--official-key", "code", "--official-value", "gdp"],
            "alien.csv: 0 of 16 zones found in column code (zones such as 100, codes such as x1)",
        ),
        (
            &["--official", &years, "--official-key", "code", "--official-value", "gdp"],
            "take one year with --official-year year=YEAR (found 2019, 2020)",
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
