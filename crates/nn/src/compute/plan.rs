//! A frozen backbone as a list of convolutions: batch norm is folded into their weights, activations and shortcuts into
//! their ends.

use super::{Activation, Depthwise, Finish, Form, Patches, Shape, Winograd, max_pool, means};
use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::Tensor;
use std::sync::Mutex;

/// Pictures that go through the first convolution together, which makes the largest maps.
const STEM_PICTURES: usize = 4;
/// Numbers of the largest map after the first convolution that a group of pictures may take.
const GROUP_NUMBERS: usize = 8 << 20;

/// Where maps lie between steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    A,
    B,
    C,
}

type Slots = [Vec<f32>; 4];

/// A backbone ready to be run on the processor.
pub struct Plan {
    stem: Step,
    pools: bool,
    steps: Vec<Step>,
    /// Steps whose output a stage ends with.
    stage_ends: Vec<usize>,
    spare: Mutex<Vec<Slots>>,
}

/// What a plan gives of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Features,
    StageMeans,
}

/// A convolution with what belongs to it, from one slot to another.
pub(crate) struct Step {
    conv: Conv,
    bias: Vec<f32>,
    activation: Activation,
    adds: bool,
    from: Slot,
    to: Slot,
}

enum Conv {
    Winograd(Winograd),
    Patches(Patches),
    Depthwise(Depthwise),
}

impl Step {
    /// A convolution and its batch norm.
    pub fn of(conv: &Conv2d, norm: &BatchNorm, activation: Activation, (from, to): (Slot, Slot)) -> Self {
        let [n_out, n_in, kernel, _] = conv.weight.dims();
        let form = Form { kernel, stride: conv.stride[0], before: before(conv) };
        let [gamma, beta, mean, variance] = [
            norm.gamma.val(),
            norm.beta.val(),
            norm.running_mean.value_sync(),
            norm.running_var.value_sync(),
        ]
        .map(numbers);
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&variance)
            .map(|(g, v)| (f64::from(*g) / (f64::from(*v) + norm.epsilon).sqrt()) as f32)
            .collect();
        let bias = (0..n_out).map(|o| beta[o] - mean[o] * scale[o]).collect();
        let weights = numbers(conv.weight.val());
        let at = |r: usize, c: usize, i: usize, o: usize| {
            weights[((o * n_in + i) * kernel + r) * kernel + c] * scale[o]
        };
        let conv = if conv.groups > 1 {
            Conv::Depthwise(Depthwise::of(form, n_out, |r, c, o| at(r, c, 0, o)))
        } else if form == Winograd::FORM && Winograd::fits(n_in, n_out) {
            Conv::Winograd(Winograd::of(n_in, n_out, at))
        } else {
            Conv::Patches(Patches::of(form, n_in, n_out, at))
        };
        Self { conv, bias, activation, adds: false, from, to }
    }

    /// The same, added to what lies in the output's slot before it is activated.
    pub fn adding(self) -> Self {
        Self { adds: true, ..self }
    }

    fn output(&self, input: Shape) -> Shape {
        match &self.conv {
            Conv::Winograd(conv) => conv.output(input),
            Conv::Patches(conv) => conv.output(input),
            Conv::Depthwise(conv) => conv.output(input),
        }
    }

    fn run(&self, x: &[f32], shape: Shape, out: &mut [f32]) {
        let finish = Finish { bias: Some(&self.bias), adds: self.adds, activation: self.activation };
        match &self.conv {
            Conv::Winograd(conv) => conv.run(x, shape, finish, out),
            Conv::Patches(conv) => conv.run(x, shape, finish, out),
            Conv::Depthwise(conv) => conv.run(x, shape, finish, out),
        }
    }
}

impl Plan {
    /// The first convolution reads the pictures and ends in [`Slot::A`], through ResNet's pool if `pools`.
    pub(crate) fn of(stem: Step, pools: bool, steps: Vec<Step>, stage_ends: Vec<usize>) -> Self {
        Self { stem, pools, steps, stage_ends, spare: Mutex::default() }
    }

    /// [`crate::Backbone::features`] of pictures as [`crate::to_input`] gives them, whatever other pictures there are.
    ///
    /// # Shapes
    /// - `pictures`: `[picture][channel, row, col]`, rows and columns a multiple of 32
    /// - output: `[picture][feature]`
    pub fn features(&self, pictures: &[Vec<f32>], [height, width]: [usize; 2]) -> Vec<Vec<f32>> {
        self.run(pictures, (height, width), Wanted::Features)
    }

    /// [`crate::Backbone::stage_means`] in the same way.
    pub fn stage_means(&self, pictures: &[Vec<f32>], [height, width]: [usize; 2]) -> Vec<Vec<f32>> {
        self.run(pictures, (height, width), Wanted::StageMeans)
    }

    fn run(&self, pictures: &[Vec<f32>], (height, width): (usize, usize), wanted: Wanted) -> Vec<Vec<f32>> {
        let first = self.stem.output(Shape { n: 1, height, width, channels: 3 });
        let group = (GROUP_NUMBERS / first.len()).clamp(1, 64);
        let mut out = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(group) {
            let kept = self.spare.lock().ok().and_then(|mut spare| spare.pop());
            let mut slots = kept.unwrap_or_default();
            out.extend(self.group(pictures, (height, width), wanted, &mut slots));
            if let Ok(mut spare) = self.spare.lock() {
                spare.push(slots);
            }
        }
        out
    }

    fn group(
        &self,
        pictures: &[Vec<f32>],
        (height, width): (usize, usize),
        wanted: Wanted,
        slots: &mut Slots,
    ) -> Vec<Vec<f32>> {
        let mut shapes = [self.begin(pictures, (height, width), slots); 3];
        let mut out = vec![Vec::new(); pictures.len()];
        for (i, step) in self.steps.iter().enumerate() {
            let (from, to) = (step.from as usize, step.to as usize);
            let mut made = std::mem::take(&mut slots[to]);
            let shape = step.output(shapes[from]);
            step.run(&slots[from][..shapes[from].len()], shapes[from], sized(&mut made, shape.len()));
            (slots[to], shapes[to]) = (made, shape);
            let gives = match wanted {
                Wanted::Features => i + 1 == self.steps.len(),
                Wanted::StageMeans => self.stage_ends.contains(&i),
            };
            if gives {
                let means = means(&slots[to][..shape.len()], shape);
                out.iter_mut().zip(means).for_each(|(out, means)| out.extend(means));
            }
        }
        out
    }

    /// Fills slot A with the first maps.
    fn begin(&self, pictures: &[Vec<f32>], (height, width): (usize, usize), slots: &mut Slots) -> Shape {
        let [a, _, large, input] = slots;
        let shape = Shape { n: pictures.len(), height, width, channels: 3 };
        let mut first = self.stem.output(shape);
        if self.pools {
            (first.height, first.width) = (first.height / 2, first.width / 2);
        }
        let mut rest = sized(a, first.len());
        for pictures in pictures.chunks(STEM_PICTURES) {
            let part = Shape { n: pictures.len(), ..shape };
            let (out, others) = std::mem::take(&mut rest).split_at_mut(part.n * first.picture());
            interleave(pictures, input);
            if self.pools {
                let large = sized(large, self.stem.output(part).len());
                self.stem.run(input, part, large);
                max_pool(large, self.stem.output(part), out);
            } else {
                self.stem.run(input, part, out);
            }
            rest = others;
        }
        first
    }
}

/// The first `len` numbers, whatever they are.
fn sized(numbers: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if numbers.len() < len {
        numbers.resize(len, 0.0);
    }
    &mut numbers[..len]
}

/// `[channel, row, col]` of pictures to `[picture, row, col, channel]`.
fn interleave(pictures: &[Vec<f32>], out: &mut Vec<f32>) {
    out.clear();
    for picture in pictures {
        let n = picture.len() / 3;
        out.extend((0..n).flat_map(|i| [picture[i], picture[n + i], picture[2 * n + i]]));
    }
}

fn before(conv: &Conv2d) -> usize {
    use burn::nn::PaddingConfig2d;
    match conv.padding {
        PaddingConfig2d::Explicit(top, ..) => top,
        PaddingConfig2d::Same => conv.kernel_size[0] / 2,
        PaddingConfig2d::Valid => 0,
    }
}

pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("weights are 32-bit floats")
}
