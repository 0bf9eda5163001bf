//! Products of matrices, in blocks that stay in registers: the left side broadcast, the right side in vectors.

use super::buffer::Buffer;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Vectors of a panel of the right side.
pub(super) const PANEL_VECTORS: usize = 2;

/// Runs a body for blocks of a range, each as large as registers allow and known when the program is compiled: 12 x 2
/// accumulators, two vectors and a broadcast fit 32 registers, 6 x 2 fit 16.
macro_rules! in_blocks {
    ($lanes:expr, $range:expr, |$at:ident, $SIZE:ident| $body:block) => {{
        let mut $at = $range.start;
        if $lanes == 16 {
            in_blocks!(@sizes 12 8, $range, $at, $SIZE, $body);
        }
        in_blocks!(@sizes 6 4 2 1, $range, $at, $SIZE, $body);
    }};
    (@sizes $($size:literal)+, $range:expr, $at:ident, $SIZE:ident, $body:block) => {
        $({
            const $SIZE: usize = $size;
            while $range.end - $at >= $SIZE {
                $body
                $at += $SIZE;
            }
        })+
    };
}
pub(super) use in_blocks;

/// The right side of products, cut into panels as wide as two vectors, each panel row after row, filled up with zeros.
#[derive(Clone, Debug, Default)]
pub(crate) struct Packed {
    n_rows: usize,
    n_cols: usize,
    numbers: Buffer,
}

/// Columns of a panel on this processor.
pub(crate) fn panel_cols() -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    PANEL_VECTORS * Arch::new().dispatch(Lanes)
}

impl Packed {
    /// Packs a matrix; `fill` writes a part of a row, from a column on.
    pub fn of(n_rows: usize, n_cols: usize, fill: impl Fn(usize, usize, &mut [f32]) + Sync) -> Self {
        let wide = panel_cols();
        let mut numbers = Buffer::of(Self::len(n_rows, n_cols));
        numbers.par_chunks_exact_mut(wide).with_min_len(64).enumerate().for_each(|(i, row)| {
            let (first, k) = (i / n_rows * wide, i % n_rows);
            let (inside, outside) = row.split_at_mut(wide.min(n_cols - first));
            fill(k, first, inside);
            outside.fill(0.0);
        });
        Self { n_rows, n_cols, numbers }
    }

    /// Numbers of a packed matrix.
    pub fn len(n_rows: usize, n_cols: usize) -> usize {
        n_cols.next_multiple_of(panel_cols()) * n_rows
    }

    pub fn view(&self) -> Panels<'_> {
        let step = self.n_rows * panel_cols();
        Panels { n_rows: self.n_rows, n_cols: self.n_cols, step, numbers: &self.numbers }
    }
}

/// A packed matrix.
#[derive(Clone, Copy)]
pub(crate) struct Panels<'a> {
    pub n_rows: usize,
    pub n_cols: usize,
    /// Numbers from a panel's begin to the next one's.
    pub step: usize,
    pub numbers: &'a [f32],
}

/// `out = left · right`; rows of `left` begin `left_step` numbers apart, rows of `out` as many as `right` has columns.
///
/// Every number of `out` is one chain of multiply-adds along a row of `left`, so it does not depend on `n_rows`.
#[inline(always)]
pub(crate) fn multiply<S: Simd>(
    simd: S,
    left: &[f32],
    left_step: usize,
    n_rows: usize,
    right: Panels<'_>,
    out: &mut [f32],
) {
    let wide = PANEL_VECTORS * S::F32_LANES;
    for p in 0..right.n_cols.div_ceil(wide) {
        let panel = &right.numbers[p * right.step..][..right.n_rows * wide];
        let (begin, n_cols) = (p * wide, wide.min(right.n_cols - p * wide));
        let rows = 0..n_rows;
        in_blocks!(S::F32_LANES, rows, |row, ROWS| {
            let at = Block { begin, n_cols, step: right.n_cols };
            let (left, out) = (&left[row * left_step..], &mut out[row * right.n_cols..]);
            if n_cols > S::F32_LANES {
                block::<S, ROWS, PANEL_VECTORS>(simd, left, left_step, panel, right.n_rows, at, out);
            } else {
                block::<S, ROWS, 1>(simd, left, left_step, panel, right.n_rows, at, out);
            }
        });
    }
}

/// Where a block's columns lie in the output.
#[derive(Clone, Copy)]
struct Block {
    begin: usize,
    n_cols: usize,
    step: usize,
}

#[inline(always)]
fn block<S: Simd, const ROWS: usize, const VECTORS: usize>(
    simd: S,
    left: &[f32],
    left_step: usize,
    panel: &[f32],
    depth: usize,
    at: Block,
    out: &mut [f32],
) {
    let mut rows: [&[f32]; ROWS] = [&[]; ROWS];
    for (r, row) in rows.iter_mut().enumerate() {
        *row = &left[r * left_step..][..depth];
    }
    let (panel, _) = pulp::as_arrays::<PANEL_VECTORS, _>(S::as_simd_f32s(panel).0);
    let panel = &panel[..depth];
    let mut sums = [[simd.splat_f32s(0.0); VECTORS]; ROWS];
    for k in 0..depth {
        for r in 0..ROWS {
            let x = simd.splat_f32s(rows[r][k]);
            for v in 0..VECTORS {
                sums[r][v] = simd.mul_add_f32s(x, panel[k][v], sums[r][v]);
            }
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        store(simd, sums, &mut out[r * at.step + at.begin..][..at.n_cols]);
    }
}

#[inline(always)]
pub(super) fn store<S: Simd, const VECTORS: usize>(simd: S, sums: &[S::f32s; VECTORS], out: &mut [f32]) {
    if let (out, []) = S::as_mut_simd_f32s(out) {
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = *sum;
        }
        return;
    }
    for (out, sum) in out.chunks_mut(S::F32_LANES).zip(sums) {
        simd.partial_store_f32s(out, *sum);
    }
}
