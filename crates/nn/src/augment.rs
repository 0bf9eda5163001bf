use crate::{Normalise, Result, Rgb, to_input};
use image::imageops::crop_imm;
use rand::{Rng, RngExt};

/// How pictures are varied while a network learns, so that it learns what stays: ground from above has no upright side, and
/// light, haze and sharpness change from scene to scene.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Augment {
    /// The least share of the picture's area that a crop keeps; 1 keeps all of it.
    pub least_crop_share: f64,
    /// Whether pictures are flipped and turned by quarters.
    pub turns: bool,
    /// Brightness, contrast, saturation and each colour's gain are drawn up to this share above or below 1.
    pub jitter_share: f64,
    /// Whether each colour has a gain of its own, which grey pictures would lose their grey by.
    pub tints: bool,
    /// The chance of a blur of about one pixel.
    pub blur_chance: f64,
}

impl Augment {
    /// Nothing is varied.
    pub const NONE: Self =
        Self { least_crop_share: 1.0, turns: false, jitter_share: 0.0, tints: true, blur_chance: 0.0 };
    /// For learning without labels, and for classes.
    pub const FULL: Self =
        Self { least_crop_share: 0.4, turns: true, jitter_share: 0.3, tints: true, blur_chance: 0.3 };
}

/// A varied picture as the input of a backbone, as [`to_input`]. `[channel, row, col]`
///
/// # Errors
/// As [`to_input`]; if the picture is empty.
pub fn augmented(
    picture: &Rgb,
    px: usize,
    normalise: Normalise,
    augment: &Augment,
    rng: &mut impl Rng,
) -> Result<Vec<f32>> {
    if *augment == Augment::NONE {
        return to_input(picture, px, normalise);
    }
    to_input(&varied(picture, augment, rng)?, px, normalise)
}

/// A varied picture, a square as large as what was cropped.
///
/// # Errors
/// If the picture is empty.
pub fn varied(picture: &Rgb, augment: &Augment, rng: &mut impl Rng) -> Result<Rgb> {
    let view = View::draw(picture.dims(), augment, rng);
    let mut planes = view.planes(picture);
    jitter(&mut planes, augment, rng);
    if rng.random::<f64>() < augment.blur_chance {
        planes.iter_mut().for_each(|plane| *plane = blurred(plane, view.side));
    }
    let bytes: Vec<u8> = planes.iter().flatten().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    Rgb::from_bands(&bytes, view.side)
}

/// A square part of a picture, and how it is turned.
struct View {
    top: usize,
    left: usize,
    side: usize,
    /// As [`Rgb::turned`].
    way: u8,
}

impl View {
    fn draw((height, width): (usize, usize), augment: &Augment, rng: &mut impl Rng) -> Self {
        let share = augment.least_crop_share + (1.0 - augment.least_crop_share) * rng.random::<f64>();
        let whole = height.min(width);
        let side = ((whole as f64 * share.sqrt()).round() as usize).clamp(1, whole.max(1));
        let (top, left) = (rng.random_range(0..=height - side), rng.random_range(0..=width - side));
        let (mirrored, quarters) = (rng.random::<bool>(), rng.random_range(0..4_usize));
        let way = [0, 3, 2, 1][quarters] + 4 * u8::from(mirrored);
        Self { top, left, side, way: if augment.turns { way } else { 0 } }
    }

    /// The part's red, green and blue, each row by row.
    fn planes(&self, picture: &Rgb) -> [Vec<f32>; 3] {
        let [left, top, side] = [self.left, self.top, self.side].map(|px| px as u32);
        let part = Rgb(crop_imm(&picture.0, left, top, side, side).to_image()).turned(self.way);
        std::array::from_fn(|channel| part.0.pixels().map(|p| f32::from(p.0[channel])).collect())
    }
}

/// Contrast about the mean grey, then saturation about each pixel's grey, then each colour's gain with the brightness.
fn jitter(planes: &mut [Vec<f32>; 3], augment: &Augment, rng: &mut impl Rng) {
    let mut factor = || (1.0 + augment.jitter_share * (2.0 * rng.random::<f64>() - 1.0)) as f32;
    let (brightness, contrast, saturation) = (factor(), factor(), factor());
    // Colours drift apart less than light changes.
    let drift = if augment.tints { 1.0 / 3.0 } else { 0.0 };
    let gains: [f32; 3] = std::array::from_fn(|_| brightness * (1.0 + (factor() - 1.0) * drift));
    let n = planes[0].len().max(1) as f32;
    let mean = planes.iter().flatten().sum::<f32>() / (3.0 * n);
    for i in 0..planes[0].len() {
        let pixel = [0, 1, 2].map(|c| (planes[c][i] - mean) * contrast + mean);
        let grey = pixel.iter().sum::<f32>() / 3.0;
        for (c, value) in pixel.into_iter().enumerate() {
            planes[c][i] = (grey + (value - grey) * saturation) * gains[c];
        }
    }
}

/// The binomial blur of 3 x 3 pixels; beyond the edge the edge goes on.
fn blurred(plane: &[f32], side: usize) -> Vec<f32> {
    let last = side - 1;
    let line = |of: &dyn Fn(usize) -> f32, i: usize| {
        (of(i.saturating_sub(1)) + 2.0 * of(i) + of((i + 1).min(last))) / 4.0
    };
    let across: Vec<f32> =
        (0..side * side).map(|i| line(&|col| plane[i / side * side + col], i % side)).collect();
    (0..side * side).map(|i| line(&|row| across[row * side + i % side], i / side)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    fn picture() -> Rgb {
        let pixels: Vec<u8> = (0..3 * 32 * 32).map(|i| (i * 37 % 251) as u8).collect();
        Rgb::from_bands(&pixels, 32).unwrap()
    }

    fn draw(augment: Augment, seed: u64) -> Vec<f32> {
        augmented(&picture(), 32, Normalise::None, &augment, &mut ChaCha8Rng::seed_from_u64(seed)).unwrap()
    }

    #[test]
    fn nothing_asked_for_is_the_plain_input() {
        assert_eq!(draw(Augment::NONE, 1), to_input(&picture(), 32, Normalise::None).unwrap());
    }

    #[test]
    fn turns_move_pixels_and_change_none() {
        let turned = draw(Augment { turns: true, ..Augment::NONE }, 4);
        let plain = to_input(&picture(), 32, Normalise::None).unwrap();
        assert_ne!(turned, plain);
        let sorted = |mut values: Vec<f32>| {
            values.sort_by(f32::total_cmp);
            values
        };
        assert_eq!(sorted(turned[..1024].to_vec()), sorted(plain[..1024].to_vec()));
        let all: std::collections::BTreeSet<Vec<u32>> = (0..64)
            .map(|seed| {
                draw(Augment { turns: true, ..Augment::NONE }, seed).iter().map(|v| v.to_bits()).collect()
            })
            .collect();
        assert_eq!(all.len(), 8, "four turns, each mirrored or not");
    }

    #[test]
    fn each_ingredient_acts_and_the_seed_decides() {
        let plain = draw(Augment::NONE, 9);
        for one in [
            Augment { least_crop_share: 0.3, ..Augment::NONE },
            Augment { jitter_share: 0.4, ..Augment::NONE },
            Augment { blur_chance: 1.0, ..Augment::NONE },
        ] {
            assert_ne!(draw(one, 9), plain, "{one:?}");
            assert_eq!(draw(one, 9), draw(one, 9));
        }
        assert_ne!(draw(Augment::FULL, 1), draw(Augment::FULL, 2));
    }

    #[test]
    fn grey_pictures_stay_grey_where_tints_are_left_out() {
        let plane: Vec<u8> = (0..32 * 32).map(|i| (i * 37 % 251) as u8).collect();
        let grey = Rgb::from_bands(&plane.repeat(3), 32).unwrap();
        let coloured = |tints: bool| {
            let augment = Augment { tints, ..Augment::FULL };
            let seen = varied(&grey, &augment, &mut ChaCha8Rng::seed_from_u64(5)).unwrap();
            seen.interleaved().chunks(3).any(|p| p[0] != p[1] || p[1] != p[2])
        };
        assert!(coloured(true) && !coloured(false));
    }

    #[test]
    fn a_blur_keeps_flat_ground() {
        assert!(blurred(&[7.0; 25], 5).iter().all(|&v| v == 7.0));
    }
}
