use crate::Rgb;
use image::imageops::{FilterType, resize};
use serde::{Deserialize, Serialize};

/// Means and standard deviations of red, green and blue over pixels with data, in counts from 0 to 255.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tones {
    /// Pixels that were counted; black ones have no data.
    pub n: u64,
    /// Mean of each channel.
    pub mean: [f64; 3],
    /// Standard deviation of each channel.
    pub sd: [f64; 3],
}

impl Tones {
    /// The tones of one picture.
    pub fn of(picture: &Rgb) -> Self {
        let (mut n, mut sum, mut squares) = (0_u64, [0_u64; 3], [0_u64; 3]);
        for pixel in picture.0.pixels().filter(|p| p.0 != [0; 3]) {
            n += 1;
            for (c, &value) in pixel.0.iter().enumerate() {
                sum[c] += u64::from(value);
                squares[c] += u64::from(value).pow(2);
            }
        }
        let count = n.max(1) as f64;
        let mean = sum.map(|s| s as f64 / count);
        let variance = |c: usize| (squares[c] as f64 / count - mean[c].powi(2)).max(0.0);
        Self { n, mean, sd: [0, 1, 2].map(|c| variance(c).sqrt()) }
    }

    /// The tones of all pixels of several pictures together.
    pub fn together(all: impl Iterator<Item = Self>) -> Self {
        let (mut n, mut sum, mut squares) = (0, [0.0; 3], [0.0; 3]);
        for one in all {
            n += one.n;
            for c in 0..3 {
                sum[c] += one.n as f64 * one.mean[c];
                squares[c] += one.n as f64 * (one.sd[c].powi(2) + one.mean[c].powi(2));
            }
        }
        let count = (n as f64).max(1.0);
        let mean = sum.map(|s| s / count);
        let variance = |c: usize| (squares[c] / count - mean[c].powi(2)).max(0.0);
        Self { n, mean, sd: [0, 1, 2].map(|c| variance(c).sqrt()) }
    }
}

/// Below this spread a channel is as good as constant, and is shifted but not stretched.
const LEAST_SD: f64 = 0.5;

impl Rgb {
    /// The picture in grey, by the weights of ITU-R BT.601, in all three channels.
    pub fn grey(&self) -> Self {
        self.mapped(|[r, g, b]| {
            let grey = 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b);
            [grey.round() as u8; 3]
        })
    }

    /// The picture with each channel shifted and stretched from some tones to others; black stays black.
    pub fn toned(&self, from: &Tones, to: &Tones) -> Self {
        let table: [[u8; 256]; 3] = [0, 1, 2].map(|c| {
            let stretch = if from.sd[c] > LEAST_SD { to.sd[c] / from.sd[c] } else { 1.0 };
            std::array::from_fn(|v| {
                ((v as f64 - from.mean[c]) * stretch + to.mean[c]).round().clamp(0.0, 255.0) as u8
            })
        });
        self.mapped(|p| if p == [0; 3] { p } else { [0, 1, 2].map(|c| table[c][usize::from(p[c])]) })
    }

    /// The picture at `px` on a side, as [`to_input`] resamples it.
    pub fn sized(&self, px: usize) -> Self {
        if self.dims() == (px, px) {
            return self.clone();
        }
        Self(resize(&self.0, px as u32, px as u32, FilterType::Triangle))
    }

    fn mapped(&self, map: impl Fn([u8; 3]) -> [u8; 3]) -> Self {
        let mut picture = self.0.clone();
        picture.pixels_mut().for_each(|p| p.0 = map(p.0));
        Self(picture)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn speckled() -> Rgb {
        let value = |i: usize| if i % 100 == 7 { 0 } else { 40 + (i * 37 % 90) as u8 + (i / 100 * 20) as u8 };
        Rgb::from_bands(&(0..300).map(value).collect::<Vec<_>>(), 10).unwrap()
    }

    #[test]
    fn a_toned_picture_has_the_tones_that_were_wanted_and_black_stays() {
        let picture = speckled();
        let from = Tones::of(&picture);
        let wanted = Tones { n: 0, mean: [100.0, 110.0, 120.0], sd: [20.0, 15.0, 10.0] };
        let toned = picture.toned(&from, &wanted);
        let found = Tones::of(&toned);
        for c in 0..3 {
            // Rounding to whole counts.
            assert!((found.mean[c] - wanted.mean[c]).abs() < 0.5 && (found.sd[c] - wanted.sd[c]).abs() < 0.5);
        }
        assert_eq!(found.n, from.n);
        assert_eq!(picture.toned(&from, &from), picture);
    }

    #[test]
    fn tones_of_parts_together_are_those_of_the_whole() {
        let picture = speckled();
        let whole = Tones::of(&picture);
        let together = Tones::together([whole, whole].into_iter());
        assert_eq!(together.n, 2 * whole.n);
        assert!((0..3).all(|c| (together.sd[c] - whole.sd[c]).abs() < 1e-9));
    }
}
