//! EfficientNet-Lite0: EfficientNet-B0 (Tan and Le 2019, table 1) without squeeze-and-excitation, with ReLU6, as Google
//! published it for small devices. Strided convolutions pad as TensorFlow does: the odd row and column go after.

use super::spatial_mean;
use crate::compute::{Activation, Plan, Slot, Step};
use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::{Device, Tensor};

/// Kernel, stride of the first block, expansion, channels in, channels out, blocks.
const STAGES: [(usize, usize, usize, usize, usize, usize); 7] = [
    (3, 1, 1, 32, 16, 1),
    (3, 2, 6, 16, 24, 2),
    (5, 2, 6, 24, 40, 2),
    (3, 2, 6, 40, 80, 3),
    (5, 1, 6, 80, 112, 3),
    (5, 2, 6, 112, 192, 4),
    (3, 1, 6, 192, 320, 1),
];

/// The first stage of [`EfficientNetLite0::stage_means`]: before it are edges and colours of a few pixels.
const FIRST_STAGE: usize = 2;

/// TensorFlow's batch-norm constants in PyTorch's convention.
const EPSILON: f64 = 1e-3;
const MOMENTUM: f64 = 0.01;

/// An inverted bottleneck: expand 1x1, depthwise k x k, project 1x1, and the input added where shapes agree.
#[derive(Module, Debug)]
pub struct MbConv {
    expand_conv: Option<Conv2d>,
    bn0: Option<BatchNorm>,
    depthwise_conv: Conv2d,
    bn1: BatchNorm,
    project_conv: Conv2d,
    bn2: BatchNorm,
    adds_input: bool,
}

/// The whole network, its ImageNet classifier included.
#[derive(Module, Debug)]
pub struct EfficientNetLite0 {
    conv_stem: Conv2d,
    bn0: BatchNorm,
    blocks: Vec<MbConv>,
    conv_head: Conv2d,
    bn1: BatchNorm,
    fc: Linear,
}

impl EfficientNetLite0 {
    /// From the names of the published weights to ours.
    pub const TORCH_KEYS: &[(&str, &str)] = &[(r"^_", ""), (r"\._", ".")];

    /// The untrained network.
    pub fn init(device: &Device) -> Self {
        let blocks = STAGES.iter().flat_map(|&(kernel, stride, expand, n_in, n_out, n)| {
            (0..n).map(move |i| {
                let (stride, n_in) = if i == 0 { (stride, n_in) } else { (1, n_out) };
                MbConv::init(kernel, stride, expand, n_in, n_out, device)
            })
        });
        Self {
            conv_stem: conv(3, 32, 3, 2, 1, device),
            bn0: norm(32, device),
            blocks: blocks.collect(),
            conv_head: conv(320, 1280, 1, 1, 1, device),
            bn1: norm(1280, device),
            fc: LinearConfig::new(1280, 1000).init(device),
        }
    }

    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`, sides a multiple of 32
    /// - output: `[batch, 1280]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        let stem = relu6(self.bn0.forward(self.conv_stem.forward(images))); // [batch, 32, height/2, width/2]
        let deep = self.blocks.iter().fold(stem, |x, block| block.forward(x)); // [batch, 320, height/32, width/32]
        spatial_mean(relu6(self.bn1.forward(self.conv_head.forward(deep))))
    }

    /// Mean activation at the end of every stage from stride 8 on, one stage after another.
    ///
    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`, sides a multiple of 32
    /// - output: `[batch, 744]`
    pub fn stage_means(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = relu6(self.bn0.forward(self.conv_stem.forward(images))); // [batch, 32, height/2, width/2]
        let (mut means, mut blocks) = (Vec::new(), self.blocks.iter());
        for (stage, &(.., n_blocks)) in STAGES.iter().enumerate() {
            x = blocks.by_ref().take(n_blocks).fold(x, |x, block| block.forward(x));
            if stage >= FIRST_STAGE {
                means.push(spatial_mean(x.clone()));
            }
        }
        Tensor::cat(means, 1)
    }

    /// The same for the processor, frozen as it is now.
    pub(crate) fn plan(&self) -> Plan {
        let stem = Step::of(&self.conv_stem, &self.bn0, Activation::Relu6, (Slot::B, Slot::A));
        let (mut steps, mut stage_ends, mut blocks) = (Vec::new(), Vec::new(), self.blocks.iter());
        let (x, spare) = (Slot::A, Slot::C);
        for (stage, &(.., n_blocks)) in STAGES.iter().enumerate() {
            for block in blocks.by_ref().take(n_blocks) {
                let mut wide = x;
                if let (Some(conv), Some(norm)) = (&block.expand_conv, &block.bn0) {
                    steps.push(Step::of(conv, norm, Activation::Relu6, (x, Slot::B)));
                    wide = Slot::B;
                }
                steps.push(Step::of(&block.depthwise_conv, &block.bn1, Activation::Relu6, (wide, spare)));
                let project = |to| Step::of(&block.project_conv, &block.bn2, Activation::Linear, (spare, to));
                // Without a shortcut the block's input is no longer needed, and its slot takes the output.
                steps.push(if block.adds_input { project(x).adding() } else { project(x) });
            }
            if stage >= FIRST_STAGE {
                stage_ends.push(steps.len() - 1);
            }
        }
        steps.push(Step::of(&self.conv_head, &self.bn1, Activation::Relu6, (x, Slot::B)));
        Plan::of(stem, false, steps, stage_ends)
    }

    /// The ImageNet classes' logits of features.
    ///
    /// # Shapes
    /// - `features`: `[batch, 1280]`
    /// - output: `[batch, 1000]`
    pub fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        self.fc.forward(features)
    }
}

impl MbConv {
    fn init(kernel: usize, stride: usize, expand: usize, n_in: usize, n_out: usize, device: &Device) -> Self {
        let wide = n_in * expand;
        Self {
            expand_conv: (expand > 1).then(|| conv(n_in, wide, 1, 1, 1, device)),
            bn0: (expand > 1).then(|| norm(wide, device)),
            depthwise_conv: conv(wide, wide, kernel, stride, wide, device),
            bn1: norm(wide, device),
            project_conv: conv(wide, n_out, 1, 1, 1, device),
            bn2: norm(n_out, device),
            adds_input: stride == 1 && n_in == n_out,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = input.clone();
        if let (Some(conv), Some(norm)) = (&self.expand_conv, &self.bn0) {
            x = relu6(norm.forward(conv.forward(x)));
        }
        x = relu6(self.bn1.forward(self.depthwise_conv.forward(x)));
        x = self.bn2.forward(self.project_conv.forward(x));
        if self.adds_input { x + input } else { x }
    }
}

fn conv(n_in: usize, n_out: usize, kernel: usize, stride: usize, groups: usize, device: &Device) -> Conv2d {
    // For sides that the strides divide, "same" padding is kernel - stride in all, the smaller half first.
    let all = kernel - stride.min(kernel);
    let (before, after) = (all / 2, all - all / 2);
    Conv2dConfig::new([n_in, n_out], [kernel, kernel])
        .with_stride([stride, stride])
        .with_groups(groups)
        .with_padding(PaddingConfig2d::Explicit(before, before, after, after))
        .with_bias(false)
        .init(device)
}

fn norm(channels: usize, device: &Device) -> BatchNorm {
    BatchNormConfig::new(channels).with_epsilon(EPSILON).with_momentum(MOMENTUM).init(device)
}

fn relu6(x: Tensor<4>) -> Tensor<4> {
    x.clamp(0.0, 6.0)
}
