//! `stage3-train train`.

use crate::card::{Card, Part};
use crate::data::{Samples, read};
use crate::draw::{Pool, generator};
use crate::evaluate::{Agreement, agreement};
use crate::head::{Ensemble, Lesson, Plan, Stitch};
use crate::{head, whole};
use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use contract::{Made, Metric};
use nn::{Architecture, DeviceChoice, Embedder, Rgb, Whitener, save_whole};
use serde_json::{Value, json};
use stage::{Ledger, Progress};
use std::path::PathBuf;

/// Pictures that are embedded between two signs of progress.
const PICTURES_A_STEP: usize = 32;
/// Stitched pictures that are made once, for all heads to draw from.
const N_STITCHES: usize = 256;

/// What to learn from, and how
#[derive(ClapArgs, Debug)]
pub struct TrainArgs {
    /// Tiles with pixels, from granule-split-mpi or stage1-cluster import; repeat for more
    #[arg(long, required = true, value_name = "FILE")]
    tiles: Vec<PathBuf>,
    /// The clusters of the tiles, from stage1-cluster
    #[arg(long, value_name = "FILE")]
    clusters: PathBuf,
    /// The order of the clusters, from pog-aggregate
    #[arg(long, value_name = "FILE")]
    pog: PathBuf,
    /// The backbone: efficientnet-lite0 or resnet18
    #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
    backbone: Architecture,
    /// The backbone's weights: .safetensors, .pth or .pt
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Side of the backbone's input in pixels, a multiple of 32
    #[arg(long, default_value_t = 224, value_name = "PX")]
    input_px: usize,
    /// What to train: heads on the frozen backbone, or the whole network
    #[arg(long, value_enum, default_value = "head")]
    train: Part,
    /// Members of the ensemble
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    members: u16,
    /// Steps a member
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    steps: u32,
    /// Principal components of the features that a head sees, at most
    #[arg(long, default_value_t = 64, value_name = "N")]
    components: usize,
    /// Hidden units of a head; 0 is a linear head
    #[arg(long, default_value_t = 0, value_name = "N")]
    hidden: usize,
    /// Step length of the optimiser
    #[arg(long, default_value_t = 0.003, value_name = "X", value_parser = stage::positive)]
    learning_rate: f64,
    /// Pull of a head's weights towards zero
    #[arg(long, default_value_t = 0.1, value_name = "X", value_parser = stage::positive)]
    weight_decay: f64,
    /// Weight of the linear stitch loss
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    stitch_weight: f64,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Folder for checkpoints, from which a killed run goes on
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
    /// Figures on held-out blocks, a metrics table
    #[arg(long, value_name = "FILE")]
    metrics_out: Option<PathBuf>,
    /// The model; its card is written beside it as .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &TrainArgs) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::of("tiles", 0);
    let samples = read(&args.tiles, &args.clusters, &args.pog, args.seed, &mut ledger)?;
    let made = made(args)?;
    let found = match args.train {
        Part::Head => heads(args, &samples, &made)?,
        Part::Whole => networks(args, &samples, &made)?,
    };
    if found.is_none() {
        tracing::warn!("no figures: the held-out or the kept blocks lack a level, the tiles are too few");
    }
    card(args, found, &made)?.write_beside(&args.out)?;
    if let Some(path) = &args.metrics_out {
        contract::write(path, &metrics(found), &made)?;
    }
    Ok(ledger)
}

/// Trains the ensemble on all samples, and a second one on the kept blocks alone for the figures.
fn heads(args: &TrainArgs, samples: &Samples, made: &Made) -> anyhow::Result<Option<Agreement>> {
    let embedder = Embedder::load(args.backbone, &args.weights, args.input_px, args.device)?;
    let pictures: Vec<Rgb> = samples.all.iter().map(|s| s.picture.clone()).collect();
    let features = embed(&embedder, &pictures)?;
    let whitener = Whitener::fit(&features, args.components)?;
    let white: Vec<Vec<f32>> = features.iter().map(|f| whitener.apply(f)).collect();
    let (all, kept) = (pool(samples, |_| true), pool(samples, |held| !held));
    let n_runs = 1 + usize::from(kept.is_some());
    let mut progress = Progress::over("steps", n_runs * usize::from(args.members) * args.steps as usize);
    let device = args.device.device();
    let mut found = None;
    for (name, pool) in [("kept", kept), ("all", all)] {
        let Some(pool) = pool else { continue };
        let stitches = stitches(args, samples, &pool, &embedder, &whitener)?;
        let mut members = Vec::new();
        for member in 0..u64::from(args.members) {
            let mut rng = generator(args.seed, member, head::BEFORE_ANY_STEP - 1);
            let lesson = Lesson { features: &white, stitches: &stitches, pool: pool.bootstrap(&mut rng) };
            members.push(head::train(&lesson, &plan(args, made, name, member), &mut |n| progress.add(n))?);
        }
        if name == "kept" {
            let ensemble = Ensemble { members };
            found = held_out(samples, |i| Ok(mean(&ensemble.scores(&white[i], &device))))?;
        } else {
            let members = members.into_iter().map(|m| m.unwhitened(&whitener, &device)).collect();
            save_whole(&Ensemble { members }, &args.out)?;
        }
    }
    Ok(found)
}

/// Trains the whole network on the kept blocks alone, so that the figures and the model are of one training.
fn networks(args: &TrainArgs, samples: &Samples, made: &Made) -> anyhow::Result<Option<Agreement>> {
    ensure!(args.members == 1, "--train whole trains one network; give --members 1, got {}", args.members);
    let pool =
        pool(samples, |held| !held).or_else(|| pool(samples, |_| true)).context("no level has samples")?;
    let mut progress = Progress::over("steps", args.steps as usize);
    let what = (args.backbone, args.weights.as_path(), args.input_px);
    let net =
        whole::train(&samples.all, &pool, what, &plan(args, made, "whole", 0), &mut |n| progress.add(n))?;
    save_whole(&net, &args.out)?;
    let device = args.device.device();
    held_out(samples, |i| net.score(&samples.all[i].picture, args.input_px, &device))
}

fn pool(samples: &Samples, takes: impl Fn(bool) -> bool) -> Option<Pool> {
    let chosen = samples.all.iter().enumerate().filter(|(_, s)| takes(s.held));
    Pool::of(chosen.map(|(i, s)| (i, s.level, s.cluster)), samples.n_levels)
}

fn plan(args: &TrainArgs, made: &Made, name: &str, member: u64) -> Plan {
    let checkpoint = args.checkpoints.as_ref().map(|folder| {
        let run = format!("{name} {:?}", made.pairs("checkpoint"));
        (folder.join(format!("{name}-{member}.ckpt")), run)
    });
    Plan {
        hidden: args.hidden,
        steps: u64::from(args.steps),
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay as f32,
        stitch_weight: args.stitch_weight,
        seed: args.seed,
        member,
        checkpoint,
    }
}

fn embed(embedder: &Embedder, pictures: &[Rgb]) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut progress = Progress::over("pictures", pictures.len());
    let mut features = Vec::with_capacity(pictures.len());
    for part in pictures.chunks(PICTURES_A_STEP) {
        features.extend(embedder.embed(part)?);
        progress.add(part.len());
    }
    Ok(features)
}

fn stitches(
    args: &TrainArgs,
    samples: &Samples,
    pool: &Pool,
    embedder: &Embedder,
    whitener: &Whitener,
) -> anyhow::Result<Vec<Stitch>> {
    if args.stitch_weight == 0.0 {
        return Ok(Vec::new());
    }
    let mut rng = generator(args.seed, 0, head::BEFORE_ANY_STEP - 2);
    let same_size =
        |&(a, b, _): &(usize, usize, f64)| samples.all[a].picture.dims() == samples.all[b].picture.dims();
    let pairs: Vec<_> = (0..N_STITCHES).map(|_| pool.pair(&mut rng)).filter(same_size).collect();
    let stitch = |&(a, b, share): &(usize, usize, f64)| {
        samples.all[a].picture.stitched(&samples.all[b].picture, share)
    };
    let features = embed(embedder, &pairs.iter().map(stitch).collect::<Vec<_>>())?;
    let of = |(&(upper, lower, share), raw): (&(usize, usize, f64), &Vec<f32>)| Stitch {
        features: whitener.apply(raw),
        upper,
        lower,
        share,
    };
    Ok(pairs.iter().zip(&features).map(of).collect())
}

fn held_out(
    samples: &Samples,
    score: impl Fn(usize) -> anyhow::Result<f64>,
) -> anyhow::Result<Option<Agreement>> {
    let held: Vec<usize> = (0..samples.all.len()).filter(|&i| samples.all[i].held).collect();
    let scores = held.iter().map(|&i| score(i)).collect::<anyhow::Result<Vec<_>>>()?;
    let levels: Vec<usize> = held.iter().map(|&i| samples.all[i].level).collect();
    Ok(agreement(&scores, &levels))
}

fn mean(scores: &[f64]) -> f64 {
    scores.iter().sum::<f64>() / scores.len() as f64
}

fn made(args: &TrainArgs) -> anyhow::Result<Made> {
    let mut made = Made::by("stage3-train").seed(args.seed);
    if let Value::Object(settings) = settings(args) {
        made = settings.into_iter().fold(made, |made, (name, value)| made.flag(&name, value));
    }
    for path in args.tiles.iter().chain([&args.clusters, &args.pog, &args.weights]) {
        made = made.input(path)?;
    }
    Ok(made)
}

fn settings(args: &TrainArgs) -> Value {
    json!({
        "train": args.train,
        "backbone": args.backbone.to_string(),
        "input-px": args.input_px,
        "members": args.members,
        "steps": args.steps,
        "components": args.components,
        "hidden": args.hidden,
        "learning-rate": args.learning_rate,
        "weight-decay": args.weight_decay,
        "stitch-weight": args.stitch_weight,
        "device": args.device.to_string(),
    })
}

fn card(args: &TrainArgs, found: Option<Agreement>, made: &Made) -> anyhow::Result<Card> {
    let inputs = made.pairs("card").into_iter().find(|(key, _)| key == "inputs").map(|(_, text)| text);
    let figures = found
        .map(|a| json!({"kendall": a.kendall, "spearman": a.spearman, "pairwise": a.pairwise, "n": a.n}));
    Ok(Card {
        about: "Development score of a tile from 0 to 1: its place in the order of the clusters it was trained on. \
                A rank, not money; it says nothing of people or of a place in another order."
            .into(),
        train: args.train,
        backbone: args.backbone.to_string(),
        backbone_sha256: contract::sha256_of(&args.weights)?,
        input_px: args.input_px,
        hidden: args.hidden,
        n_members: usize::from(args.members),
        settings: settings(args),
        figures: json!({"held_out_blocks": figures}),
        inputs: serde_json::from_str(&inputs.unwrap_or_default())?,
    })
}

fn metrics(found: Option<Agreement>) -> Vec<Metric> {
    let row = |name: &str, value: Option<f64>, meaning: &str| Metric {
        name: name.into(),
        of: "held-out blocks".into(),
        value,
        low: None,
        high: None,
        unit: "1".into(),
        n: found.map_or(0, |a| a.n as u64),
        note: Some(match value {
            Some(_) => meaning.to_owned(),
            None => "too few tiles to hold a block of every level out".to_owned(),
        }),
    };
    vec![
        row("kendall", found.map(|a| a.kendall), "tau-b of score and level"),
        row("spearman", found.map(|a| a.spearman), "of score and level"),
        row("pairwise", found.map(|a| a.pairwise), "share of pairs of levels in the right order"),
    ]
}

/// The mean and the standard deviation of an ensemble's scores; no deviation below two members.
pub fn mean_and_sd(scores: &[f64]) -> (f64, Option<f64>) {
    let mean = mean(scores);
    let squares = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>();
    (mean, (scores.len() > 1).then(|| (squares / (scores.len() - 1) as f64).sqrt()))
}
