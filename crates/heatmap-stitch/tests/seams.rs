//! The laws of bringing scenes together, on made granules, and the published Sichuan scores (METHODS T4; needs `REFERENCE_DATA`, skips without).
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;

use contract::Metric;
use heatmap_stitch::layer::{Layer, Patch};
use heatmap_stitch::offsets::Offsets;
use heatmap_stitch::overlap::{Granule, pairs};
use heatmap_stitch::seams::{Split, difference, held_out};
use raster::Crs;

const SIDE_M: f64 = 1000.0;
const TILES: usize = 16;

/// A score of the ground at a place: hills a few tiles wide, from 0.2 to 0.8.
fn ground(east_m: f64, north_m: f64) -> f64 {
    0.5 + 0.3 * (east_m / 3700.0).sin() * (north_m / 2900.0).cos()
}

/// A granule whose scene shifts the scores of the ground by a number of logits.
fn granule(name: &str, west_m: f64, north_m: f64, shift_logit: f64) -> Granule {
    let patch = |i: usize| {
        let (west_m, north_m) = (west_m + (i % TILES) as f64 * SIDE_M, north_m - (i / TILES) as f64 * SIDE_M);
        let share = ground(west_m + SIDE_M / 2.0, north_m - SIDE_M / 2.0);
        let moved = 1.0 / (1.0 + (1.0 / share - 1.0) * (-shift_logit).exp());
        Patch {
            west_m,
            south_m: north_m - SIDE_M,
            east_m: west_m + SIDE_M,
            north_m,
            score_share: Some(moved),
            sd_share: Some(0.05),
            outside: Some(false),
        }
    };
    let patches: Vec<Patch> = (0..TILES * TILES).map(patch).collect();
    let layer = Layer::of(&patches);
    Granule { name: name.to_owned(), crs: Crs::from_epsg(32_648).unwrap(), patches, layer }
}

#[test]
fn planted_shifts_are_found_where_ground_is_shared() {
    // The penalty on the size of a correction keeps it a little short of the truth.
    const TOLERANCE_LOGIT: f64 = 0.12;
    let shifts = [0.6, -0.3, 0.1, -0.4];
    let granules: Vec<Granule> = shifts
        .iter()
        .enumerate()
        .map(|(i, shift)| {
            granule(&i.to_string(), (i % 2) as f64 * 12_000.0, 40_000.0 - (i / 2) as f64 * 12_000.0, *shift)
        })
        .collect();
    let pairs = pairs(&granules).unwrap();
    assert!(pairs.iter().all(|pair| (pair.area_tiles - 1.0).abs() < 1e-9), "the tiles coincide");
    assert_eq!(pairs.len(), 4 * 4 * TILES + 2 * 16);
    let offsets = Offsets::solve(&granules, &pairs);
    for pair in &pairs {
        let found =
            |i: usize| offsets.at(&granules, pair.granules[i], pair.tiles[i]) + shifts[pair.granules[i]];
        let left = (found(0) - found(1)).abs();
        assert!(left < TOLERANCE_LOGIT, "granules {:?} still differ by {left} logits", pair.granules);
    }
    let (before, after) = (
        difference(&granules, &pairs, &Offsets::none(&granules)).unwrap(),
        difference(&granules, &pairs, &offsets).unwrap(),
    );
    assert!(after < before / 10.0, "{before} to {after}");
    let [near, far] = [Split::Blocks, Split::Halves].map(|split| held_out(&granules, &pairs, split).unwrap());
    assert!(near < 0.6 * before, "{before} to {near} on the blocks that nothing was solved on");
    assert!(far < before, "{before} to {far} on the halves that nothing was solved on");
}

#[test]
fn granules_that_share_no_ground_keep_their_scores_to_the_bit() {
    let granules = [
        granule("a", 0.0, 0.0, 0.5),
        granule("b", 12_000.0, 0.0, -0.5),
        granule("island", 500_000.0, 0.0, 0.7),
    ];
    let pairs = pairs(&granules).unwrap();
    let offsets = Offsets::solve(&granules, &pairs);
    assert_eq!(offsets.groups, [0, 0, 2]);
    assert_eq!(offsets.applied(&granules)[2].patches, granules[2].patches);
    let mean = (offsets.range(0)[0] + offsets.range(1)[0]) / 2.0;
    assert!(mean.abs() < 1e-9, "the mean correction of a group is 0, got {mean}");
}

#[test]
fn scenes_that_agree_are_left_alone() {
    let granules = [granule("a", 0.0, 0.0, 0.0), granule("b", 12_000.0, 0.0, 0.0)];
    let offsets = Offsets::solve(&granules, &pairs(&granules).unwrap());
    assert!((0..2).all(|g| offsets.range(g)[1].abs() < 1e-12 && offsets.range(g)[2].abs() < 1e-12));
}

fn reference() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("REFERENCE_DATA")?).join("sichuan");
    folder.join("study_scores.csv.gz").is_file().then_some(folder)
}

#[test]
fn the_published_scores_agree_on_held_out_overlaps_better_than_neighbours_do() {
    let Some(folder) = reference() else {
        println!("skipped: REFERENCE_DATA does not lead to sichuan/study_scores.csv.gz");
        return;
    };
    let work = tempfile::tempdir().unwrap();
    let program = |task: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heatmap-stitch"));
        command.arg(task);
        command
    };
    let output = program("published")
        .args(["--tile-m", "3430", "--table"])
        .arg(folder.join("study_scores.csv.gz"))
        .arg("--footprints")
        .arg(folder.join("s2_tiles.geojson"))
        .arg("--out")
        .arg(work.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut map = program("map");
    let mut n_granules = 0;
    for entry in std::fs::read_dir(work.path()).unwrap() {
        map.arg("--scores").arg(entry.unwrap().path());
        n_granules += 1;
    }
    let path = |name: &str| work.path().join(name);
    let output = map
        .args(["--pixel-m", "490", "--title", "Published scores", "--credit", "Sichuan study", "--out-png"])
        .arg(path("map.png"))
        .arg("--out-colour")
        .arg(path("colour.tif"))
        .arg("--seams-out")
        .arg(path("seams.parquet"))
        .arg("--out")
        .arg(path("map.tif"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Vec<Metric> = contract::read(&path("seams.parquet")).unwrap();
    let value = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.value).unwrap();
    rows.iter().for_each(|row| println!("{} ({}) {:?} n = {}", row.name, row.of, row.value, row.n));
    assert_eq!((n_granules, rows.iter().filter(|row| row.name == "correction").count()), (30, 30));
    let (before, held) = (value("overlap_difference_before"), value("overlap_difference_held_out"));
    assert!((before - 0.100).abs() < 0.005, "METHODS T4 begins at .100, got {before}");
    assert!(held < 0.062, "METHODS T4 asks for less than .062, got {held}");
    assert!((value("neighbour_difference") - 0.062).abs() < 0.001);
    let far = value("overlap_difference_held_out_far");
    assert!(far < 0.075, "carried over half a strip, corrections still help, got {far}");
    for name in ["overlap_sd_ratio_map", "overlap_sd_ratio_granules"] {
        assert!((0.95..1.05).contains(&value(name)), "{name} {}: flattened or stretched", value(name));
    }
}
