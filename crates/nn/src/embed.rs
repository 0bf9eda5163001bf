use crate::{Architecture, DeviceChoice, Normalise, Plan, Result, Rgb, to_input};
use rayon::prelude::*;
use std::path::Path;

/// Pictures whose inputs are in memory together.
const AT_ONCE: usize = 64;

/// A frozen backbone that turns pictures into features.
///
/// A picture's features do not depend on its neighbours, on their order or on the number of threads.
pub struct Embedder {
    plan: Plan,
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
        let plan = architecture.load(weights, &device.device())?.plan();
        Ok(Self { plan, input_px, normalise: Normalise::None })
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
        self.each(pictures, Plan::features)
    }

    /// The mean activations of pictures at the ends of the backbone's stages, as [`Backbone::stage_means`].
    ///
    /// # Errors
    /// As [`to_input`].
    pub fn stage_means(&self, pictures: &[Rgb]) -> Result<Vec<Vec<f32>>> {
        self.each(pictures, Plan::stage_means)
    }

    fn each(&self, pictures: &[Rgb], look: Look) -> Result<Vec<Vec<f32>>> {
        let side = self.input_px;
        let mut seen = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(AT_ONCE) {
            let inputs: Vec<_> =
                pictures.par_iter().map(|p| to_input(p, side, self.normalise)).collect::<Result<_>>()?;
            seen.extend(look(&self.plan, &inputs, [side, side]));
        }
        Ok(seen)
    }
}

/// What a plan can be asked for.
type Look = fn(&Plan, &[Vec<f32>], [usize; 2]) -> Vec<Vec<f32>>;
