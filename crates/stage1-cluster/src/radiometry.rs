//! Radiometric normalisation before embedding: what haze, season and gain do to a whole scene or tile must not look like ground.
//!
//! By scene, each band of a granule is shifted and stretched to the mean and the spread of ImageNet's pictures, and its tiles keep their
//! differences. By tile, each tile loses its own colour and contrast too; the network does that itself ([`nn::Normalise`]).

use clap::ValueEnum;
use contract::TileReader;

/// Mean and standard deviation of red, green, blue in ImageNet, in counts of 8 bits.
const WANTED: [(f64, f64); 3] = [(123.7, 58.4), (116.3, 57.1), (103.5, 57.4)];
/// Contrast is stretched by no more than this: beyond, noise is what is seen.
const MOST_GAIN: f64 = 4.0;

/// What is brought to the same level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Normalise {
    /// Nothing.
    None,
    /// Each granule's scene as a whole.
    Scene,
    /// Each tile.
    Tile,
}

impl Normalise {
    /// What the network does itself.
    pub fn of_network(self) -> nn::Normalise {
        match self {
            Self::None | Self::Scene => nn::Normalise::None,
            Self::Tile => nn::Normalise::Tile,
        }
    }
}

/// How often each count occurs in each band.
#[derive(Clone)]
struct Histogram([[u64; 256]; 3]);

/// A new count for each count of each band.
pub struct Levels([[u8; 256]; 3]);

impl Histogram {
    fn empty() -> Self {
        Self([[0; 256]; 3])
    }

    fn add(&mut self, pixels: &[u8]) {
        let plane = pixels.len() / 3;
        for (counts, band) in self.0.iter_mut().zip(pixels.chunks_exact(plane.max(1))) {
            band.iter().for_each(|&count| counts[usize::from(count)] += 1);
        }
    }

    fn levels(&self) -> Levels {
        let mut levels = [[0; 256]; 3];
        for ((level, counts), (wanted_mean, wanted_sd)) in levels.iter_mut().zip(&self.0).zip(WANTED) {
            let n = counts.iter().sum::<u64>().max(1) as f64;
            let moment = |f: &dyn Fn(f64) -> f64| {
                counts.iter().enumerate().map(|(count, &times)| f(count as f64) * times as f64).sum::<f64>()
                    / n
            };
            let mean = moment(&|count| count);
            let sd = moment(&|count| (count - mean).powi(2)).sqrt();
            let gain = (wanted_sd / sd.max(f64::MIN_POSITIVE)).min(MOST_GAIN);
            for (count, level) in level.iter_mut().enumerate() {
                *level = ((count as f64 - mean) * gain + wanted_mean).round().clamp(0.0, 255.0) as u8;
            }
        }
        Levels(levels)
    }
}

impl Levels {
    /// The levels of a granule, if it is normalised as a whole.
    ///
    /// # Errors
    /// If the tiles cannot be read.
    pub fn of_scene(reader: &TileReader, normalise: Normalise) -> contract::Result<Option<Self>> {
        if normalise != Normalise::Scene {
            return Ok(None);
        }
        let mut histogram = Histogram::empty();
        for tile in reader.tiles() {
            if let Some(pixels) = tile?.pixels {
                histogram.add(colours(&pixels, reader));
            }
        }
        Ok(Some(histogram.levels()))
    }

    fn apply(&self, pixels: &mut [u8]) {
        let plane = (pixels.len() / 3).max(1);
        for (level, band) in self.0.iter().zip(pixels.chunks_exact_mut(plane)) {
            band.iter_mut().for_each(|count| *count = level[usize::from(*count)]);
        }
    }
}

/// The first three bands of a tile, at the scene's levels if there are any. `[band, row, col]`
pub fn levelled(pixels: &[u8], reader: &TileReader, scene: Option<&Levels>) -> Vec<u8> {
    let mut colours = colours(pixels, reader).to_vec();
    if let Some(levels) = scene {
        levels.apply(&mut colours);
    }
    colours
}

fn colours<'a>(pixels: &'a [u8], reader: &TileReader) -> &'a [u8] {
    let side = reader.meta().tile_px as usize;
    &pixels[..(3 * side * side).min(pixels.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half a count of rounding, stretched up to fourfold.
    const ROUNDING: f64 = 2.0;

    fn levels(pixels: &[u8]) -> Levels {
        let mut histogram = Histogram::empty();
        histogram.add(pixels);
        histogram.levels()
    }

    #[test]
    fn haze_and_gain_over_a_whole_scene_leave_no_trace() {
        let ground: Vec<u8> = (0..3 * 400).map(|i| (40 + (i * 7) % 61 + i / 400 * 20) as u8).collect();
        let hazy: Vec<u8> = ground.iter().map(|&v| (f64::from(v) * 0.8 + 60.0).round() as u8).collect();
        let level = |pixels: &[u8]| {
            let mut out = pixels.to_vec();
            levels(pixels).apply(&mut out);
            out
        };
        let (clear, hazy) = (level(&ground), level(&hazy));
        let apart = clear.iter().zip(&hazy).map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
        assert!(apart.sum::<f64>() / 1200.0 < ROUNDING);
        let mean = clear[..400].iter().map(|&v| f64::from(v)).sum::<f64>() / 400.0;
        assert!((mean - WANTED[0].0).abs() < ROUNDING, "{mean}");
    }

    #[test]
    fn flat_ground_stays_flat() {
        let mut flat = vec![90; 300];
        levels(&flat.clone()).apply(&mut flat);
        assert_eq!(flat[0], 124, "the wanted mean of red");
        assert!(flat[..100].iter().all(|&v| v == flat[0]));
    }
}
