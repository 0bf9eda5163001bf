//! The tiles of one granule as a table of cells on the ground.
//!
//! The edges of all tiles cut the ground into cells; a cell takes the mean of the tiles over it, which for tiles side by side is its one tile.
//! Edges that agree up to rounding are one edge, so tiles that touch leave neither gap nor overlap.

use raster::Bounds;

/// Edges this close are one: far above the rounding of coordinates, far below a pixel.
const SAME_EDGE_M: f64 = 1e-3;

/// A tile on the ground and its score, if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patch {
    /// Western edge.
    pub west_m: f64,
    /// Southern edge.
    pub south_m: f64,
    /// Eastern edge.
    pub east_m: f64,
    /// Northern edge.
    pub north_m: f64,
    /// Score from 0 to 1.
    pub score_share: Option<f64>,
    /// Standard deviation of the score.
    pub sd_share: Option<f64>,
    /// Whether the tile is unlike all that the score was learnt from.
    pub outside: Option<bool>,
}

impl Patch {
    /// East and north of the middle.
    #[must_use]
    pub fn centre_m(&self) -> (f64, f64) {
        ((self.west_m + self.east_m) / 2.0, (self.south_m + self.north_m) / 2.0)
    }
}

/// What is known of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Mean score of the tiles over it.
    pub score: f64,
    /// Mean variance of them.
    pub variance: Option<f64>,
    /// Share of them that are unlike all that the score was learnt from.
    pub outside: Option<f64>,
    /// The first of these tiles.
    pub tile: usize,
}

/// The cells of one granule, `[row, column]` from the north-west.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Eastings of the edges, west to east.
    pub xs_m: Vec<f64>,
    /// Northings of the edges, north to south.
    pub ys_m: Vec<f64>,
    cells: Vec<Option<Cell>>,
}

impl Layer {
    /// The cells of tiles of one coordinate system.
    ///
    /// # Panics
    /// Without tiles.
    #[must_use]
    pub fn of(patches: &[Patch]) -> Layer {
        assert!(!patches.is_empty(), "a layer has tiles");
        let xs_m = merged(patches.iter().flat_map(|p| [p.west_m, p.east_m]).collect());
        let mut ys_m = merged(patches.iter().flat_map(|p| [p.south_m, p.north_m]).collect());
        ys_m.reverse();
        let n_columns = xs_m.len() - 1;
        let mut sums = vec![Sum::default(); n_columns * (ys_m.len() - 1)];
        let mut order: Vec<usize> =
            (0..patches.len()).filter(|&i| patches[i].score_share.is_some()).collect();
        order.sort_by(|&a, &b| {
            key(&patches[a]).partial_cmp(&key(&patches[b])).unwrap_or(std::cmp::Ordering::Equal)
        });
        for i in order {
            let patch = &patches[i];
            let columns = nearest(&xs_m, patch.west_m, false)..nearest(&xs_m, patch.east_m, false);
            for row in nearest(&ys_m, patch.north_m, true)..nearest(&ys_m, patch.south_m, true) {
                sums[row * n_columns..][columns.clone()].iter_mut().for_each(|sum| sum.add(patch, i));
            }
        }
        Layer { xs_m, ys_m, cells: sums.iter().map(Sum::mean).collect() }
    }

    /// The cell in a row and column, if a tile with a score lies there.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Option<&Cell> {
        self.cells[row * (self.xs_m.len() - 1) + column].as_ref()
    }

    /// The cell over a point, if a tile with a score lies there.
    #[must_use]
    pub fn at(&self, east_m: f64, north_m: f64) -> Option<&Cell> {
        let b = self.bounds();
        let inside = b.west <= east_m && east_m < b.east && b.south < north_m && north_m <= b.north;
        inside.then(|| self.cell(self.row_of(north_m), self.column_of(east_m)))?
    }

    /// The column of cells at an easting, the nearest one outside.
    #[must_use]
    pub fn column_of(&self, east_m: f64) -> usize {
        self.xs_m.partition_point(|&x| x <= east_m).clamp(1, self.xs_m.len() - 1) - 1
    }

    /// The row of cells at a northing, the nearest one outside.
    #[must_use]
    pub fn row_of(&self, north_m: f64) -> usize {
        self.ys_m.partition_point(|&y| y >= north_m).clamp(1, self.ys_m.len() - 1) - 1
    }

    /// The rectangle of all tiles.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        let last = |edges: &[f64]| edges[edges.len() - 1];
        Bounds { west: self.xs_m[0], south: last(&self.ys_m), east: last(&self.xs_m), north: self.ys_m[0] }
    }
}

/// What tiles are summed up by, so that sums do not depend on the order of the input.
fn key(patch: &Patch) -> [f64; 6] {
    let known = |share: Option<f64>| share.unwrap_or(-1.0);
    [
        patch.south_m,
        patch.west_m,
        patch.north_m,
        patch.east_m,
        known(patch.score_share),
        known(patch.sd_share),
    ]
}

/// Sorted edges, those that agree up to rounding as one.
fn merged(mut edges: Vec<f64>) -> Vec<f64> {
    edges.sort_by(f64::total_cmp);
    edges.dedup_by(|next, kept| *next - *kept < SAME_EDGE_M);
    edges
}

/// The place of the edge nearest to one of a tile.
fn nearest(edges: &[f64], edge_m: f64, descending: bool) -> usize {
    let before = |&e: &f64| if descending { e - SAME_EDGE_M > edge_m } else { e + SAME_EDGE_M < edge_m };
    edges.partition_point(before)
}

#[derive(Clone, Default)]
struct Sum {
    score: f64,
    n: u32,
    variance: f64,
    n_variance: u32,
    outside: u32,
    n_outside: u32,
    tile: usize,
}

impl Sum {
    fn add(&mut self, patch: &Patch, tile: usize) {
        if self.n == 0 {
            self.tile = tile;
        }
        self.score += patch.score_share.unwrap_or_default();
        self.n += 1;
        if let Some(sd) = patch.sd_share {
            self.variance += sd * sd;
            self.n_variance += 1;
        }
        if let Some(outside) = patch.outside {
            self.outside += u32::from(outside);
            self.n_outside += 1;
        }
    }

    fn mean(&self) -> Option<Cell> {
        let of = |sum: f64, n: u32| (n > 0).then(|| sum / f64::from(n));
        Some(Cell {
            score: of(self.score, self.n)?,
            variance: of(self.variance, self.n_variance),
            outside: of(f64::from(self.outside), self.n_outside),
            tile: self.tile,
        })
    }
}
