//! Soft-max regression on soft targets: cross-entropy with a pull of the weights towards zero.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};

/// How to fit.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Weight of the sum of squares of the weights (of standardised features) in the loss.
    pub weight_decay: f64,
    /// Steps over all rows.
    pub steps: usize,
    /// Step length of Adam.
    pub learning_rate: f64,
}

impl Default for Fit {
    fn default() -> Self {
        Self { weight_decay: 0.1, steps: 200, learning_rate: 0.01 }
    }
}

/// A fitted head on raw features.
pub struct Head {
    /// `[class][feature]`
    pub weight: Vec<Vec<f32>>,
    /// `[class]`
    pub bias: Vec<f32>,
}

impl Head {
    /// The class probabilities of a row of features.
    pub fn probabilities(&self, row: &[f32]) -> Vec<f32> {
        let dot = |w: &Vec<f32>| w.iter().zip(row).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let logits: Vec<f64> =
            self.weight.iter().zip(&self.bias).map(|(w, b)| dot(w) + f64::from(*b)).collect();
        let top = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let raised: Vec<f64> = logits.iter().map(|l| (l - top).exp()).collect();
        let sum: f64 = raised.iter().sum();
        raised.into_iter().map(|r| (r / sum) as f32).collect()
    }
}

/// Fits a head to the rows whose numbers are given, repeats counting as often as they come.
pub fn fit(features: &[Vec<f32>], targets: &[Vec<f32>], rows: &[usize], settings: &Fit) -> Head {
    let (n_features, n_classes) = (features[0].len(), targets[0].len());
    let (mean, sd) = moments(features, rows);
    let standard = |i: &usize| {
        features[*i].iter().zip(mean.iter().zip(&sd)).map(|(x, (m, s))| (x - m) / s).collect::<Vec<_>>()
    };
    let x: Vec<f32> = rows.iter().flat_map(standard).collect();
    let y: Vec<f32> = rows.iter().flat_map(|&i| targets[i].iter().copied()).collect();
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::from_data(TensorData::new(x, [rows.len(), n_features]), &device);
    let y = Tensor::<2>::from_data(TensorData::new(y, [rows.len(), n_classes]), &device);
    let mut model = zeros(n_features, n_classes, &device);
    let mut adam = AdamConfig::new().init();
    for _ in 0..settings.steps {
        let logits = model.forward(x.clone());
        let entropy = (log_softmax(logits, 1) * y.clone()).sum().neg() / rows.len() as f64;
        let pull = model.weight.val().powf_scalar(2.0).sum() * settings.weight_decay;
        let grads = GradientsParams::from_grads((entropy + pull).backward(), &model);
        model = adam.step(settings.learning_rate, model, grads);
    }
    unstandardised(&model.valid(), &mean, &sd)
}

fn zeros(n_features: usize, n_classes: usize, device: &Device) -> Linear {
    let mut model = LinearConfig::new(n_features, n_classes).init(device);
    model.weight = Param::from_tensor(Tensor::zeros([n_features, n_classes], device));
    model.bias = Some(Param::from_tensor(Tensor::zeros([n_classes], device)));
    model
}

fn moments(features: &[Vec<f32>], rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
    let n = rows.len() as f64;
    let of = |j: usize| {
        let mean = rows.iter().map(|&i| f64::from(features[i][j])).sum::<f64>() / n;
        let variance = rows.iter().map(|&i| (f64::from(features[i][j]) - mean).powi(2)).sum::<f64>() / n;
        (mean as f32, variance.sqrt().max(1e-3) as f32)
    };
    (0..features[0].len()).map(of).unzip()
}

/// The same head for features that were not standardised.
fn unstandardised(model: &Linear, mean: &[f32], sd: &[f32]) -> Head {
    let flat: Vec<f32> = model.weight.val().into_data().try_to_vec().expect("32-bit floats on this device"); // [feature][class]
    let raw = model
        .bias
        .as_ref()
        .map(|b| b.val().into_data().try_to_vec::<f32>().expect("32-bit floats on this device"));
    let raw = raw.unwrap_or_default();
    let n_classes = raw.len();
    let weight: Vec<Vec<f32>> =
        (0..n_classes).map(|c| (0..sd.len()).map(|j| flat[j * n_classes + c] / sd[j]).collect()).collect();
    let shift = |w: &Vec<f32>| w.iter().zip(mean).map(|(w, m)| f64::from(w * m)).sum::<f64>();
    let bias = weight.iter().zip(raw).map(|(w, b)| (f64::from(b) - shift(w)) as f32).collect();
    Head { weight, bias }
}

/// The place of the largest value; the first of equal ones.
pub fn argmax(values: &[f32]) -> usize {
    let best = values.iter().enumerate().reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(0, |(place, _)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_learns_a_line_between_two_classes_and_keeps_soft_targets_soft() {
        let features: Vec<Vec<f32>> = (0..40).map(|i| vec![i as f32, 5.0]).collect();
        let targets: Vec<Vec<f32>> =
            (0..40).map(|i| if i < 20 { vec![1.0, 0.0] } else { vec![0.0, 1.0] }).collect();
        let rows: Vec<usize> = (0..40).collect();
        let settings = Fit { weight_decay: 1e-3, ..Fit::default() };
        let head = fit(&features, &targets, &rows, &settings);
        assert!(head.probabilities(&[3.0, 5.0])[0] > 0.9);
        assert!(head.probabilities(&[36.0, 5.0])[1] > 0.9);
        let soft = fit(&features, &vec![vec![0.3, 0.7]; 40], &rows, &settings);
        assert!((soft.probabilities(&[11.0, 5.0])[0] - 0.3).abs() < 0.02);
    }
}
