//! Small rasters of all kinds, held against what rasterio (GDAL) reads: which pixels are data, their numbers, and the quantities they stand for.
//! Needs the interpreter that `TEST_PYTHON` names; without it nothing is tested.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;

use raster::{Source, Window};

/// Rounding of a product and a sum, as a share.
const TOLERANCE: f64 = 1e-12;

/// A part of a raster that begins and ends within blocks.
const PART: Window = Window { row: 9, col: 20, height: 23, width: 31 };

fn made(folder: &Path) -> bool {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON names no interpreter with rasterio");
        return false;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rasterio/make.py");
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn doubles(path: &Path) -> Vec<f64> {
    let bytes = fs::read(path).unwrap();
    bytes.chunks_exact(8).map(|bytes| f64::from_le_bytes(bytes.try_into().unwrap())).collect()
}

/// Two decoders of JPEG may differ by any number of steps of 8 bits, as colour is stored at half the resolution and that of this ground is noise:
/// compared there is only which pixels are data.
const JPEG_STEPS: f64 = 255.0;

/// The first pixel of which two rasters say something else.
fn difference(found: &[f64], wanted: &[f64], steps: f64) -> Option<(usize, f64, f64)> {
    assert_eq!(found.len(), wanted.len());
    let close = |a: f64, b: f64| (a - b).abs() <= (TOLERANCE * b.abs()).max(steps);
    let same = |a: f64, b: f64| (a.is_nan() && b.is_nan()) || a == b || close(a, b);
    let pairs = found.iter().zip(wanted).enumerate();
    pairs.map(|(i, (a, b))| (i, *a, *b)).find(|(_, a, b)| !same(*a, *b))
}

/// What lies in a part of a raster of `width` columns.
fn part(all: &[f64], width: usize) -> Vec<f64> {
    let line = |row: usize| &all[row * width + PART.col..][..PART.width];
    (PART.row..PART.row + PART.height).flat_map(line).copied().collect()
}

#[test]
fn data_numbers_and_quantities_of_all_kinds_of_files_are_those_that_rasterio_reads() {
    let folder = tempfile::tempdir().unwrap();
    if !made(folder.path()) {
        return;
    }
    let list = fs::read_to_string(folder.path().join("list.txt")).unwrap();
    let (mut n_bands, mut n_without_data, mut wrong) = (0, 0, Vec::new());
    for name in list.lines() {
        let source = Source::open(folder.path().join(format!("{name}.tif"))).unwrap();
        let width = source.grid().width;
        for band in 1..=source.n_bands() {
            let [values, numbers] = ["values", "numbers"]
                .map(|kind| doubles(&folder.path().join(format!("{name}.{band}.{kind}"))));
            let mut found = Vec::new();
            source.read_values(band, Window::of(source.grid()), &mut found).unwrap();
            let mut found_part = Vec::new();
            source.read_values(band, PART, &mut found_part).unwrap();
            let mut known = Vec::new();
            source.read_mask(&[band], Window::of(source.grid()), &mut known).unwrap();
            let mut together = Vec::new();
            source.read_window_together::<f64>(band, Window::of(source.grid()), &mut together).unwrap();
            let raw = source.read_band::<f64>(band).unwrap();
            let steps = if name.contains("jpeg") { JPEG_STEPS } else { 0.0 };
            let differences = [
                ("values", difference(&found, &values, steps)),
                ("a part", difference(&found_part, &part(&values, width), steps)),
                ("numbers", difference(&raw, &numbers, steps)),
                ("numbers by blocks", difference(&together, &numbers, steps)),
            ];
            for (what, difference) in differences {
                wrong.extend(
                    difference.map(|difference| format!("{name}, band {band}, {what}: {difference:?}")),
                );
            }
            let hidden_as_data =
                known.iter().zip(&values).any(|(known, value)| *known == 0 && !value.is_nan());
            assert!(!hidden_as_data, "{name}, band {band}: a mask hides data");
            n_bands += 1;
            n_without_data += values.iter().filter(|value| value.is_nan()).count();
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        list.lines().count() >= 45 && n_bands > 60 && n_without_data > 10_000,
        "{n_bands}, {n_without_data}"
    );
}
