use crate::compute::Buffer;
use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::optim::{
    Adam as BurnAdam, AdamConfig, AdamState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer,
};
use burn::tensor::{Device, Tensor};
use rayon::prelude::*;

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
/// Numbers that a thread updates in one go.
const TASK_NUMBERS: usize = 1 << 16;

/// Adam (Kingma and Ba 2015) that reads and writes every parameter once, where burn's passes over memory a dozen times.
///
/// The same numbers as `AdamConfig::new().init()`, to the bit, and the same state in checkpoints; with another decay than
/// zero, weights shrink by it as in AdamW (Loshchilov and Hutter 2019). On other devices than the processor burn's own runs.
#[derive(Clone)]
pub struct Adam {
    epsilon: f32,
    weight_decay: f32,
    elsewhere: BurnAdam,
}

impl Adam {
    /// With burn's usual settings.
    pub fn new() -> Self {
        let epsilon = 1e-5;
        let elsewhere =
            AdamConfig::new().with_beta_1(BETA_1).with_beta_2(BETA_2).with_epsilon(epsilon).build();
        Self { epsilon, weight_decay: 0.0, elsewhere }
    }

    /// Weights shrink by this share, times the rate, each step.
    pub fn with_weight_decay(self, weight_decay: f32) -> Self {
        Self { weight_decay, ..self }
    }

    /// The optimiser of a module.
    pub fn init(self) -> ModuleOptimizer {
        self.into()
    }
}

impl Default for Adam {
    fn default() -> Self {
        Self::new()
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        tensor: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let decay = 1.0 - rate * f64::from(self.weight_decay);
        let tensor = if self.weight_decay == 0.0 { tensor } else { tensor * decay };
        if tensor.device() != Device::flex()
            || tensor.device().is_autodiff()
            || gradient.device().is_autodiff()
        {
            return self.elsewhere.step(rate, tensor, gradient, state);
        }
        let (time, first, second) = match state {
            Some(AdamState { momentum }) => (momentum.time, momentum.moment_1, momentum.moment_2),
            None => (0, tensor.zeros_like(), tensor.zeros_like()),
        };
        let time = time + 1;
        let correction = (1.0 - BETA_2.powi(time as i32)).sqrt();
        let step = Step {
            rate: rate as f32,
            factor: correction / (1.0 - BETA_1.powi(time as i32)),
            epsilon: self.epsilon * correction,
        };
        let [mut tensor, mut first, mut second] = [tensor, first, second].map(primitive);
        let gradient = primitive(gradient);
        step.apply(tensor.storage_mut(), gradient.storage(), first.storage_mut(), second.storage_mut());
        if gradient.is_unique() {
            // The next backward pass writes its gradients there.
            drop(gradient.into_data().try_into_vec::<f32>().map(Buffer::from));
        }
        let [tensor, first, second] = [tensor, first, second].map(Tensor::from_primitive::<Flex>);
        (tensor, Some(AdamState::new(AdaptiveMomentumState::new(time, first, second))))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        BurnAdam::to_device(state, device)
    }
}

/// In memory of its own, from the first number to the last.
fn primitive<const D: usize>(tensor: Tensor<D>) -> FlexTensor {
    let tensor = tensor.try_into_primitive::<Flex>().expect("a tensor of the processor without gradients");
    match tensor.layout().contiguous_offsets() {
        Some((0, end)) if end == tensor.storage::<f32>().len() => tensor,
        _ => FlexTensor::from_data(tensor.to_contiguous().into_data()),
    }
}

/// What a step does to every parameter.
struct Step {
    rate: f32,
    factor: f32,
    epsilon: f32,
}

impl Step {
    fn apply(&self, parameters: &mut [f32], gradient: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.par_chunks_mut(TASK_NUMBERS).zip(second.par_chunks_mut(TASK_NUMBERS));
        let pairs = parameters.par_chunks_mut(TASK_NUMBERS).zip(gradient.par_chunks(TASK_NUMBERS));
        pairs.zip(moments).for_each(|((parameters, gradient), (first, second))| {
            let moments = first.iter_mut().zip(second);
            for ((p, g), (m, v)) in parameters.iter_mut().zip(gradient).zip(moments) {
                *m = *m * BETA_1 + g * (1.0 - BETA_1);
                *v = *v * BETA_2 + g * g * (1.0 - BETA_2);
                *p -= *m * self.factor / (v.sqrt() + self.epsilon) * self.rate;
            }
        });
    }
}
