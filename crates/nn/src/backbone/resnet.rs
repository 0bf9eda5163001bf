//! ResNet-18 (He et al. 2016, table 1), with torchvision's layout and names.

use super::spatial_mean;
use crate::compute::{Activation, Plan, Slot, Step};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

/// Two 3x3 convolutions and the input added.
#[derive(Module, Debug)]
pub struct BasicBlock {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: Conv2d,
    bn2: BatchNorm,
    downsample: Option<Downsample>,
}

/// The 1x1 convolution that brings the input to the block's shape.
#[derive(Module, Debug)]
pub struct Downsample {
    conv: Conv2d,
    bn: BatchNorm,
}

/// The whole network, its ImageNet classifier included.
#[derive(Module, Debug)]
pub struct ResNet18 {
    conv1: Conv2d,
    bn1: BatchNorm,
    maxpool: MaxPool2d,
    layer1: Vec<BasicBlock>,
    layer2: Vec<BasicBlock>,
    layer3: Vec<BasicBlock>,
    layer4: Vec<BasicBlock>,
    fc: Linear,
}

impl ResNet18 {
    /// From torchvision's names to ours.
    pub const TORCH_KEYS: &[(&str, &str)] =
        &[(r"downsample\.0", "downsample.conv"), (r"downsample\.1", "downsample.bn")];

    /// The untrained network.
    pub fn init(device: &Device) -> Self {
        let layer = |n_in, n_out, stride| {
            vec![BasicBlock::init(n_in, n_out, stride, device), BasicBlock::init(n_out, n_out, 1, device)]
        };
        Self {
            conv1: conv(3, 64, 7, 2, device),
            bn1: BatchNormConfig::new(64).init(device),
            maxpool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            layer1: layer(64, 64, 1),
            layer2: layer(64, 128, 2),
            layer3: layer(128, 256, 2),
            layer4: layer(256, 512, 2),
            fc: LinearConfig::new(512, 1000).init(device),
        }
    }

    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`
    /// - output: `[batch, 512]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        match super::trained::features(&images, &self.units()) {
            Some(features) => features,
            None => self.features_by_burn(images),
        }
    }

    /// As [`ResNet18::features`], through burn's operations alone: what others are checked against.
    pub fn features_by_burn(&self, images: Tensor<4>) -> Tensor<2> {
        let stem = self.maxpool.forward(relu(self.bn1.forward(self.conv1.forward(images)))); // [batch, 64, height/4, width/4]
        let blocks = [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten();
        let deep = blocks.fold(stem, |x, block| block.forward(x)); // [batch, 512, height/32, width/32]
        spatial_mean(deep)
    }

    /// Mean activation at the end of every stage from stride 8 on, one stage after another.
    ///
    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`
    /// - output: `[batch, 896]`
    pub fn stage_means(&self, images: Tensor<4>) -> Tensor<2> {
        let stem = self.maxpool.forward(relu(self.bn1.forward(self.conv1.forward(images)))); // [batch, 64, height/4, width/4]
        let mut x = self.layer1.iter().fold(stem, |x, block| block.forward(x));
        let means = [&self.layer2, &self.layer3, &self.layer4].map(|stage| {
            x = stage.iter().fold(x.clone(), |x, block| block.forward(x));
            spatial_mean(x.clone())
        });
        Tensor::cat(means.into(), 1)
    }

    /// Every convolution with its batch norm; a block's shortcut stands between its two.
    fn units(&self) -> Vec<(&Conv2d, &BatchNorm)> {
        let mut units = vec![(&self.conv1, &self.bn1)];
        for block in [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().flatten() {
            units.push((&block.conv1, &block.bn1));
            units.extend(block.downsample.iter().map(|down| (&down.conv, &down.bn)));
            units.push((&block.conv2, &block.bn2));
        }
        units
    }

    /// The same for the processor, frozen as it is now.
    pub(crate) fn plan(&self) -> Plan {
        let stem = Step::of(&self.conv1, &self.bn1, Activation::Relu, (Slot::B, Slot::A));
        let (mut steps, mut stage_ends) = (Vec::new(), Vec::new());
        let (mut x, mut spare) = (Slot::A, Slot::C);
        for (stage, blocks) in
            [&self.layer1, &self.layer2, &self.layer3, &self.layer4].into_iter().enumerate()
        {
            for block in blocks {
                steps.push(Step::of(&block.conv1, &block.bn1, Activation::Relu, (x, Slot::B)));
                if let Some(down) = &block.downsample {
                    steps.push(Step::of(&down.conv, &down.bn, Activation::Linear, (x, spare)));
                    (x, spare) = (spare, x);
                }
                steps.push(Step::of(&block.conv2, &block.bn2, Activation::Relu, (Slot::B, x)).adding());
            }
            if stage > 0 {
                stage_ends.push(steps.len() - 1);
            }
        }
        Plan::of(stem, true, steps, stage_ends)
    }

    /// The ImageNet classes' logits of features.
    ///
    /// # Shapes
    /// - `features`: `[batch, 512]`
    /// - output: `[batch, 1000]`
    pub fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        self.fc.forward(features)
    }
}

impl BasicBlock {
    fn init(n_in: usize, n_out: usize, stride: usize, device: &Device) -> Self {
        let norm = || BatchNormConfig::new(n_out).init(device);
        Self {
            conv1: conv(n_in, n_out, 3, stride, device),
            bn1: norm(),
            conv2: conv(n_out, n_out, 3, 1, device),
            bn2: norm(),
            downsample: (stride != 1 || n_in != n_out)
                .then(|| Downsample { conv: conv(n_in, n_out, 1, stride, device), bn: norm() }),
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(input.clone())));
        let x = self.bn2.forward(self.conv2.forward(x));
        let shortcut = match &self.downsample {
            Some(down) => down.bn.forward(down.conv.forward(input)),
            None => input,
        };
        relu(x + shortcut)
    }
}

fn conv(n_in: usize, n_out: usize, kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new([n_in, n_out], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .with_bias(false)
        .init(device)
}
