//! The program and servers that nobody here wrote.
#![allow(clippy::unwrap_used)]

mod support;

use raster::Source;
use serde_json::json;
use support::*;

#[test]
fn a_scene_comes_whole_from_a_strangers_server() {
    let Some(programs) = test_servers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (red, out) = (dir.path().join("red.tif"), dir.path().join("raw/T48RVV.tif"));
    write_band(&red, 2000);
    let files = nginx(&programs, dir.path(), "");
    let assets = json!({"red": asset(&format!("{}/red.tif", files.address), &red)});
    let root = catalogue(dir.path(), &[item("one", "2021-03-01", 3.0, assets)]);
    ok(fetch(root.to_str().unwrap(), &out, &["--assets", "B04"]));
    assert_eq!(Source::open(&out).unwrap().read_band::<u16>(1).unwrap(), numbers(1000));
    let log = files.file("access.log");
    assert!(log.lines().any(|line| line.starts_with("GET /red.tif 20")), "{log}");
}
