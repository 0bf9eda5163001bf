//! Laws of embedding and of checkpoints.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Architecture, Checkpoint, DeviceChoice, Embedder, Rgb};
use std::path::Path;
use std::time::Instant;

fn picture(seed: usize) -> Rgb {
    let bytes: Vec<u8> = (0..3 * 96 * 96).map(|i| ((i * (seed + 3)) % 251) as u8).collect();
    Rgb::from_bands(&bytes, 96).unwrap()
}

#[test]
fn a_pictures_features_do_not_depend_on_its_neighbours_or_their_order() {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data/weights/efficientnet_lite0_imagenet.safetensors");
    let embedder = Embedder::load(Architecture::EfficientNetLite0, &weights, 96, DeviceChoice::Cpu).unwrap();
    let pictures: Vec<Rgb> = (0..24).map(picture).collect();
    let begun = Instant::now();
    let all = embedder.embed(&pictures).unwrap();
    println!("24 pictures of 96 px: {:.2} s", begun.elapsed().as_secs_f64());
    assert_eq!(all[0].len(), 1280);
    for (i, picture) in pictures.iter().enumerate().rev().step_by(5) {
        assert_eq!(embedder.embed(std::slice::from_ref(picture)).unwrap()[0], all[i]);
    }
    assert_ne!(all[0], all[1]);
}

fn batch(step: u64, device: &Device) -> Tensor<2> {
    let x: Vec<f32> = (0..12).map(|i| ((step * 7 + i) % 11) as f32 / 11.0).collect();
    Tensor::from_data(TensorData::new(x, [4, 3]), device)
}

fn train(
    mut model: Linear,
    mut optimiser: ModuleOptimizer,
    steps: std::ops::Range<u64>,
) -> (Linear, ModuleOptimizer) {
    let device = Device::flex().autodiff();
    for step in steps {
        let loss = model.forward(batch(step, &device)).powf_scalar(2.0).mean();
        let grads = GradientsParams::from_grads(loss.backward(), &model);
        model = optimiser.step(0.01, model, grads);
    }
    (model, optimiser)
}

fn weights(model: &Linear) -> Vec<f32> {
    model.weight.val().into_data().try_to_vec().unwrap()
}

#[test]
fn training_resumed_from_a_checkpoint_equals_unbroken_training() {
    let device = Device::flex().autodiff();
    device.seed(3);
    let (start, optimiser) = (LinearConfig::new(3, 2).init(&device), AdamWConfig::new().init());
    let first = weights(&start);
    let (unbroken, _) = train(start.clone(), optimiser.clone(), 0..20);
    let (half, half_optimiser) = train(start, optimiser, 0..9);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ckpt");
    Checkpoint::of(9, "run a", &half, &half_optimiser).unwrap().write(&path).unwrap();
    assert!(Checkpoint::read(&path, "run b").is_none(), "another run's checkpoint must not be taken up");
    let saved = Checkpoint::read(&path, "run a").unwrap();
    assert_eq!(saved.step, 9);
    device.seed(99);
    let fresh = LinearConfig::new(3, 2).init(&device);
    let (model, optimiser) = saved.restore(fresh, AdamWConfig::new().init()).unwrap();
    let (resumed, _) = train(model.train(), optimiser, 9..20);
    assert_ne!(weights(&unbroken), first);
    assert_eq!(weights(&resumed), weights(&unbroken));
}

#[test]
fn a_damaged_checkpoint_is_as_none() {
    let device = Device::flex().autodiff();
    let (model, optimiser) = train(LinearConfig::new(3, 2).init(&device), AdamWConfig::new().init(), 0..2);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ckpt");
    Checkpoint::of(2, "run", &model, &optimiser).unwrap().write(&path).unwrap();
    let good = std::fs::read(&path).unwrap();
    assert!(Checkpoint::read(&path, "run").is_some());
    for at in [0, 9, 45, good.len() / 2, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        assert!(Checkpoint::read(&path, "run").is_none(), "byte {at} flipped");
        std::fs::write(&path, &good[..at]).unwrap();
        assert!(Checkpoint::read(&path, "run").is_none(), "cut at {at}");
    }
}
