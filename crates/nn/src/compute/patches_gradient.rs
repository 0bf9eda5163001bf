//! Gradients of convolutions of any kernel and stride: the derivative of [`super::patches`].

use super::buffer::Buffer;
use super::gemm::{Packed, Panels, multiply};
use super::outer::{Rows, Sum};
use super::patches::gather;
use super::share::with_scratch;
use super::{Form, Shape};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Numbers of the gathered input that are in memory together.
const CHUNK_NUMBERS: usize = 5 << 18;
/// Rows of the weights that a task sums.
const TASK_ROWS: usize = 48;
/// Channels out whose gradients are brought into order together.
const CHANNELS: usize = 16;
/// Pixels whose gradients are brought back together, at least.
const TASK_PIXELS: usize = 24;

/// The gradient of weights `[channel out][channel in][row][col]` for a convolution of `x` whose output's gradient is `dz`.
///
/// # Shapes
/// - `x`: `shape`
/// - `dz`: `form`'s output of `n_out` channels, a multiple of 32
pub(crate) fn patches_gradient(x: &[f32], shape: Shape, form: Form, dz: &[f32], n_out: usize) -> Vec<f32> {
    let to = form.output(shape, n_out);
    let depth = form.kernel * form.kernel * shape.channels;
    let sums = if shape.channels < 16 {
        narrow_sums(x, shape, form, dz, to)
    } else {
        wide_sums(x, shape, form, dz, to)
    };
    let (taps, n_in) = (form.kernel * form.kernel, shape.channels);
    let mut gradient = Buffer::of(depth * n_out);
    gradient.par_chunks_mut(CHANNELS * depth).enumerate().for_each(|(task, out)| {
        for tap in 0..taps {
            for i in 0..n_in {
                let sums = &sums[(tap * n_in + i) * n_out + task * CHANNELS..];
                for (out, sum) in out.chunks_exact_mut(depth).zip(sums) {
                    out[i * taps + tap] = *sum;
                }
            }
        }
    });
    gradient.into_vec()
}

/// Sums over pixels of the input under the kernel times the output's gradient, `[kernel row, kernel col, channel in][channel
/// out]`: by gathering the input.
fn wide_sums(x: &[f32], shape: Shape, form: Form, dz: &[f32], to: Shape) -> Buffer {
    let (n_out, depth) = (to.channels, form.kernel * form.kernel * shape.channels);
    let rows_at_once = (CHUNK_NUMBERS / (to.width * depth)).clamp(1, to.rows());
    let mut gathered = Buffer::of(rows_at_once * to.width * depth);
    let mut sums = Buffer::zeros(depth * n_out);
    for first in (0..to.rows()).step_by(rows_at_once) {
        let rows = first..(first + rows_at_once).min(to.rows());
        let lines = gathered.par_chunks_exact_mut(to.width * depth).zip(rows.clone());
        lines.for_each(|(out, row)| gather(x, shape, form, to, row..row + 1, out));
        let (left, right) = (Rows { numbers: &gathered, step: depth }, &dz[first * to.row()..]);
        sums.par_chunks_mut(TASK_ROWS * n_out).enumerate().for_each(|(task, sums)| {
            let cols = task * TASK_ROWS..(task * TASK_ROWS + sums.len() / n_out);
            let right = Rows { numbers: right, step: n_out };
            Arch::new().dispatch(Sum {
                left,
                cols,
                right,
                depth: rows.len() * to.width,
                n_right: n_out,
                sums,
            });
        });
    }
    sums
}

/// The same for few channels, where the input under a row of the kernel lies together once the map has a border.
fn narrow_sums(x: &[f32], shape: Shape, form: Form, dz: &[f32], to: Shape) -> Buffer {
    let line = form.kernel * shape.channels;
    let (height, width) = (shape.height + form.kernel, shape.width + form.kernel);
    let padded = Shape { height, width, ..shape };
    let mut framed = Buffer::zeros(padded.len());
    framed.par_chunks_exact_mut(padded.picture()).zip(x.par_chunks_exact(shape.picture())).for_each(
        |(out, x)| {
            let lines = out.chunks_exact_mut(padded.row()).skip(form.before).zip(x.chunks_exact(shape.row()));
            lines.for_each(|(out, x)| out[form.before * shape.channels..][..shape.row()].copy_from_slice(x));
        },
    );
    let mut sums = Buffer::zeros(form.kernel * line * to.channels);
    sums.par_chunks_exact_mut(line * to.channels).enumerate().for_each(|(kernel_row, sums)| {
        for row in 0..to.rows() {
            let (picture, row_in) = (row / to.height, row % to.height * form.stride + kernel_row);
            let left = &framed[picture * padded.picture() + row_in * padded.row()..];
            let left = Rows { numbers: left, step: form.stride * shape.channels };
            let right = Rows { numbers: &dz[row * to.row()..], step: to.channels };
            Arch::new().dispatch(Sum {
                left,
                cols: 0..line,
                right,
                depth: to.width,
                n_right: to.channels,
                sums,
            });
        }
    });
    sums
}

/// Adds to `dx` the gradient of the input of a convolution whose weights are `[channel out][channel in][row][col]`.
///
/// # Shapes
/// - `dz`: `form`'s output
/// - `dx`: `shape`
pub(crate) fn add_input_gradient(
    dz: &[f32],
    form: Form,
    weights: &[f32],
    n_out: usize,
    dx: &mut [f32],
    shape: Shape,
) {
    let (kernel, n_in) = (form.kernel, shape.channels);
    let (to, taps) = (form.output(shape, n_out), kernel * kernel);
    let turned = Packed::of(n_out, taps * n_in, |o, first, row| {
        for (j, x) in row.iter_mut().enumerate() {
            let (tap, i) = ((first + j) / n_in, (first + j) % n_in);
            *x = weights[(o * n_in + i) * taps + tap];
        }
    });
    let pictures = dx.par_chunks_exact_mut(shape.picture()).zip(dz.par_chunks_exact(to.picture()));
    pictures.for_each(|(dx, dz)| {
        let rows = TASK_PIXELS.div_ceil(to.width);
        with_scratch(rows * to.width * taps * n_in, |scratch| {
            for top in (0..to.height).step_by(rows) {
                let rows = top..(top + rows).min(to.height);
                let right = turned.view();
                Arch::new().dispatch(Scatter { dz, form, to, rows, right, scratch, dx, shape });
            }
        });
    });
}

struct Scatter<'a> {
    dz: &'a [f32],
    form: Form,
    to: Shape,
    rows: Range<usize>,
    right: Panels<'a>,
    scratch: &'a mut [f32],
    dx: &'a mut [f32],
    shape: Shape,
}

impl WithSimd for Scatter<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { dz, form, to, rows, right, scratch, dx, shape } = self;
        let n_pixels = rows.len() * to.width;
        multiply(simd, &dz[rows.start * to.row()..], to.channels, n_pixels, right, scratch);
        let mut taps = scratch.chunks_exact(shape.channels);
        for row in rows {
            for col in 0..to.width {
                for r in 0..form.kernel {
                    for c in 0..form.kernel {
                        let Some(tap) = taps.next() else { return };
                        let y =
                            (row * form.stride + r).checked_sub(form.before).filter(|&y| y < shape.height);
                        let x = (col * form.stride + c).checked_sub(form.before).filter(|&x| x < shape.width);
                        let (Some(y), Some(x)) = (y, x) else { continue };
                        let out = &mut dx[y * shape.row() + x * shape.channels..][..shape.channels];
                        out.iter_mut().zip(tap).for_each(|(out, tap)| *out += tap);
                    }
                }
            }
        }
    }
}
