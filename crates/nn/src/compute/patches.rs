//! Convolutions as one product of matrices: the input under the kernel, a row a pixel, times the weights.

use super::gemm::{Packed, multiply};
use super::share::{share, units_a_task, with_scratch};
use super::{Finish, Form, Shape};
use pulp::{Arch, Simd, WithSimd};
use std::ops::Range;

/// Numbers of the gathered input of a task, which should stay in a core's own cache.
const TASK_NUMBERS: usize = 250_000;

/// A convolution of any kernel and stride.
#[derive(Clone, Debug)]
pub(crate) struct Patches {
    form: Form,
    n_out: usize,
    /// `[kernel row, kernel col, channel in][channel out]`
    weights: Packed,
}

impl Patches {
    /// Of weights given by row and column of the kernel, channel in and channel out.
    pub fn of(
        form: Form,
        n_in: usize,
        n_out: usize,
        at: impl Fn(usize, usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let kernel = form.kernel;
        let fill = |k: usize, first: usize, row: &mut [f32]| {
            let (tap, i) = (k / n_in, k % n_in);
            let (r, c) = (tap / kernel, tap % kernel);
            for (j, x) in row.iter_mut().enumerate() {
                *x = at(r, c, i, first + j);
            }
        };
        Self { form, n_out, weights: Packed::of(kernel * kernel * n_in, n_out, fill) }
    }

    /// The output's shape.
    pub fn output(&self, input: Shape) -> Shape {
        self.form.output(input, self.n_out)
    }

    /// # Shapes
    /// - `x`: `shape`
    /// - `out`: [`Patches::output`]
    pub fn run(&self, x: &[f32], shape: Shape, finish: Finish<'_>, out: &mut [f32]) {
        let to = self.output(shape);
        let depth = self.weights.view().n_rows;
        let most = (TASK_NUMBERS / (depth * to.width)).max(1);
        let least = 48_usize.div_ceil(to.width);
        let rows = units_a_task(to.rows(), least, most.max(least));
        share(
            out,
            to.rows(),
            rows,
            |row| row * to.row(),
            |rows, out| {
                let n_gathered = if self.reads_in_place() { 0 } else { rows.len() * to.width * depth };
                with_scratch(n_gathered, |gathered| {
                    Arch::new().dispatch(Task { conv: self, x, shape, to, rows, finish, gathered, out });
                });
            },
        );
    }

    fn reads_in_place(&self) -> bool {
        self.form.kernel == 1 && self.form.stride == 1
    }
}

struct Task<'a> {
    conv: &'a Patches,
    x: &'a [f32],
    shape: Shape,
    to: Shape,
    rows: Range<usize>,
    finish: Finish<'a>,
    gathered: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, shape, to, rows, finish, gathered, out } = self;
        let (depth, n_pixels) = (conv.weights.view().n_rows, rows.len() * to.width);
        let left = if conv.reads_in_place() {
            &x[rows.start * shape.row()..][..n_pixels * depth]
        } else {
            gather(x, shape, conv.form, to, rows, gathered);
            &*gathered
        };
        if finish.adds {
            // The product overwrites the output, so it goes through memory of its own.
            let mut made = vec![0.0; out.len()];
            multiply(simd, left, depth, n_pixels, conv.weights.view(), &mut made);
            out.iter_mut().zip(&made).for_each(|(out, made)| *out += made);
        } else {
            multiply(simd, left, depth, n_pixels, conv.weights.view(), out);
        }
        complete(finish, to.channels, out);
    }
}

/// The input under the kernel for every pixel of rows of the output: `[pixel][kernel row, kernel col, channel]`.
#[inline(always)]
pub(super) fn gather(
    x: &[f32],
    from: Shape,
    form: Form,
    to: Shape,
    rows: Range<usize>,
    gathered: &mut [f32],
) {
    let line = form.kernel * from.channels;
    let mut lines = gathered.chunks_exact_mut(line);
    for row in rows {
        let picture = &x[row / to.height * from.picture()..][..from.picture()];
        for col in 0..to.width {
            let left = (col * form.stride) as isize - form.before as isize;
            for k in 0..form.kernel {
                let Some(out) = lines.next() else { return };
                let source = (row % to.height * form.stride + k).checked_sub(form.before);
                let Some(source) = source.filter(|&r| r < from.height) else {
                    out.fill(0.0);
                    continue;
                };
                let begin = left.max(0) as usize;
                let end = ((left + form.kernel as isize) as usize).min(from.width);
                let skip = (begin as isize - left) as usize * from.channels;
                let n = (end - begin) * from.channels;
                out[..skip].fill(0.0);
                out[skip..skip + n]
                    .copy_from_slice(&picture[source * from.row() + begin * from.channels..][..n]);
                out[skip + n..].fill(0.0);
            }
        }
    }
}

/// Adds the bias and activates.
#[inline(always)]
fn complete(finish: Finish<'_>, channels: usize, out: &mut [f32]) {
    let activation = finish.activation;
    let Some(bias) = finish.bias else {
        out.iter_mut().for_each(|x| *x = activation.of(*x));
        return;
    };
    for pixel in out.chunks_exact_mut(channels) {
        pixel.iter_mut().zip(bias).for_each(|(x, b)| *x = activation.of(*x + b));
    }
}
