//! Gradients of [`super::pool`].

use super::Shape;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// The gradient of [`super::max_pool`]'s input: a window's gradient goes to the first of its largest numbers.
///
/// # Shapes
/// - `x`, `dx`: `shape`
/// - `pooled`, `d`: half as many rows and columns
pub(crate) fn max_pool_gradient(x: &[f32], shape: Shape, pooled: &[f32], d: &[f32], dx: &mut [f32]) {
    let to = Shape { height: shape.height / 2, width: shape.width / 2, ..shape };
    let inputs = dx.par_chunks_exact_mut(shape.picture()).zip(x.par_chunks_exact(shape.picture()));
    let outputs = pooled.par_chunks_exact(to.picture()).zip(d.par_chunks_exact(to.picture()));
    inputs.zip(outputs).for_each(|((dx, x), (pooled, d))| {
        Arch::new().dispatch(Picture { x, shape, pooled, d, to, dx });
    });
}

struct Picture<'a> {
    x: &'a [f32],
    shape: Shape,
    pooled: &'a [f32],
    d: &'a [f32],
    to: Shape,
    dx: &'a mut [f32],
}

impl NullaryFnOnce for Picture<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { x, shape, pooled, d, to, dx } = self;
        let channels = shape.channels;
        let mut left = vec![0.0_f32; channels];
        dx.fill(0.0);
        for (i, (largest, d)) in pooled.chunks_exact(channels).zip(d.chunks_exact(channels)).enumerate() {
            let (row, col) = (i / to.width, i % to.width);
            left.copy_from_slice(d);
            for r in (2 * row).saturating_sub(1)..(2 * row + 2).min(shape.height) {
                for c in (2 * col).saturating_sub(1)..(2 * col + 2).min(shape.width) {
                    let at = r * shape.row() + c * channels;
                    let pixel = x[at..][..channels].iter().zip(&mut dx[at..][..channels]);
                    for (((x, dx), largest), left) in pixel.zip(largest).zip(&mut left) {
                        let taken = if x == largest { *left } else { 0.0 };
                        *dx += taken;
                        *left -= taken;
                    }
                }
            }
        }
    }
}

/// The gradient of the maps whose means have the gradient `d`, `[picture][channel]`.
pub(crate) fn means_gradient(d: &[f32], shape: Shape, dx: &mut [f32]) {
    let share = 1.0 / (shape.height * shape.width) as f32;
    for (dx, d) in dx.chunks_exact_mut(shape.picture()).zip(d.chunks_exact(shape.channels)) {
        for pixel in dx.chunks_exact_mut(shape.channels) {
            pixel.iter_mut().zip(d).for_each(|(dx, d)| *dx = d * share);
        }
    }
}
