//! DeepCluster (Caron et al. 2018): the clusters of a network's features are what the network learns to tell, again and again.
//!
//! An epoch: embed all pictures as they are; whiten the first 256 principal components and bring rows to unit length;
//! k-means; split a large cluster for each empty one; make a new head with an optimiser of its own; and train trunk and
//! head on varied pictures, drawn uniformly over clusters, so that one large cluster is not all there is to learn.
//! Left out of the published recipe: the fixed Sobel filter, because colour is kept here, and dropout, which its networks
//! had in fully connected layers that these trunks do not have.

use crate::kmeans::{Search, group};
use crate::network::{Learner, Plan, epoch, features, generator, head, optimiser};
use crate::rows::Rows;
use crate::stability::mutual_information;
use anyhow::{Context, bail};
use burn::module::{Module, Param};
use burn::optim::ModuleOptimizer;
use burn::tensor::{Device, Tensor, TensorData};
use ndarray::Array2;
use nn::{Backbone, Checkpoint, Rgb, Whitener};
use rand::{Rng, RngExt};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How to learn.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Clusters; more than the classes that are hoped for.
    pub n_clusters: usize,
    /// Passes over the pictures.
    pub epochs: usize,
    /// Principal components that are kept, at most.
    pub components: usize,
    /// What all steps share.
    pub plan: Plan,
    /// Where the checkpoint is, and what the run is.
    pub checkpoint: Option<(PathBuf, String)>,
}

/// The trunk, and the cluster of each picture in the epoch before, as a checkpoint keeps them.
#[derive(Module, Debug)]
struct State {
    trunk: Backbone,
    last: Param<Tensor<1>>,
}

/// Trains the trunk that `begin` gives, and gives it with a line of figures an epoch, of JSON. `done` gets the lines so far after each
/// epoch that is not in a checkpoint already; checkpoints keep them.
///
/// # Errors
/// If pictures do not fit, the loss is no number any more, or a checkpoint cannot be written or is of more epochs than asked for.
pub fn train(
    begin: &dyn Fn() -> anyhow::Result<Backbone>,
    pictures: &[Rgb],
    settings: &Settings,
    done: &mut dyn FnMut(&[String]) -> anyhow::Result<()>,
) -> anyhow::Result<(Backbone, Vec<String>)> {
    let device = Device::flex().autodiff();
    let fresh = || -> anyhow::Result<State> {
        let none = TensorData::new(vec![-1.0_f32; pictures.len()], [pictures.len()]);
        Ok(State { trunk: begin()?, last: Param::from_tensor(Tensor::from_data(none, &device)) })
    };
    let saved = settings.checkpoint.as_ref().and_then(|(path, run)| Checkpoint::read(path, run));
    let first = saved.as_ref().map_or(0, |saved| saved.step as usize);
    if let Some((path, _)) = settings.checkpoint.as_ref().filter(|_| first > settings.epochs) {
        bail!(
            "{}: want a checkpoint of at most the {} epochs asked for, got one of {first}; ask for as many, or remove it",
            path.display(),
            settings.epochs
        );
    }
    let notes = saved.as_ref().map_or("", |saved| &saved.notes);
    let mut lines: Vec<String> = notes.lines().map(str::to_owned).collect();
    let (state, mut trunk_optimiser) = match saved {
        Some(saved) => saved.restore(fresh()?, optimiser())?,
        None => (fresh()?, optimiser()),
    };
    let mut state = state.train();
    for at in first..settings.epochs {
        let line;
        (state, trunk_optimiser, line) = one_epoch(state, trunk_optimiser, pictures, settings, at, &device)?;
        lines.push(line.to_string());
        if let Some((path, run)) = &settings.checkpoint {
            let now = Checkpoint::of(at as u64 + 1, run, &state, &trunk_optimiser)?;
            now.with_notes(lines.join("\n")).write(path).context("writing the checkpoint")?;
        }
        done(&lines)?;
    }
    Ok((state.valid().trunk, lines))
}

fn one_epoch(
    state: State,
    trunk_optimiser: ModuleOptimizer,
    pictures: &[Rgb],
    settings: &Settings,
    at: usize,
    device: &Device,
) -> anyhow::Result<(State, ModuleOptimizer, Value)> {
    let plan = &settings.plan;
    let seen = features(&state.valid().trunk, pictures, plan)?;
    let (of_row, n_split) = targets(&seen, settings, at)?;
    let last: Vec<usize> =
        crate::network::values(state.last.val().inner()).iter().map(|&c| c.max(0.0) as usize).collect();
    let nmi = (at > 0).then(|| mutual_information(&last, &of_row));
    let draws = uniform_draws(&of_row, pictures.len(), &mut generator(plan.seed, at, 0));
    // The head's first weights are the device's draws: from the seed and the epoch alone.
    device.seed(plan.seed.wrapping_add(at as u64));
    let n_features = seen.first().map_or(0, Vec::len);
    let head = head(n_features, settings.n_clusters, device);
    let mut learner = Learner { trunk: (state.trunk, trunk_optimiser), head: (head, optimiser()) };
    let target = |picture: usize| {
        (0..settings.n_clusters).map(|cluster| f32::from(u8::from(of_row[picture] == cluster))).collect()
    };
    let (loss, accuracy) = epoch(&mut learner, pictures, (&draws, &target), plan, at, device)?;
    let sizes = sizes(&of_row, settings.n_clusters);
    let line = json!({
        "epoch": at + 1, "loss": loss, "accuracy_share": accuracy, "nmi_with_epoch_before": nmi,
        "n_split": n_split, "largest": sizes.iter().max(), "sizes": sizes,
    });
    let kept = of_row.iter().map(|&c| c as f32).collect::<Vec<_>>();
    let kept = Tensor::from_data(TensorData::new(kept, [pictures.len()]), device);
    let (trunk, trunk_optimiser) = learner.trunk;
    Ok((State { trunk, last: Param::from_tensor(kept) }, trunk_optimiser, line))
}

/// The clusters of an epoch, and how many were split for empty ones.
fn targets(features: &[Vec<f32>], settings: &Settings, at: usize) -> anyhow::Result<(Vec<usize>, usize)> {
    let whitener = Whitener::fit(features, settings.components)?;
    let white: Vec<f32> = features.iter().flat_map(|row| whitener.apply_unit(row)).collect();
    let white = Array2::from_shape_vec((features.len(), whitener.n_components()), white)
        .expect("every row has one value a component");
    let rows = Rows::of(white.view());
    let search = Search { n_starts: 1, max_steps: 50, seed: settings.plan.seed.wrapping_add(at as u64) };
    let mut of_row = group(&rows, settings.n_clusters, search).of_row;
    let n_split = split_for_empty(&rows, &mut of_row, settings.n_clusters, search);
    Ok((of_row, n_split))
}

/// Each empty cluster takes one half of the largest, which two-means splits; how many were empty.
pub fn split_for_empty(rows: &Rows, of_row: &mut [usize], k: usize, search: Search) -> usize {
    let mut n_split = 0;
    for empty in 0..k {
        let sizes = sizes(of_row, k);
        if sizes[empty] > 0 {
            continue;
        }
        let large = (0..k).reduce(|best, c| if sizes[c] > sizes[best] { c } else { best }).unwrap_or(0);
        if sizes[large] < 2 {
            break;
        }
        let members: Vec<usize> = (0..of_row.len()).filter(|&row| of_row[row] == large).collect();
        let halves = group(&rows.pick(&members), 2, search).of_row;
        // rows that are all alike cannot be told apart: then the second half by number goes
        let alike = halves.iter().all(|&half| half == halves[0]);
        for (i, (&row, half)) in members.iter().zip(halves).enumerate() {
            if if alike { i >= members.len() / 2 } else { half == 1 } {
                of_row[row] = empty;
            }
        }
        n_split += 1;
    }
    n_split
}

/// Draws of pictures: first a cluster that is not empty, each as likely as the others, then one of its pictures.
pub fn uniform_draws(of_row: &[usize], n: usize, rng: &mut impl Rng) -> Vec<usize> {
    let k = of_row.iter().max().map_or(0, |most| most + 1);
    let mut members = vec![Vec::new(); k];
    of_row.iter().enumerate().for_each(|(row, &cluster)| members[cluster].push(row));
    members.retain(|rows: &Vec<usize>| !rows.is_empty());
    let mut one = || {
        let rows = &members[rng.random_range(0..members.len())];
        rows[rng.random_range(0..rows.len())]
    };
    (0..n).map(|_| one()).collect()
}

fn sizes(of_row: &[usize], k: usize) -> Vec<usize> {
    let mut sizes = vec![0; k];
    of_row.iter().for_each(|&cluster| sizes[cluster] += 1);
    sizes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use nn::{Architecture, Augment, Normalise};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    const LOOKS: usize = 3;
    const PX: usize = 32;

    /// Stripes, checks and grain, each of any colour and light.
    fn planted(n: usize) -> Vec<Rgb> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let picture = |i: usize| {
            let (level, depth) = (60.0 + 100.0 * rng.random::<f32>(), 25.0 + 25.0 * rng.random::<f32>());
            let tint: [f32; 3] = std::array::from_fn(|_| 0.7 + 0.6 * rng.random::<f32>());
            let phase = rng.random_range(0..4);
            let mut grain = || rng.random::<f32>() * 2.0 - 1.0;
            let wave: Vec<f32> = (0..PX * PX)
                .map(|at| {
                    let (row, col) = (at / PX + phase, at % PX + phase);
                    match i % LOOKS {
                        0 => {
                            if row / 4 % 2 == 0 {
                                1.0
                            } else {
                                -1.0
                            }
                        }
                        1 => {
                            if (row / 2 + col / 2) % 2 == 0 {
                                1.0
                            } else {
                                -1.0
                            }
                        }
                        _ => grain(),
                    }
                })
                .collect();
            let bytes = tint
                .iter()
                .flat_map(|t| wave.iter().map(move |w| ((level + depth * w) * t).clamp(0.0, 255.0) as u8));
            Rgb::from_bands(&bytes.collect::<Vec<_>>(), PX).unwrap()
        };
        (0..n).map(picture).collect()
    }

    fn settings(epochs: usize, checkpoint: Option<PathBuf>) -> Settings {
        let augment = Augment { least_crop_share: 0.7, ..Augment::FULL };
        let plan = Plan {
            batch: 12,
            learning_rate: 0.003,
            input_px: PX,
            normalise: Normalise::None,
            augment,
            seed: 3,
        };
        Settings {
            n_clusters: 6,
            epochs,
            components: 256,
            plan,
            checkpoint: checkpoint.map(|p| (p, "test".into())),
        }
    }

    fn untrained() -> Backbone {
        let device = Device::flex().autodiff();
        device.seed(1);
        Architecture::ResNet18.init(&device)
    }

    #[test]
    fn the_network_learns_to_tell_its_clusters_and_a_broken_run_goes_on_to_the_same_bits() {
        let pictures = planted(48);
        let dir = tempfile::tempdir().unwrap();
        let run = |epochs: usize, checkpoint: Option<PathBuf>| {
            train(&|| Ok(untrained()), &pictures, &settings(epochs, checkpoint), &mut |_| Ok(())).unwrap()
        };
        let (whole, lines) = run(3, None);
        let by_chance = (settings(0, None).n_clusters as f64).ln();
        let least = lines
            .iter()
            .filter_map(|l| serde_json::from_str::<Value>(l).unwrap()["loss"].as_f64())
            .fold(f64::INFINITY, f64::min);
        assert!(least < by_chance - 0.05, "the loss of guesses is {by_chance}: {lines:?}");
        let checkpoint = dir.path().join("deep.ckpt");
        run(1, Some(checkpoint.clone()));
        let (broken, all) = run(3, Some(checkpoint.clone()));
        assert_eq!(all, lines);
        assert_eq!(run(3, Some(checkpoint.clone())).1, lines, "a run that was killed after its last epoch");
        let fewer = train(&|| Ok(untrained()), &pictures, &settings(2, Some(checkpoint)), &mut |_| Ok(()));
        assert!(fewer.unwrap_err().to_string().contains("of at most the 2 epochs asked for, got one of 3"));
        let of = |trunk: &Backbone| features(trunk, &pictures[..2], &settings(0, None).plan).unwrap();
        assert_eq!(of(&whole), of(&broken));
    }

    #[test]
    fn an_empty_cluster_takes_half_of_the_largest() {
        let matrix = Array2::from_shape_fn((20, 2), |(i, j)| (i / 10 * 5 + j) as f32 + i as f32 * 0.01);
        let rows = Rows::of(matrix.view());
        let mut of_row = vec![0; 20];
        of_row[19] = 2;
        let search = Search { n_starts: 1, max_steps: 10, seed: 1 };
        assert_eq!(split_for_empty(&rows, &mut of_row, 3, search), 1);
        assert_eq!(sizes(&of_row, 3).iter().filter(|&&n| n >= 9).count(), 2, "{of_row:?}");
        let mut alike = vec![0; 8];
        let same = Rows::owned(vec![1.0; 16], 2);
        assert_eq!(split_for_empty(&same, &mut alike, 2, search), 1);
        assert_eq!(sizes(&alike, 2), [4, 4], "rows that are alike are split all the same");
    }

    #[test]
    fn a_small_cluster_is_drawn_as_often_as_a_large_one() {
        let of_row: Vec<usize> = (0..100).map(|i| if i < 5 { 2 } else { 0 }).collect();
        let draws = uniform_draws(&of_row, 4000, &mut ChaCha8Rng::seed_from_u64(2));
        let small = draws.iter().filter(|&&i| i < 5).count() as f64 / 4000.0;
        assert!((small - 0.5).abs() < 0.03, "{small}: four standard errors are .03");
    }
}
