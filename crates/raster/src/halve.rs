//! Smaller copies of a raster, tile by tile: GDAL's own way holds whole lines of blocks for every thread.

use gdal::Dataset;
use gdal::raster::Buffer;

use crate::{Overviews, Pixel, Window};

/// Side of a tile of a smaller copy.
const TILE_PX: usize = 512;

/// Fills the smaller copies of each band that a dataset has room for, each from the next larger one.
pub(crate) fn fill<T: Pixel>(
    dataset: &Dataset,
    kind: Overviews,
    nodata: Option<f64>,
) -> gdal::errors::Result<()> {
    for band in 1..=dataset.raster_count() {
        let whole = dataset.rasterband(band)?;
        for level in 0..usize::try_from(whole.overview_count()?).unwrap_or(0) {
            let larger = if level == 0 { dataset.rasterband(band)? } else { whole.overview(level - 1)? };
            let mut smaller = whole.overview(level)?;
            let (width, height) = smaller.size();
            for tile in (Window { row: 0, col: 0, height, width }).tiles(TILE_PX) {
                let (row, col) = (2 * tile.row, 2 * tile.col);
                let height = (2 * tile.height).min(larger.y_size() - row);
                let width = (2 * tile.width).min(larger.x_size() - col);
                let mut pixels = vec![T::default(); height * width];
                let place = (col as isize, row as isize);
                larger.read_into_slice(place, (width, height), (width, height), &mut pixels, None)?;
                let size = (tile.width, tile.height);
                let mut halved = Buffer::new(size, halve(&pixels, height, width, kind, nodata));
                smaller.write((tile.col as isize, tile.row as isize), size, &mut halved)?;
            }
        }
    }
    Ok(())
}

/// Half the rows and columns, rounded up: of each two by two pixels the upper left one, or the mean of those with data.
pub(crate) fn halve<T: Pixel>(
    pixels: &[T],
    height: usize,
    width: usize,
    kind: Overviews,
    nodata: Option<f64>,
) -> Vec<T> {
    let mut halved = Vec::with_capacity(height.div_ceil(2) * width.div_ceil(2));
    halve_into(pixels, height, width, kind, nodata, &mut halved);
    halved
}

/// As [`halve`], into memory that was used before.
pub(crate) fn halve_into<T: Pixel>(
    pixels: &[T],
    height: usize,
    width: usize,
    kind: Overviews,
    nodata: Option<f64>,
    halved: &mut Vec<T>,
) {
    halved.clear();
    for row in (0..height).step_by(2) {
        let pair = &pixels[row * width..(row + 2).min(height) * width];
        // Lines of a map repeat: what was worked out for the pair above is copied.
        let above = row.checked_sub(2).map(|above| &pixels[above * width..][..2 * width]);
        if above.is_some_and(|above| T::same(above, pair)) {
            let start = halved.len() - width.div_ceil(2);
            halved.extend_from_within(start..);
            continue;
        }
        let (upper, lower) = (&pair[..width], &pair[pair.len() - width..]);
        let quads = upper.chunks(2).zip(lower.chunks(2));
        halved.extend(quads.map(|(a, b)| match kind {
            Overviews::Average => mean([a[0], a[a.len() - 1], b[0], b[b.len() - 1]], nodata),
            Overviews::Nearest | Overviews::None => a[0],
        }));
    }
}

/// The mean of the pixels with data, whole numbers rounded half up; no data where none has.
fn mean<T: Pixel>(four: [T; 4], nodata: Option<f64>) -> T {
    let (mut sum, mut n) = (0.0, 0u8);
    let numbers = four.map(T::to_f64);
    if numbers[1..].iter().all(|&number| number == numbers[0]) {
        return four[0];
    }
    for pixel in numbers {
        if nodata.is_none_or(|nodata| pixel != nodata) && !pixel.is_nan() {
            sum += pixel;
            n += 1;
        }
    }
    if n == 0 { four[0] } else { T::of_f64(sum / f64::from(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_without_data_do_not_darken_and_edges_are_their_own_mean() {
        let pixels: [u16; 15] = [10, 20, 0, 0, 7, 30, 41, 0, 9, 8, 100, 0, 5, 6, 3];
        let average = halve(&pixels, 3, 5, Overviews::Average, Some(0.0));
        assert_eq!(average, [25, 9, 8, 100, 6, 3], "25.25, 9, 7.5; 100, 5.5, 3");
        let nearest = halve(&pixels, 3, 5, Overviews::Nearest, Some(0.0));
        assert_eq!(nearest, [10, 0, 7, 100, 5, 3]);
        assert_eq!(halve(&[0u8; 4], 2, 2, Overviews::Average, Some(0.0)), [0]);
        assert_eq!(halve(&[1.0f32, f32::NAN, 2.0, 4.5], 2, 2, Overviews::Average, None), [2.5]);
    }
}
