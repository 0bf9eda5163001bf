//! The program on static catalogues of files.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;

use contract::Scene;
use raster::{Dtype, Source};
use serde_json::json;
use support::*;

const BANDS: [&str; 2] = ["--assets", "B04,B03"];

#[test]
fn the_best_scene_is_stacked_in_the_order_asked_for_and_its_choice_is_recorded() {
    let dir = tempfile::tempdir().unwrap();
    for (name, base) in [("red.tif", 2000), ("green.tif", 3000)] {
        write_band(&dir.path().join(name), base);
    }
    let assets = json!({
        "red": asset("./red.tif", &dir.path().join("red.tif")),
        "green": asset("./green.tif", &dir.path().join("green.tif")),
    });
    let root = catalogue(
        dir.path(),
        &[item("cloudy", "2023-01-01", 40.0, json!({})), item("clear", "2022-01-01", 1.0, assets)],
    );
    let out = dir.path().join("raw/T48RVV.tif");
    ok(fetch(root.to_str().unwrap(), &out, &BANDS));

    let scene = Source::open(&out).unwrap();
    assert_eq!(scene.grid(), &grid());
    assert_eq!(scene.band_names(), ["B04", "B03"]);
    assert_eq!((scene.dtype(), scene.nodata()), (Dtype::U16, Some(0.0)));
    assert_eq!(scene.read_band::<u16>(1).unwrap(), numbers(1000), "baseline 05.11 carries 1000");
    assert_eq!(scene.read_band::<u16>(2).unwrap(), numbers(2000));
    assert_eq!(scene.tag("", "item").as_deref(), Some("clear"));
    assert_eq!(scene.tag("", "offset_subtracted_dn").as_deref(), Some("1000"));
    assert_eq!(scene.tag("", "contract").as_deref(), Some("scene/1"));

    let rows: Vec<Scene> = contract::read(&dir.path().join("raw/T48RVV.scene.parquet")).unwrap();
    let ids: Vec<_> = rows.iter().map(|r| (r.item.as_str(), r.chosen)).collect();
    assert_eq!(ids, [("clear", true), ("cloudy", false)]);
    assert_eq!(rows[0].sha256.clone().unwrap(), contract::sha256_of(&out).unwrap());
    assert_eq!((rows[0].offset, rows[0].source.as_str()), (Some(1000.0), "red.tif green.tif"));
    assert_eq!(fs::read_dir(dir.path().join("raw")).unwrap().count(), 2, "nothing else is left");
}

#[test]
fn the_same_catalogue_gives_the_same_bytes_in_another_folder() {
    let [a, b] = ["a", "b"].map(|_| {
        let dir = tempfile::tempdir().unwrap();
        write_visual(&dir.path().join("v.tif"));
        let assets = json!({"visual": asset("v.tif", &dir.path().join("v.tif"))});
        let root = catalogue(dir.path(), &[item("one", "2022-01-01", 1.0, assets)]);
        let out = dir.path().join("T48RVV.tif");
        ok(fetch(root.to_str().unwrap(), &out, &["--assets", "visual"]));
        let scene = Source::open(&out).unwrap();
        assert_eq!(scene.band_names(), ["red", "green", "blue"]);
        [out.clone(), out.with_extension("scene.parquet")].map(|file| fs::read(file).unwrap())
    });
    assert!(a == b);
}

#[test]
fn the_embedded_scene_of_the_demo_takes_the_same_path() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo/catalog.json");
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("T18SVG.tif");
    let more =
        ["--granule", "T18SVG", "--from", "2015-06-23", "--to", "2016-06-10", "--assets", "B02,B03,B04,B08"];
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_s2-fetch"))
        .args(["fetch", "--catalogue", demo.to_str().unwrap(), "--out", out.to_str().unwrap()])
        .args(more)
        .output()
        .unwrap();
    ok(output);
    let scene = Source::open(&out).unwrap();
    assert_eq!((scene.grid().height, scene.grid().width, scene.n_bands()), (1947, 1933, 4));
    assert_eq!(scene.grid().crs.epsg(), Some(32618));
    assert_eq!(scene.tag("", "offset_subtracted_dn").as_deref(), Some("0"));
}

#[test]
fn a_granule_without_scenes_is_one_clear_line_and_old_outputs_stay() {
    let dir = tempfile::tempdir().unwrap();
    let root = catalogue(dir.path(), &[item("early", "2019-01-01", 1.0, json!({}))]);
    let out = dir.path().join("T48RVV.tif");
    fs::write(&out, "old").unwrap();
    let line = refused_with(3, fetch(root.to_str().unwrap(), &out, &BANDS));
    assert!(
        line.contains("want a scene of granule T48RVV") && line.contains("1 outside the dates"),
        "{line}"
    );
    assert_eq!(fs::read(&out).unwrap(), b"old");
}

#[test]
fn a_file_that_is_short_altered_or_no_raster_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let red = dir.path().join("red.tif");
    write_band(&red, 2000);
    let promised = asset("./red.tif", &red);
    let whole = fs::read(&red).unwrap();
    let mut altered = whole.clone();
    *altered.last_mut().unwrap() ^= 1;
    let out = dir.path().join("T48RVV.tif");
    let cases = [
        (promised.clone(), whole[..whole.len() - 7].to_vec(), "bytes, found"),
        (promised, altered, "want SHA-256"),
        (json!({"href": "./red.tif"}), whole[..whole.len() - 20].to_vec(), "damaged"),
        (json!({"href": "./red.tif"}), b"<VRTDataset/>".to_vec(), "want a GeoTIFF"),
    ];
    for (asset, bytes, said) in cases {
        fs::write(&red, bytes).unwrap();
        let root = catalogue(dir.path(), &[item("one", "2022-01-01", 1.0, json!({"B04": asset}))]);
        let line = refused(fetch(root.to_str().unwrap(), &out, &["--assets", "B04"]));
        assert!(line.contains("red.tif") && line.contains(said), "{said}: {line}");
        assert!(!out.exists());
    }
}

#[test]
fn assets_that_do_not_exist_or_do_not_fit_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    write_band(&dir.path().join("red.tif"), 2000);
    write_visual(&dir.path().join("v.tif"));
    let assets = json!({"B04": {"href": "red.tif"}, "visual": {"href": "v.tif"}});
    let root = catalogue(dir.path(), &[item("one", "2022-01-01", 1.0, assets)]);
    let out = dir.path().join("T48RVV.tif");
    let line = refused(fetch(root.to_str().unwrap(), &out, &["--assets", "B08"]));
    assert!(line.contains("want an asset B08, found B04, visual"), "{line}");
    let line = refused(fetch(root.to_str().unwrap(), &out, &["--assets", "B04,visual"]));
    assert!(line.contains("one resolution and type"), "{line}");
}

#[test]
fn wrong_flags_end_with_two() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x.tif");
    for flags in
        [["--assets", "../x"], ["--max-cloud-share", "30"], ["--from", "2020-13-01"], ["--nonsense", "1"]]
    {
        assert_eq!(fetch("catalog.json", &out, &flags).status.code(), Some(2), "{flags:?}");
    }
}
