//! `stage3-train score`.

use crate::card::{Card, Part};
use crate::head::{Ensemble, Head};
use crate::train::mean_and_sd;
use crate::whole::Net;
use anyhow::{Context, ensure};
use burn::module::Module;
use burn::tensor::Device;
use clap::Args as ClapArgs;
use contract::{Made, Score, Tile, TileReader};
use nn::{Architecture, DeviceChoice, Embedder, Rgb, load_whole};
use stage::{Ledger, Progress};
use std::path::PathBuf;

/// What to score, and with which model
#[derive(ClapArgs, Debug)]
pub struct ScoreArgs {
    /// Tiles of a granule, from granule-split-mpi
    #[arg(long, value_name = "FILE")]
    tiles: PathBuf,
    /// The model, from stage3-train train; its card lies beside it
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// The backbone's weights that the model was trained on
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// The scores
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A loaded model.
enum Model {
    Heads(Box<Embedder>, Ensemble),
    Whole(Box<Net>, usize),
}

impl Model {
    fn load(args: &ScoreArgs, card: &Card, device: &Device) -> anyhow::Result<Self> {
        let architecture: Architecture = card
            .backbone
            .parse()
            .map_err(|e| anyhow::anyhow!("the card of {}: {e}", args.model.display()))?;
        if card.train == Part::Whole {
            let mut net = Net::blank(architecture, device);
            load_whole(&mut net, &args.model)?;
            return Ok(Self::Whole(Box::new(net.valid()), card.input_px));
        }
        let found = contract::sha256_of(&args.weights)?;
        ensure!(
            found == card.backbone_sha256,
            "{}: want the weights that {} was trained on (SHA-256 {}), got {found}; give that file",
            args.weights.display(),
            args.model.display(),
            card.backbone_sha256
        );
        let mut rng = crate::draw::generator(0, 0, 0);
        let member = |_| Head::init(architecture.n_features(), card.hidden, &mut rng, device);
        let mut ensemble = Ensemble { members: (0..card.n_members).map(member).collect() };
        load_whole(&mut ensemble, &args.model)?;
        let embedder = Embedder::load(architecture, &args.weights, card.input_px, args.device)?;
        Ok(Self::Heads(Box::new(embedder), ensemble.valid()))
    }

    /// The scores of each picture, one a member. Each picture goes alone, so its neighbours do not matter.
    fn scores(&self, pictures: &[Rgb], device: &Device) -> anyhow::Result<Vec<Vec<f64>>> {
        match self {
            Self::Heads(embedder, ensemble) => {
                let features = embedder.embed(pictures)?;
                Ok(features.iter().map(|f| ensemble.scores(f, device)).collect())
            }
            Self::Whole(net, px) => pictures.iter().map(|p| Ok(vec![net.score(p, *px, device)?])).collect(),
        }
    }
}

pub fn run(args: &ScoreArgs) -> anyhow::Result<Ledger> {
    let reader = TileReader::open(&args.tiles)?;
    let card = Card::beside(&args.model)?;
    let device = args.device.device();
    let model = Model::load(args, &card, &device).context("loading the score model")?;
    let meta = reader.meta();
    let mut ledger = Ledger::of("tiles", 0);
    let mut progress = Progress::over("tiles", meta.n_rows as usize * meta.n_cols as usize);
    let mut rows = Vec::new();
    for row in 0..meta.n_rows {
        let mut tiles = reader.row(row)?;
        ledger.n_in += tiles.len() as u64;
        progress.add(tiles.len());
        let pictures = tiles
            .iter_mut()
            .filter_map(|tile| tile.pixels.take())
            .map(|pixels| Rgb::from_bands(&pixels, meta.tile_px as usize))
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| args.tiles.display().to_string())?;
        let mut scores = model.scores(&pictures, &device)?.into_iter();
        for tile in &tiles {
            let scored = if tile.skipped.is_none() { scores.next() } else { None };
            match &tile.skipped {
                Some(reason) => ledger.skip(reason),
                None => ledger.ok(1),
            }
            rows.push(score_row(&reader, tile, scored.as_deref()));
        }
    }
    let made = Made::by("stage3-train").input(&args.tiles)?.input(&args.model)?.input(&args.weights)?;
    contract::write(&args.out, &rows, &made)?;
    Ok(ledger)
}

fn score_row(reader: &TileReader, tile: &Tile, scored: Option<&[f64]>) -> Score {
    let (score, sd) = scored.map(mean_and_sd).map_or((None, None), |(mean, sd)| (Some(mean), sd));
    Score {
        granule: reader.granule().clone(),
        tile: tile.tile,
        crs: reader.meta().crs.clone(),
        west_m: tile.west_m,
        south_m: tile.south_m,
        east_m: tile.east_m,
        north_m: tile.north_m,
        score,
        sd,
        n_members: scored.map_or(0, |s| s.len() as u32),
        skipped: tile.skipped.clone(),
    }
}
