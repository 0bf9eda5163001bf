//! Correlation coefficients of paired numbers.

/// Pearson's coefficient; `None` below two pairs, or where one side does not vary.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn pearson(xs: &[f64], ys: &[f64]) -> Option<f64> {
    assert_eq!(xs.len(), ys.len(), "one x a y");
    let n = xs.len() as f64;
    let (x_mean, y_mean) = (xs.iter().sum::<f64>() / n, ys.iter().sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in xs.iter().zip(ys) {
        let (dx, dy) = (x - x_mean, y - y_mean);
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    let varies = xs.len() > 1 && differs(xs) && differs(ys) && xx > 0.0 && yy > 0.0;
    varies.then(|| (xy / (xx.sqrt() * yy.sqrt())).clamp(-1.0, 1.0))
}

/// Spearman's coefficient: Pearson's of the midranks.
///
/// # Panics
/// If the slices differ in length.
#[must_use]
pub fn spearman(xs: &[f64], ys: &[f64]) -> Option<f64> {
    pearson(&midranks(xs), &midranks(ys))
}

/// Ranks from 1 for the smallest; equal values share the mean of their ranks.
#[must_use]
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tie in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = first as f64 + (tie.len() as f64 + 1.0) / 2.0;
        tie.iter().for_each(|&i| ranks[i] = rank);
        first += tie.len();
    }
    ranks
}

fn differs(values: &[f64]) -> bool {
    values.iter().any(|&value| value != values[0])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Sums of a few hundred numbers of size one round by less than this.
    const ROUNDING: f64 = 1e-12;

    fn jumble(n: usize, stride: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * stride + 11) % 211) as f64 / 211.0).collect()
    }

    #[test]
    fn hand_values_come_out() {
        let (xs, ys) = ([1.0, 2.0, 3.0, 4.0, 5.0], [2.0, 1.0, 4.0, 3.0, 5.0]);
        assert!((pearson(&xs, &ys).unwrap() - 0.8).abs() < ROUNDING);
        assert!((spearman(&xs, &ys).unwrap() - 0.8).abs() < ROUNDING);
        let tied = spearman(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]).unwrap();
        assert!((tied - 0.75_f64.sqrt()).abs() < ROUNDING);
    }

    #[test]
    fn equal_values_share_the_mean_of_their_ranks_and_ranks_keep_their_sum() {
        assert_eq!(midranks(&[3.0, 1.0, 3.0, 0.0, 3.0]), [4.0, 2.0, 4.0, 1.0, 4.0]);
        assert_eq!(midranks(&[0.0, -0.0]), [1.5, 1.5]);
        assert_eq!(midranks(&jumble(300, 17)).iter().sum::<f64>(), 300.0 * 301.0 / 2.0);
    }

    #[test]
    fn ranks_ignore_monotone_maps_and_pearson_ignores_lines() {
        let (xs, ys) = (jumble(150, 7), jumble(150, 31));
        let bent: Vec<f64> = xs.iter().map(|x| (3.0 * x).exp() - 5.0).collect();
        assert_eq!(spearman(&bent, &ys), spearman(&xs, &ys));
        let line: Vec<f64> = ys.iter().map(|y| 4.0 * y - 2.0).collect();
        assert!((pearson(&xs, &line).unwrap() - pearson(&xs, &ys).unwrap()).abs() < ROUNDING);
    }

    #[test]
    fn turning_one_side_turns_the_sign() {
        let (xs, ys) = (jumble(150, 7), jumble(150, 31));
        let turned: Vec<f64> = ys.iter().map(|y| -y).collect();
        assert!((spearman(&xs, &turned).unwrap() + spearman(&xs, &ys).unwrap()).abs() < ROUNDING);
        assert_eq!(spearman(&xs, &xs), Some(1.0));
    }

    #[test]
    fn a_side_that_does_not_vary_has_no_coefficient() {
        assert_eq!(pearson(&[0.1; 9], &jumble(9, 7)), None);
        assert_eq!(spearman(&[], &[]), None);
        assert_eq!(pearson(&[1.0], &[2.0]), None);
    }
}
