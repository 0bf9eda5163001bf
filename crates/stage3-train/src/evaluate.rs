//! How well scores follow levels on samples that were not trained on.

/// Agreement of scores with levels.
#[derive(Clone, Copy, Debug, PartialEq)]
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
    let (mut right, mut wrong, mut tied_scores, mut tied_levels) = (0_u64, 0_u64, 0_u64, 0_u64);
    for i in 0..scores.len() {
        for j in 0..i {
            match (scores[i].total_cmp(&scores[j]), levels[i].cmp(&levels[j])) {
                (std::cmp::Ordering::Equal, std::cmp::Ordering::Equal) => {}
                (std::cmp::Ordering::Equal, _) => tied_scores += 1,
                (_, std::cmp::Ordering::Equal) => tied_levels += 1,
                (a, b) if a == b => right += 1,
                _ => wrong += 1,
            }
        }
    }
    let (right, wrong) = (right as f64, wrong as f64);
    let (tied_scores, tied_levels) = (tied_scores as f64, tied_levels as f64);
    let decided = right + wrong;
    let norm = ((decided + tied_scores) * (decided + tied_levels)).sqrt();
    let levels: Vec<f64> = levels.iter().map(|&l| l as f64).collect();
    let spearman = pearson(&midranks(scores), &midranks(&levels))?;
    (norm > 0.0).then(|| Agreement {
        kendall: (right - wrong) / norm,
        spearman,
        pairwise: (right + tied_scores / 2.0) / (decided + tied_scores),
        n: scores.len(),
    })
}

fn midranks(values: &[f64]) -> Vec<f64> {
    let below = |v: f64| values.iter().filter(|&&w| w < v).count() as f64;
    let equal = |v: f64| values.iter().filter(|&&w| w == v).count() as f64;
    values.iter().map(|&v| below(v) + (equal(v) + 1.0) / 2.0).collect()
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
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
}
