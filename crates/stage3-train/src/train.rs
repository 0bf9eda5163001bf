//! `stage3-train train`.

use crate::card::{Card, Part};
use crate::course::{self, Course};
use crate::data::{Block, Samples, read};
use crate::flags::TrainArgs;
use crate::interval::{Interval, Residual};
use crate::loose;
use crate::model::{Heads, Whole};
use crate::near::{self, Limit, Near};
use crate::recipe::Recipe;
use crate::report;
use crate::scale::Scale;
use crate::sight::{Sight, colours};
use crate::study::{self, Found, Material, fit, found};
use crate::whole;
use anyhow::Context;
use burn::tensor::Device;
use contract::Made;
use nn::save_whole;
use stage::{Ledger, Progress};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Scores within this are the same: no map or table shows the difference.
pub const SAME_SCORE: f64 = 1e-6;

/// What makes a model tell nothing apart, and what to do.
const UNTOLD: &str = "likely tiles of all levels look alike (cut them larger or smaller with --tile-px of granule-split-mpi), or the judge \
                      did not know this ground; else try other --features, more --steps or less --weight-decay";

/// The least and the largest.
pub fn ends(scores: &[f64]) -> (f64, f64) {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    (least, scores.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// What a training found out about itself, beside the model.
pub struct Outcome {
    /// What is seen of pictures.
    pub sight: Sight,
    /// The scale of each member.
    pub scales: Vec<Scale>,
    /// On blocks that were held out.
    pub blocks: Option<Found>,
    /// On clusters that were left out in turn.
    pub clusters: Option<Found>,
    /// What an interval promises.
    pub interval: Option<Interval>,
    /// From where on a tile is unlike those of training.
    pub limit: Option<Limit>,
    /// How the losses went.
    pub courses: Vec<Course>,
}

pub fn run(args: &TrainArgs) -> anyhow::Result<Ledger> {
    args.check()?;
    let mut ledger = Ledger::of("tiles", 0);
    let samples =
        read(&args.tiles, &args.clusters, &args.pog, args.labels.as_deref(), args.seed, &mut ledger)?;
    let made = args.made()?;
    let outcome = match args.train {
        Part::Head => heads(args, &samples, &made)?,
        Part::Whole => network(args, &samples, &made, &mut ledger)?,
    };
    if outcome.blocks.is_none() {
        tracing::warn!("no figures: the held-out or the kept blocks lack a level, the tiles are too few");
    }
    card(args, &outcome, &made)?.write_beside(&args.out)?;
    if let Some(path) = &args.metrics_out {
        contract::write(path, &report::metrics(&outcome), &made)?;
    }
    if let Some(path) = &args.losses_out {
        contract::file::write(path, course::lines(&outcome.courses).as_bytes())?;
    }
    if let (Some(path), Some(png)) = (&args.curves_out, course::picture(&outcome.courses)?) {
        contract::file::write(path, &png)?;
    }
    Ok(ledger)
}

/// Indices of samples that are held out or not; nothing if those that are not lack a level.
fn kept_and_held(samples: &Samples) -> Option<(Vec<usize>, Vec<usize>)> {
    let (held, kept): (Vec<usize>, Vec<usize>) = (0..samples.all.len()).partition(|&i| samples.all[i].held);
    let has = |level: usize| kept.iter().any(|&i| samples.all[i].level == level);
    ((0..samples.n_levels).all(has) && !held.is_empty()).then_some((kept, held))
}

/// Trains the ensemble on all samples; others on the kept blocks alone and without each fold of clusters, for the figures.
fn heads(args: &TrainArgs, samples: &Samples, made: &Made) -> anyhow::Result<Outcome> {
    let material = Material::gather(args, samples, made)?;
    let task = (args, samples, &material);
    let split = kept_and_held(samples);
    let folds = match args.n_folds() {
        0 => Vec::new(),
        n => study::folds(samples, n, args.seed),
    };
    let n_runs = 1 + usize::from(split.is_some()) + folds.len();
    let steps = n_runs * usize::from(args.members) * args.steps as usize;
    let progress = Mutex::new(Progress::over("steps", steps));
    let done = |n: usize| {
        if let Ok(mut progress) = progress.lock() {
            progress.add(n);
        }
    };
    let (mut blocks, mut interval, mut courses) = (None, None, Vec::new());
    if let Some((kept, held)) = &split
        && let Some(mut fitted) = fit(task, kept, (study::KEPT, made), &done)?
    {
        courses.append(&mut fitted.courses);
        let scores = fitted.means(&material, held);
        blocks = found(samples, args.recipe, held, &scores);
        interval = Interval::fit(&residuals(args, samples, held, &scores), args.interval_share);
    }
    let clusters = left_out(task, &folds, made, &done, &mut courses)?;
    let all: Vec<usize> = (0..samples.all.len()).collect();
    let mut fitted = fit(task, &all, ("all", made), &done)?.context("no two levels have samples")?;
    courses.append(&mut fitted.courses);
    vary(&fitted.means(&material, &all))?;
    if args.recipe != Recipe::DevMeasure && fitted.scales.iter().all(|scale| *scale == Scale::Logistic) {
        tracing::warn!(
            "no member's outputs rise from level to level, not even on what it learnt from: {UNTOLD}"
        );
    }
    let (near, limit) = measured_near(args, samples, &material.features[0], &all)?.unzip();
    save_whole(&Heads { members: fitted.heads, near }, &args.out)?;
    Ok(Outcome { sight: material.sight, scales: fitted.scales, blocks, clusters, interval, limit, courses })
}

/// Refuses a model that tells nothing apart, not even what it learnt from: its map would be of one colour.
fn vary(scores: &[f64]) -> anyhow::Result<()> {
    let (low, high) = ends(scores);
    anyhow::ensure!(
        high - low > SAME_SCORE,
        "want scores that differ, but all {} training tiles get {low:.3}: {UNTOLD}",
        scores.len()
    );
    Ok(())
}

/// All pictures that the heads learn from, and the limit of being near to them.
fn measured_near(
    args: &TrainArgs,
    samples: &Samples,
    features: &[Vec<f32>],
    all: &[usize],
) -> anyhow::Result<Option<(Near, Limit)>> {
    let loose = loose::rows(samples, all, false).into_iter().map(|(i, _)| i);
    let learnt: Vec<usize> = all.iter().copied().chain(loose).collect();
    let rows: Vec<&Vec<f32>> = learnt.iter().map(|&i| &features[i]).collect();
    let blocks: Vec<Block> = learnt.iter().map(|&i| samples.block(i)).collect();
    near::measured(&rows, &blocks, args.outside_share)
}

/// Scores of every cluster by a model that never saw it.
fn left_out(
    task: (&TrainArgs, &Samples, &Material),
    folds: &[std::collections::BTreeSet<u32>],
    made: &Made,
    done: &(dyn Fn(usize) + Sync),
    courses: &mut Vec<Course>,
) -> anyhow::Result<Option<Found>> {
    let (args, samples, material) = task;
    let (mut chosen, mut scores) = (Vec::new(), Vec::new());
    for (number, fold) in folds.iter().enumerate() {
        let (out, rest): (Vec<usize>, Vec<usize>) =
            (0..samples.all.len()).partition(|&i| fold.contains(&samples.all[i].cluster));
        let name = format!("without-fold-{number}");
        let Some(mut fitted) = fit(task, &rest, (&name, made), done)? else { continue };
        courses.append(&mut fitted.courses);
        scores.extend(fitted.means(material, &out));
        chosen.extend(out);
    }
    Ok(found(samples, args.recipe, &chosen, &scores))
}

/// Trains the whole network on the kept blocks alone, so that the figures and the model are of one training.
fn network(args: &TrainArgs, samples: &Samples, made: &Made, ledger: &mut Ledger) -> anyhow::Result<Outcome> {
    let (granules, reference) = colours(samples, args.normalise)?;
    let sight = args.sight(reference);
    let pictures = whole::pictures(samples, &sight, &granules)?;
    let split = kept_and_held(samples);
    let all: Vec<usize> = (0..samples.all.len()).collect();
    let (kept, held) = split.clone().unwrap_or((all.clone(), Vec::new()));
    let pool = study::pool(args.recipe, samples, &kept).context("no two levels have samples")?;
    let device = args.device.device();
    let mut progress = Progress::over("steps", args.steps as usize);
    let px = args.input_px[0];
    let light = sight.normalise.lights()[0];
    let start = whole::Start {
        architecture: args.backbone,
        weights: args.first_weights()?,
        input_px: px,
        light,
        augment: args.augment(),
    };
    let plan = study::plan(args, made, "whole", 0);
    let trained = whole::train(&pictures, &pool, &start, &plan, &device, &mut |n| progress.add(n))?;
    tell_waiting(&trained, ledger);
    let looked = trained.learnt.model.eye(px, light, args.device)?.look(&pictures)?;
    let (features, raw): (Vec<Vec<f32>>, Vec<f64>) = looked.into_iter().unzip();
    let scale = scale_of(args, samples, &kept, &raw);
    vary(&raw.iter().map(|&raw| scale.of(raw)).collect::<Vec<_>>())?;
    let scores: Vec<f64> = held.iter().map(|&i| scale.of(raw[i])).collect();
    let near = split.map(|_| near_of(&features, &kept)).transpose()?;
    let limit = near.as_ref().and_then(|near| limit_of(args, samples, near, &features, &held));
    let near = near.filter(|_| limit.is_some());
    save_whole(&Whole { net: trained.learnt.model, near }, &args.out)?;
    Ok(Outcome {
        sight,
        scales: vec![scale],
        blocks: found(samples, args.recipe, &held, &scores),
        clusters: None,
        interval: Interval::fit(&residuals(args, samples, &held, &scores), args.interval_share),
        limit,
        courses: vec![Course { run: "whole".into(), member: 0, losses: trained.learnt.history }],
    })
}

fn tell_waiting(trained: &whole::Trained, ledger: &mut Ledger) {
    let (waited, took) = (trained.waited.as_secs_f64(), trained.took.as_secs_f64());
    ledger.spend("s of training", took);
    ledger.spend("s of waiting for pictures", waited);
    tracing::info!(
        "waited {:.2} % of the training for pictures",
        100.0 * waited / took.max(f64::MIN_POSITIVE)
    );
}

fn scale_of(args: &TrainArgs, samples: &Samples, kept: &[usize], raw: &[f64]) -> Scale {
    if args.recipe == Recipe::DevMeasure {
        return Scale::Logistic;
    }
    let outputs: Vec<f64> = kept.iter().map(|&i| raw[i]).collect();
    let levels: Vec<usize> = kept.iter().map(|&i| samples.all[i].level).collect();
    Scale::fit(&outputs, &levels, samples.n_levels)
}

fn residuals(args: &TrainArgs, samples: &Samples, held: &[usize], scores: &[f64]) -> Vec<Residual<Block>> {
    let off = |(&i, score): (&usize, &f64)| {
        let sample = &samples.all[i];
        let off = (score - args.recipe.place(sample.level, samples.n_levels)).abs();
        Residual { block: sample.block(), off }
    };
    held.iter().zip(scores).map(off).collect()
}

fn near_of(features: &[Vec<f32>], of: &[usize]) -> anyhow::Result<Near> {
    Near::of(&of.iter().map(|&i| &features[i]).collect::<Vec<_>>(), &Device::flex())
}

/// The limit of tiles that a network did not learn from.
fn limit_of(
    args: &TrainArgs,
    samples: &Samples,
    near: &Near,
    features: &[Vec<f32>],
    held: &[usize],
) -> Option<Limit> {
    let n_blocks = held.iter().map(|&i| samples.block(i)).collect::<BTreeSet<_>>().len();
    let held: Vec<&Vec<f32>> = held.iter().map(|&i| &features[i]).collect();
    near.ruler().limit(&held, args.outside_share, n_blocks)
}

fn card(args: &TrainArgs, outcome: &Outcome, made: &Made) -> anyhow::Result<Card> {
    let inputs = made.pairs("card").into_iter().find(|(key, _)| key == "inputs").map(|(_, text)| text);
    let weights = args.weights.iter().filter(|_| outcome.sight.needs_backbone());
    Ok(Card {
        about: "Development score of a tile from 0 to 1: its place in the order of the clusters it was trained on. \
                A rank, not money; it says nothing of people or of a place in another order."
            .into(),
        train: args.train,
        backbone: args.backbone.to_string(),
        backbone_sha256: weights.map(|path| contract::sha256_of(path)).collect::<Result<_, _>>()?,
        model_sha256: contract::sha256_of(&args.out)?,
        recipe: args.recipe,
        sight: outcome.sight.clone(),
        hidden: args.hidden,
        n_members: usize::from(args.members),
        scale: report::scale_in_words(args.recipe).into(),
        scales: outcome.scales.clone(),
        interval: outcome.interval,
        limit: outcome.limit,
        settings: args.settings(),
        figures: report::figures(outcome),
        inputs: serde_json::from_str(&inputs.unwrap_or_default())?,
    })
}
