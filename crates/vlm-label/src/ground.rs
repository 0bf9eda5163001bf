//! How far ground lies from the pictures that the offline judge learnt from.
//!
//! The distance of a picture is the root of the mean square of its features, each counted from its mean over the training
//! pictures in standard deviations over them: about 1 for a training picture. What is farther than nearly all of these is unlike
//! them, and what the judge says of it is a guess. Left out: whether a near picture is judged rightly.

use serde::{Deserialize, Serialize};

/// Share of the training pictures that are nearer than the limit.
const NEAR_SHARE: f64 = 0.99;
/// A feature that varies less is taken as constant, and not blown up.
const LEAST_SD: f32 = 1e-3;

/// Where the training pictures lie.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ground {
    /// Mean of each feature over the training pictures.
    #[serde(with = "in_one_line")]
    mean: Vec<f32>,
    /// Standard deviation of each.
    #[serde(with = "in_one_line")]
    sd: Vec<f32>,
    /// Share of the training pictures that are nearer than `limit`.
    near_share: f64,
    /// The distance beyond which a picture is unlike the training pictures.
    limit: f64,
}

impl Ground {
    /// The ground of training pictures, by their features.
    ///
    /// # Panics
    /// Without pictures.
    pub fn of(pictures: &[&[f32]]) -> Self {
        let n = pictures.len() as f64;
        let sum = |of: &dyn Fn(&[f32]) -> f64| pictures.iter().map(|features| of(features)).sum::<f64>() / n;
        let mean: Vec<f32> = (0..pictures[0].len())
            .map(|place| four_digits(sum(&|features| f64::from(features[place]))))
            .collect();
        let spread = |place: usize| sum(&|features| f64::from(features[place] - mean[place]).powi(2)).sqrt();
        let sd = (0..mean.len()).map(|place| four_digits(spread(place)).max(LEAST_SD)).collect();
        let mut ground = Self { mean, sd, near_share: NEAR_SHARE, limit: f64::INFINITY };
        let mut distances: Vec<f64> = pictures.iter().map(|features| ground.distance(features)).collect();
        distances.sort_by(f64::total_cmp);
        let last_near = ((NEAR_SHARE * n).ceil() as usize).clamp(1, distances.len()) - 1;
        ground.limit = f64::from(four_digits(distances[last_near]));
        ground
    }

    /// How far a picture lies from the training pictures, by its features.
    pub fn distance(&self, features: &[f32]) -> f64 {
        let off = features.iter().zip(self.mean.iter().zip(&self.sd));
        let squares: f64 = off.map(|(x, (mean, sd))| f64::from((x - mean) / sd).powi(2)).sum();
        (squares / self.mean.len().max(1) as f64).sqrt()
    }

    /// Whether a picture is unlike the training pictures.
    pub fn is_unlike(&self, features: &[f32]) -> bool {
        self.distance(features) > self.limit
    }

    /// What is said of pictures that are.
    pub fn words(&self, trained_on: &str) -> String {
        let percent = self.near_share * 100.0;
        format!("farther from the judge's training pictures than {percent} % of these: {trained_on}")
    }
}

/// More would be noise of the sample.
fn four_digits(value: f64) -> f32 {
    format!("{value:.3e}").parse().expect("a number that was printed is read")
}

/// Hundreds of numbers in one line of text: a card is read by people.
mod in_one_line {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(numbers: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let numbers: Vec<String> = numbers.iter().map(f32::to_string).collect();
        to.serialize_str(&numbers.join(" "))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(from)?;
        let number = |word: &str| {
            let number = word.parse::<f32>().ok().filter(|number| number.is_finite());
            number.ok_or_else(|| D::Error::custom(format!("want numbers, got {word}")))
        };
        text.split_whitespace().map(number).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Pictures of 40 features, spread evenly about `middle`.
    fn pictures(n: usize, middle: f32, seed: u64) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| (0..40).map(|_| middle + rng.random_range(-1.0f32..1.0)).collect()).collect()
    }

    fn ground(training: &[Vec<f32>]) -> Ground {
        Ground::of(&training.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }

    #[test]
    fn of_ground_like_the_training_about_one_in_a_hundred_is_unlike_it_and_of_other_ground_all() {
        let training = pictures(2000, 5.0, 1);
        let ground = ground(&training);
        let share = |all: &[Vec<f32>]| {
            all.iter().filter(|one| ground.is_unlike(one)).count() as f64 / all.len() as f64
        };
        // 20 of 2,000 are expected, with a standard deviation of 4.5 of either sample
        assert!((share(&training) - 0.01).abs() < 0.001, "{}", share(&training));
        assert!((share(&pictures(2000, 5.0, 2)) - 0.01).abs() < 0.01);
        assert!(share(&pictures(100, 7.0, 3)) > 0.99);
    }

    #[test]
    fn a_ground_comes_back_from_its_card_as_it_was() {
        let ground = ground(&pictures(50, -0.3, 4));
        let text = serde_json::to_string_pretty(&ground).unwrap();
        assert_eq!(text.lines().count(), 6, "{text}");
        assert_eq!(serde_json::from_str::<Ground>(&text).unwrap(), ground);
        assert!(serde_json::from_str::<Ground>(&text.replacen("0.", "x.", 1)).is_err());
    }

    #[test]
    fn a_feature_that_never_varies_is_not_blown_up() {
        let flat = vec![vec![1.0f32, 2.0]; 10];
        assert!(!ground(&flat).is_unlike(&[1.0, 2.0]));
        assert!(ground(&flat).distance(&[1.001, 2.0]) < 1.0);
    }
}
