//! Features without what a shortcut tells: the part that position, colour or granule predict linearly is taken off.
//!
//! What is left cannot be told from these by a linear law; the price is that ground which really changes with them, as
//! mountains in the north, loses that part as well. So it is asked for, never the default.

use crate::audit::Facts;
use clap::ValueEnum;
use faer::Mat;
use faer::linalg::solvers::Solve;

/// Keeps the solution defined where columns repeat each other, beside columns of unit spread.
const RIDGE: f64 = 1e-6;

/// What features can be freed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shortcut {
    /// East and north, and their squares and product.
    Position,
    /// The seven colour means of the audit.
    Colour,
    /// The granule, and so the day of its scene.
    Granule,
}

/// Takes off what the shortcuts predict, by least squares over all rows.
pub fn without(features: &mut [Vec<f32>], facts: &[Facts], shortcuts: &[Shortcut]) {
    let (n, dims) = (features.len(), features.first().map_or(0, Vec::len));
    if shortcuts.is_empty() || n == 0 {
        return;
    }
    let columns: Vec<Vec<f64>> = shortcuts.iter().flat_map(|&shortcut| columns(facts, shortcut)).collect();
    let known = Mat::from_fn(n, 1 + columns.len(), |i, j| if j == 0 { 1.0 } else { columns[j - 1][i] });
    let wanted = Mat::from_fn(n, dims, |i, j| f64::from(features[i][j]));
    let mut squares = known.transpose() * &known;
    (0..squares.nrows()).for_each(|i| squares[(i, i)] += RIDGE * n as f64);
    let products = known.transpose() * &wanted;
    let fit = &known * squares.partial_piv_lu().solve(&products);
    for (i, row) in features.iter_mut().enumerate() {
        row.iter_mut().enumerate().for_each(|(j, value)| *value = (f64::from(*value) - fit[(i, j)]) as f32);
    }
}

fn columns(facts: &[Facts], shortcut: Shortcut) -> Vec<Vec<f64>> {
    let of = |pick: &dyn Fn(&Facts) -> f64| standard(facts.iter().map(pick).collect());
    match shortcut {
        Shortcut::Position => {
            let (east, north) = (of(&|f| f.position_m[0]), of(&|f| f.position_m[1]));
            let times = |a: &[f64], b: &[f64]| standard(a.iter().zip(b).map(|(a, b)| a * b).collect());
            vec![times(&east, &east), times(&east, &north), times(&north, &north), east, north]
        }
        Shortcut::Colour => (0..7).map(|c| of(&|f| f.colour[c])).collect(),
        Shortcut::Granule => {
            let n = facts.iter().map(|f| f.granule + 1).max().unwrap_or(0);
            (1..n).map(|g| of(&|f| f64::from(u8::from(f.granule == g)))).collect()
        }
    }
}

/// The values at mean 0 and spread 1; all 0 if they are equal.
pub fn standard(values: Vec<f64>) -> Vec<f64> {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    values.into_iter().map(|v| if sd > 0.0 { (v - mean) / sd } else { 0.0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// 32-bit features.
    const ROUNDING: f64 = 1e-3;

    #[test]
    fn what_is_left_goes_with_no_shortcut() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let facts: Vec<Facts> = (0..120)
            .map(|i| Facts {
                position_m: [rng.random::<f64>() * 1e5, rng.random::<f64>() * 1e5],
                granule: i % 2,
                colour: std::array::from_fn(|_| rng.random()),
                block: [i, 0],
            })
            .collect();
        let made = |f: &Facts| {
            vec![(f.position_m[0] / 1e4 + f.colour[2] * 3.0) as f32, f.granule as f32, rng.random()]
        };
        let mut features: Vec<Vec<f32>> = facts.iter().map(made).collect();
        without(&mut features, &facts, &[Shortcut::Position, Shortcut::Colour, Shortcut::Granule]);
        let spread = |j: usize| features.iter().map(|f| f64::from(f[j]).abs()).sum::<f64>() / 120.0;
        assert!(spread(0) < ROUNDING && spread(1) < ROUNDING, "{} {}", spread(0), spread(1));
        assert!(spread(2) > 0.1, "what no shortcut tells stays");
    }
}
