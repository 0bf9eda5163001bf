use crate::{Architecture, Backbone, DeviceChoice, Normalise, Plan, Result, Rgb, to_input};
#[cfg(any(feature = "vulkan", feature = "cuda"))]
use burn::module::Module;
use rayon::prelude::*;
use std::path::Path;

/// Pictures whose inputs are in memory together.
const AT_ONCE: usize = 64;

/// A frozen backbone that turns pictures into features.
///
/// On the processor, a picture's features do not depend on its neighbours, on their order or on the number of threads; on a
/// card each picture goes through with those beside it, which may move the last bits.
pub struct Embedder {
    eye: Eye,
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
        Self::of(&architecture.load(weights, &device.device())?, input_px, device)
    }

    /// A backbone that lies on this device, frozen as it is now.
    ///
    /// # Errors
    /// If the side is no multiple of 32.
    pub fn of(backbone: &Backbone, input_px: usize, device: DeviceChoice) -> Result<Self> {
        crate::backbone::check_side(input_px)?;
        let eye = match device {
            DeviceChoice::Cpu => Eye::Plan(backbone.plan()),
            #[cfg(any(feature = "vulkan", feature = "cuda"))]
            _ => Eye::Card(Box::new(backbone.valid()), device.device()),
        };
        Ok(Self { eye, input_px, normalise: Normalise::None })
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
        self.each(pictures, Wanted::Features)
    }

    /// The mean activations of pictures at the ends of the backbone's stages, as [`Backbone::stage_means`].
    ///
    /// # Errors
    /// As [`to_input`].
    pub fn stage_means(&self, pictures: &[Rgb]) -> Result<Vec<Vec<f32>>> {
        self.each(pictures, Wanted::StageMeans)
    }

    fn each(&self, pictures: &[Rgb], wanted: Wanted) -> Result<Vec<Vec<f32>>> {
        let side = self.input_px;
        let mut seen = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(AT_ONCE) {
            let inputs: Vec<_> =
                pictures.par_iter().map(|p| to_input(p, side, self.normalise)).collect::<Result<_>>()?;
            seen.extend(self.eye.look(&inputs, side, wanted));
        }
        Ok(seen)
    }
}

/// What a backbone can be asked for.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Features,
    StageMeans,
}

/// What looks at pictures.
enum Eye {
    Plan(Plan),
    #[cfg(any(feature = "vulkan", feature = "cuda"))]
    Card(Box<Backbone>, burn::tensor::Device),
}

impl Eye {
    fn look(&self, inputs: &[Vec<f32>], side: usize, wanted: Wanted) -> Vec<Vec<f32>> {
        match (self, wanted) {
            (Self::Plan(plan), Wanted::Features) => plan.features(inputs, [side, side]),
            (Self::Plan(plan), Wanted::StageMeans) => plan.stage_means(inputs, [side, side]),
            #[cfg(any(feature = "vulkan", feature = "cuda"))]
            (Self::Card(backbone, device), wanted) => {
                use burn::tensor::{Tensor, TensorData};
                let data = TensorData::new(inputs.concat(), [inputs.len(), 3, side, side]);
                let images = Tensor::<4>::from_data(data, device);
                let seen = match wanted {
                    Wanted::Features => backbone.features(images),
                    Wanted::StageMeans => backbone.stage_means(images),
                };
                let [_, width] = seen.dims();
                let seen: Vec<f32> = seen.into_data().try_to_vec().expect("features are 32-bit floats");
                seen.chunks(width).map(<[f32]>::to_vec).collect()
            }
        }
    }
}
