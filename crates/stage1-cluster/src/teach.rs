//! `stage1-cluster train-classifier`: a judge's or people's labels of some tiles, to a classifier of all tiles.

use crate::classifier::{FOLDS, Lesson, Trained, calibration_error, told, train};
use crate::look::{Classes, each_row, open_all};
use crate::model::{Model, save};
use crate::network::{generator, largest};
use crate::radiometry::Normalise;
use anyhow::ensure;
use clap::Args as ClapArgs;
use contract::{GranuleId, Label, Made, Metric, TileId};
use nn::{Architecture, DeviceChoice, Embedder, LabelledPictures, Rgb};
use rand::seq::SliceRandom;
use stage::Ledger;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Side of a block of tiles that stays together, and pictures of a table that do: neighbours look alike.
const BLOCK_TILES: usize = 4;
const PICTURES_A_GROUP: usize = 25;
/// A label counts in the figures of classes from this share on: below, people do not agree what the tile is.
const CLEAR_SHARE: f32 = 0.75;

/// Labels and what they are of
#[derive(ClapArgs, Debug)]
pub struct TeachArgs {
    /// Tiles of a granule, from granule-split-mpi; repeat for more granules
    #[arg(long, value_name = "FILE", requires = "labels", required_unless_present = "labelled")]
    tiles: Vec<PathBuf>,
    /// Labels of a granule, from vlm-label; tiles without one are left out; repeat for more granules
    #[arg(long, value_name = "FILE")]
    labels: Vec<PathBuf>,
    /// Labelled pictures instead: CSV with `image_id` and one share a class
    #[arg(long, value_name = "FILE", requires = "labelled_images", conflicts_with = "tiles")]
    labelled: Option<PathBuf>,
    /// Folder of the labelled pictures, named `<image_id>.jpg` or `.png`
    #[arg(long, value_name = "FOLDER")]
    labelled_images: Option<PathBuf>,
    /// The backbone: efficientnet-lite0 or resnet18
    #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
    backbone: Architecture,
    /// The backbone's weights: .safetensors, .pth or .pt
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Side of the backbone's input in pixels, a multiple of 32
    #[arg(long, default_value_t = 224, value_name = "PX")]
    input_px: usize,
    /// Whether each tile is brought to one level of brightness, contrast and colour first: none or tile
    #[arg(long, default_value = "none")]
    normalise: nn::Normalise,
    /// Principal components that the classifier sees, at most
    #[arg(long, default_value_t = 64, value_name = "N")]
    components: usize,
    /// Seed of the deal of groups to folds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Figures on held-out groups, a metrics table
    #[arg(long, value_name = "FILE")]
    metrics_out: Option<PathBuf>,
    /// The classifier; its card is written beside it as .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What there is to learn from.
struct Samples {
    classes: Vec<String>,
    features: Vec<Vec<f32>>,
    shares: Vec<Vec<f32>>,
    groups: Vec<[usize; 3]>,
}

pub fn run(args: &TeachArgs) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::of("tiles", 0);
    let embedder =
        Embedder::load(args.backbone, &args.weights, args.input_px, args.device)?.normalising(args.normalise);
    let samples = match &args.labelled {
        Some(csv) => of_pictures(csv, args, &embedder, &mut ledger)?,
        None => of_tiles(args, &embedder, &mut ledger)?,
    };
    let fold = folds(&samples.groups, args.seed)?;
    let lesson = Lesson { features: samples.features, shares: samples.shares, fold };
    let trained = train(&lesson, args.components)?;
    let figures = figures(&samples.classes, &lesson, &trained);
    for row in figures.iter().filter(|m| m.name != "confusion") {
        tracing::info!("{} of {}: {:.3}", row.name, row.of, row.value.unwrap_or(f64::NAN));
    }
    let made = made(args)?;
    let model = Model {
        classes: samples.classes,
        backbone: args.backbone,
        backbone_sha256: contract::sha256_of(&args.weights)?,
        input_px: args.input_px,
        normalise: args.normalise,
        layer: trained.layer,
    };
    save(&model, trained.temperature, trained.steps, &figures, &args.out)?;
    if let Some(path) = &args.metrics_out {
        contract::write(path, &figures, &made)?;
    }
    Ok(ledger)
}

fn of_pictures(
    csv: &std::path::Path,
    args: &TeachArgs,
    embedder: &Embedder,
    ledger: &mut Ledger,
) -> anyhow::Result<Samples> {
    let folder = args.labelled_images.as_ref().expect("clap requires the folder with the table");
    let table = LabelledPictures::read(csv, folder)?;
    let mut features = Vec::new();
    for part in table.rows.chunks(PICTURES_A_GROUP) {
        let pictures = part.iter().map(|row| Rgb::open(&row.path)).collect::<nn::Result<Vec<_>>>()?;
        features.extend(embedder.embed(&pictures)?);
    }
    ledger.n_in += table.rows.len() as u64;
    ledger.ok(table.rows.len());
    let groups = (0..table.rows.len()).map(|i| [i / PICTURES_A_GROUP, 0, 0]).collect();
    Ok(Samples {
        classes: table.classes,
        features,
        shares: table.rows.into_iter().map(|r| r.shares).collect(),
        groups,
    })
}

fn of_tiles(args: &TeachArgs, embedder: &Embedder, ledger: &mut Ledger) -> anyhow::Result<Samples> {
    let readers = open_all(&args.tiles)?;
    let (classes, of) = soft_labels(&args.labels)?;
    let (mut features, mut shares, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    each_row(&readers, &Classes::read(&args.labels)?, Normalise::None, ledger, |seen, pictures| {
        features.extend(embedder.embed(&pictures)?);
        for tile in seen {
            let [row, col] = tile.facts.block;
            groups.push([tile.facts.granule, row / BLOCK_TILES, col / BLOCK_TILES]);
            shares.push(of[&(tile.granule, tile.tile)].clone());
        }
        Ok(())
    })?;
    Ok(Samples { classes, features, shares, groups })
}

type Shares = BTreeMap<(GranuleId, TileId), Vec<f32>>;

/// The classes, and the share of each class of every labelled tile; judges count alike.
fn soft_labels(paths: &[PathBuf]) -> anyhow::Result<(Vec<String>, Shares)> {
    let mut labels = Vec::new();
    for path in paths {
        labels.extend(contract::read::<Label>(path)?);
    }
    let mut classes: Vec<String> = Vec::new();
    for label in &labels {
        if !classes.contains(&label.class) {
            classes.push(label.class.clone());
        }
    }
    let mut shares = Shares::new();
    for label in &labels {
        let Some(probability) = label.probability else { continue };
        let of =
            shares.entry((label.granule.clone(), label.tile)).or_insert_with(|| vec![0.0; classes.len()]);
        let class = classes.iter().position(|c| *c == label.class).expect("the list holds every class");
        of[class] += probability as f32;
    }
    for of in shares.values_mut() {
        let sum: f32 = of.iter().sum();
        of.iter_mut().for_each(|share| *share /= sum.max(f32::MIN_POSITIVE));
    }
    Ok((classes, shares))
}

/// A fold for each row; rows of one group stay together.
fn folds(groups: &[[usize; 3]], seed: u64) -> anyhow::Result<Vec<usize>> {
    let mut names = groups.to_vec();
    names.sort_unstable();
    names.dedup();
    let n = names.len();
    ensure!(
        n >= FOLDS,
        "want labelled tiles in {FOLDS} blocks at least, to hold some out, got {n}; label more tiles"
    );
    names.shuffle(&mut generator(seed, 0, 0));
    let fold: BTreeMap<[usize; 3], usize> =
        names.into_iter().enumerate().map(|(i, name)| (name, i % FOLDS)).collect();
    Ok(groups.iter().map(|group| fold[group]).collect())
}

/// Recall and confusion of clearly labelled rows, and calibration, all on held-out groups.
fn figures(classes: &[String], lesson: &Lesson, trained: &Trained) -> Vec<Metric> {
    let clear: Vec<usize> =
        (0..lesson.shares.len()).filter(|&i| lesson.shares[i].iter().any(|&s| s >= CLEAR_SHARE)).collect();
    let truth: Vec<usize> = clear.iter().map(|&i| largest(&lesson.shares[i])).collect();
    let guess: Vec<usize> = clear.iter().map(|&i| largest(&trained.held_out[i])).collect();
    let count =
        |a: usize, b: usize| truth.iter().zip(&guess).filter(|&(&t, &g)| t == a && g == b).count() as f64;
    let of_class = |c: usize| truth.iter().filter(|&&t| t == c).count() as f64;
    let told_class = |c: usize| guess.iter().filter(|&&g| g == c).count() as f64;
    let n = clear.len().max(1) as f64;
    let mut rows = Vec::new();
    let mut add = |name: &str, of: &str, value: f64, unit: &str| {
        let (name, of, unit) = (name.to_owned(), of.to_owned(), unit.to_owned());
        let note = Some("held-out groups, labels of a share of .75 and more".to_owned());
        rows.push(Metric {
            name,
            of,
            value: Some(value),
            low: None,
            high: None,
            unit,
            n: clear.len() as u64,
            note,
        });
    };
    let present: Vec<usize> = (0..classes.len()).filter(|&c| of_class(c) > 0.0).collect();
    let f1 = |c: usize| 2.0 * count(c, c) / (of_class(c) + told_class(c)).max(1.0);
    for &c in &present {
        add("recall", &classes[c], count(c, c) / of_class(c), "share");
        for &other in &present {
            add("confusion", &format!("{} told as {}", classes[c], classes[other]), count(c, other), "tiles");
        }
    }
    add("accuracy", "all classes", present.iter().map(|&c| count(c, c)).sum::<f64>() / n, "share");
    add(
        "largest_class",
        "all classes",
        present.iter().map(|&c| of_class(c)).fold(0.0, f64::max) / n,
        "share",
    );
    add(
        "macro_f1",
        "all classes",
        present.iter().map(|&c| f1(c)).sum::<f64>() / present.len().max(1) as f64,
        "share",
    );
    for (of, temperature) in [("before the temperature", 1.0), ("after the temperature", trained.temperature)]
    {
        let told: Vec<Vec<f64>> = clear.iter().map(|&i| told(&trained.held_out[i], temperature)).collect();
        add("calibration_error", of, calibration_error(&told, &truth), "share");
    }
    add("temperature", "all classes", trained.temperature, "1");
    rows
}

fn made(args: &TeachArgs) -> anyhow::Result<Made> {
    let mut made = Made::by("stage1-cluster")
        .flag("backbone", args.backbone.to_string())
        .flag("input-px", args.input_px)
        .flag("normalise", args.normalise.to_string())
        .flag("components", args.components)
        .seed(args.seed);
    for path in args.tiles.iter().chain(&args.labels).chain(&args.labelled).chain([&args.weights]) {
        made = made.input(path)?;
    }
    Ok(made)
}
