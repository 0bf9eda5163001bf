//! The number of clusters of a class: of those that are stable, the one of the highest silhouette.
//!
//! Every K of a range that leaves enough rows a cluster is tried. A K is stable if resampled rows are grouped alike, by the mean
//! adjusted Rand index. If no K is stable there is no grouping to speak of, and the class stays whole.

use crate::kmeans::{Grouping, Search, group};
use crate::rows::Rows;
use crate::{silhouette, stability};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::RangeInclusive;

/// Rows that the silhouette looks at, at most: its work grows with their square.
const SAMPLE_ROWS: usize = 20_000;
/// A cluster should hold this many rows on average, or K is too large for the class.
const ROWS_A_CLUSTER: usize = 4;
/// Starts of a resample's k-means.
const RESAMPLE_STARTS: u64 = 2;

/// How K is chosen.
#[derive(Clone, Debug)]
pub struct Choice {
    /// What is tried.
    pub ks: RangeInclusive<usize>,
    /// How each grouping is searched.
    pub search: Search,
    /// Resamples that each K is tried on.
    pub n_resamples: usize,
    /// Mean adjusted Rand index from which a K is stable.
    pub min_stability: f64,
}

/// What is known of one K.
#[derive(Clone, Debug, PartialEq)]
pub struct Tried {
    /// The number of clusters.
    pub k: usize,
    /// The mean silhouette.
    pub silhouette: f64,
    /// The adjusted Rand index of each resample.
    pub stability: Vec<f64>,
}

impl Tried {
    /// The mean adjusted Rand index; missing without resamples.
    pub fn mean_stability(&self) -> Option<f64> {
        let n = self.stability.len();
        (n > 0).then(|| self.stability.iter().sum::<f64>() / n as f64)
    }
}

/// Why K is what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The highest silhouette of the stable ones.
    Best,
    /// No K was stable enough.
    NoneStable,
    /// Too few rows for the least K.
    TooFew,
    /// It was given.
    Given,
}

/// A sweep over K and what was chosen.
pub struct Sweep {
    /// Each K that was tried.
    pub tried: Vec<Tried>,
    /// Why the grouping has the K that it has.
    pub reason: Reason,
    /// The chosen K's grouping.
    pub grouping: Grouping,
}

impl Sweep {
    /// The number of clusters that was chosen.
    pub fn k(&self) -> usize {
        self.grouping.centres.nrows()
    }
}

/// Tries every K of the range that leaves four rows a cluster on average, and chooses.
pub fn choose(rows: &Rows, choice: &Choice) -> Sweep {
    let largest = (rows.len() / ROWS_A_CLUSTER).min(*choice.ks.end());
    let ks: Vec<usize> = (*choice.ks.start()..=largest).collect();
    let mut groupings: Vec<Grouping> = ks.par_iter().map(|&k| group(rows, k, choice.search)).collect();
    let tried = tried(rows, &ks, &groupings, choice);
    let stable = |t: &Tried| t.mean_stability().is_none_or(|mean| mean >= choice.min_stability);
    let best = (0..tried.len())
        .filter(|&i| stable(&tried[i]))
        .reduce(|best, i| if tried[i].silhouette > tried[best].silhouette { i } else { best });
    let (reason, grouping) = match best {
        Some(best) => (Reason::Best, groupings.swap_remove(best)),
        None if tried.is_empty() => (Reason::TooFew, group(rows, 1, choice.search)),
        None => (Reason::NoneStable, group(rows, 1, choice.search)),
    };
    Sweep { tried, reason, grouping }
}

/// The grouping of a given K, as far as there are rows for it.
pub fn given(rows: &Rows, k: usize, choice: &Choice) -> Sweep {
    let k = k.min(rows.len());
    let grouping = group(rows, k, choice.search);
    let tried = tried(rows, &[k], std::slice::from_ref(&grouping), choice);
    Sweep { tried, reason: Reason::Given, grouping }
}

/// Silhouette and stability of groupings; those without a silhouette, of one group, are left out.
fn tried(rows: &Rows, ks: &[usize], groupings: &[Grouping], choice: &Choice) -> Vec<Tried> {
    let resamples = Search { n_starts: RESAMPLE_STARTS, ..choice.search };
    let one = |((&k, grouping), silhouette): ((&usize, &Grouping), Option<f64>)| {
        let stability = stability::resampled(rows, &grouping.of_row, k, resamples, choice.n_resamples);
        silhouette.map(|silhouette| Tried { k, silhouette, stability })
    };
    let silhouettes = silhouettes(rows, groupings, choice.search.seed);
    ks.iter().zip(groupings).zip(silhouettes).filter_map(one).collect()
}

fn silhouettes(rows: &Rows, groupings: &[Grouping], seed: u64) -> Vec<Option<f64>> {
    if rows.len() <= SAMPLE_ROWS {
        let of_rows: Vec<&[usize]> = groupings.iter().map(|g| g.of_row.as_slice()).collect();
        return silhouette::of_rows(rows, &of_rows);
    }
    let mut seen = sample(&mut ChaCha8Rng::seed_from_u64(seed), rows.len(), SAMPLE_ROWS).into_vec();
    seen.sort_unstable();
    let of_seen: Vec<Vec<usize>> =
        groupings.iter().map(|g| seen.iter().map(|&row| g.of_row[row]).collect()).collect();
    silhouette::of_rows(&rows.pick(&seen), &of_seen.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::RngExt;

    fn choice(ks: RangeInclusive<usize>) -> Choice {
        let search = Search { n_starts: 4, max_steps: 50, seed: 1 };
        Choice { ks, search, n_resamples: 5, min_stability: 0.6 }
    }

    fn blobs(n: usize, k: usize, dims: usize, spread: f32) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let centres = Array2::from_shape_fn((k, dims), |_| rng.random::<f32>());
        Array2::from_shape_fn((n, dims), |(i, j)| centres[(i % k, j)] + spread * rng.random::<f32>())
    }

    #[test]
    fn the_true_number_of_blobs_is_chosen() {
        let rows = blobs(240, 6, 10, 0.05);
        let sweep = choose(&Rows::of(rows.view()), &choice(3..=12));
        assert_eq!((sweep.k(), sweep.reason), (6, Reason::Best));
        assert_eq!(sweep.tried.len(), 10);
        let six = sweep.tried.iter().find(|t| t.k == 6).unwrap();
        assert!(six.mean_stability().unwrap() > 0.99);
    }

    #[test]
    fn rows_without_groups_stay_one_cluster() {
        let rows = blobs(300, 1, 12, 1.0);
        let sweep = choose(&Rows::of(rows.view()), &choice(3..=8));
        assert_eq!((sweep.k(), sweep.reason), (1, Reason::NoneStable));
        assert_eq!(sweep.tried.len(), 6, "what was tried is told all the same");
    }

    #[test]
    fn a_class_of_few_rows_stays_one_cluster() {
        let rows = Array2::from_shape_fn((7, 3), |(i, j)| (i * j) as f32);
        let sweep = choose(&Rows::of(rows.view()), &choice(3..=20));
        assert_eq!((sweep.k(), sweep.reason), (1, Reason::TooFew));
        assert!(sweep.tried.is_empty());
    }

    #[test]
    fn a_given_number_is_taken() {
        let rows = blobs(60, 3, 4, 0.5);
        let sweep = given(&Rows::of(rows.view()), 5, &choice(3..=20));
        assert_eq!((sweep.k(), sweep.reason, sweep.tried.len()), (5, Reason::Given, 1));
    }
}
