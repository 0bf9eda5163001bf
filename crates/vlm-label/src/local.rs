//! The offline judge: a frozen backbone and small soft-max heads trained on labelled pictures.
//!
//! Every head was trained on another bootstrap sample and stands for one rater; the mean of all is a calibrated
//! probability ([`Card`]). As a class judge a head gives its
//! probabilities; as a development judge the expected place of the class mixture, the classes being listed from the
//! least (0) to the most developed (100) in the prompt and evenly spaced between. That spacing is an assumption.

use crate::answer::Missing;
use crate::ground::Ground;
use crate::judge::{Answer, Call, Question, Want};
use crate::picture::Picture;
use crate::prompt::Prompt;
use anyhow::{Context, ensure};
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData, activation::softmax};
use nn::{Architecture, DeviceChoice, Embedder, Normalise, Rgb, load_whole, save_whole};
use serde::{Deserialize, Serialize};
use stage::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Pictures that go through the backbone between two signs of progress.
const PICTURES_A_STEP: usize = 32;

/// Two pictures whose scores are no further apart are called the same: a choice, not a measurement.
const SAME_WITHIN_POINTS: f64 = 1.0;

/// What the heads are, for a person to read beside the weights.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// What the model is for and what not.
    pub about: String,
    /// The classes in the heads' order.
    pub classes: Vec<String>,
    /// How many heads.
    pub n_heads: usize,
    /// The frozen backbone.
    pub backbone: String,
    /// SHA-256 of the backbone's weights.
    pub backbone_sha256: String,
    /// What of the backbone the heads see.
    pub features: Features,
    /// What is done to a picture's light before.
    pub normalise: Normalise,
    /// Side of the backbone's input in pixels.
    pub input_px: usize,
    /// Data, settings and figures of the training.
    pub training: serde_json::Value,
    /// Where the training pictures lie; cards of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Ground>,
}

impl Card {
    /// What the heads were trained on.
    pub fn trained_on(&self) -> &str {
        let source = self.training["source"].as_str().filter(|source| !source.is_empty());
        source.unwrap_or("pictures that the card does not name")
    }
}

/// What of a backbone the heads see.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// Mean activations at the ends of its stages, from stride 8 on.
    StageMeans,
}

/// Soft-max heads side by side: `[features] -> [heads * classes]`.
#[derive(Module, Debug)]
pub struct Heads {
    all: Linear,
}

impl Heads {
    /// Untrained heads.
    pub fn init(n_features: usize, n_outputs: usize, device: &Device) -> Self {
        Self { all: LinearConfig::new(n_features, n_outputs).init(device) }
    }

    /// Heads with these weights, `[feature][output]`, and biases.
    pub fn of(weight: Vec<f32>, bias: Vec<f32>, device: &Device) -> Self {
        let (n_outputs, n_features) = (bias.len(), weight.len() / bias.len());
        let mut heads = Self::init(n_features, n_outputs, device);
        let tensor = Tensor::<2>::from_data(TensorData::new(weight, [n_features, n_outputs]), device);
        heads.all.weight = burn::module::Param::from_tensor(tensor);
        let tensor = Tensor::<1>::from_data(TensorData::new(bias, [n_outputs]), device);
        heads.all.bias = Some(burn::module::Param::from_tensor(tensor));
        heads
    }

    /// The class probabilities of each head. `[head][class]`
    pub fn probabilities(&self, features: &[f32], n_classes: usize, device: &Device) -> Vec<Vec<f32>> {
        let row = Tensor::<2>::from_data(TensorData::new(features.to_vec(), [1, features.len()]), device);
        let logits = self.all.forward(row); // [1, heads * classes]
        let [_, n_outputs] = logits.dims();
        let shares = softmax(logits.reshape([n_outputs / n_classes, n_classes]), 1);
        let flat: Vec<f32> =
            shares.into_data().try_to_vec().expect("shares are 32-bit floats on this device");
        flat.chunks(n_classes).map(<[f32]>::to_vec).collect()
    }
}

/// The judge.
pub struct Local {
    embedder: Embedder,
    heads: Heads,
    card: Card,
    device: Device,
    counted: Counted,
}

/// Pictures that were judged, each once, canaries not.
#[derive(Debug, Default)]
struct Counted {
    /// Whether pictures are only tried out.
    over: bool,
    seen: BTreeSet<String>,
    n_unlike: u64,
}

impl Local {
    /// Loads the heads, their card beside them (`.json`), and the backbone's weights.
    ///
    /// # Errors
    /// A file that cannot be read, or weights of another backbone than the heads were trained on.
    pub fn load(heads: &Path, weights: &Path, input_px: Option<usize>) -> anyhow::Result<Self> {
        let card_path = card_of(heads);
        let text = std::fs::read_to_string(&card_path).map_err(contract::Error::io(&card_path, "read"))?;
        let card: Card = serde_json::from_str(&text).with_context(|| {
            format!(
                "{}: want the card of a local judge; train it with vlm-label train-local",
                card_path.display()
            )
        })?;
        let found = contract::sha256_of(weights)?;
        ensure!(
            found == card.backbone_sha256,
            "{}: want the backbone that {} was trained on (SHA-256 {}), got {found}; give that file or train the heads again",
            weights.display(),
            heads.display(),
            card.backbone_sha256
        );
        let architecture: Architecture =
            card.backbone.parse().map_err(|e| anyhow::anyhow!("{}: {e}", card_path.display()))?;
        let device = DeviceChoice::Cpu.device();
        let mut module =
            Heads::init(architecture.n_stage_means(), card.n_heads * card.classes.len(), &device);
        load_whole(&mut module, heads)?;
        let side = input_px.unwrap_or(card.input_px);
        let embedder =
            Embedder::load(architecture, weights, side, DeviceChoice::Cpu)?.normalising(card.normalise);
        Ok(Self { embedder, heads: module, card, device, counted: Counted::default() })
    }

    /// What the heads were trained on.
    pub fn trained_on(&self) -> &str {
        self.card.trained_on()
    }

    /// From here on pictures are no ground of the run.
    pub fn try_out(&mut self) {
        self.counted.over = true;
    }

    /// Says what the heads were trained on, and how much of this ground is unlike it.
    pub fn enter(&self, ledger: &mut Ledger) {
        let trained_on = self.card.trained_on();
        let (n, n_unlike) = (self.counted.seen.len(), self.counted.n_unlike);
        let Some(ground) = &self.card.ground else {
            tracing::info!("the offline judge was trained on {trained_on}");
            ledger.note(&format!("judged by heads that were trained on {trained_on}"), n as u64);
            return;
        };
        tracing::info!(
            "the offline judge was trained on {trained_on}; {n_unlike} of {n} pictures here are unlike nearly all of these"
        );
        ledger.note(&ground.words(trained_on), n_unlike);
    }

    fn count(&mut self, hash: &str, features: &[f32]) {
        if self.counted.over || !self.counted.seen.insert(hash.to_owned()) {
            return;
        }
        let is_unlike = self.card.ground.as_ref().is_some_and(|ground| ground.is_unlike(features));
        self.counted.n_unlike += u64::from(is_unlike);
    }

    /// How many heads: each stands for one rater.
    pub fn n_heads(&self) -> u32 {
        self.card.n_heads as u32
    }

    /// Whether the prompt lists the classes that the heads know.
    ///
    /// # Errors
    /// Says both lists.
    pub fn check(&self, prompt: &Prompt) -> anyhow::Result<()> {
        let wanted = || self.card.classes.join(", ");
        let classes = prompt.classes().with_context(|| {
            format!(
                "prompt {}: the local judge wants a prompt of the classes {}, got one without classes",
                prompt.id,
                wanted()
            )
        })?;
        let (mut a, mut b) = (classes.to_vec(), self.card.classes.clone());
        a.sort();
        b.sort();
        ensure!(
            a == b,
            "prompt {}: the local judge knows the classes {}, got {}; use that class prompt, or another judge",
            prompt.id,
            wanted(),
            classes.join(", ")
        );
        Ok(())
    }

    /// Answers in the order of the questions; the repeat is the head that answers.
    ///
    /// # Errors
    /// If the backbone cannot take the pictures.
    pub fn ask(
        &mut self,
        questions: &[Question<'_>],
        want: Want,
        done: &mut dyn FnMut(usize),
    ) -> anyhow::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(questions.len());
        let mut known: BTreeMap<&str, Vec<Vec<f32>>> = BTreeMap::new();
        let mut unseen: Vec<(&str, Rgb)> = Vec::new();
        for picture in questions.iter().flat_map(Question::pictures) {
            let hash = picture.hash.as_str();
            if !known.contains_key(hash) && !unseen.iter().any(|(h, _)| *h == hash) {
                unseen.push((hash, Rgb::from_bands(&picture.pixels, picture.side_px as usize)?));
            }
        }
        let n_questions_each = questions.len() / unseen.len().max(1);
        for part in unseen.chunks(PICTURES_A_STEP) {
            let pictures: Vec<Rgb> = part.iter().map(|(_, picture)| picture.clone()).collect();
            for ((hash, _), features) in part.iter().zip(self.embedder.stage_means(&pictures)?) {
                self.count(hash, &features);
                known
                    .insert(hash, self.heads.probabilities(&features, self.card.classes.len(), &self.device));
            }
            done(part.len() * n_questions_each);
        }
        for question in questions {
            answers.push(self.answer(question, &known, want));
        }
        Ok(answers)
    }

    fn answer(&self, question: &Question<'_>, known: &BTreeMap<&str, Vec<Vec<f32>>>, want: Want) -> Answer {
        let of = |picture: &Picture| known.get(picture.hash.as_str())?.get(question.repeat as usize);
        let Some(classes) = question.prompt.classes() else { return unheard() };
        let Some(left) = of(question.picture).map(|mine| self.shares(mine, classes)) else {
            return unheard();
        };
        let right = question.right.and_then(of).map(|mine| self.shares(mine, classes));
        let values = match (want, right) {
            (Want::Shares, _) => left,
            (Want::Score, _) => vec![points(&left)],
            (Want::Choice, Some(right)) => choice(points(&left), points(&right)),
            (Want::Choice, None) => return unheard(),
        };
        Answer { raw: None, values: Ok(values), call: Call::default() }
    }

    /// What a head says, in the prompt's order of classes.
    fn shares(&self, mine: &[f32], classes: &[String]) -> Vec<f64> {
        let share = |class: &String| {
            let at = self.card.classes.iter().position(|known| known == class);
            at.map_or(0.0, |at| f64::from(mine[at]))
        };
        let mut shares: Vec<f64> = classes.iter().map(share).collect();
        let sum: f64 = shares.iter().sum();
        shares.iter_mut().for_each(|s| *s /= sum);
        shares
    }
}

/// The expected place of the class mixture, from 0 to 100.
fn points(shares: &[f64]) -> f64 {
    let step = 100.0 / (shares.len() - 1).max(1) as f64;
    let place = |(place, share): (usize, &f64)| place as f64 * step * share;
    shares.iter().enumerate().map(place).sum::<f64>().min(100.0)
}

/// All of it to left, right or same.
fn choice(left: f64, right: f64) -> Vec<f64> {
    let same = (left - right).abs() <= SAME_WITHIN_POINTS;
    [left > right && !same, right > left && !same, same].map(|chosen| f64::from(u8::from(chosen))).to_vec()
}

fn unheard() -> Answer {
    Answer { raw: None, values: Err(Missing::NotRecorded), call: Call::default() }
}

/// Writes heads and their card.
///
/// # Errors
/// An unwritable output.
pub fn save(heads: &Heads, card: &Card, path: &Path) -> anyhow::Result<()> {
    save_whole(heads, path)?;
    let text = serde_json::to_string_pretty(card)? + "\n";
    Ok(contract::file::write(&card_of(path), text.as_bytes())?)
}

fn card_of(heads: &Path) -> PathBuf {
    heads.with_extension("json")
}
