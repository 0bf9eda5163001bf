use crate::{Architecture, Backbone, DeviceChoice, Normalise, Result, Rgb, to_input};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use std::path::Path;

/// A frozen backbone that turns pictures into features.
///
/// Each picture goes through alone, many at a time over threads, so its features do not depend on its neighbours, on
/// their order or on the number of threads.
pub struct Embedder {
    backbone: Backbone,
    device: Device,
    input_px: usize,
    normalise: Normalise,
}

impl Embedder {
    /// Loads published weights; pictures are resampled to `input_px` on a side.
    ///
    /// # Errors
    /// If the weights cannot be read or the side is no multiple of 32.
    pub fn load(
        architecture: Architecture,
        weights: &Path,
        input_px: usize,
        device: DeviceChoice,
    ) -> Result<Self> {
        crate::backbone::check_side(input_px)?;
        let device = device.device();
        Ok(Self {
            backbone: architecture.load(weights, &device)?,
            device,
            input_px,
            normalise: Normalise::None,
        })
    }

    /// The same backbone, that sees pictures after this change of their light.
    pub fn normalising(self, normalise: Normalise) -> Self {
        Self { normalise, ..self }
    }

    /// The features of pictures, one vector each, in their order. `[picture][feature]`
    ///
    /// # Errors
    /// As [`to_input`].
    pub fn embed(&self, pictures: &[Rgb]) -> Result<Vec<Vec<f32>>> {
        self.each(pictures, |input| self.backbone.features(input))
    }

    /// The mean activations of pictures at the ends of the backbone's stages, as [`Backbone::stage_means`].
    ///
    /// # Errors
    /// As [`to_input`].
    pub fn stage_means(&self, pictures: &[Rgb]) -> Result<Vec<Vec<f32>>> {
        self.each(pictures, |input| self.backbone.stage_means(input))
    }

    fn each(&self, pictures: &[Rgb], look: impl Fn(Tensor<4>) -> Tensor<2> + Sync) -> Result<Vec<Vec<f32>>> {
        let side = self.input_px;
        let one = |picture: &Rgb| {
            let data = TensorData::new(to_input(picture, side, self.normalise)?, [1, 3, side, side]);
            let seen = look(Tensor::<4>::from_data(data, &self.device));
            Ok(seen.into_data().try_to_vec().expect("features are 32-bit floats on this device"))
        };
        pictures.par_iter().map(one).collect()
    }
}
