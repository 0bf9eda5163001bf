//! The draws of training: every step's batch depends on the seed, the member and the step only, so a run that goes on
//! from a checkpoint draws what an unbroken one would.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Which samples each level can draw from, by cluster.
#[derive(Clone, Debug)]
pub struct Pool {
    /// `[level][cluster][sample]`, least developed level first.
    levels: Vec<Vec<Vec<usize>>>,
}

impl Pool {
    /// A pool of samples given as (index, level, cluster), of the levels that have some. Missing below two levels.
    pub fn of(samples: impl Iterator<Item = (usize, usize, u32)>) -> Option<Self> {
        let mut levels: BTreeMap<usize, BTreeMap<u32, Vec<usize>>> = BTreeMap::new();
        for (index, level, cluster) in samples {
            levels.entry(level).or_default().entry(cluster).or_default().push(index);
        }
        let levels: Vec<Vec<Vec<usize>>> =
            levels.into_values().map(|level| level.into_values().collect()).collect();
        (levels.len() > 1).then_some(Self { levels })
    }

    /// The pool of one bootstrap sample: as many draws from each cluster as it has samples.
    pub fn bootstrap(&self, rng: &mut impl Rng) -> Self {
        let mut levels = self.levels.clone();
        for cluster in levels.iter_mut().flatten() {
            *cluster = (0..cluster.len()).map(|_| cluster[rng.random_range(0..cluster.len())]).collect();
        }
        Self { levels }
    }

    /// How many levels.
    pub fn n_levels(&self) -> usize {
        self.levels.len()
    }

    /// The samples of each cluster, as often as they are drawn from.
    pub fn clusters(&self) -> impl Iterator<Item = &[usize]> + '_ {
        self.levels.iter().flatten().map(Vec::as_slice)
    }

    /// One sample a level, least developed first; tied clusters share the level's sampler in equal parts.
    pub fn row(&self, rng: &mut impl Rng) -> Vec<usize> {
        let pick = |level: &Vec<Vec<usize>>, rng: &mut dyn FnMut(usize) -> usize| {
            let cluster = &level[rng(level.len())];
            cluster[rng(cluster.len())]
        };
        let mut below = |n: usize| rng.random_range(0..n);
        self.levels.iter().map(|level| pick(level, &mut below)).collect()
    }

    /// Two samples of any levels and a share, for a stitched picture.
    pub fn pair(&self, rng: &mut impl Rng) -> (usize, usize, f64) {
        let (upper, lower) = (self.row(rng), self.row(rng));
        let n = self.n_levels();
        (upper[rng.random_range(0..n)], lower[rng.random_range(0..n)], rng.random())
    }
}

/// The generator of one step of one member.
pub fn generator(seed: u64, member: u64, step: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream((member << 40) | step);
    rng
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_one_sample_of_each_level_and_tied_clusters_take_turns() {
        let samples = [(0, 0, 7), (1, 1, 3), (2, 1, 3), (3, 1, 3), (4, 1, 5)];
        let pool = Pool::of(samples.into_iter()).unwrap();
        let mut rng = generator(1, 0, 0);
        let rows: Vec<Vec<usize>> = (0..2000).map(|_| pool.row(&mut rng)).collect();
        assert!(rows.iter().all(|row| row[0] == 0 && (1..=4).contains(&row[1])));
        let n_of_five = rows.iter().filter(|row| row[1] == 4).count();
        assert!(
            (900..1100).contains(&n_of_five),
            "cluster 5 has one sample and half of the draws: {n_of_five}"
        );
    }

    #[test]
    fn samples_of_one_level_alone_make_no_pool() {
        assert!(Pool::of([(0, 0, 7), (1, 0, 8)].into_iter()).is_none());
    }

    #[test]
    fn a_step_draws_the_same_whenever_it_is_reached() {
        let pool = Pool::of((0..90).map(|i| (i, i % 3, (i % 6) as u32))).unwrap();
        assert_eq!(pool.row(&mut generator(4, 2, 17)), pool.row(&mut generator(4, 2, 17)));
        assert_ne!(pool.row(&mut generator(4, 2, 17)), pool.row(&mut generator(4, 2, 18)));
    }
}
