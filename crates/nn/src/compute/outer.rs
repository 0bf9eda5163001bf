//! Products of matrices summed over their rows, as gradients of weights are.

use super::gemm::{PANEL_VECTORS, in_blocks, store};
use pulp::{Simd, WithSimd};
use std::ops::Range;

/// Rows of a matrix that begin `step` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub numbers: &'a [f32],
    pub step: usize,
}

/// `sums += leftᵀ · right` for columns `cols` of `left`, over `depth` rows. `sums` is `[col][n_right]`, `n_right` a multiple
/// of 32.
pub(super) struct Sum<'a> {
    pub left: Rows<'a>,
    pub cols: Range<usize>,
    pub right: Rows<'a>,
    pub depth: usize,
    pub n_right: usize,
    pub sums: &'a mut [f32],
}

impl WithSimd for Sum<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { left, cols, right, depth, n_right, sums } = self;
        for begin in (0..n_right).step_by(PANEL_VECTORS * S::F32_LANES) {
            let right = Rows { numbers: &right.numbers[begin..], ..right };
            in_blocks!(S::F32_LANES, cols, |col, COLS| {
                let sums = &mut sums[(col - cols.start) * n_right + begin..];
                let left = Rows { numbers: &left.numbers[col..], ..left };
                block::<S, COLS>(simd, left, right, depth, n_right, sums);
            });
        }
    }
}

#[inline(always)]
fn block<S: Simd, const COLS: usize>(
    simd: S,
    left: Rows<'_>,
    right: Rows<'_>,
    depth: usize,
    out_step: usize,
    out: &mut [f32],
) {
    let wide = PANEL_VECTORS * S::F32_LANES;
    let mut sums = [[simd.splat_f32s(0.0); PANEL_VECTORS]; COLS];
    for (r, sums) in sums.iter_mut().enumerate() {
        *sums = vectors::<S>(&out[r * out_step..][..wide]);
    }
    for k in 0..depth {
        let x = &left.numbers[k * left.step..][..COLS];
        let y = vectors::<S>(&right.numbers[k * right.step..][..wide]);
        for r in 0..COLS {
            let x = simd.splat_f32s(x[r]);
            sums[r][0] = simd.mul_add_f32s(x, y[0], sums[r][0]);
            sums[r][1] = simd.mul_add_f32s(x, y[1], sums[r][1]);
        }
    }
    for (r, sums) in sums.iter().enumerate() {
        store(simd, sums, &mut out[r * out_step..][..wide]);
    }
}

#[inline(always)]
fn vectors<S: Simd>(row: &[f32]) -> [S::f32s; PANEL_VECTORS] {
    let (v, _) = S::as_simd_f32s(row);
    [v[0], v[1]]
}
