//! Made fields that are alike over a known distance and know nothing of each other: what tests of correlation are tried with (METHODS T7).

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

use crate::fft::Wave;
use crate::field_pair::FieldPair;

/// Times the side of a field that the field wraps around at, so that its own edges know nothing of each other.
const ROOM: usize = 4;

/// Normal numbers (Box and Muller 1958).
#[must_use]
pub fn noise(n: usize, chance: &mut ChaCha8Rng) -> Vec<f64> {
    let normal = |chance: &mut ChaCha8Rng| {
        let (a, b): (f64, f64) = (chance.random(), chance.random());
        (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    };
    (0..n).map(|_| normal(chance)).collect()
}

/// A field of `side` x `side` cells, a power of two, whose autocorrelation falls as exp(-distance / `length_cells`).
#[must_use]
pub fn field(side: usize, length_cells: f64, chance: &mut ChaCha8Rng) -> Vec<f64> {
    let large = ROOM * side;
    let white =
        Wave { height: large, width: large, re: noise(large * large, chance), im: vec![0.0; large * large] };
    let mut wave = white.forward();
    for i in 0..large * large {
        let frequency = |k: usize| k.min(large - k) as f64 / large as f64;
        let turns = frequency(i / large).hypot(frequency(i % large));
        // The spectrum of an exponential autocorrelation on a plane.
        let gain = (1.0 + (std::f64::consts::TAU * turns * length_cells).powi(2)).powf(-0.75);
        wave.re[i] *= gain;
        wave.im[i] *= gain;
    }
    let wave = wave.backward();
    (0..side * side).map(|i| wave.re[i / side * large + i % side]).collect()
}

/// Two fields on the same square, all of it known.
#[must_use]
pub fn pair(side: usize, xs: Vec<f64>, ys: Vec<f64>) -> FieldPair {
    FieldPair { height: side, width: side, cells: (0..side * side).collect(), xs, ys }
}
