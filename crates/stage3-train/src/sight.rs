//! What is seen of a picture: colours brought to those of training or not, grey or not, and the features of what is left.
//!
//! Besides a backbone's features there are two baselines: statistics of the colours, and random convolutional features in the manner
//! of MOSAIKS (Rolf et al. 2021), here with drawn filters instead of drawn patches.

use crate::data::Samples;
use crate::draw::generator;
use anyhow::ensure;
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor, TensorData};
use nn::{Architecture, DeviceChoice, Embedder, Rgb, Tones, to_input};
use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Shares of the pixels below the quantiles of a channel that are colour features.
const QUANTILES: [f64; 5] = [0.05, 0.25, 0.5, 0.75, 0.95];
/// Mean and deviation, in counts, of each channel of a normalised tile whose colours are measured.
const TILE_MEAN: f64 = 115.0;
const TILE_SD: f64 = 41.0;
const COLOUR_FEATURES: usize = 3 * (2 + QUANTILES.len());
/// Drawn filters; each gives two features, one a sign.
const RANDOM_FILTERS: usize = 256;
const RANDOM_FILTER_PX: usize = 5;
const RANDOM_STRIDE_PX: usize = 2;
/// Side to which a picture is brought for random features: as many pixels as filters of 5 px can see structure in at little cost.
const RANDOM_INPUT_PX: usize = 128;
/// Seed of the filters, which are the same in every run, so that a model need not keep them.
const RANDOM_SEED: u64 = 0;

/// What heads see of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Features {
    /// The backbone's last features, averaged over the picture.
    Last,
    /// The mean activations at the ends of the backbone's stages.
    Stages,
    /// Both of these.
    Both,
    /// Means, deviations and quantiles of the colours: a baseline.
    Colour,
    /// Random convolutional features: a baseline.
    Random,
}

/// What is done to the light of a picture before anything looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// Nothing.
    None,
    /// Each channel of each tile gets ImageNet's usual mean and spread.
    Tile,
    /// Each channel of a granule gets the mean and the spread of the training pictures.
    Scene,
    /// Half of the members see tiles as they are, half see them as `tile` makes them.
    Both,
}

/// One way in which members see the light of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Light {
    /// As it is.
    AsIs,
    /// As [`Normalise::Tile`].
    Tile,
    /// As [`Normalise::Scene`].
    Scene,
}

impl Normalise {
    /// The lights in which pictures are seen.
    pub fn lights(self) -> &'static [Light] {
        match self {
            Self::None => &[Light::AsIs],
            Self::Tile => &[Light::Tile],
            Self::Scene => &[Light::Scene],
            Self::Both => &[Light::AsIs, Light::Tile],
        }
    }
}

/// What is seen of a picture, as a model card keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sight {
    /// What is computed.
    pub features: Features,
    /// Sides of the backbone's input in pixels; the features of all stand side by side.
    pub input_px: Vec<usize>,
    /// Whether colour is left out.
    pub grey: bool,
    /// What is done to the light.
    pub normalise: Normalise,
    /// The colours of all training pictures together, if granules are brought to them.
    pub reference: Option<Tones>,
}

impl Sight {
    /// Length of a vector of features.
    pub fn n_features(&self, backbone: Architecture) -> usize {
        let n = match self.features {
            Features::Last => backbone.n_features(),
            Features::Stages => backbone.n_stage_means(),
            Features::Both => backbone.n_features() + backbone.n_stage_means(),
            Features::Colour => return COLOUR_FEATURES,
            Features::Random => return 2 * RANDOM_FILTERS,
        };
        n * self.input_px.len()
    }

    /// Whether a backbone looks at the pictures.
    pub fn needs_backbone(&self) -> bool {
        !matches!(self.features, Features::Colour | Features::Random)
    }

    /// The picture in one light, as far as whole counts can show it: `Tile` is left to what looks at it. `scene` are the colours
    /// of its granule.
    pub fn prepare(&self, picture: &Rgb, scene: &Tones, light: Light) -> Rgb {
        let toned = match (light, &self.reference) {
            (Light::Scene, Some(reference)) => picture.toned(scene, reference),
            _ => picture.clone(),
        };
        if self.grey { toned.grey() } else { toned }
    }
}

/// The colours of each granule and of all together; empty where they are not asked for.
///
/// # Errors
/// If pictures cannot be read.
pub fn colours(samples: &Samples, normalise: Normalise) -> anyhow::Result<(Vec<Tones>, Option<Tones>)> {
    let mut granules = vec![Tones::together(std::iter::empty()); samples.n_granules()];
    if normalise != Normalise::Scene {
        return Ok((granules, None));
    }
    let chosen: Vec<usize> = (0..samples.all.len()).collect();
    let mut tiles = Vec::with_capacity(chosen.len());
    samples.each(&chosen, |pictures| {
        tiles.extend(pictures.iter().map(|(i, picture)| (samples.all[*i].granule, Tones::of(picture))));
        Ok(())
    })?;
    for (g, granule) in granules.iter_mut().enumerate() {
        *granule = Tones::together(tiles.iter().filter(|t| t.0 == g).map(|t| t.1));
    }
    Ok((granules, Some(Tones::together(tiles.iter().map(|t| t.1)))))
}

impl Light {
    /// What networks do to it when they take a picture in.
    pub fn at_input(self) -> nn::Normalise {
        match self {
            Self::AsIs | Self::Scene => nn::Normalise::None,
            Self::Tile => nn::Normalise::Tile,
        }
    }
}

/// A sight with the networks that it needs: a look for each file of weights in each light.
pub struct Eye {
    sight: Sight,
    looks: Vec<Look>,
}

/// One way to see a picture: a light, and the backbone's weights, loaded once for each side of its input.
struct Look {
    light: Light,
    embedders: Vec<Embedder>,
}

impl Eye {
    /// Loads the backbone once for each file of weights, each light and each side of its input.
    ///
    /// # Errors
    /// If weights are needed and cannot be read, or a side is no multiple of 32.
    pub fn load(
        sight: Sight,
        backbone: Architecture,
        weights: &[PathBuf],
        device: DeviceChoice,
    ) -> anyhow::Result<Self> {
        let lights = sight.normalise.lights();
        if !sight.needs_backbone() {
            let looks = lights.iter().map(|&light| Look { light, embedders: Vec::new() }).collect();
            return Ok(Self { sight, looks });
        }
        ensure!(!weights.is_empty(), "want the backbone's weights; give --weights");
        let mut looks = Vec::new();
        for (weights, &light) in weights.iter().flat_map(|w| lights.iter().map(move |light| (w, light))) {
            let load = |&px: &usize| {
                Ok(Embedder::load(backbone, weights, px, device)?.normalising(light.at_input()))
            };
            looks.push(Look {
                light,
                embedders: sight.input_px.iter().map(load).collect::<anyhow::Result<_>>()?,
            });
        }
        Ok(Self { sight, looks })
    }

    /// What is seen.
    pub fn sight(&self) -> &Sight {
        &self.sight
    }

    /// How many looks it has at a picture; member m of an ensemble has look m modulo their number.
    pub fn n_looks(&self) -> usize {
        self.looks.len()
    }

    /// The light of a look.
    pub fn light(&self, look: usize) -> Light {
        self.looks[look].light
    }

    /// The features of pictures of one granule in each look. `[picture][look][feature]`
    ///
    /// # Errors
    /// If a side is no multiple of 32.
    pub fn look(&self, pictures: &[Rgb], scene: &Tones) -> anyhow::Result<Vec<Vec<Vec<f32>>>> {
        let mut all = vec![Vec::new(); pictures.len()];
        for at in 0..self.n_looks() {
            let prepare = |p: &Rgb| self.sight.prepare(p, scene, self.light(at));
            let seen: Vec<Rgb> = pictures.par_iter().map(prepare).collect();
            all.iter_mut().zip(self.see(&seen, at)?).for_each(|(of, row)| of.push(row));
        }
        Ok(all)
    }

    /// The features in one look of pictures that [`Sight::prepare`] made for its light. `[picture][feature]`
    ///
    /// # Errors
    /// If a side is no multiple of 32.
    pub fn see(&self, seen: &[Rgb], look: usize) -> anyhow::Result<Vec<Vec<f32>>> {
        let look = &self.looks[look];
        let at_input = look.light.at_input();
        match self.sight.features {
            Features::Colour => return Ok(seen.par_iter().map(|p| colour_features(p, at_input)).collect()),
            Features::Random => {
                let filters = random_filters();
                return seen.par_iter().map(|p| random_features(p, at_input, &filters)).collect();
            }
            Features::Last | Features::Stages | Features::Both => {}
        }
        let mut all = vec![Vec::new(); seen.len()];
        let mut add = |more: Vec<Vec<f32>>| all.iter_mut().zip(more).for_each(|(row, more)| row.extend(more));
        for embedder in &look.embedders {
            if self.sight.features != Features::Stages {
                add(embedder.embed(seen)?);
            }
            if self.sight.features != Features::Last {
                add(embedder.stage_means(seen)?);
            }
        }
        Ok(all)
    }
}

/// Mean, deviation and quantiles of each channel over pixels with data, as shares of white.
///
/// With each tile normalised only the shape of each channel's distribution is left.
fn colour_features(picture: &Rgb, at_input: nn::Normalise) -> Vec<f32> {
    let own = Tones::of(picture);
    let standard = Tones { n: own.n, mean: [TILE_MEAN; 3], sd: [TILE_SD; 3] };
    let toned = (at_input == nn::Normalise::Tile).then(|| picture.toned(&own, &standard));
    let picture = toned.as_ref().unwrap_or(picture);
    let tones = Tones::of(picture);
    let mut counts = [[0_u64; 256]; 3];
    for pixel in picture.interleaved().chunks_exact(3).filter(|p| p != &[0; 3]) {
        pixel.iter().enumerate().for_each(|(c, &v)| counts[c][usize::from(v)] += 1);
    }
    let quantile = |c: usize, share: f64| {
        let wanted = (share * tones.n as f64).ceil().max(1.0) as u64;
        let mut below = 0;
        let reaches = |n: &u64| {
            below += n;
            below >= wanted
        };
        counts[c].iter().position(reaches).unwrap_or(0) as f64
    };
    let of = |c: usize| {
        let quantiles = QUANTILES.map(|share| quantile(c, share));
        [tones.mean[c], tones.sd[c]].into_iter().chain(quantiles).collect::<Vec<_>>()
    };
    (0..3).flat_map(of).map(|v| (v / 255.0) as f32).collect()
}

/// Filters drawn evenly, each channel of each with mean zero. `[filter, channel, row, col]`
fn random_filters() -> Vec<f32> {
    let (mut rng, area) = (generator(RANDOM_SEED, 0, 0), RANDOM_FILTER_PX * RANDOM_FILTER_PX);
    let mut all = Vec::with_capacity(RANDOM_FILTERS * 3 * area);
    for _ in 0..RANDOM_FILTERS * 3 {
        let drawn: Vec<f32> = (0..area).map(|_| centred(&mut rng)).collect();
        let mean = drawn.iter().sum::<f32>() / area as f32;
        all.extend(drawn.iter().map(|v| v - mean));
    }
    all
}

fn centred(rng: &mut impl Rng) -> f32 {
    use rand::RngExt;
    rng.random_range(-1.0..1.0)
}

/// Mean of what each filter finds above zero, and of what it finds below.
fn random_features(picture: &Rgb, at_input: nn::Normalise, filters: &[f32]) -> anyhow::Result<Vec<f32>> {
    let (device, px) = (Device::flex(), RANDOM_INPUT_PX);
    let image =
        Tensor::<4>::from_data(TensorData::new(to_input(picture, px, at_input)?, [1, 3, px, px]), &device);
    let shape = [RANDOM_FILTERS, 3, RANDOM_FILTER_PX, RANDOM_FILTER_PX];
    let filters = Tensor::<4>::from_data(TensorData::new(filters.to_vec(), shape), &device);
    let options = ConvOptions::new([RANDOM_STRIDE_PX; 2], [0; 2], [1; 2], 1);
    let found = conv2d(image, filters, None, options);
    let [_, n, height, width] = found.dims();
    let mean = |x: Tensor<4>| x.reshape([n, height * width]).mean_dim(1).reshape([n]);
    let both = Tensor::cat(vec![mean(relu(found.clone())), mean(relu(found.neg()))], 0);
    Ok(crate::head::values(both))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn picture(shift: u8) -> Rgb {
        let value = |i: usize| 20 + shift + (i * 31 % 97) as u8;
        Rgb::from_bands(&(0..3 * 64 * 64).map(value).collect::<Vec<_>>(), 64).unwrap()
    }

    fn sight(features: Features, normalise: Normalise) -> Sight {
        let reference = Some(Tones { n: 1, mean: [80.0, 90.0, 100.0], sd: [20.0; 3] });
        Sight { features, input_px: vec![64], grey: false, normalise, reference }
    }

    fn look(sight: Sight, picture: &Rgb) -> Vec<Vec<f32>> {
        let eye = Eye::load(sight, Architecture::ResNet18, &[], DeviceChoice::Cpu).unwrap();
        eye.look(std::slice::from_ref(picture), &Tones::of(picture)).unwrap().remove(0)
    }

    #[test]
    fn baselines_give_as_many_features_as_they_promise_in_every_light() {
        for features in [Features::Colour, Features::Random] {
            let sight = sight(features, Normalise::Both);
            let n = sight.n_features(Architecture::ResNet18);
            let seen = look(sight, &picture(0));
            assert_eq!(seen.iter().map(Vec::len).collect::<Vec<_>>(), [n, n]);
        }
    }

    #[test]
    fn a_normalised_picture_does_not_change_with_its_brightness() {
        for (normalise, most) in [(Normalise::Scene, 0.01), (Normalise::Tile, 0.01), (Normalise::None, 0.16)]
        {
            let seen =
                [0, 40].map(|shift| look(sight(Features::Colour, normalise), &picture(shift)).remove(0));
            let far = seen[0].iter().zip(&seen[1]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // 40 counts are a share of 0.157.
            assert!(far < most && (normalise != Normalise::None || far > 0.15), "{normalise:?}: {far}");
        }
    }
}
