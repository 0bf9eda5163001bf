//! How stable a grouping is: whether rows drawn again are grouped alike (Ben-Hur et al. 2002; Hennig 2007).

use crate::kmeans::{Search, group, nearest};
use crate::rows::Rows;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Rows of a resample, at most.
const RESAMPLE_ROWS: usize = 5000;
/// Streams of draws that belong to resamples and to nothing else.
const RESAMPLE_STREAM: u64 = 1 << 32;

/// The adjusted Rand index of a grouping and each of `n` others: rows are drawn with replacement and grouped anew, and all rows go to the
/// nearest of the new centres. 1 is the same grouping each time, 0 is what chance gives.
pub fn resampled(rows: &Rows, of_row: &[usize], k: usize, search: Search, n: usize) -> Vec<f64> {
    let one = |resample: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(search.seed);
        rng.set_stream(RESAMPLE_STREAM + (k * n + resample) as u64);
        let size = rows.len().min(RESAMPLE_ROWS);
        let drawn: Vec<usize> = (0..size).map(|_| rng.random_range(0..rows.len())).collect();
        let search = Search { seed: rng.random(), ..search };
        let centres = group(&rows.pick(&drawn), k, search).centres;
        adjusted_rand(of_row, &nearest(rows, &Rows::owned(centres.into_iter().collect(), rows.dims())))
    };
    (0..n).into_par_iter().map(one).collect()
}

/// The adjusted Rand index (Hubert and Arabie 1985): pairs of rows that two groupings treat alike, from 0 by chance to 1.
/// Two groupings of one group each are the same: 1.
///
/// # Panics
/// If the groupings are of different rows.
pub fn adjusted_rand(a: &[usize], b: &[usize]) -> f64 {
    assert_eq!(a.len(), b.len(), "groupings of different rows");
    let width = b.iter().max().map_or(0, |most| most + 1);
    let height = a.iter().max().map_or(0, |most| most + 1);
    let mut table = vec![0_u64; height * width];
    a.iter().zip(b).for_each(|(&i, &j)| table[i * width + j] += 1);
    let pairs = |n: u64| n as f64 * (n as f64 - 1.0) / 2.0;
    let both: f64 = table.iter().map(|&n| pairs(n)).sum();
    let of_a: f64 = table.chunks(width.max(1)).map(|row| pairs(row.iter().sum())).sum();
    let of_b: f64 = (0..width).map(|j| pairs((0..height).map(|i| table[i * width + j]).sum())).sum();
    let chance = of_a * of_b / pairs(a.len() as u64).max(1.0);
    let most = (of_a + of_b) / 2.0;
    if most > chance { (both - chance) / (most - chance) } else { 1.0 }
}

/// Normalised mutual information of two groupings, from 0 to 1, by the mean of their entropies: how much of one the other tells.
///
/// # Panics
/// If the groupings are of different rows.
pub fn mutual_information(a: &[usize], b: &[usize]) -> f64 {
    assert_eq!(a.len(), b.len(), "groupings of different rows");
    let n = a.len().max(1) as f64;
    let counts = |keys: &mut dyn Iterator<Item = (usize, usize)>| {
        let mut counts = std::collections::BTreeMap::<_, f64>::new();
        keys.for_each(|key| *counts.entry(key).or_default() += 1.0 / n);
        counts.into_values().map(|share| -share * share.ln()).sum::<f64>()
    };
    let of_a = counts(&mut a.iter().map(|&i| (i, 0)));
    let of_b = counts(&mut b.iter().map(|&j| (0, j)));
    let both = counts(&mut a.iter().copied().zip(b.iter().copied()));
    let mean = (of_a + of_b) / 2.0;
    if mean > 0.0 { ((of_a + of_b - both) / mean).clamp(0.0, 1.0) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;

    /// Sums of a few logarithms in 64 bits.
    const ROUNDING: f64 = 1e-12;

    #[test]
    fn names_of_groups_do_not_matter_and_chance_counts_nothing() {
        let (a, renamed) = ([0, 0, 1, 1, 2, 2], [2, 2, 0, 0, 1, 1]);
        assert!((adjusted_rand(&a, &renamed) - 1.0).abs() < ROUNDING);
        assert!((mutual_information(&a, &renamed) - 1.0).abs() < ROUNDING);
        // the figures of scikit-learn's documentation
        assert!((adjusted_rand(&[0, 0, 1, 2], &[0, 0, 1, 1]) - 4.0 / 7.0).abs() < ROUNDING);
        assert!((adjusted_rand(&[0, 0, 1, 1], &[0, 1, 0, 1]) + 0.5).abs() < ROUNDING);
        assert!(mutual_information(&[0, 0, 1, 1], &[0, 1, 0, 1]).abs() < ROUNDING);
    }

    #[test]
    fn blobs_are_stable_at_their_number_and_not_beyond() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let centres = Array2::from_shape_fn((4, 6), |_| rng.random::<f32>() * 8.0);
        let matrix = Array2::from_shape_fn((200, 6), |(i, j)| centres[(i % 4, j)] + rng.random::<f32>());
        let rows = Rows::of(matrix.view());
        let search = Search { n_starts: 2, max_steps: 50, seed: 1 };
        let mean = |k: usize| {
            let of_row = group(&rows, k, search).of_row;
            resampled(&rows, &of_row, k, search, 8).iter().sum::<f64>() / 8.0
        };
        assert!(mean(4) > 0.99, "{}", mean(4));
        assert!(mean(9) < 0.9, "{}", mean(9));
    }
}
