//! The program on tiles that hardly differ: how many clusters it says, and what it says of the cause.
#![allow(clippy::unwrap_used)]

use contract::{Cluster, Label, Made, Metric, Tile, TileId, TileWriter, TilesMeta};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

const PX: usize = 32;

/// One of many pictures, the same for the same number.
fn picture(look: usize) -> Vec<u8> {
    let value = |i: usize| {
        let (band, row, col) = (i / (PX * PX), i / PX % PX, i % PX);
        let stripes = (row * (look % 5) + col * (look % 3 + 1)) / (2 + look % 7) % 2;
        20 + look * 29 % 140 + stripes * 60 + band * (look % 4) * 9
    };
    (0..3 * PX * PX).map(|i| value(i) as u8).collect()
}

/// A row of tiles and their labels.
fn write(dir: &Path, looks: &[usize], class: impl Fn(usize) -> &'static str) -> [String; 2] {
    let [tiles, labels] = ["tiles.parquet", "labels.parquet"].map(|name| dir.join(name));
    let meta = TilesMeta {
        granule: "made".into(),
        crs: "EPSG:32618".into(),
        tile_px: PX as u32,
        pixel_m: 10.0,
        n_rows: 1,
        n_cols: looks.len() as u32,
        bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
    };
    let tile = |(col, &look): (usize, &usize)| Tile {
        tile: TileId { row: 0, col: col as u32 },
        west_m: 320.0 * col as f64,
        south_m: 0.0,
        east_m: 320.0 * (col + 1) as f64,
        north_m: 320.0,
        lon_deg: 0.0,
        lat_deg: 0.0,
        valid_share: 1.0,
        cloud_share: None,
        skipped: None,
        pixels: Some(picture(look)),
    };
    let mut writer = TileWriter::begin(&tiles, &meta, &Made::by("test")).unwrap();
    writer.push_row(&looks.iter().enumerate().map(tile).collect::<Vec<_>>()).unwrap();
    writer.finish().unwrap();
    let label = |(col, is, of): (usize, &str, &str)| Label {
        granule: "made".parse().unwrap(),
        tile: TileId { row: 0, col: col as u32 },
        class: of.into(),
        probability: Some(if is == of { 0.9 } else { 0.1 }),
        sd: None,
        n_answers: 1,
        n_missing: 0,
        judge: "test".into(),
        prompt_hash: String::new(),
        missing: None,
    };
    let rows = (0..looks.len()).flat_map(|col| ["sand", "sea"].map(|of| (col, class(col), of)));
    contract::write(&labels, &rows.map(label).collect::<Vec<_>>(), &Made::by("test")).unwrap();
    [tiles, labels].map(|path| path.to_str().unwrap().to_owned())
}

/// Exit code and log.
fn cluster(dir: &Path, files: &[String; 2], more: &[&str]) -> (i32, String) {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data/weights/efficientnet_lite0_imagenet.safetensors");
    let output = Command::new(env!("CARGO_BIN_EXE_stage1-cluster"))
        .current_dir(dir)
        .args(["tiles", "--tiles", &files[0], "--weights", weights.to_str().unwrap(), "--input-px", "32"])
        .args(["--resamples", "5", "--metrics-out", "k.parquet", "--out", "c.parquet"])
        .args(more)
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn clusters_of_classes(dir: &Path) -> BTreeMap<String, BTreeSet<u32>> {
    let mut all: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for row in contract::read::<Cluster>(&dir.join("c.parquet")).unwrap() {
        all.entry(row.class).or_default().insert(row.cluster);
    }
    all
}

fn metric(dir: &Path, name: &str, of: &str) -> Metric {
    let rows = contract::read::<Metric>(&PathBuf::from(dir).join("k.parquet")).unwrap();
    rows.into_iter().find(|m| m.name == name && m.of == of).unwrap_or_else(|| panic!("no {name} of {of}"))
}

#[test]
fn copies_of_a_few_pictures_are_so_many_clusters_in_the_log_and_in_every_table() {
    let dir = tempfile::tempdir().unwrap();
    // Two pictures of sand, three of sea, twelve copies of each.
    let looks: Vec<usize> = (0..60).map(|i| [1, 4, 7, 10, 15][i % 5]).collect();
    let files = write(dir.path(), &looks, |i| if i % 5 < 2 { "sand" } else { "sea" });
    let labels = ["--labels", &files[1]];
    for more in [&["--k", "sand=9", "--k", "sea=1000000"][..], &["--k-min", "3"]] {
        let (code, log) = cluster(dir.path(), &files, &[&labels[..], more].concat());
        assert_eq!(code, 0, "{log}");
        assert!(
            log.contains("sand: 2 clusters of 24 tiles") && log.contains("sea: 3 clusters of 36"),
            "{log}"
        );
        let found = clusters_of_classes(dir.path());
        let want = [("sand", BTreeSet::from([0, 1])), ("sea", BTreeSet::from([2, 3, 4]))];
        assert_eq!(found, want.map(|(class, of)| (class.to_owned(), of)).into_iter().collect());
        assert!(log.contains("24 tiles show 2 different pictures"), "{log}");
        let chosen = metric(dir.path(), "n_clusters", "sand");
        assert_eq!(chosen.value, Some(2.0));
        assert!(chosen.note.unwrap().contains("show 2 different pictures"));
        assert!(metric(dir.path(), "silhouette", "sea k=3").value.unwrap() > 0.99);
    }
    let (code, text) = cluster(dir.path(), &files, &["--k", "all=3", "--k", "all=4"]);
    assert!(code == 1 && text.contains("--k all=4: want one number a class"), "{text}");
}

#[test]
fn labels_of_one_class_and_too_few_tiles_for_clusters_are_said_with_the_likely_cause() {
    let dir = tempfile::tempdir().unwrap();
    let looks: Vec<usize> = (0..40).map(|i| [1, 4, 7, 10, 15][i % 5]).collect();
    let files = write(dir.path(), &looks, |_| "sea");
    let (code, log) = cluster(dir.path(), &files, &["--labels", &files[1]]);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("all tiles are of one class by their labels, sea; look at some tiles"), "{log}");
    let (code, log) = cluster(dir.path(), &files, &[]);
    assert!(code == 0 && !log.contains("of one class by their labels"), "none were given: {log}");

    let files = write(dir.path(), &looks, |i| if i < 7 { "sand" } else { "sea" });
    let (code, log) = cluster(dir.path(), &files, &["--labels", &files[1]]);
    assert!(code == 0 && log.contains("sand: 7 tiles are too few for more than one cluster"), "{log}");
}

#[test]
fn one_cluster_of_all_tiles_is_refused_in_one_line_and_the_old_table_stays_unless_one_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let looks: Vec<usize> = (0..7).collect();
    let files = write(dir.path(), &looks, |_| "sea");
    std::fs::write(dir.path().join("c.parquet"), "old").unwrap();
    let (code, log) = cluster(dir.path(), &files, &[]);
    assert_eq!(code, 1, "{log}");
    assert!(
        log.contains("want at least 2 clusters, or there is nothing to order, got 1 of all 7 tiles"),
        "{log}"
    );
    assert_eq!(log.lines().filter(|line| line.contains("error:")).count(), 1, "{log}");
    assert_eq!(std::fs::read(dir.path().join("c.parquet")).unwrap(), b"old");
    let (code, log) = cluster(dir.path(), &files, &["--k", "all=1"]);
    assert_eq!(code, 0, "{log}");
    assert_eq!(clusters_of_classes(dir.path()), BTreeMap::from([("all".to_owned(), BTreeSet::from([0]))]));
    let (code, log) = cluster(dir.path(), &write(dir.path(), &[3; 30], |_| "sea"), &[]);
    assert!(code == 1 && log.contains("want images that differ"), "{log}");
}
