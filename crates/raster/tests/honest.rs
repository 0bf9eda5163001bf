//! Files that were damaged, and files that ask for more than they hold.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use raster::{Affine, Canvas, CogOptions, Crs, Error, Grid, Pixel, Source, Window, write_cog_painted};

fn grid(height: usize, width: usize) -> Grid {
    let transform = Affine { west: 435_730.0, north: 4_179_460.0, pixel_width: 10.0, pixel_height: 10.0 };
    Grid { height, width, transform, crs: Crs::from_epsg(32618).unwrap() }
}

/// Ground that packs badly, so that most bytes of a file are blocks.
fn rough<T: Pixel>(band: usize, n: usize) -> Vec<T> {
    let value = |i: usize| ((((i as u64 + band as u64) * 2_654_435_761) >> 9) & 0xFFFF) as f64;
    (0..n).map(|i| T::of_f64(value(i))).collect()
}

fn scene(folder: &Path) -> PathBuf {
    let path = folder.join("scene.tif");
    let (grid, n_bands) = (grid(600, 500), 2);
    let mut canvas = Canvas::<u16>::beside(&path, &grid, n_bands).unwrap();
    for band in 1..=n_bands {
        canvas.put(band, 0, 0, 600, 500, &rough(band, grid.len())).unwrap();
    }
    canvas.write_cog(&path, &CogOptions::default()).unwrap();
    path
}

fn map(folder: &Path) -> PathBuf {
    let path = folder.join("map.tif");
    let grid = grid(600, 500);
    let pixels: Vec<f32> = rough(1, grid.len());
    let paint = |window: Window, bands: &mut [Vec<f32>]| {
        for row in 0..window.height {
            let from = &pixels[(window.row + row) * 500 + window.col..][..window.width];
            bands[0][row * window.width..][..window.width].copy_from_slice(from);
        }
    };
    write_cog_painted(&path, &grid, &[("score", "share")], &CogOptions::default(), &paint).unwrap();
    path
}

/// All bands as they are read by blocks, and as GDAL reads them.
fn pixels(path: &Path) -> Option<Vec<f64>> {
    let source = Source::open(path).ok()?;
    let mut all = Vec::new();
    for band in 1..=source.n_bands() {
        let mut together: Vec<f64> = Vec::new();
        source.read_window_together(band, Window::of(source.grid()), &mut together).ok()?;
        assert!(together == source.read_band::<f64>(band).ok()?);
        all.extend(together);
    }
    Some(all)
}

#[test]
fn a_bit_that_flips_inside_a_block_is_an_error_and_never_another_pixel() {
    let folder = tempfile::tempdir().unwrap();
    for path in [scene(folder.path()), map(folder.path())] {
        let (whole, wanted) = (fs::read(&path).unwrap(), pixels(&path).unwrap());
        let first_block = 4096;
        let (mut n_refused, mut n_harmless) = (0, 0);
        for i in 0..120 {
            let at = first_block + (whole.len() - first_block) * i / 120 + i % 3;
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (i % 8);
            fs::write(&path, bytes).unwrap();
            match pixels(&path) {
                None => n_refused += 1,
                Some(found) => {
                    assert!(found == wanted, "{}: byte {at} changed pixels", path.display());
                    n_harmless += 1;
                }
            }
        }
        // Overviews are not read here, nor what stands between blocks; the ground packs better than they do.
        assert!(n_refused > 40 && n_refused + n_harmless == 120, "{}: {n_refused}", path.display());
    }
}

fn sparse(path: &Path, (height, width, n_bands): (usize, usize, usize), block: &str, more: &[(&str, &str)]) {
    let mut options = gdal::cpl::CslStringList::new();
    let layout = [("SPARSE_OK", "TRUE"), ("TILED", "YES"), ("BLOCKXSIZE", block), ("BLOCKYSIZE", block)];
    for (key, value) in layout.iter().chain(more) {
        options.set_name_value(key, value).unwrap();
    }
    let driver = gdal::DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut file =
        driver.create_with_band_type_with_options::<u8, _>(path, width, height, n_bands, &options).unwrap();
    file.set_geo_transform(&[440_000.0, 10.0, 0.0, 4_174_000.0, 0.0, -10.0]).unwrap();
    file.set_projection(Crs::from_epsg(32618).unwrap().wkt()).unwrap();
    file.close().unwrap();
}

#[test]
fn a_sparse_file_may_ask_for_what_its_length_justifies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sparse.tif");
    for (shape, block, packing) in [
        ((37_000, 37_000, 3), "8192", "DEFLATE"),
        ((20_000, 20_000, 1), "4096", "ZSTD"),
        ((9_000, 9_000, 4), "2048", "NONE"),
    ] {
        sparse(&path, shape, block, &[("COMPRESS", packing)]);
        let error = Source::open(&path).unwrap_err();
        assert!(matches!(error, Error::TooLarge { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("sparse.tif") && text.contains("for a file of this length"), "{text}");
    }
    // A file of honest blocks of which none is there yet.
    sparse(&path, (9_000, 9_000, 1), "256", &[("COMPRESS", "ZSTD")]);
    let source = Source::open(&path).unwrap();
    assert_eq!(source.read_window::<u8>(1, 8_999, 8_999, 1, 1).unwrap(), [0]);
}

#[test]
fn blocks_that_nobody_can_hold_are_refused_with_the_cure() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blocks.tif");
    let mut options = gdal::cpl::CslStringList::new();
    for (key, value) in [
        ("TILED", "YES"),
        ("BLOCKXSIZE", "8192"),
        ("BLOCKYSIZE", "8192"),
        ("INTERLEAVE", "PIXEL"),
        ("COMPRESS", "DEFLATE"),
    ] {
        options.set_name_value(key, value).unwrap();
    }
    let driver = gdal::DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut file =
        driver.create_with_band_type_with_options::<u8, _>(&path, 3000, 3000, 3, &options).unwrap();
    file.set_geo_transform(&[440_000.0, 10.0, 0.0, 4_174_000.0, 0.0, -10.0]).unwrap();
    file.set_projection(Crs::from_epsg(32618).unwrap().wkt()).unwrap();
    file.rasterband(1).unwrap().fill(7.0, None).unwrap();
    file.close().unwrap();
    let text = Source::open(&path).unwrap_err().to_string();
    assert!(text.contains("in one block") && text.contains("gdal_translate -of COG"), "{text}");
}

#[test]
fn signed_bytes_are_refused_because_they_would_be_read_as_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("signed.tif");
    let mut options = gdal::cpl::CslStringList::new();
    options.set_name_value("PIXELTYPE", "SIGNEDBYTE").unwrap();
    let driver = gdal::DriverManager::get_driver_by_name("GTiff").unwrap();
    let mut file = driver.create_with_band_type_with_options::<u8, _>(&path, 9, 9, 1, &options).unwrap();
    file.set_geo_transform(&[440_000.0, 10.0, 0.0, 4_174_000.0, 0.0, -10.0]).unwrap();
    file.set_projection(Crs::from_epsg(32618).unwrap().wkt()).unwrap();
    file.close().unwrap();
    let text = Source::open(&path).unwrap_err().to_string();
    assert!(text.contains("Int8"), "{text}");
}

#[test]
fn a_mask_beside_a_file_must_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = scene(folder.path());
    let beside = folder.path().join("scene.tif.msk");
    fs::write(&beside, "<VRTDataset rasterXSize=\"500\" rasterYSize=\"600\"/>").unwrap();
    let text = Source::open(&path).unwrap_err().to_string();
    assert!(text.contains("scene.tif.msk"), "{text}");
    fs::copy(&path, &beside).unwrap();
    assert!(!Source::open(&path).unwrap().is_masked(), "a raster that is no mask is none");
}
