//! Training the whole network: backbone and a linear head, images in, for machines that can afford it.

use crate::data::Sample;
use crate::draw::{Pool, generator};
use crate::head::{BEFORE_ANY_STEP, Plan, anchor, linear, values};
use burn::module::Module;
use burn::nn::Linear;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Architecture, Backbone, Checkpoint, Normalise, Rgb, rank_loss, stitch_loss, to_input};
use std::path::Path;

/// Rows of one sample a level that make a step; more do not fit a laptop's patience.
const ROWS_A_STEP: usize = 2;
const STITCHES_A_STEP: usize = 4;
const STEPS_A_CHECKPOINT: u64 = 20;

/// A backbone and a linear head.
#[derive(Module, Debug)]
pub struct Net {
    backbone: Backbone,
    head: Linear,
}

impl Net {
    /// The network before training, its backbone from published weights.
    ///
    /// # Errors
    /// If the weights cannot be read.
    pub fn load(
        architecture: Architecture,
        weights: &Path,
        plan_seed: u64,
        member: u64,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let mut rng = generator(plan_seed, member, BEFORE_ANY_STEP);
        let backbone = architecture.load(weights, device)?;
        Ok(Self { backbone, head: linear(architecture.n_features(), 1, &mut rng, device) })
    }

    /// The network without weights, to be filled from a file.
    pub fn blank(architecture: Architecture, device: &Device) -> Self {
        let mut rng = generator(0, 0, BEFORE_ANY_STEP);
        Self {
            backbone: architecture.init(device),
            head: linear(architecture.n_features(), 1, &mut rng, device),
        }
    }

    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`
    /// - output: `[batch]` in [0, 1]
    pub fn forward(&self, images: Tensor<4>) -> Tensor<1> {
        sigmoid(self.logits(images))
    }

    fn logits(&self, images: Tensor<4>) -> Tensor<1> {
        let logits = self.head.forward(self.backbone.features(images));
        let [batch, _] = logits.dims();
        logits.reshape([batch])
    }

    /// The mean logit of pictures of a level, for [`anchor`].
    fn mean_logit(&self, samples: &[Sample], level: Vec<usize>, input_px: usize) -> anyhow::Result<f64> {
        let (device, mut sum) = (Device::flex(), 0.0);
        for &i in &level {
            sum += f64::from(
                values(self.logits(batch(std::iter::once(&samples[i].picture), input_px, &device)?))[0],
            );
        }
        Ok(sum / level.len() as f64)
    }

    /// The score of one picture.
    ///
    /// # Errors
    /// If the side is no multiple of 32.
    pub fn score(&self, picture: &Rgb, input_px: usize, device: &Device) -> anyhow::Result<f64> {
        let score = self.forward(batch(std::iter::once(picture), input_px, device)?);
        Ok(f64::from(values(score)[0]))
    }
}

/// Trains one network. Goes on from the checkpoint if there is one of this run.
///
/// # Errors
/// If the weights or the pictures do not fit, or a checkpoint cannot be written.
pub fn train(
    samples: &[Sample],
    pool: &Pool,
    (architecture, weights, input_px): (Architecture, &Path, usize),
    plan: &Plan,
    done: &mut dyn FnMut(usize),
) -> anyhow::Result<Net> {
    let device = Device::flex().autodiff();
    let mut net = Net::load(architecture, weights, plan.seed, plan.member, &device)?.train();
    let mut optimiser = AdamConfig::new().init();
    let mut begin = 0;
    if let Some(saved) = plan.checkpoint.as_ref().and_then(|(path, run)| Checkpoint::read(path, run)) {
        (net, optimiser) = saved.restore(net, optimiser)?;
        net = net.train();
        begin = saved.step;
        done(begin as usize);
    }
    for step in begin..plan.steps {
        let mut rng = generator(plan.seed, plan.member, step);
        let drawn: Vec<usize> = (0..ROWS_A_STEP).flat_map(|_| pool.row(&mut rng)).collect();
        let pairs: Vec<_> = (0..STITCHES_A_STEP).map(|_| pool.pair(&mut rng)).collect();
        let stitched: Vec<Rgb> = pairs
            .iter()
            .map(|&(a, b, share)| samples[a].picture.stitched(&samples[b].picture, share))
            .collect();
        let scores = net.forward(batch(drawn.iter().map(|&i| &samples[i].picture), input_px, &device)?);
        let of_stitched = net.forward(batch(stitched.iter(), input_px, &device)?);
        let upper = net.forward(batch(pairs.iter().map(|p| &samples[p.0].picture), input_px, &device)?);
        let lower = net.forward(batch(pairs.iter().map(|p| &samples[p.1].picture), input_px, &device)?);
        let shares: Vec<f32> = pairs.iter().map(|p| p.2 as f32).collect();
        let shares = Tensor::<1>::from_data(TensorData::new(shares, [pairs.len()]), &device);
        let ranked = rank_loss(scores.reshape([ROWS_A_STEP, pool.n_levels()]));
        let loss = ranked + stitch_loss(of_stitched, upper, lower, shares) * plan.stitch_weight;
        let grads = GradientsParams::from_grads(loss.backward(), &net);
        net = optimiser.step(plan.learning_rate, net, grads);
        done(1);
        let Some((path, run)) = &plan.checkpoint else { continue };
        if (step + 1) % STEPS_A_CHECKPOINT == 0 || step + 1 == plan.steps {
            Checkpoint::of(step + 1, run, &net, &optimiser)?.write(path)?;
        }
    }
    let mut net = net.valid();
    let low = net.mean_logit(samples, pool.of_level(0).collect(), input_px)?;
    let high = net.mean_logit(samples, pool.of_level(pool.n_levels() - 1).collect(), input_px)?;
    net.head = anchor(net.head, low, high);
    Ok(net)
}

fn batch<'a>(
    pictures: impl ExactSizeIterator<Item = &'a Rgb>,
    px: usize,
    device: &Device,
) -> anyhow::Result<Tensor<4>> {
    let n = pictures.len();
    let mut flat = Vec::with_capacity(n * 3 * px * px);
    for picture in pictures {
        flat.extend(to_input(picture, px, Normalise::None)?);
    }
    Ok(Tensor::from_data(TensorData::new(flat, [n, 3, px, px]), device))
}
