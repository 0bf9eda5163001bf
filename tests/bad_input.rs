//! Bad input to the programs and to Make: one clear line, an exit code, old outputs intact.

use std::fs;
use std::path::Path;
use std::process::Output;

use contract::{Cluster, Made};
use tempfile::TempDir;

use crate::house::{COARSE, Place, STAGES, program, root, stderr};

const OLD: &[u8] = b"an old output";

#[test]
fn an_unknown_flag_ends_every_program_with_2() {
    for stage in STAGES {
        let output = program(stage).arg("--no-such-flag").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{stage}: {}", stderr(&output));
        assert!(stderr(&output).contains("--no-such-flag"), "{stage}: {}", stderr(&output));
    }
}

#[test]
fn bad_input_is_one_clear_line_and_leaves_the_old_output() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    fs::write(at("old"), OLD).unwrap();
    truncated_scene(&dir);
    contract::write::<Cluster>(Path::new(&at("clusters.parquet")), &[], &Made::by("stage1-cluster")).unwrap();
    let weights = root().join("data/weights/efficientnet_lite0_imagenet.safetensors").display().to_string();
    let (cut, clusters, old) = (at("cut.tif"), at("clusters.parquet"), at("old"));
    let (out, beside) = (at("out.png"), at("beside"));
    let catalogue = root().join("data/demo/catalog.json").display().to_string();
    let fetch =
        ["fetch", "--catalogue", &catalogue, "--assets", "B02", "--from", "2015-01-01", "--to", "2016-12-31"];
    let cases: [(&str, Vec<&str>, &str); 6] = [
        ("granule-split-mpi", vec!["--scene", &cut, "--granule", "T18SVG", "--out", &old], "cut.tif"),
        (
            "s2-fetch",
            [&fetch[..], &["--granule", "T01ABC", "--out", &old]].concat(),
            "want a scene of granule T01ABC",
        ),
        ("pog-aggregate", vec!["--votes", &clusters, "--out", &old], "want table votes/1, got clusters/1"),
        (
            "stage3-train",
            vec!["score", "--tiles", &clusters, "--model", "none", "--weights", &weights, "--out", &old],
            "",
        ),
        (
            "heatmap-stitch",
            vec!["map", "--scores", &clusters, "--pixel-m", "10", "--title", "t", "--credit", "c"],
            "want table scores/2, got clusters/1",
        ),
        (
            "viirs-corr",
            vec!["--heatmap", &cut, "--night-lights", &cut, "--out-png", &out, "--out", &old],
            "cut.tif",
        ),
    ];
    for (stage, mut flags, want) in cases {
        if stage == "heatmap-stitch" {
            flags.extend(["--out-png", &out, "--out-colour", &beside, "--out", &old]);
        }
        let output = program(stage).args(&flags).output().unwrap();
        // No scene that fits is no bad input, and has a code of its own.
        let code = if stage == "s2-fetch" { 3 } else { 1 };
        one_line_with(code, stage, &output, want);
        assert_eq!(fs::read(&old).unwrap(), OLD, "{stage}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_is_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), OLD).unwrap();
    let out = dir.path().join("file/below/T18SVG.tif").display().to_string();
    let catalogue = root().join("data/demo/catalog.json").display().to_string();
    let flags = ["fetch", "--catalogue", &catalogue, "--granule", "T18SVG", "--assets", "B04"];
    let dates = ["--from", "2015-01-01", "--to", "2016-12-31", "--out", &out];
    let output = program("s2-fetch").args(flags).args(dates).output().unwrap();
    one_line("s2-fetch", &output, "file/below");
    assert_eq!(fs::read(dir.path().join("file")).unwrap(), OLD);
}

#[test]
fn make_keeps_the_old_tiles_when_the_scene_is_damaged() {
    let place = Place::new(&COARSE);
    let tiles = place.path("work/accomack/tiles/T18SVG.parquet");
    let target = tiles.display().to_string();
    place.made(&["AOI=accomack", &target]);
    let before = contract::sha256_of(&tiles).unwrap();
    let scene = place.path("raw/accomack/T18SVG.tif");
    let bytes = fs::read(&scene).unwrap();
    fs::write(&scene, &bytes[..bytes.len() / 3]).unwrap();
    let output = place.make(&["AOI=accomack", &target]);
    assert!(!output.status.success() && stderr(&output).contains("T18SVG.tif"), "{}", stderr(&output));
    assert_eq!(contract::sha256_of(&tiles).unwrap(), before);
    fs::remove_file(&scene).unwrap();
    place.made(&["AOI=accomack", &target]);
    assert_eq!(contract::sha256_of(&tiles).unwrap(), before);
}

fn truncated_scene(dir: &TempDir) {
    let whole = fs::read(root().join("data/demo/B04.tif")).unwrap();
    fs::write(dir.path().join("cut.tif"), &whole[..whole.len() / 2]).unwrap();
}

fn one_line(stage: &str, output: &Output, want: &str) {
    one_line_with(1, stage, output, want);
}

fn one_line_with(code: i32, stage: &str, output: &Output, want: &str) {
    let text = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{stage}: {text}");
    assert!(text.starts_with(&format!("{stage}: error: ")) && text.contains(want), "{stage}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{stage}: {text}");
}
