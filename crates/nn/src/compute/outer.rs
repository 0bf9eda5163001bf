//! Products of matrices summed over their rows, as gradients of weights are.

use super::gemm::{PANEL_VECTORS, store};
use pulp::Simd;
use std::ops::Range;

/// Rows of a matrix that begin `step` numbers apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub numbers: &'a [f32],
    pub step: usize,
}

/// `out += leftᵀ · right` for columns `cols` of `left`, over `depth` rows. `out` is `[col][n_right]`, `n_right` a multiple
/// of 32.
#[inline(always)]
pub(super) fn multiply_outer<S: Simd>(
    simd: S,
    left: Rows<'_>,
    cols: Range<usize>,
    right: Rows<'_>,
    depth: usize,
    n_right: usize,
    out: &mut [f32],
) {
    for begin in (0..n_right).step_by(PANEL_VECTORS * S::F32_LANES) {
        let right = Rows { numbers: &right.numbers[begin..], ..right };
        let mut col = cols.start;
        macro_rules! blocks {
            ($cols:literal) => {
                while cols.end - col >= $cols {
                    let out = &mut out[(col - cols.start) * n_right + begin..];
                    let left = Rows { numbers: &left.numbers[col..], ..left };
                    block::<S, $cols>(simd, left, right, depth, n_right, out);
                    col += $cols;
                }
            };
        }
        if S::F32_LANES == 16 {
            blocks!(12);
            blocks!(8);
        }
        blocks!(6);
        blocks!(4);
        blocks!(2);
        blocks!(1);
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
