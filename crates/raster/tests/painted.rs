//! Laws of painted COGs: what is painted is read back, and GDAL takes the file for a COG.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use gdal::Dataset;
use raster::{Affine, Canvas, CogOptions, Crs, Grid, Overviews, Pixel, Source, Window, write_cog_painted};

fn grid(height: usize, width: usize) -> Grid {
    Grid {
        height,
        width,
        transform: Affine { west: 435_730.0, north: 4_179_460.0, pixel_width: 10.0, pixel_height: 10.0 },
        crs: Crs::from_epsg(32618).unwrap(),
    }
}

/// A value at a place in a band: steps of tiles, some without data.
fn value(band: usize, row: usize, col: usize) -> f64 {
    let tile = row / 37 * 11 + col / 41 * 7 + band * 5;
    if tile.is_multiple_of(9) { 0.0 } else { (tile % 200) as f64 + 1.0 }
}

fn write<T: Pixel>(path: &Path, grid: &Grid, names: &[(&str, &str)], options: &CogOptions) -> Vec<Vec<T>> {
    let at = |band: usize, i: usize| T::of_f64(value(band, i / grid.width, i % grid.width));
    let pixels: Vec<Vec<T>> =
        (0..names.len()).map(|band| (0..grid.len()).map(|i| at(band, i)).collect()).collect();
    let paint = |window: Window, bands: &mut [Vec<T>]| {
        for (from, to) in pixels.iter().zip(bands) {
            for row in 0..window.height {
                let line = &from[(window.row + row) * grid.width + window.col..][..window.width];
                to[row * window.width..][..window.width].copy_from_slice(line);
            }
        }
    };
    write_cog_painted(path, grid, names, options, &paint).unwrap();
    pixels
}

const NAMES: [(&str, &str); 4] = [("a", "share"), ("b", "share"), ("c", "count"), ("d", "share")];

fn same_as_in_memory<T: Pixel + PartialEq>(height: usize, width: usize, n_bands: usize, colours: bool) {
    let folder = tempfile::tempdir().unwrap();
    let (painted, held) = (folder.path().join("painted.tif"), folder.path().join("held.tif"));
    let (grid, names) = (grid(height, width), &NAMES[..n_bands]);
    let options = CogOptions {
        nodata: Some(0.0),
        tags: vec![("KEY".into(), "a text".into())],
        overviews: if colours { Overviews::Nearest } else { Overviews::Average },
        colours: colours.then(|| (0..=255).map(|i| [i, 255 - i, 7, 255]).collect()),
        ..CogOptions::default()
    };
    let pixels = write::<T>(&painted, &grid, names, &options);
    let mut canvas = Canvas::<T>::beside(&held, &grid, n_bands).unwrap();
    for (i, ((name, unit), pixels)) in names.iter().zip(&pixels).enumerate() {
        canvas.name(i + 1, name, unit).unwrap();
        canvas.put(i + 1, 0, 0, height, width, pixels).unwrap();
    }
    canvas.write_cog(&held, &options).unwrap();
    let (one, other) = (Source::open(&painted).unwrap(), Source::open(&held).unwrap());
    assert_eq!(one.tag("IMAGE_STRUCTURE", "LAYOUT").as_deref(), Some("COG"));
    assert_eq!(
        (one.grid(), one.nodata(), one.band_names()),
        (other.grid(), other.nodata(), other.band_names())
    );
    assert_eq!(
        (one.tag("", "KEY"), one.band_tag(n_bands, "", "unit")),
        (other.tag("", "KEY"), other.band_tag(n_bands, "", "unit"))
    );
    for (band, pixels) in pixels.iter().enumerate() {
        assert!(one.read_band::<T>(band + 1).unwrap() == *pixels, "band {}", band + 1);
    }
    one.prove().unwrap();
    let (one, other) = (Dataset::open(&painted).unwrap(), Dataset::open(&held).unwrap());
    for band in 1..=n_bands {
        let (one, other) = (one.rasterband(band).unwrap(), other.rasterband(band).unwrap());
        assert_eq!(one.overview_count().unwrap(), other.overview_count().unwrap());
        for level in 0..one.overview_count().unwrap() as usize {
            let (one, other) = (one.overview(level).unwrap(), other.overview(level).unwrap());
            assert_eq!(one.size(), other.size());
            let all =
                |band: &gdal::raster::RasterBand<'_>| band.read_band_as::<f64>().unwrap().data().to_vec();
            assert!(all(&one) == all(&other), "band {band}, overview {level}");
        }
        assert_eq!(one.color_table().is_some(), colours);
    }
}

#[test]
fn a_painted_raster_is_the_one_held_in_memory() {
    same_as_in_memory::<f32>(1300, 1701, 4, false);
    same_as_in_memory::<f32>(100, 2100, 1, false);
    same_as_in_memory::<u8>(1300, 1100, 1, true);
    same_as_in_memory::<u16>(701, 530, 2, false);
    same_as_in_memory::<f64>(60, 50, 1, false);
}

#[test]
fn painted_bytes_do_not_depend_on_threads() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |n_threads: usize| {
        let path = folder.path().join(format!("{n_threads}.tif"));
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| write::<f32>(&path, &grid(1500, 1400), &NAMES, &CogOptions::default()));
        std::fs::read(path).unwrap()
    };
    assert!(bytes(1) == bytes(3));
}

/// Ground of one value, of a few lines over and over, and rough ground, a row of blocks each.
fn uneven(window: Window, bands: &mut [Vec<f32>]) {
    for (band, pixels) in bands.iter_mut().enumerate() {
        for (i, pixel) in pixels.iter_mut().enumerate() {
            let (row, col) = (window.row + i / window.width, window.col + i % window.width);
            *pixel = match row / 512 {
                0 => band as f32 - 9999.0,
                1 => (row / 100 * 7 + col / 90 + band) as f32 * 0.37,
                _ => (row * 7919 + col * 104_729 + band * 13) as f32 % 1.7,
            };
        }
    }
}

#[test]
fn smooth_and_rough_blocks_read_back_and_their_bytes_do_not_depend_on_what_was_packed_before() {
    let folder = tempfile::tempdir().unwrap();
    let grid = grid(1600, 1700);
    let options = CogOptions { zstd_level: 9, nodata: Some(-9999.0), ..CogOptions::default() };
    let path = |n_threads: usize| folder.path().join(format!("{n_threads}.tif"));
    let bytes = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().unwrap();
        pool.install(|| write_cog_painted(&path(n_threads), &grid, &NAMES[..2], &options, &uneven)).unwrap();
        std::fs::read(path(n_threads)).unwrap()
    };
    assert!(bytes(1) == bytes(4) && bytes(1) == bytes(3));
    let mut wanted = vec![vec![0.0; grid.len()]; 2];
    uneven(Window::of(&grid), &mut wanted);
    let source = Source::open(path(4)).unwrap();
    for (band, wanted) in wanted.iter().enumerate() {
        assert!(source.read_band::<f32>(band + 1).unwrap() == *wanted, "band {}", band + 1);
    }
}
