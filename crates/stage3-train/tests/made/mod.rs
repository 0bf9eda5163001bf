//! A small made granule, and the binary run on it.

use contract::{Cluster, Made, PogRow, Score, Tile, TileId, TileWriter, TilesMeta};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

pub const N: u32 = 16;
pub const PX: u32 = 32;

pub struct Scene {
    pub dir: tempfile::TempDir,
}

impl Scene {
    /// 16 x 16 tiles of three clusters; the brighter and busier, the more developed. Cluster 3 is not in the order.
    pub fn make() -> Self {
        let scene = Self { dir: tempfile::tempdir().unwrap() };
        let meta = TilesMeta {
            granule: "made".into(),
            crs: "EPSG:32618".into(),
            tile_px: PX,
            pixel_m: 10.0,
            n_rows: N,
            n_cols: N,
            bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
        };
        let mut writer = TileWriter::begin(&scene.path("tiles.parquet"), &meta, &Made::by("test")).unwrap();
        let mut clusters = Vec::new();
        for row in 0..N {
            let tile = |col: u32| {
                let empty = row == 4 && col == 4;
                Tile {
                    tile: TileId { row, col },
                    west_m: f64::from(col) * 320.0,
                    south_m: f64::from(N - 1 - row) * 320.0,
                    east_m: f64::from(col + 1) * 320.0,
                    north_m: f64::from(N - row) * 320.0,
                    lon_deg: 0.0,
                    lat_deg: 0.0,
                    valid_share: 1.0,
                    cloud_share: None,
                    skipped: empty.then(|| "no data".into()),
                    pixels: (!empty).then(|| pixels(row, col)),
                }
            };
            writer.push_row(&(0..N).map(tile).collect::<Vec<_>>()).unwrap();
            clusters.extend((0..N).map(|col| Cluster {
                granule: "made".parse().unwrap(),
                tile: TileId { row, col },
                class: "any".into(),
                cluster: cluster(row, col),
                distance: 0.0,
            }));
        }
        writer.finish().unwrap();
        contract::write(&scene.path("clusters.parquet"), &clusters, &Made::by("test")).unwrap();
        let pog: Vec<PogRow> = (0..3)
            .map(|c| PogRow {
                cluster: c,
                rank: f64::from(3 - c),
                rank_low: 1.0,
                rank_high: 3.0,
                level: 3 - c,
            })
            .collect();
        contract::write(&scene.path("pog.parquet"), &pog, &Made::by("test")).unwrap();
        scene
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn train_args(&self, out: &str, more: &[&str]) -> Vec<String> {
        let file = |name: &str| self.path(name).to_str().unwrap().to_owned();
        let mut args: Vec<String> = [
            "train",
            "--tiles",
            &file("tiles.parquet"),
            "--clusters",
            &file("clusters.parquet"),
            "--pog",
            &file("pog.parquet"),
            "--weights",
            weights().to_str().unwrap(),
            "--input-px",
            "32",
            "--out",
            &file(out),
        ]
        .map(str::to_owned)
        .to_vec();
        args.extend(more.iter().map(|&s| s.to_owned()));
        args
    }
}

pub fn cluster(row: u32, col: u32) -> u32 {
    (row * 2 + col) % 4
}

pub fn pixels(row: u32, col: u32) -> Vec<u8> {
    let (kind, px) = (cluster(row, col) as usize, PX as usize);
    let value = |i: usize| {
        let (r, c) = (i / px % px, i % px);
        30 + kind * 50 + (r / 2 + c / 2) % 2 * kind * 20 + (row + col) as usize
    };
    (0..3 * px * px).map(|i| value(i) as u8).collect()
}

pub fn weights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/weights/efficientnet_lite0_imagenet.safetensors")
}

pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_stage3-train"))
}

pub fn run(args: &[String]) -> Output {
    program().args(args).output().unwrap()
}

pub fn succeeds(args: &[String]) -> String {
    let output = run(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    text
}

/// Kills a training as soon as a checkpoint is there.
pub fn kill_after(args: &[String], checkpoint: &Path) {
    let mut child = program().args(args).spawn().unwrap();
    for _ in 0..6000 {
        if checkpoint.exists() || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(checkpoint.exists(), "no checkpoint was written");
}

pub fn score(scene: &Scene, model: &str, out: &str) -> Vec<Score> {
    succeeds(&score_args(scene, model, out, &[]));
    contract::read(&scene.path(out)).unwrap()
}

pub fn score_args(scene: &Scene, model: &str, out: &str, more: &[&str]) -> Vec<String> {
    let file = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let (model, out, tiles) = (file(model), file(out), file("tiles.parquet"));
    let weights = weights().to_str().unwrap().to_owned();
    let args = ["score", "--tiles", &tiles, "--model", &model, "--weights", &weights, "--out", &out];
    args.iter().chain(more).map(|&s| s.to_owned()).collect()
}
