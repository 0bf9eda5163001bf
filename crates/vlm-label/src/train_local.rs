//! `vlm-label train-local`: heads for the local judge from labelled pictures, with cross-validated figures.

use crate::local::{Card, Heads, save};
use crate::softmax::{Fit, argmax, fit};
use anyhow::ensure;
use nn::{Architecture, DeviceChoice, Embedder, LabelledPictures, Rgb};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use stage::{Ledger, Progress};
use std::path::PathBuf;

const N_FOLDS: usize = 5;
/// From this share on the raters of a picture agree enough for it to count as of one class.
const AGREED_SHARE: f32 = 0.75;
const N_BINS: usize = 10;
/// Six numbers need less restraint than a thousand features.
const COLOUR_WEIGHT_DECAY: f64 = 1e-3;

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
    /// Heads, each on another bootstrap sample of the pictures
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    heads: u16,
    /// Pull of the weights towards zero
    #[arg(long, default_value_t = 0.1, value_name = "X", value_parser = stage::positive)]
    weight_decay: f64,
    /// Where the data comes from and under which licence, for the card
    #[arg(long, default_value = "", value_name = "TEXT")]
    source: String,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
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
    let targets: Vec<Vec<f32>> = table.rows.iter().map(|row| row.shares.clone()).collect();
    let (features, colours) = embed(args, &table)?;
    let settings = Fit { weight_decay: args.weight_decay, ..Fit::default() };
    let judged = cross_validate(&features, &targets, &settings, args.seed);
    let gentle = Fit { weight_decay: COLOUR_WEIGHT_DECAY, ..settings };
    let coloured = cross_validate(&colours, &targets, &gentle, args.seed);
    let figures = figures(&table, &judged, &coloured);
    tracing::info!("5-fold cross-validation by picture: {figures}");
    let heads = bootstrap_heads(args, &features, &targets, &settings);
    let card = Card {
        about: "Soft-max heads on a frozen ImageNet backbone: which share of a satellite picture is of each class. \
                Trained on pictures of about 2 km on a side; elsewhere in the world it is a first guess, not a survey."
            .into(),
        classes: table.classes.clone(),
        n_heads: usize::from(args.heads),
        backbone: args.backbone.to_string(),
        backbone_sha256: contract::sha256_of(&args.weights)?,
        input_px: args.input_px,
        training: json!({
            "source": args.source,
            "n_pictures": table.rows.len(),
            "labels_sha256": contract::sha256_of(&args.labels)?,
            "seed": args.seed,
            "weight_decay": args.weight_decay,
            "steps": settings.steps,
            "figures": figures,
        }),
    };
    save(&heads, &card, &args.out)?;
    let mut ledger = Ledger::of("pictures", table.rows.len());
    ledger.ok(table.rows.len());
    Ok(ledger)
}

type Rows = Vec<Vec<f32>>;

/// Backbone features, and the colour statistics that a judge must beat: mean and spread of red, green and blue.
fn embed(args: &TrainLocalArgs, table: &LabelledPictures) -> anyhow::Result<(Rows, Rows)> {
    let embedder = Embedder::load(args.backbone, &args.weights, args.input_px, DeviceChoice::Cpu)?;
    let mut progress = Progress::over("pictures", table.rows.len());
    let (mut features, mut colours) = (Vec::new(), Vec::new());
    for part in table.rows.chunks(32) {
        let pictures = part.iter().map(|row| Rgb::open(&row.path)).collect::<Result<Vec<_>, _>>()?;
        colours.extend(pictures.iter().map(colour_statistics));
        features.extend(embedder.embed(&pictures)?);
        progress.add(part.len());
    }
    Ok((features, colours))
}

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

/// The probabilities of every picture from a head that did not see it.
fn cross_validate(features: &Rows, targets: &Rows, settings: &Fit, seed: u64) -> Rows {
    let mut order: Vec<usize> = (0..features.len()).collect();
    order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    let mut judged = vec![Vec::new(); features.len()];
    for fold in 0..N_FOLDS {
        let (held, kept): (Vec<usize>, Vec<usize>) =
            (0..order.len()).partition(|place| place % N_FOLDS == fold);
        let kept: Vec<usize> = kept.into_iter().map(|place| order[place]).collect();
        let head = fit(features, targets, &kept, settings);
        for place in held {
            judged[order[place]] = head.probabilities(&features[order[place]]);
        }
    }
    judged
}

fn bootstrap_heads(args: &TrainLocalArgs, features: &Rows, targets: &Rows, settings: &Fit) -> Heads {
    let n_classes = targets[0].len();
    let (mut columns, mut bias) = (Vec::new(), Vec::new());
    for head in 0..u64::from(args.heads) {
        let mut rng = ChaCha8Rng::seed_from_u64(args.seed);
        rng.set_stream(head + 1);
        let sample: Vec<usize> = (0..features.len()).map(|_| rng.random_range(0..features.len())).collect();
        let fitted = fit(features, targets, &sample, settings);
        columns.extend(fitted.weight);
        bias.extend(fitted.bias);
    }
    let n_features = features[0].len();
    let weight = (0..n_features)
        .flat_map(|feature| columns.iter().map(move |column: &Vec<f32>| column[feature]))
        .collect();
    debug_assert_eq!(columns.len(), usize::from(args.heads) * n_classes);
    Heads::of(weight, bias, &DeviceChoice::Cpu.device())
}

fn figures(table: &LabelledPictures, judged: &Rows, coloured: &Rows) -> Value {
    let agreed: Vec<usize> =
        (0..judged.len()).filter(|&i| table.rows[i].shares.iter().any(|&s| s >= AGREED_SHARE)).collect();
    let truth: Vec<usize> = agreed.iter().map(|&i| argmax(&table.rows[i].shares)).collect();
    let said = |rows: &Rows| agreed.iter().map(|&i| argmax(&rows[i])).collect::<Vec<_>>();
    let n_classes = table.classes.len();
    let commonest = (0..n_classes).max_by_key(|&c| truth.iter().filter(|&&t| t == c).count()).unwrap_or(0);
    let f1 = f1_a_class(&truth, &said(judged), n_classes);
    let rounded = |x: f64| (x * 1000.0).round() / 1000.0;
    let mean = |f: &[f64]| rounded(f.iter().sum::<f64>() / f.len() as f64);
    json!({
        "n_agreed": agreed.len(),
        "macro_f1": mean(&f1),
        "f1": table.classes.iter().zip(&f1).map(|(c, f)| (c.clone(), json!(rounded(*f)))).collect::<serde_json::Map<_, _>>(),
        "macro_f1_of_colour_statistics": mean(&f1_a_class(&truth, &said(coloured), n_classes)),
        "macro_f1_of_majority": mean(&f1_a_class(&truth, &vec![commonest; truth.len()], n_classes)),
        "calibration_error": rounded(calibration_error(&agreed, &truth, judged)),
    })
}

fn f1_a_class(truth: &[usize], said: &[usize], n_classes: usize) -> Vec<f64> {
    let count = |test: &dyn Fn(usize, usize) -> bool| {
        truth.iter().zip(said).filter(|&(&t, &s)| test(t, s)).count() as f64
    };
    let f1 = |class: usize| {
        let hits = count(&|t, s| t == class && s == class);
        let either = count(&|t, _| t == class) + count(&|_, s| s == class);
        if either > 0.0 { 2.0 * hits / either } else { 0.0 }
    };
    (0..n_classes).map(f1).collect()
}

/// Expected calibration error (Guo et al. 2017): |accuracy - confidence| over ten bins of confidence, weighted by size.
fn calibration_error(agreed: &[usize], truth: &[usize], judged: &Rows) -> f64 {
    let mut bins = [(0.0, 0.0, 0.0); N_BINS];
    for (&i, &class) in agreed.iter().zip(truth) {
        let best = argmax(&judged[i]);
        let confidence = f64::from(judged[i][best]);
        let bin = &mut bins[((confidence * N_BINS as f64) as usize).min(N_BINS - 1)];
        *bin = (bin.0 + 1.0, bin.1 + confidence, bin.2 + f64::from(u8::from(best == class)));
    }
    bins.iter().map(|(_, confidence, hits)| (confidence - hits).abs()).sum::<f64>() / agreed.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f1_is_one_for_the_truth_and_follows_its_formula() {
        assert_eq!(f1_a_class(&[0, 1, 1], &[0, 1, 1], 2), [1.0, 1.0]);
        // Class 1: one hit, two true, one said: 2·1/3.
        assert_eq!(f1_a_class(&[0, 1, 1], &[0, 1, 0], 2), [2.0 / 3.0, 2.0 / 3.0]);
    }

    #[test]
    fn a_judge_that_is_as_sure_as_it_is_right_is_calibrated() {
        let judged = vec![vec![0.75, 0.25]; 4];
        let error = |truth: [usize; 4]| calibration_error(&[0, 1, 2, 3], &truth, &judged);
        assert!(error([0, 0, 0, 1]) < 1e-6);
        assert!((error([1, 1, 1, 1]) - 0.75).abs() < 1e-6);
    }
}
