//! The flags of `stage3-train train`, and what they say in a card.

use crate::card::Part;
use crate::recipe::Recipe;
use crate::sight::{Features, Normalise, Sight};
use anyhow::{bail, ensure};
use clap::{Args as ClapArgs, ValueEnum};
use contract::Made;
use nn::{Architecture, Augment, DeviceChoice, Tones};
use serde::Serialize;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Folds of clusters for heads, where nothing else is said.
const FOLDS: usize = 5;

/// The least share of a picture that a crop keeps: a picture's place in the order is that of all its ground.
const LEAST_CROP_SHARE: f64 = 0.7;

/// How pictures are varied while a whole network learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vary {
    /// They are seen as they are.
    None,
    /// They are flipped and turned by quarters.
    Turns,
    /// They are cropped, flipped and turned; their light, contrast and colours change, and some are blurred.
    Full,
}

/// What to learn from, and how
#[derive(ClapArgs, Debug)]
pub struct TrainArgs {
    /// Tiles with pixels, from granule-split-mpi or stage1-cluster import; repeat for more
    #[arg(long, required = true, value_name = "FILE")]
    pub tiles: Vec<PathBuf>,
    /// The clusters of the tiles, from stage1-cluster
    #[arg(long, value_name = "FILE")]
    pub clusters: PathBuf,
    /// The order of the clusters, from pog-aggregate
    #[arg(long, value_name = "FILE")]
    pub pog: PathBuf,
    /// Labels of tiles: those in no cluster join --recipe ridge at the mean place of their classes' clusters
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
    /// What such tiles weigh together, the tiles of all clusters together being 1
    #[arg(long, default_value_t = 1.0, value_name = "X", value_parser = stage::positive)]
    pub labels_weight: f64,
    /// How to learn from an order
    #[arg(long, value_enum, default_value = "default")]
    pub recipe: Recipe,
    /// The backbone: efficientnet-lite0 or resnet18
    #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
    pub backbone: Architecture,
    /// The backbone's weights: .safetensors, .pth or .pt; repeat, as for what stage1-cluster deepcluster made of them, and members of an
    /// ensemble see through one after another; not for --features colour and random
    #[arg(long, value_name = "FILE")]
    pub weights: Vec<PathBuf>,
    /// What heads see of a picture
    #[arg(long, value_enum, default_value = "last")]
    pub features: Features,
    /// Side of the backbone's input in pixels, a multiple of 32; several, as 224,320, put the features of all side by side
    #[arg(long, default_value = "224", value_name = "PX", value_delimiter = ',')]
    pub input_px: Vec<usize>,
    /// See pictures in grey, as the study did
    #[arg(long)]
    pub grey: bool,
    /// What is done to the light of a picture before anything looks at it
    #[arg(long, value_enum, default_value = "none")]
    pub normalise: Normalise,
    /// How pictures are varied while a whole network learns [default: full with --train whole]
    #[arg(long, value_enum, value_name = "HOW")]
    pub augment: Option<Vary>,
    /// What to train: heads on the frozen backbone, or the whole network
    #[arg(long, value_enum, default_value = "head")]
    pub train: Part,
    /// Members of the ensemble
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub members: u16,
    /// Steps a member
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub steps: u32,
    /// Principal components of the features that a head sees, at most
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub components: usize,
    /// Hidden units of a head; 0 is a linear head
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub hidden: usize,
    /// Step length of the optimiser
    #[arg(long, default_value_t = 0.003, value_name = "X", value_parser = stage::positive)]
    pub learning_rate: f64,
    /// Pull of a head's weights towards zero
    #[arg(long, default_value_t = 0.1, value_name = "X", value_parser = stage::positive)]
    pub weight_decay: f64,
    /// Weight of the linear stitch loss
    #[arg(long, default_value_t = 1.0, value_name = "X")]
    pub stitch_weight: f64,
    /// Folds of whole clusters that are left out in turn for the figures; 0 is none [default: 5 for heads, 0 for a whole network]
    #[arg(long, value_name = "N")]
    pub folds: Option<usize>,
    /// Share of tiles that an interval around a score is to hold
    #[arg(long, default_value_t = 0.9, value_name = "SHARE", value_parser = stage::share)]
    pub interval_share: f64,
    /// Share of held-out training tiles that lie beyond the limit from which a tile is flagged
    #[arg(long, default_value_t = 0.01, value_name = "SHARE", value_parser = stage::share)]
    pub outside_share: f64,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to compute: cpu, or a card as vulkan[:N] or cuda[:N] where this build has them
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,
    /// Folder for checkpoints, from which a killed run goes on
    #[arg(long, value_name = "FOLDER")]
    pub checkpoints: Option<PathBuf>,
    /// Folder where a frozen backbone's features are kept, for a next training on the same pictures
    #[arg(long, value_name = "FOLDER")]
    pub features_cache: Option<PathBuf>,
    /// Figures on held-out blocks and clusters, a metrics table
    #[arg(long, value_name = "FILE")]
    pub metrics_out: Option<PathBuf>,
    /// The loss at about a hundred steps of each training, one line of JSON each
    #[arg(long, value_name = "FILE")]
    pub losses_out: Option<PathBuf>,
    /// A picture of these losses, PNG
    #[arg(long, value_name = "FILE")]
    pub curves_out: Option<PathBuf>,
    /// The model; its card is written beside it as .json
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

impl TrainArgs {
    /// Refuses flags that contradict each other.
    ///
    /// # Errors
    /// One line that says what to change.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(
            self.labels.is_none() || self.recipe == Recipe::Ridge,
            "--labels joins --recipe ridge only; leave it out, or give that recipe"
        );
        if self.train == Part::Head {
            ensure!(
                self.augment.is_none(),
                "--augment varies pictures for --train whole; heads learn from features of pictures as they are, leave it out"
            );
            ensure!(
                self.members > 1 || self.normalise != Normalise::Both,
                "--normalise both gives each light to half of the members; give --members 2 or more"
            );
            return Ok(());
        }
        ensure!(self.recipe != Recipe::Ridge, "--recipe ridge trains heads only; leave --train whole out");
        ensure!(
            self.members == 1,
            "--train whole trains one network; give --members 1, got {}",
            self.members
        );
        ensure!(
            self.input_px.len() == 1,
            "--train whole sees one --input-px, got {}; give one",
            self.input_px.len()
        );
        ensure!(
            self.features == Features::Last
                && self.folds.unwrap_or(0) == 0
                && self.normalise != Normalise::Both,
            "--features, --folds and --normalise both are for heads; leave them out with --train whole"
        );
        Ok(())
    }

    /// Folds of clusters.
    pub fn n_folds(&self) -> usize {
        let default = if self.train == Part::Head { FOLDS } else { 0 };
        self.folds.unwrap_or(default)
    }

    /// Whether pictures are seen in grey.
    pub fn sees_grey(&self) -> bool {
        self.grey || self.recipe == Recipe::DevMeasure
    }

    /// How pictures are varied while the whole network learns.
    pub fn augment(&self) -> Augment {
        let tints = !self.sees_grey();
        match self.augment.unwrap_or(Vary::Full) {
            Vary::None => Augment::NONE,
            Vary::Turns => Augment { turns: true, ..Augment::NONE },
            Vary::Full => Augment { least_crop_share: LEAST_CROP_SHARE, tints, ..Augment::FULL },
        }
    }

    /// What is seen of pictures.
    pub fn sight(&self, reference: Option<Tones>) -> Sight {
        Sight {
            features: self.features,
            input_px: self.input_px.clone(),
            grey: self.sees_grey(),
            normalise: self.normalise,
            reference,
        }
    }

    /// The weights that a whole network begins from.
    ///
    /// # Errors
    /// If they are not given, or more than once.
    pub fn first_weights(&self) -> anyhow::Result<&Path> {
        match self.weights.as_slice() {
            [weights] => Ok(weights),
            [] => bail!("want the backbone's weights; give --weights"),
            more => bail!(
                "a whole network begins from one file of weights, got {}; give one --weights",
                more.len()
            ),
        }
    }

    /// How the outputs were made.
    ///
    /// # Errors
    /// If an input cannot be read.
    pub fn made(&self) -> anyhow::Result<Made> {
        let mut made = Made::by("stage3-train").seed(self.seed);
        if let Value::Object(settings) = self.settings() {
            made = settings.into_iter().fold(made, |made, (name, value)| made.flag(&name, value));
        }
        for path in
            self.tiles.iter().chain([&self.clusters, &self.pog]).chain(&self.labels).chain(&self.weights)
        {
            made = made.input(path)?;
        }
        Ok(made)
    }

    /// The settings that shape the model, by the names of their flags.
    pub fn settings(&self) -> Value {
        let mut settings = json!({
            "recipe": self.recipe,
            "train": self.train,
            "backbone": self.backbone.to_string(),
            "features": self.features,
            "input-px": self.input_px,
            "grey": self.sees_grey(),
            "normalise": self.normalise,
            "members": self.members,
            "steps": self.steps,
            "components": self.components,
            "hidden": self.hidden,
            "learning-rate": self.learning_rate,
            "weight-decay": self.weight_decay,
            "labels-weight": self.labels_weight,
            "stitch-weight": self.stitch_weight,
            "folds": self.n_folds(),
            "interval-share": self.interval_share,
            "outside-share": self.outside_share,
            "device": self.device.to_string(),
        });
        if self.train == Part::Whole {
            settings["augment"] = json!(self.augment.unwrap_or(Vary::Full));
        }
        settings
    }
}
