//! How far a tile lies from all that the model was trained on, in features: the flag for ground the model does not know.
//!
//! Each feature is counted in its standard deviations over the training tiles. The distance of a tile is that to its [`NEAREST`]th nearest
//! training tile. The limit is the distance that all but a stated share of the training tiles keep to those of other blocks: neighbours
//! of a block look alike, and ground to be scored has no such neighbours among the training tiles. Limit and distances are measured in the
//! same space and among the same tiles, or more are flagged than stated. Features are not whitened: a tile that is alone in a
//! direction then lies far from all others, though it is one of training. Left out: whether a strange tile's score is wrong; it is
//! unsupported.

use anyhow::ensure;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Which of the nearest training tiles the distance is taken to: one odd tile alone makes no neighbourhood.
const NEAREST: usize = 5;
/// Training tiles that are kept to measure from, at most.
const MOST_ROWS: usize = 4096;
/// Numbers that they are kept in, at most: 16 MiB.
const MOST_NUMBERS: usize = 1 << 22;
/// The least limit: tiles nearer than this share of a feature's spread differ by rounding.
const LEAST_DISTANCE: f64 = 1e-3;

/// What a model card says of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Training tiles that distances are measured from.
    pub n_rows: usize,
    /// Features in which they are measured.
    pub n_components: usize,
    /// The distance beyond which a tile is flagged.
    pub distance: f64,
    /// The share of held-out training tiles beyond it.
    pub outside_share: f64,
    /// Held-out tiles that the limit rests on.
    pub n_held: usize,
    /// Blocks that they lie in; 0 in cards of before, whose limit was measured in another space than the distances.
    #[serde(default)]
    pub n_blocks: usize,
    /// The share of the training tiles themselves beyond it, as a scoring of them measures.
    #[serde(default)]
    pub own_share: Option<f64>,
}

/// Training tiles to measure from and the limit of being near to them; nothing where all tiles lie in one block.
///
/// # Errors
/// If a feature is no number.
pub fn measured<B: Ord + Copy + Sync>(
    features: &[&Vec<f32>],
    blocks: &[B],
    outside_share: f64,
) -> anyhow::Result<Option<(Near, Limit)>> {
    let near = Near::of(features, &Device::flex())?;
    let step = step(features);
    let rows: Vec<&Vec<f32>> = features.iter().step_by(step).copied().collect();
    let blocks: Vec<B> = blocks.iter().step_by(step).copied().collect();
    let n_blocks = blocks.iter().collect::<BTreeSet<_>>().len();
    if n_blocks < 2 {
        return Ok(None);
    }
    let ruler = near.ruler();
    let to_others = |i: usize| ruler.distance_to(rows[i], |other| blocks[other] != blocks[i]);
    let distances: Vec<f64> = (0..rows.len()).into_par_iter().filter_map(to_others).collect();
    let Some(limit) = ruler.limit_of(distances, outside_share, n_blocks) else { return Ok(None) };
    let n_outside = rows.par_iter().filter(|row| ruler.distance(row) > limit.distance).count();
    let own_share = Some(n_outside as f64 / rows.len() as f64);
    Ok(Some((near, Limit { own_share, ..limit })))
}

/// Of how many tiles one is kept.
fn step(features: &[&Vec<f32>]) -> usize {
    let n_features = features.first().map_or(1, |row| row.len().max(1));
    features.len().div_ceil(MOST_ROWS.min(MOST_NUMBERS / n_features).max(1)).max(1)
}

/// The training tiles in features of spread one, as they are kept in the model file.
#[derive(Module, Debug)]
pub struct Near {
    /// `[feature]`
    mean: Param<Tensor<1>>,
    /// What a feature is multiplied by after its mean is taken off. `[feature]`
    scale: Param<Tensor<1>>,
    /// `[row, feature]`
    rows: Param<Tensor<2>>,
}

impl Near {
    /// Keeps the tiles of some raw features; of too many, evenly spaced ones.
    ///
    /// # Errors
    /// If there is no tile, or a feature is no number.
    pub fn of(features: &[&Vec<f32>], device: &Device) -> anyhow::Result<Self> {
        let n_features = features.first().map_or(0, |row| row.len());
        ensure!(
            n_features > 0 && features.iter().all(|row| row.iter().all(|x| x.is_finite())),
            "want features that are numbers, of at least one training tile; the weights are damaged, fetch them again"
        );
        let n = features.len() as f64;
        let over = |of: &dyn Fn(&[f32]) -> f64| features.iter().map(|row| of(row)).sum::<f64>() / n;
        let mean: Vec<f64> = (0..n_features).map(|j| over(&|row| f64::from(row[j]))).collect();
        let spread = |j: usize| over(&|row| (f64::from(row[j]) - mean[j]).powi(2)).sqrt();
        // A feature that never varies tells of a tile where it does, in its own unit.
        let scale = |j: usize| {
            Some(spread(j)).filter(|&sd| sd > 1e-6 * mean[j].abs().max(1e-6)).map_or(1.0, |sd| 1.0 / sd)
        };
        let scale: Vec<f32> = (0..n_features).map(|j| scale(j) as f32).collect();
        let mean: Vec<f32> = mean.into_iter().map(|m| m as f32).collect();
        let kept = features.iter().step_by(step(features));
        let rows: Vec<f32> = kept.flat_map(|row| scaled(row, &mean, &scale)).collect();
        let n_rows = rows.len() / n_features;
        let vector = |v: Vec<f32>| {
            Param::from_tensor(Tensor::<1>::from_data(TensorData::new(v, [n_features]), device))
        };
        let rows = Tensor::<2>::from_data(TensorData::new(rows, [n_rows, n_features]), device);
        Ok(Self { mean: vector(mean), scale: vector(scale), rows: Param::from_tensor(rows) })
    }

    /// One of these sizes, to be filled from a file.
    pub fn blank(n_features: usize, limit: &Limit, device: &Device) -> Self {
        let zeros = || Param::from_tensor(Tensor::<1>::zeros([n_features], device));
        let rows = Param::from_tensor(Tensor::<2>::zeros([limit.n_rows, n_features], device));
        Self { mean: zeros(), scale: zeros(), rows }
    }

    /// The same, ready to measure.
    pub fn ruler(&self) -> Ruler {
        let numbers = |t: Tensor<1>| crate::head::values(t);
        Ruler {
            mean: numbers(self.mean.val()),
            scale: numbers(self.scale.val()),
            rows: numbers(self.rows.val().flatten::<1>(0, 1)),
        }
    }
}

/// A row in spreads around the mean.
fn scaled(row: &[f32], mean: &[f32], scale: &[f32]) -> Vec<f32> {
    row.iter().zip(mean).zip(scale).map(|((x, m), s)| (x - m) * s).collect()
}

/// The squared distance of two rows, in eight sums side by side: a fixed order that a processor can add at once.
fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
    let (whole_a, whole_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = whole_a.remainder().iter().zip(whole_b.remainder()).map(square).sum();
    for (a, b) in whole_a.zip(whole_b) {
        for (sum, pair) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += square(pair);
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// Measures distances, one tile at a time, in 64-bit sums of a fixed order.
pub struct Ruler {
    mean: Vec<f32>,
    scale: Vec<f32>,
    /// `[row][feature]`
    rows: Vec<f32>,
}

impl Ruler {
    /// Training tiles and features.
    pub fn sizes(&self) -> (usize, usize) {
        (self.rows.len() / self.mean.len().max(1), self.mean.len())
    }

    /// The distance of a tile to its fifth nearest training tile, or the farthest of fewer.
    pub fn distance(&self, features: &[f32]) -> f64 {
        self.distance_to(features, |_| true).unwrap_or(f64::INFINITY)
    }

    /// The same among some of the training tiles.
    fn distance_to(&self, features: &[f32], counts: impl Fn(usize) -> bool) -> Option<f64> {
        let at = scaled(features, &self.mean, &self.scale);
        let square = |row: &[f32]| squared_distance(row, &at);
        let rows = self.rows.chunks_exact(at.len()).enumerate().filter(|(i, _)| counts(*i));
        let mut squares: Vec<f64> = rows.map(|(_, row)| square(row)).collect();
        let nearest = NEAREST.min(squares.len()).checked_sub(1)?;
        Some(squares.select_nth_unstable_by(nearest, f64::total_cmp).1.sqrt())
    }

    /// The limit that all but `outside_share` of tiles keep which were not among those measured from; nothing without such tiles.
    pub fn limit(&self, held: &[&Vec<f32>], outside_share: f64, n_blocks: usize) -> Option<Limit> {
        self.limit_of(held.par_iter().map(|row| self.distance(row)).collect(), outside_share, n_blocks)
    }

    fn limit_of(&self, mut distances: Vec<f64>, outside_share: f64, n_blocks: usize) -> Option<Limit> {
        distances.sort_by(f64::total_cmp);
        let (n_rows, n_components) = self.sizes();
        let n_held = distances.len();
        // One tile more, the next one, is to keep the limit as often (split-conformal).
        let at = ((1.0 - outside_share) * (n_held as f64 + 1.0)).ceil() as usize;
        let distance = distances.get(at.clamp(1, n_held.max(1)) - 1)?.max(LEAST_DISTANCE);
        Some(Limit { n_rows, n_components, distance, outside_share, n_held, n_blocks, own_share: None })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Tiles of many features that vary together in blocks of 16, as neighbours do.
    fn ground(n: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<usize>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
        let mut rows = Vec::new();
        for _ in 0..n / 16 {
            let block: Vec<f32> = (0..60).map(|_| 0.5 * normal()).collect();
            rows.extend((0..16).map(|_| block.iter().map(|x| x + normal()).collect()));
        }
        (rows, (0..n).map(|i| i / 16).collect())
    }

    fn of(rows: &[Vec<f32>], blocks: &[usize]) -> Option<(Near, Limit)> {
        measured(&rows.iter().collect::<Vec<_>>(), blocks, 0.05).unwrap()
    }

    #[test]
    fn tiles_of_new_blocks_of_the_same_ground_are_flagged_as_often_as_stated_and_own_tiles_no_more_often() {
        let (rows, blocks) = ground(640, 7);
        let (near, limit) = of(&rows, &blocks).unwrap();
        assert_eq!((limit.n_components, limit.n_rows, limit.n_held, limit.n_blocks), (60, 640, 640, 40));
        let ruler = near.ruler();
        let outside = |rows: &[Vec<f32>]| {
            rows.iter().filter(|row| ruler.distance(row) > limit.distance).count() as f64 / rows.len() as f64
        };
        let new = outside(&ground(3200, 8).0);
        assert!((0.01..0.09).contains(&new), "{new} of new tiles, 0.05 stated");
        assert!(outside(&rows) <= 0.05 && limit.own_share == Some(outside(&rows)));
        let far: Vec<Vec<f32>> =
            ground(160, 9).0.iter().map(|row| row.iter().map(|x| 2.5 * x).collect()).collect();
        assert!(outside(&far) > 0.95, "{}", outside(&far));
    }

    #[test]
    fn a_distance_is_that_to_the_fifth_nearest_in_spreads_of_each_feature() {
        let (mut rows, _) = ground(80, 5);
        rows.iter_mut().for_each(|row| row[3] *= 1000.0);
        let near = Near::of(&rows.iter().collect::<Vec<_>>(), &Device::flex()).unwrap();
        let other = ground(16, 6).0.remove(0);
        let n = rows.len() as f64;
        let mut far: Vec<f64> = vec![0.0; rows.len()];
        for j in 0..60 {
            let mean = rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / n;
            let sd = (rows.iter().map(|r| (f64::from(r[j]) - mean).powi(2)).sum::<f64>() / n).sqrt();
            far.iter_mut().zip(&rows).for_each(|(sum, r)| *sum += (f64::from(r[j] - other[j]) / sd).powi(2));
        }
        far.sort_by(f64::total_cmp);
        // Features are kept in 32 bits.
        assert!((near.ruler().distance(&other) - far[NEAREST - 1].sqrt()).abs() < 1e-4);
    }

    #[test]
    fn one_block_gives_no_limit_and_copies_of_a_few_pictures_one_that_they_keep_and_others_do_not() {
        let (rows, blocks) = ground(64, 3);
        assert!(of(&rows, &[0; 64]).is_none());
        let copies: Vec<Vec<f32>> = (0..64).map(|i| rows[i % 2].clone()).collect();
        let (near, limit) = of(&copies, &blocks).unwrap();
        assert_eq!((limit.distance, limit.own_share), (LEAST_DISTANCE, Some(0.0)));
        assert!(near.ruler().distance(&rows[40]) > limit.distance);
        let mut broken = rows;
        broken[9][2] = f32::NAN;
        assert!(measured(&broken.iter().collect::<Vec<_>>(), &blocks, 0.05).is_err());
    }
}
