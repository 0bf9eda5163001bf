//! A score model as it lies in its file, and as it judges pictures.

use crate::card::{Card, Part};
use crate::head::Head;
use crate::near::{Near, Ruler};
use crate::scale::Scale;
use crate::sight::{Eye, Sight};
use crate::whole::{self, Net};
use anyhow::{Context, ensure};
use burn::module::Module;
use burn::tensor::Device;
use nn::{Architecture, DeviceChoice, Rgb, Tones, load_whole};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Heads and the training tiles around them, as in the file.
#[derive(Module, Debug)]
pub struct Heads {
    /// The ensemble.
    pub members: Vec<Head>,
    /// What is near, if a block could be held out to say how near is near.
    pub near: Option<Near>,
}

/// A whole network and the training tiles around it, as in the file.
#[derive(Module, Debug)]
pub struct Whole {
    /// The network.
    pub net: Net,
    /// What is near.
    pub near: Option<Near>,
}

/// What a model says of a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// One score a member.
    pub scores: Vec<f64>,
    /// Distance to the training tiles in feature space.
    pub distance: Option<f64>,
}

/// A loaded model.
pub struct Model {
    kind: Kind,
    scales: Vec<Scale>,
    ruler: Option<Ruler>,
    device: Device,
}

enum Kind {
    Heads(Box<Eye>, Vec<Head>),
    Whole(Sight, Box<whole::Eye>),
}

impl Model {
    /// Loads a model by its card.
    ///
    /// # Errors
    /// If the card, the model or the backbone's weights do not belong to each other.
    pub fn load(path: &Path, card: &Card, weights: &[PathBuf], device: DeviceChoice) -> anyhow::Result<Self> {
        let backbone: Architecture =
            card.backbone.parse().map_err(|e| anyhow::anyhow!("the card of {}: {e}", path.display()))?;
        let found = contract::sha256_of(path)?;
        ensure!(
            found == card.model_sha256,
            "{}: want the model that the card beside it is of (SHA-256 {}), got {found}; train it again",
            path.display(),
            card.model_sha256
        );
        let choice = device;
        // Heads are too small to be worth a way to a card and back.
        let device = if card.train == Part::Whole { choice.device() } else { Device::flex() };
        let near = |n| card.limit.as_ref().map(|limit| Near::blank(n, limit, &device));
        let (kind, near) = if card.train == Part::Whole {
            let mut file = Whole { net: Net::blank(backbone, &device), near: near(backbone.n_features()) };
            load_whole(&mut file, path)?;
            let file = file.valid();
            let px = card.sight.input_px.first().copied().context("the card names no input side")?;
            let eye = file.net.eye(px, card.sight.normalise.lights()[0], choice)?;
            (Kind::Whole(card.sight.clone(), Box::new(eye)), file.near)
        } else {
            let weights = backbone_weights(path, card, weights)?;
            let n_features = card.sight.n_features(backbone);
            let mut rng = crate::draw::generator(0, 0, 0);
            let member = |_| Head::init(n_features, card.hidden, &mut rng, &device);
            let mut file =
                Heads { members: (0..card.n_members).map(member).collect(), near: near(n_features) };
            load_whole(&mut file, path)?;
            let file = file.valid();
            let eye = Eye::load(card.sight.clone(), backbone, &weights, choice)?;
            (Kind::Heads(Box::new(eye), file.members), file.near)
        };
        Ok(Self { kind, scales: card.scales.clone(), ruler: near.map(|near| near.ruler()), device })
    }

    /// Judges pictures of one granule. Each goes alone, so neighbours, order and batch do not matter.
    ///
    /// # Errors
    /// If the model cannot see pictures of this size, or says of one what is no number.
    pub fn judge(&self, pictures: &[Rgb], scene: &Tones) -> anyhow::Result<Vec<Judged>> {
        let judged = |features: &[f32], raw: Vec<f64>| {
            ensure!(
                raw.iter().all(|raw| raw.is_finite()),
                "want a number as a tile's score, got {raw:?}: the weights or the model are damaged; fetch or train them again"
            );
            let scores = raw.iter().zip(&self.scales).map(|(&raw, scale)| scale.of(raw)).collect();
            Ok(Judged { scores, distance: self.ruler.as_ref().map(|ruler| ruler.distance(features)) })
        };
        match &self.kind {
            Kind::Heads(eye, heads) => {
                let of = |seen: &Vec<Vec<f32>>| {
                    let raw = |(m, head): (usize, &Head)| head.raw(&seen[m % seen.len()], &self.device);
                    judged(&seen[0], heads.iter().enumerate().map(raw).collect())
                };
                eye.look(pictures, scene)?.par_iter().map(of).collect()
            }
            Kind::Whole(sight, eye) => {
                let (px, light) = (sight.input_px[0], sight.normalise.lights()[0]);
                let seen: Vec<Rgb> =
                    pictures.par_iter().map(|p| sight.prepare(p, scene, light).sized(px)).collect();
                let looked = eye.look(&seen)?;
                looked.par_iter().map(|(features, raw)| judged(features, vec![*raw])).collect()
            }
        }
    }
}

/// The files of weights in the order of the card.
fn backbone_weights(model: &Path, card: &Card, given: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = BTreeMap::new();
    for path in given {
        let hash = contract::sha256_of(path)?;
        ensure!(
            card.backbone_sha256.is_empty() || card.backbone_sha256.contains(&hash),
            "{}: want the weights that {} was trained on (SHA-256 {}), got {hash}; give that file",
            path.display(),
            model.display(),
            card.backbone_sha256.join(", "),
        );
        found.insert(hash, path.clone());
    }
    let of = |wanted: &String| {
        let missing = || {
            format!(
                "{}: want the weights that it was trained on (SHA-256 {wanted}); give --weights",
                model.display()
            )
        };
        found.get(wanted).cloned().with_context(missing)
    };
    card.backbone_sha256.iter().map(of).collect()
}
