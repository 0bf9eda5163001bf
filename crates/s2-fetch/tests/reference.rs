//! A real scene of Sichuan, full size, by a STAC API and a file server that nobody here wrote: what `make heatmap-sichuan` does, up to the wire.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use raster::Source;
use serde_json::{Value, json};
use support::*;

const ITEM: &str = "S2B_MSIL2A_20230131T033959_R061_T48RVV_20230131T222344_sparse";

fn reference() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("REFERENCE_DATA").map_or(beside, PathBuf::from).join("sichuan");
    if folder.join(format!("{ITEM}.tif")).is_file() {
        return Some(folder);
    }
    tell("skipped: no reference data; set REFERENCE_DATA");
    None
}

#[test]
fn a_real_full_size_scene_comes_from_an_api_pixel_for_pixel() {
    let (Some(folder), Some(programs)) = (reference(), test_servers()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let files = nginx(&programs, &folder, "");
    let mut feature: Value =
        serde_json::from_slice(&fs::read(folder.join(format!("{ITEM}.json"))).unwrap()).unwrap();
    feature["assets"]["visual"]["href"] = json!(format!("{}/{ITEM}.tif", files.address));
    feature["properties"]["s2:mgrs_tile"] = json!("48RVV");
    let item = dir.path().join("item.json");
    fs::write(&item, feature.to_string()).unwrap();
    let api = rustac(&programs, &[item]);
    let original = folder.join(format!("{ITEM}.tif"));
    let out = dir.path().join("raw/T48RVV.tif");
    ok(fetch(&api.address, &out, &["--assets", "visual", "--item", ITEM]));
    let (got, want) = (Source::open(&out).unwrap(), Source::open(&original).unwrap());
    assert_eq!((got.n_bands(), got.grid()), (3, want.grid()));
    for band in 1..=3 {
        assert!(
            got.read_band::<u8>(band).unwrap() == want.read_band::<u8>(band).unwrap(),
            "band {band} differs"
        );
    }
}
