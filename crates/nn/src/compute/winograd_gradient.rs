//! The gradient of a 3x3 convolution's weights through minimal filtering: the derivative of [`super::winograd`], so that
//! sums over pixels become a quarter as many sums over tiles.

use super::buffer::Buffer;
use super::outer::{Rows, Sum};
use super::winograd::{FILTER, GAP, IN, OUT, POINTS, Tiles, look};
use super::{Shape, vector, vector_mut};
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Tiles of a block at least; their products are summed before they go to memory.
const BLOCK_TILES: usize = 56;
/// Numbers of the blocks that are in memory together.
const CHUNK_NUMBERS: usize = 1 << 20;
/// Channels out whose gradients are brought back together.
const CHANNELS: usize = 32;

/// The gradient of weights `[channel out][channel in][row][col]` for a convolution of `x` whose output's gradient is `dz`.
///
/// # Shapes
/// - `x`: `shape`
/// - `dz`: `shape` with `n_out` channels, a multiple of 32
pub(crate) fn winograd_gradient(x: &[f32], shape: Shape, dz: &[f32], n_out: usize) -> Vec<f32> {
    let (tiles, n_in) = (Tiles::of(shape), shape.channels);
    let rows = BLOCK_TILES.div_ceil(tiles.across);
    let [of_x, of_dz] = [n_in, n_out].map(|channels| POINTS * (rows * tiles.across * channels + GAP));
    let n_blocks = tiles.rows().div_ceil(rows);
    let at_once = (CHUNK_NUMBERS / (of_x + of_dz)).clamp(1, n_blocks);
    let (mut seen, mut spread) = (Buffer::of(at_once * of_x), Buffer::of(at_once * of_dz));
    let mut sums = Buffer::zeros(POINTS * n_in * n_out);
    let cols = if n_in.is_multiple_of(32) { 32 } else { 16 };
    for first in (0..n_blocks).step_by(at_once) {
        let rows_of = |block: usize| (first + block) * rows..((first + block + 1) * rows).min(tiles.rows());
        let blocks = first..(first + at_once).min(n_blocks);
        let pairs = seen.par_chunks_exact_mut(of_x).zip(spread.par_chunks_exact_mut(of_dz));
        pairs.take(blocks.len()).enumerate().for_each(|(block, (seen, spread))| {
            let rows = rows_of(block);
            Arch::new().dispatch(Block { x, dz, shape, n_out, tiles, rows, seen, spread });
        });
        sums.par_chunks_exact_mut(cols * n_out).enumerate().for_each(|(task, sums)| {
            let (point, col) = (task * cols / n_in, task * cols % n_in);
            for block in 0..blocks.len() {
                let depth = rows_of(block).len() * tiles.across;
                let left = &seen[block * of_x + point * (depth * n_in + GAP)..];
                let right = &spread[block * of_dz + point * (depth * n_out + GAP)..];
                let (left, right) =
                    (Rows { numbers: left, step: n_in }, Rows { numbers: right, step: n_out });
                Arch::new().dispatch(Sum { left, cols: col..col + cols, right, depth, n_right: n_out, sums });
            }
        });
    }
    let mut gradient = Buffer::of(n_out * n_in * 9);
    gradient.par_chunks_mut(CHANNELS * n_in * 9).enumerate().for_each(|(i, out)| {
        Arch::new().dispatch(Back { sums: &sums, n_in, n_out, first: i * CHANNELS, out });
    });
    gradient.into_vec()
}

/// Transforms the tiles of rows of tiles.
struct Block<'a> {
    x: &'a [f32],
    dz: &'a [f32],
    shape: Shape,
    n_out: usize,
    tiles: Tiles,
    rows: Range<usize>,
    seen: &'a mut [f32],
    spread: &'a mut [f32],
}

impl WithSimd for Block<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { x, dz, shape, n_out, tiles, rows, seen, spread } = self;
        look(simd, x, shape, tiles, rows.clone(), seen);
        spread_out(simd, dz, Shape { channels: n_out, ..shape }, tiles, rows, spread);
    }
}

/// Transforms tiles of the output's gradient, `A dz Aᵀ`, to `[point][tile][channel]`.
#[inline(always)]
fn spread_out<S: Simd>(
    simd: S,
    dz: &[f32],
    shape: Shape,
    tiles: Tiles,
    rows: Range<usize>,
    spread: &mut [f32],
) {
    let step = rows.len() * tiles.across * shape.channels + GAP;
    for (i, row) in rows.enumerate() {
        let picture = &dz[row / tiles.down * shape.picture()..][..shape.picture()];
        let top = row % tiles.down * OUT;
        for across in 0..tiles.across {
            let to = (i * tiles.across + across) * shape.channels;
            for c in (0..shape.channels).step_by(S::F32_LANES) {
                let mut d = [[simd.splat_f32s(0.0); IN]; OUT];
                for r in 0..OUT.min(shape.height - top) {
                    let mut line = [simd.splat_f32s(0.0); OUT];
                    for col in 0..OUT.min(shape.width - across * OUT) {
                        let at = (top + r) * shape.row() + (across * OUT + col) * shape.channels + c;
                        line[col] = vector::<S>(picture, at);
                    }
                    d[r] = spread_line(simd, line);
                }
                for col in 0..IN {
                    let line = spread_line(simd, [d[0][col], d[1][col], d[2][col], d[3][col]]);
                    for (r, v) in line.into_iter().enumerate() {
                        *vector_mut::<S>(spread, (r * IN + col) * step + to + c) = v;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn spread_line<S: Simd>(simd: S, y: [S::f32s; OUT]) -> [S::f32s; IN] {
    let (two, four) = (simd.splat_f32s(2.0), simd.splat_f32s(4.0));
    let (even, odd) = (simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
    let far_even = simd.mul_add_f32s(four, y[2], y[0]);
    let far_odd = simd.mul_f32s(two, simd.mul_add_f32s(four, y[3], y[1]));
    [
        y[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        simd.add_f32s(far_even, far_odd),
        simd.sub_f32s(far_even, far_odd),
        y[3],
    ]
}

/// Brings the gradients of transformed weights back, `GᵀuG`, for some channels out.
struct Back<'a> {
    sums: &'a [f32],
    n_in: usize,
    n_out: usize,
    first: usize,
    out: &'a mut [f32],
}

impl NullaryFnOnce for Back<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { sums, n_in, n_out, first, out } = self;
        for i in 0..n_in {
            let mut half = [[[0.0_f32; CHANNELS]; IN]; 3];
            for r in 0..IN {
                for c in 0..IN {
                    let u = &sums[((r * IN + c) * n_in + i) * n_out + first..][..CHANNELS];
                    for k in 0..3 {
                        for lane in 0..CHANNELS {
                            half[k][c][lane] += FILTER[r][k] * u[lane];
                        }
                    }
                }
            }
            for k in 0..3 {
                for l in 0..3 {
                    let mut g = [0.0_f32; CHANNELS];
                    for c in 0..IN {
                        for lane in 0..CHANNELS {
                            g[lane] += FILTER[c][l] * half[k][c][lane];
                        }
                    }
                    for (lane, g) in g.into_iter().enumerate() {
                        out[(lane * n_in + i) * 9 + k * 3 + l] = g;
                    }
                }
            }
        }
    }
}
