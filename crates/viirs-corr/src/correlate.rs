//! Correlation coefficients of paired numbers.

/// Bits that one pass of sorting looks at.
const DIGIT_BITS: usize = 11;
const DIGITS: usize = 1 << DIGIT_BITS;
/// Passes of sorting: sign, exponent and 21 bits of a number.
const PASSES: usize = 3;
/// Below this many values sorting by comparison is faster.
const FEW_VALUES: usize = 4096;

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
    let (xs, ys) = rayon::join(|| midranks(xs), || midranks(ys));
    pearson(&xs, &ys)
}

/// Ranks from 1 for the smallest; equal values share the mean of their ranks.
#[must_use]
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let order = sorted(values);
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tie in order.chunk_by(|a, b| a.0 == b.0) {
        let rank = first as f64 + (tie.len() as f64 + 1.0) / 2.0;
        tie.iter().for_each(|&(_, i)| ranks[i] = rank);
        first += tie.len();
    }
    ranks
}

/// A key in the order of the values, and the place, of each value, ascending: by the digits of the upper half of the key, each pass keeping the order
/// of the one before; those few that agree in it are then compared.
fn sorted(values: &[f64]) -> Vec<(u64, usize)> {
    let mut keys: Vec<(u64, usize)> = values.iter().map(|&value| key(value)).zip(0..).collect();
    if keys.len() < FEW_VALUES {
        keys.sort_unstable();
        return keys;
    }
    let upper = |key: u64| key >> (u64::BITS as usize - PASSES * DIGIT_BITS);
    let digit = |key: u64, pass: usize| (upper(key) >> (DIGIT_BITS * pass)) as usize & (DIGITS - 1);
    let mut counts = vec![[0_usize; DIGITS]; PASSES];
    for (key, _) in &keys {
        counts.iter_mut().enumerate().for_each(|(pass, counts)| counts[digit(*key, pass)] += 1);
    }
    let mut next = vec![(0, 0); keys.len()];
    for (pass, counts) in counts.iter_mut().enumerate() {
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        for &entry in &keys {
            let place = &mut counts[digit(entry.0, pass)];
            next[*place] = entry;
            *place += 1;
        }
        std::mem::swap(&mut keys, &mut next);
    }
    for alike in keys.chunk_by_mut(|a, b| upper(a.0) == upper(b.0)) {
        if alike.len() > 1 {
            alike.sort_unstable();
        }
    }
    keys
}

/// A number as bits that ascend with it; both zeros are one.
fn key(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
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
    fn many_values_are_ranked_as_few_are() {
        let n = 3 * FEW_VALUES;
        let values: Vec<f64> = (0..n).map(|i| ((i * 7919 + 5) % 9973) as f64 / 97.0 - 51.4).collect();
        let mut order: Vec<usize> = (0..n).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let ranks = midranks(&values);
        assert!(order.windows(2).all(|pair| match values[pair[0]] == values[pair[1]] {
            true => ranks[pair[0]] == ranks[pair[1]],
            false => ranks[pair[0]] < ranks[pair[1]],
        }));
        assert_eq!(ranks.iter().sum::<f64>(), n as f64 * (n as f64 + 1.0) / 2.0);
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
