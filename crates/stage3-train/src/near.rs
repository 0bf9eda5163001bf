//! How far a tile lies from all that the model was trained on, in whitened features: the flag for ground the model does not know.
//!
//! The distance of a tile is that to its [`NEAREST`]th nearest training tile. The limit is the distance that all but a stated share of
//! held-out training tiles keep to those that were not held out. Left out: whether a strange tile's score is wrong; it is unsupported.

use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use nn::Whitener;
use serde::{Deserialize, Serialize};

/// Which of the nearest training tiles the distance is taken to: one odd tile alone makes no neighbourhood.
const NEAREST: usize = 5;
/// Training tiles that are kept to measure from, at most.
const MOST_ROWS: usize = 4096;

/// What a model card says of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limit {
    /// Training tiles that distances are measured from.
    pub n_rows: usize,
    /// Whitened components in which they are measured.
    pub n_components: usize,
    /// The distance beyond which a tile is flagged.
    pub distance: f64,
    /// The share of held-out training tiles beyond it.
    pub outside_share: f64,
    /// Held-out tiles that the limit rests on.
    pub n_held: usize,
}

/// The training tiles in whitened features, as they are kept in the model file.
#[derive(Module, Debug)]
pub struct Near {
    axes: Linear,
    rows: Param<Tensor<2>>,
}

impl Near {
    /// Keeps the tiles of some raw features; of too many, evenly spaced ones.
    pub fn of(whitener: &Whitener, features: &[&Vec<f32>], device: &Device) -> Self {
        let step = features.len().div_ceil(MOST_ROWS).max(1);
        let white: Vec<f32> = features.iter().step_by(step).flat_map(|row| whitener.apply(row)).collect();
        let n_components = whitener.n_components();
        let identity: Vec<f32> = (0..n_components * n_components)
            .map(|i| if i % (n_components + 1) == 0 { 1.0 } else { 0.0 })
            .collect();
        let (weight, bias) = whitener.fold(&identity, &vec![0.0; n_components]);
        let n_features = weight.len() / n_components;
        let tensor = |v: Vec<f32>, shape| {
            Param::from_tensor(Tensor::<2>::from_data(TensorData::new(v, shape), device))
        };
        let bias = Tensor::<1>::from_data(TensorData::new(bias, [n_components]), device);
        let axes = Linear {
            weight: tensor(weight, [n_features, n_components]),
            bias: Some(Param::from_tensor(bias)),
        };
        let n_rows = white.len() / n_components;
        Self { axes, rows: tensor(white, [n_rows, n_components]) }
    }

    /// One of these sizes, to be filled from a file.
    pub fn blank(n_features: usize, limit: &Limit, device: &Device) -> Self {
        let zeros = |shape: [usize; 2]| Param::from_tensor(Tensor::<2>::zeros(shape, device));
        let bias = Some(Param::from_tensor(Tensor::<1>::zeros([limit.n_components], device)));
        let axes = Linear { weight: zeros([n_features, limit.n_components]), bias };
        Self { axes, rows: zeros([limit.n_rows, limit.n_components]) }
    }

    /// The same, ready to measure.
    pub fn ruler(&self) -> Ruler {
        let numbers = |t: Tensor<1>| crate::head::values(t);
        let [n_features, n_components] = self.axes.weight.val().dims();
        Ruler {
            axes: numbers(self.axes.weight.val().reshape([n_features * n_components])),
            shift: self.axes.bias.as_ref().map(|b| numbers(b.val())).unwrap_or_default(),
            rows: numbers(self.rows.val().flatten::<1>(0, 1)),
        }
    }
}

/// Measures distances, one tile at a time, in 64-bit sums of a fixed order.
pub struct Ruler {
    /// `[feature][component]`
    axes: Vec<f32>,
    /// `[component]`
    shift: Vec<f32>,
    /// `[row][component]`
    rows: Vec<f32>,
}

impl Ruler {
    /// Training tiles and components.
    pub fn sizes(&self) -> (usize, usize) {
        (self.rows.len() / self.shift.len().max(1), self.shift.len())
    }

    /// The distance of a tile to its fifth nearest training tile, or the farthest of fewer.
    pub fn distance(&self, features: &[f32]) -> f64 {
        let n = self.shift.len();
        let mut at: Vec<f64> = self.shift.iter().map(|&s| f64::from(s)).collect();
        for (line, &x) in self.axes.chunks_exact(n).zip(features) {
            at.iter_mut().zip(line).for_each(|(sum, &w)| *sum += f64::from(w) * f64::from(x));
        }
        let square = |row: &[f32]| row.iter().zip(&at).map(|(&r, a)| (f64::from(r) - a).powi(2)).sum::<f64>();
        let mut squares: Vec<f64> = self.rows.chunks_exact(n).map(square).collect();
        let nearest = NEAREST.min(squares.len()) - 1;
        squares.select_nth_unstable_by(nearest, f64::total_cmp).1.sqrt()
    }

    /// The limit that all but `outside_share` of held-out tiles keep; nothing without such tiles.
    pub fn limit(&self, held: &[&Vec<f32>], outside_share: f64) -> Option<Limit> {
        let mut distances: Vec<f64> = held.iter().map(|row| self.distance(row)).collect();
        distances.sort_by(f64::total_cmp);
        let (n_rows, n_components) = self.sizes();
        let at = ((1.0 - outside_share) * distances.len() as f64).ceil() as usize;
        let distance = *distances.get(at.clamp(1, distances.len().max(1)) - 1)?;
        Some(Limit { n_rows, n_components, distance, outside_share, n_held: distances.len() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn rows(n: usize, shift: f32, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| (0..4).map(|j| shift + rng.random::<f32>() * (j + 1) as f32).collect()).collect()
    }

    fn ruler(rows: &[Vec<f32>]) -> Ruler {
        let whitener = Whitener::fit(rows, 4).unwrap();
        Near::of(&whitener, &rows.iter().collect::<Vec<_>>(), &Device::flex()).ruler()
    }

    #[test]
    fn tiles_like_those_of_training_keep_the_limit_and_others_do_not() {
        let train = rows(400, 0.0, 1);
        let ruler = ruler(&train);
        let held = rows(400, 0.0, 2);
        let limit = ruler.limit(&held.iter().collect::<Vec<_>>(), 0.01).unwrap();
        let outside = |rows: &[Vec<f32>]| rows.iter().filter(|r| ruler.distance(r) > limit.distance).count();
        assert!(outside(&held) <= 4);
        // 1 % of 1,000 is 10; three standard errors of both samples are about 18.
        assert!(outside(&rows(1000, 0.0, 3)) < 28);
        assert_eq!(outside(&rows(100, 20.0, 4)), 100);
    }

    #[test]
    fn distances_are_those_of_whitened_rows() {
        let train = rows(40, 0.0, 5);
        let whitener = Whitener::fit(&train, 4).unwrap();
        let other = &rows(1, 1.0, 6)[0];
        let white = whitener.apply(other);
        let mut far: Vec<f64> = train
            .iter()
            .map(|r| {
                whitener
                    .apply(r)
                    .iter()
                    .zip(&white)
                    .map(|(a, b)| f64::from(a - b).powi(2))
                    .sum::<f64>()
                    .sqrt()
            })
            .collect();
        far.sort_by(f64::total_cmp);
        // Whitened coordinates are rounded to 32 bits.
        assert!((ruler(&train).distance(other) - far[NEAREST - 1]).abs() < 1e-4);
    }
}
