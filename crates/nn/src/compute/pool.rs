//! The largest number under a window, and the mean of a map.

use super::Shape;
use super::share::{share, units_a_task};
use pulp::{Arch, NullaryFnOnce};

/// 3x3 windows, every second row and column, from one row and column before the map: ResNet's.
///
/// # Shapes
/// - `x`: `shape`
/// - `out`: half as many rows and columns
pub(crate) fn max_pool(x: &[f32], shape: Shape, out: &mut [f32]) {
    let to = Shape { height: shape.height / 2, width: shape.width / 2, ..shape };
    share(
        out,
        to.rows(),
        units_a_task(to.rows(), 4, to.height),
        |row| row * to.row(),
        |rows, out| {
            for (row, out) in rows.zip(out.chunks_exact_mut(to.row())) {
                let picture = &x[row / to.height * shape.picture()..][..shape.picture()];
                Arch::new().dispatch(PoolRow { picture, shape, row: row % to.height, out });
            }
        },
    );
}

struct PoolRow<'a> {
    picture: &'a [f32],
    shape: Shape,
    row: usize,
    out: &'a mut [f32],
}

impl NullaryFnOnce for PoolRow<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { picture, shape, row, out } = self;
        let rows = (2 * row).saturating_sub(1)..(2 * row + 2).min(shape.height);
        for (col, out) in out.chunks_exact_mut(shape.channels).enumerate() {
            out.fill(f32::NEG_INFINITY);
            for r in rows.clone() {
                for c in (2 * col).saturating_sub(1)..(2 * col + 2).min(shape.width) {
                    let x = &picture[r * shape.row() + c * shape.channels..][..shape.channels];
                    out.iter_mut().zip(x).for_each(|(out, &x)| *out = if x > *out { x } else { *out });
                }
            }
        }
    }
}

/// Means over the pixels of maps: `[picture][channel]`.
pub(crate) fn means(x: &[f32], shape: Shape) -> Vec<Vec<f32>> {
    let n_pixels = (shape.height * shape.width) as f32;
    let of_picture = |maps: &[f32]| {
        let mut sums = vec![0.0_f32; shape.channels];
        for row in maps.chunks_exact(shape.row()) {
            let mut in_row = vec![0.0_f32; shape.channels];
            for pixel in row.chunks_exact(shape.channels) {
                in_row.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
            }
            sums.iter_mut().zip(&in_row).for_each(|(sum, x)| *sum += x);
        }
        sums.iter().map(|sum| sum / n_pixels).collect()
    };
    x.chunks_exact(shape.picture()).map(of_picture).collect()
}
