use crate::{Architecture, Backbone, DeviceChoice, Result, Rgb, to_input};
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
        Ok(Self { backbone: architecture.load(weights, &device)?, device, input_px })
    }

    /// The features of pictures, one vector each, in their order. `[picture][feature]`
    ///
    /// # Errors
    /// As [`to_input`].
    pub fn embed(&self, pictures: &[Rgb]) -> Result<Vec<Vec<f32>>> {
        pictures.par_iter().map(|picture| self.embed_one(picture)).collect()
    }

    fn embed_one(&self, picture: &Rgb) -> Result<Vec<f32>> {
        let data = TensorData::new(to_input(picture, self.input_px)?, [1, 3, self.input_px, self.input_px]);
        let features = self.backbone.features(Tensor::<4>::from_data(data, &self.device));
        Ok(features.into_data().try_to_vec().expect("features are 32-bit floats on this device"))
    }
}
