//! The program on one scene as every provider's catalogue describes it.
#![allow(clippy::unwrap_used)]

#[path = "support/dialects.rs"]
mod said;
mod support;

use std::path::{Path, PathBuf};

use contract::Scene;
use raster::{BandOut, CogOptions, Grid, Source, write_cog};
use serde_json::{Value, json};
use support::*;

const BASES: [(&str, u16); 3] = [("B04", 1500), ("B03", 2500), ("B02", 3500)];

fn scene_files(folder: &Path) {
    for (name, base) in BASES {
        write_band(&folder.join(format!("{name}.tif")), base);
    }
    write_visual(&folder.join("TCI.tif"));
    write_codes(&folder.join("SCL.tif"), &[4u8; 300]);
}

/// A classification of 20 m over the small scenes.
fn write_codes<T: raster::Pixel>(path: &Path, codes: &[T]) {
    let mut coarse = Grid { height: HEIGHT / 2, width: WIDTH / 2, ..grid() };
    (coarse.transform.pixel_width, coarse.transform.pixel_height) = (20.0, 20.0);
    write_cog(path, &coarse, &[BandOut { name: "", unit: "code", pixels: codes }], &CogOptions::default())
        .unwrap();
}

fn root_of(folder: &Path, item: &Value) -> PathBuf {
    scene_files(folder);
    catalogue(folder, std::slice::from_ref(item))
}

#[test]
fn any_spelling_in_any_dialect_gives_the_same_pixels_and_the_same_rule() {
    let mut n_fetched = 0;
    for dialect in said::dialects() {
        let dir = tempfile::tempdir().unwrap();
        let root = root_of(dir.path(), &dialect.item);
        let mut rules = Vec::new();
        for names in dialect.spellings {
            let out = dir.path().join("out/T48RVV.tif");
            ok(fetch(root.to_str().unwrap(), &out, &["--assets", &names.join(",")]));
            let scene = Source::open(&out).unwrap();
            for (band, (_, base)) in (1..).zip(BASES) {
                assert_eq!(
                    scene.read_band::<u16>(band).unwrap(),
                    numbers(base - dialect.offset_dn),
                    "{}: {names:?}",
                    dialect.name
                );
            }
            let known = [["red", "green", "blue"], ["B04", "B03", "B02"]]
                .iter()
                .any(|set| scene.band_names() == *set);
            assert!(known, "{}: {:?} are bands that no later stage knows", dialect.name, scene.band_names());
            rules.push((
                scene.tag("", "offset_rule").unwrap(),
                scene.tag("", "offset_subtracted_dn").unwrap(),
            ));
            n_fetched += 1;
        }
        assert!(rules.windows(2).all(|pair| pair[0] == pair[1]), "{}: {rules:?}", dialect.name);
    }
    assert_eq!(n_fetched, 25);
}

#[test]
fn the_picture_and_the_classification_are_found_by_any_name() {
    for dialect in said::dialects() {
        let dir = tempfile::tempdir().unwrap();
        let root = root_of(dir.path(), &dialect.item);
        for name in dialect.picture {
            let (out, scl) = (dir.path().join("out/T48RVV.tif"), dir.path().join("out/scl.tif"));
            ok(fetch(root.to_str().unwrap(), &out, &["--assets", name, "--scl-out", scl.to_str().unwrap()]));
            let scene = Source::open(&out).unwrap();
            assert_eq!(scene.band_names(), ["red", "green", "blue"], "{}: {name}", dialect.name);
            assert_eq!(Source::open(&scl).unwrap().read_band::<u8>(1).unwrap(), [4; 300]);
        }
        for name in dialect.classes {
            let out = dir.path().join("out/codes.tif");
            ok(fetch(root.to_str().unwrap(), &out, &["--assets", name]));
            assert_eq!(
                Source::open(&out).unwrap().band_tag(1, "", "unit").unwrap(),
                "code",
                "{}: {name}",
                dialect.name
            );
        }
    }
}

/// The scene of Planetary Computer's item with its files described otherwise.
fn changed(folder: &Path, change: impl Fn(&mut Value)) -> String {
    let mut item = said::dialects().remove(0).item;
    change(&mut item);
    root_of(folder, &item).to_str().unwrap().to_owned()
}

#[test]
fn an_offset_that_nothing_says_is_refused_and_the_flag_it_names_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = changed(dir.path(), |item| {
        item["properties"].as_object_mut().unwrap().remove("s2:processing_baseline");
    });
    let out = dir.path().join("out/T48RVV.tif");
    let line = refused(fetch(&root, &out, &["--assets", "red"]));
    assert!(line.contains("say it with --offset -0.1") && !out.exists(), "{line}");
    for (offset, taken_off) in [("-0.1", 1000), ("0", 0)] {
        ok(fetch(&root, &out, &["--assets", "red", "--offset", offset]));
        let scene = Source::open(&out).unwrap();
        assert_eq!(scene.read_band::<u16>(1).unwrap(), numbers(1500 - taken_off));
        assert_eq!(scene.tag("", "offset_rule").unwrap(), format!("--offset {offset}"));
        let rows: Vec<Scene> = contract::read(&out.with_extension("scene.parquet")).unwrap();
        assert_eq!(rows[0].offset, Some(f64::from(taken_off)));
    }
}

#[test]
fn sixteen_bits_that_nothing_names_are_never_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let root = changed(dir.path(), |item| {
        item["assets"] = json!({"data": {"href": "./one.tif"}, "visual": {"href": "./wide.tif"}})
    });
    write_band(&dir.path().join("one.tif"), 1500);
    write_band(&dir.path().join("wide.tif"), 1500);
    let out = dir.path().join("out/T48RVV.tif");
    for name in ["data", "visual"] {
        let line = refused(fetch(&root, &out, &["--assets", name]));
        assert!(line.contains("16-bit") && line.contains("--offset"), "{line}");
    }
    ok(fetch(&root, &out, &["--assets", "data", "--offset", "-0.1"]));
    let scene = Source::open(&out).unwrap();
    assert_eq!(scene.read_band::<u16>(1).unwrap(), numbers(500));
    assert_eq!(scene.band_tag(1, "", "unit").unwrap(), "1e-4 reflectance");
}

#[test]
fn a_scale_that_is_not_sentinel_twos_is_refused_with_the_way_in() {
    let dir = tempfile::tempdir().unwrap();
    let root = changed(dir.path(), |item| {
        item["assets"]["B04"]["raster:bands"] = json!([{"scale": 2.75e-5, "offset": -0.2}]);
    });
    let line = refused(fetch(&root, &dir.path().join("x.tif"), &["--assets", "red"]));
    assert!(line.contains("s2-fetch import --scale 0.0000275 --offset -0.2"), "{line}");
}

#[test]
fn a_classification_of_sixteen_bits_is_read_and_written_as_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let root = changed(dir.path(), |_| {});
    let (out, scl) = (dir.path().join("out/T48RVV.tif"), dir.path().join("out/scl.tif"));
    let more = ["--assets", "B04", "--scl-out", scl.to_str().unwrap()];
    let mut codes: Vec<u16> = (0..300).map(|i| i % 12).collect();
    write_codes(&dir.path().join("SCL.tif"), &codes);
    ok(fetch(&root, &out, &more));
    let written = Source::open(&scl).unwrap();
    assert_eq!(written.dtype(), raster::Dtype::U8);
    assert_eq!(written.read_band::<u8>(1).unwrap(), codes.iter().map(|code| *code as u8).collect::<Vec<_>>());
    let composite = ["--assets", "B04", "--composite", "median", "--scenes", "1"];
    ok(fetch(&root, &out, &composite));
    codes[7] = 400;
    write_codes(&dir.path().join("SCL.tif"), &codes);
    let line = refused(fetch(&root, &out, &more));
    assert!(line.contains("codes 0 to 11, found 400"), "{line}");
}

#[test]
fn what_later_stages_cannot_use_is_said_at_once_with_the_cure() {
    let dir = tempfile::tempdir().unwrap();
    let root = changed(dir.path(), |_| {});
    let output = fetch(&root, &dir.path().join("T48RVV.tif"), &["--assets", "B04"]);
    let text = stderr(&output);
    ok(output);
    assert!(text.contains("--bands B04,B04,B04"), "{text}");
    assert!(text.contains("give 0 tiles of 343"), "{text}");
    let output = fetch(&root, &dir.path().join("T48RVV.tif"), &["--assets", "B04,red"]);
    assert!(refused(output).contains("each band once"));
}

#[test]
fn a_scene_whose_place_nothing_states_is_counted_and_can_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let root = changed(dir.path(), |item| {
        item["properties"].as_object_mut().unwrap().remove("s2:mgrs_tile");
        item["id"] = json!("my-own-scene");
    });
    let out = dir.path().join("T48RVV.tif");
    let line = refused_with(3, fetch(&root, &out, &["--assets", "B04"]));
    assert!(line.contains("1 of no stated granule, to be named with --item"), "{line}");
    ok(fetch(&root, &out, &["--assets", "B04", "--item", "my-own-scene"]));
}

/// A picture whose mask, or band of opacity, hides the first row, and a red band that says so by 65535.
const HIDDEN: &str = r#"
import sys, numpy as np, rasterio
from rasterio.transform import from_origin
folder, how = sys.argv[1:]
common = dict(driver='GTiff', height=40, width=30, crs='EPSG:32648', transform=from_origin(300000, 3500000, 10, 10))
picture = np.full((3, 40, 30), 200, 'uint8')
seen = np.full((40, 30), 255, 'uint8')
seen[0] = 0
if how == 'alpha':
    with rasterio.open(f'{folder}/TCI.tif', 'w', count=4, dtype='uint8', photometric='RGB', alpha='YES', **common) as f:
        f.write(np.concatenate([picture, seen[None]]))
else:
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(f'{folder}/TCI.tif', 'w', count=3, dtype='uint8', **common) as f:
        f.write(picture)
        f.write_mask(seen)
red = np.full((40, 30), 1500, 'uint16')
red[0] = 65535
with rasterio.open(f'{folder}/B04.tif', 'w', count=1, dtype='uint16', nodata=65535, **common) as f:
    f.write(red, 1)
"#;

#[test]
fn what_a_files_mask_hides_is_no_data_in_the_scene() {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON is not set");
        return;
    };
    for how in ["alpha", "mask"] {
        let dir = tempfile::tempdir().unwrap();
        let root = changed(dir.path(), |_| {});
        let made = std::process::Command::new(&python)
            .args(["-c", HIDDEN])
            .arg(dir.path())
            .arg(how)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", stderr(&made));
        let out = dir.path().join("out/T48RVV.tif");
        ok(fetch(&root, &out, &["--assets", "visual"]));
        let scene = Source::open(&out).unwrap();
        assert_eq!(scene.band_names(), ["red", "green", "blue"], "{how}");
        for band in 1..=3 {
            let pixels = scene.read_band::<u8>(band).unwrap();
            assert!(
                pixels[..WIDTH].iter().all(|p| *p == 0) && pixels[WIDTH..].iter().all(|p| *p == 200),
                "{how}"
            );
        }
        ok(fetch(&root, &out, &["--assets", "B04"]));
        let pixels = Source::open(&out).unwrap().read_band::<u16>(1).unwrap();
        assert!(
            pixels[..WIDTH].iter().all(|p| *p == 0) && pixels[WIDTH..].iter().all(|p| *p == 500),
            "{how}"
        );
    }
}
