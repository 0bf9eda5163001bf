//! A trained classifier as files: the layer as `.safetensors`, and a card beside it that a person can read.

use crate::classifier::Layer;
use anyhow::{Context, ensure};
use burn::module::Param;
use burn::nn::Linear;
use burn::tensor::{Device, Tensor, TensorData};
use contract::Metric;
use nn::{Architecture, Normalise, load_whole, save_whole};
use serde_json::{Value, json};
use std::path::Path;

/// What it takes to tell a tile's class.
pub struct Model {
    /// The classes, in the order of the logits.
    pub classes: Vec<String>,
    /// The backbone.
    pub backbone: Architecture,
    /// The hash of the backbone's weights.
    pub backbone_sha256: String,
    /// Side of the backbone's input.
    pub input_px: usize,
    /// What is done to a tile's light first.
    pub normalise: Normalise,
    /// The layer on the backbone's features.
    pub layer: Layer,
}

/// Writes the layer and its card.
///
/// # Errors
/// If a file cannot be written.
pub fn save(
    model: &Model,
    temperature: f64,
    steps: usize,
    figures: &[Metric],
    path: &Path,
) -> anyhow::Result<()> {
    save_whole(&linear(&model.layer), path)?;
    let figure = |m: &Metric| json!({"name": m.name, "of": m.of, "value": m.value, "unit": m.unit, "n": m.n});
    let card = json!({
        "about": "The class of a tile as the labels that it learnt from would have it: multinomial logistic regression on the features of a \
                  frozen backbone, classes weighted alike. Figures are of groups of tiles that the training did not see.",
        "classes": model.classes,
        "backbone": model.backbone.to_string(),
        "backbone_sha256": model.backbone_sha256,
        "input_px": model.input_px,
        "normalise": model.normalise.to_string(),
        "temperature": temperature,
        "steps": steps,
        "figures": figures.iter().map(figure).collect::<Vec<_>>(),
    });
    let text = serde_json::to_string_pretty(&card).context("writing the card")? + "\n";
    Ok(contract::file::write(&path.with_extension("json"), text.as_bytes())?)
}

/// Reads a classifier.
///
/// # Errors
/// If the layer or its card is missing or of another form.
pub fn load(path: &Path) -> anyhow::Result<Model> {
    let card_path = path.with_extension("json");
    let bad = || {
        format!(
            "{}: want the card of a classifier; make it again with stage1-cluster train-classifier",
            card_path.display()
        )
    };
    let text = std::fs::read_to_string(&card_path).with_context(bad)?;
    let card: Value = serde_json::from_str(&text).with_context(bad)?;
    let word = |key: &str| card[key].as_str().map(str::to_owned).with_context(bad);
    let classes: Vec<String> = card["classes"]
        .as_array()
        .with_context(bad)?
        .iter()
        .filter_map(|c| Some(c.as_str()?.to_owned()))
        .collect();
    ensure!(!classes.is_empty(), bad());
    let backbone: Architecture =
        word("backbone")?.parse().map_err(|e: String| anyhow::anyhow!("{}: {e}", bad()))?;
    let blank =
        Layer { weight: vec![0.0; backbone.n_features() * classes.len()], bias: vec![0.0; classes.len()] };
    let mut net = linear(&blank);
    load_whole(&mut net, path)?;
    let numbers = |tensor: Tensor<1>| crate::network::values(tensor);
    let layer = Layer {
        weight: numbers(net.weight.val().flatten::<1>(0, 1)),
        bias: numbers(net.bias.as_ref().with_context(bad)?.val()),
    };
    ensure!(
        layer.weight.len() == blank.weight.len() && layer.bias.len() == classes.len(),
        "{}: want a layer of {} features and {} classes; make it again with stage1-cluster train-classifier",
        path.display(),
        backbone.n_features(),
        classes.len()
    );
    Ok(Model {
        classes,
        backbone,
        backbone_sha256: word("backbone_sha256")?,
        input_px: card["input_px"].as_u64().with_context(bad)? as usize,
        normalise: word("normalise")?.parse().map_err(|e: String| anyhow::anyhow!("{}: {e}", bad()))?,
        layer,
    })
}

fn linear(layer: &Layer) -> Linear {
    let device = Device::flex();
    let n = layer.bias.len();
    let weight = TensorData::new(layer.weight.clone(), [layer.weight.len() / n, n]);
    let bias = TensorData::new(layer.bias.clone(), [n]);
    Linear {
        weight: Param::from_tensor(Tensor::<2>::from_data(weight, &device)),
        bias: Some(Param::from_tensor(Tensor::<1>::from_data(bias, &device))),
    }
}
