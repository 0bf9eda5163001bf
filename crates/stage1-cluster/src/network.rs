//! A trunk and a head in training: varied pictures in, soft classes as the target.
//!
//! Every draw depends on the seed, the epoch and the place in the epoch only, so a run that goes on from a checkpoint draws what an
//! unbroken one would.

use anyhow::ensure;
use burn::module::Initializer;
use burn::nn::{Linear, LinearConfig};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Augment, Backbone, DeviceChoice, Embedder, Normalise, Rgb, augmented};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// As published for DeepCluster (Caron et al. 2018).
const MOMENTUM: f64 = 0.9;
const WEIGHT_DECAY: f32 = 1e-5;

/// What all steps of a training share.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Pictures a step.
    pub batch: usize,
    /// Step length of both optimisers.
    pub learning_rate: f64,
    /// Side of the network's input.
    pub input_px: usize,
    /// What is done to the light first.
    pub normalise: Normalise,
    /// How pictures are varied.
    pub augment: Augment,
    /// Seed of all draws.
    pub seed: u64,
}

/// The draws of one thing in one epoch.
pub fn generator(seed: u64, epoch: usize, place: usize) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(((epoch as u64) << 32) | place as u64);
    rng
}

/// A new linear head; its weights are the device's next draws.
pub fn head(n_features: usize, n_classes: usize, device: &Device) -> Linear {
    LinearConfig::new(n_features, n_classes)
        .with_initializer(Initializer::Normal { mean: 0.0, std: 0.01 })
        .init(device)
}

/// Stochastic gradient descent with momentum.
pub fn optimiser() -> ModuleOptimizer {
    let momentum = MomentumConfig::new().with_momentum(MOMENTUM).with_dampening(0.0);
    let decay = WeightDecayConfig::new(WEIGHT_DECAY);
    SgdConfig::new().with_momentum(Some(momentum)).with_weight_decay(Some(decay)).init()
}

/// What learns.
pub struct Learner {
    /// The trunk and its optimiser.
    pub trunk: (Backbone, ModuleOptimizer),
    /// The head and its own optimiser.
    pub head: (Linear, ModuleOptimizer),
}

/// One pass over the draws: the mean loss, and the share of pictures whose likeliest class is the target's.
///
/// # Errors
/// If pictures do not fit, or the loss is no number any more.
pub fn epoch(
    learner: &mut Learner,
    pictures: &[Rgb],
    (draws, target): (&[usize], &dyn Fn(usize) -> Vec<f32>),
    plan: &Plan,
    epoch: usize,
    device: &Device,
) -> anyhow::Result<(f64, f64)> {
    let (mut loss_sum, mut n_right) = (0.0, 0);
    for (step, drawn) in draws.chunks(plan.batch).enumerate() {
        let input = |(i, &picture): (usize, &usize)| {
            let mut rng = generator(plan.seed, epoch, step * plan.batch + i + 1);
            augmented(&pictures[picture], plan.input_px, plan.normalise, &plan.augment, &mut rng)
        };
        let inputs = drawn.par_iter().enumerate().map(input).collect::<nn::Result<Vec<_>>>()?.concat();
        let side = plan.input_px;
        let images = Tensor::<4>::from_data(TensorData::new(inputs, [drawn.len(), 3, side, side]), device);
        let wanted: Vec<f32> = drawn.iter().flat_map(|&picture| target(picture)).collect();
        let n_classes = wanted.len() / drawn.len();
        let targets =
            Tensor::<2>::from_data(TensorData::new(wanted.clone(), [drawn.len(), n_classes]), device);
        let logits = learner.head.0.forward(learner.trunk.0.features(images));
        let told = values(logits.clone().inner().flatten::<1>(0, 1));
        let loss = (log_softmax(logits, 1) * targets).sum().neg() / drawn.len() as f64;
        let value = f64::from(values(loss.clone().inner())[0]);
        ensure!(value.is_finite(), "the loss of epoch {epoch} is no number; give a smaller --learning-rate");
        loss_sum += value * drawn.len() as f64;
        n_right += told
            .chunks(n_classes)
            .zip(wanted.chunks(n_classes))
            .filter(|(a, b)| largest(a) == largest(b))
            .count();
        step_both(learner, loss, plan.learning_rate);
    }
    let n = draws.len().max(1) as f64;
    Ok((loss_sum / n, n_right as f64 / n))
}

fn step_both(learner: &mut Learner, loss: Tensor<1>, learning_rate: f64) {
    let mut grads = loss.backward();
    let of_trunk = GradientsParams::from_module(&mut grads, &learner.trunk.0);
    let of_head = GradientsParams::from_module(&mut grads, &learner.head.0);
    learner.trunk.0 = learner.trunk.1.step(learning_rate, learner.trunk.0.clone(), of_trunk);
    learner.head.0 = learner.head.1.step(learning_rate, learner.head.0.clone(), of_head);
}

/// The features of pictures as they are, one vector each.
///
/// # Errors
/// If pictures do not fit.
pub fn features(trunk: &Backbone, pictures: &[Rgb], plan: &Plan) -> nn::Result<Vec<Vec<f32>>> {
    Embedder::of(trunk, plan.input_px, DeviceChoice::Cpu)?.normalising(plan.normalise).embed(pictures)
}

/// The numbers of a tensor.
pub fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("tensors are 32-bit floats on this device")
}

/// The place of the largest value, of equal ones the first.
pub fn largest(values: &[f32]) -> usize {
    (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best }).unwrap_or(0)
}
