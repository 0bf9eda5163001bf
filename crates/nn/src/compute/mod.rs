//! Convolutions and what stands between them on plain slices of `f32`, for the processor: several times burn's own speed.
//!
//! Maps lie as `[picture, row, col, channel]`: a vector register holds neighbouring channels, so that every step, from the
//! transforms of Winograd's convolution to batch norm, reads and writes whole vectors. The widest instructions that
//! the processor has are chosen at run time (AVX-512, AVX2, or plain).
//!
//! **Same bits everywhere.** Every number is one chain of fused multiply-adds in an order that is fixed by the shapes of
//! one picture and the weights: not by the number of threads, and, without gradients, not by the other pictures of a batch.
//!
//! It leaves out devices other than the processor, numbers other than `f32`, and dilation.

// Rows and columns of small fixed blocks read best as indices, as in the papers.
#![allow(clippy::needless_range_loop)]

mod buffer;
mod depthwise;
mod gemm;
mod norm;
mod outer;
mod patches;
mod patches_gradient;
mod plan;
mod pool;
mod pool_gradient;
mod residual;
mod share;
mod winograd;
mod winograd_gradient;

use pulp::Simd;

pub(crate) use buffer::Buffer;
pub(crate) use depthwise::Depthwise;
pub(crate) use norm::Moments;
pub(crate) use patches::Patches;
pub use plan::Plan;
pub(crate) use plan::{Slot, Step};
pub(crate) use pool::{max_pool, means};
pub(crate) use residual::{PARAMETERS, Trace};
pub(crate) use winograd::Winograd;

/// Pictures, rows, columns, channels of maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub n: usize,
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Shape {
    /// Numbers in a row of a map.
    pub fn row(self) -> usize {
        self.width * self.channels
    }

    /// Numbers in the maps of a picture.
    pub fn picture(self) -> usize {
        self.height * self.row()
    }

    /// Numbers in all maps.
    pub fn len(self) -> usize {
        self.n * self.picture()
    }

    /// Rows of all pictures.
    pub fn rows(self) -> usize {
        self.n * self.height
    }
}

/// What happens to a convolution's output before it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Finish<'a> {
    /// Added to every pixel, one a channel.
    pub bias: Option<&'a [f32]>,
    /// Whether what the output holds already is added: a block's shortcut.
    pub adds: bool,
    pub activation: Activation,
}

/// What keeps a network from being linear.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Activation {
    #[default]
    Linear,
    Relu,
    /// Relu cut at 6.
    Relu6,
}

impl Activation {
    /// A number that is none stays none.
    #[inline(always)]
    pub fn of(self, x: f32) -> f32 {
        match self {
            Self::Linear => x,
            Self::Relu => {
                if x < 0.0 {
                    0.0
                } else {
                    x
                }
            }
            Self::Relu6 => x.clamp(0.0, 6.0),
        }
    }
}

/// A convolution's form: kernel and stride in both directions, and rows and columns of zeros before the map.
/// The output is the input divided by the stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    pub kernel: usize,
    pub stride: usize,
    pub before: usize,
}

impl Form {
    /// The output's shape.
    pub fn output(self, input: Shape, channels: usize) -> Shape {
        Shape { n: input.n, height: input.height / self.stride, width: input.width / self.stride, channels }
    }
}

/// As [`Activation::of`].
#[inline(always)]
fn activate<S: Simd>(simd: S, activation: Activation, x: S::f32s) -> S::f32s {
    let (zero, six) = (simd.splat_f32s(0.0), simd.splat_f32s(6.0));
    match activation {
        Activation::Linear => x,
        Activation::Relu => simd.select_f32s(simd.less_than_f32s(x, zero), zero, x),
        Activation::Relu6 => {
            let x = simd.select_f32s(simd.less_than_f32s(x, zero), zero, x);
            simd.select_f32s(simd.greater_than_f32s(x, six), six, x)
        }
    }
}

/// The vector that begins at a place.
#[inline(always)]
fn vector<S: Simd>(numbers: &[f32], at: usize) -> S::f32s {
    S::as_simd_f32s(&numbers[at..][..S::F32_LANES]).0[0]
}

/// The vector that begins at a place, to be written.
#[inline(always)]
fn vector_mut<S: Simd>(numbers: &mut [f32], at: usize) -> &mut S::f32s {
    &mut S::as_mut_simd_f32s(&mut numbers[at..][..S::F32_LANES]).0[0]
}
