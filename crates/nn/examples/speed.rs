//! Times a backbone's inference and training on the processor, for `make bench-learning`: a line of JSON a job as the
//! peers print, with images a second over `--steps` steps after one that is not counted.

use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Distribution, Tensor};
use clap::{Parser, ValueEnum};
use nn::{Adam, Architecture, Backbone, Plan};
use std::time::Instant;

#[derive(Parser)]
struct Args {
    /// What to time; all jobs if left out
    #[arg(long)]
    job: Vec<Job>,
    #[arg(long, default_value = "resnet18")]
    backbone: Architecture,
    #[arg(long, default_value_t = 2)]
    threads: usize,
    #[arg(long, default_value_t = 224)]
    px: usize,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[arg(long, default_value_t = 5)]
    steps: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Job {
    /// Inference by the plan that programs use
    Forward,
    /// Inference through burn's own operations
    ForwardBurn,
    /// A step of training: forward, backward, Adam
    Train,
    /// The same through burn's own operations
    TrainBurn,
}

/// Gives a job's seconds.
type Time = fn(&Args, &Backbone, &Tensor<4>) -> f64;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    rayon::ThreadPoolBuilder::new().num_threads(args.threads).build_global()?;
    let device = Device::flex();
    device.seed(1);
    let net = args.backbone.init(&device).valid();
    let images = Tensor::random([args.batch, 3, args.px, args.px], Distribution::Normal(0.0, 1.0), &device);
    let jobs: [(Job, &str, Time); 4] = [
        (Job::Forward, "forward", forward),
        (Job::ForwardBurn, "forward_burn", forward_burn),
        (Job::Train, "train", |args, _, images| train(args, images, Backbone::features, Adam::new().init())),
        (Job::TrainBurn, "train_burn", |args, _, images| {
            train(args, images, features_by_burn, AdamConfig::new().init())
        }),
    ];
    for (_, name, time) in jobs.iter().filter(|(job, ..)| args.job.is_empty() || args.job.contains(job)) {
        let seconds = time(&args, &net, &images);
        let images_per_s = (args.batch * args.steps) as f64 / seconds;
        println!(
            r#"{{"job": "{}_{name}", "seconds": {seconds:.4}, "px": {}, "batch": {}, "threads": {}, "images_per_s": {images_per_s:.2}}}"#,
            args.backbone, args.px, args.batch, args.threads
        );
    }
    Ok(())
}

/// Seconds of the steps that count.
fn timed(steps: usize, mut step: impl FnMut()) -> f64 {
    step();
    let begun = Instant::now();
    (0..steps).for_each(|_| step());
    begun.elapsed().as_secs_f64()
}

fn forward(args: &Args, net: &Backbone, images: &Tensor<4>) -> f64 {
    let plan: Plan = net.plan();
    let all: Vec<f32> = images.clone().into_data().try_to_vec().expect("random numbers are 32-bit floats");
    let pictures: Vec<Vec<f32>> = all.chunks(3 * args.px * args.px).map(<[f32]>::to_vec).collect();
    timed(args.steps, || {
        std::hint::black_box(plan.features(&pictures, [args.px, args.px]));
    })
}

fn forward_burn(args: &Args, net: &Backbone, images: &Tensor<4>) -> f64 {
    timed(args.steps, || {
        std::hint::black_box(net.features(images.clone()).into_data());
    })
}

fn features_by_burn(net: &Backbone, images: Tensor<4>) -> Tensor<2> {
    match net {
        Backbone::ResNet18(net) => net.features_by_burn(images),
        Backbone::EfficientNetLite0(net) => net.features(images),
    }
}

/// What the peer trains: a backbone and one output, mean absolute error, Adam.
fn train(
    args: &Args,
    images: &Tensor<4>,
    features: impl Fn(&Backbone, Tensor<4>) -> Tensor<2>,
    mut optimiser: ModuleOptimizer,
) -> f64 {
    let device = Device::flex().autodiff();
    let data = images.clone().into_data();
    let images = Tensor::<4>::from_data(data, &device);
    let wanted = Tensor::random([args.batch, 1], Distribution::Uniform(0.0, 1.0), &device);
    let head = LinearConfig::new(args.backbone.n_features(), 1).init(&device);
    let mut net = Some(Net { backbone: args.backbone.init(&device).train(), head });
    timed(args.steps, || {
        let before = net.take().expect("every step puts a network back");
        let scores = before.head.forward(features(&before.backbone, images.clone()));
        let loss = (scores - wanted.clone()).abs().mean();
        let grads = GradientsParams::from_grads(loss.backward(), &before);
        net = Some(optimiser.step(1e-4, before, grads));
    })
}

#[derive(Module, Debug)]
struct Net {
    backbone: Backbone,
    head: Linear,
}
