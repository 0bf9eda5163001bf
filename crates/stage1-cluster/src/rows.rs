//! Rows of numbers and the squared distances between them: what k-means and the silhouette are made of.
//!
//! |x - c|² = |x|² + |c|² - 2 x·c, and the products of many rows with many centres are one product of matrices, by faer's
//! kernels (AVX-512 where there is). The subtraction loses digits where rows lie far from the origin beside what lies between
//! them, so such rows are centred first.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// Rows that go into one product: with a few hundred features they fit into a core's second cache. Fixed, so that results do not
/// depend on the number of threads.
pub const BLOCK: usize = 256;
/// Rows are centred if their mean is longer than this many of their spreads.
const FAR_FROM_ORIGIN: f64 = 1.0;
/// Independent sums that a dot product keeps: as many as the widest vector holds.
const LANES: usize = 16;

/// A table of rows, and the square of each row's length.
pub struct Rows<'a> {
    values: Cow<'a, [f32]>,
    n_rows: usize,
    dims: usize,
    squares: Vec<f32>,
    /// What was taken off every row to centre them.
    shift: Option<Vec<f64>>,
}

impl<'a> Rows<'a> {
    /// The rows of a matrix, copied only if they do not lie one after another or have to be centred. `[row, feature]`
    pub fn of(matrix: ArrayView2<'a, f32>) -> Self {
        let (n_rows, dims) = matrix.dim();
        let values =
            matrix.to_slice().map_or_else(|| Cow::Owned(matrix.iter().copied().collect()), Cow::Borrowed);
        Self::new(values, n_rows, dims).centred()
    }

    /// Rows from their values, as they are. `[row][feature]`
    pub fn owned(values: Vec<f32>, dims: usize) -> Rows<'static> {
        let n_rows = values.len() / dims.max(1);
        Rows::new(Cow::Owned(values), n_rows, dims)
    }

    /// A point among the rows, in the coordinates of the matrix that they came from.
    pub fn uncentred(&self, point: &[f32]) -> Vec<f32> {
        match &self.shift {
            Some(shift) => point.iter().zip(shift).map(|(x, s)| (f64::from(*x) + s) as f32).collect(),
            None => point.to_vec(),
        }
    }

    /// How many rows differ from all others before them, counted no further than `most`.
    pub fn n_distinct(&self, most: usize) -> usize {
        let mut seen = HashSet::new();
        for row in 0..self.n_rows {
            if seen.len() == most {
                break;
            }
            // Zero has two signs.
            seen.insert(self.row(row).iter().map(|x| (x + 0.0).to_bits()).collect::<Vec<_>>());
        }
        seen.len()
    }

    /// Some of the rows.
    pub fn pick(&self, rows: &[usize]) -> Rows<'static> {
        Rows::owned(rows.iter().flat_map(|&row| self.row(row).iter().copied()).collect(), self.dims)
    }

    fn new(values: Cow<'a, [f32]>, n_rows: usize, dims: usize) -> Self {
        let squares = values.par_chunks(dims.max(1)).map(|row| dot(row, row)).collect();
        Self { values, n_rows, dims, squares, shift: None }
    }

    fn centred(self) -> Self {
        let mean = self.mean();
        let mean_square: f64 = mean.iter().map(|m| m * m).sum();
        let whole: f64 = self.squares.iter().map(|&s| f64::from(s)).sum::<f64>() / self.n_rows.max(1) as f64;
        if mean_square <= FAR_FROM_ORIGIN * (whole - mean_square).max(0.0) {
            return self;
        }
        let near =
            |row: &[f32]| row.iter().zip(&mean).map(|(x, m)| (f64::from(*x) - m) as f32).collect::<Vec<_>>();
        let values = self.values.chunks(self.dims.max(1)).flat_map(near).collect();
        Self { shift: Some(mean), ..Self::new(Cow::Owned(values), self.n_rows, self.dims) }
    }

    /// The mean row. `[feature]`
    pub fn mean(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.dims];
        for row in 0..self.n_rows {
            add(&mut sums, self.row(row), 1.0);
        }
        sums.iter_mut().for_each(|sum| *sum /= self.n_rows.max(1) as f64);
        sums
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.n_rows
    }

    /// How many features.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// One row. `[feature]`
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.dims..(row + 1) * self.dims]
    }

    /// The squared length of a row.
    pub fn square(&self, row: usize) -> f32 {
        self.squares[row]
    }

    /// The squared lengths of the rows of a range.
    pub fn squares(&self, range: Range<usize>) -> &[f32] {
        &self.squares[range]
    }

    /// The rows of a range, one after another.
    pub fn slice(&self, range: Range<usize>) -> &[f32] {
        &self.values[range.start * self.dims..range.end * self.dims]
    }
}

/// `out[i, j] = Σ_d left[i, d] · right[j, d]`, single-threaded.
pub fn products(left: &[f32], right: &[f32], dims: usize, out: &mut [f32]) {
    let (n, m) = (left.len() / dims.max(1), right.len() / dims.max(1));
    let left = MatRef::from_row_major_slice(left, n, dims);
    let right = MatRef::from_row_major_slice(right, m, dims);
    let out = MatMut::from_row_major_slice_mut(&mut out[..n * m], n, m);
    matmul(out, Accum::Replace, left, right.transpose(), 1.0, Par::Seq);
}

/// Memory for [`squares_to`], kept from block to block.
#[derive(Default)]
pub struct Scratch {
    gathered: Vec<f32>,
    products: Vec<f32>,
}

/// Squared distances of some rows of a block to all centres, handed over row by row: `take(row, squares)`.
///
/// `wanted` are rows of the block in rising order. Where they are most of the block, its other rows are computed with
/// them and dropped: that is faster than to gather them.
pub fn squares_to(
    rows: &Rows,
    block: Range<usize>,
    wanted: &[usize],
    centres: &Rows,
    scratch: &mut Scratch,
    mut take: impl FnMut(usize, &[f32]),
) {
    let (dims, k) = (rows.dims, centres.len());
    let gather = wanted.len() * 4 < block.len() * 3;
    let n = if gather { wanted.len() } else { block.len() };
    scratch.products.resize(BLOCK.max(n) * k, 0.0);
    let left = if gather {
        scratch.gathered.clear();
        wanted.iter().for_each(|&row| scratch.gathered.extend_from_slice(rows.row(row)));
        scratch.gathered.as_slice()
    } else {
        rows.slice(block.clone())
    };
    products(left, centres.slice(0..k), dims, &mut scratch.products);
    for (i, &row) in wanted.iter().enumerate() {
        let at = if gather { i } else { row - block.start };
        let line = &mut scratch.products[at * k..(at + 1) * k];
        let square = rows.squares[row];
        for (value, &other) in line.iter_mut().zip(&centres.squares) {
            *value = (square + other - 2.0 * *value).max(0.0);
        }
        take(row, line);
    }
}

/// The ranges of rows that go through together.
pub fn blocks(n_rows: usize) -> impl IndexedParallelIterator<Item = Range<usize>> {
    (0..n_rows.div_ceil(BLOCK)).into_par_iter().map(move |i| i * BLOCK..((i + 1) * BLOCK).min(n_rows))
}

/// The squared distance of two rows, from their differences: exact where the rows are near each other.
pub fn square_between(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| x * y)
}

fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(&x, &y)| term(x, y)).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for (sum, (&x, &y)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += term(x, y);
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// `sums += factor · row`
pub fn add(sums: &mut [f64], row: &[f32], factor: f64) {
    for (sum, &x) in sums.iter_mut().zip(row) {
        *sum += factor * f64::from(x);
    }
}
