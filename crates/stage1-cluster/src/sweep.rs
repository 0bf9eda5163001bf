//! The number of clusters of a class: of those that are stable, the one of the highest silhouette.
//!
//! Every K of a range that leaves enough rows a cluster is tried. A K is stable if resampled rows are grouped alike, by the mean
//! adjusted Rand index. If no K is stable there is no grouping to speak of, and the class stays whole.
//!
//! Rows that are copies of each other belong together whatever K is, so no K beyond the number of different rows is tried, and K is the
//! number of groups that have rows.

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
    /// All rows are the same.
    AllAlike,
    /// It was given.
    Given {
        /// How many were asked for.
        asked: usize,
    },
}

/// A sweep over K and what was chosen.
pub struct Sweep {
    /// Each K that was tried.
    pub tried: Vec<Tried>,
    /// Why the grouping has the K that it has.
    pub reason: Reason,
    /// The chosen K's grouping; every group has rows.
    pub grouping: Grouping,
    /// How many different rows there are, where they are fewer than the clusters wanted.
    pub few_distinct: Option<usize>,
}

impl Sweep {
    /// The number of clusters: of groups that have rows.
    pub fn k(&self) -> usize {
        self.grouping.centres.nrows()
    }

    /// What is known of the chosen K, if it was tried.
    pub fn chosen(&self) -> Option<&Tried> {
        self.tried.iter().find(|tried| tried.k == self.k())
    }
}

/// Tries every K of the range that leaves four rows a cluster on average, and chooses. Fewer different rows than the least K are tried as
/// so many clusters.
pub fn choose(rows: &Rows, choice: &Choice) -> Sweep {
    let (least, most) = (*choice.ks.start(), *choice.ks.end());
    let n_distinct = rows.n_distinct(most.max(2));
    let largest = (rows.len() / ROWS_A_CLUSTER).min(most).min(n_distinct);
    let few_distinct = (n_distinct < least).then_some(n_distinct);
    let ks: Vec<usize> = (least.min(n_distinct).max(2)..=largest).collect();
    let groupings: Vec<Grouping> =
        ks.par_iter().map(|&k| group(rows, k, choice.search).without_empty()).collect();
    let tried = tried(rows, &ks, &groupings, choice);
    let stable = |t: &Tried| t.mean_stability().is_none_or(|mean| mean >= choice.min_stability);
    let best = tried
        .iter()
        .filter(|(_, t)| stable(t))
        .reduce(|best, next| if next.1.silhouette > best.1.silhouette { next } else { best });
    let whole = || group(rows, 1, choice.search);
    let (reason, grouping) = match best {
        Some(&(at, _)) => (Reason::Best, groupings[at].clone()),
        None if n_distinct < 2 => (Reason::AllAlike, whole()),
        None if tried.is_empty() => (Reason::TooFew, whole()),
        None => (Reason::NoneStable, whole()),
    };
    Sweep { tried: tried.into_iter().map(|(_, t)| t).collect(), reason, grouping, few_distinct }
}

/// The grouping of a given K, as far as there are different rows for it.
pub fn given(rows: &Rows, asked: usize, choice: &Choice) -> Sweep {
    let n_distinct = rows.n_distinct(asked);
    let k = asked.min(n_distinct);
    let grouping = group(rows, k, choice.search).without_empty();
    let tried = tried(rows, &[k], std::slice::from_ref(&grouping), choice);
    Sweep {
        tried: tried.into_iter().map(|(_, t)| t).collect(),
        reason: Reason::Given { asked },
        grouping,
        few_distinct: (n_distinct < asked).then_some(n_distinct),
    }
}

/// Silhouette and stability of groupings, each with its place among them. Left out are those without a silhouette, of one group, and
/// those of as many groups as one before.
fn tried(rows: &Rows, ks: &[usize], groupings: &[Grouping], choice: &Choice) -> Vec<(usize, Tried)> {
    let resamples = Search { n_starts: RESAMPLE_STARTS, ..choice.search };
    let silhouettes = silhouettes(rows, groupings, choice.search.seed);
    let mut all: Vec<(usize, Tried)> = Vec::new();
    for (at, (&asked, grouping)) in ks.iter().zip(groupings).enumerate() {
        let k = grouping.centres.nrows();
        let Some(silhouette) = silhouettes[at] else { continue };
        if all.iter().any(|(_, before)| before.k == k) {
            continue;
        }
        let stability = stability::resampled(rows, &grouping.of_row, asked, resamples, choice.n_resamples);
        all.push((at, Tried { k, silhouette, stability }));
    }
    all
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
        assert_eq!((sweep.k(), sweep.reason, sweep.tried.len()), (5, Reason::Given { asked: 5 }, 1));
        assert_eq!(sweep.few_distinct, None);
    }

    /// So many rows, copies of a few.
    fn copies(n: usize, n_distinct: usize) -> Array2<f32> {
        let few = blobs(n_distinct, n_distinct, 4, 0.1);
        Array2::from_shape_fn((n, 4), |(i, j)| few[(i % n_distinct, j)])
    }

    #[test]
    fn more_clusters_than_different_rows_are_never_said() {
        let rows = copies(60, 3);
        for asked in [3, 4, 10, 60, 1_000_000] {
            let sweep = given(&Rows::of(rows.view()), asked, &choice(3..=20));
            assert_eq!((sweep.k(), sweep.reason), (3, Reason::Given { asked }));
            assert_eq!(sweep.few_distinct, (asked > 3).then_some(3));
            assert_eq!(sweep.chosen().unwrap().mean_stability(), Some(1.0));
            assert!(sweep.chosen().unwrap().silhouette > 0.99);
        }
        let chosen = choose(&Rows::of(rows.view()), &choice(2..=20));
        assert_eq!((chosen.k(), chosen.reason, chosen.few_distinct), (3, Reason::Best, None));
        assert_eq!(chosen.tried.iter().map(|t| t.k).collect::<Vec<_>>(), [2, 3], "no K beyond is tried");
    }

    #[test]
    fn two_different_rows_are_two_clusters_though_three_at_least_were_wanted_and_one_is_one() {
        let sweep = choose(&Rows::of(copies(40, 2).view()), &choice(3..=20));
        assert_eq!((sweep.k(), sweep.reason, sweep.few_distinct), (2, Reason::Best, Some(2)));
        let alike = choose(&Rows::of(copies(40, 1).view()), &choice(3..=20));
        assert_eq!((alike.k(), alike.reason, alike.few_distinct), (1, Reason::AllAlike, Some(1)));
        assert_eq!(given(&Rows::of(copies(40, 1).view()), 7, &choice(3..=20)).k(), 1);
    }
}
