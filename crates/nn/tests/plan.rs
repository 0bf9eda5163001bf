//! Laws of a backbone made ready for the processor: it sees what the backbone sees, and always the same bits.
#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Architecture, Backbone, EfficientNetLite0, Plan, ResNet18, load_torch};
use std::path::Path;

/// Of the largest feature: single precision through twenty convolutions, of which Winograd's lose two bits each.
const TOLERANCE: f32 = 2e-5;

/// ResNet-18 with its first weights, but batch norm's numbers as after a few steps of training.
fn resnet() -> Backbone {
    let device = Device::flex().autodiff();
    device.seed(5);
    let net = Architecture::ResNet18.init(&device).train();
    for step in 0..2 {
        net.features(tensor(&pictures(4, [64, 64], step), [64, 64], &device));
    }
    net.valid()
}

fn lite() -> Backbone {
    let weights = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../data/weights/efficientnet_lite0_imagenet.safetensors");
    let mut net = EfficientNetLite0::init(&Device::flex());
    load_torch(&mut net, &weights, EfficientNetLite0::TORCH_KEYS).unwrap();
    Backbone::EfficientNetLite0(net.valid())
}

fn pictures(n: usize, [height, width]: [usize; 2], seed: usize) -> Vec<Vec<f32>> {
    let value = |i: usize, p: usize| ((i * (2 * p + 7 + seed) + i / 97) % 251) as f32 / 60.0 - 2.0;
    (0..n).map(|p| (0..3 * height * width).map(|i| value(i, p)).collect()).collect()
}

fn tensor(pictures: &[Vec<f32>], [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    Tensor::from_data(TensorData::new(pictures.concat(), [pictures.len(), 3, height, width]), device)
}

fn agree(got: &[Vec<f32>], want: Tensor<2>, what: &str) {
    let want: Vec<f32> = want.into_data().try_to_vec().unwrap();
    let got = got.concat();
    assert_eq!(got.len(), want.len());
    let largest = want.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    assert!(largest > 0.01, "{what}: features that are all zero prove nothing");
    for (i, (got, want)) in got.iter().zip(&want).enumerate() {
        assert!((got - want).abs() <= TOLERANCE * largest, "{what}[{i}]: want {want}, got {got}");
    }
}

#[test]
fn a_plan_sees_what_the_backbone_sees() {
    let mut n_checked = 0;
    for (name, net) in [("resnet18", resnet()), ("efficientnet-lite0", lite())] {
        let plan = net.plan();
        for size in [[64, 64], [96, 32], [32, 160]] {
            let pictures = pictures(3, size, 1);
            let input = tensor(&pictures, size, &Device::flex());
            agree(&plan.features(&pictures, size), net.features(input.clone()), &format!("{name} {size:?}"));
            let what = format!("stages of {name} {size:?}");
            agree(&plan.stage_means(&pictures, size), net.stage_means(input), &what);
            n_checked += 1;
        }
    }
    assert_eq!(n_checked, 6);
}

fn on_threads<T: Send>(n: usize, f: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap().install(f)
}

#[test]
fn features_are_the_same_bits_for_any_threads_and_any_batch() {
    for plan in [resnet().plan(), lite().plan()] as [Plan; 2] {
        let size = [64, 96];
        let pictures = pictures(11, size, 2);
        let all = on_threads(1, || plan.features(&pictures, size));
        for threads in [2, 3, 5] {
            assert!(on_threads(threads, || plan.features(&pictures, size)) == all, "{threads} threads");
        }
        for (i, picture) in pictures.iter().enumerate() {
            assert!(plan.features(std::slice::from_ref(picture), size)[0] == all[i], "picture {i} alone");
        }
        let turned: Vec<_> = pictures.iter().rev().cloned().collect();
        let back: Vec<_> = plan.features(&turned, size).into_iter().rev().collect();
        assert!(back == all, "the other way round");
    }
}

#[test]
fn a_plan_is_of_the_weights_that_it_was_made_of() {
    let (one, size) = (ResNet18::init(&Device::flex()), [32, 32]);
    let other = Backbone::ResNet18(ResNet18::init(&Device::flex()).valid());
    let one = Backbone::ResNet18(one.valid());
    let pictures = pictures(1, size, 3);
    assert_ne!(one.plan().features(&pictures, size), other.plan().features(&pictures, size));
}
