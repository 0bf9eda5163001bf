//! The backbones give the features of their Python originals, see scripts/reference.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Backbone, EfficientNetLite0, ResNet18, load_torch};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Of the same order as the original's own difference between 32 and 64 bits (1.6e-5), with room for another order of
/// summation; a wrong padding or channel order moves these features by far more.
const LITE0_TOLERANCE: f64 = 1e-3;
/// The weights of the test are small, and so are the features: a wrong epsilon moves them by 9e-5 only.
const RESNET_TOLERANCE: f64 = 1e-5;

fn parity(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

fn constants(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(parity(name)).unwrap()).unwrap()
}

fn side(case: &Value, name: &str) -> usize {
    usize::try_from(case[name].as_u64().unwrap()).unwrap()
}

/// The input that the Python scripts make too.
fn input(height: usize, width: usize, device: &Device) -> Tensor<4> {
    let (mean, sd) = ([0.485_f32, 0.456, 0.406], [0.229_f32, 0.224, 0.225]);
    let mut x = Vec::new();
    for c in 0..3 {
        for h in 0..height {
            for w in 0..width {
                let whole = (h * 31 + w * 17 + c * 101 + (h * w) % 13) % 256;
                x.push((whole as f32 / 255.0 - mean[c]) / sd[c]);
            }
        }
    }
    Tensor::from_data(TensorData::new(x, [1, 3, height, width]), device)
}

/// The features by the plan for the processor.
fn planned(net: &Backbone, input: Tensor<4>) -> Tensor<2> {
    let ([_, _, height, width], device) = (input.dims(), input.device());
    let picture = input.into_data().try_to_vec::<f32>().unwrap();
    let features = net.plan().features(&[picture], [height, width]).remove(0);
    let n = features.len();
    Tensor::from_data(TensorData::new(features, [1, n]), &device)
}

fn numbers(tensor: Tensor<2>) -> Vec<f64> {
    tensor.into_data().try_to_vec::<f32>().unwrap().into_iter().map(f64::from).collect()
}

fn agrees(got: &[f64], want: &Value, tolerance: f64, what: &str) {
    let want: Vec<f64> = want.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    for (i, want) in want.iter().enumerate() {
        assert!((got[i] - want).abs() <= tolerance, "{what}[{i}]: want {want}, got {}", got[i]);
    }
}

fn check(case: &Value, features: Tensor<2>, logits: Tensor<2>, tolerance: f64) {
    let what = format!("{} x {}", case["height"], case["width"]);
    let (features, logits) = (numbers(features), numbers(logits));
    agrees(&features, &case["features_first16"], tolerance, &format!("features of {what}"));
    agrees(&logits, &case["logits_first8"], tolerance, &format!("logits of {what}"));
    let sum: f64 = features.iter().sum();
    let off = (sum - case["features_sum"].as_f64().unwrap()).abs();
    assert!(off < 100.0 * tolerance, "the sum of the features of {what} is off by {off}");
    let l2 = features.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!((l2 - case["features_l2"].as_f64().unwrap()).abs() < 10.0 * tolerance);
    // Weights made by a short formula give some classes equal logits, so the best one is known up to ties.
    let best = side(case, "logits_argmax");
    assert!(
        logits.iter().all(|&logit| logit <= logits[best] + tolerance),
        "class {best} is not the best of {what}"
    );
}

#[test]
fn efficientnet_lite0_with_the_embedded_weights_equals_its_original() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data/weights/efficientnet_lite0_imagenet.safetensors");
    let device = Device::flex();
    let mut net = EfficientNetLite0::init(&device);
    load_torch(&mut net, &weights, EfficientNetLite0::TORCH_KEYS).unwrap();
    let net = net.valid();
    let cases = constants("efficientnet_lite0.json");
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 3);
    for case in cases {
        let input = input(side(case, "height"), side(case, "width"), &device);
        let features = net.features(input.clone());
        check(case, features.clone(), net.logits(features), LITE0_TOLERANCE);
        let features = planned(&Backbone::EfficientNetLite0(net.clone()), input);
        check(case, features.clone(), net.logits(features), LITE0_TOLERANCE);
    }
}

fn unpacked(dir: &Path, name: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let packed = std::fs::File::open(parity(&format!("{name}.gz"))).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn resnet18_loads_pytorch_and_safetensors_files_and_equals_torchvision() {
    let dir = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let cases = constants("resnet18.json");
    let cases = cases["cases"].as_array().unwrap();
    let mut n_checked = 0;
    for name in ["resnet18.pth", "resnet18.safetensors"] {
        let mut net = ResNet18::init(&device);
        load_torch(&mut net, &unpacked(dir.path(), name), ResNet18::TORCH_KEYS).unwrap();
        let net = net.valid();
        for case in cases {
            let input = input(side(case, "height"), side(case, "width"), &device);
            let features = net.features(input.clone());
            check(case, features.clone(), net.logits(features), RESNET_TOLERANCE);
            let features = planned(&Backbone::ResNet18(net.clone()), input);
            check(case, features.clone(), net.logits(features), RESNET_TOLERANCE);
            n_checked += 1;
        }
    }
    assert_eq!(n_checked, 4);
}

#[test]
fn weights_of_another_network_or_no_weights_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let device = Device::flex();
    let other = unpacked(dir.path(), "resnet18.safetensors");
    let mut net = EfficientNetLite0::init(&device);
    let error = load_torch(&mut net, &other, EfficientNetLite0::TORCH_KEYS).unwrap_err().to_string();
    assert!(error.contains("resnet18.safetensors"), "{error}");
    let half = std::fs::read(&other).unwrap();
    for (name, bytes) in
        [("cut.safetensors", &half[..half.len() / 2]), ("text.pth", b"not weights".as_slice())]
    {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error =
            load_torch(&mut ResNet18::init(&device), &path, ResNet18::TORCH_KEYS).unwrap_err().to_string();
        assert!(error.contains(name) && error.lines().count() == 1, "{error}");
    }
}
