//! Many rank vectors to one consensus, robust to raters that answer at random.
//!
//! Half-quadratic minimisation of Σ_m w_m g(‖R_m - R*‖) with the Welsch loss g(d) = 1 - exp(-d²/2σ²).
//! The weight of a rater is the minimiser function, which *falls* with distance:
//! α_m = w_m exp(-d_m²/2σ²), λ = α/Σα, R* <- Σ λ_m R_m, σ² <- Σ w_m d_m² / 2Σw, from the mean, until
//! ‖ΔR*‖ < 1e-6. w_m is the caller's weight of the rater, 1 if he has no opinion.
//!
//! One iteration is one pass over the matrix: the distance of a row, its weight, and its part in
//! the next consensus while the row is in the cache. Blocks of rows of fixed size are summed in
//! order, so the number of threads changes no bit.

use rayon::prelude::*;

use crate::ranks::RankMatrix;

/// The change of the consensus, in ranks, below which the iteration has converged.
const CONVERGED_RANKS: f64 = 1e-6;
/// A bound that a convergent iteration does not reach.
const MAX_STEPS: usize = 1000;
/// Rows summed by one task.
const BLOCK_ROWS: usize = 256;

/// How a rater's distance to the consensus becomes its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// exp(-d²/2σ²): far raters count less.
    Welsch,
    /// All raters alike.
    Mean,
    /// 1 - exp(-d²/σ²), as the Sichuan study wrote it: far raters count *more*. For comparison.
    Study,
}

impl Rule {
    fn weight(self, square: f64, variance: f64) -> f64 {
        match self {
            Rule::Welsch => (-square / (2.0 * variance)).exp(),
            Rule::Mean => 1.0,
            Rule::Study => 1.0 - (-square / variance).exp(),
        }
    }
}

/// What the raters agree on.
#[derive(Clone, Debug)]
pub struct Consensus {
    /// One rank an item; NaN for an item that no weighted rater ranked.
    pub ranks: Vec<f64>,
    /// One weight a rater, summing to 1.
    pub weights: Vec<f64>,
    /// Each rater's distance ‖R_m - R*‖ in ranks, scaled to all items if it lacks some.
    pub distances: Vec<f64>,
    /// Passes over the matrix after the mean.
    pub steps: usize,
    /// Whether the last pass moved the consensus by less than 1e-6 ranks.
    pub converged: bool,
}

/// The consensus of `ranks` under `rule`; `prior` is the caller's weight of each rater, >= 0.
///
/// # Panics
/// If `prior` is not as long as there are raters.
pub fn aggregate(ranks: &RankMatrix, prior: &[f64], rule: Rule) -> Consensus {
    assert_eq!(prior.len(), ranks.raters(), "one prior weight a rater");
    let mut now = pass(ranks, |rater| (prior[rater], 0.0));
    if rule == Rule::Mean {
        return finish(ranks, now, 0, true);
    }
    let mut variance = half_mean_square(prior, &squares(ranks, &now.ranks));
    for steps in 1..=MAX_STEPS {
        if variance <= 0.0 {
            return finish(ranks, now, steps - 1, true);
        }
        let next = pass(ranks, |rater| {
            let square = square(ranks, rater, &now.ranks);
            (prior[rater] * rule.weight(square, variance), square)
        });
        let moved = squared_distance(&next.ranks, &now.ranks).sqrt();
        variance = half_mean_square(prior, &next.squares);
        now = next;
        if moved < CONVERGED_RANKS {
            return finish(ranks, now, steps, true);
        }
    }
    finish(ranks, now, MAX_STEPS, false)
}

/// A new consensus, with the weights that made it and the squared distances behind the weights.
struct Pass {
    ranks: Vec<f64>,
    alphas: Vec<f64>,
    squares: Vec<f64>,
}

/// Weighted sums of some rows: `weights` are an item's, `complete` is the part of all items alike.
struct Sums {
    ranks: Vec<f64>,
    weights: Vec<f64>,
    complete: f64,
    alphas: Vec<f64>,
    squares: Vec<f64>,
}

fn pass(matrix: &RankMatrix, weigh: impl Fn(usize) -> (f64, f64) + Sync) -> Pass {
    let blocks: Vec<Sums> = (0..matrix.raters().div_ceil(BLOCK_ROWS))
        .into_par_iter()
        .map(|block| sum_rows(matrix, block * BLOCK_ROWS, &weigh))
        .collect();
    let mut ranks = vec![0.0; matrix.items()];
    let mut weights = vec![0.0; matrix.items()];
    let (mut alphas, mut squares) = (Vec::new(), Vec::new());
    for block in blocks {
        for item in 0..matrix.items() {
            ranks[item] += block.ranks[item];
            weights[item] += block.weights[item] + block.complete;
        }
        alphas.extend(block.alphas);
        squares.extend(block.squares);
    }
    // 0/0 is NaN: an item that nobody ranked has no rank
    ranks.iter_mut().zip(&weights).for_each(|(rank, weight)| *rank /= weight);
    Pass { ranks, alphas, squares }
}

fn sum_rows(matrix: &RankMatrix, start: usize, weigh: &impl Fn(usize) -> (f64, f64)) -> Sums {
    let rows = start..(start + BLOCK_ROWS).min(matrix.raters());
    let mut sums = Sums {
        ranks: vec![0.0; matrix.items()],
        weights: vec![0.0; matrix.items()],
        complete: 0.0,
        alphas: Vec::with_capacity(rows.len()),
        squares: Vec::with_capacity(rows.len()),
    };
    for rater in rows {
        let (alpha, square) = weigh(rater);
        sums.alphas.push(alpha);
        sums.squares.push(square);
        let row = matrix.row(rater);
        if matrix.is_complete(rater) {
            sums.complete += alpha;
            sums.ranks.iter_mut().zip(row).for_each(|(sum, rank)| *sum += alpha * rank);
            continue;
        }
        for (item, rank) in row.iter().enumerate().filter(|(_, rank)| !rank.is_nan()) {
            sums.ranks[item] += alpha * rank;
            sums.weights[item] += alpha;
        }
    }
    sums
}

fn finish(matrix: &RankMatrix, last: Pass, steps: usize, converged: bool) -> Consensus {
    let total: f64 = last.alphas.iter().sum();
    Consensus {
        weights: last.alphas.iter().map(|alpha| alpha / total).collect(),
        distances: squares(matrix, &last.ranks).into_iter().map(f64::sqrt).collect(),
        ranks: last.ranks,
        steps,
        converged,
    }
}

fn squares(matrix: &RankMatrix, consensus: &[f64]) -> Vec<f64> {
    (0..matrix.raters()).map(|rater| square(matrix, rater, consensus)).collect()
}

/// ‖R_m - R*‖² over the items that the rater ranked, scaled to all of them.
fn square(matrix: &RankMatrix, rater: usize, consensus: &[f64]) -> f64 {
    let row = matrix.row(rater);
    if matrix.is_complete(rater) {
        return squared_distance(row, consensus);
    }
    let both = row.iter().zip(consensus).filter(|(rank, _)| !rank.is_nan());
    let (count, sum) =
        both.fold((0, 0.0), |(count, sum), (rank, mean)| (count + 1, sum + (rank - mean).powi(2)));
    sum * row.len() as f64 / f64::from(count.max(1))
}

/// Items without a consensus (NaN) take no part.
fn squared_distance(a: &[f64], b: &[f64]) -> f64 {
    let term = |(a, b): (&f64, &f64)| {
        let square = (a - b) * (a - b);
        if square.is_nan() { 0.0 } else { square }
    };
    a.iter().zip(b).map(term).sum()
}

fn half_mean_square(prior: &[f64], squares: &[f64]) -> f64 {
    let weighted: f64 = prior.iter().zip(squares).map(|(weight, square)| weight * square).sum();
    weighted / (2.0 * prior.iter().sum::<f64>())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    fn matrix(rows: &[&[f64]]) -> RankMatrix {
        let mut matrix = RankMatrix::new(rows[0].len());
        rows.iter().for_each(|row| matrix.push(row));
        matrix
    }

    #[test]
    fn a_rater_far_from_the_others_loses_weight_under_welsch_and_gains_under_study() {
        let ranks = matrix(&[
            &[1.0, 2.0, 3.0, 4.0],
            &[1.0, 2.0, 4.0, 3.0],
            &[2.0, 1.0, 3.0, 4.0],
            &[4.0, 3.0, 2.0, 1.0],
        ]);
        let far = |rule| aggregate(&ranks, &[1.0; 4], rule).weights[3];
        assert!(far(Rule::Welsch) < 0.05, "{}", far(Rule::Welsch));
        assert_eq!(far(Rule::Mean), 0.25);
        assert!(far(Rule::Study) > 0.25, "{}", far(Rule::Study));
    }

    #[test]
    fn raters_that_agree_share_the_weight_and_are_the_consensus() {
        let row = [2.0, 1.0, 3.0];
        for rule in [Rule::Welsch, Rule::Mean, Rule::Study] {
            let consensus = aggregate(&matrix(&[&row, &row]), &[1.0, 1.0], rule);
            assert_eq!(consensus.ranks, row);
            assert_eq!(consensus.weights, [0.5, 0.5]);
            assert!(consensus.converged);
        }
    }

    #[test]
    fn a_callers_weight_of_zero_silences_a_rater_and_a_large_one_gives_him_the_say() {
        let ranks = matrix(&[&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]]);
        assert_eq!(aggregate(&ranks, &[0.0, 0.0, 1.0], Rule::Welsch).ranks, [3.0, 2.0, 1.0]);
        assert_eq!(aggregate(&ranks, &[1.0, 1.0, 0.0], Rule::Mean).ranks, [1.0, 2.0, 3.0]);
    }

    #[test]
    fn missing_ranks_add_nothing_and_an_item_nobody_ranked_has_no_rank() {
        let nan = f64::NAN;
        let ranks = matrix(&[&[1.0, 2.0, nan], &[1.0, nan, nan], &[1.0, 2.0, nan]]);
        let consensus = aggregate(&ranks, &[1.0; 3], Rule::Welsch);
        assert_eq!(consensus.ranks[..2], [1.0, 2.0]);
        assert!(consensus.ranks[2].is_nan());
        assert!(consensus.distances.iter().all(|distance| *distance == 0.0));
    }

    #[test]
    fn the_bytes_do_not_depend_on_the_number_of_threads() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut ranks = RankMatrix::new(17);
        for _ in 0..1000 {
            let row: Vec<f64> = (0..17).map(|_| rng.random_range(1.0..18.0)).collect();
            ranks.push(&row);
        }
        let with = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| aggregate(&ranks, &vec![1.0; 1000], Rule::Welsch))
        };
        let (one, many) = (with(1), with(5));
        assert_eq!(one.ranks, many.ranks);
        assert_eq!(one.weights, many.weights);
    }
}
