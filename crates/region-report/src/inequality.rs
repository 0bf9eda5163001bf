//! How unequal zones and ground are: Gini and Theil.
//!
//! A score is a rank turned into a number and not money: half the score is not half the wealth. Both figures compare maps and dates
//! of one model; they are not comparable to those of income.

/// Gini's coefficient of values with weights (area, or people): 0 where all are equal. None without positive weight and mean.
pub fn gini(values: &[f64], weights: &[f64]) -> Option<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut weight, mut sum, mut under) = (0.0, 0.0, 0.0);
    for i in order {
        let more = weights[i] * values[i];
        under += weights[i] * (sum + more / 2.0);
        weight += weights[i];
        sum += more;
    }
    (weight > 0.0 && sum > 0.0).then(|| 1.0 - 2.0 * under / (weight * sum))
}

/// Theil's index of ground in zones, split into what lies between zones and what lies within them (Theil 1967).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Theil {
    /// Between the means of zones.
    pub between: f64,
    /// Within zones.
    pub within: f64,
}

/// A zone's sums of weight, of weight times value, and of weight times value times its logarithm.
pub type ZoneSums = (f64, f64, f64);

/// Theil's index; none where all values are 0.
pub fn theil(zones: &[ZoneSums]) -> Option<Theil> {
    let weight: f64 = zones.iter().map(|z| z.0).sum();
    let sum: f64 = zones.iter().map(|z| z.1).sum();
    if weight <= 0.0 || sum <= 0.0 {
        return None;
    }
    let mean = sum / weight;
    let (mut between, mut within) = (0.0, 0.0);
    for &(weight, zone_sum, entropy) in zones.iter().filter(|zone| zone.1 > 0.0) {
        let zone_mean = zone_sum / weight;
        between += zone_sum / sum * (zone_mean / mean).ln();
        within += (entropy - zone_sum * zone_mean.ln()) / sum;
    }
    Some(Theil { between, within: within.max(0.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of a handful of products.
    const ROUNDING: f64 = 1e-12;

    fn zone(values: &[f64]) -> ZoneSums {
        let entropy = values.iter().filter(|v| **v > 0.0).map(|v| v * v.ln()).sum();
        (values.len() as f64, values.iter().sum(), entropy)
    }

    #[test]
    fn equal_values_are_not_unequal_and_one_that_has_all_is() {
        assert!(gini(&[3.0, 3.0, 3.0], &[1.0, 5.0, 2.0]).is_some_and(|g| g.abs() < ROUNDING));
        let one = gini(&[0.0, 0.0, 0.0, 1.0], &[1.0; 4]);
        assert!(one.is_some_and(|g| (g - 0.75).abs() < ROUNDING), "(n - 1) / n for one of n: {one:?}");
        assert_eq!(gini(&[0.0], &[1.0]), None);
    }

    #[test]
    fn a_zone_of_twice_the_weight_counts_as_two_zones() {
        let twice = gini(&[0.2, 0.5, 0.5], &[1.0; 3]);
        assert!((twice.unwrap_or(0.0) - gini(&[0.2, 0.5], &[1.0, 2.0]).unwrap_or(1.0)).abs() < ROUNDING);
    }

    #[test]
    fn between_and_within_add_up_to_the_index_of_all_ground_as_one_zone() {
        let (a, b) = ([0.1, 0.4, 0.0, 0.9], [0.5, 0.2]);
        let all: Vec<f64> = a.iter().chain(&b).copied().collect();
        let split = theil(&[zone(&a), zone(&b)]);
        let whole = theil(&[zone(&all)]);
        let total = |t: Option<Theil>| t.map_or(f64::NAN, |t| t.between + t.within);
        assert!((total(split) - total(whole)).abs() < ROUNDING);
        assert!(split.is_some_and(|t| t.between > 0.0 && t.within > 0.0));
    }
}
