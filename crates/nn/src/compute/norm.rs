//! Batch norm while training, Ioffe and Szegedy 2015: statistics of the batch, what they do to maps, and their gradients.

use super::Shape;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

/// Pixels whose sums stay in single precision.
const BLOCK_PIXELS: usize = 32;

/// A mean and a variance a channel.
#[derive(Clone, Debug)]
pub(crate) struct Moments {
    pub mean: Vec<f32>,
    pub variance: Vec<f32>,
}

/// Mean and variance (by n) of every channel.
pub(crate) fn moments(z: &[f32], shape: Shape) -> Moments {
    let squares = |block: &[f32], [sum, square]: [&mut [f32]; 2]| {
        for pixel in block.chunks_exact(shape.channels) {
            for ((x, sum), square) in pixel.iter().zip(&mut *sum).zip(&mut *square) {
                *sum += x;
                *square += x * x;
            }
        }
    };
    let n = (shape.len() / shape.channels) as f64;
    let [sum, square] = sums(shape, |i, sums| squares(&z[i.clone()], sums));
    let mean: Vec<f64> = sum.iter().map(|s| s / n).collect();
    let variance = square.iter().zip(&mean).map(|(s, m)| (s / n - m * m).max(0.0) as f32).collect();
    Moments { mean: mean.iter().map(|&m| m as f32).collect(), variance }
}

/// Sums of two numbers a channel over all pixels; `add` adds a range of numbers to sums in single precision.
fn sums(shape: Shape, add: impl Fn(std::ops::Range<usize>, [&mut [f32]; 2]) + Sync) -> [Vec<f64>; 2] {
    let (channels, block) = (shape.channels, BLOCK_PIXELS * shape.channels);
    let of_picture = |picture: usize| {
        let mut total = vec![0.0_f64; 2 * channels];
        let (mut begin, end) = (picture * shape.picture(), (picture + 1) * shape.picture());
        while begin < end {
            let mut part = vec![0.0_f32; 2 * channels];
            let (a, b) = part.split_at_mut(channels);
            let range = begin..(begin + block).min(end);
            Arch::new().dispatch(Call(|| add(range, [a, b])));
            total.iter_mut().zip(&part).for_each(|(total, part)| *total += f64::from(*part));
            begin += block;
        }
        total
    };
    let parts: Vec<Vec<f64>> = (0..shape.n).into_par_iter().map(of_picture).collect();
    let mut total = vec![0.0; 2 * channels];
    for part in parts {
        total.iter_mut().zip(part).for_each(|(total, part)| *total += part);
    }
    let second = total.split_off(channels);
    [total, second]
}

/// A closure compiled for every kind of processor.
struct Call<F>(F);

impl<F: FnOnce()> NullaryFnOnce for Call<F> {
    type Output = ();
    #[inline(always)]
    fn call(self) {
        (self.0)();
    }
}

/// `y = scale z + shift`, with a shortcut added and cut at zero where wanted.
pub(crate) fn normalise(
    z: &[f32],
    shape: Shape,
    (scale, shift): (&[f32], &[f32]),
    (shortcut, relu): (Option<&[f32]>, bool),
    y: &mut [f32],
) {
    y.par_chunks_mut(shape.row()).enumerate().for_each(|(row, y)| {
        let range = row * shape.row()..(row + 1) * shape.row();
        let (z, shortcut) = (&z[range.clone()], shortcut.map(|s| &s[range]));
        Arch::new().dispatch(Normalise { z, scale, shift, shortcut, relu, y });
    });
}

struct Normalise<'a> {
    z: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    shortcut: Option<&'a [f32]>,
    relu: bool,
    y: &'a mut [f32],
}

impl NullaryFnOnce for Normalise<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { z, scale, shift, shortcut, relu, y } = self;
        let channels = scale.len();
        for (y, z) in y.chunks_exact_mut(channels).zip(z.chunks_exact(channels)) {
            for (((y, z), a), b) in y.iter_mut().zip(z).zip(scale).zip(shift) {
                *y = z.mul_add(*a, *b);
            }
        }
        if let Some(shortcut) = shortcut {
            y.iter_mut().zip(shortcut).for_each(|(y, s)| *y += s);
        }
        if relu {
            y.iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
    }
}

/// Cuts the gradient where the output was cut (`y`, if it was), and gives the sums of the gradient and of its products
/// with `z`, a channel.
pub(crate) fn gate(d: &mut [f32], y: Option<&[f32]>, z: &[f32], shape: Shape) -> [Vec<f64>; 2] {
    if let Some(y) = y {
        d.par_chunks_mut(shape.row()).zip(y.par_chunks(shape.row())).for_each(|(d, y)| {
            Arch::new().dispatch(Call(
                #[inline(always)]
                || d.iter_mut().zip(y).for_each(|(d, y)| *d = if *y > 0.0 { *d } else { 0.0 }),
            ));
        });
    }
    let d = &*d;
    sums(shape, |range, [sum, product]| {
        let pairs = d[range.clone()].chunks_exact(shape.channels).zip(z[range].chunks_exact(shape.channels));
        for (d, z) in pairs {
            for (((d, z), sum), product) in d.iter().zip(z).zip(&mut *sum).zip(&mut *product) {
                *sum += d;
                *product += d * z;
            }
        }
    })
}

/// Gradients of a batch norm.
pub(crate) struct NormGradient {
    pub gamma: Vec<f32>,
    pub beta: Vec<f32>,
}

/// Turns `z` into its gradient, from the gradient `d` of the norm's output and the sums of [`gate`].
pub(crate) fn through(
    d: &[f32],
    [sum, product]: [Vec<f64>; 2],
    (moments, gamma, epsilon): (&Moments, &[f32], f64),
    z: &mut [f32],
    shape: Shape,
) -> NormGradient {
    let n = (shape.len() / shape.channels) as f64;
    let mut factors = [vec![0.0_f32; shape.channels], vec![0.0; shape.channels], vec![0.0; shape.channels]];
    let mut of_gamma = vec![0.0_f32; shape.channels];
    for c in 0..shape.channels {
        let mean = f64::from(moments.mean[c]);
        let inverse = 1.0 / (f64::from(moments.variance[c]) + epsilon).sqrt();
        let slope = inverse * (product[c] - mean * sum[c]);
        of_gamma[c] = slope as f32;
        // dz = γ/σ (d - mean d - (z - mean z)/σ · slope/n)
        let outer = f64::from(gamma[c]) * inverse;
        factors[0][c] = outer as f32;
        factors[1][c] = (-outer * inverse * slope / n) as f32;
        factors[2][c] = (-outer * sum[c] / n + outer * inverse * slope / n * mean) as f32;
    }
    let [of_d, of_z, rest] = &factors;
    z.par_chunks_mut(shape.row()).zip(d.par_chunks(shape.row())).for_each(|(z, d)| {
        Arch::new().dispatch(Call(
            #[inline(always)]
            || {
                for (z, d) in z.chunks_exact_mut(shape.channels).zip(d.chunks_exact(shape.channels)) {
                    for ((((z, d), a), b), c) in z.iter_mut().zip(d).zip(of_d).zip(of_z).zip(rest) {
                        *z = d.mul_add(*a, z.mul_add(*b, *c));
                    }
                }
            },
        ));
    });
    NormGradient { gamma: of_gamma, beta: sum.iter().map(|&s| s as f32).collect() }
}
