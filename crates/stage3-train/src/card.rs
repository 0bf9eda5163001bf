//! The model card: what a score model is, beside its weights, for a person and for `score`.

use crate::interval::Interval;
use crate::near::Limit;
use crate::recipe::Recipe;
use crate::scale::Scale;
use crate::sight::Sight;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What was trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Heads on a frozen backbone.
    Head,
    /// The whole network.
    Whole,
}

/// The model card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// What the model is for and what not.
    pub about: String,
    /// What was trained.
    pub train: Part,
    /// Which backbone.
    pub backbone: String,
    /// SHA-256 of the weights that the backbone started from; of several, in the order in which members see through them; none for baselines.
    pub backbone_sha256: Vec<String>,
    /// SHA-256 of the model that the card is of.
    pub model_sha256: String,
    /// How it learned from the order.
    pub recipe: Recipe,
    /// What it sees of a picture.
    pub sight: Sight,
    /// Hidden units of a head; 0 is a linear head.
    pub hidden: usize,
    /// Members of the ensemble.
    pub n_members: usize,
    /// What a score means in comparison with other runs.
    pub scale: String,
    /// The map of each member's raw output to scores.
    pub scales: Vec<Scale>,
    /// What an interval promises.
    pub interval: Option<Interval>,
    /// From where on a tile is flagged as unlike those of training.
    pub limit: Option<Limit>,
    /// Settings of the training.
    pub settings: serde_json::Value,
    /// Figures on held-out blocks and on held-out clusters.
    pub figures: serde_json::Value,
    /// SHA-256 of the tables that it was trained on, by name.
    pub inputs: serde_json::Value,
}

impl Card {
    /// Reads the card beside a model.
    ///
    /// # Errors
    /// If there is none, or it is no card.
    pub fn beside(model: &Path) -> anyhow::Result<Self> {
        let path = path_beside(model);
        let text = std::fs::read_to_string(&path).map_err(contract::Error::io(&path, "read"))?;
        serde_json::from_str(&text).with_context(|| {
            format!(
                "{}: want the card of a score model; make it again with stage3-train train",
                path.display()
            )
        })
    }

    /// Writes the card beside a model.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_beside(&self, model: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        Ok(contract::file::write(&path_beside(model), text.as_bytes())?)
    }
}

fn path_beside(model: &Path) -> PathBuf {
    model.with_extension("json")
}
