//! A real scene of Sichuan, full size, through a STAC API on loopback: what `make heatmap-sichuan` does, up to the wire.
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
    folder.join(format!("{ITEM}.tif")).is_file().then_some(folder)
}

#[test]
fn a_real_full_size_scene_comes_from_an_api_pixel_for_pixel() {
    let Some(folder) = reference() else {
        println!("skipped: no reference data; set REFERENCE_DATA");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let mut feature: Value =
        serde_json::from_slice(&fs::read(folder.join(format!("{ITEM}.json"))).unwrap()).unwrap();
    feature["assets"]["visual"]["href"] = json!("/files/scene.tif");
    feature["properties"]["s2:mgrs_tile"] = json!("48RVV");
    let original = folder.join(format!("{ITEM}.tif"));
    let bytes = fs::read(&original).unwrap();
    let server = Server::start(move |request, _| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api") => Reply::ok(
            json!({"type": "Catalog", "links": [{"rel": "search", "href": "/api/search", "method": "POST"}]})
                .to_string(),
        ),
        ("POST", "/api/search") => {
            Reply::ok(json!({"type": "FeatureCollection", "features": [feature.clone()]}).to_string())
        }
        ("GET", "/files/scene.tif") => Reply::ok(bytes.clone()),
        _ => Reply::status(404, &[]),
    });
    let out = dir.path().join("raw/T48RVV.tif");
    let flags = ["--assets", "visual", "--item", ITEM];
    ok(fetch(&format!("{}/api", server.address), &out, &flags));
    let (got, want) = (Source::open(&out).unwrap(), Source::open(&original).unwrap());
    assert_eq!((got.n_bands(), got.grid()), (3, want.grid()));
    for band in 1..=3 {
        assert!(
            got.read_band::<u8>(band).unwrap() == want.read_band::<u8>(band).unwrap(),
            "band {band} differs"
        );
    }
    assert_eq!(server.n_requests("/files/scene.tif"), 1);
}
