//! How well scores follow levels on samples that were not trained on.

use serde::Serialize;

/// Agreement of scores with levels.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Kendall's tau-b.
    pub kendall: f64,
    /// Spearman's correlation of midranks.
    pub spearman: f64,
    /// Share of pairs of different levels that are in the right order; equal scores count half.
    pub pairwise: f64,
    /// How many samples.
    pub n: usize,
}

/// The agreement, or nothing if all scores or all levels are equal.
pub fn agreement(scores: &[f64], levels: &[usize]) -> Option<Agreement> {
    let pairs = Pairs::count(scores, levels);
    let decided = pairs.right + pairs.wrong;
    let norm = ((decided + pairs.tied_scores) * (decided + pairs.tied_levels)).sqrt();
    let places: Vec<f64> = levels.iter().map(|&l| l as f64).collect();
    let spearman = pearson(&midranks(scores), &midranks(&places))?;
    (norm > 0.0).then(|| Agreement {
        kendall: (pairs.right - pairs.wrong) / norm,
        spearman,
        pairwise: (pairs.right + pairs.tied_scores / 2.0) / (decided + pairs.tied_scores),
        n: scores.len(),
    })
}

/// Pairs of samples by what score and level say of them; those tied in both are left out.
#[derive(Default)]
struct Pairs {
    right: f64,
    wrong: f64,
    tied_scores: f64,
    tied_levels: f64,
}

impl Pairs {
    /// Goes through the scores from low to high with a count of each level so far: as many steps as samples times levels.
    fn count(scores: &[f64], levels: &[usize]) -> Self {
        let mut below = vec![0_u64; levels.iter().max().map_or(0, |top| top + 1)];
        let mut pairs = Self::default();
        for group in equal_groups(scores) {
            let mut inside = vec![0_u64; below.len()];
            for &i in &group {
                let level = levels[i];
                let sum = |counts: &[u64]| counts.iter().sum::<u64>() as f64;
                pairs.right += sum(&below[..level]);
                pairs.wrong += sum(&below[level + 1..]);
                pairs.tied_levels += below[level] as f64;
                pairs.tied_scores += sum(&inside) - inside[level] as f64;
                inside[level] += 1;
            }
            below.iter_mut().zip(inside).for_each(|(sum, more)| *sum += more);
        }
        pairs
    }
}

/// Indices of equal values together, smallest value first.
fn equal_groups(values: &[f64]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    order.chunk_by(|&a, &b| values[a] == values[b]).map(<[usize]>::to_vec).collect()
}

/// Ranks from 1, equal values sharing their mean rank.
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let mut ranks = vec![0.0; values.len()];
    let mut below = 0;
    for group in equal_groups(values) {
        for &i in &group {
            ranks[i] = below as f64 + (group.len() as f64 + 1.0) / 2.0;
        }
        below += group.len();
    }
    ranks
}

/// Pearson's coefficient; nothing where one side does not vary.
pub fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let sum =
        |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(x, y)| f(x - mean_a, y - mean_b)).sum::<f64>();
    let spread = (sum(&|x, _| x * x) * sum(&|_, y| y * y)).sqrt();
    (spread > 0.0).then(|| sum(&|x, y| x * y) / spread)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scores_in_the_order_of_levels_agree_wholly() {
        let all = agreement(&[0.1, 0.2, 0.7, 0.9], &[0, 1, 2, 3]).unwrap();
        assert_eq!((all.kendall, all.spearman, all.pairwise), (1.0, 1.0, 1.0));
        let none = agreement(&[0.9, 0.7, 0.2, 0.1], &[0, 1, 2, 3]).unwrap();
        assert_eq!((none.kendall, none.spearman, none.pairwise), (-1.0, -1.0, 0.0));
    }

    #[test]
    fn it_follows_hand_values_with_ties() {
        // Pairs: (0,1) right, (0,2) right, (1,2) tied levels.
        let some = agreement(&[0.1, 0.5, 0.6], &[0, 1, 1]).unwrap();
        assert!((some.kendall - 2.0 / 6.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!(some.pairwise, 1.0);
        assert_eq!(agreement(&[0.5, 0.5], &[0, 1]), None);
        assert_eq!(agreement(&[0.4, 0.5], &[1, 1]), None);
    }

    #[test]
    fn counting_by_level_is_counting_every_pair() {
        let scores: Vec<f64> = (0..60).map(|i| f64::from(i * 17 % 23)).collect();
        let levels: Vec<usize> = (0..60).map(|i| i * 5 % 7).collect();
        let (mut right, mut wrong, mut tied) = (0.0, 0.0, 0.0);
        for i in 0..60 {
            for j in (0..i).filter(|&j| levels[i] != levels[j]) {
                let up = (scores[i] - scores[j]) * (levels[i] as f64 - levels[j] as f64);
                right += f64::from(u8::from(up > 0.0));
                wrong += f64::from(u8::from(up < 0.0));
                tied += f64::from(u8::from(up == 0.0));
            }
        }
        let pairs = Pairs::count(&scores, &levels);
        assert_eq!((pairs.right, pairs.wrong, pairs.tied_scores), (right, wrong, tied));
    }
}
