//! Scenes as other people have them: masks and opacity, scale and offset, floats, bands without names. Python writes them (`TEST_PYTHON`).
#![allow(clippy::unwrap_used)]

mod program;

use std::path::Path;
use std::process::{Command, Output};

use contract::{Tile, TileReader};
use program::{ok, program};

const SIDE: usize = 20;

/// Steps of 8 bits by which rounding of numbers to another scale may show.
const ROUNDING: i32 = 1;

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

fn split(folder: &Path, name: &str, more: &[&str]) -> Output {
    let mut command = program(None);
    command.args(["--granule", "T48RVV", "--threads", "1", "--tile-px", &SIDE.to_string()]).args(more);
    command.arg("--scene").arg(folder.join(name).with_extension("tif"));
    command.arg("--out").arg(folder.join(name).with_extension("parquet")).output().unwrap()
}

fn tiles(folder: &Path, name: &str, more: &[&str]) -> Vec<Tile> {
    ok(&split(folder, name, more));
    let path = folder.join(name).with_extension("parquet");
    TileReader::open(&path).unwrap().tiles().collect::<Result<_, _>>().unwrap()
}

fn refusal(folder: &Path, name: &str, more: &[&str]) -> String {
    let output = split(folder, name, more);
    assert_eq!(output.status.code(), Some(1), "{name} was taken");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = text.lines().find(|line| line.contains("error:")).unwrap().to_owned();
    assert!(line.contains(name), "{line}");
    line
}

/// Shares of data, and pixels: the same within a tolerance.
fn same(name: &str, found: &[Tile], wanted: &[Tile], tolerance: i32) {
    assert_eq!(found.len(), wanted.len());
    for (a, b) in found.iter().zip(wanted) {
        assert_eq!((a.tile, a.valid_share, &a.skipped), (b.tile, b.valid_share, &b.skipped), "{name}");
        let pairs = a.pixels.iter().flatten().zip(b.pixels.iter().flatten());
        let far = pairs.map(|(a, b)| (i32::from(*a) - i32::from(*b)).abs()).max().unwrap_or(0);
        assert!(far <= tolerance, "{name}, tile {:?}: {far} steps of 8 bits away", a.tile);
    }
}

#[test]
fn what_masks_opacity_or_a_white_value_hide_is_no_data_and_black_in_tiles() {
    let Some(folder) = made() else { return };
    let wanted = tiles(folder.path(), "plain", &[]);
    let skipped: Vec<_> = wanted.iter().map(|tile| tile.skipped.is_some()).collect();
    assert_eq!(skipped, [true, false, false, true, false, false]);
    assert_eq!(wanted[1].valid_share, 1.0 - 25.0 / 400.0, "a corner of 5 x 5 pixels is hidden");
    for name in ["rgba", "inside", "beside", "white"] {
        same(name, &tiles(folder.path(), name, &[]), &wanted, 0);
    }
}

#[test]
fn reflectance_is_what_the_file_says_of_its_numbers_or_else_the_flags() {
    let Some(folder) = made() else { return };
    let wanted = tiles(folder.path(), "sentinel", &[]);
    let pixels: Vec<u8> = wanted.iter().filter_map(|tile| tile.pixels.clone()).flatten().collect();
    let mean = pixels.iter().map(|p| f64::from(*p)).sum::<f64>() / pixels.len() as f64;
    assert!((40.0..50.0).contains(&mean), "reflectance of 0.06 of 0.3558 is 43 of 255, found {mean}");
    for name in ["offset", "landsat", "full", "hls", "floats"] {
        same(name, &tiles(folder.path(), name, &[]), &wanted, ROUNDING);
    }
    let landsat = ["--scale", "2.75e-5", "--offset", "-0.2"];
    same("landsat_bare", &tiles(folder.path(), "landsat_bare", &landsat), &wanted, ROUNDING);
    same("five", &tiles(folder.path(), "five", &["--bands", "3,2,1"]), &wanted, 0);
    let text = |name: &str| {
        let tags = contract::tags(&folder.path().join(name).with_extension("parquet")).unwrap();
        tags.into_iter().find(|(key, _)| key == "flags").unwrap().1
    };
    assert!(text("offset").contains("scale 0.0001 offset -0.1 by the file"), "{}", text("offset"));
    assert!(text("landsat_bare").contains("scale 0.0000275 offset -0.2 by --scale and --offset"));
    assert!(text("sentinel").contains("scale 0.0001 offset 0 by the rule of its pixels"));
}

#[test]
fn numbers_that_cannot_be_reflectance_are_refused_with_the_cure() {
    let Some(folder) = made() else { return };
    for (name, more, cure) in [
        ("landsat_bare", &[][..], "--scale and --offset (Landsat collection 2: 2.75e-5 and -0.2)"),
        ("floats_of_numbers", &[], "--scale"),
        ("floats_scaled_twice", &[], "give --scale 1"),
        ("offset_twice", &[], "offset_subtracted_dn"),
        ("scale_of_some", &[], "give --scale and --offset"),
        ("rgba", &["--scale", "0.0001"], "leave --scale out"),
        (
            "five",
            &[],
            "found 5 without names; choose red, green and blue by name or number, as --bands 3,2,1",
        ),
        ("five", &["--bands", "3,2,6"], "found 5 without names"),
        ("five", &["--bands", "3,2,0"], "found 5 without names"),
    ] {
        let line = refusal(folder.path(), name, more);
        assert!(line.contains(cure), "{line}");
    }
    let empty = split(folder.path(), "five", &["--bands", "3,,1"]);
    let text = String::from_utf8_lossy(&empty.stderr).into_owned();
    assert!(empty.status.code() == Some(1) && text.contains("found an empty one"), "{text}");
    let taken = tiles(folder.path(), "floats_of_numbers", &["--scale", "0.0001"]);
    assert!(taken.iter().all(|tile| tile.valid_share == 1.0));
}

#[test]
fn classes_of_16_bits_say_where_cloud_is() {
    let Some(folder) = made() else { return };
    let scl = folder.path().join("classes_wide.tif");
    let found = tiles(folder.path(), "plain", &["--scl", scl.to_str().unwrap()]);
    let shares: Vec<_> = found.iter().map(|tile| tile.cloud_share).collect();
    assert_eq!(shares[..3], [Some(1.0), Some(1.0), Some(0.0)]);
}
