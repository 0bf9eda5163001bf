//! How much a correlation of two fields is worth when neighbouring cells are alike.
//!
//! Three answers, none of which takes cells as independent:
//! - the effective number of cells, by the modified t-test (Clifford, Richardson and Hémon 1989): with the autocorrelations ρ of both fields, the
//!   correlation of independent ones has the variance Σ_h N_h ρx_h ρy_h / n² over all lags h, of which N_h pairs of cells are apart; all lags come
//!   from five Fourier transforms, in O(n log n);
//! - a null by permutation of phases (Theiler and others 1992): the score's field with its spectrum and with phases drawn anew is as smooth as the
//!   score and knows nothing of the light;
//! - an interval by drawing whole blocks of cells, with sides as long as the fields are alike.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::correlate::pearson;
use crate::fft::Wave;
use crate::field_pair::FieldPair;

/// Lags with fewer pairs than this share of the cells are left out: their autocorrelation is mostly chance.
const LEAST_LAG_SHARE: f64 = 0.25;
/// Fields are taken as alike up to the lag at which both have lost this much of their autocorrelation.
const ALIKE: f64 = 0.2;
/// An interval wants at least so many blocks.
const LEAST_BLOCKS: usize = 12;
/// The effective number of cells below which there is no test.
const LEAST_EFFECTIVE: f64 = 4.0;

/// The sums over all lags of a field with itself, and the number of pairs, both `[row, column]` with negative lags at the far ends.
pub struct Lags {
    height: usize,
    width: usize,
    counts: Vec<f64>,
    xs: Vec<f64>,
    ys: Vec<f64>,
}

impl Lags {
    /// Of both fields of a pair.
    #[must_use]
    pub fn of(pair: &FieldPair) -> Lags {
        let mut known = vec![0.0; pair.height * pair.width];
        pair.cells.iter().for_each(|&cell| known[cell] = 1.0);
        let power = |values: &[f64]| {
            let mut wave = Wave::padded(pair.height, pair.width, values).forward();
            for (re, im) in wave.re.iter_mut().zip(&mut wave.im) {
                (*re, *im) = (*re * *re + *im * *im, 0.0);
            }
            wave
        };
        let counts = power(&known).backward();
        // Both powers are real and even, and so are their fields: one transform carries both.
        let (mut both, ys) = (power(&pair.spread(&pair.xs)), power(&pair.spread(&pair.ys)));
        both.im = ys.re;
        let both = both.backward();
        Lags { height: both.height, width: both.width, counts: counts.re, xs: both.re, ys: both.im }
    }

    /// The number of independent cells that would give a correlation of the same precision; at most the number of cells.
    #[must_use]
    pub fn effective_n(&self) -> f64 {
        let n = self.counts[0];
        let usual = self
            .counts
            .iter()
            .map(|count| count.round())
            .enumerate()
            .filter(|(_, count)| *count >= LEAST_LAG_SHARE * n);
        let sum: f64 = usual.map(|(lag, count)| self.xs[lag] * self.ys[lag] / count).sum();
        if sum <= 0.0 { n } else { (1.0 + self.xs[0] * self.ys[0] / sum).min(n) }
    }

    /// The lag in cells, up to a quarter of the shorter side, at which the product of both autocorrelations falls below [`ALIKE`], in rows and columns on average.
    #[must_use]
    pub fn alike_cells(&self) -> usize {
        let farthest = (self.height.min(self.width) / 8).max(1);
        let correlation = |lag: usize| {
            let of = |sums: &[f64]| sums[lag] / self.counts[lag].max(1.0) / (sums[0] / self.counts[0]);
            of(&self.xs).max(0.0) * of(&self.ys).max(0.0)
        };
        let mean = |cells: usize| (correlation(cells) + correlation(cells * self.width)) / 2.0;
        (1..farthest).find(|&cells| mean(cells) < ALIKE * ALIKE).unwrap_or(farthest)
    }
}

/// The two-sided p value of a correlation of `effective_n` independent cells; `None` where they are too few.
#[must_use]
pub fn p_of(r: f64, effective_n: f64) -> Option<f64> {
    if effective_n < LEAST_EFFECTIVE {
        return None;
    }
    let freedom = effective_n - 2.0;
    let t2 = r * r * freedom / (1.0 - r * r).max(f64::MIN_POSITIVE);
    Some(incomplete_beta(freedom / 2.0, 0.5, freedom / (freedom + t2)))
}

/// The share of fields with the score's spectrum and other phases that correlate with the light at least as strongly, and how many were drawn.
///
/// # Panics
/// If `draws` is 0.
#[must_use]
pub fn p_of_phases(pair: &FieldPair, draws: usize, seed: u64) -> Option<f64> {
    assert!(draws > 0, "a null has draws");
    let found = pearson(&pair.xs, &pair.ys)?.abs();
    let wave = Wave::padded(pair.height, pair.width, &pair.spread(&pair.ys)).forward();
    let size: Vec<f64> = wave.re.iter().zip(&wave.im).map(|(re, im)| re.hypot(*im)).collect();
    let place = |cell: usize| cell / pair.width * wave.width + cell % pair.width;
    let n_above: usize = (0..draws.div_ceil(2))
        .into_par_iter()
        .map(|draw| {
            // A stream of its own for each draw, whichever thread makes it.
            let mut chance = ChaCha8Rng::seed_from_u64(seed);
            chance.set_stream(draw as u64);
            let drawn = of_other_phases(&wave, &size, &mut chance);
            let beats = |part: &[f64]| {
                let ys: Vec<f64> = pair.cells.iter().map(|&cell| part[place(cell)]).collect();
                usize::from(pearson(&pair.xs, &ys).is_some_and(|r| r.abs() >= found))
            };
            beats(&drawn.re) + beats(&drawn.im)
        })
        .sum();
    Some((n_above + 1) as f64 / (2 * draws.div_ceil(2) + 1) as f64)
}

/// A field of a spectrum's sizes: independent phases give a complex one, its two parts two independent draws.
fn of_other_phases(wave: &Wave, size: &[f64], chance: &mut ChaCha8Rng) -> Wave {
    let (mut re, mut im) = (Vec::with_capacity(size.len()), Vec::with_capacity(size.len()));
    for size in size {
        let (sin, cos) = (chance.random::<f64>() * std::f64::consts::TAU).sin_cos();
        re.push(size * cos);
        im.push(size * sin);
    }
    Wave { height: wave.height, width: wave.width, re, im }.backward()
}

/// The 95 % interval of the correlation by drawing blocks of `side` x `side` cells with replacement; `None` below [`LEAST_BLOCKS`] blocks.
#[must_use]
pub fn interval(pair: &FieldPair, side: usize, draws: usize, seed: u64) -> Option<(f64, f64)> {
    let n_across = pair.width.div_ceil(side);
    let mut blocks = vec![Sums::default(); n_across * pair.height.div_ceil(side)];
    let (x_mean, y_mean) = (mean(&pair.xs), mean(&pair.ys));
    for ((&cell, x), y) in pair.cells.iter().zip(&pair.xs).zip(&pair.ys) {
        let block = cell / pair.width / side * n_across + cell % pair.width / side;
        blocks[block].add(x - x_mean, y - y_mean);
    }
    blocks.retain(|block| block.n > 0.0);
    if blocks.len() < LEAST_BLOCKS {
        return None;
    }
    let mut chance = ChaCha8Rng::seed_from_u64(seed);
    let mut found: Vec<f64> = (0..draws)
        .filter_map(|_| {
            let mut all = Sums::default();
            (0..blocks.len()).for_each(|_| all.join(&blocks[chance.random_range(0..blocks.len())]));
            all.pearson()
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let at = |share: f64| found[((found.len() as f64 * share) as usize).min(found.len() - 1)];
    (!found.is_empty()).then(|| (at(0.025), at(0.975)))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// What a correlation is computed from.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Sums {
    fn add(&mut self, x: f64, y: f64) {
        self.join(&Sums { n: 1.0, x, y, xx: x * x, yy: y * y, xy: x * y });
    }

    fn join(&mut self, other: &Sums) {
        self.n += other.n;
        self.x += other.x;
        self.y += other.y;
        self.xx += other.xx;
        self.yy += other.yy;
        self.xy += other.xy;
    }

    fn pearson(&self) -> Option<f64> {
        let (xx, yy) = (self.xx - self.x * self.x / self.n, self.yy - self.y * self.y / self.n);
        let xy = self.xy - self.x * self.y / self.n;
        (xx > 0.0 && yy > 0.0).then(|| (xy / (xx * yy).sqrt()).clamp(-1.0, 1.0))
    }
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8, modified Lentz).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    const TINY: f64 = 1e-300;
    let front = (log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp() / a;
    let safe = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut fraction = d;
    for step in 1..1000 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let before = fraction;
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            fraction *= c * d;
        }
        if (fraction - before).abs() < 1e-15 * fraction.abs() {
            break;
        }
    }
    front * fraction
}

/// ln Γ for positive numbers (Lanczos, g = 7, n = 9).
fn log_gamma(x: f64) -> f64 {
    const G: f64 = 7.0;
    const TERMS: [f64; 9] = [
        0.999_999_999_999_809_9,
        676.520_368_121_885_1,
        -1_259.139_216_722_402_8,
        771.323_428_777_653_1,
        -176.615_029_162_140_6,
        12.507_343_278_686_905,
        -0.138_571_095_265_720_12,
        9.984_369_578_019_572e-6,
        1.505_632_735_149_311_6e-7,
    ];
    if x < 0.5 {
        return (std::f64::consts::PI / (std::f64::consts::PI * x).sin()).ln() - log_gamma(1.0 - x);
    }
    let x = x - 1.0;
    let sum: f64 =
        TERMS[0] + TERMS[1..].iter().enumerate().map(|(i, term)| term / (x + i as f64 + 1.0)).sum::<f64>();
    let t = x + G + 0.5;
    0.5 * std::f64::consts::TAU.ln() + (x + 0.5) * t.ln() - t + sum.ln()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
