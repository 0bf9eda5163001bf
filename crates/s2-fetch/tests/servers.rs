//! The program between a STAC API and a file server that nobody here wrote.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use raster::Source;
use serde_json::{Value, json};
use support::*;

/// More items than two pages hold.
const N_ITEMS: usize = 250;

/// Writes items, each a file, and gives their paths.
fn item_files(folder: &Path, items: &[Value]) -> Vec<PathBuf> {
    let write = |(n, item): (usize, &Value)| {
        let path = folder.join(format!("item{n}.json"));
        let mut item = item.clone();
        item["bbox"] = json!([103.0, 31.0, 104.0, 32.0]);
        item["geometry"] = json!({"type": "Polygon", "coordinates":
            [[[103.0, 31.0], [104.0, 31.0], [104.0, 32.0], [103.0, 32.0], [103.0, 31.0]]]});
        fs::write(&path, item.to_string()).unwrap();
        path
    };
    items.iter().enumerate().map(write).collect()
}

#[test]
fn the_best_of_a_strangers_api_comes_whole_from_a_strangers_server() {
    let Some(programs) = test_servers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (red, out) = (dir.path().join("red.tif"), dir.path().join("raw/T48RVV.tif"));
    write_band(&red, 2000);
    let files = nginx(&programs, dir.path(), "");
    let asset = asset(&format!("{}/red.tif", files.address), &red);
    // Every number of clouds once, in no order: 7 and the number of items have no common divisor.
    let cloud = |n: usize| (n * 7 + 3) % N_ITEMS;
    let day = |n: usize| format!("2021-{:02}-{:02}", n / 28 + 1, n % 28 + 1);
    let one = |n: usize| {
        let percent = 100.0 * cloud(n) as f64 / N_ITEMS as f64;
        item(&format!("scene{n}"), &day(n), percent, json!({"red": asset}))
    };
    let items: Vec<_> = (0..N_ITEMS).map(one).collect();
    let api = rustac(&programs, &item_files(dir.path(), &items));
    ok(fetch(&api.address, &out, &["--assets", "B04"]));
    assert_eq!(Source::open(&out).unwrap().read_band::<u16>(1).unwrap(), numbers(1000));
    let rows: Vec<contract::Scene> = contract::read(&out.with_extension("scene.parquet")).unwrap();
    assert_eq!(rows.len(), N_ITEMS, "every page was read");
    let clearest = (0..N_ITEMS).find(|n| cloud(*n) == 0).unwrap();
    assert_eq!(rows[0].item, format!("scene{clearest}"));
    assert!(rows.windows(2).all(|pair| pair[0].cloud_share <= pair[1].cloud_share));
    assert!(
        files.file("access.log").lines().all(|line| line.contains("/red.tif 20")),
        "{}",
        files.file("access.log")
    );
}

#[test]
fn a_server_whose_certificate_nobody_vouches_for_is_refused() {
    let Some(programs) = test_servers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let server = moto_with_tls(&programs);
    let catalogue = format!("https://127.0.0.1:{}/catalog.json", server.port);
    let output = fetch(&catalogue, &dir.path().join("T48RVV.tif"), &["--assets", "B04"]);
    let text = stderr(&output);
    assert!(!output.status.success() && text.contains("invalid peer certificate"), "{text}");
}
