//! A scale that scores of different runs share: quantile anchoring on the training order.
//!
//! A rank loss and a regression leave the scale of their output open, and it differs between runs, members and recipes. Each
//! member's output is therefore sent through a fixed, strictly rising map, fitted once on its own training pictures: the median output of
//! level l of L lands on (l + 1/2) / L, the middle of the level's share of the order; straight lines in between, and beyond the
//! outermost medians an exponential approach to 0 and to 1 that begins with the slope of the neighbouring line. Medians that are not in the
//! order of their levels are pooled first (isotonic regression), so the map never turns an order round.

use serde::{Deserialize, Serialize};

/// Two knots nearer than this share of the whole range count as one.
const LEAST_GAP_SHARE: f64 = 1e-6;

/// A strictly rising map of raw outputs to scores between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The output is a score already: the logistic function of the raw output.
    Logistic,
    /// Raw outputs and the places where they land, rising in both.
    Knots(Vec<(f64, f64)>),
}

impl Scale {
    /// Fits the map on the raw outputs of training pictures and their levels, of which there are `n_levels`.
    pub fn fit(raw: &[f64], levels: &[usize], n_levels: usize) -> Self {
        let mut of_level = vec![Vec::new(); n_levels];
        raw.iter().zip(levels).for_each(|(&value, &level)| of_level[level].push(value));
        let mut pooled: Vec<Block> = Vec::new();
        for (level, values) in of_level.iter_mut().enumerate() {
            let Some(median) = median(values) else { continue };
            let place = (level as f64 + 0.5) / n_levels as f64;
            pooled.push(Block { raw: median, place, weight: 1.0 });
            while let [.., low, high] = &pooled[..] {
                if high.raw > low.raw {
                    break;
                }
                let one = low.with(high);
                pooled.truncate(pooled.len() - 2);
                pooled.push(one);
            }
        }
        let range = pooled.last().map_or(0.0, |last| last.raw - pooled[0].raw);
        let mut knots: Vec<(f64, f64)> = Vec::new();
        for block in pooled {
            if knots.last().is_none_or(|last| block.raw - last.0 > range * LEAST_GAP_SHARE) {
                knots.push((block.raw, block.place));
            }
        }
        if knots.len() < 2 { Self::Logistic } else { Self::Knots(knots) }
    }

    /// The score of a raw output.
    pub fn of(&self, raw: f64) -> f64 {
        let Self::Knots(knots) = self else { return 1.0 / (1.0 + (-raw).exp()) };
        let slope = |a: (f64, f64), b: (f64, f64)| (b.1 - a.1) / (b.0 - a.0);
        let n = knots.len();
        let (first, last) = (knots[0], knots[n - 1]);
        if raw <= first.0 {
            return first.1 * ((raw - first.0) * slope(first, knots[1]) / first.1).exp();
        }
        if raw >= last.0 {
            let room = 1.0 - last.1;
            return 1.0 - room * (-(raw - last.0) * slope(knots[n - 2], last) / room).exp();
        }
        let at = knots.partition_point(|knot| knot.0 <= raw);
        let (low, high) = (knots[at - 1], knots[at]);
        low.1 + (raw - low.0) * slope(low, high)
    }
}

#[derive(Clone, Copy)]
struct Block {
    raw: f64,
    place: f64,
    weight: f64,
}

impl Block {
    fn with(&self, other: &Self) -> Self {
        let weight = self.weight + other.weight;
        let mean = |a: f64, b: f64| (a * self.weight + b * other.weight) / weight;
        Self { raw: mean(self.raw, other.raw), place: mean(self.place, other.place), weight }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[half]),
        _ => Some((values[half - 1] + values[half]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw_and_levels() -> (Vec<f64>, Vec<usize>) {
        let level = |i: usize| i % 4;
        let value = |i: usize| level(i) as f64 * 3.0 + (i * 7 % 11) as f64 * 0.2 - 5.0;
        ((0..84).map(value).collect(), (0..84).map(level).collect())
    }

    #[test]
    fn a_scale_rises_everywhere_and_stays_between_0_and_1() {
        let (raw, levels) = raw_and_levels();
        let scale = Scale::fit(&raw, &levels, 4);
        let scores: Vec<f64> = (-400..400).map(|i| scale.of(f64::from(i) * 0.05)).collect();
        assert!(scores.windows(2).all(|w| w[0] < w[1]), "{scale:?}");
        assert!(scores[0] > 0.0 && scores[799] < 1.0);
    }

    #[test]
    fn the_median_of_each_level_lands_on_its_place_whatever_the_raw_scale_was() {
        let (raw, levels) = raw_and_levels();
        let scale = Scale::fit(&raw, &levels, 4);
        let other: Vec<f64> = raw.iter().map(|r| 250.0 * r - 17.0).collect();
        let stretched = Scale::fit(&other, &levels, 4);
        for (a, b) in raw.iter().zip(&other) {
            // Rounding of 64-bit floats.
            assert!((scale.of(*a) - stretched.of(*b)).abs() < 1e-9, "runs share the scale");
        }
        for level in 0..4 {
            let mut scores: Vec<f64> =
                (0..84).filter(|&i| levels[i] == level).map(|i| scale.of(raw[i])).collect();
            let wanted = (level as f64 + 0.5) / 4.0;
            assert!((median(&mut scores).unwrap_or_default() - wanted).abs() < 1e-9);
        }
    }

    #[test]
    fn levels_out_of_order_are_pooled_and_never_turned_round() {
        let scale = Scale::fit(&[0.0, 2.0, 1.0, 3.0], &[0, 1, 2, 3], 4);
        assert!(scale.of(1.0) < scale.of(2.0));
        assert_eq!(scale.of(1.5), 0.5);
        assert_eq!(Scale::fit(&[1.0, 0.0], &[0, 1], 2), Scale::Logistic, "nothing rises");
    }
}
