//! Backbones: images to features.

pub mod efficientnet;
pub mod resnet;
mod trained;

use crate::compute::Plan;
use crate::{Error, Result, load_torch};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use efficientnet::EfficientNetLite0;
use resnet::ResNet18;
use std::path::Path;
use std::str::FromStr;

/// Which backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// EfficientNet-Lite0, 1280 features.
    EfficientNetLite0,
    /// ResNet-18, 512 features.
    ResNet18,
}

impl FromStr for Architecture {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "efficientnet-lite0" => Ok(Self::EfficientNetLite0),
            "resnet18" => Ok(Self::ResNet18),
            _ => Err("want efficientnet-lite0 or resnet18".into()),
        }
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::EfficientNetLite0 => "efficientnet-lite0",
            Self::ResNet18 => "resnet18",
        })
    }
}

impl Architecture {
    /// Length of a feature vector.
    pub fn n_features(self) -> usize {
        match self {
            Self::EfficientNetLite0 => 1280,
            Self::ResNet18 => 512,
        }
    }

    /// Length of a vector of [`Backbone::stage_means`].
    pub fn n_stage_means(self) -> usize {
        match self {
            Self::EfficientNetLite0 => 40 + 80 + 112 + 192 + 320,
            Self::ResNet18 => 128 + 256 + 512,
        }
    }

    /// An untrained backbone, reproducible after `device.seed(…)`.
    pub fn init(self, device: &Device) -> Backbone {
        match self {
            Self::EfficientNetLite0 => Backbone::EfficientNetLite0(EfficientNetLite0::init(device)),
            Self::ResNet18 => Backbone::ResNet18(ResNet18::init(device)),
        }
    }

    /// The backbone with published weights: `.safetensors`, or PyTorch's `.pth`/`.pt`.
    ///
    /// # Errors
    /// [`Error::Content`] if the file is no such file, or a tensor is missing or of another shape.
    pub fn load(self, path: &Path, device: &Device) -> Result<Backbone> {
        Ok(match self {
            Self::EfficientNetLite0 => {
                let mut net = EfficientNetLite0::init(device);
                load_torch(&mut net, path, EfficientNetLite0::TORCH_KEYS)?;
                Backbone::EfficientNetLite0(net.valid())
            }
            Self::ResNet18 => {
                let mut net = ResNet18::init(device);
                load_torch(&mut net, path, ResNet18::TORCH_KEYS)?;
                Backbone::ResNet18(net.valid())
            }
        })
    }
}

/// A backbone: images to globally averaged features.
// A program holds one backbone, so the difference in size costs nothing.
#[allow(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum Backbone {
    /// EfficientNet-Lite0.
    EfficientNetLite0(EfficientNetLite0),
    /// ResNet-18.
    ResNet18(ResNet18),
}

impl Backbone {
    /// This backbone, frozen as it is now, for fast inference on the processor.
    pub fn plan(&self) -> Plan {
        match self {
            Self::EfficientNetLite0(net) => net.plan(),
            Self::ResNet18(net) => net.plan(),
        }
    }

    /// Globally averaged features of images normalised as ImageNet is.
    ///
    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`, sides a multiple of 32
    /// - output: `[batch, features]`
    pub fn features(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::EfficientNetLite0(net) => net.features(images),
            Self::ResNet18(net) => net.features(images),
        }
    }

    /// Mean activation at the end of every stage from stride 8 on, one stage after another: finer texture than
    /// [`Backbone::features`] knows, and less of ImageNet's things.
    ///
    /// # Shapes
    /// - `images`: `[batch, 3, height, width]`, sides a multiple of 32
    /// - output: `[batch, stage means]`
    pub fn stage_means(&self, images: Tensor<4>) -> Tensor<2> {
        match self {
            Self::EfficientNetLite0(net) => net.stage_means(images),
            Self::ResNet18(net) => net.stage_means(images),
        }
    }
}

/// `[batch, channels, height, width]` to `[batch, channels]`
fn spatial_mean(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, height, width] = x.dims();
    x.reshape([batch, channels, height * width]).mean_dim(2).reshape([batch, channels])
}

/// Refuses an input side that the backbones' strides do not divide.
///
/// # Errors
/// [`Error::Unfit`] naming the side.
pub(crate) fn check_side(px: usize) -> Result<()> {
    if px >= 32 && px.is_multiple_of(32) {
        return Ok(());
    }
    Err(Error::Unfit(format!("want an input side that is a multiple of 32 px and at least 32, got {px}")))
}
