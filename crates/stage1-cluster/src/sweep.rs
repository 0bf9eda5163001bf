//! The number of clusters of a class: the K of the highest silhouette.

use crate::kmeans::{Grouping, Search, kmeans};
use crate::silhouette::Distances;
use ndarray::{ArrayView2, Axis};
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use std::ops::RangeInclusive;

/// Rows that the silhouette looks at, at most.
const SAMPLE_ROWS: usize = 3000;
/// A cluster should hold this many rows on average, or K is too large for the class.
const ROWS_A_CLUSTER: usize = 4;

/// A sweep over K and what was chosen.
pub struct Sweep {
    /// The silhouette of each K that was tried.
    pub silhouettes: Vec<(usize, f64)>,
    /// The chosen K's grouping.
    pub grouping: Grouping,
}

impl Sweep {
    /// The number of clusters that was chosen.
    pub fn k(&self) -> usize {
        self.grouping.centres.nrows()
    }
}

/// Tries every K of the range that leaves four rows a cluster on average; one cluster if none does.
pub fn choose(rows: ArrayView2<f32>, ks: RangeInclusive<usize>, search: Search) -> Sweep {
    let largest = (rows.nrows() / ROWS_A_CLUSTER).min(*ks.end());
    let mut rng = ChaCha8Rng::seed_from_u64(search.seed);
    let mut seen = sample(&mut rng, rows.nrows(), SAMPLE_ROWS.min(rows.nrows())).into_vec();
    seen.sort_unstable();
    let distances = Distances::between(rows.select(Axis(0), &seen).view());
    let mut silhouettes = Vec::new();
    let mut best: Option<(f64, Grouping)> = None;
    for k in *ks.start()..=largest {
        let grouping = kmeans(rows, k, search);
        let of_seen: Vec<usize> = seen.iter().map(|&row| grouping.of_row[row]).collect();
        let Some(value) = distances.silhouette(&of_seen) else { continue };
        silhouettes.push((k, value));
        if best.as_ref().is_none_or(|(highest, _)| value > *highest) {
            best = Some((value, grouping));
        }
    }
    let grouping = best.map_or_else(|| kmeans(rows, 1, search), |(_, grouping)| grouping);
    Sweep { silhouettes, grouping }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array2;
    use rand::RngExt;

    const SEARCH: Search = Search { n_starts: 4, max_steps: 50, seed: 1 };

    #[test]
    fn the_true_number_of_blobs_is_chosen() {
        let mut rng = ChaCha8Rng::seed_from_u64(4);
        let centres = Array2::from_shape_fn((6, 10), |_| rng.random::<f32>());
        let rows =
            Array2::from_shape_fn((240, 10), |(i, j)| centres[(i % 6, j)] + 0.05 * rng.random::<f32>());
        let sweep = choose(rows.view(), 3..=12, SEARCH);
        assert_eq!(sweep.k(), 6);
        assert_eq!(sweep.silhouettes.len(), 10);
    }

    #[test]
    fn a_class_of_few_rows_stays_one_cluster() {
        let rows = Array2::from_shape_fn((7, 3), |(i, j)| (i * j) as f32);
        let sweep = choose(rows.view(), 3..=20, SEARCH);
        assert_eq!(sweep.k(), 1);
        assert!(sweep.silhouettes.is_empty());
    }
}
