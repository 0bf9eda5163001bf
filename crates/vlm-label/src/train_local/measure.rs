//! What held-out answers are worth: F1, precision and recall a class, calibration, Brier score.
//!
//! Classes are counted on the pictures that annotators agree about. Calibration and Brier score are taken twice:
//! - over *all* pictures, a hit being the share of annotators who name the class that the judge says. That is what the
//!   judge's probability means, and what it is calibrated to;
//! - over the *agreed* pictures, a hit being 0 or 1. Agreed pictures are the easy ones, so a judge that is calibrated
//!   over all pictures is too modest there.

use crate::softmax::argmax;
use serde::Serialize;

/// From this share on the annotators of a picture agree enough for it to count as of one class.
pub const AGREED_SHARE: f32 = 0.75;
const N_BINS: usize = 10;

/// The class that annotators agree on.
pub fn agreed_class(shares: &[f32]) -> Option<usize> {
    shares.iter().any(|&share| share >= AGREED_SHARE).then(|| argmax(shares))
}

/// How often each class was said of each. `[truth][said]`
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Confusion(pub Vec<Vec<usize>>);

impl Confusion {
    /// Of the agreed pictures.
    pub fn of(shares: &[&[f32]], said: &[Vec<f64>]) -> Self {
        let n_classes = shares.first().map_or(0, |shares| shares.len());
        let mut counts = vec![vec![0; n_classes]; n_classes];
        for (shares, said) in shares.iter().zip(said) {
            if let Some(class) = agreed_class(shares) {
                counts[class][argmax(said)] += 1;
            }
        }
        Self(counts)
    }

    fn truth(&self, class: usize) -> usize {
        self.0[class].iter().sum()
    }

    fn said(&self, class: usize) -> usize {
        self.0.iter().map(|row| row[class]).sum()
    }

    /// Of what is of the class, the share that is said to be; 0 without any.
    pub fn recall(&self, class: usize) -> f64 {
        self.0[class][class] as f64 / self.truth(class).max(1) as f64
    }

    /// Of what is said to be of the class, the share that is; 0 without any.
    pub fn precision(&self, class: usize) -> f64 {
        self.0[class][class] as f64 / self.said(class).max(1) as f64
    }

    /// Harmonic mean of precision and recall.
    pub fn f1(&self, class: usize) -> f64 {
        2.0 * self.0[class][class] as f64 / (self.truth(class) + self.said(class)).max(1) as f64
    }

    /// Mean of the classes' F1.
    pub fn macro_f1(&self) -> f64 {
        (0..self.0.len()).map(|class| self.f1(class)).sum::<f64>() / self.0.len() as f64
    }

    /// The same pictures under a judge that always says the commonest class.
    pub fn of_majority(&self) -> Self {
        let sizes: Vec<usize> = (0..self.0.len()).map(|class| self.truth(class)).collect();
        let commonest = argmax(&sizes);
        let row =
            |size: &usize| (0..sizes.len()).map(|said| if said == commonest { *size } else { 0 }).collect();
        Self(sizes.iter().map(row).collect())
    }
}

/// Pictures whose answers were about as sure.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// How many.
    pub n: usize,
    /// Mean probability of the class said.
    pub confidence: f64,
    /// Share of hits.
    pub hit_share: f64,
}

/// Over which pictures calibration and Brier score are taken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Over {
    /// All; a hit is a share of annotators.
    All,
    /// The agreed ones; a hit is 0 or 1.
    Agreed,
}

/// Filled bins of equal width of the probability of the class said.
pub fn curve(over: Over, shares: &[&[f32]], said: &[Vec<f64>]) -> Vec<Bin> {
    let mut sums = [(0usize, 0.0, 0.0); N_BINS];
    for (truth, said) in truths(over, shares, said) {
        let best = argmax(said);
        let bin = &mut sums[((said[best] * N_BINS as f64) as usize).min(N_BINS - 1)];
        *bin = (bin.0 + 1, bin.1 + said[best], bin.2 + truth[best]);
    }
    let filled = sums.into_iter().filter(|(n, ..)| *n > 0);
    filled.map(|(n, sure, hits)| Bin { n, confidence: sure / n as f64, hit_share: hits / n as f64 }).collect()
}

/// Expected calibration error (Guo et al. 2017): |hits - confidence| of the bins, weighted by their size.
pub fn calibration_error(curve: &[Bin]) -> f64 {
    let n: usize = curve.iter().map(|bin| bin.n).sum();
    let off: f64 = curve.iter().map(|bin| bin.n as f64 * (bin.hit_share - bin.confidence).abs()).sum();
    off / n.max(1) as f64
}

/// Mean squared distance of the probabilities and the truth, summed over classes: 0 is perfect, 2 the worst.
pub fn brier(over: Over, shares: &[&[f32]], said: &[Vec<f64>]) -> f64 {
    let distances: Vec<f64> = truths(over, shares, said)
        .map(|(truth, said)| truth.iter().zip(said).map(|(t, p)| (t - p).powi(2)).sum())
        .collect();
    distances.iter().sum::<f64>() / distances.len().max(1) as f64
}

/// Truth and answer of the pictures that count.
fn truths<'a>(
    over: Over,
    shares: &'a [&[f32]],
    said: &'a [Vec<f64>],
) -> impl Iterator<Item = (Vec<f64>, &'a Vec<f64>)> {
    let truth = move |shares: &[f32]| match over {
        Over::All => Some(shares.iter().map(|&share| f64::from(share)).collect()),
        Over::Agreed => {
            let class = agreed_class(shares)?;
            Some((0..shares.len()).map(|other| f64::from(u8::from(other == class))).collect())
        }
    };
    shares.iter().zip(said).filter_map(move |(shares, said)| Some((truth(shares)?, said)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sure(class: usize) -> Vec<f64> {
        (0..2).map(|other| f64::from(u8::from(other == class))).collect()
    }

    #[test]
    fn f1_is_one_for_the_truth_and_follows_its_formula() {
        let shares: [&[f32]; 3] = [&[1.0, 0.0], &[0.0, 1.0], &[0.25, 0.75]];
        let truth = Confusion::of(&shares, &[sure(0), sure(1), sure(1)]);
        assert_eq!((truth.macro_f1(), truth.recall(1), truth.precision(0)), (1.0, 1.0, 1.0));
        // Class 1: one hit, two true, one said: 2·1/3.
        let half = Confusion::of(&shares, &[sure(0), sure(1), sure(0)]);
        assert_eq!((half.f1(1), half.recall(1), half.precision(1)), (2.0 / 3.0, 0.5, 1.0));
        assert_eq!(half.of_majority(), Confusion(vec![vec![0, 1], vec![0, 2]]));
    }

    #[test]
    fn a_disputed_picture_counts_for_calibration_over_all_and_nowhere_else() {
        let shares: [&[f32]; 2] = [&[0.5, 0.5], &[1.0, 0.0]];
        let said = [vec![0.5, 0.5], vec![1.0, 0.0]];
        assert_eq!(Confusion::of(&shares, &said), Confusion(vec![vec![1, 0], vec![0, 0]]));
        let n = |over| curve(over, &shares, &said).iter().map(|bin| bin.n).sum::<usize>();
        assert_eq!((n(Over::All), n(Over::Agreed)), (2, 1));
        assert_eq!(
            (brier(Over::All, &shares, &said), calibration_error(&curve(Over::All, &shares, &said))),
            (0.0, 0.0)
        );
    }

    #[test]
    fn a_judge_that_is_as_sure_as_it_is_right_is_calibrated() {
        let said = vec![vec![0.75, 0.25]; 4];
        let error = |shares: [&[f32]; 4]| calibration_error(&curve(Over::Agreed, &shares, &said));
        assert!(error([&[1.0, 0.0], &[1.0, 0.0], &[1.0, 0.0], &[0.0, 1.0]]) < 1e-9);
        assert!((error([&[0.0, 1.0]; 4]) - 0.75).abs() < 1e-9);
    }
}
