//! Training ResNet-18 through our own operation gives the gradients of burn's autodiff, and the same bits on any threads.
#![allow(clippy::unwrap_used)]

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Adam, Checkpoint, ResNet18};

/// Length of the difference of gradients by the length of the gradient: single precision through forty operations of
/// which Winograd's lose two bits each, and norms of few pixels.
const GRADIENT_TOLERANCE: f64 = 2e-3;
/// The same where activations cut: numbers next to zero are cut on one side and not on the other, and each is a whole
/// path. PyTorch's own gradients move by .03 when its activations move by 1e-5.
const CUT_TOLERANCE: f64 = 0.1;
/// Of the largest feature or statistic.
const FEATURE_TOLERANCE: f32 = 1e-4;

/// So large that tiles are worth while in the first stages and not in the last.
const SIZE: [usize; 2] = [64, 96];
const N: usize = 7;

/// Two networks of the same numbers that share nothing. Tests run beside each other, so a seed would not make them equal.
fn twins(device: &Device) -> (ResNet18, ResNet18) {
    let one = ResNet18::init(device).train();
    let other = ResNet18::init(device).try_load_record(one.clone().into_record()).unwrap().train();
    (one, other)
}

/// Noise: pictures that resemble each other leave the norms little to divide by.
fn images(n: usize, [height, width]: [usize; 2], device: &Device) -> Tensor<4> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64 ^ (n as u64);
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let x: Vec<f32> = (0..n * 3 * height * width).map(|_| 2.0 * draw()).collect();
    Tensor::from_data(TensorData::new(x, [n, 3, height, width]), device)
}

/// A loss that asks something else of each feature of each picture.
fn loss(features: Tensor<2>) -> Tensor<1> {
    let [n, width] = features.dims();
    let weights: Vec<f32> = (0..n * width).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let weights = Tensor::<2>::from_data(TensorData::new(weights, [n, width]), &features.device());
    (features * weights).sum()
}

/// Names and numbers of a module's gradients.
fn gradients(net: &ResNet18, features: Tensor<2>) -> Vec<(String, Vec<f32>)> {
    let grads = loss(features).backward();
    let mut found =
        Found { grads: GradientsParams::from_grads(grads, net), all: Vec::new(), path: Vec::new() };
    net.visit(&mut found);
    found.all
}

struct Found {
    grads: GradientsParams,
    all: Vec<(String, Vec<f32>)>,
    path: Vec<String>,
}

impl ModuleVisitor for Found {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = self.grads.remove::<D>(param.id) {
            self.all.push((self.path.join("."), grad.into_data().try_to_vec().unwrap()));
        }
    }
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
}

fn close(got: Tensor<2>, want: Tensor<2>, what: &str) {
    let [got, want] = [got, want].map(|t| t.into_data().try_to_vec::<f32>().unwrap());
    let largest = want.iter().fold(0.0_f32, |m, x| m.max(x.abs()));
    let off = got.iter().zip(&want).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off <= FEATURE_TOLERANCE * largest, "{what}: off by {off} of {largest}");
}

/// Shifts that lift nearly every number over zero, so that the network is smooth.
struct Lift;

impl ModuleMapper for Lift {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| {
            let numbers: Vec<f32> = tensor.to_data().try_to_vec().unwrap();
            let lifted = if D == 1 && numbers.iter().all(|&x| x == 0.0) { tensor + 8.0 } else { tensor };
            lifted.detach().require_grad()
        })
    }
}

fn compare((ours, theirs): (ResNet18, ResNet18), tolerance: f64) {
    let x = images(N, SIZE, &Device::flex().autodiff());
    let (by_us, by_burn) = (ours.features(x.clone()), theirs.features_by_burn(x.clone()));
    close(by_us.clone(), by_burn.clone(), "features");
    let (got, want) = (gradients(&ours, by_us), gradients(&theirs, by_burn));
    assert_eq!((got.len(), want.len()), (60, 60));
    for ((name, got), (_, want)) in got.iter().zip(&want) {
        let length = |v: &mut dyn Iterator<Item = f64>| v.map(|x| x * x).sum::<f64>().sqrt();
        let off = length(&mut got.iter().zip(want).map(|(a, b)| f64::from(a - b)));
        let whole = length(&mut want.iter().map(|&x| f64::from(x)));
        assert!(off <= tolerance * whole, "{name}: {off} of {whole}");
    }
    let still = images(2, SIZE, &Device::flex());
    close(ours.valid().features(still.clone()), theirs.valid().features(still), "running statistics");
}

#[test]
fn gradients_and_running_statistics_are_those_of_burns_autodiff() {
    let device = Device::flex().autodiff();
    compare(twins(&device), CUT_TOLERANCE);
}

#[test]
fn gradients_of_a_smooth_network_are_those_of_burns_autodiff_closely() {
    let device = Device::flex().autodiff();
    let (ours, theirs) = twins(&device);
    compare((ours.map(&mut Lift), theirs.map(&mut Lift)), GRADIENT_TOLERANCE);
}

#[test]
fn gradients_are_the_same_bits_for_any_number_of_threads() {
    let device = Device::flex().autodiff();
    let net = ResNet18::init(&device).train();
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| gradients(&net, net.features(images(N, SIZE, &device))))
    };
    let first = run(1);
    for threads in [2, 3, 5] {
        assert!(run(threads) == first, "{threads} threads");
    }
}

#[test]
fn frozen_statistics_and_images_that_want_gradients_go_through_burn() {
    let device = Device::flex().autodiff();
    let net = ResNet18::init(&device).train();
    let x = images(2, [32, 32], &device).require_grad();
    let grads = loss(net.features(x.clone())).backward();
    assert!(x.grad(&grads).is_some(), "the images' own gradient");
    let (net, frozen) = twins(&device);
    let (frozen, x) = (frozen.freeze(), images(2, [32, 32], &device));
    close(frozen.features(x.clone()).inner(), net.valid().features(x.inner()), "frozen");
}

fn trained(mut optimiser: ModuleOptimizer, steps: usize) -> (Vec<f32>, ModuleOptimizer) {
    let device = Device::flex().autodiff();
    let weights: Vec<f32> = (0..1200).map(|i| ((i * 29) % 83) as f32 / 83.0 - 0.5).collect();
    let mut model: Linear = LinearConfig::new(40, 30).with_bias(false).init(&device);
    model.weight = Param::from_tensor(Tensor::from_data(TensorData::new(weights, [40, 30]), &device));
    for step in 0..steps {
        let x: Vec<f32> = (0..80).map(|i| ((i * 7 + step * 3) % 23) as f32 / 11.0 - 1.0).collect();
        let x = Tensor::<2>::from_data(TensorData::new(x, [2, 40]), &device);
        let grads = GradientsParams::from_grads(model.forward(x).powf_scalar(2.0).mean().backward(), &model);
        model = optimiser.step(0.01, model, grads);
    }
    (model.weight.val().into_data().try_to_vec().unwrap(), optimiser)
}

#[test]
fn our_adam_gives_the_bits_of_burns() {
    for steps in [1, 2, 30] {
        assert!(
            trained(Adam::new().init(), steps).0 == trained(AdamConfig::new().init(), steps).0,
            "{steps}"
        );
    }
    let ours = trained(Adam::new().with_weight_decay(0.1).init(), 20).0;
    let theirs = trained(AdamWConfig::new().with_weight_decay(0.1).init(), 20).0;
    let off = ours.iter().zip(&theirs).fold(0.0_f32, |m, (a, b)| m.max((a - b).abs()));
    assert!(off < 1e-6, "AdamW: off by {off}");
}

/// Steps of a network with batch norms.
fn stepped(
    (mut net, mut optimiser): (ResNet18, ModuleOptimizer),
    steps: std::ops::Range<usize>,
) -> (ResNet18, ModuleOptimizer) {
    let device = Device::flex().autodiff();
    for step in steps {
        let grads = loss(net.features(images(2 + step, [32, 32], &device))).backward();
        let grads = GradientsParams::from_grads(grads, &net);
        net = optimiser.step(0.001, net, grads);
    }
    (net, optimiser)
}

#[test]
fn a_network_that_goes_on_from_a_checkpoint_has_the_same_bits_and_running_statistics() {
    let device = Device::flex().autodiff();
    let (one, other) = twins(&device);
    let optimiser = || Adam::new().init();
    let (unbroken, _) = stepped((one, optimiser()), 0..5);
    let (half, half_optimiser) = stepped((other, optimiser()), 0..3);
    let saved = Checkpoint::of(3, "run", &half, &half_optimiser).unwrap();
    let (net, restored) = saved.restore(ResNet18::init(&device).train(), optimiser()).unwrap();
    let (resumed, _) = stepped((net.train(), restored), 3..5);
    let still = images(2, SIZE, &Device::flex());
    let of = |net: &ResNet18| {
        let features = net.valid().features(still.clone());
        features.into_data().try_to_vec::<f32>().unwrap()
    };
    assert!(of(&resumed) == of(&unbroken));
}
