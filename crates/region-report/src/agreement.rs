//! Whether zones' scores agree with a number known from elsewhere: Spearman's coefficient with an interval.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::bootstrap::ends;

/// Below this many zones nothing is reported.
pub const MIN_ZONES: usize = 10;

/// A coefficient and the interval of its bootstrap over zones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Spearman's coefficient.
    pub spearman: f64,
    /// Lower end of its interval.
    pub low: f64,
    /// Upper end of its interval.
    pub high: f64,
}

/// Spearman's coefficient of pairs; none for fewer than [`MIN_ZONES`] or where one side does not vary.
pub fn agreement(pairs: &[(f64, f64)], n_rounds: usize, seed: u64) -> Option<Agreement> {
    if pairs.len() < MIN_ZONES {
        return None;
    }
    let spearman = spearman(pairs)?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let draw = |random: &mut ChaCha8Rng| -> Vec<(f64, f64)> {
        pairs.iter().map(|_| pairs[random.random_range(0..pairs.len())]).collect()
    };
    let mut drawn: Vec<f64> = (0..n_rounds).filter_map(|_| self::spearman(&draw(&mut random))).collect();
    drawn.sort_by(f64::total_cmp);
    if drawn.is_empty() {
        return None;
    }
    let (low, high) = ends(&drawn);
    Some(Agreement { spearman, low, high })
}

/// Pearson's coefficient of midranks.
fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (midranks(&x), midranks(&y));
    let middle = (pairs.len() as f64 + 1.0) / 2.0;
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(&y) {
        xy += (x - middle) * (y - middle);
        xx += (x - middle) * (x - middle);
        yy += (y - middle) * (y - middle);
    }
    (xx > 0.0 && yy > 0.0).then(|| xy / (xx * yy).sqrt())
}

/// Ranks from 1, equal values sharing the middle of theirs.
fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let middle = first as f64 + (equal.len() as f64 + 1.0) / 2.0;
        equal.iter().for_each(|&i| ranks[i] = middle);
        first += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn law(shape: impl Fn(f64) -> f64) -> Option<Agreement> {
        let pairs: Vec<_> = (0..40).map(|i| (f64::from(i), shape(f64::from(i)))).collect();
        agreement(&pairs, 200, 1)
    }

    #[test]
    fn a_rising_law_agrees_fully_and_a_falling_one_not_at_all() {
        assert!(law(f64::exp).is_some_and(|a| a.spearman > 1.0 - 1e-12 && a.low > 1.0 - 1e-12));
        assert!(law(|x| -x.powi(3)).is_some_and(|a| a.spearman < -1.0 + 1e-12));
    }

    #[test]
    fn few_zones_or_a_constant_give_no_number() {
        assert_eq!(law(|_| 1.0), None);
        assert_eq!(agreement(&[(1.0, 2.0), (2.0, 3.0)], 100, 1), None);
    }

    #[test]
    fn ties_share_a_rank() {
        assert_eq!(midranks(&[5.0, 1.0, 5.0, 7.0]), [2.5, 1.0, 2.5, 4.0]);
    }
}
