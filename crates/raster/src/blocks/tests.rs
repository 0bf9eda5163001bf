//! What is read here is what GDAL reads.

use std::path::PathBuf;

use gdal::cpl::CslStringList;
use gdal::raster::Buffer;
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager};

use super::*;
use crate::Source;

const HEIGHT: usize = 150;
const WIDTH: usize = 210;

/// A file of smooth and rough ground as GDAL writes it.
fn made<T: Pixel>(folder: &Path, n_bands: usize, layout: &[(&str, &str)]) -> PathBuf {
    let name: Vec<String> = layout.iter().map(|(key, value)| format!("{key}{value}")).collect();
    let path = folder.join(format!("{}-{n_bands}-{}.tif", T::DTYPE, name.concat()));
    let mut creation = CslStringList::new();
    layout.iter().for_each(|(key, value)| creation.set_name_value(key, value).unwrap());
    let driver = DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut dataset: Dataset =
        driver.create_with_band_type_with_options::<T, _>(&path, WIDTH, HEIGHT, n_bands, &creation).unwrap();
    dataset.set_geo_transform(&[400_000.0, 10.0, 0.0, 3_500_000.0, 0.0, -10.0]).unwrap();
    dataset.set_spatial_ref(&SpatialRef::from_epsg(32_648).unwrap()).unwrap();
    for band in 1..=n_bands {
        let value =
            |i: usize| ((i / WIDTH / 7 * 13 + i % WIDTH / 5 * 3 + i * i % 4 + band * 50) % 251) as f64 * 1.37;
        let pixels = (0..HEIGHT * WIDTH).map(|i| T::of_f64(value(i))).collect();
        let mut target = dataset.rasterband(band).unwrap();
        target.write((0, 0), (WIDTH, HEIGHT), &mut Buffer::new((WIDTH, HEIGHT), pixels)).unwrap();
    }
    dataset.close().unwrap();
    path
}

const WINDOWS: [Window; 4] = [
    Window { row: 0, col: 0, height: HEIGHT, width: WIDTH },
    Window { row: 63, col: 65, height: 2, width: 130 },
    Window { row: 64, col: 128, height: 64, width: 64 },
    Window { row: 149, col: 209, height: 1, width: 1 },
];

fn same_as_gdal<T: Pixel + PartialEq>(path: &Path, known: bool) {
    let source = Source::open(path).unwrap();
    let blocks = Blocks::open(path, (HEIGHT, WIDTH), source.n_bands(), source.dtype());
    assert_eq!(blocks.is_some(), known, "{}", path.display());
    for (band, window) in (1..=source.n_bands()).flat_map(|band| WINDOWS.map(|window| (band, window))) {
        let wanted =
            source.read_window::<T>(band, window.row, window.col, window.height, window.width).unwrap();
        let mut found = vec![T::of_f64(99.0); 3];
        source.read_window_together(band, window, &mut found).unwrap();
        assert!(found == wanted, "{}, band {band}, {window:?}", path.display());
        if let Some(blocks) = &blocks {
            found.fill(T::default());
            blocks.read(band - 1, window, &mut found).unwrap();
            assert!(found == wanted, "{} by blocks, band {band}, {window:?}", path.display());
        }
    }
}

const TILES: [(&str, &str); 3] = [("TILED", "YES"), ("BLOCKXSIZE", "64"), ("BLOCKYSIZE", "64")];

/// Every packing and predictor of a pixel type, in tiles and strips, bands together and apart; counts the files.
fn all_layouts<T: Pixel + PartialEq>(folder: &Path, predictors: &[&'static str]) -> usize {
    let mut n_files = 0;
    for predictor in predictors {
        for packing in ["NONE", "DEFLATE", "ZSTD"].into_iter().filter(|p| *p != "NONE" || *predictor == "1") {
            for (tiled, interleave, n_bands) in [
                (true, "PIXEL", 1),
                (true, "PIXEL", 3),
                (false, "BAND", 2),
                (false, "PIXEL", 2),
                (true, "BAND", 2),
            ] {
                let mut layout = vec![("COMPRESS", packing), ("INTERLEAVE", interleave)];
                layout.extend([("BLOCKYSIZE", "11")].iter().filter(|_| !tiled));
                layout.extend(TILES.iter().filter(|_| tiled));
                layout.extend([("PREDICTOR", *predictor)].iter().filter(|_| packing != "NONE"));
                layout.extend([("BIGTIFF", "YES")].iter().filter(|_| n_bands == 3));
                same_as_gdal::<T>(&made::<T>(folder, n_bands, &layout), true);
                n_files += 1;
            }
        }
    }
    n_files
}

#[test]
fn every_known_file_is_read_as_gdal_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let n_files = all_layouts::<u8>(folder.path(), &["1", "2"])
        + all_layouts::<u16>(folder.path(), &["1", "2"])
        + all_layouts::<i16>(folder.path(), &["2"])
        + all_layouts::<f32>(folder.path(), &["1", "3"])
        + all_layouts::<f64>(folder.path(), &["3"]);
    assert_eq!(n_files, 95);
}

#[test]
fn pixels_of_a_smaller_type_are_read_as_those_of_a_larger_one() {
    let folder = tempfile::tempdir().unwrap();
    same_as_gdal::<f64>(&made::<f32>(folder.path(), 1, &[("COMPRESS", "DEFLATE"), ("PREDICTOR", "3")]), true);
    same_as_gdal::<f32>(&made::<u8>(folder.path(), 1, &[("COMPRESS", "ZSTD")]), true);
}

#[test]
fn other_files_are_left_to_gdal() {
    let folder = tempfile::tempdir().unwrap();
    for layout in [[("COMPRESS", "LZW")], [("ENDIANNESS", "BIG")], [("NBITS", "7")]] {
        same_as_gdal::<u8>(&made::<u8>(folder.path(), 1, &layout), false);
    }
}

#[test]
fn a_damaged_file_ends_as_gdal_says_and_never_in_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let mut n_damaged = 0;
    for packing in ["NONE", "DEFLATE", "ZSTD"] {
        let path = made::<u16>(folder.path(), 1, &[&TILES[..], &[("COMPRESS", packing)]].concat());
        let whole = std::fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 150 + 1) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x41;
            let bytes = if at % 5 == 0 { &bytes[..at] } else { &bytes[..] };
            std::fs::write(&path, bytes).unwrap();
            let Ok(source) = Source::open(&path) else { continue };
            let all = Window::of(source.grid());
            let wanted = source.read_band::<u16>(1);
            let mut found: Vec<u16> = Vec::new();
            match source.read_window_together(1, all, &mut found) {
                // GDAL leaves what follows an early end as it was; a block is whole here or is GDAL's.
                Ok(()) => assert!(wanted.is_ok_and(|wanted| wanted == found), "{packing}, byte {at}"),
                Err(error) => assert!(wanted.is_err(), "{packing}, byte {at}: {error}"),
            }
            n_damaged += 1;
        }
    }
    assert!(n_damaged > 200, "{n_damaged} of the damaged files opened");
}
