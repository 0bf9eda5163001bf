//! Cross-validation: every picture judged by heads that did not see it, nor what decides on them.
//!
//! A fold's heads, their balance and their temperature come from the other folds alone. Two ways to draw folds:
//! by picture, and by blocks of pictures that follow one another in the table. Neighbours in a table of tiles are often
//! neighbours on the ground, so the second is what to expect at a place that was not labelled.

use super::ensemble::{Ensemble, Lesson, Recipe};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// How many parts the pictures are cut into.
pub const N_FOLDS: usize = 5;
/// Pictures that stay together when folds are drawn by block.
pub const BLOCK: usize = 25;

/// What stays together when folds are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unit {
    /// A picture.
    Picture,
    /// [`BLOCK`] pictures that follow one another.
    Block,
}

/// The fold of each of `n` pictures.
pub fn folds(n: usize, unit: Unit, seed: u64) -> Vec<usize> {
    let size = match unit {
        Unit::Picture => 1,
        Unit::Block => BLOCK,
    };
    let mut order: Vec<usize> = (0..n.div_ceil(size)).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut fold = vec![0; order.len()];
    order.into_iter().enumerate().for_each(|(place, unit)| fold[unit] = place % N_FOLDS);
    (0..n).map(|picture| fold[picture / size]).collect()
}

/// The probabilities of every view of every picture. `[picture][view][class]`
pub fn cross_validate(lessons: &[Lesson], folds: &[usize], recipe: &Recipe) -> Vec<Vec<Vec<f64>>> {
    let judge = |fold: usize| {
        let (held, kept): (Vec<usize>, Vec<usize>) = (0..lessons.len()).partition(|&i| folds[i] == fold);
        if held.is_empty() {
            return Vec::new();
        }
        let ensemble = Ensemble::learn(lessons, &kept, recipe);
        let said = |i: &usize| lessons[*i].views.iter().map(|view| ensemble.probabilities(view)).collect();
        held.iter().map(|i| (*i, said(i))).collect::<Vec<(usize, Vec<Vec<f64>>)>>()
    };
    let mut judged: Vec<_> = (0..N_FOLDS).into_par_iter().flat_map_iter(judge).collect();
    judged.sort_unstable_by_key(|(picture, _)| *picture);
    judged.into_iter().map(|(_, said)| said).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::softmax::Fit;

    #[test]
    fn folds_are_of_one_size_and_a_block_stays_together() {
        let by_picture = folds(103, Unit::Picture, 1);
        for fold in 0..N_FOLDS {
            let n = by_picture.iter().filter(|&&f| f == fold).count();
            assert!((20..=21).contains(&n), "fold {fold} has {n}");
        }
        let by_block = folds(103, Unit::Block, 1);
        assert!(by_block.chunks(BLOCK).all(|block| block.iter().all(|fold| *fold == block[0])));
        assert_eq!(by_block.len(), 103);
    }

    #[test]
    fn a_picture_is_not_judged_by_heads_that_saw_it() {
        // Every picture has a feature of its own, which tells its class to whoever saw it, and nothing else does.
        let n = 60;
        let lesson = |i: usize| Lesson {
            views: vec![(0..n).map(|j| f32::from(u8::from(i == j))).collect()],
            shares: if i.is_multiple_of(2) { vec![1.0, 0.0] } else { vec![0.0, 1.0] },
        };
        let lessons: Vec<Lesson> = (0..n).map(lesson).collect();
        let recipe = Recipe { n_heads: 5, n_views: 1, fit: Fit { weight_decay: 1e-3, steps: 50 }, seed: 1 };
        let judged = cross_validate(&lessons, &folds(n, Unit::Picture, 1), &recipe);
        assert_eq!(judged.len(), n);
        for (i, said) in judged.iter().enumerate() {
            assert!((said[0][i % 2] - 0.5).abs() < 0.2, "picture {i} is known: {said:?}");
        }
    }
}
