//! Colour images and their resampling to the page.

use crate::{FigureError, Rgb, Scale};

/// An 8-bit colour image, `[row, column, channel]`, the first row at the top.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRgb {
    height: usize,
    width: usize,
    pixels: Vec<u8>,
}

impl ImageRgb {
    /// An image from `height * width * 3` bytes.
    ///
    /// # Errors
    /// [`FigureError::Pixels`] if the buffer has another length, [`FigureError::Empty`] if a side is zero.
    pub fn new(height: usize, width: usize, pixels: Vec<u8>) -> Result<ImageRgb, FigureError> {
        let wanted = height * width * 3;
        if pixels.len() != wanted {
            return Err(FigureError::Pixels { height, width, wanted, found: pixels.len() });
        }
        if wanted == 0 {
            return Err(FigureError::Empty("an image without pixels"));
        }
        Ok(ImageRgb { height, width, pixels })
    }

    /// The picture of a field of values: `low` and below take the first colour of the scale, `high` and above the
    /// last, NaN [`Rgb::NODATA`].
    ///
    /// # Errors
    /// As [`ImageRgb::new`], with one value a pixel.
    pub(crate) fn paint(
        height: usize,
        width: usize,
        values: &[f32],
        (low, high): (f64, f64),
        scale: Scale,
    ) -> Result<ImageRgb, FigureError> {
        if values.len() != height * width {
            return Err(FigureError::Pixels { height, width, wanted: height * width, found: values.len() });
        }
        let span = if high > low { high - low } else { 1.0 };
        let table = scale.table(1024);
        let mut pixels = Vec::with_capacity(values.len() * 3);
        for &value in values {
            let share = (f64::from(value) - low) / span;
            let colour = if share.is_nan() {
                Rgb::NODATA
            } else {
                table[(share.clamp(0.0, 1.0) * 1023.0).round() as usize]
            };
            pixels.extend([colour.0, colour.1, colour.2]);
        }
        ImageRgb::new(height, width, pixels)
    }

    /// An image of one row or one column of colours; there are `height * width` of them.
    pub(crate) fn strip(colours: impl Iterator<Item = Rgb>, height: usize, width: usize) -> ImageRgb {
        let pixels: Vec<u8> = colours.flat_map(|c| [c.0, c.1, c.2]).collect();
        debug_assert_eq!(pixels.len(), height * width * 3);
        ImageRgb { height, width, pixels }
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn row(&self, row: usize) -> &[u8] {
        &self.pixels[row * self.width * 3..(row + 1) * self.width * 3]
    }

    /// The image at another size: where it grows, each pixel stays a block of one colour; where it shrinks, an output
    /// pixel is the mean of the pixels whose centres fall into it.
    pub(crate) fn resized(&self, height: usize, width: usize) -> ImageRgb {
        let rows = spans(self.height, height);
        let columns = spans(self.width, width);
        let mut pixels = Vec::with_capacity(height * width * 3);
        for rows in &rows {
            for columns in &columns {
                let mut sums = [0_u64; 3];
                for row in rows.clone() {
                    for pixel in self.row(row)[columns.start * 3..columns.end * 3].chunks_exact(3) {
                        for (sum, &byte) in sums.iter_mut().zip(pixel) {
                            *sum += u64::from(byte);
                        }
                    }
                }
                let n = (rows.len() * columns.len()) as u64;
                pixels.extend(sums.map(|sum| ((sum + n / 2) / n) as u8));
            }
        }
        ImageRgb { height, width, pixels }
    }
}

/// For each of `to` output cells, the input cells it draws from: never none.
fn spans(from: usize, to: usize) -> Vec<std::ops::Range<usize>> {
    (0..to)
        .map(|cell| {
            let start = (cell * from / to).min(from - 1);
            let end = ((cell + 1) * from / to).clamp(start + 1, from);
            start..end
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn growing_by_a_whole_factor_repeats_pixels() {
        let image = ImageRgb::new(1, 2, vec![1, 2, 3, 200, 100, 0]).unwrap();
        let grown = image.resized(2, 4);
        assert_eq!(grown.row(1), &[1, 2, 3, 1, 2, 3, 200, 100, 0, 200, 100, 0]);
    }

    #[test]
    fn shrinking_keeps_the_mean() {
        let image = ImageRgb::new(2, 2, vec![0, 10, 0, 100, 30, 0, 200, 50, 0, 100, 70, 0]).unwrap();
        assert_eq!(image.resized(1, 1).row(0), &[100, 40, 0]);
    }

    #[test]
    fn every_input_pixel_is_drawn_once_when_an_image_shrinks() {
        for (from, to) in [(343, 96), (256, 224), (10, 10), (7, 3)] {
            let spans = spans(from, to);
            assert_eq!(spans.iter().map(ExactSizeIterator::len).sum::<usize>(), from);
        }
    }

    #[test]
    fn a_buffer_of_the_wrong_length_is_refused() {
        let error = ImageRgb::new(2, 2, vec![0; 5]).unwrap_err().to_string();
        assert_eq!(error, "an image of 2 x 2 px needs 12 bytes, found 5");
    }

    #[test]
    fn painted_values_outside_the_range_take_the_end_colours() {
        let image = ImageRgb::paint(1, 3, &[-9.0, 9.0, f32::NAN], (0.0, 1.0), Scale::Score).unwrap();
        let ends = [Scale::Score.at(0.0), Scale::Score.at(1.0), Rgb::NODATA];
        let wanted: Vec<u8> = ends.iter().flat_map(|c| [c.0, c.1, c.2]).collect();
        assert_eq!(image.row(0), wanted);
    }
}
