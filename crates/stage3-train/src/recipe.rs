//! Recipes: how an order of clusters becomes a loss, and where a level lies on the scale of scores.

use burn::tensor::Tensor;
use nn::{place_loss, rank_loss};
use serde::{Deserialize, Serialize};

/// A right score of the study lies nearer than this to its pseudo-label (METHODS A6).
pub const TOLERANCE: f64 = 1.0 / 14.0;

/// How to learn from an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Recipe {
    /// The rank loss over all clusters, tied clusters sharing a sampler, and the linear stitch loss.
    Default,
    /// The study's: one cluster a level, evenly spaced pseudo-labels, mean absolute difference, linear stitch loss, grey.
    DevMeasure,
    /// Ridge regression of the clusters' consensus ranks on the features; heads only, in closed form.
    Ridge,
}

impl Recipe {
    /// The loss of one sample of each level, lowest first.
    ///
    /// # Shapes
    /// - `scores`: `[batch, levels]` in [0, 1]
    /// - output: `[1]`
    pub fn loss(self, scores: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Default | Self::Ridge => rank_loss(scores),
            Self::DevMeasure => place_loss(scores),
        }
    }

    /// Where a level lies among `n_levels`: the middle of its share of the order, or the study's pseudo-label.
    pub fn place(self, level: usize, n_levels: usize) -> f64 {
        match self {
            Self::Default | Self::Ridge => (level as f64 + 0.5) / n_levels as f64,
            Self::DevMeasure => level as f64 / n_levels.saturating_sub(1).max(1) as f64,
        }
    }
}
