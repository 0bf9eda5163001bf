//! Constant fill of tiles on one grid, from any number of granules and coordinate systems.
//!
//! A pixel takes the score of the tile that holds its centre. Where granules overlap it takes their mean, each weighted by the distance to its own
//! edge (feathering), so that no edge of a granule shows; standard deviations are combined as their root mean square with the same weights. A pixel
//! between two granules that miss each other by a few pixels (the rest that cutting into tiles drops) takes the mean of the nearest tiles. Within a
//! tile nothing is interpolated.
//!
//! Where one granule of the map's own coordinate system lies alone, rows between two tile edges are equal: each such stripe is computed once and
//! copied, and the work is bound by memory. Elsewhere the places of pixels in a granule's system are interpolated between exact ones
//! [`MESH_PX`] pixels apart, which is right to a hundredth of a pixel.

use std::ops::Range;

use raster::{Affine, Bounds, Crs, Grid, Window};
use rayon::prelude::*;

pub use crate::layer::{Layer, Patch};
use crate::place::{Axis, Placed};

/// Marks a pixel without a value.
pub const NODATA: f32 = -9999.0;

/// The largest map that is drawn. Only its packed blocks are held.
pub const MAX_PIXELS: usize = 1 << 33;

/// Pixels between two exact places of a reprojected granule.
pub const MESH_PX: usize = 32;

/// A tile edge this close to a pixel centre, in pixels, counts as on it, so that tiles that share an edge up to
/// rounding share it exactly.
pub(crate) const EDGE_TOLERANCE_PX: f64 = 1e-6;

/// Weight of a granule at its very edge, in metres of distance, so that ground seen once keeps its value.
const LEAST_WEIGHT_M: f64 = 1.0;

/// Rows that one thread paints at a time.
const ROWS_AT_ONCE: usize = 64;

/// The bands of a map, `[row, column]`, [`NODATA`] where no tile has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Score from 0 to 1.
    pub score_share: Vec<f32>,
    /// Standard deviation of the score.
    pub sd_share: Vec<f32>,
    /// Granules whose scores the pixel combines.
    pub scenes: Vec<f32>,
    /// Weight of tiles that are unlike all that the score was learnt from.
    pub outside_share: Vec<f32>,
}

/// The bands of a part of a map; one that is not wanted is empty.
pub struct Bands<'a> {
    /// Score.
    pub score: &'a mut [f32],
    /// Standard deviation.
    pub sd: &'a mut [f32],
    /// Granules.
    pub scenes: &'a mut [f32],
    /// Outside.
    pub outside: &'a mut [f32],
}

/// How granules are joined.
#[derive(Clone, Copy, Debug)]
pub struct Joining {
    /// Distance from its edge over which a granule gains weight; 0 for the plain mean.
    pub feather_m: f64,
    /// Ground without a tile this close to tiles of two granules takes their mean.
    pub close_gaps_m: f64,
}

/// The smallest grid that holds all patches, with or without a score, its edges on multiples of the pixel.
/// `None` without patches, or if it would have more than [`MAX_PIXELS`].
#[must_use]
pub fn grid_around(patches: &[Patch], pixel_m: f64, crs: &Crs) -> Option<Grid> {
    let least = |edge: fn(&Patch) -> f64| patches.iter().map(edge).fold(f64::INFINITY, f64::min);
    let most = |edge: fn(&Patch) -> f64| patches.iter().map(edge).fold(f64::NEG_INFINITY, f64::max);
    let bounds = Bounds {
        west: least(|p| p.west_m),
        south: least(|p| p.south_m),
        east: most(|p| p.east_m),
        north: most(|p| p.north_m),
    };
    grid_over(&bounds, pixel_m, crs)
}

/// The smallest grid that holds a rectangle, its edges on multiples of the pixel; `None` if it would have no pixel, or more than [`MAX_PIXELS`].
#[must_use]
pub fn grid_over(bounds: &Bounds, pixel_m: f64, crs: &Crs) -> Option<Grid> {
    let down = |edge_m: f64| (edge_m / pixel_m + EDGE_TOLERANCE_PX).floor();
    let up = |edge_m: f64| (edge_m / pixel_m - EDGE_TOLERANCE_PX).ceil();
    let (west, north) = (down(bounds.west), up(bounds.north));
    let (height, width) = (north - down(bounds.south), up(bounds.east) - west);
    let fits = height >= 1.0 && width >= 1.0 && height * width <= MAX_PIXELS as f64;
    fits.then(|| Grid {
        height: height as usize,
        width: width as usize,
        transform: Affine {
            west: west * pixel_m,
            north: north * pixel_m,
            pixel_width: pixel_m,
            pixel_height: pixel_m,
        },
        crs: crs.clone(),
    })
}

/// The map of the patches of one coordinate system on a grid of it, where tiles overlap their plain mean. Their order does not matter; parts outside
/// the grid are not drawn.
#[must_use]
pub fn stitch(patches: &[Patch], grid: &Grid) -> HeatMap {
    let layers = if patches.is_empty() { Vec::new() } else { vec![Layer::of(patches)] };
    let placed = layers.iter().map(|layer| Placed::aligned(layer, grid, 0.0)).collect();
    Mosaic { grid, placed, joining: Joining { feather_m: 0.0, close_gaps_m: 0.0 } }.whole()
}

/// Granules placed on a grid.
pub struct Mosaic<'a> {
    grid: &'a Grid,
    placed: Vec<Placed<'a>>,
    joining: Joining,
}

impl<'a> Mosaic<'a> {
    /// Places granules, each with its coordinate system, on a grid.
    ///
    /// # Errors
    /// Where a granule has no image in the grid's coordinate system.
    pub fn of(layers: &'a [(Crs, Layer)], grid: &'a Grid, joining: Joining) -> raster::Result<Self> {
        let place = |(crs, layer): &'a (Crs, Layer)| Placed::on(layer, crs, grid, joining.close_gaps_m);
        Ok(Mosaic { grid, placed: layers.iter().map(place).collect::<raster::Result<_>>()?, joining })
    }

    /// The whole map.
    #[must_use]
    pub fn whole(&self) -> HeatMap {
        let n = self.grid.len();
        let new = || vec![0.0_f32; n];
        let mut map = HeatMap { score_share: new(), sd_share: new(), scenes: new(), outside_share: new() };
        let part = ROWS_AT_ONCE * self.grid.width;
        map.score_share
            .par_chunks_mut(part)
            .zip(map.sd_share.par_chunks_mut(part))
            .zip(map.scenes.par_chunks_mut(part))
            .zip(map.outside_share.par_chunks_mut(part))
            .enumerate()
            .for_each(|(i, (((score, sd), scenes), outside))| {
                let (row, width) = (i * ROWS_AT_ONCE, self.grid.width);
                let window = Window { row, col: 0, height: score.len() / width, width };
                self.paint(window, &mut Bands { score, sd, scenes, outside });
            });
        map
    }

    /// Paints a window of the map.
    pub fn paint(&self, window: Window, bands: &mut Bands<'_>) {
        let touching: Vec<&Placed<'_>> =
            self.placed.iter().filter(|placed| placed.touches(&window)).collect();
        match touching[..] {
            [] => bands.blank(),
            [Placed { layer, axes: Some((rows, columns)), .. }] => {
                stripes(layer, rows, columns, window, bands)
            }
            _ => self.blend(&touching, window, bands),
        }
    }

    fn blend(&self, touching: &[&Placed<'_>], window: Window, bands: &mut Bands<'_>) {
        let mut line = vec![Blend::default(); window.width];
        for row in 0..window.height {
            line.fill(Blend::default());
            for placed in touching {
                placed.along(window.row + row, window.col..window.col + window.width, |column, spot| {
                    line[column - window.col].add(&spot, &self.joining);
                });
            }
            for (column, blend) in line.iter().enumerate() {
                let pixel = row * window.width + column;
                bands.set(pixel..pixel + 1, blend);
            }
        }
    }
}

impl Bands<'_> {
    /// The bands that are wanted, each with its place among the values of a pixel.
    fn wanted(&mut self) -> impl Iterator<Item = (usize, &mut [f32])> {
        let all = [&mut *self.score, &mut *self.sd, &mut *self.scenes, &mut *self.outside];
        all.into_iter().enumerate().filter(|(_, band)| !band.is_empty())
    }

    fn blank(&mut self) {
        self.wanted().for_each(|(_, band)| band.fill(NODATA));
    }

    fn set(&mut self, pixels: Range<usize>, blend: &Blend) {
        let values = blend.values();
        self.wanted().for_each(|(i, band)| band[pixels.clone()].fill(values[i]));
    }
}

/// One granule alone: a line of pixels for each row of cells, copied down.
fn stripes(layer: &Layer, rows: &Axis, columns: &Axis, window: Window, bands: &mut Bands<'_>) {
    let width = window.width;
    let across = runs(columns, window.col, width);
    for (Range { start: row, end }, cell_row) in runs(rows, window.row, window.height) {
        for (run, cell_column) in &across {
            let cell = cell_row.zip(*cell_column).and_then(|(r, c)| layer.cell(r, c));
            let pixels = row * width + run.start..row * width + run.end;
            bands.set(pixels, &cell.map_or_else(Blend::default, Blend::alone));
        }
        for (_, band) in bands.wanted() {
            let (line, rest) = band[row * width..end * width].split_at_mut(width);
            rest.chunks_exact_mut(width).for_each(|next| next.copy_from_slice(line));
        }
    }
}

/// The bands of a pixel over one cell, or none.
pub(crate) fn alone(cell: Option<&crate::layer::Cell>) -> [f32; 4] {
    cell.map_or_else(Blend::default, Blend::alone).values()
}

/// The pixels of a window along one axis by the cell that they lie in.
fn runs(axis: &Axis, first: usize, n: usize) -> Vec<(Range<usize>, Option<usize>)> {
    let mut runs: Vec<(Range<usize>, Option<usize>)> = Vec::new();
    for pixel in 0..n {
        let cell = axis.cell(first + pixel);
        match runs.last_mut() {
            Some((run, of)) if *of == cell => run.end = pixel + 1,
            _ => runs.push((pixel..pixel + 1, cell)),
        }
    }
    runs
}

/// A granule's cell at a pixel.
pub(crate) struct Spot<'a> {
    pub cell: &'a crate::layer::Cell,
    /// Distance to the granule's nearest edge; negative outside of it.
    pub edge_m: f64,
    pub inside: bool,
}

/// Weighted sums of a pixel.
#[derive(Clone, Copy, Default)]
struct Blend {
    inside: Sums,
    n: u32,
    near: Sums,
    n_near: u32,
}

#[derive(Clone, Copy, Default)]
struct Sums {
    weight: f64,
    score: f64,
    variance: f64,
    variance_weight: f64,
    outside: f64,
    outside_weight: f64,
}

impl Blend {
    fn alone(cell: &crate::layer::Cell) -> Blend {
        let mut blend = Blend { n: 1, ..Blend::default() };
        blend.inside.add(cell, 1.0);
        blend
    }

    fn add(&mut self, spot: &Spot<'_>, joining: &Joining) {
        if spot.inside {
            let ramp = spot.edge_m.min(joining.feather_m).max(LEAST_WEIGHT_M);
            self.inside.add(spot.cell, if joining.feather_m > 0.0 { ramp } else { 1.0 });
            self.n += 1;
        } else if -spot.edge_m <= joining.close_gaps_m {
            self.near.add(spot.cell, 1.0);
            self.n_near += 1;
        }
    }

    fn values(&self) -> [f32; 4] {
        let (sums, n) = match (self.n, self.n_near) {
            (0, 2..) => (&self.near, self.n_near),
            (n, _) => (&self.inside, n),
        };
        let mean = |sum: f64, weight: f64| (weight > 0.0).then(|| sum / weight);
        let shown = |value: Option<f64>| value.map_or(NODATA, |value| value as f32);
        [
            shown(mean(sums.score, sums.weight)),
            shown(mean(sums.variance, sums.variance_weight).map(f64::sqrt)),
            if n == 0 { NODATA } else { n as f32 },
            shown(mean(sums.outside, sums.outside_weight)),
        ]
    }
}

impl Sums {
    fn add(&mut self, cell: &crate::layer::Cell, weight: f64) {
        self.weight += weight;
        self.score += weight * cell.score;
        if let Some(variance) = cell.variance {
            self.variance += weight * variance;
            self.variance_weight += weight;
        }
        if let Some(outside) = cell.outside {
            self.outside += weight * outside;
            self.outside_weight += weight;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
