//! 3x3 convolutions of stride 1 by minimal filtering, F(4x4, 3x3) of Lavin and Gray 2016: 36 products where the plain sum
//! takes 144.

use super::buffer::Buffer;
use super::gemm::{PANEL_VECTORS, Panels, multiply, panel_cols};
use super::share::{share, units_a_task, with_scratch};
use super::{Finish, Form, Shape, activate, vector, vector_mut};
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use rayon::prelude::*;
use std::ops::Range;

/// Rows and columns of a tile of the output.
pub(super) const OUT: usize = 4;
/// Rows and columns of a tile of the input.
pub(super) const IN: usize = 6;
/// Numbers of a transformed tile.
pub(super) const POINTS: usize = IN * IN;
/// Between the points' matrices, so that they do not meet in the same lines of a cache.
pub(super) const GAP: usize = 16;
/// Numbers of a task's transformed tiles, input and output together, which should stay in a core's own cache.
const TASK_NUMBERS: usize = 300_000;

/// Points 0, 1, -1, 2, -2 and infinity: matrix G.
pub(super) const FILTER: [[f32; 3]; IN] = [
    [1.0 / 4.0, 0.0, 0.0],
    [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    [0.0, 0.0, 1.0],
];

/// A 3x3 convolution of stride 1 with a border of zeros, its weights transformed.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    n_in: usize,
    n_out: usize,
    /// `[panel of channels out][point][channel in][channel out in the panel]`
    points: Buffer,
}

impl Winograd {
    pub const FORM: Form = Form { kernel: 3, stride: 1, before: 1 };

    /// Whether a convolution of so many channels can be computed so.
    pub fn fits(n_in: usize, n_out: usize) -> bool {
        n_in.is_multiple_of(16) && n_out.is_multiple_of(16)
    }

    /// Of weights given by row and column of the kernel, channel in and channel out.
    pub fn of(n_in: usize, n_out: usize, at: impl Fn(usize, usize, usize, usize) -> f32 + Sync) -> Self {
        let wide = panel_cols();
        let mut points = Buffer::of(POINTS * n_in * n_out.next_multiple_of(wide));
        points.par_chunks_exact_mut(POINTS * n_in * wide).enumerate().for_each(|(panel, points)| {
            Arch::new().dispatch(Transform { n_in, n_out, first: panel * wide, wide, at: &at, points });
        });
        Self { n_in, n_out, points }
    }

    /// The output's shape.
    pub fn output(&self, input: Shape) -> Shape {
        Self::FORM.output(input, self.n_out)
    }

    /// # Shapes
    /// - `x`: `shape`, of `n_in` channels
    /// - `out`: the same with `n_out` channels
    pub fn run(&self, x: &[f32], shape: Shape, finish: Finish<'_>, out: &mut [f32]) {
        let tiles = Tiles::of(shape);
        let to = self.output(shape);
        let most = (TASK_NUMBERS / (POINTS * (self.n_in + self.n_out) * tiles.across)).max(1);
        let least = 48_usize.div_ceil(tiles.across);
        let rows = units_a_task(tiles.rows(), least, most.max(least));
        share(
            out,
            tiles.rows(),
            rows,
            |row| tiles.first_row(row) * to.row(),
            |rows, out| {
                let n_tiles = rows.len() * tiles.across;
                let (steps_in, steps_out) = (n_tiles * self.n_in + GAP, n_tiles * self.n_out + GAP);
                with_scratch(POINTS * (steps_in + steps_out), |scratch| {
                    let (seen, made) = scratch.split_at_mut(POINTS * steps_in);
                    Arch::new().dispatch(Task { conv: self, x, to, tiles, rows, finish, seen, made, out });
                });
            },
        );
    }
}

/// Transforms the weights of a panel of channels out, `GgGᵀ`.
struct Transform<'a, At> {
    n_in: usize,
    n_out: usize,
    first: usize,
    wide: usize,
    at: &'a At,
    points: &'a mut [f32],
}

impl<At: Fn(usize, usize, usize, usize) -> f32> NullaryFnOnce for Transform<'_, At> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { n_in, n_out, first, wide, at, points } = self;
        for i in 0..n_in {
            // No more lanes than two of the widest vectors.
            let mut g = [[[0.0_f32; 32]; 3]; 3];
            for lane in 0..wide.min(n_out - first) {
                for (r, c) in [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
                    g[r][c][lane] = at(r, c, i, first + lane);
                }
            }
            for r in 0..IN {
                let mut half = [[0.0_f32; 32]; 3];
                for c in 0..3 {
                    for lane in 0..32 {
                        half[c][lane] = FILTER[r][0] * g[0][c][lane]
                            + FILTER[r][1] * g[1][c][lane]
                            + FILTER[r][2] * g[2][c][lane];
                    }
                }
                for c in 0..IN {
                    let out = &mut points[((r * IN + c) * n_in + i) * wide..][..wide];
                    for (lane, out) in out.iter_mut().enumerate() {
                        *out = FILTER[c][0] * half[0][lane]
                            + FILTER[c][1] * half[1][lane]
                            + FILTER[c][2] * half[2][lane];
                    }
                }
            }
        }
    }
}

/// How a map is covered with tiles; units of work are rows of tiles, of all pictures.
#[derive(Clone, Copy)]
pub(super) struct Tiles {
    shape: Shape,
    pub down: usize,
    pub across: usize,
}

impl Tiles {
    pub fn of(shape: Shape) -> Self {
        Self { shape, down: shape.height.div_ceil(OUT), across: shape.width.div_ceil(OUT) }
    }

    /// Rows of tiles of all pictures.
    pub fn rows(self) -> usize {
        self.shape.n * self.down
    }

    /// The first pixel row, counted over all pictures, of a row of tiles.
    pub fn first_row(self, row: usize) -> usize {
        row / self.down * self.shape.height + (row % self.down * OUT).min(self.shape.height)
    }
}

struct Task<'a> {
    conv: &'a Winograd,
    x: &'a [f32],
    to: Shape,
    tiles: Tiles,
    rows: Range<usize>,
    finish: Finish<'a>,
    seen: &'a mut [f32],
    made: &'a mut [f32],
    out: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { conv, x, to, tiles, rows, finish, seen, made, out } = self;
        let (n_in, n_out) = (conv.n_in, conv.n_out);
        let from = Shape { channels: n_in, ..to };
        look(simd, x, from, tiles, rows.clone(), seen);
        let n_tiles = rows.len() * tiles.across;
        let pairs = seen.chunks_exact(n_tiles * n_in + GAP).zip(made.chunks_exact_mut(n_tiles * n_out + GAP));
        let of_point = n_in * PANEL_VECTORS * S::F32_LANES;
        for (p, (seen, made)) in pairs.enumerate() {
            let numbers = &conv.points[p * of_point..];
            let right = Panels { n_rows: n_in, n_cols: n_out, step: POINTS * of_point, numbers };
            multiply(simd, seen, n_in, n_tiles, right, made);
        }
        write(simd, made, to, tiles, rows, finish, out);
    }
}

/// Transforms the tiles of rows of tiles, `BᵀdB`, to `[point][tile][channel]`.
#[inline(always)]
pub(super) fn look<S: Simd>(
    simd: S,
    x: &[f32],
    from: Shape,
    tiles: Tiles,
    rows: Range<usize>,
    seen: &mut [f32],
) {
    let step = rows.len() * tiles.across * from.channels + GAP;
    for (i, row) in rows.enumerate() {
        let picture = &x[row / tiles.down * from.picture()..][..from.picture()];
        let top = row % tiles.down * OUT;
        // The border is rows and columns that are not there.
        let lines: [&[f32]; IN] = std::array::from_fn(|r| match (top + r).checked_sub(1) {
            Some(r) if r < from.height => &picture[r * from.row()..][..from.row()],
            _ => &[],
        });
        for across in 0..tiles.across {
            let to = (i * tiles.across + across) * from.channels;
            for c in (0..from.channels).step_by(S::F32_LANES) {
                let mut d = [[simd.splat_f32s(0.0); IN]; IN];
                for (line, d) in lines.iter().zip(&mut d) {
                    for (col, d) in d.iter_mut().enumerate() {
                        let at =
                            (across * OUT + col).wrapping_sub(1).wrapping_mul(from.channels).wrapping_add(c);
                        if let Some(v) = line.get(at..at.wrapping_add(S::F32_LANES)) {
                            *d = S::as_simd_f32s(v).0[0];
                        }
                    }
                    *d = look_line(simd, *d);
                }
                for col in 0..IN {
                    let line =
                        look_line(simd, [d[0][col], d[1][col], d[2][col], d[3][col], d[4][col], d[5][col]]);
                    for (r, v) in line.into_iter().enumerate() {
                        let at = (r * IN + col) * step + to + c;
                        *vector_mut::<S>(seen, at) = v;
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn look_line<S: Simd>(simd: S, d: [S::f32s; IN]) -> [S::f32s; IN] {
    let (even, odd) = (mac(simd, -4.0, d[2], d[4]), mac(simd, -4.0, d[1], d[3]));
    let (far, near) = (simd.sub_f32s(d[4], d[2]), simd.sub_f32s(d[3], d[1]));
    [
        mac(simd, 4.0, d[0], mac(simd, -5.0, d[2], d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        mac(simd, 2.0, near, far),
        mac(simd, -2.0, near, far),
        mac(simd, 4.0, d[1], mac(simd, -5.0, d[3], d[5])),
    ]
}

/// Transforms tiles back, `AᵀmA`, and writes what lies inside of the map.
#[inline(always)]
fn write<S: Simd>(
    simd: S,
    made: &[f32],
    to: Shape,
    tiles: Tiles,
    rows: Range<usize>,
    finish: Finish<'_>,
    out: &mut [f32],
) {
    let step = rows.len() * tiles.across * to.channels + GAP;
    let first = tiles.first_row(rows.start);
    for (i, row) in rows.enumerate() {
        let begin = tiles.first_row(row) - first;
        let n_rows = tiles.first_row(row + 1) - first - begin;
        let out = &mut out[begin * to.row()..][..n_rows * to.row()];
        for across in 0..tiles.across {
            let from = (i * tiles.across + across) * to.channels;
            for c in (0..to.channels).step_by(S::F32_LANES) {
                let mut m = [[simd.splat_f32s(0.0); OUT]; IN];
                for (r, m) in m.iter_mut().enumerate() {
                    let mut line = [simd.splat_f32s(0.0); IN];
                    for (col, v) in line.iter_mut().enumerate() {
                        let at = (r * IN + col) * step + from + c;
                        *v = vector::<S>(made, at);
                    }
                    *m = write_line(simd, line);
                }
                let bias = match finish.bias {
                    Some(bias) => vector::<S>(bias, c),
                    None => simd.splat_f32s(0.0),
                };
                for col in 0..OUT.min(to.width - across * OUT) {
                    let line =
                        write_line(simd, [m[0][col], m[1][col], m[2][col], m[3][col], m[4][col], m[5][col]]);
                    for (r, &v) in line.iter().enumerate().take(n_rows) {
                        let at = r * to.row() + (across * OUT + col) * to.channels + c;
                        let out = vector_mut::<S>(out, at);
                        let v = simd.add_f32s(v, bias);
                        let v = if finish.adds { simd.add_f32s(v, *out) } else { v };
                        *out = activate(simd, finish.activation, v);
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn write_line<S: Simd>(simd: S, m: [S::f32s; IN]) -> [S::f32s; OUT] {
    let (sum, difference) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far, apart) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(simd.add_f32s(m[0], sum), far),
        mac(simd, 2.0, apart, difference),
        mac(simd, 4.0, far, sum),
        simd.add_f32s(mac(simd, 8.0, apart, difference), m[5]),
    ]
}

#[inline(always)]
fn mac<S: Simd>(simd: S, a: f32, b: S::f32s, c: S::f32s) -> S::f32s {
    simd.mul_add_f32s(simd.splat_f32s(a), b, c)
}
