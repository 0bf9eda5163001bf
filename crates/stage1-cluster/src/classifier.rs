//! A classifier on frozen features: soft labels in, calibrated probabilities out.
//!
//! Multinomial logistic regression on whitened features, cross-entropy against the soft label, classes weighted so that each counts
//! alike, Adam over all rows, stopped where held-out rows stop getting better. Figures come from rows whose group was held
//! out: pictures of one neighbourhood are never on both sides. The temperature (Guo et al. 2017) is fitted on held-out logits.
//! Left out: training the backbone with it.

use crate::network::largest;
use nn::Whitener;

/// Parts that groups are dealt to; each is held out once.
pub const FOLDS: usize = 5;
/// Adam (Kingma and Ba 2015) with its usual constants.
const LEARNING_RATE: f64 = 0.02;
const BETA: (f64, f64) = (0.9, 0.999);
const EPSILON: f64 = 1e-8;
/// Pull of the weights towards zero.
const WEIGHT_DECAY: f64 = 1e-3;
const MOST_STEPS: usize = 1500;
/// Steps without a better held-out loss after which training stops.
const PATIENCE: usize = 60;
/// Bins of the calibration error.
const BINS: usize = 10;

/// Rows with soft labels.
pub struct Lesson {
    /// Features of the backbone. `[row][feature]`
    pub features: Vec<Vec<f32>>,
    /// Share of each class. `[row][class]`
    pub shares: Vec<Vec<f32>>,
    /// The fold of each row's group.
    pub fold: Vec<usize>,
}

/// A linear layer on the backbone's features. `weight` is `[feature][class]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Weights.
    pub weight: Vec<f32>,
    /// One a class.
    pub bias: Vec<f32>,
}

impl Layer {
    /// The logits of a row. `[class]`
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let n = self.bias.len();
        let mut sums: Vec<f64> = self.bias.iter().map(|&b| f64::from(b)).collect();
        for (x, weights) in features.iter().zip(self.weight.chunks(n)) {
            sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += f64::from(*x) * f64::from(*w));
        }
        sums.into_iter().map(|s| s as f32).collect()
    }
}

/// A trained classifier and its held-out logits.
pub struct Trained {
    /// The layer, its logits divided by the temperature already.
    pub layer: Layer,
    /// What held-out logits were divided by.
    pub temperature: f64,
    /// Steps of the final training.
    pub steps: usize,
    /// Logits of every row from a training without its group. `[row][class]`
    pub held_out: Vec<Vec<f32>>,
}

/// Trains once without each fold, then on all rows as long as those trainings took.
///
/// # Errors
/// If there are too few rows to whiten.
pub fn train(lesson: &Lesson, components: usize) -> anyhow::Result<Trained> {
    let mut held_out = vec![Vec::new(); lesson.features.len()];
    let mut steps = Vec::new();
    for fold in 0..FOLDS {
        let watched = (fold + 1) % FOLDS;
        let rows = |keep: &dyn Fn(usize) -> bool| -> Vec<usize> {
            (0..lesson.fold.len()).filter(|&row| keep(lesson.fold[row])).collect()
        };
        let kept = rows(&|f| f != fold && f != watched);
        let (layer, n) = fit(lesson, &kept, &rows(&|f| f == watched), components, MOST_STEPS)?;
        steps.push(n);
        rows(&|f| f == fold).into_iter().for_each(|row| held_out[row] = layer.logits(&lesson.features[row]));
    }
    let steps = (steps.iter().sum::<usize>() / FOLDS).max(1);
    let all: Vec<usize> = (0..lesson.fold.len()).collect();
    let (mut layer, _) = fit(lesson, &all, &[], components, steps)?;
    let temperature = temperature(&held_out, &lesson.shares);
    layer.weight.iter_mut().chain(&mut layer.bias).for_each(|v| *v = (f64::from(*v) / temperature) as f32);
    Ok(Trained { layer, temperature, steps, held_out })
}

/// The layer after the step of the least loss on the watched rows, or after all steps without them; and that step.
fn fit(
    lesson: &Lesson,
    rows: &[usize],
    watched: &[usize],
    components: usize,
    most_steps: usize,
) -> anyhow::Result<(Layer, usize)> {
    let raw: Vec<Vec<f32>> = rows.iter().map(|&row| lesson.features[row].clone()).collect();
    let whitener = Whitener::fit(&raw, components)?;
    let white = |rows: &[usize]| -> Vec<(Vec<f32>, &[f32])> {
        rows.iter()
            .map(|&row| (whitener.apply(&lesson.features[row]), lesson.shares[row].as_slice()))
            .collect()
    };
    let (learnt, watched) = (white(rows), white(watched));
    let n_classes = lesson.shares.first().map_or(0, Vec::len);
    let weights = class_weights(&learnt, n_classes);
    let mut adam = Adam::new((whitener.n_components() + 1) * n_classes);
    let mut best = (f64::INFINITY, 0, adam.values.clone());
    for step in 1..=most_steps {
        let gradient = gradient(&adam.values, &learnt, &weights);
        adam.step(&gradient, step);
        if watched.is_empty() {
            best = (0.0, step, adam.values.clone());
            continue;
        }
        let loss = loss(&adam.values, &watched, &weights);
        if loss < best.0 {
            best = (loss, step, adam.values.clone());
        } else if step > best.1 + PATIENCE {
            break;
        }
    }
    let values: Vec<f32> = best.2.iter().map(|&v| v as f32).collect();
    let (weight, bias) = values.split_at(values.len() - n_classes);
    let (weight, bias) = whitener.fold(weight, bias);
    Ok((Layer { weight, bias }, best.1))
}

type Row<'a> = (Vec<f32>, &'a [f32]);

/// One over each class's share, so that classes count alike; 1 in the mean.
fn class_weights(rows: &[Row], n_classes: usize) -> Vec<f64> {
    let share = |c: usize| {
        rows.iter().map(|(_, shares)| f64::from(shares[c])).sum::<f64>() / rows.len().max(1) as f64
    };
    (0..n_classes).map(|c| 1.0 / (n_classes as f64 * share(c)).max(1e-3)).collect()
}

/// Weights `[component][class]`, then one bias a class, as a flat list.
fn logits(values: &[f64], row: &[f32], n_classes: usize) -> Vec<f64> {
    let (weight, bias) = values.split_at(values.len() - n_classes);
    let mut sums = bias.to_vec();
    for (x, weights) in row.iter().zip(weight.chunks(n_classes)) {
        sums.iter_mut().zip(weights).for_each(|(sum, w)| *sum += f64::from(*x) * w);
    }
    sums
}

/// Probabilities of logits.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raw: Vec<f64> = logits.iter().map(|l| (l - most).exp()).collect();
    let sum: f64 = raw.iter().sum();
    raw.into_iter().map(|p| p / sum).collect()
}

fn gradient(values: &[f64], rows: &[Row], weights: &[f64]) -> Vec<f64> {
    let (n, k) = (rows.len().max(1) as f64, weights.len());
    let mut sums: Vec<f64> = values.iter().map(|v| v * WEIGHT_DECAY).collect();
    let first_bias = values.len() - k;
    for (row, shares) in rows {
        let told = softmax(&logits(values, row, k));
        // d/dz of -Σ w_c y_c log softmax(z)_c
        let whole: f64 = shares.iter().zip(weights).map(|(y, w)| f64::from(*y) * w).sum();
        let slope: Vec<f64> =
            (0..k).map(|c| (told[c] * whole - f64::from(shares[c]) * weights[c]) / n).collect();
        for (i, x) in row.iter().enumerate() {
            slope.iter().enumerate().for_each(|(c, s)| sums[i * k + c] += s * f64::from(*x));
        }
        slope.iter().enumerate().for_each(|(c, s)| sums[first_bias + c] += s);
    }
    sums
}

fn loss(values: &[f64], rows: &[Row], weights: &[f64]) -> f64 {
    let one = |(row, shares): &Row| {
        let told = softmax(&logits(values, row, weights.len()));
        (0..weights.len()).map(|c| -weights[c] * f64::from(shares[c]) * told[c].max(1e-12).ln()).sum::<f64>()
    };
    rows.iter().map(one).sum::<f64>() / rows.len().max(1) as f64
}

struct Adam {
    values: Vec<f64>,
    mean: Vec<f64>,
    square: Vec<f64>,
}

impl Adam {
    fn new(n: usize) -> Self {
        Self { values: vec![0.0; n], mean: vec![0.0; n], square: vec![0.0; n] }
    }

    fn step(&mut self, gradient: &[f64], step: usize) {
        let unbias = |beta: f64| 1.0 - beta.powi(step as i32);
        for (i, g) in gradient.iter().enumerate() {
            self.mean[i] = BETA.0 * self.mean[i] + (1.0 - BETA.0) * g;
            self.square[i] = BETA.1 * self.square[i] + (1.0 - BETA.1) * g * g;
            let spread = (self.square[i] / unbias(BETA.1)).sqrt() + EPSILON;
            self.values[i] -= LEARNING_RATE * self.mean[i] / unbias(BETA.0) / spread;
        }
    }
}

/// The probabilities of logits at a temperature.
pub fn told(logits: &[f32], temperature: f64) -> Vec<f64> {
    softmax(&logits.iter().map(|&l| f64::from(l) / temperature).collect::<Vec<_>>())
}

/// The temperature of the least cross-entropy: golden section over its logarithm, from 1/20 to 20.
fn temperature(logits: &[Vec<f32>], shares: &[Vec<f32>]) -> f64 {
    let cost = |log: f64| -> f64 {
        let one = |(logits, shares): (&Vec<f32>, &Vec<f32>)| {
            let told = told(logits, log.exp());
            told.iter().zip(shares).map(|(p, y)| -f64::from(*y) * p.max(1e-12).ln()).sum::<f64>()
        };
        logits.iter().zip(shares).map(one).sum()
    };
    let golden = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-(20.0_f64.ln()), 20.0_f64.ln());
    for _ in 0..60 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if cost(a) < cost(b) { high = b } else { low = a }
    }
    ((low + high) / 2.0).exp()
}

/// The expected calibration error: how far the likeliest class's probability is from how often it is right, over ten bins.
pub fn calibration_error(told: &[Vec<f64>], truth: &[usize]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for (told, &truth) in told.iter().zip(truth) {
        let best = largest(&told.iter().map(|&p| p as f32).collect::<Vec<_>>());
        let bin = ((told[best] * BINS as f64) as usize).min(BINS - 1);
        bins[bin].0 += told[best];
        bins[bin].1 += f64::from(u8::from(best == truth));
    }
    bins.iter().map(|(told, right)| (told - right).abs()).sum::<f64>() / told.len().max(1) as f64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Three classes, one rare, that overlap; groups of five rows.
    fn lesson() -> Lesson {
        let mut rng = ChaCha8Rng::seed_from_u64(6);
        let (mut features, mut shares) = (Vec::new(), Vec::new());
        for i in 0..400 {
            let class = if i % 10 == 0 { 2 } else { i % 2 };
            let row =
                (0..6).map(|j| rng.random::<f32>() * 2.0 + if j % 3 == class { 1.2 } else { 0.0 }).collect();
            features.push(row);
            shares.push((0..3).map(|c| if c == class { 0.8 } else { 0.1 }).collect());
        }
        Lesson { features, shares, fold: (0..400).map(|i| i / 5 % FOLDS).collect() }
    }

    #[test]
    fn held_out_rows_are_told_and_the_rare_class_is_not_forgotten() {
        let lesson = lesson();
        let trained = train(&lesson, 6).unwrap();
        let recall = |class: usize| {
            let of: Vec<usize> = (0..400).filter(|&i| largest(&lesson.shares[i]) == class).collect();
            let right = of.iter().filter(|&&i| largest(&trained.held_out[i]) == class).count();
            right as f64 / of.len() as f64
        };
        assert!((0..3).all(|class| recall(class) > 0.6), "{:?}", [recall(0), recall(1), recall(2)]);
        assert!(trained.steps < MOST_STEPS, "it stops early");
        let again = train(&lesson, 6).unwrap();
        assert_eq!(trained.layer, again.layer);
    }

    #[test]
    fn a_temperature_undoes_what_logits_were_stretched_by() {
        let lesson = lesson();
        let trained = train(&lesson, 6).unwrap();
        let stretched: Vec<Vec<f32>> =
            trained.held_out.iter().map(|l| l.iter().map(|v| v * 4.0).collect()).collect();
        let ratio = temperature(&stretched, &lesson.shares) / trained.temperature;
        assert!((ratio - 4.0).abs() < 1e-3, "{ratio}");
    }

    #[test]
    fn the_calibration_error_is_the_gap_between_said_and_right() {
        let told = vec![vec![0.9, 0.1]; 10];
        let truth: Vec<usize> = (0..10).map(|i| usize::from(i >= 7)).collect();
        assert!((calibration_error(&told, &truth) - 0.2).abs() < 1e-9);
    }
}
