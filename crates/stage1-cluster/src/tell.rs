//! `stage1-cluster classify`: the class of every tile by a trained classifier, in place of a judge's labels.

use crate::classifier::told;
use crate::look::{Classes, each_row, open_all};
use crate::model::load;
use crate::radiometry::Normalise;
use anyhow::ensure;
use clap::Args as ClapArgs;
use contract::{Label, Made};
use nn::{DeviceChoice, Embedder};
use stage::Ledger;
use std::path::PathBuf;

/// Tiles, and the classifier
#[derive(ClapArgs, Debug)]
pub struct TellArgs {
    /// Tiles of a granule, from granule-split-mpi
    #[arg(long, value_name = "FILE")]
    tiles: PathBuf,
    /// The classifier, from stage1-cluster train-classifier
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The weights of the backbone that it was trained on
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// The labels
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &TellArgs) -> anyhow::Result<Ledger> {
    let model = load(&args.model)?;
    let found = contract::sha256_of(&args.weights)?;
    ensure!(
        found == model.backbone_sha256,
        "{}: want the weights that {} was trained on (SHA-256 {}), got {found}",
        args.weights.display(),
        args.model.display(),
        model.backbone_sha256
    );
    let readers = open_all(std::slice::from_ref(&args.tiles))?;
    let embedder = Embedder::load(model.backbone, &args.weights, model.input_px, args.device)?
        .normalising(model.normalise);
    let hash = contract::sha256_of(&args.model)?;
    let mut ledger = Ledger::of("tiles", 0);
    let mut rows = Vec::new();
    each_row(&readers, &Classes::none(), Normalise::None, &mut ledger, |seen, pictures| {
        for (tile, features) in seen.into_iter().zip(embedder.embed(&pictures)?) {
            // the temperature is in the layer
            for (class, probability) in model.classes.iter().zip(told(&model.layer.logits(&features), 1.0)) {
                rows.push(Label {
                    granule: tile.granule.clone(),
                    tile: tile.tile,
                    class: class.clone(),
                    probability: Some(probability),
                    sd: None,
                    n_answers: 1,
                    n_missing: 0,
                    judge: "stage1-cluster".into(),
                    prompt_hash: hash.clone(),
                    missing: None,
                });
            }
        }
        Ok(())
    })?;
    let made = Made::by("stage1-cluster").input(&args.tiles)?.input(&args.model)?.input(&args.weights)?;
    contract::write(&args.out, &rows, &made)?;
    Ok(ledger)
}
