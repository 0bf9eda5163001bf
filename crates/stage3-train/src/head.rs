//! Heads on frozen features: the default way to learn a score on a processor.

use crate::draw::{Pool, generator};
use crate::recipe::Recipe;
use anyhow::Context;
use burn::module::{Module, Param};
use burn::nn::Linear;
use burn::optim::{AdamWConfig, GradientsParams};
use burn::tensor::activation::{relu, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Checkpoint, Whitener, stitch_loss};
use rand::{Rng, RngExt};
use std::path::PathBuf;

/// Steps between two checkpoints.
const STEPS_A_CHECKPOINT: u64 = 250;
/// Losses that are noted of a training, about.
const NOTES: u64 = 100;
/// The step whose draws start a member.
pub const BEFORE_ANY_STEP: u64 = (1 << 40) - 1;
/// Rows of one sample a level that make a step.
pub const ROWS_A_STEP: usize = 16;
/// Stitched pictures that make a step.
pub const STITCHES_A_STEP: usize = 32;

/// Features to a score in [0, 1]: linear, or one hidden layer.
#[derive(Module, Debug)]
pub struct Head {
    first: Linear,
    second: Option<Linear>,
}

impl Head {
    /// An untrained head; `hidden` 0 is a linear one.
    pub fn init(n_features: usize, hidden: usize, rng: &mut impl Rng, device: &Device) -> Self {
        let first = linear(n_features, hidden.max(1), rng, device);
        Self { first, second: (hidden > 0).then(|| linear(hidden, 1, rng, device)) }
    }

    /// # Shapes
    /// - `features`: `[batch, features]`
    /// - output: `[batch]` in [0, 1]
    pub fn forward(&self, features: Tensor<2>) -> Tensor<1> {
        sigmoid(self.logits(features))
    }

    /// The raw output, before any scale.
    ///
    /// # Shapes
    /// - `features`: `[batch, features]`
    /// - output: `[batch]`
    pub fn logits(&self, features: Tensor<2>) -> Tensor<1> {
        let x = self.first.forward(features);
        let x = match &self.second {
            Some(second) => second.forward(relu(x)),
            None => x,
        };
        let [batch, _] = x.dims();
        x.reshape([batch])
    }

    /// The linear head of given weights, `[feature]`.
    pub fn of(weight: &[f64], bias: f64, device: &Device) -> Self {
        let weight: Vec<f32> = weight.iter().map(|&w| w as f32).collect();
        let n = weight.len();
        let weight = Tensor::<2>::from_data(TensorData::new(weight, [n, 1]), device);
        let bias = Tensor::<1>::from_data(TensorData::new(vec![bias as f32], [1]), device);
        let first = Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) };
        Self { first, second: None }
    }

    /// The raw output for one row of features.
    pub fn raw(&self, features: &[f32], device: &Device) -> f64 {
        let row = Tensor::<2>::from_data(TensorData::new(features.to_vec(), [1, features.len()]), device);
        f64::from(values(self.logits(row))[0])
    }

    /// The same head for features that are not whitened yet, so that a model needs no whitener beside it.
    pub fn unwhitened(self, whitener: &Whitener, device: &Device) -> Self {
        let weight: Vec<f32> = values(self.first.weight.val().flatten::<1>(0, 1)); // [component][unit]
        let bias: Vec<f32> = self.first.bias.as_ref().map(|b| values(b.val())).unwrap_or_default();
        let (weight, bias) = whitener.fold(&weight, &bias);
        let (n_features, width) = (weight.len() / bias.len(), bias.len());
        let weight = Tensor::<2>::from_data(TensorData::new(weight, [n_features, width]), device);
        let bias = Tensor::<1>::from_data(TensorData::new(bias, [width]), device);
        let first = Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) };
        Self { first, second: self.second }
    }
}

/// A stitched picture's features and what it was stitched from.
#[derive(Clone, Debug)]
pub struct Stitch {
    /// Features of the stitched picture.
    pub features: Vec<f32>,
    /// The sample above.
    pub upper: usize,
    /// The sample below.
    pub lower: usize,
    /// The share of the picture that is above.
    pub share: f64,
}

/// What a head learns from, whitened.
pub struct Lesson<'a> {
    /// Whitened features of all samples.
    pub features: &'a [Vec<f32>],
    /// Stitched pictures of samples in the pool.
    pub stitches: &'a [Stitch],
    /// Where the steps draw from.
    pub pool: Pool,
}

/// How to learn.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which loss.
    pub recipe: Recipe,
    /// Hidden units; 0 is linear.
    pub hidden: usize,
    /// Steps.
    pub steps: u64,
    /// Step length of AdamW.
    pub learning_rate: f64,
    /// Pull of the weights towards zero (AdamW's).
    pub weight_decay: f32,
    /// Weight of the stitch loss.
    pub stitch_weight: f64,
    /// The seed.
    pub seed: u64,
    /// Which member: another start and other draws.
    pub member: u64,
    /// Where checkpoints go, and what the run is.
    pub checkpoint: Option<(PathBuf, String)>,
}

/// A trained head or network, and its loss at some steps.
pub struct Learnt<M> {
    /// What was trained.
    pub model: M,
    /// Step and loss.
    pub history: Vec<(u64, f32)>,
}

impl Plan {
    /// Whether the loss of a step is noted: of about a hundred, and of the last.
    pub fn notes(&self, step: u64) -> bool {
        step.is_multiple_of((self.steps / NOTES).max(1)) || step + 1 == self.steps
    }
}

/// Trains one head. Goes on from the checkpoint if there is one of this run.
///
/// # Errors
/// If a checkpoint cannot be written.
pub fn train(
    lesson: &Lesson<'_>,
    plan: &Plan,
    done: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Learnt<Head>> {
    let device = Device::flex().autodiff();
    // Samples that are not in the pool have no features here.
    let n_features = lesson.features.iter().map(Vec::len).max().unwrap_or(0);
    let mut head =
        Head::init(n_features, plan.hidden, &mut generator(plan.seed, plan.member, BEFORE_ANY_STEP), &device);
    let mut optimiser = AdamWConfig::new().with_weight_decay(plan.weight_decay).init();
    let (mut begin, mut history) = (0, Vec::new());
    let saved = plan.checkpoint.as_ref().and_then(|(path, run)| Checkpoint::read(path, run));
    if let Some(saved) = saved {
        (head, optimiser) = saved.restore(head, optimiser)?;
        head = head.train();
        begin = saved.step;
        history = saved.history;
        done(begin as usize);
    }
    for step in begin..plan.steps {
        let loss = loss(&head, lesson, plan, step, &device);
        if plan.notes(step) {
            history.push((step, values(loss.clone().inner())[0]));
        }
        let grads = GradientsParams::from_grads(loss.backward(), &head);
        head = optimiser.step(plan.learning_rate, head, grads);
        done(1);
        let Some((path, run)) = &plan.checkpoint else { continue };
        if (step + 1) % STEPS_A_CHECKPOINT == 0 || step + 1 == plan.steps {
            Checkpoint::of(step + 1, run, &head, &optimiser)?
                .with_history(&history)
                .write(path)
                .context("writing the checkpoint")?;
        }
    }
    Ok(Learnt { model: head.valid(), history })
}

fn loss(head: &Head, lesson: &Lesson<'_>, plan: &Plan, step: u64, device: &Device) -> Tensor<1> {
    let mut rng = generator(plan.seed, plan.member, step);
    let n_levels = lesson.pool.n_levels();
    let drawn: Vec<usize> = (0..ROWS_A_STEP).flat_map(|_| lesson.pool.row(&mut rng)).collect();
    let scores = head.forward(rows(drawn.iter().map(|&i| &lesson.features[i]), device));
    let ranked = plan.recipe.loss(scores.reshape([ROWS_A_STEP, n_levels]));
    if lesson.stitches.is_empty() || plan.stitch_weight == 0.0 {
        return ranked;
    }
    let chosen: Vec<&Stitch> =
        (0..STITCHES_A_STEP).map(|_| &lesson.stitches[rng.random_range(0..lesson.stitches.len())]).collect();
    let stitched = head.forward(rows(chosen.iter().map(|s| &s.features), device));
    let upper = head.forward(rows(chosen.iter().map(|s| &lesson.features[s.upper]), device));
    let lower = head.forward(rows(chosen.iter().map(|s| &lesson.features[s.lower]), device));
    let shares: Vec<f32> = chosen.iter().map(|s| s.share as f32).collect();
    let shares = Tensor::<1>::from_data(TensorData::new(shares, [chosen.len()]), device);
    ranked + stitch_loss(stitched, upper, lower, shares) * plan.stitch_weight
}

fn rows<'a>(rows: impl ExactSizeIterator<Item = &'a Vec<f32>>, device: &Device) -> Tensor<2> {
    let n = rows.len();
    let flat: Vec<f32> = rows.flatten().copied().collect();
    let width = flat.len() / n.max(1);
    Tensor::from_data(TensorData::new(flat, [n, width]), device)
}

/// A linear layer drawn evenly from ±1/√inputs, from our own generator so that no other draw can shift it.
pub fn linear(n_in: usize, n_out: usize, rng: &mut impl Rng, device: &Device) -> Linear {
    let bound = 1.0 / (n_in as f32).sqrt();
    let weight: Vec<f32> = (0..n_in * n_out).map(|_| rng.random_range(-bound..bound)).collect();
    let weight = Tensor::<2>::from_data(TensorData::new(weight, [n_in, n_out]), device);
    let bias = Tensor::<1>::zeros([n_out], device);
    Linear { weight: Param::from_tensor(weight), bias: Some(Param::from_tensor(bias)) }
}

/// The numbers of a tensor.
pub fn values(tensor: Tensor<1>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("32-bit floats on this device")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn lesson(features: &[Vec<f32>]) -> Lesson<'_> {
        let pool = Pool::of((0..features.len()).map(|i| (i, i % 4, (i % 8) as u32))).unwrap();
        Lesson { features, stitches: &[], pool }
    }

    /// The first of six numbers tells the level.
    fn features() -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(8);
        (0..160)
            .map(|i| {
                (0..6).map(|j| if j == 0 { (i % 4) as f32 } else { 0.0 } + rng.random::<f32>()).collect()
            })
            .collect()
    }

    fn plan(steps: u64) -> Plan {
        Plan {
            recipe: Recipe::Default,
            hidden: 0,
            steps,
            learning_rate: 0.02,
            weight_decay: 0.01,
            stitch_weight: 0.0,
            seed: 1,
            member: 0,
            checkpoint: None,
        }
    }

    fn scores(head: &Head, features: &[Vec<f32>]) -> Vec<f64> {
        let out = head.forward(rows(features.iter(), &Device::flex()));
        values(out).into_iter().map(f64::from).collect()
    }

    #[test]
    fn a_head_learns_the_order_of_levels() {
        let features = features();
        let learnt = train(&lesson(&features), &plan(300), &|_| ()).unwrap();
        let head = learnt.model;
        assert!(learnt.history.len() > 90 && learnt.history[0].1 > learnt.history.last().unwrap().1);
        let levels: Vec<usize> = (0..160).map(|i| i % 4).collect();
        let found = crate::evaluate::agreement(&scores(&head, &features), &levels).unwrap();
        assert!(found.pairwise > 0.95, "{found:?}");
    }

    #[test]
    fn training_that_stops_and_goes_on_gives_the_same_bits() {
        let features = features();
        let dir = tempfile::tempdir().unwrap();
        let checkpoint = Some((dir.path().join("m.ckpt"), "run".to_owned()));
        let unbroken = train(&lesson(&features), &plan(600), &|_| ()).unwrap();
        train(&lesson(&features), &Plan { checkpoint: checkpoint.clone(), ..plan(333) }, &|_| ()).unwrap();
        let resumed = train(&lesson(&features), &Plan { checkpoint, ..plan(600) }, &|_| ()).unwrap();
        assert_eq!(scores(&unbroken.model, &features), scores(&resumed.model, &features));
    }

    #[test]
    fn a_head_with_the_whitener_folded_in_scores_raw_features_alike() {
        let features = features();
        let whitener = Whitener::fit(&features, 4).unwrap();
        let white: Vec<Vec<f32>> = features.iter().map(|f| whitener.apply(f)).collect();
        let device = Device::flex();
        for hidden in [0, 5] {
            let head = Head::init(4, hidden, &mut generator(0, 0, 0), &device);
            let before = scores(&head, &white);
            let after = scores(&head.unwhitened(&whitener, &device), &features);
            assert!(before.iter().zip(&after).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}
