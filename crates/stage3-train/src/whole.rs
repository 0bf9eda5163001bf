//! Training the whole network: backbone and a linear head, images in, for machines that can afford it.
//!
//! A thread of its own makes the next batches while the network works on the present one; how long the network waited is told.

use crate::data::Samples;
use crate::draw::{Pool, generator};
use crate::head::{BEFORE_ANY_STEP, Learnt, Plan, linear, values};
use crate::sight::{Light, Sight};
use burn::module::Module;
use burn::nn::Linear;
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Architecture, Backbone, Checkpoint, Rgb, Tones, stitch_loss, to_input};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

/// Rows of one sample a level that make a step; more do not fit a laptop's patience.
const ROWS_A_STEP: usize = 2;
const STITCHES_A_STEP: usize = 4;
const STEPS_A_CHECKPOINT: u64 = 20;
/// Batches that wait for the network, at most.
const BATCHES_AHEAD: usize = 2;

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
        let logits = self.head.forward(self.backbone.features(images));
        let [batch, _] = logits.dims();
        sigmoid(logits.reshape([batch]))
    }

    /// The features and the raw output of one picture, which goes alone, so that its neighbours do not matter.
    ///
    /// # Errors
    /// If the side is no multiple of 32.
    pub fn look(
        &self,
        picture: &Rgb,
        input_px: usize,
        light: Light,
        device: &Device,
    ) -> anyhow::Result<(Vec<f32>, f64)> {
        let image = tensor(to_input(picture, input_px, light.at_input())?, input_px, device);
        let features = self.backbone.features(image); // [1, features]
        let [_, n] = features.dims();
        let raw = values(self.head.forward(features.clone()).reshape([1]))[0];
        Ok((values(features.reshape([n])), f64::from(raw)))
    }
}

/// The pictures of all samples as the network will see them, at its input's side: the memory that training needs.
///
/// # Errors
/// If they cannot be read.
pub fn pictures(samples: &Samples, sight: &Sight, granules: &[Tones]) -> anyhow::Result<Vec<Rgb>> {
    let mut all = Vec::with_capacity(samples.all.len());
    samples.each(&(0..samples.all.len()).collect::<Vec<_>>(), |pictures| {
        all.extend(pictures.into_iter().map(|(i, picture)| {
            sight
                .prepare(&picture, &granules[samples.all[i].granule], sight.normalise.lights()[0])
                .sized(sight.input_px[0])
        }));
        Ok(())
    })?;
    Ok(all)
}

/// What one step learns from, ready for the network.
struct Batch {
    rows: Vec<f32>,
    stitched: Vec<f32>,
    upper: Vec<f32>,
    lower: Vec<f32>,
    shares: Vec<f32>,
}

impl Batch {
    fn of(
        pictures: &[Rgb],
        pool: &Pool,
        (px, light): (usize, Light),
        plan: &Plan,
        step: u64,
    ) -> nn::Result<Self> {
        let mut rng = generator(plan.seed, plan.member, step);
        let drawn: Vec<usize> = (0..ROWS_A_STEP).flat_map(|_| pool.row(&mut rng)).collect();
        let pairs: Vec<_> = (0..STITCHES_A_STEP).map(|_| pool.pair(&mut rng)).collect();
        let inputs = |of: &mut dyn Iterator<Item = Rgb>| {
            of.map(|picture| to_input(&picture, px, light.at_input()))
                .collect::<nn::Result<Vec<_>>>()
                .map(|all| all.concat())
        };
        let stitch = |&(a, b, share): &(usize, usize, f64)| pictures[a].stitched(&pictures[b], share);
        Ok(Self {
            rows: inputs(&mut drawn.iter().map(|&i| pictures[i].clone()))?,
            stitched: inputs(&mut pairs.iter().map(stitch))?,
            upper: inputs(&mut pairs.iter().map(|p| pictures[p.0].clone()))?,
            lower: inputs(&mut pairs.iter().map(|p| pictures[p.1].clone()))?,
            shares: pairs.iter().map(|p| p.2 as f32).collect(),
        })
    }
}

/// A trained network, and how long it waited for batches in all its time.
pub struct Trained {
    /// The network and its losses.
    pub learnt: Learnt<Net>,
    /// Time spent waiting for pictures.
    pub waited: Duration,
    /// Time of all steps.
    pub took: Duration,
}

/// Trains one network. Goes on from the checkpoint if there is one of this run.
///
/// # Errors
/// If the weights or the pictures do not fit, or a checkpoint cannot be written.
pub fn train(
    pictures: &[Rgb],
    pool: &Pool,
    (architecture, weights, input_px, light): (Architecture, &Path, usize, Light),
    plan: &Plan,
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> anyhow::Result<Trained> {
    let device = &device.clone().autodiff();
    let mut net = Net::load(architecture, weights, plan.seed, plan.member, device)?.train();
    let mut optimiser = AdamConfig::new().init();
    let (mut begin, mut history) = (0, Vec::new());
    if let Some(saved) = plan.checkpoint.as_ref().and_then(|(path, run)| Checkpoint::read(path, run)) {
        (net, optimiser) = saved.restore(net, optimiser)?;
        net = net.train();
        begin = saved.step;
        history = saved.history;
        done(begin as usize);
    }
    let (started, mut waited) = (Instant::now(), Duration::ZERO);
    std::thread::scope(|scope| {
        let (send, batches) = sync_channel(BATCHES_AHEAD);
        scope.spawn(move || {
            for step in begin..plan.steps {
                // Nobody receives any more after an error, which is told there.
                if send.send(Batch::of(pictures, pool, (input_px, light), plan, step)).is_err() {
                    break;
                }
            }
        });
        for step in begin..plan.steps {
            let asked = Instant::now();
            let Ok(batch) = batches.recv() else { break };
            waited += asked.elapsed();
            let loss = loss(&net, batch?, pool.n_levels(), input_px, plan, device);
            if plan.notes(step) {
                history.push((step, values(loss.clone().inner())[0]));
            }
            let grads = GradientsParams::from_grads(loss.backward(), &net);
            net = optimiser.step(plan.learning_rate, net.clone(), grads);
            done(1);
            let Some((path, run)) = &plan.checkpoint else { continue };
            if (step + 1) % STEPS_A_CHECKPOINT == 0 || step + 1 == plan.steps {
                Checkpoint::of(step + 1, run, &net, &optimiser)?.with_history(&history).write(path)?;
            }
        }
        anyhow::Ok(())
    })?;
    let learnt = Learnt { model: net.valid(), history };
    Ok(Trained { learnt, waited, took: started.elapsed() })
}

fn loss(net: &Net, batch: Batch, n_levels: usize, px: usize, plan: &Plan, device: &Device) -> Tensor<1> {
    let score = |images: Vec<f32>| net.forward(tensor(images, px, device));
    let ranked = plan.recipe.loss(score(batch.rows).reshape([ROWS_A_STEP, n_levels]));
    let n = batch.shares.len();
    let shares = Tensor::<1>::from_data(TensorData::new(batch.shares, [n]), device);
    let stitched = stitch_loss(score(batch.stitched), score(batch.upper), score(batch.lower), shares);
    ranked + stitched * plan.stitch_weight
}

fn tensor(images: Vec<f32>, px: usize, device: &Device) -> Tensor<4> {
    let n = images.len() / (3 * px * px);
    Tensor::from_data(TensorData::new(images, [n, 3, px, px]), device)
}
