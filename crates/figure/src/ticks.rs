//! Round numbers for axes, graticules and scale bars.

/// Multiples of 1, 2 or 5 times a power of ten (also 2.5 is left out: two digits at most) inside `[low, high]`,
/// about `wanted` of them.
pub(crate) fn linear(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    if !(low.is_finite() && high.is_finite() && high > low) {
        return vec![low];
    }
    let step = round_step((high - low) / wanted.max(1) as f64);
    let slack = step * 1e-9;
    let (first, last) = (((low - slack) / step).ceil() as i64, ((high + slack) / step).floor() as i64);
    (first..=last).map(|i| i as f64 * step).collect()
}

/// As [`linear`], for an axis on which only whole numbers mean anything.
pub(crate) fn whole(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let most = (high.floor() - low.ceil()).max(1.0) as usize;
    linear(low, high, wanted.min(most))
        .into_iter()
        .filter(|tick| (tick - tick.round()).abs() < 1e-9)
        .collect()
}

/// The member of 1, 2, 5 × 10^k nearest to `step` on a log scale.
pub(crate) fn round_step(step: f64) -> f64 {
    let decade = 10_f64.powf(step.log10().floor());
    let factor = step / decade;
    let round = match factor {
        f if f < 1.5 => 1.0,
        f if f < 3.2 => 2.0,
        f if f < 7.1 => 5.0,
        _ => 10.0,
    };
    round * decade
}

/// The largest of 1, 2, 5 × 10^k that is not above `limit`.
pub(crate) fn round_below(limit: f64) -> f64 {
    let decade = 10_f64.powf(limit.log10().floor());
    let factor = limit / decade * (1.0 + 1e-9);
    let round = if factor >= 5.0 {
        5.0
    } else if factor >= 2.0 {
        2.0
    } else {
        1.0
    };
    round * decade
}

/// 0 and 1, 2, 5 × 10^k inside `[low, high]`: ticks of an axis in log(1 + x), thinned to decades if there are many.
pub(crate) fn log1p(low: f64, high: f64) -> Vec<f64> {
    let decades: Vec<i32> = (-2..=8).filter(|&k| 10_f64.powi(k) <= high).collect();
    let factors: &[f64] = if high > 200.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let nearest_to_zero = 0.06 * high.ln_1p();
    let mut ticks: Vec<f64> = if low <= 0.0 { vec![0.0] } else { Vec::new() };
    ticks.extend(
        decades
            .iter()
            .flat_map(|&k| factors.iter().map(move |f| f * 10_f64.powi(k)))
            .filter(|&t| t >= low && t.ln_1p() >= nearest_to_zero && t <= high * (1.0 + 1e-9)),
    );
    ticks
}

/// The numbers with as many decimals as tell them apart, and no more.
pub(crate) fn labels(ticks: &[f64]) -> Vec<String> {
    let decimals = (0..=8).find(|&d| ticks.iter().all(|&t| is_exact(t, d))).unwrap_or(8);
    ticks.iter().map(|&tick| number(tick, decimals)).collect()
}

/// Each number with its own decimals.
pub(crate) fn own_labels(ticks: &[f64]) -> Vec<String> {
    ticks.iter().flat_map(|&tick| labels(&[tick])).collect()
}

fn is_exact(value: f64, decimals: usize) -> bool {
    let scaled = value * 10_f64.powi(decimals as i32);
    (scaled - scaled.round()).abs() < 1e-6
}

fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let zero = text.trim_start_matches('-').chars().all(|c| c == '0' || c == '.');
    let text = if zero { text.trim_start_matches('-').to_owned() } else { text };
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        assert_eq!(labels(&linear(0.0, 1.0, 5)), ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(labels(&linear(-3.2, 7.9, 4)), ["\u{2212}2", "0", "2", "4", "6"]);
        assert_eq!(labels(&linear(37.41, 37.59, 3)), ["37.45", "37.50", "37.55"]);
    }

    #[test]
    fn an_axis_of_whole_numbers_has_no_halves() {
        assert_eq!(labels(&linear(1.9, 4.1, 5)), ["2.0", "2.5", "3.0", "3.5", "4.0"]);
        for (low, high, wanted) in [(1.9, 4.1, vec!["2", "3", "4"]), (1.4, 20.6, vec!["5", "10", "15", "20"])]
        {
            assert_eq!(labels(&whole(low, high, 4)), wanted);
        }
        assert_eq!(labels(&whole(1.95, 3.05, 5)), ["2", "3"]);
    }

    #[test]
    fn an_axis_of_no_length_has_one_tick() {
        assert_eq!(linear(2.0, 2.0, 5), [2.0]);
    }

    #[test]
    fn a_scale_bar_length_is_round_and_not_longer_than_allowed() {
        for (limit, wanted) in
            [(4.9, 2.0), (5.0, 5.0), (9.99, 5.0), (10.0, 10.0), (0.37, 0.2), (830.0, 500.0)]
        {
            assert!((round_below(limit) - wanted).abs() < 1e-9 * wanted, "{limit}");
        }
    }

    #[test]
    fn a_log1p_axis_has_zero_and_decades() {
        assert_eq!(own_labels(&log1p(0.0, 60.0)), ["0", "0.5", "1", "2", "5", "10", "20", "50"]);
        assert_eq!(own_labels(&log1p(0.0, 5000.0)), ["0", "1", "10", "100", "1000"]);
    }
}
