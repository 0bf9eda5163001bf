//! The heads: what they learn from, each on another bootstrap sample, and how sure they may be.
//!
//! - **Target.** The squares of the annotators' shares, made to add up to 1: the class that two annotators drawn at
//!   random agree on. A disputed picture teaches, but does not pull as hard as a clear one.
//! - **Balance.** A picture of a rare class counts for more, by the square root of how rare it is.
//! - **Temperature.** Heads that learnt so are surer than annotators are. Their logits are divided by one temperature
//!   (Guo et al. 2017), at which the mean of the heads that did not see a picture (its bootstrap sample left it out)
//!   says the annotators' shares best. So no picture is held back, and none judges itself.

use crate::softmax::{Fit, Head, Row, fit, probabilities};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Weight of a class: the power of its size.
const BALANCE: f64 = -0.5;
/// Where the temperature is looked for, as its logarithm, and how often the span is cut to .62 of itself.
const LOG_TEMPERATURE: (f64, f64) = (-1.5, 1.5);
const CUTS: usize = 30;

/// A picture to learn from.
#[derive(Clone, Debug)]
pub struct Lesson {
    /// Features of the picture as it is, then of its altered views. `[view][feature]`
    pub views: Vec<Vec<f32>>,
    /// The annotators' shares, one a class.
    pub shares: Vec<f32>,
}

/// How the heads are made.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// How many.
    pub n_heads: u16,
    /// Views of a picture that they learn from, the picture itself included.
    pub n_views: usize,
    /// How one is fitted.
    pub fit: Fit,
    /// Seed of the bootstrap samples.
    pub seed: u64,
}

/// Heads whose mean is a calibrated probability.
#[derive(Clone, Debug)]
pub struct Ensemble {
    /// The heads, the temperature already in their weights.
    pub heads: Vec<Head>,
    /// What their logits were divided by.
    pub temperature: f64,
}

impl Ensemble {
    /// Learns from the lessons whose places are given.
    pub fn learn(lessons: &[Lesson], places: &[usize], recipe: &Recipe) -> Self {
        let weights = balance(lessons, places);
        let targets: Vec<Vec<f32>> = places.iter().map(|&place| sharpened(&lessons[place].shares)).collect();
        let head = |number: u64| {
            let counts = bootstrap(places.len(), recipe.seed, number);
            let seen = (0..places.len()).filter(|&i| counts[i] > 0);
            let rows: Vec<Row<'_>> = seen
                .flat_map(|i| {
                    let weight = weights[i] * f64::from(counts[i]);
                    let target = &targets[i];
                    let views = lessons[places[i]].views.iter().take(recipe.n_views);
                    views.map(move |features| Row { features, target, weight })
                })
                .collect();
            (fit(&rows, &recipe.fit), counts)
        };
        let made: Vec<(Head, Vec<u32>)> = (0..u64::from(recipe.n_heads)).into_par_iter().map(head).collect();
        let temperature = temperature(lessons, places, &made);
        Self { heads: made.into_iter().map(|(head, _)| head.cooled(temperature)).collect(), temperature }
    }

    /// The mean of the heads' probabilities, as `classify` takes it.
    pub fn probabilities(&self, features: &[f32]) -> Vec<f64> {
        mean(self.heads.iter().map(|head| probabilities(&head.logits(features), 1.0)))
    }
}

fn sharpened(shares: &[f32]) -> Vec<f32> {
    let sum: f32 = shares.iter().map(|s| s * s).sum();
    shares.iter().map(|s| s * s / sum).collect()
}

/// How much each picture counts.
fn balance(lessons: &[Lesson], places: &[usize]) -> Vec<f64> {
    let n_classes = lessons[places[0]].shares.len();
    let size =
        |class: usize| places.iter().map(|&place| f64::from(lessons[place].shares[class])).sum::<f64>();
    let weights: Vec<f64> = (0..n_classes).map(|class| size(class).max(1.0).powf(BALANCE)).collect();
    let of = |&place: &usize| {
        lessons[place].shares.iter().zip(&weights).map(|(share, weight)| f64::from(*share) * weight).sum()
    };
    places.iter().map(of).collect()
}

/// How often each of `n` pictures is in the sample of a head.
fn bootstrap(n: usize, seed: u64, head: u64) -> Vec<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(head + 1);
    let mut counts = vec![0; n];
    (0..n).for_each(|_| counts[rng.random_range(0..n)] += 1);
    counts
}

/// By golden sections: the loss has one valley.
fn temperature(lessons: &[Lesson], places: &[usize], made: &[(Head, Vec<u32>)]) -> f64 {
    let unseen = |(i, &place): (usize, &usize)| {
        let lesson = &lessons[place];
        let heads = made.iter().filter(|(_, counts)| counts[i] == 0);
        let logits: Vec<Vec<f64>> = heads.map(|(head, _)| head.logits(&lesson.views[0])).collect();
        (!logits.is_empty()).then_some((logits, &lesson.shares))
    };
    let unseen: Vec<_> = places.iter().enumerate().filter_map(unseen).collect();
    let loss = |log: f64| -> f64 {
        let of = |(logits, shares): &(Vec<Vec<f64>>, &Vec<f32>)| {
            let said = mean(logits.iter().map(|logits| probabilities(logits, log.exp())));
            said.iter().zip(*shares).map(|(p, y)| -f64::from(*y) * p.max(f64::MIN_POSITIVE).ln()).sum::<f64>()
        };
        unseen.iter().map(of).sum()
    };
    let golden = (5.0f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = LOG_TEMPERATURE;
    for _ in 0..CUTS {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if loss(left) <= loss(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high).exp()
}

fn mean(rows: impl ExactSizeIterator<Item = Vec<f64>>) -> Vec<f64> {
    let n = rows.len() as f64;
    let sum = rows.reduce(|sum, row| sum.iter().zip(row).map(|(a, b)| a + b).collect());
    sum.unwrap_or_default().into_iter().map(|s| s / n).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RECIPE: Recipe =
        Recipe { n_heads: 8, n_views: 1, fit: Fit { weight_decay: 1e-3, steps: 100 }, seed: 3 };

    /// One feature; the chance of the first of two classes falls with it, and four annotators draw.
    fn lessons(n: usize) -> Vec<Lesson> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut lesson = |i: usize| {
            let x = i as f64 / n as f64 * 6.0 - 3.0;
            let chance = 1.0 / (1.0 + x.exp());
            let yes = (0..4).filter(|_| rng.random_range(0.0..1.0) < chance).count() as f32 / 4.0;
            Lesson { views: vec![vec![x as f32]], shares: vec![yes, 1.0 - yes] }
        };
        (0..n).map(&mut lesson).collect()
    }

    #[test]
    fn the_mean_of_the_heads_is_the_annotators_chance() {
        let lessons = lessons(2000);
        let places: Vec<usize> = (0..lessons.len()).collect();
        let ensemble = Ensemble::learn(&lessons, &places, &RECIPE);
        assert!(
            ensemble.temperature > 1.0,
            "sharpened targets make heads too sure: {}",
            ensemble.temperature
        );
        for x in [-2.0f32, -1.0, 0.0, 1.0, 2.0] {
            let (said, chance) = (ensemble.probabilities(&[x])[0], 1.0 / (1.0 + f64::from(x).exp()));
            // 2,000 pictures of four draws: about one per cent of noise, and one temperature bends a little.
            assert!((said - chance).abs() < 0.05, "at {x}: {said} for {chance}");
        }
    }

    #[test]
    fn the_heads_are_the_same_for_any_number_of_threads() {
        let lessons = lessons(100);
        let places: Vec<usize> = (0..lessons.len()).collect();
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let ensemble = pool.install(|| Ensemble::learn(&lessons, &places, &RECIPE));
            (ensemble.temperature, ensemble.probabilities(&[0.7]))
        };
        assert_eq!(with(1), with(3));
    }

    #[test]
    fn a_rare_class_counts_more_a_picture_and_less_in_all() {
        let of = |shares: [f32; 2]| Lesson { views: vec![vec![0.0]], shares: shares.into() };
        let lessons: Vec<Lesson> =
            (0..10).map(|i| of(if i == 0 { [1.0, 0.0] } else { [0.0, 1.0] })).collect();
        let places: Vec<usize> = (0..10).collect();
        let weights = balance(&lessons, &places);
        assert!((weights[0] / weights[1] - 3.0).abs() < 1e-9);
    }
}
