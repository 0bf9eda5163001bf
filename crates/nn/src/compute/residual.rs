//! ResNet-18 while it is trained: forward with the statistics of the batch, and the gradients of all its parameters.

use super::buffer::Buffer;
use super::norm::{Moments, gate, moments, normalise, through};
use super::patches_gradient::{add_input_gradient, patches_gradient};
use super::pool_gradient::{max_pool_gradient, means_gradient};
use super::winograd_gradient::winograd_gradient;
use super::{Finish, Form, Patches, Shape, Winograd, max_pool, means};

/// What the transforms of a Winograd convolution's weights cost, in pixels of the plain sum: they are made anew each step.
const TRANSFORM_PIXELS: usize = 500;

/// Convolutions with their batch norms: the first, and in each of eight blocks two and, where its shape changes, one on the
/// shortcut.
pub(crate) const UNITS: usize = 20;

/// Weights, then scale and shift of the norm.
pub(crate) const PARAMETERS: usize = 3 * UNITS;

/// A convolution and its batch norm.
#[derive(Clone, Copy, Debug)]
struct Unit {
    form: Form,
    n_out: usize,
}

/// Where a unit's input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Pictures,
    Pooled,
    Unit(usize),
}

/// A block: the places of its units, and its input.
#[derive(Clone, Copy, Debug)]
struct Block {
    first: usize,
    shortcut: Option<usize>,
    second: usize,
    input: Source,
}

/// The units and blocks. A block's units follow each other: first, shortcut, second.
fn layout() -> (Vec<Unit>, Vec<Block>) {
    let mut units = vec![Unit { form: Form { kernel: 7, stride: 2, before: 3 }, n_out: 64 }];
    let (mut blocks, mut input, mut n_in) = (Vec::new(), Source::Pooled, 64);
    for n_out in [64, 128, 256, 512] {
        for _ in 0..2 {
            let stride = n_out / n_in;
            let first = units.len();
            units.push(Unit { form: Form { kernel: 3, stride, before: 1 }, n_out });
            let shortcut = (n_in != n_out).then_some(first + 1);
            if shortcut.is_some() {
                units.push(Unit { form: Form { kernel: 1, stride, before: 0 }, n_out });
            }
            let second = units.len();
            units.push(Unit { form: Winograd::FORM, n_out });
            blocks.push(Block { first, shortcut, second, input });
            (input, n_in) = (Source::Unit(second), n_out);
        }
    }
    (units, blocks)
}

/// What a unit leaves for its gradients.
#[derive(Debug)]
struct Kept {
    from: Shape,
    to: Shape,
    /// The convolution's output.
    z: Buffer,
    /// After norm, shortcut and activation.
    y: Buffer,
    moments: Moments,
}

/// A forward pass.
#[derive(Debug)]
pub(crate) struct Trace {
    pictures: Buffer,
    pictures_shape: Shape,
    pooled: Buffer,
    pooled_shape: Shape,
    kept: Vec<Kept>,
    epsilon: f64,
}

impl Trace {
    /// # Shapes
    /// - `pictures`: `[picture][channel, row, col]` in one piece, 3 channels
    /// - `parameters`: as [`PARAMETERS`], weights `[channel out][channel in][row][col]`
    /// - output: features `[picture][512]`
    pub fn forward(
        pictures: &[f32],
        [n, height, width]: [usize; 3],
        parameters: &[&[f32]],
        epsilon: f64,
    ) -> (Self, Vec<f32>) {
        let (units, blocks) = layout();
        let shape = Shape { n, height, width, channels: 3 };
        let mut trace = Self {
            pictures: interleaved(pictures, shape),
            pictures_shape: shape,
            pooled: Buffer::default(),
            pooled_shape: shape,
            kept: Vec::with_capacity(UNITS),
            epsilon,
        };
        trace.run(units[0], Source::Pictures, parameters, None, true);
        let stem = trace.kept[0].to;
        trace.pooled_shape = Shape { height: stem.height / 2, width: stem.width / 2, ..stem };
        trace.pooled = Buffer::of(trace.pooled_shape.len());
        max_pool(&trace.kept[0].y, stem, &mut trace.pooled);
        for block in blocks {
            trace.run(units[block.first], block.input, parameters, None, true);
            if let Some(i) = block.shortcut {
                trace.run(units[i], block.input, parameters, None, false);
            }
            let added = block.shortcut.map_or(block.input, Source::Unit);
            trace.run(units[block.second], Source::Unit(block.first), parameters, Some(added), true);
        }
        let last = &trace.kept[UNITS - 1];
        let features = means(&last.y, last.to).concat();
        (trace, features)
    }

    /// Mean and variance (by n) of every unit's batch.
    pub fn moments(&self) -> impl Iterator<Item = &Moments> {
        self.kept.iter().map(|kept| &kept.moments)
    }

    fn source(&self, source: Source) -> (&[f32], Shape) {
        match source {
            Source::Pictures => (&self.pictures, self.pictures_shape),
            Source::Pooled => (&self.pooled, self.pooled_shape),
            Source::Unit(i) => (&self.kept[i].y, self.kept[i].to),
        }
    }

    /// Runs the next unit.
    fn run(&mut self, unit: Unit, input: Source, parameters: &[&[f32]], added: Option<Source>, relu: bool) {
        let [weights, gamma, beta] = of_unit(parameters, self.kept.len());
        let (x, from) = self.source(input);
        let to = unit.form.output(from, unit.n_out);
        let mut z = Buffer::of(to.len());
        convolve(unit, weights, x, from, &mut z);
        let moments = moments(&z, to);
        let slope = |c: usize| f64::from(gamma[c]) / (f64::from(moments.variance[c]) + self.epsilon).sqrt();
        let scale: Vec<f32> = (0..to.channels).map(|c| slope(c) as f32).collect();
        let shift: Vec<f32> = (0..to.channels).map(|c| beta[c] - moments.mean[c] * scale[c]).collect();
        let mut y = Buffer::of(to.len());
        normalise(&z, to, (&scale, &shift), (added.map(|source| self.source(source).0), relu), &mut y);
        self.kept.push(Kept { from, to, z, y, moments });
    }

    /// Gradients of all parameters, from that of the features.
    pub fn backward(mut self, d_features: &[f32], parameters: &[&[f32]]) -> Vec<Vec<f32>> {
        let (units, blocks) = layout();
        let mut gradients = vec![Vec::new(); PARAMETERS];
        let last = self.kept[UNITS - 1].to;
        let mut d = Buffer::of(last.len());
        means_gradient(d_features, last, &mut d);
        for block in blocks.into_iter().rev() {
            let mut inner = Buffer::of(self.kept[block.second].from.len());
            let (i, unit) = (block.second, units[block.second]);
            let out = Some(Into { dx: &mut inner, adds: false });
            self.back(i, unit, Source::Unit(block.first), (&mut d, true), out, parameters, &mut gradients);
            // Behind the activation, the block's gradient goes to its input as it is, or through the shortcut's unit.
            let mut to_input = match block.shortcut {
                None => std::mem::take(&mut d),
                Some(i) => {
                    let mut to_input = Buffer::of(self.kept[i].from.len());
                    let out = Some(Into { dx: &mut to_input, adds: false });
                    self.back(i, units[i], block.input, (&mut d, false), out, parameters, &mut gradients);
                    to_input
                }
            };
            let (i, unit) = (block.first, units[block.first]);
            let out = Some(Into { dx: &mut to_input, adds: true });
            self.back(i, unit, block.input, (&mut inner, true), out, parameters, &mut gradients);
            d = to_input;
        }
        let stem = self.kept[0].to;
        let mut of_stem = Buffer::of(stem.len());
        max_pool_gradient(&self.kept[0].y, stem, &self.pooled, &d, &mut of_stem);
        self.back(0, units[0], Source::Pictures, (&mut of_stem, true), None, parameters, &mut gradients);
        gradients
    }

    /// The gradients of a unit's parameters, from that of its output, `d`, which is cut where the output was; and that of
    /// its input added to `dx`.
    #[allow(clippy::too_many_arguments)]
    fn back(
        &mut self,
        i: usize,
        unit: Unit,
        input: Source,
        (d, relu): (&mut Buffer, bool),
        out: Option<Into<'_>>,
        parameters: &[&[f32]],
        gradients: &mut [Vec<f32>],
    ) {
        let [weights, gamma, _] = of_unit(parameters, i);
        let kept = &mut self.kept[i];
        let (from, to, mut z) = (kept.from, kept.to, std::mem::take(&mut kept.z));
        let sums = gate(d, relu.then_some(&*kept.y), &z, to);
        let norm = through(d, sums, (&kept.moments, gamma, self.epsilon), &mut z, to);
        // The output is not needed any more once the units after it are done.
        drop(std::mem::take(&mut kept.y));
        let (x, dz) = (self.source(input).0, &z);
        gradients[3 * i] = if by_winograd(unit, from) {
            winograd_gradient(x, from, dz, unit.n_out)
        } else {
            patches_gradient(x, from, unit.form, dz, unit.n_out)
        };
        (gradients[3 * i + 1], gradients[3 * i + 2]) = (norm.gamma, norm.beta);
        if let Some(out) = out {
            input_gradient(unit, weights, dz, from, to, out);
        }
    }
}

/// Where the gradient of an input goes.
struct Into<'a> {
    dx: &'a mut [f32],
    /// Whether it is added to what is there.
    adds: bool,
}

fn of_unit<'a>(parameters: &[&'a [f32]], i: usize) -> [&'a [f32]; 3] {
    [parameters[3 * i], parameters[3 * i + 1], parameters[3 * i + 2]]
}

/// Whether a unit is computed by Winograd's convolution: where tiles are many enough to pay for the transforms.
fn by_winograd(unit: Unit, from: Shape) -> bool {
    let tiles = from.n * from.height.div_ceil(4) * from.width.div_ceil(4);
    let fits = unit.form == Winograd::FORM && Winograd::fits(from.channels, unit.n_out);
    fits && 9 * from.n * from.height * from.width > 36 * tiles + 9 * TRANSFORM_PIXELS
}

fn convolve(unit: Unit, weights: &[f32], x: &[f32], from: Shape, z: &mut [f32]) {
    let (kernel, n_in) = (unit.form.kernel, from.channels);
    let at = |r: usize, c: usize, i: usize, o: usize| weights[((o * n_in + i) * kernel + r) * kernel + c];
    if by_winograd(unit, from) {
        Winograd::of(n_in, unit.n_out, at).run(x, from, Finish::default(), z);
    } else {
        Patches::of(unit.form, n_in, unit.n_out, at).run(x, from, Finish::default(), z);
    }
}

/// The gradient of a convolution's input: for stride 1, the convolution with turned weights.
fn input_gradient(unit: Unit, weights: &[f32], dz: &[f32], from: Shape, to: Shape, out: Into<'_>) {
    let (n_in, n_out) = (from.channels, unit.n_out);
    let finish = Finish { adds: out.adds, ..Finish::default() };
    let turned = |r: usize, c: usize, o: usize, i: usize| weights[((o * n_in + i) * 3 + 2 - r) * 3 + 2 - c];
    if by_winograd(unit, from) {
        return Winograd::of(n_out, n_in, turned).run(dz, to, finish, out.dx);
    }
    if unit.form == Winograd::FORM {
        return Patches::of(unit.form, n_out, n_in, turned).run(dz, to, finish, out.dx);
    }
    if !out.adds {
        out.dx.fill(0.0);
    }
    add_input_gradient(dz, unit.form, weights, n_out, out.dx, from);
}

/// `[picture][channel, row, col]` to `[picture, row, col, channel]`.
fn interleaved(pictures: &[f32], shape: Shape) -> Buffer {
    let mut out = Buffer::of(shape.len());
    let plane = shape.height * shape.width;
    for (picture, out) in pictures.chunks_exact(3 * plane).zip(out.chunks_exact_mut(3 * plane)) {
        for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
            pixel.copy_from_slice(&[picture[i], picture[plane + i], picture[2 * plane + i]]);
        }
    }
    out
}
