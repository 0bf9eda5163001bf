//! Training the whole network: backbone and a linear head, images in, for machines that can afford it.
//!
//! A thread of its own varies pictures and makes the next batches while the network works on the present one; how long the network
//! waited is told. All draws of a step come from the seed and its number, so a run that goes on from a checkpoint draws the same.

use crate::data::Samples;
use crate::draw::{Pool, generator};
use crate::head::{BEFORE_ANY_STEP, Learnt, Plan, linear, values};
use crate::sight::{Light, Sight};
use burn::module::Module;
use burn::nn::Linear;
use burn::optim::GradientsParams;
use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{
    Adam, Architecture, Augment, Backbone, Checkpoint, DeviceChoice, Embedder, Rgb, Tones, stitch_loss,
    to_input, varied,
};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
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

    /// This network, frozen as it is now on its device, to look at pictures.
    ///
    /// # Errors
    /// If the side is no multiple of 32.
    pub fn eye(&self, input_px: usize, light: Light, device: DeviceChoice) -> anyhow::Result<Eye> {
        let weights = values(self.head.weight.val().flatten::<1>(0, 1));
        let bias = self.head.bias.as_ref().map_or(0.0, |bias| values(bias.val())[0]);
        let embedder = Embedder::of(&self.backbone, input_px, device)?.normalising(light.at_input());
        Ok(Eye { embedder, weights, bias })
    }
}

/// A trained network that looks at pictures, each as if it were alone.
pub struct Eye {
    embedder: Embedder,
    weights: Vec<f32>,
    bias: f32,
}

impl Eye {
    /// The features and the raw output of each picture.
    ///
    /// # Errors
    /// None for pictures with pixels.
    pub fn look(&self, pictures: &[Rgb]) -> anyhow::Result<Vec<(Vec<f32>, f64)>> {
        let raw = |features: &[f32]| {
            let product = |(a, b): (&f32, &f32)| f64::from(*a) * f64::from(*b);
            f64::from(self.bias) + features.iter().zip(&self.weights).map(product).sum::<f64>()
        };
        Ok(self
            .embedder
            .embed(pictures)?
            .into_iter()
            .map(|features| {
                let raw = raw(&features);
                (features, raw)
            })
            .collect())
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

/// What to start from, and how pictures are seen.
#[derive(Clone, Copy, Debug)]
pub struct Start<'a> {
    /// Which backbone.
    pub architecture: Architecture,
    /// Its published weights.
    pub weights: &'a Path,
    /// Side of its input.
    pub input_px: usize,
    /// In which light it sees pictures.
    pub light: Light,
    /// How pictures are varied.
    pub augment: Augment,
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
    fn of(pictures: &[Rgb], pool: &Pool, start: &Start<'_>, plan: &Plan, step: u64) -> nn::Result<Self> {
        let mut rng = generator(plan.seed, plan.member, step);
        let drawn: Vec<usize> = (0..ROWS_A_STEP).flat_map(|_| pool.row(&mut rng)).collect();
        let pairs: Vec<_> = (0..STITCHES_A_STEP).map(|_| pool.pair(&mut rng)).collect();
        let mut seen = |of: &mut dyn Iterator<Item = usize>| {
            let of: Vec<(&Rgb, u64)> = of.map(|i| (&pictures[i], rng.random())).collect();
            of.into_par_iter()
                .map(|(picture, seed)| start.vary(picture, &mut ChaCha8Rng::seed_from_u64(seed)))
                .collect::<nn::Result<Vec<Rgb>>>()
        };
        let rows = seen(&mut drawn.into_iter())?;
        let upper = seen(&mut pairs.iter().map(|p| p.0))?;
        let lower = seen(&mut pairs.iter().map(|p| p.1))?;
        let ends = upper.iter().zip(&lower).zip(&pairs);
        let stitched: Vec<Rgb> = ends.map(|((upper, lower), p)| upper.stitched(lower, p.2)).collect();
        let inputs = |of: &[Rgb]| {
            let input = |picture| to_input(picture, start.input_px, start.light.at_input());
            of.par_iter().map(input).collect::<nn::Result<Vec<_>>>().map(|all| all.concat())
        };
        Ok(Self {
            rows: inputs(&rows)?,
            stitched: inputs(&stitched)?,
            upper: inputs(&upper)?,
            lower: inputs(&lower)?,
            shares: pairs.iter().map(|p| p.2 as f32).collect(),
        })
    }
}

impl Start<'_> {
    /// A picture of the input's side, varied.
    fn vary(&self, picture: &Rgb, rng: &mut impl Rng) -> nn::Result<Rgb> {
        if self.augment == Augment::NONE {
            return Ok(picture.clone());
        }
        Ok(varied(picture, &self.augment, rng)?.sized(self.input_px))
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
    start: &Start<'_>,
    plan: &Plan,
    device: &Device,
    done: &mut dyn FnMut(usize),
) -> anyhow::Result<Trained> {
    let device = &device.clone().autodiff();
    let mut net = Net::load(start.architecture, start.weights, plan.seed, plan.member, device)?.train();
    let mut optimiser = Adam::new().init();
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
                if send.send(Batch::of(pictures, pool, start, plan, step)).is_err() {
                    break;
                }
            }
        });
        for step in begin..plan.steps {
            let asked = Instant::now();
            let Ok(batch) = batches.recv() else { break };
            waited += asked.elapsed();
            let loss = loss(&net, batch?, pool.n_levels(), start.input_px, plan, device);
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::recipe::Recipe;

    const PX: usize = 32;

    fn pictures() -> Vec<Rgb> {
        let bytes =
            |i: usize| (0..3 * PX * PX).map(|at| ((at * 31 + i * 57) % 251) as u8).collect::<Vec<_>>();
        (0..12).map(|i| Rgb::from_bands(&bytes(i), PX).unwrap()).collect()
    }

    fn batch(augment: Augment, step: u64) -> Batch {
        let pool = Pool::of((0..12).map(|i| (i, i % 3, (i % 3) as u32))).unwrap();
        let architecture = Architecture::ResNet18;
        let start = Start { architecture, weights: Path::new(""), input_px: PX, light: Light::AsIs, augment };
        let plan = Plan {
            recipe: Recipe::Default,
            hidden: 0,
            steps: 9,
            learning_rate: 0.1,
            weight_decay: 0.1,
            stitch_weight: 1.0,
            seed: 3,
            member: 0,
            checkpoint: None,
        };
        Batch::of(&pictures(), &pool, &start, &plan, step).unwrap()
    }

    #[test]
    fn a_step_varies_pictures_by_its_number_and_the_seed_alone() {
        let full = || batch(Augment::FULL, 4);
        assert!(full().rows == full().rows && full().stitched == full().stitched);
        assert!(full().rows != batch(Augment::NONE, 4).rows && full().rows != batch(Augment::FULL, 5).rows);
        let plain: Vec<Vec<f32>> =
            pictures().iter().map(|p| to_input(p, PX, Light::AsIs.at_input()).unwrap()).collect();
        let rows = batch(Augment::NONE, 4).rows;
        assert!(rows.chunks(3 * PX * PX).all(|row| plain.iter().any(|p| p == row)));
    }

    #[test]
    fn a_stitched_picture_is_of_the_two_that_are_scored_beside_it() {
        let Batch { stitched, upper, lower, shares, .. } = batch(Augment::FULL, 2);
        let picture = 3 * PX * PX;
        for (i, share) in shares.iter().enumerate() {
            let cut = (f64::from(*share) * PX as f64).round() as usize;
            let of = |all: &[f32], row: usize| all[i * picture + row * PX..][..PX].to_vec();
            for row in 0..PX {
                let wanted = of(if row < cut { &upper } else { &lower }, row);
                assert_eq!(of(&stitched, row), wanted, "picture {i}, row {row}");
            }
        }
    }
}
