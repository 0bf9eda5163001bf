//! From rasters on disk to fields on one grid.

use std::ops::Range;
use std::path::Path;

use anyhow::{Context as _, ensure};
use contract::{HEATMAP, RasterSpec};
use raster::{Affine, Crs, Grid, Scaling, Source, Window, transform_points};
use rayon::prelude::*;

use crate::regrid::{Field, Place, overlaps, regrid};

/// Pixels of a raster that are held at a time.
pub(crate) const SLAB_PX: usize = 1 << 20;
/// As many at most, where blocks are large.
const MOST_SLAB_PX: usize = 1 << 24;

/// More cells than any map of tiles has.
const MOST_CELLS: usize = 1 << 24;

const CIRCLE_DEG: f64 = 360.0;

/// A heat map as means over cells of its tiles' size, in its own coordinate system.
pub struct Scores {
    /// The cells, from the north-west corner of the map.
    pub grid: Grid,
    /// Mean score and the share of the cell that has one.
    pub field: Field,
}

/// Reads a heat map.
///
/// # Errors
/// For a file that is no heat map of this version, or is damaged.
pub fn read_scores(path: &Path) -> anyhow::Result<Scores> {
    let source = Source::open(path)?;
    let tag = source.tag("", RasterSpec::TAG).unwrap_or_else(|| "no contract tag".to_owned());
    let maker = HEATMAP.made_by;
    ensure!(
        tag == HEATMAP.tag(),
        "{}: want raster {}, got {tag}; make it again with {maker}",
        path.display(),
        HEATMAP.tag()
    );
    let side =
        source.tag("", "TILE_SIDE_M").and_then(|text| text.parse::<f64>().ok()).filter(|side| *side > 0.0);
    let side_m = side.with_context(|| {
        format!(
            "{}: want the tag TILE_SIDE_M in metres, got none; make it again with {maker}",
            path.display()
        )
    })?;
    let t = source.grid().transform;
    area_means(&source, (side_m / t.pixel_height, side_m / t.pixel_width))
}

/// The first band of a raster as means over cells of some height and width in pixels, from its north-west corner.
///
/// # Errors
/// For a damaged file, and for cells smaller than pixels or more than any map has.
pub fn area_means(source: &Source, (height_px, width_px): (f64, f64)) -> anyhow::Result<Scores> {
    let (map, nodata) = (source.grid().clone(), source.nodata().map(|value| value as f32));
    let n_cells = (map.height as f64 / height_px).ceil() * (map.width as f64 / width_px).ceil();
    ensure!(
        height_px.min(width_px) > 0.5 && n_cells <= MOST_CELLS as f64,
        "{}: want at most {MOST_CELLS} cells of at least a pixel, found {n_cells} of {height_px} x {width_px} pixels; make the map again",
        source.path().display()
    );
    let rows = overlaps(map.height, height_px);
    let columns = overlaps(map.width, width_px);
    let cell_px = height_px * width_px;
    let mut field = Field::unknown(rows.len(), columns.len());
    let (block_height, _) = source.block_shape()?;
    let slab_height = (SLAB_PX / map.width).max(1).next_multiple_of(block_height);
    let slab_height = slab_height.min((MOST_SLAB_PX / map.width).max(1));
    let plain = !source.is_masked() && source.scaling(1) == Scaling::NONE;
    let mut pixels = Vec::new();
    for row in (0..map.height).step_by(slab_height) {
        let slab = Window { row, col: 0, height: slab_height.min(map.height - row), width: map.width };
        if plain {
            source.read_window_together(1, slab, &mut pixels)?;
        } else {
            source.read_values(1, slab, &mut pixels)?;
        }
        add_slab(&mut field, slab, &pixels, &rows, &columns, nodata);
    }
    for (value, cover) in field.values.iter_mut().zip(&mut field.cover) {
        if *cover > 0.0 {
            *value /= *cover;
            *cover = (*cover / cell_px).min(1.0);
        }
    }
    let transform = Affine {
        pixel_width: width_px * map.transform.pixel_width,
        pixel_height: height_px * map.transform.pixel_height,
        ..map.transform
    };
    Ok(Scores { grid: Grid { height: rows.len(), width: columns.len(), transform, crs: map.crs }, field })
}

/// Adds whole lines of pixels to the rows of cells that they lie in, a row of cells a task: first down, all columns of pixels side by side, then
/// across.
fn add_slab(
    field: &mut Field,
    slab: Window,
    pixels: &[f32],
    rows: &[(usize, Vec<f64>)],
    columns: &[(usize, Vec<f64>)],
    nodata: Option<f32>,
) {
    let width = field.width;
    let cells = field.values.par_chunks_mut(width).zip(field.cover.par_chunks_mut(width)).zip(rows);
    let touched = cells
        .filter(|(_, (first, lengths))| *first < slab.row + slab.height && slab.row < first + lengths.len());
    let new = || (vec![0.0; slab.width], vec![0.0; slab.width]);
    touched.for_each_init(new, |(sums, known), ((values, cover), (first, lengths))| {
        sums.fill(0.0);
        known.fill(0.0);
        for (line, &down) in (*first..).zip(lengths) {
            if let Some(at) = line.checked_sub(slab.row).filter(|at| *at < slab.height) {
                add_line(sums, known, &pixels[at * slab.width..][..slab.width], down, nodata);
            }
        }
        for ((value, cover), (first, lengths)) in values.iter_mut().zip(cover).zip(columns) {
            let weighted = |line: &[f64]| -> f64 {
                line[*first..].iter().zip(lengths).map(|(v, across)| v * across).sum()
            };
            *value += weighted(sums);
            *cover += weighted(known);
        }
    });
}

/// Adds one line of pixels, of which `down` counts, to the sums of its columns; without a branch, so that many go at once.
fn add_line(sums: &mut [f64], known: &mut [f64], line: &[f32], down: f64, nodata: Option<f32>) {
    // A value that is not a number is none already.
    let nodata = nodata.unwrap_or(f32::NAN);
    for ((sum, known), &pixel) in sums.iter_mut().zip(known).zip(line) {
        let there = !pixel.is_nan() & (pixel != nodata);
        *sum += if there { f64::from(pixel) * down } else { 0.0 };
        *known += if there { down } else { 0.0 };
    }
}

/// The grid on which map and lights are compared: the map's cells, or the lights' pixels where these are larger.
///
/// # Errors
/// Where the two do not lie on one globe or do not meet.
pub fn target_grid(map: &Grid, lights: &Source) -> anyhow::Result<Grid> {
    let window = window_over(map, lights)?;
    let middle = window.window((window.height / 2) as i64, (window.width / 2) as i64, 1, 1);
    let corners = places(&middle, map)?;
    let light_area_cells = quad_area(&corners);
    Ok(if light_area_cells > 1.0 { window } else { map.clone() })
}

/// Area of the quadrilateral of four corners listed row by row.
fn quad_area(corners: &[Place]) -> f64 {
    let across = |a: usize, b: usize| (corners[b].0 - corners[a].0, corners[b].1 - corners[a].1);
    let (first, second) = (across(0, 3), across(1, 2));
    (first.0 * second.1 - first.1 * second.0).abs() / 2.0
}

/// The field of scores on the target grid.
///
/// # Errors
/// Where a corner of the map has no place there.
pub fn scores_on(scores: &Scores, target: &Grid) -> anyhow::Result<Field> {
    if *target == scores.grid {
        return Ok(scores.field.clone());
    }
    let corners = places(&scores.grid, target)?;
    Ok(regrid(&scores.field, &corners, target.height, target.width))
}

/// The part of a raster that holds another grid, or as much of it as there is.
pub(crate) fn window_over(grid: &Grid, source: &Source) -> anyhow::Result<Grid> {
    let all = source.grid();
    let mut edge = places(&perimeter(grid), all)?;
    if all.crs.is_geographic() {
        // The same longitude counted once more round: grids may cross 180°.
        let around = CIRCLE_DEG / all.transform.pixel_width;
        let middle = all.width as f64 / 2.0;
        edge.iter_mut().for_each(|place| place.1 += around * ((middle - place.1) / around).round());
    }
    let span = |axis: fn(&Place) -> f64, n: usize| {
        let low = edge.iter().map(axis).fold(f64::INFINITY, f64::min).floor() - 1.0;
        let high = edge.iter().map(axis).fold(f64::NEG_INFINITY, f64::max).ceil() + 1.0;
        (low.clamp(0.0, n as f64) as usize, high.clamp(0.0, n as f64) as usize)
    };
    let (top, bottom) = span(|place| place.0, all.height);
    let (left, right) = span(|place| place.1, all.width);
    ensure!(
        top < bottom && left < right,
        "{}: want night lights over the map, got a raster that does not meet it; give the one of this region",
        source.path().display()
    );
    Ok(all.window(top as i64, left as i64, bottom - top, right - left))
}

/// The grid itself, or one of at most 64 cells a side over the same ground: its corners outline it closely enough.
fn perimeter(grid: &Grid) -> Grid {
    let (height, width) = (grid.height.min(64), grid.width.min(64));
    let transform = Affine {
        pixel_height: grid.transform.pixel_height * grid.height as f64 / height as f64,
        pixel_width: grid.transform.pixel_width * grid.width as f64 / width as f64,
        ..grid.transform
    };
    Grid { height, width, transform, crs: grid.crs.clone() }
}

/// The places in `target` of all corners of `grid`, row by row.
fn places(grid: &Grid, target: &Grid) -> anyhow::Result<Vec<Place>> {
    places_of(grid, 0..grid.height, target)
}

/// The places in `target` of the corners of some rows of `grid`.
pub(crate) fn places_of(grid: &Grid, rows: Range<usize>, target: &Grid) -> anyhow::Result<Vec<Place>> {
    let rows = rows.start..=rows.end;
    let corners = rows.flat_map(|row| (0..=grid.width).map(move |column| (row as f64, column as f64)));
    let (mut x, mut y): (Vec<f64>, Vec<f64>) =
        corners.map(|(row, column)| grid.transform.to_world(row, column)).unzip();
    if !grid.crs.same_as(&target.crs) {
        transform_points(&grid.crs, &target.crs, &mut x, &mut y)?;
    }
    Ok(x.iter().zip(&y).map(|(&x, &y)| target.transform.to_pixel(x, y)).collect())
}

/// Longitude and latitude of a grid's corners: north-west, north-east, south-east, south-west.
///
/// # Errors
/// Where a corner has no place on the globe.
pub fn corners_deg(grid: &Grid) -> anyhow::Result<[[f64; 2]; 4]> {
    let b = grid.bounds();
    let (mut x, mut y) = ([b.west, b.east, b.east, b.west], [b.north, b.north, b.south, b.south]);
    transform_points(&grid.crs, &Crs::wgs84()?, &mut x, &mut y)?;
    Ok(std::array::from_fn(|i| [x[i], y[i]]))
}

/// Side of a cell on the ground, the root of its area: in a system of degrees, of that in the middle of the grid.
#[must_use]
pub fn cell_km(grid: &Grid) -> f64 {
    /// Mean length of a degree of a great circle.
    const KM_PER_DEG: f64 = 111.195;
    let t = &grid.transform;
    let area = t.pixel_width * t.pixel_height;
    if !grid.crs.is_geographic() {
        return area.sqrt() / 1000.0;
    }
    let (_, lat_deg) = t.to_world(grid.height as f64 / 2.0, 0.0);
    (area * lat_deg.to_radians().cos()).sqrt() * KM_PER_DEG
}
