//! Altered views of a picture: the same ground turned or mirrored, under other light and haze, and sometimes blurred.
//!
//! What a judge says of them shows how it will do on scenes of another sensor, season or renderer.
//! Left out: crops and other scales, because the label of a picture is not that of its parts.

use image::imageops::{self, FilterType};
use image::{ImageBuffer, RgbImage};
use nn::Rgb;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Half the width of the exposure, in powers of e: from 0.70 to 1.42 times the light.
const EXPOSURE: f64 = 0.35;
/// Half the width of the contrast curve's exponent, in powers of e.
const GAMMA: f64 = 0.25;
/// Half the width of each colour's own exposure, in powers of e.
const CAST: f64 = 0.1;
/// The most that haze takes away from the ground's light, as a share; half of the views have haze.
const HAZE_SHARE: f64 = 0.35;
/// The colour of haze: red, green, blue, as shares of white.
const HAZE: [f64; 3] = [0.75, 0.78, 0.82];
/// A blurred view keeps this share of its rows at least, and at most; half of the views are blurred.
const KEPT_SHARE: (f64, f64) = (0.32, 0.9);

/// A view of the picture, `side_px` on a side.
///
/// # Errors
/// None for a picture with pixels.
pub fn altered(picture: &Rgb, side_px: usize, rng: &mut ChaCha8Rng) -> nn::Result<Rgb> {
    let turned = picture.sized(side_px).turned(rng.random_range(0..8));
    let side = side_px as u32;
    let turned: RgbImage = ImageBuffer::from_raw(side, side, turned.interleaved().to_vec())
        .expect("a picture has three bytes a pixel");
    let lit = lit(turned, rng);
    let seen = if rng.random_range(0.0..1.0) < 0.5 { blurred(&lit, rng) } else { lit };
    let bands: Vec<u8> = (0..3).flat_map(|c| seen.pixels().map(move |p| p.0[c])).collect();
    Rgb::from_bands(&bands, side_px)
}

fn lit(mut picture: RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
    let mut about_one = |half: f64| rng.random_range(-half..half).exp();
    let (exposure, gamma) = (about_one(EXPOSURE), about_one(GAMMA));
    let casts = [about_one(CAST), about_one(CAST), about_one(CAST)];
    let haze_share = if rng.random_range(0.0..1.0) < 0.5 { rng.random_range(0.0..HAZE_SHARE) } else { 0.0 };
    let curve = |channel: usize, value: u8| {
        let ground = (f64::from(value) / 255.0).powf(gamma) * exposure * casts[channel];
        let seen = ground.min(1.0) * (1.0 - haze_share) + HAZE[channel] * haze_share;
        (seen * 255.0).round() as u8
    };
    let curves: Vec<Vec<u8>> =
        (0..3).map(|channel| (0..=255).map(|value| curve(channel, value)).collect()).collect();
    for pixel in picture.pixels_mut() {
        for (channel, value) in pixel.0.iter_mut().enumerate() {
            *value = curves[channel][usize::from(*value)];
        }
    }
    picture
}

fn blurred(picture: &RgbImage, rng: &mut ChaCha8Rng) -> RgbImage {
    let (width, height) = picture.dimensions();
    let small = (f64::from(width) * rng.random_range(KEPT_SHARE.0..KEPT_SHARE.1)).round().max(1.0) as u32;
    let coarse = imageops::resize(picture, small, small, FilterType::Triangle);
    imageops::resize(&coarse, width, height, FilterType::Triangle)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_view_is_drawn_from_its_seed_alone_and_brighter_ground_stays_brighter() {
        let ramp: Vec<u8> = (0..3).flat_map(|_| (0..64 * 64).map(|i| (i % 64 * 4) as u8)).collect();
        let picture = Rgb::from_bands(&ramp, 64).unwrap();
        let view = |seed| altered(&picture, 64, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap();
        assert_eq!(view(1), view(1));
        assert_ne!(view(1), view(2));
        for seed in 0..20 {
            let light = lit(
                ImageBuffer::from_fn(256, 1, |x, _| image::Rgb([x as u8; 3])),
                &mut ChaCha8Rng::seed_from_u64(seed),
            );
            for channel in 0..3 {
                let curve: Vec<u8> = light.pixels().map(|p| p.0[channel]).collect();
                assert!(curve.is_sorted(), "seed {seed}: {curve:?}");
            }
        }
    }
}
