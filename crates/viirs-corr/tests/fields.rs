//! Rasters of two coordinate systems on one grid.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use raster::{Affine, BandOut, CogOptions, Crs, Declared, Grid, Source, transform_points, write_cog};
use viirs_corr::fields::{read_scores, scores_on, target_grid};
use viirs_corr::lights::{lights_on, open_lights};

/// Made radiance of a pixel, 0 to 50, as rough as the real one.
fn radiance(i: usize) -> f32 {
    ((i * 7919 + 5) % 503) as f32 / 10.0
}

fn lights(folder: &Path, pixel_deg: f64) -> Source {
    let transform = Affine { west: -76.2, north: 38.2, pixel_width: pixel_deg, pixel_height: pixel_deg };
    let n = (0.6 / pixel_deg).round() as usize;
    let grid = Grid { height: n, width: n, transform, crs: Crs::wgs84().unwrap() };
    let pixels: Vec<f32> = (0..grid.len()).map(radiance).collect();
    let band = BandOut { name: "radiance", unit: "nW cm-2 sr-1", pixels: &pixels };
    write_cog(&folder.join("lights.tif"), &grid, &[band], &CogOptions::default()).unwrap();
    open_lights(&folder.join("lights.tif"), &Declared::default()).unwrap()
}

fn utm(side: usize, cell_m: f64) -> Grid {
    let transform = Affine { west: 410_000.0, north: 4_200_000.0, pixel_width: cell_m, pixel_height: cell_m };
    Grid { height: side, width: side, transform, crs: Crs::from_epsg(32_618).unwrap() }
}

#[test]
fn reprojected_radiance_agrees_with_brute_force_sampling() {
    // The error is the sampling's: at most 0.14, 0.05, 0.02 for 100, 200, 400 samples a side.
    const SAMPLES: usize = 200;
    const TOLERANCE_NW_CM2_SR: f64 = 0.1;
    let folder = tempfile::tempdir().unwrap();
    let (lights, grid) = (lights(folder.path(), 1.0 / 240.0), utm(8, 3430.0));
    let field = lights_on(&lights, &grid, None).unwrap();
    for cell in 0..grid.len() {
        let step = |i: usize| (i as f64 + 0.5) / SAMPLES as f64;
        let place = |s: usize| ((cell / 8) as f64 + step(s / SAMPLES), (cell % 8) as f64 + step(s % SAMPLES));
        let points = (0..SAMPLES * SAMPLES).map(|s| grid.transform.to_world(place(s).0, place(s).1));
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = points.unzip();
        transform_points(&grid.crs, &lights.grid().crs, &mut x, &mut y).unwrap();
        let sampled: f64 = x
            .iter()
            .zip(&y)
            .map(|(&x, &y)| lights.grid().transform.to_pixel(x, y))
            .map(|(row, column)| f64::from(radiance(row as usize * lights.grid().width + column as usize)))
            .sum();
        let mean = sampled / (SAMPLES * SAMPLES) as f64;
        assert!((field.cover[cell] - 1.0).abs() < 1e-9, "cell {cell} lies inside the lights");
        assert!(
            (field.values[cell] - mean).abs() < TOLERANCE_NW_CM2_SR,
            "cell {cell}: {} and {mean}",
            field.values[cell]
        );
    }
}

fn heatmap(folder: &Path, score: impl Fn(usize) -> f32) -> viirs_corr::fields::Scores {
    let grid = utm(320, 20.0);
    let pixels: Vec<f32> = (0..grid.len()).map(|i| score(i / 320 / 16 * 20 + i % 320 / 16)).collect();
    let bands = ["score_share", "sd_share"].map(|name| BandOut { name, unit: "share", pixels: &pixels });
    let tags = [("CONTRACT", "heatmap/2"), ("TILE_SIDE_M", "320")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .to_vec();
    write_cog(&folder.join("heatmap.tif"), &grid, &bands, &CogOptions { tags, ..CogOptions::default() })
        .unwrap();
    read_scores(&folder.join("heatmap.tif")).unwrap()
}

#[test]
fn a_map_read_back_has_one_cell_a_tile() {
    let folder = tempfile::tempdir().unwrap();
    let scores = heatmap(folder.path(), |tile| tile as f32 / 400.0);
    assert_eq!((scores.grid.height, scores.grid.width, scores.grid.transform.pixel_width), (20, 20, 320.0));
    for (tile, value) in scores.field.values.iter().enumerate() {
        assert!((value - tile as f64 / 400.0).abs() < 1e-6 && scores.field.cover[tile] == 1.0);
    }
}

#[test]
fn tiles_finer_than_the_lights_are_averaged_onto_the_lights_own_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let (scores, lights) = (heatmap(folder.path(), |_| 0.625), lights(folder.path(), 0.01));
    let grid = target_grid(&scores.grid, &lights).unwrap();
    let (row, column) = lights.grid().offset_of(&grid).expect("the target is a part of the lights' grid");
    let light = lights_on(&lights, &grid, None).unwrap();
    let first = radiance(row as usize * lights.grid().width + column as usize);
    assert_eq!(light.values[0], f64::from(first), "radiance is not resampled");
    let score = scores_on(&scores, &grid).unwrap();
    let covered: Vec<usize> = (0..grid.len()).filter(|&cell| score.cover[cell] > 0.5).collect();
    assert!(covered.len() > 20 && covered.iter().all(|&cell| (score.values[cell] - 0.625).abs() < 1e-6));
}

#[test]
fn lights_finer_than_the_tiles_are_averaged_onto_the_tiles() {
    let folder = tempfile::tempdir().unwrap();
    let (scores, lights) = (heatmap(folder.path(), |_| 0.5), lights(folder.path(), 0.001));
    assert_eq!(target_grid(&scores.grid, &lights).unwrap(), scores.grid);
}
