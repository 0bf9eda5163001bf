//! `stage1-cluster deepcluster`.

use crate::deepcluster::{Settings, train};
use crate::look::{Classes, each_row, open_all};
use crate::network::Plan;
use crate::radiometry::Normalise;
use anyhow::ensure;
use burn::tensor::Device;
use clap::Args as ClapArgs;
use contract::{Made, TileReader};
use image::imageops::{FilterType, resize};
use nn::{Architecture, Augment, Backbone, DeviceChoice, Rgb, save_torch};
use serde_json::{Value, json};
use stage::{Ledger, Progress};
use std::path::PathBuf;

/// Pictures are kept at this many times the side of the network's input, so that crops have pixels to show.
const KEPT_SIDES: f64 = 1.25;

/// What to learn from, and how
#[derive(ClapArgs, Debug)]
pub struct DeepArgs {
    /// Tiles with pixels, from granule-split-mpi or stage1-cluster import; repeat for more
    #[arg(long, required = true, value_name = "FILE")]
    tiles: Vec<PathBuf>,
    /// The backbone: efficientnet-lite0 or resnet18
    #[arg(long, default_value = "resnet18", value_name = "NAME")]
    backbone: Architecture,
    /// Weights to begin from: .safetensors, .pth or .pt; without, it begins untrained
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Side of the backbone's input in pixels, a multiple of 32
    #[arg(long, default_value_t = 128, value_name = "PX")]
    input_px: usize,
    /// Clusters that the network learns to tell; more than the kinds of ground that are hoped for
    #[arg(long, default_value_t = 40, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=10_000))]
    clusters: u16,
    /// Passes over the tiles
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    epochs: u16,
    /// Tiles a step
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u16).range(2..=4096))]
    batch: u16,
    /// Step length of the trunk's and the head's optimiser
    #[arg(long, default_value_t = 0.02, value_name = "X", value_parser = stage::positive)]
    learning_rate: f64,
    /// Principal components that are clustered, at most; no more than one for eight tiles
    #[arg(long, default_value_t = 256, value_name = "N")]
    components: usize,
    /// What is brought to one level of brightness, contrast and colour first
    #[arg(long, value_enum, default_value = "tile")]
    normalise: Normalise,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Folder for the checkpoint, from which a killed run goes on
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
    /// A line of JSON an epoch: loss, agreement with the epoch before, sizes of the clusters
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// The trained backbone, .safetensors for --weights of other commands; its card is written beside it as .json
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &DeepArgs) -> anyhow::Result<Ledger> {
    ensure!(
        args.out.extension().is_some_and(|e| e == "safetensors"),
        "--out {}: want a name that ends in .safetensors",
        args.out.display()
    );
    let readers = open_all(&args.tiles)?;
    let mut ledger = Ledger::of("tiles", 0);
    let pictures = pictures(args, &readers, &mut ledger)?;
    let (n, k) = (pictures.len(), usize::from(args.clusters));
    ensure!(
        n >= 2 * k,
        "want two tiles a cluster at least, got {n} tiles for {k} clusters; give fewer --clusters"
    );
    let made = made(args)?;
    let settings = settings(args, &made);
    let mut progress = Progress::over("epochs", usize::from(args.epochs));
    let log = |lines: &[String]| match &args.log {
        Some(path) => contract::file::write(path, text(lines).as_bytes()),
        None => Ok(()),
    };
    let mut n_told = 0;
    let (trunk, lines) = train(&|| begin(args), &pictures, &settings, &mut |lines| {
        progress.add(lines.len() - n_told);
        n_told = lines.len();
        Ok(log(lines)?)
    })?;
    log(&lines)?;
    match &trunk {
        Backbone::EfficientNetLite0(net) => save_torch(net, &args.out)?,
        Backbone::ResNet18(net) => save_torch(net, &args.out)?,
    }
    contract::file::write(&args.out.with_extension("json"), card(args, &made, lines.last()).as_bytes())?;
    Ok(ledger)
}

fn begin(args: &DeepArgs) -> anyhow::Result<Backbone> {
    let device = Device::flex().autodiff();
    device.seed(args.seed);
    Ok(match &args.weights {
        Some(path) => args.backbone.load(path, &device)?,
        None => args.backbone.init(&device),
    })
}

/// All tiles with pixels, no larger than the network will see them.
fn pictures(args: &DeepArgs, readers: &[TileReader], ledger: &mut Ledger) -> anyhow::Result<Vec<Rgb>> {
    let side = (args.input_px as f64 * KEPT_SIDES).round() as usize;
    let mut all = Vec::new();
    each_row(readers, &Classes::none(), args.normalise, ledger, |_, pictures| {
        for picture in &pictures {
            all.push(shrunk(picture, side)?);
        }
        Ok(())
    })?;
    Ok(all)
}

fn shrunk(picture: &Rgb, side: usize) -> anyhow::Result<Rgb> {
    let (height, width) = picture.dims();
    if height.min(width) <= side {
        return Ok(picture.clone());
    }
    let full = image::RgbImage::from_raw(width as u32, height as u32, picture.interleaved().to_vec())
        .expect("a picture fills its size");
    let small = resize(&full, side as u32, side as u32, FilterType::Triangle);
    let bands: Vec<u8> = (0..3).flat_map(|c| small.pixels().map(move |p| p.0[c])).collect();
    Ok(Rgb::from_bands(&bands, side)?)
}

fn settings(args: &DeepArgs, made: &Made) -> Settings {
    let checkpoint =
        |folder: &PathBuf| (folder.join("deepcluster.ckpt"), format!("{:?}", made.pairs("checkpoint")));
    Settings {
        n_clusters: usize::from(args.clusters),
        epochs: usize::from(args.epochs),
        components: args.components,
        plan: Plan {
            batch: usize::from(args.batch),
            learning_rate: args.learning_rate,
            input_px: args.input_px,
            normalise: args.normalise.of_network(),
            augment: Augment::FULL,
            seed: args.seed,
        },
        checkpoint: args.checkpoints.as_ref().map(checkpoint),
    }
}

fn text(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

// The number of epochs is no flag here: a longer run goes on from a shorter one's checkpoint.
fn made(args: &DeepArgs) -> anyhow::Result<Made> {
    let mut made = Made::by("stage1-cluster")
        .flag("backbone", args.backbone.to_string())
        .flag("input-px", args.input_px)
        .flag("clusters", args.clusters)
        .flag("batch", args.batch)
        .flag("learning-rate", args.learning_rate)
        .flag("components", args.components)
        .flag("normalise", format!("{:?}", args.normalise).to_lowercase())
        .seed(args.seed);
    for path in args.tiles.iter().chain(&args.weights) {
        made = made.input(path)?;
    }
    Ok(made)
}

fn card(args: &DeepArgs, made: &Made, last: Option<&String>) -> String {
    let last: Option<Value> = last.and_then(|line| serde_json::from_str(line).ok());
    let pairs: serde_json::Map<String, Value> = made
        .pairs("card")
        .into_iter()
        .map(|(key, text)| (key, serde_json::from_str(&text).unwrap_or(text.into())))
        .collect();
    let card = json!({
        "about": "A backbone that learnt to tell the clusters of its own features (DeepCluster, Caron et al. 2018) from tiles without \
                  labels. It knows the ground and the light of those tiles and of no others.",
        "backbone": args.backbone.to_string(),
        "epochs": args.epochs,
        "last_epoch": last,
        "made": pairs,
    });
    serde_json::to_string_pretty(&card).unwrap_or_default() + "\n"
}
