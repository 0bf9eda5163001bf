//! What two or more networks use: backbones with their published weights, embeddings, whitening, losses, device,
//! checkpoints.
//!
//! A backbone turns an image into a vector of features; what is learned on top of them belongs to the stages.
//! Everything runs on burn, and on the processor through faster convolutions of ours. Shapes are `[batch, channels, height, width]`, features `[batch, features]`.

mod adam;
mod augment;
mod backbone;
mod checkpoint;
mod compute;
mod device;
mod embed;
mod error;
mod labelled;
mod loss;
mod preprocess;
mod tones;
mod weights;
mod whiten;

pub use adam::Adam;
pub use augment::{Augment, augmented, varied};
pub use backbone::{Architecture, Backbone, efficientnet::EfficientNetLite0, resnet::ResNet18};
pub use checkpoint::Checkpoint;
pub use compute::Plan;
pub use device::DeviceChoice;
pub use embed::Embedder;
pub use error::Error;
pub use labelled::{Labelled, LabelledPictures};
pub use loss::{place_loss, rank_loss, stitch_loss};
pub use preprocess::{Normalise, Rgb, to_input};
pub use tones::Tones;
pub use weights::{load_torch, load_whole, save_torch, save_whole};
pub use whiten::Whitener;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;
