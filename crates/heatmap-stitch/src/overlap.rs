//! Ground seen by two granules: which tiles share it, and how much.

use raster::{Bounds, Crs, transform_points};

use crate::layer::{Layer, Patch};
use crate::place::image_of;

/// Sample points a tile's side when shared ground is measured.
const SAMPLES: usize = 10;

/// A granule: its name, its coordinate system, its tiles, and their table.
#[derive(Clone, Debug)]
pub struct Granule {
    /// The id.
    pub name: String,
    /// The coordinate system of the tiles.
    pub crs: Crs,
    /// The tiles.
    pub patches: Vec<Patch>,
    /// The same as cells.
    pub layer: Layer,
}

/// Two tiles of two granules with ground in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// The granules, the first with the lower number.
    pub granules: [usize; 2],
    /// The tiles' places in them.
    pub tiles: [usize; 2],
    /// The common ground in tiles of the first granule.
    pub area_tiles: f64,
}

/// All pairs of tiles with a score that share ground, by granule and tile.
///
/// # Errors
/// Where a granule has no image in the coordinate system of another that it may overlap.
pub fn pairs(granules: &[Granule]) -> raster::Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for first in 0..granules.len() {
        for second in first + 1..granules.len() {
            pairs.extend(between(granules, first, second)?);
        }
    }
    Ok(pairs)
}

fn between(granules: &[Granule], first: usize, second: usize) -> raster::Result<Vec<Pair>> {
    let (one, other) = (&granules[first], &granules[second]);
    if !one.crs.same_as(&other.crs) && !near(one, other) {
        return Ok(Vec::new());
    }
    let image = image_of(&other.layer.bounds(), &other.crs, &one.crs)?;
    let meets = |p: &Patch| {
        p.west_m < image.east && image.west < p.east_m && p.south_m < image.north && image.south < p.north_m
    };
    let tiles: Vec<usize> = (0..one.patches.len())
        .filter(|&i| one.patches[i].score_share.is_some() && meets(&one.patches[i]))
        .collect();
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = tiles.iter().flat_map(|&i| samples(&one.patches[i])).unzip();
    if !one.crs.same_as(&other.crs) {
        transform_points(&one.crs, &other.crs, &mut x, &mut y)?;
    }
    let mut pairs = Vec::new();
    for (n, &tile) in tiles.iter().enumerate() {
        let points = n * SAMPLES * SAMPLES..(n + 1) * SAMPLES * SAMPLES;
        let mut seen: Vec<usize> =
            points.filter_map(|i| other.layer.at(x[i], y[i]).map(|cell| cell.tile)).collect();
        seen.sort_unstable();
        for same in seen.chunk_by(|a, b| a == b) {
            let area_tiles = same.len() as f64 / (SAMPLES * SAMPLES) as f64;
            pairs.push(Pair { granules: [first, second], tiles: [tile, same[0]], area_tiles });
        }
    }
    Ok(pairs)
}

/// Points spread evenly over a tile.
fn samples(patch: &Patch) -> impl Iterator<Item = (f64, f64)> + '_ {
    let share = |i: usize| (i as f64 + 0.5) / SAMPLES as f64;
    (0..SAMPLES * SAMPLES).map(move |i| {
        let east = patch.west_m + share(i % SAMPLES) * (patch.east_m - patch.west_m);
        (east, patch.north_m - share(i / SAMPLES) * (patch.north_m - patch.south_m))
    })
}

/// Whether two granules may overlap on the globe: far ones need not have an image in each other's system.
fn near(one: &Granule, other: &Granule) -> bool {
    let globe = |granule: &Granule| {
        Crs::wgs84().and_then(|wgs84| image_of(&granule.layer.bounds(), &granule.crs, &wgs84))
    };
    let meet = |a: &Bounds, b: &Bounds| {
        a.west <= b.east && b.west <= a.east && a.south <= b.north && b.south <= a.north
    };
    match (globe(one), globe(other)) {
        (Ok(a), Ok(b)) => meet(&a, &b),
        _ => false,
    }
}
