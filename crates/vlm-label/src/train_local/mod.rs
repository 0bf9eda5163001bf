//! `vlm-label train-local`: heads for the local judge from labelled pictures, with cross-validated figures.
//!
//! The backbone stays as it is. Of every picture it gives the mean activations of its stages; on them each head learns,
//! from a bootstrap sample of its own ([`ensemble`]). The figures beside the
//! heads are those of the whole procedure on pictures that took no part in it ([`folds`], [`measure`]), against a judge
//! that always says the commonest class and one that sees six colour statistics, in the same folds. One altered view
//! of each picture ([`views`]) shows how much an answer depends on light, haze, blur and direction.
//!
//! By default the backbone sees every picture in one light ([`Normalise::Tile`]): without it, what is dark, smooth and
//! blue lies far from all training pictures, and heads take the open sea for villages. Heads may learn from altered
//! views too (`--altered-views`).
//!
//! Settings are fixed beforehand and not searched for here. Same inputs, flags and seed: same bytes, for any number of
//! threads. Left out: training of the backbone, and labels that are no shares.

mod ensemble;
mod folds;
mod measure;
mod report;
mod views;

use crate::ground::Ground;
use crate::local::{Card, Features, Heads, save};
use crate::softmax::{Fit, Head};
use anyhow::{Context, ensure};
use contract::file;
use ensemble::{Ensemble, Lesson, Recipe};
use folds::N_FOLDS;
use nn::{Architecture, DeviceChoice, Embedder, LabelledPictures, Normalise, Rgb};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use report::Report;
use serde_json::json;
use sha2::{Digest, Sha256};
use stage::{Ledger, Progress};
use std::path::PathBuf;

/// Steps of a fit at most; it ends before, at the bottom.
const STEPS: usize = 200;
/// Six numbers need less restraint than hundreds of features.
const COLOUR_WEIGHT_DECAY: f64 = 1e-3;
const PICTURES_A_STEP: usize = 32;

/// Train the local judge's heads on labelled pictures
#[derive(clap::Args, Debug)]
pub struct TrainLocalArgs {
    /// Soft labels: CSV with image_id and one share a class
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Folder of the pictures, named <image_id>.jpg or .png
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    /// The backbone: efficientnet-lite0 or resnet18
    #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
    backbone: Architecture,
    /// The backbone's weights: .safetensors, .pth or .pt
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Side of the backbone's input in pixels, a multiple of 32
    #[arg(long, default_value_t = 224, value_name = "PX")]
    input_px: usize,
    /// What is done to a picture's light before the backbone sees it: none, tile
    #[arg(long, default_value = "tile", value_name = "HOW")]
    normalise: Normalise,
    /// Heads, each on another bootstrap sample of the pictures
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    heads: u16,
    /// Altered views to learn from beside each picture: turned, mirrored, in other light, haze and blur
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=20))]
    altered_views: u8,
    /// Pull of the weights towards zero
    #[arg(long, default_value_t = 0.05, value_name = "X", value_parser = stage::positive)]
    weight_decay: f64,
    /// Times that folds are drawn for the figures
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=50))]
    repeats: u8,
    /// Where the data comes from and under which licence, for the card
    #[arg(long, default_value = "", value_name = "TEXT")]
    source: String,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Draw the calibration curves here (PNG)
    #[arg(long, value_name = "FILE")]
    figure_out: Option<PathBuf>,
    /// The heads; the card is written beside them as .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &TrainLocalArgs) -> anyhow::Result<Ledger> {
    let table = LabelledPictures::read(&args.labels, &args.images)?;
    ensure!(
        table.rows.len() >= 10 * N_FOLDS,
        "{}: want at least {} pictures, got {}",
        args.labels.display(),
        10 * N_FOLDS,
        table.rows.len()
    );
    let (lessons, colours) = look(args, &table)?;
    let fit = Fit { weight_decay: args.weight_decay, steps: STEPS };
    let n_views = 1 + usize::from(args.altered_views);
    let recipe = Recipe { n_heads: args.heads, n_views, fit, seed: args.seed };
    let gentle = Recipe { fit: Fit { weight_decay: COLOUR_WEIGHT_DECAY, ..fit }, ..recipe };
    let report = Report::of(&table.classes, (&lessons, &recipe), (&colours, &gentle), args.repeats);
    let everything: Vec<usize> = (0..lessons.len()).collect();
    let ensemble = Ensemble::learn(&lessons, &everything, &recipe);
    let card = card(args, &table, &lessons, &ensemble, &report)?;
    let picture = args.figure_out.as_ref().map(|path| anyhow::Ok((path, report.picture()?))).transpose()?;
    save(&side_by_side(&ensemble.heads), &card, &args.out)?;
    if let Some((path, picture)) = picture {
        file::write(path, &picture).context("writing the calibration curves")?;
    }
    tracing::info!("{}", report.line());
    let mut ledger = Ledger::of("pictures", table.rows.len());
    ledger.ok(table.rows.len());
    Ok(ledger)
}

/// What the backbone sees of every picture and its altered views, and the colour statistics that a judge must beat.
fn look(args: &TrainLocalArgs, table: &LabelledPictures) -> anyhow::Result<(Vec<Lesson>, Vec<Lesson>)> {
    let embedder = Embedder::load(args.backbone, &args.weights, args.input_px, DeviceChoice::Cpu)?
        .normalising(args.normalise);
    let mut progress = Progress::over("pictures", table.rows.len());
    let (mut lessons, mut colours) = (Vec::new(), Vec::new());
    let numbered: Vec<_> = table.rows.iter().enumerate().collect();
    for part in numbered.chunks(PICTURES_A_STEP) {
        let open = |(number, row): &(usize, &nn::Labelled)| {
            let picture = Rgb::open(&row.path)?;
            // A stream of its own for each picture; those from 1 on are the heads'.
            let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
            rng.set_stream(u64::MAX - *number as u64);
            // One at least, to measure on.
            let n_altered = args.altered_views.max(1);
            let altered = (0..n_altered).map(|_| views::altered(&picture, args.input_px, &mut rng));
            let altered = altered.collect::<nn::Result<Vec<_>>>()?;
            nn::Result::Ok(std::iter::once(picture).chain(altered).collect::<Vec<Rgb>>())
        };
        let opened = part.par_iter().map(open).collect::<nn::Result<Vec<_>>>()?;
        let mut seen = embedder.stage_means(&opened.concat())?.into_iter();
        for ((_, row), pictures) in part.iter().zip(&opened) {
            let views = seen.by_ref().take(pictures.len()).collect();
            lessons.push(Lesson { views, shares: row.shares.clone() });
            colours.push(Lesson { views: vec![colour_statistics(&pictures[0])], shares: row.shares.clone() });
        }
        progress.add(part.len());
    }
    Ok((lessons, colours))
}

/// Mean and spread of red, green and blue.
fn colour_statistics(picture: &Rgb) -> Vec<f32> {
    let bands = picture.bands();
    let plane = bands.len() / 3;
    let of_band = |band: &[u8]| {
        let mean = band.iter().map(|&v| f64::from(v)).sum::<f64>() / plane as f64;
        let variance = band.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / plane as f64;
        [mean as f32 / 255.0, variance.sqrt() as f32 / 255.0]
    };
    bands.chunks(plane).flat_map(of_band).collect()
}

/// The heads as one module. `[feature][head, class]`
fn side_by_side(heads: &[Head]) -> Heads {
    let columns: Vec<&Vec<f32>> = heads.iter().flat_map(|head| &head.weight).collect();
    let weight = (0..columns[0].len()).flat_map(|feature| columns.iter().map(move |column| column[feature]));
    let bias = heads.iter().flat_map(|head| head.bias.iter().copied()).collect();
    Heads::of(weight.collect(), bias, &DeviceChoice::Cpu.device())
}

fn card(
    args: &TrainLocalArgs,
    table: &LabelledPictures,
    lessons: &[Lesson],
    ensemble: &Ensemble,
    report: &Report,
) -> anyhow::Result<Card> {
    let mut pictures = Sha256::new();
    for row in &table.rows {
        pictures.update(contract::sha256_of(&row.path)?);
    }
    let pictures: String = pictures.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Card {
        about: "Soft-max heads on a frozen ImageNet backbone: which share of annotators would call a satellite picture \
                of each class. Trained on pictures of about 2 km on a side; elsewhere in the world it is a first \
                guess, not a survey."
            .into(),
        classes: table.classes.clone(),
        n_heads: usize::from(args.heads),
        backbone: args.backbone.to_string(),
        backbone_sha256: contract::sha256_of(&args.weights)?,
        features: Features::StageMeans,
        normalise: args.normalise,
        input_px: args.input_px,
        training: json!({
            "source": args.source,
            "n_pictures": table.rows.len(),
            "labels_sha256": contract::sha256_of(&args.labels)?,
            "pictures_sha256": pictures,
            "seed": args.seed,
            "altered_views": args.altered_views,
            "weight_decay": args.weight_decay,
            "steps": STEPS,
            "temperature": report::rounded(ensemble.temperature),
            "figures": report.figures(),
        }),
        ground: Some(Ground::of(&lessons.iter().map(|lesson| lesson.views[0].as_slice()).collect::<Vec<_>>())),
    })
}
