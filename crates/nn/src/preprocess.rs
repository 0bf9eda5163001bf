use crate::backbone::check_side;
use crate::{Error, Result};
use image::imageops::{FilterType, resize};
use image::{ImageBuffer, RgbImage};
use std::path::Path;

/// ImageNet's means and standard deviations of red, green, blue, which the published weights expect.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const SD: [f32; 3] = [0.229, 0.224, 0.225];

/// An 8-bit picture, `[row, col, channel]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rgb(RgbImage);

impl Rgb {
    /// From the pixels of a tile, `[band, row, col]`, `px` on a side; the first three bands are red, green, blue.
    ///
    /// # Errors
    /// [`Error::Unfit`] if there are fewer than three bands.
    pub fn from_bands(pixels: &[u8], px: usize) -> Result<Self> {
        let plane = px * px;
        if px == 0 || pixels.len() < 3 * plane {
            let n = pixels.len() / plane.max(1);
            return Err(Error::Unfit(format!(
                "want tiles with red, green and blue, got {n} bands of {px} x {px} px"
            )));
        }
        let at = |x: u32, y: u32| y as usize * px + x as usize;
        let pixel =
            |x, y| image::Rgb([pixels[at(x, y)], pixels[plane + at(x, y)], pixels[2 * plane + at(x, y)]]);
        Ok(Self(ImageBuffer::from_fn(px as u32, px as u32, pixel)))
    }

    /// From a JPEG or PNG file.
    ///
    /// # Errors
    /// [`Error::Content`] naming the file if it cannot be decoded.
    pub fn open(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(contract::Error::io(path, "read"))?;
        let bad = |e: image::ImageError| Error::Content {
            path: path.into(),
            want: "a JPEG or PNG picture".into(),
            got: e.to_string(),
        };
        Ok(Self(image::load_from_memory(&bytes).map_err(bad)?.to_rgb8()))
    }

    /// Height and width in pixels.
    pub fn dims(&self) -> (usize, usize) {
        (self.0.height() as usize, self.0.width() as usize)
    }

    /// The pixels, `[row, col, channel]`.
    pub fn interleaved(&self) -> &[u8] {
        self.0.as_raw()
    }

    /// The pixels, `[channel, row, col]`.
    pub fn bands(&self) -> Vec<u8> {
        (0..3).flat_map(|c| self.0.pixels().map(move |p| p.0[c])).collect()
    }

    /// The upper `share` of this picture above the rest of `below`, the stitched image M of METHODS A6.
    ///
    /// # Panics
    /// If the two are of different sizes.
    pub fn stitched(&self, below: &Self, share: f64) -> Self {
        assert_eq!(self.dims(), below.dims(), "only pictures of one size can be stitched");
        let cut = (share * f64::from(self.0.height())).round() as u32;
        let pick = |x, y| *if y < cut { self.0.get_pixel(x, y) } else { below.0.get_pixel(x, y) };
        Self(ImageBuffer::from_fn(self.0.width(), self.0.height(), pick))
    }
}

/// A picture as the input of a backbone: resampled to `px` on a side with an anti-aliasing triangle filter, and
/// normalised as ImageNet is. `[channel, row, col]`.
///
/// # Errors
/// [`Error::Unfit`] if `px` is no multiple of 32.
pub fn to_input(picture: &Rgb, px: usize) -> Result<Vec<f32>> {
    check_side(px)?;
    let side = px as u32;
    let sized = if picture.dims() == (px, px) {
        picture.0.clone()
    } else {
        resize(&picture.0, side, side, FilterType::Triangle)
    };
    let channel = |c: usize| sized.pixels().map(move |p| (f32::from(p.0[c]) / 255.0 - MEAN[c]) / SD[c]);
    Ok((0..3).flat_map(channel).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn bands_in_are_bands_out() {
        let pixels: Vec<u8> = (0..3 * 16).map(|i| (i * 5) as u8).collect();
        assert_eq!(Rgb::from_bands(&pixels, 4).unwrap().bands(), pixels);
        assert!(Rgb::from_bands(&pixels[..32], 4).is_err(), "two bands are no colour picture");
    }

    #[test]
    fn a_constant_picture_stays_constant_at_any_size() {
        let grey = Rgb::from_bands(&[128; 3 * 100], 10).unwrap();
        let input = to_input(&grey, 64).unwrap();
        assert_eq!(input.len(), 3 * 64 * 64);
        for (c, plane) in input.chunks(64 * 64).enumerate() {
            let want = (128.0 / 255.0 - MEAN[c]) / SD[c];
            assert!(plane.iter().all(|v| (v - want).abs() < 1e-6));
        }
        assert!(to_input(&grey, 100).is_err(), "100 is no multiple of 32");
    }

    #[test]
    fn a_stitched_picture_holds_both_parts_and_nothing_else() {
        let (a, b) = (Rgb::from_bands(&[1; 48], 4).unwrap(), Rgb::from_bands(&[2; 48], 4).unwrap());
        assert_eq!(a.stitched(&b, 1.0), a);
        assert_eq!(a.stitched(&b, 0.0), b);
        assert_eq!(a.stitched(&b, 0.25).bands().iter().filter(|&&v| v == 1).count(), 12);
    }
}
