//! Convolutions of every channel by itself.

use super::share::{share, units_a_task};
use super::{Finish, Form, Shape, activate, vector, vector_mut};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Pixels that share a load of the weights.
const PIXELS: usize = 4;

/// A convolution of every channel by itself.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    form: Form,
    channels: usize,
    /// `[kernel row, kernel col][channel]`
    weights: Vec<f32>,
}

impl Depthwise {
    /// Of weights given by row and column of the kernel and channel.
    pub fn of(form: Form, channels: usize, at: impl Fn(usize, usize, usize) -> f32) -> Self {
        let taps = (0..form.kernel).flat_map(|r| (0..form.kernel).map(move |c| (r, c)));
        let weights =
            taps.flat_map(|(r, c)| (0..channels).map(move |i| (r, c, i))).map(|(r, c, i)| at(r, c, i));
        Self { form, channels, weights: weights.collect() }
    }

    /// The output's shape.
    pub fn output(&self, input: Shape) -> Shape {
        self.form.output(input, self.channels)
    }

    /// # Shapes
    /// - `x`: `shape`
    /// - `out`: rows and columns divided by the stride
    pub fn run(&self, x: &[f32], shape: Shape, finish: Finish<'_>, out: &mut [f32]) {
        let to = self.output(shape);
        let rows = units_a_task(to.rows(), 2, to.height);
        share(
            out,
            to.rows(),
            rows,
            |row| row * to.row(),
            |rows, out| {
                Arch::new().dispatch(Task { conv: self, x, shape, to, rows, finish, out });
            },
        );
    }
}

struct Task<'a> {
    conv: &'a Depthwise,
    x: &'a [f32],
    shape: Shape,
    to: Shape,
    rows: Range<usize>,
    finish: Finish<'a>,
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, shape, to, rows, finish, out } = self;
        for (row, out) in rows.zip(out.chunks_exact_mut(to.row())) {
            let picture = &x[row / to.height * shape.picture()..][..shape.picture()];
            let line = Line { conv, picture, shape, top: row % to.height * conv.form.stride };
            let mut col = 0;
            while col < to.width {
                let left = col * conv.form.stride;
                let inside = left >= conv.form.before
                    && left + (PIXELS - 1) * conv.form.stride + conv.form.kernel
                        <= shape.width + conv.form.before;
                if inside && col + PIXELS <= to.width {
                    line.pixels::<S, PIXELS>(simd, col, finish, &mut out[col * to.channels..]);
                    col += PIXELS;
                } else {
                    line.pixels::<S, 1>(simd, col, finish, &mut out[col * to.channels..]);
                    col += 1;
                }
            }
        }
    }
}

/// What a row of the output is made of.
struct Line<'a> {
    conv: &'a Depthwise,
    picture: &'a [f32],
    shape: Shape,
    top: usize,
}

impl Line<'_> {
    /// Some pixels from `col` on; more than one only where the kernel lies inside of the map's columns.
    #[inline(always)]
    fn pixels<S: Simd, const N: usize>(&self, simd: S, col: usize, finish: Finish<'_>, out: &mut [f32]) {
        let Form { kernel, stride, before } = self.conv.form;
        let channels = self.conv.channels;
        let at_row = |r: usize| (self.top + r).checked_sub(before).filter(|&r| r < self.shape.height);
        let at_col = |c: usize| (col * stride + c).checked_sub(before).filter(|&c| c < self.shape.width);
        for c in (0..channels).step_by(S::F32_LANES) {
            let mut sums = [match finish.bias {
                Some(bias) => vector::<S>(bias, c),
                None => simd.splat_f32s(0.0),
            }; N];
            for r in 0..kernel {
                let Some(row) = at_row(r) else { continue };
                for k in 0..kernel {
                    let Some(first) = at_col(k) else { continue };
                    let weight = vector::<S>(&self.conv.weights, (r * kernel + k) * channels + c);
                    let begin = row * self.shape.row() + first * channels + c;
                    for (i, sum) in sums.iter_mut().enumerate() {
                        let x = vector::<S>(self.picture, begin + i * stride * channels);
                        *sum = simd.mul_add_f32s(x, weight, *sum);
                    }
                }
            }
            for (i, sum) in sums.into_iter().enumerate() {
                let out = vector_mut::<S>(out, i * channels + c);
                let sum = if finish.adds { simd.add_f32s(sum, *out) } else { sum };
                *out = activate(simd, finish.activation, sum);
            }
        }
    }
}
