use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor};

/// Steepness of the soft comparison in [`rank_loss`] (Ahn et al. 2023).
const STEEPNESS: f64 = 30.0;

/// The differentiable rank loss of siScore (Ahn et al. 2023): one sample of each of n levels, listed from the lowest to
/// the highest, soft ranks `R_j = Σ_{i≠j} sigmoid(30 (s_j - s_i))`, and the mean of `(R_j - j)²` for j = 0..n-1.
///
/// # Shapes
/// - `scores`: `[batch, levels]` in [0, 1], lowest level first
/// - output: `[1]`
pub fn rank_loss(scores: Tensor<2>) -> Tensor<1> {
    let [batch, levels] = scores.dims();
    let device = scores.device();
    let mine = scores.clone().reshape([batch, levels, 1]);
    let other = scores.reshape([batch, 1, levels]);
    let above = sigmoid((mine - other) * STEEPNESS); // [batch, levels, levels]
    // Each level compared with itself adds sigmoid(0) = 1/2.
    let ranks = above.sum_dim(2).reshape([batch, levels]) - 0.5;
    let wanted = Tensor::<1, Int>::arange(0..levels as i64, &device).float().reshape([1, levels]);
    (ranks - wanted).powf_scalar(2.0).mean()
}

/// The study's regression loss L_reg (METHODS A6): one sample of each of n levels, listed from the lowest to the highest, against
/// the pseudo-labels 0, 1/(n-1), …, 1. Mean absolute difference.
///
/// # Shapes
/// - `scores`: `[batch, levels]` in [0, 1], lowest level first
/// - output: `[1]`
pub fn place_loss(scores: Tensor<2>) -> Tensor<1> {
    let [_, levels] = scores.dims();
    let top = levels.saturating_sub(1).max(1) as f64;
    let places = Tensor::<1, Int>::arange(0..levels as i64, &scores.device()).float() / top;
    (scores - places.reshape([1, levels])).abs().mean()
}

/// The linear stitch loss L_linear of the study (METHODS A6): a picture with the share λ of A above the rest of B should
/// score λ f(A) + (1-λ) f(B). Mean absolute difference.
///
/// # Shapes
/// - all: `[batch]`
/// - output: `[1]`
pub fn stitch_loss(stitched: Tensor<1>, upper: Tensor<1>, lower: Tensor<1>, share: Tensor<1>) -> Tensor<1> {
    let rest = share.clone().neg() + 1.0;
    (stitched - (upper * share + lower * rest)).abs().mean()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    fn value(loss: Tensor<1>) -> f32 {
        loss.into_scalar()
    }

    #[test]
    fn scores_in_order_cost_nothing_and_reversed_ones_the_most() {
        let device = Device::flex();
        let sorted = value(rank_loss(Tensor::from_floats([[0.0, 0.5, 1.0]], &device)));
        let equal = value(rank_loss(Tensor::from_floats([[0.5, 0.5, 0.5]], &device)));
        let reversed = value(rank_loss(Tensor::from_floats([[1.0, 0.5, 0.0]], &device)));
        assert!(sorted < 1e-6, "{sorted}");
        assert!((equal - 2.0 / 3.0).abs() < 1e-5, "ranks 1, 1, 1 against 0, 1, 2: {equal}");
        assert!((reversed - 8.0 / 3.0).abs() < 1e-5, "ranks 2, 1, 0 against 0, 1, 2: {reversed}");
    }

    #[test]
    fn a_score_that_mixes_linearly_costs_nothing() {
        let device = Device::flex();
        let tensor = |v: [f32; 2]| Tensor::<1>::from_floats(v, &device);
        let loss =
            stitch_loss(tensor([0.35, 0.8]), tensor([0.2, 0.9]), tensor([0.4, 0.7]), tensor([0.25, 0.5]));
        assert!(value(loss) < 1e-6);
    }

    #[test]
    fn the_place_loss_is_the_distance_from_even_places() {
        let device = Device::flex();
        let even = value(place_loss(Tensor::from_floats([[0.0, 0.5, 1.0]], &device)));
        let equal = value(place_loss(Tensor::from_floats([[0.5, 0.5, 0.5]], &device)));
        assert!(even < 1e-6 && (equal - 1.0 / 3.0).abs() < 1e-6, "{even} {equal}");
    }

    #[test]
    fn the_rank_loss_pulls_a_low_level_down() {
        let device = Device::flex().autodiff();
        let scores = Tensor::<2>::from_floats([[0.52, 0.50]], &device).require_grad();
        let grads = rank_loss(scores.clone()).backward();
        let grad: Vec<f32> = scores.grad(&grads).unwrap().into_data().try_to_vec().unwrap();
        assert!(grad[0] > 0.0 && grad[1] < 0.0, "{grad:?}");
    }
}
