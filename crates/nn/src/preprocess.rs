use crate::backbone::check_side;
use crate::{Error, Result};
use image::imageops::{self, FilterType, resize};
use image::{ImageBuffer, RgbImage};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::str::FromStr;

/// ImageNet's means and standard deviations of red, green, blue, which the published weights expect.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const SD: [f32; 3] = [0.229, 0.224, 0.225];

/// An 8-bit picture, `[row, col, channel]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Rgb(pub(crate) RgbImage);

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

    /// The picture laid on itself in one of eight ways: turned clockwise by so many quarters, and from 4 on mirrored then.
    pub fn turned(&self, way: u8) -> Self {
        let turned = match way % 4 {
            0 => self.0.clone(),
            1 => imageops::rotate90(&self.0),
            2 => imageops::rotate180(&self.0),
            _ => imageops::rotate270(&self.0),
        };
        Self(if way % 8 < 4 { turned } else { imageops::flip_horizontal(&turned) })
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

/// What is done to a picture's light before a network sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Nothing: the network sees haze, season and the scene's rendering as they are.
    #[default]
    None,
    /// Each channel of the picture gets ImageNet's usual mean and spread, so that a hazy, a dark and a blue rendering of
    /// the same ground look alike. A blank picture stays blank; faint noise is brought out, a little less than texture.
    Tile,
}

/// Mean and standard deviation of a channel after [`Normalise::Tile`], in shares of white: those of ImageNet's pictures.
const TILE_MEAN: f64 = 0.45;
const TILE_SD: f64 = 0.16;
/// Added to the spread that a channel had, about one step of 8 bits, so that noise is not blown up to texture.
const TILE_SD_FLOOR: f64 = 0.005;

impl FromStr for Normalise {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "tile" => Ok(Self::Tile),
            _ => Err("want none or tile".into()),
        }
    }
}

impl std::fmt::Display for Normalise {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Tile => "tile",
        })
    }
}

/// A picture as the input of a backbone: resampled to `px` on a side with an anti-aliasing triangle filter, and
/// normalised as ImageNet is. `[channel, row, col]`.
///
/// # Errors
/// [`Error::Unfit`] if `px` is no multiple of 32.
pub fn to_input(picture: &Rgb, px: usize, normalise: Normalise) -> Result<Vec<f32>> {
    check_side(px)?;
    Ok(match normalise {
        Normalise::None => {
            let sized = sized(&picture.0, px);
            planes(sized.as_raw(), |c, v| (f32::from(v) / 255.0 - MEAN[c]) / SD[c])
        }
        Normalise::Tile => {
            // In floats, so that resampling adds no steps that would then be amplified.
            let shares = ImageBuffer::from_fn(picture.0.width(), picture.0.height(), |x, y| {
                image::Rgb(picture.0.get_pixel(x, y).0.map(|v| f32::from(v) / 255.0))
            });
            let light = [0, 1, 2].map(|c| moments(&picture.0, c));
            planes(sized(&shares, px).as_raw(), |c, v| {
                let (mean, sd) = light[c];
                let standard = (f64::from(v) - mean) / (sd + TILE_SD_FLOOR) * TILE_SD + TILE_MEAN;
                (standard as f32 - MEAN[c]) / SD[c]
            })
        }
    })
}

/// Mean and standard deviation of a channel at the picture's own resolution, in shares of white.
fn moments(picture: &RgbImage, channel: usize) -> (f64, f64) {
    let n = f64::from(picture.width() * picture.height());
    let (sum, squares) = picture.pixels().fold((0_u64, 0_u64), |(sum, squares), p| {
        let v = u64::from(p.0[channel]);
        (sum + v, squares + v * v)
    });
    let (mean, square) = (sum as f64 / n, squares as f64 / n);
    (mean / 255.0, (square - mean * mean).max(0.0).sqrt() / 255.0)
}

fn sized<V: image::Primitive + 'static>(
    picture: &ImageBuffer<image::Rgb<V>, Vec<V>>,
    px: usize,
) -> ImageBuffer<image::Rgb<V>, Vec<V>>
where
    image::Rgb<V>: image::Pixel<Subpixel = V>,
{
    let side = px as u32;
    if picture.dimensions() == (side, side) {
        return picture.clone();
    }
    resize(picture, side, side, FilterType::Triangle)
}

/// `[row, col, channel]` to `[channel, row, col]`.
fn planes<V: Copy>(interleaved: &[V], value: impl Fn(usize, V) -> f32) -> Vec<f32> {
    (0..3)
        .flat_map(|c| interleaved.iter().skip(c).step_by(3).map(move |&v| (c, v)))
        .map(|(c, v)| value(c, v))
        .collect()
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
        let input = to_input(&grey, 64, Normalise::None).unwrap();
        assert_eq!(input.len(), 3 * 64 * 64);
        for (c, plane) in input.chunks(64 * 64).enumerate() {
            let want = (128.0 / 255.0 - MEAN[c]) / SD[c];
            assert!(plane.iter().all(|v| (v - want).abs() < 1e-6));
        }
        assert!(to_input(&grey, 100, Normalise::None).is_err(), "100 is no multiple of 32");
    }

    #[test]
    fn haze_and_gain_vanish_from_a_normalised_tile() {
        let ground: Vec<u8> = (0..3 * 4096).map(|i| 40 + ((i * 37) % 61) as u8).collect();
        let hazy: Vec<u8> = ground.iter().map(|&v| 30 + 2 * v).collect();
        let input =
            |pixels: &[u8]| to_input(&Rgb::from_bands(pixels, 64).unwrap(), 64, Normalise::Tile).unwrap();
        let (clear, hazy) = (input(&ground), input(&hazy));
        let apart = clear.iter().zip(&hazy).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        // What is left is the floor of the spread: .005 of about .07, and half of that of twice the spread.
        assert!(apart < 0.1, "{apart} of a spread of about .7");
        assert!(clear.iter().any(|v| v.abs() > 0.5), "the ground itself is still there");
    }

    #[test]
    fn a_blank_tile_is_normalised_to_a_blank_tile() {
        let blank = to_input(&Rgb::from_bands(&[200; 3 * 64], 8).unwrap(), 32, Normalise::Tile).unwrap();
        for (c, plane) in blank.chunks(32 * 32).enumerate() {
            let want = (TILE_MEAN as f32 - MEAN[c]) / SD[c];
            assert!(plane.iter().all(|v| (v - want).abs() < 1e-5));
        }
    }

    #[test]
    fn the_eight_ways_to_lay_a_square_are_eight_and_keep_every_pixel() {
        let picture = Rgb::from_bands(&(0..48).collect::<Vec<u8>>(), 4).unwrap();
        let sorted = |picture: &Rgb| {
            let mut pixels: Vec<[u8; 3]> = picture.0.pixels().map(|p| p.0).collect();
            pixels.sort_unstable();
            pixels
        };
        let ways: std::collections::BTreeSet<Vec<u8>> = (0..8)
            .map(|way| {
                let laid = picture.turned(way);
                assert_eq!(sorted(&laid), sorted(&picture));
                laid.interleaved().to_vec()
            })
            .collect();
        assert_eq!(ways.len(), 8);
    }

    #[test]
    fn a_stitched_picture_holds_both_parts_and_nothing_else() {
        let (a, b) = (Rgb::from_bands(&[1; 48], 4).unwrap(), Rgb::from_bands(&[2; 48], 4).unwrap());
        assert_eq!(a.stitched(&b, 1.0), a);
        assert_eq!(a.stitched(&b, 0.0), b);
        assert_eq!(a.stitched(&b, 0.25).bands().iter().filter(|&&v| v == 1).count(), 12);
    }
}
