//! Small scenes, catalogues over them, and servers on loopback: our own that can misbehave, and those that nobody here wrote.
#![allow(dead_code, unused_imports)]

mod chance;
mod peers;
mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use raster::{Affine, BandOut, CogOptions, Crs, Grid, write_cog};
use serde_json::{Value, json};

pub use chance::Chance;
pub use peers::{Peer, azurite, moto, moto_with_tls, nginx, rustac, tell, test_servers};
pub use server::{Reply, Request, Server};

pub const HEIGHT: usize = 40;
pub const WIDTH: usize = 30;

pub fn grid() -> Grid {
    Grid {
        height: HEIGHT,
        width: WIDTH,
        transform: Affine { west: 300_000.0, north: 3_500_000.0, pixel_width: 10.0, pixel_height: 10.0 },
        crs: Crs::from_epsg(32648).unwrap(),
    }
}

/// A band whose numbers tell it from another: `base + row * WIDTH + col`.
pub fn numbers(base: u16) -> Vec<u16> {
    (0..HEIGHT * WIDTH).map(|i| base + i as u16).collect()
}

pub fn write_band(path: &Path, base: u16) {
    let pixels = numbers(base);
    let band = BandOut { name: "", unit: "dn", pixels: &pixels };
    write_cog(path, &grid(), &[band], &CogOptions::default()).unwrap();
}

pub fn write_visual(path: &Path) {
    let pixels: Vec<u8> = numbers(1).iter().map(|v| *v as u8).collect();
    let bands = ["", "", ""].map(|name| BandOut { name, unit: "dn", pixels: &pixels });
    write_cog(path, &grid(), &bands, &CogOptions::default()).unwrap();
}

/// A square band of noise, so that the file is as long as its pixels; numbers from 1001.
pub fn write_noise(path: &Path, side_px: usize, seed: u64) -> Vec<u16> {
    let mut chance = Chance(seed);
    let pixels: Vec<u16> = (0..side_px * side_px).map(|_| 1001 + chance.below(20_000) as u16).collect();
    let band = BandOut { name: "", unit: "dn", pixels: &pixels };
    write_cog(path, &Grid { height: side_px, width: side_px, ..grid() }, &[band], &CogOptions::default())
        .unwrap();
    pixels
}

/// An asset with its length and hash.
pub fn asset(href: &str, file: &Path) -> Value {
    json!({
        "href": href,
        "file:size": std::fs::metadata(file).unwrap().len(),
        "file:checksum": format!("1220{}", contract::sha256_of(file).unwrap()),
    })
}

pub fn item(id: &str, day: &str, cloud_percent: f64, assets: Value) -> Value {
    json!({
        "type": "Feature", "stac_version": "1.0.0", "id": id, "collection": "sentinel-2-l2a", "links": [],
        "properties": {
            "datetime": format!("{day}T03:39:59Z"), "platform": format!("sentinel-2 {id}"), "grid:code": "MGRS-48RVV",
            "eo:cloud_cover": cloud_percent, "s2:nodata_pixel_percentage": 0.0, "s2:processing_baseline": "05.11",
        },
        "assets": assets,
    })
}

pub fn catalogue(folder: &Path, items: &[Value]) -> PathBuf {
    let mut links = vec![json!({"rel": "root", "href": "./catalog.json"})];
    for (n, item) in items.iter().enumerate() {
        std::fs::write(folder.join(format!("item{n}.json")), item.to_string()).unwrap();
        links.push(json!({"rel": "item", "href": format!("./item{n}.json")}));
    }
    let root = folder.join("catalog.json");
    let text = json!({"type": "Catalog", "stac_version": "1.0.0", "id": "test", "description": "test", "links": links});
    std::fs::write(&root, text.to_string()).unwrap();
    root
}

/// A catalogue in a folder of its own over one file as band B04.
pub fn catalogue_of(dir: &Path, name: &str, href: &str, file: &Path) -> String {
    let folder = dir.join(name);
    std::fs::create_dir(&folder).unwrap();
    let assets = json!({"B04": asset(href, file)});
    catalogue(&folder, &[item(name, "2022-01-01", 1.0, assets)]).to_str().unwrap().to_owned()
}

pub fn fetch(catalogue: &str, out: &Path, more: &[&str]) -> Output {
    fetching(catalogue, out, more).output().unwrap()
}

/// The command of [`fetch`], to be given an environment or killed.
pub fn fetching(catalogue: &str, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2-fetch"));
    command.args([
        "fetch",
        "--catalogue",
        catalogue,
        "--granule",
        "T48RVV",
        "--from",
        "2020-01-01",
        "--to",
        "2024-12-31",
    ]);
    command.arg("--out").arg(out).args(more);
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn ok(output: Output) {
    assert!(output.status.success(), "{}", stderr(&output));
}

/// The failure's one line; the exit code must be 1.
pub fn refused(output: Output) -> String {
    refused_with(1, output)
}

/// The failure's one line; the exit code must be this one: 3 where no scene fits, 4 where the network gave up.
pub fn refused_with(code: i32, output: Output) -> String {
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let errors: Vec<_> = text.lines().filter(|l| l.contains("s2-fetch: error:")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    errors[0].to_owned()
}
