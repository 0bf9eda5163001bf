//! Night lights as other people have them: fills without a tag, scales, masks, longitudes to 360°, packed files. Python writes them (`TEST_PYTHON`).
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use contract::Metric;

/// How far a coefficient may move where one pixel in twenty is left out, or rounded to tenths.
const TOLERANCE: f64 = 0.01;

fn made() -> Option<tempfile::TempDir> {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON names no interpreter with rasterio");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign/make.py");
    let output = Command::new(python).arg(script).arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(folder)
}

fn compare(folder: &Path, map: &str, lights: &str, more: &[&str]) -> Output {
    let path = |name: &str| folder.join(name);
    let mut command = Command::new(env!("CARGO_BIN_EXE_viirs-corr"));
    command.arg("--heatmap").arg(path(map)).arg("--night-lights").arg(path(lights)).args(["--draws", "9"]);
    command
        .current_dir(folder)
        .args(more)
        .arg("--out-png")
        .arg(path("v.png"))
        .arg("--out")
        .arg(path("v.parquet"));
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Pearson's coefficient, and what the program said.
fn pearson(folder: &Path, lights: &str, more: &[&str]) -> (f64, String) {
    let output = compare(folder, "map.tif", lights, more);
    assert!(output.status.success(), "{lights}: {}", said(&output));
    let rows: Vec<Metric> = contract::read(&folder.join("v.parquet")).unwrap();
    let row = rows.iter().find(|row| row.name == "pearson").unwrap();
    (row.value.unwrap(), said(&output))
}

#[test]
fn fills_scales_masks_and_longitudes_of_others_give_the_coefficient_of_the_clean_lights() {
    let Some(folder) = made() else { return };
    let (clean, said) = pearson(folder.path(), "clean.tif", &[]);
    assert!(clean > 0.9 && !said.contains("left out"), "{clean} {said}");
    for (lights, more, words) in [
        ("declared.tif", &[][..], ""),
        ("fill_nan.tif", &[], ""),
        ("fill_low.tif", &[], "such as -999.2999"),
        ("fill_vast.tif", &[], "such as -1500000000 are no radiance"),
        ("fill_most.tif", &["--lights-nodata", "65535"], ""),
        ("fill_byte.tif", &["--lights-nodata", "255"], ""),
        ("tenths.tif", &[], "radiance is number * 0.1 + -2, by the file"),
        ("tenths_full.tif", &["--lights-nodata", "65535"], ""),
        ("tenths_bare.tif", &["--lights-scale", "0.1", "--lights-offset", "-2"], "by the flags"),
        ("masked.tif", &[], ""),
        ("beyond.tif", &["--quality", "counts.tif"], ""),
        ("circle.tif", &[], ""),
        ("packed.tif.gz", &[], ""),
    ] {
        let (found, said) = pearson(folder.path(), lights, more);
        assert!((found - clean).abs() < TOLERANCE, "{lights}: {found} and {clean}: {said}");
        assert!(said.contains(words), "{lights}: {said}");
    }
    assert!(!folder.path().join("packed.tif.gz.properties").exists(), "nothing is left beside an input");
}

#[test]
fn numbers_that_many_files_use_for_no_data_are_refused_with_the_flag() {
    let Some(folder) = made() else { return };
    for (lights, more, words) in [
        (
            "fill_most.tif",
            &[][..],
            "pixels of exactly 65535, which many files use for no data; give --lights-nodata 65535",
        ),
        ("fill_byte.tif", &[], "give --lights-nodata 255"),
        ("tenths_full.tif", &[], "give --lights-nodata 65535"),
        ("tenths_bare.tif", &[], "give --lights-scale (Black Marble: 0.1)"),
        ("clean.tif", &["--lights-scale", "1e7"], "give the right band, its scale, or --lights-nodata"),
        (
            "clean.tif",
            &["--baseline", "height=heights.tif", "--details-out", "d.parquet"],
            "pixels of exactly -32768, which many files use for no data; give gdal_edit.py -a_nodata -32768",
        ),
    ] {
        let output = compare(folder.path(), "map.tif", lights, more);
        let text = said(&output);
        assert!(output.status.code() == Some(1) && text.contains(words), "{lights}: {text}");
    }
    let kept = compare(folder.path(), "map.tif", "fill_byte.tif", &["--lights-nodata", "none"]);
    assert!(kept.status.success(), "who says that they are data is believed: {}", said(&kept));
}

#[test]
fn half_a_kilobyte_that_asks_for_much_is_refused_in_one_line() {
    let Some(folder) = made() else { return };
    for (map, lights, name) in
        [("map.tif", "sparse.tif", "sparse.tif"), ("sparse_map.tif", "clean.tif", "sparse_map.tif")]
    {
        let output = compare(folder.path(), map, lights, &[]);
        let text = said(&output);
        let lines: Vec<_> = text.lines().filter(|line| line.contains("error:")).collect();
        assert!(output.status.code() == Some(1) && lines.len() == 1 && lines[0].contains(name), "{text}");
    }
}
