//! ResNet-18 under autodiff on the processor: one operation for the whole network, forward and backward of our own.

use crate::compute::{Moments, PARAMETERS, Trace};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{Autodiff, Flex, TensorMetadata};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Device, Tensor, TensorData};
use std::sync::{Arc, Mutex};

/// The features of images by units of a convolution and its batch norm, in the order of [`Trace`]; or nothing where this
/// operation does not apply: another device, no gradients, frozen statistics, or images that want gradients themselves.
pub(super) fn features(images: &Tensor<4>, units: &[(&Conv2d, &BatchNorm)]) -> Option<Tensor<2>> {
    let device = images.device();
    let trains = units.iter().all(|(_, norm)| norm.training.is_enabled());
    if !trains || !device.is_autodiff() || device != Device::flex() {
        return None;
    }
    let epsilon = units.first()?.1.epsilon;
    let pictures = images.clone().try_into_primitive::<Autodiff<Flex>>().ok()?;
    if pictures.is_tracked() {
        return None;
    }
    let (mut nodes, mut parameters) = (Vec::with_capacity(PARAMETERS), Vec::with_capacity(PARAMETERS));
    for (conv, norm) in units {
        let tensors = [
            conv.weight.val().try_into_primitive::<Autodiff<Flex>>().ok()?,
            norm.gamma.val().try_into_primitive::<Autodiff<Flex>>().ok()?,
            norm.beta.val().try_into_primitive::<Autodiff<Flex>>().ok()?,
        ];
        for tensor in tensors {
            let (tensor, node) = tensor.into_parts();
            nodes.push(node);
            parameters.push(tensor.to_contiguous());
        }
    }
    let [n, _, height, width] = images.dims();
    let pictures = pictures.into_primitive().to_contiguous();
    let slices: Vec<&[f32]> = parameters.iter().map(numbers).collect();
    let (trace, features) = Trace::forward(numbers(&pictures), [n, height, width], &slices, epsilon);
    for ((_, norm), moments) in units.iter().zip(trace.moments()) {
        follow(norm, moments, &device);
    }
    let width = features.len() / n;
    let output = FlexTensor::from_data(TensorData::new(features, [n, width]));
    let prepared = ResNetBackward.prepare::<NoCheckpointing>(nodes.try_into().ok()?);
    let output = match prepared.compute_bound().stateful() {
        OpsKind::Tracked(prep) => {
            prep.finish(Saved { trace: Arc::new(Mutex::new(Some(trace))), parameters }, output)
        }
        OpsKind::UnTracked(prep) => prep.finish(output),
    };
    Some(Tensor::from_primitive::<Autodiff<Flex>>(output))
}

/// Moves the running statistics towards the batch's, as burn does.
fn follow(norm: &BatchNorm, moments: &Moments, device: &Device) {
    let momentum = norm.momentum;
    let moved = |old: Tensor<1>, new: &[f32]| {
        let new = Tensor::<1>::from_data(TensorData::new(new.to_vec(), [new.len()]), device);
        (old.to_device(device) * (1.0 - momentum) + new * momentum).detach()
    };
    norm.running_mean.update(moved(norm.running_mean.value_sync(), &moments.mean));
    norm.running_var.update(moved(norm.running_var.value_sync(), &moments.variance));
}

fn numbers(tensor: &FlexTensor) -> &[f32] {
    let (begin, end) = tensor.layout().contiguous_offsets().expect("made contiguous before");
    &tensor.storage::<f32>()[begin..end]
}

/// What the backward pass needs of the forward pass. Taken once.
#[derive(Clone, Debug)]
struct Saved {
    trace: Arc<Mutex<Option<Trace>>>,
    parameters: Vec<FlexTensor>,
}

#[derive(Debug)]
struct ResNetBackward;

impl Backward<Flex, PARAMETERS> for ResNetBackward {
    type State = Saved;

    fn backward(self, ops: Ops<Saved, PARAMETERS>, grads: &mut Gradients, _: &mut Checkpointer) {
        let of_features = grads.consume::<Flex>(&ops.node).to_contiguous();
        let Saved { trace, parameters } = ops.state;
        let trace = trace.lock().ok().and_then(|mut trace| trace.take());
        let trace = trace.expect("burn runs a step's backward pass once");
        let slices: Vec<&[f32]> = parameters.iter().map(numbers).collect();
        let gradients = trace.backward(numbers(&of_features), &slices);
        for ((node, gradient), parameter) in ops.parents.into_iter().zip(gradients).zip(&parameters) {
            if let Some(node) = node {
                let gradient = TensorData::new(gradient, parameter.shape());
                grads.register::<Flex>(node.id, FlexTensor::from_data(gradient));
            }
        }
    }
}
