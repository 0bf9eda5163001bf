//! Soft-max regression on soft targets: cross-entropy with a pull of the weights towards zero.
//!
//! The loss is convex, so its minimum does not depend on where the search begins; L-BFGS (Nocedal and Wright 2006,
//! algorithm 7.5) finds it from zero. One fit runs on one thread: many fits share the threads, and their bytes do not
//! depend on how.

use std::collections::VecDeque;

/// How to fit.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Weight of the sum of squares of the weights (of standardised features) in the loss.
    pub weight_decay: f64,
    /// Steps at most.
    pub steps: usize,
}

/// Pairs of step and change of slope that L-BFGS remembers.
const MEMORY: usize = 8;
/// A slope this flat is the bottom: the loss is about 1 and its third digit is noise of the sample.
const FLAT: f64 = 1e-4;
/// A feature that varies less is taken as constant, and not blown up.
const LEAST_SD: f64 = 1e-3;
/// Rows whose slopes are added up in 32 bits before they join the sum in 64.
const ROWS_A_BLOCK: usize = 64;

/// A row to learn from.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// What is seen.
    pub features: &'a [f32],
    /// One share a class; they add up to 1.
    pub target: &'a [f32],
    /// How much the row counts; only ratios matter.
    pub weight: f64,
}

/// A fitted head on raw features.
#[derive(Clone, Debug)]
pub struct Head {
    /// `[class][feature]`
    pub weight: Vec<Vec<f32>>,
    /// `[class]`
    pub bias: Vec<f32>,
}

impl Head {
    /// The logits of a row of features.
    pub fn logits(&self, features: &[f32]) -> Vec<f64> {
        let dot =
            |w: &Vec<f32>| w.iter().zip(features).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        self.weight.iter().zip(&self.bias).map(|(w, b)| dot(w) + f64::from(*b)).collect()
    }

    /// The same head with all logits divided by `temperature`: above 1 it is less sure.
    #[must_use]
    pub fn cooled(mut self, temperature: f64) -> Self {
        let all = self.weight.iter_mut().flatten().chain(&mut self.bias);
        all.for_each(|w| *w = (f64::from(*w) / temperature) as f32);
        self
    }
}

/// The probabilities of logits that are divided by `temperature` first.
pub fn probabilities(logits: &[f64], temperature: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raised: Vec<f64> = logits.iter().map(|l| ((l - top) / temperature).exp()).collect();
    let sum: f64 = raised.iter().sum();
    raised.into_iter().map(|r| r / sum).collect()
}

/// The place of the largest value; the first of equal ones.
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    let best = values.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(place, _)| place)
}

/// Fits a head.
///
/// # Panics
/// Without rows.
pub fn fit(rows: &[Row<'_>], settings: &Fit) -> Head {
    let task = Task::of(rows, settings.weight_decay);
    let best =
        minimum(vec![0.0; task.n_classes * (task.n_features + 1)], settings.steps, |at| task.slope(at));
    task.head(&best)
}

/// The rows, standardised, and the loss over them.
struct Task {
    n_features: usize,
    n_classes: usize,
    mean: Vec<f64>,
    sd: Vec<f64>,
    /// `[row][feature]`
    x: Vec<f32>,
    /// `[row][class]`
    y: Vec<f32>,
    /// One a row; they add up to 1.
    weight: Vec<f64>,
    weight_decay: f64,
}

impl Task {
    fn of(rows: &[Row<'_>], weight_decay: f64) -> Self {
        let (n_features, n_classes) = (rows[0].features.len(), rows[0].target.len());
        let total: f64 = rows.iter().map(|row| row.weight).sum();
        let weight: Vec<f64> = rows.iter().map(|row| row.weight / total).collect();
        let (mut mean, mut square) = (vec![0.0; n_features], vec![0.0; n_features]);
        for (row, w) in rows.iter().zip(&weight) {
            mean.iter_mut().zip(row.features).for_each(|(sum, x)| *sum += w * f64::from(*x));
        }
        for (row, w) in rows.iter().zip(&weight) {
            let off = row.features.iter().zip(&mean).map(|(x, m)| (f64::from(*x) - m).powi(2));
            square.iter_mut().zip(off).for_each(|(sum, off)| *sum += w * off);
        }
        let sd: Vec<f64> = square.into_iter().map(|v| v.sqrt().max(LEAST_SD)).collect();
        let standard = |row: &Row<'_>| {
            let off = row.features.iter().zip(mean.iter().zip(&sd));
            off.map(|(x, (m, s))| ((f64::from(*x) - m) / s) as f32).collect::<Vec<_>>()
        };
        let x = rows.iter().flat_map(standard).collect();
        let y = rows.iter().flat_map(|row| row.target.iter().copied()).collect();
        Self { n_features, n_classes, mean, sd, x, y, weight, weight_decay }
    }

    /// Loss and its slope at `[class][feature…, bias]`.
    fn slope(&self, at: &[f64]) -> (f64, Vec<f64>) {
        let stride = self.n_features + 1;
        let narrow: Vec<f32> = at.iter().map(|&w| w as f32).collect();
        let (mut loss, mut slope) = (0.0, vec![0.0; at.len()]);
        let rows = self.x.chunks(self.n_features).zip(self.y.chunks(self.n_classes)).zip(&self.weight);
        let rows: Vec<_> = rows.collect();
        for block in rows.chunks(ROWS_A_BLOCK) {
            let mut part = vec![0.0f32; at.len()];
            for ((x, y), weight) in block {
                let logit = |w: &[f32]| f64::from(dot(&w[..self.n_features], x) + w[self.n_features]);
                let logits: Vec<f64> = narrow.chunks(stride).map(logit).collect();
                let said = probabilities(&logits, 1.0);
                for (class, (p, y)) in said.iter().zip(*y).enumerate() {
                    let y = f64::from(*y);
                    loss -= *weight * y * p.max(f64::MIN_POSITIVE).ln();
                    let pull = (*weight * (p - y)) as f32;
                    let mine = &mut part[class * stride..(class + 1) * stride];
                    mine.iter_mut().zip(*x).for_each(|(sum, x)| *sum += pull * x);
                    mine[self.n_features] += pull;
                }
            }
            slope.iter_mut().zip(&part).for_each(|(sum, part)| *sum += f64::from(*part));
        }
        for (place, w) in at.iter().enumerate().filter(|(place, _)| place % stride < self.n_features) {
            loss += self.weight_decay * w * w;
            slope[place] += 2.0 * self.weight_decay * w;
        }
        (loss, slope)
    }

    /// The head for features that were not standardised.
    fn head(&self, at: &[f64]) -> Head {
        let classes = at.chunks(self.n_features + 1);
        let raw = |w: &[f64]| w.iter().zip(&self.sd).map(|(w, s)| w / s).collect::<Vec<f64>>();
        let shift = |w: &[f64]| raw(w).iter().zip(&self.mean).map(|(w, m)| w * m).sum::<f64>();
        let bias = classes.clone().map(|w| (w[self.n_features] - shift(w)) as f32).collect();
        let weight = classes.map(|w| raw(w).into_iter().map(|w| w as f32).collect()).collect();
        Head { weight, bias }
    }
}

/// Sixteen sums side by side, so that the processor's wide registers are full.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 16;
    let mut sums = [0.0f32; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f32 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f32>() + rest
}

/// A step and how the slope changed over it.
struct Move {
    step: Vec<f64>,
    change: Vec<f64>,
}

fn minimum(start: Vec<f64>, steps: usize, slope: impl Fn(&[f64]) -> (f64, Vec<f64>)) -> Vec<f64> {
    let (mut at, mut moves) = (start, VecDeque::new());
    let (mut height, mut here) = slope(&at);
    for _ in 0..steps {
        if norm(&here) < FLAT {
            break;
        }
        let down = direction(&here, &moves);
        let steepness = inner(&here, &down);
        // The first step knows nothing of the curvature.
        let first = if moves.is_empty() { 1.0 / norm(&here).max(1.0) } else { 1.0 };
        let lengths = std::iter::successors(Some(first), |length| Some(length / 2.0)).take(20);
        let mut tried = lengths.map(|length| {
            let there: Vec<f64> = at.iter().zip(&down).map(|(a, d)| a + length * d).collect();
            let (height, slope) = slope(&there);
            (length, there, height, slope)
        });
        // Armijo: a ten-thousandth of the promised descent must come true.
        let fine = |(length, _, lower, _): &(f64, Vec<f64>, f64, Vec<f64>)| {
            *lower <= height + 1e-4 * length * steepness
        };
        let Some((_, there, lower, next)) = tried.find(fine) else { break };
        let made = Move { step: minus(&there, &at), change: minus(&next, &here) };
        // Of a convex loss, only rounding gives such a move, and only at the bottom.
        if inner(&made.step, &made.change) <= 0.0 {
            break;
        }
        moves.push_back(made);
        if moves.len() > MEMORY {
            moves.pop_front();
        }
        (at, height, here) = (there, lower, next);
    }
    at
}

/// Downhill, as the last moves let us guess the curvature.
fn direction(slope: &[f64], moves: &VecDeque<Move>) -> Vec<f64> {
    let mut down: Vec<f64> = slope.iter().map(|g| -g).collect();
    let mut shares = Vec::new();
    for Move { step, change } in moves.iter().rev() {
        let share = inner(step, &down) / inner(step, change);
        down.iter_mut().zip(change).for_each(|(d, y)| *d -= share * y);
        shares.push(share);
    }
    if let Some(Move { step, change }) = moves.back() {
        let scale = inner(step, change) / inner(change, change);
        down.iter_mut().for_each(|d| *d *= scale);
    }
    for (Move { step, change }, share) in moves.iter().zip(shares.into_iter().rev()) {
        let back = inner(change, &down) / inner(step, change);
        down.iter_mut().zip(step).for_each(|(d, s)| *d += (share - back) * s);
    }
    down
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    inner(a, a).sqrt()
}

fn minus(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENTLE: Fit = Fit { weight_decay: 1e-3, steps: 200 };

    fn rows<'a>(features: &'a [[f32; 2]], targets: &'a [[f32; 2]]) -> Vec<Row<'a>> {
        features.iter().zip(targets).map(|(x, y)| Row { features: x, target: y, weight: 1.0 }).collect()
    }

    fn first(head: &Head, features: [f32; 2]) -> f64 {
        probabilities(&head.logits(&features), 1.0)[0]
    }

    #[test]
    fn a_head_learns_a_line_between_two_classes_and_keeps_soft_targets_soft() {
        let features: Vec<[f32; 2]> = (0..40).map(|i| [i as f32, 5.0]).collect();
        let targets: Vec<[f32; 2]> = (0..40).map(|i| if i < 20 { [1.0, 0.0] } else { [0.0, 1.0] }).collect();
        let head = fit(&rows(&features, &targets), &GENTLE);
        assert!(first(&head, [3.0, 5.0]) > 0.9);
        assert!(first(&head, [36.0, 5.0]) < 0.1);
        let soft = fit(&rows(&features, &vec![[0.3, 0.7]; 40]), &GENTLE);
        // The slope at the end is below FLAT.
        assert!((first(&soft, [11.0, 5.0]) - 0.3).abs() < 1e-3);
    }

    #[test]
    fn a_row_of_weight_two_counts_as_two_rows() {
        let features = [[0.0, 1.0], [1.0, 0.0], [2.0, 3.0], [1.0, 0.0]];
        let targets = [[1.0, 0.0], [0.2, 0.8], [0.5, 0.5], [0.2, 0.8]];
        let twice = fit(&rows(&features, &targets), &GENTLE);
        let mut heavy = rows(&features[..3], &targets[..3]);
        heavy[1].weight = 2.0;
        let heavy = fit(&heavy, &GENTLE);
        for at in [[0.0, 0.0], [2.0, 1.0], [-1.0, 4.0]] {
            assert!((first(&twice, at) - first(&heavy, at)).abs() < 1e-3);
        }
    }

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let features = [[0.0, 1.0], [1.0, 0.5], [2.0, 3.0]];
        let targets = [[1.0, 0.0], [0.2, 0.8], [0.5, 0.5]];
        let task = Task::of(&rows(&features, &targets), 0.1);
        let at = [0.3, -0.2, 0.1, 0.5, 0.4, -0.6];
        let (_, slope) = task.slope(&at);
        // Weights are 32-bit floats inside, so the loss between two places is good to four digits.
        const STEP: f64 = 1e-2;
        for place in 0..at.len() {
            let moved = |by: f64| {
                let mut there = at;
                there[place] += by;
                task.slope(&there).0
            };
            let found = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert!((found - slope[place]).abs() < 1e-3, "{place}: {found} for {}", slope[place]);
        }
    }

    #[test]
    fn a_cooled_head_says_what_its_cooled_logits_say() {
        let head = Head { weight: vec![vec![1.0, 2.0], vec![0.5, -1.0]], bias: vec![0.1, 0.2] };
        let want = probabilities(&head.logits(&[1.0, 1.0]), 2.0)[0];
        assert!((first(&head.cooled(2.0), [1.0, 1.0]) - want).abs() < 1e-6);
    }
}
