//! The change between two maps of one made ground.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use contract::Metric;
use raster::{Affine, BandOut, CogOptions, Crs, Grid, Source, write_cog};

const SIDE: usize = 60;

/// A heat map of 60 x 60 pixels, the first columns without a score.
fn map(folder: &Path, name: &str, n_missing: usize, score: impl Fn(usize) -> f32) -> PathBuf {
    let transform = Affine { west: 400_000.0, north: 3_400_000.0, pixel_width: 100.0, pixel_height: 100.0 };
    let grid = Grid { height: SIDE, width: SIDE, transform, crs: Crs::from_epsg(32_648).unwrap() };
    let pixels: Vec<f32> =
        (0..grid.len()).map(|i| if i % SIDE < n_missing { -9999.0 } else { score(i) }).collect();
    let bands = ["score_share", "sd_share", "scenes", "outside_share"].map(|name| BandOut {
        name,
        unit: "share",
        pixels: &pixels,
    });
    let tags =
        vec![("CONTRACT".to_owned(), "heatmap/2".to_owned()), ("TILE_SIDE_M".to_owned(), "100".to_owned())];
    let path = folder.join(name);
    write_cog(&path, &grid, &bands, &CogOptions { nodata: Some(-9999.0), tags, ..CogOptions::default() })
        .unwrap();
    path
}

fn change(folder: &Path, before: &Path, after: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heatmap-stitch"))
        .args(["change", "--title", "Change", "--credit", "Made up.", "--before"])
        .arg(before)
        .arg("--after")
        .arg(after)
        .arg("--out-png")
        .arg(folder.join("change.png"))
        .arg("--metrics-out")
        .arg(folder.join("change.parquet"))
        .arg("--out")
        .arg(folder.join("change.tif"))
        .output()
        .unwrap()
}

/// Made noise of a pixel, even within 0.02 of 0.
fn noise(i: usize) -> f32 {
    ((i * 7919 + 13) % 1009) as f32 / 1009.0 * 0.04 - 0.02
}

/// A town of 6 x 6 pixels that grew.
fn town(i: usize) -> bool {
    (20..26).contains(&(i / SIDE)) && (30..36).contains(&(i % SIDE))
}

#[test]
fn a_town_that_grew_is_found_and_a_shift_between_the_dates_is_not_change() {
    let work = tempfile::tempdir().unwrap();
    let before = map(work.path(), "before.tif", 5, |_| 0.4);
    let after = map(work.path(), "after.tif", 0, |i| 0.5 + noise(i) + if town(i) { 0.2 } else { 0.0 });
    let output = change(work.path(), &before, &after);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let found = Source::open(work.path().join("change.tif")).unwrap();
    let verdicts = found.read_band::<f32>(2).unwrap();
    for (i, &verdict) in verdicts.iter().enumerate() {
        match i % SIDE < 5 {
            true => assert_eq!(verdict, -9999.0, "a pixel without a score is no change"),
            false => assert_eq!(verdict == 1.0, town(i), "pixel {i}"),
        }
    }
    let rows: Vec<Metric> = contract::read(&work.path().join("change.parquet")).unwrap();
    let value = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.value).unwrap();
    assert!((value("change_shift") - 0.1).abs() < 0.005);
    assert!((0.02..0.06).contains(&value("minimum_detectable_change")));
    assert_eq!(value("change_risen"), 36.0 / (60.0 * 55.0));
    assert!(std::fs::read(work.path().join("change.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn maps_that_cannot_be_compared_are_refused() {
    let work = tempfile::tempdir().unwrap();
    let before = map(work.path(), "before.tif", 0, |_| 0.4);
    let dark = map(work.path(), "dark.tif", SIDE, |_| 0.4);
    let absent = work.path().join("absent.tif");
    for (after, wanted) in [(&dark, "want at least 30 pixels of unchanged ground"), (&absent, "absent.tif")] {
        let output = change(work.path(), &before, after);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(wanted), "{said}");
    }
    assert!(!work.path().join("change.tif").exists());
}
