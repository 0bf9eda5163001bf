//! The laws of dependence: known numbers, and false alarms of fields that know nothing of each other (METHODS T7).

use super::*;
use crate::made::{field, noise, pair};

#[test]
fn p_values_are_those_of_students_t() {
    // From scipy.stats.t.sf, twice.
    for (r, n, wanted) in
        [(0.5, 12.0, 0.097_854_614_3), (0.2, 102.0, 0.043_860_884_3), (0.9, 6.5, 0.009_111_641_4)]
    {
        let p = p_of(r, n).unwrap();
        assert!((p - wanted).abs() < 1e-8, "r {r}, n {n}: {p} and {wanted}");
    }
    assert_eq!(p_of(0.9, 3.0), None);
}

#[test]
fn independent_cells_count_fully_and_alike_ones_less() {
    let mut chance = ChaCha8Rng::seed_from_u64(5);
    let white = pair(32, noise(1024, &mut chance), noise(1024, &mut chance));
    assert!(Lags::of(&white).effective_n() > 700.0);
    let smooth = pair(32, field(32, 5.0, &mut chance), field(32, 5.0, &mut chance));
    let n = Lags::of(&smooth).effective_n();
    assert!((3.0..120.0).contains(&n), "{n} of 1024");
    assert!(Lags::of(&smooth).alike_cells() > Lags::of(&white).alike_cells());
}

/// METHODS T7: 500 pairs of independent fields, the share of p values under 5 per cent.
fn alarms(side: usize, length: f64) -> (f64, f64) {
    const PAIRS: usize = 500;
    let mut chance = ChaCha8Rng::seed_from_u64(77);
    let (mut effective, mut naive) = (0, 0);
    for _ in 0..PAIRS {
        let pair = pair(side, field(side, length, &mut chance), field(side, length, &mut chance));
        let r = pearson(&pair.xs, &pair.ys).unwrap();
        effective += usize::from(p_of(r, Lags::of(&pair).effective_n()).is_some_and(|p| p < 0.05));
        naive += usize::from(p_of(r, pair.cells.len() as f64).is_some_and(|p| p < 0.05));
    }
    (effective as f64 / PAIRS as f64, naive as f64 / PAIRS as f64)
}

#[test]
fn independent_smooth_fields_raise_false_alarms_in_at_most_five_per_cent_of_pairs() {
    const MOST: f64 = 0.07;
    for length in [1.0, 3.0, 5.0] {
        let (effective, naive) = alarms(32, length);
        println!("length {length}: {effective:.3} with effective n, {naive:.3} with all cells");
        assert!(effective <= MOST, "length {length}: {effective}");
        assert!(naive > 2.0 * MOST, "the test can fail: cells taken as independent alarm in {naive}");
    }
}

#[test]
fn permuted_phases_raise_no_more_false_alarms_and_find_what_is_there() {
    let (side, length, pairs) = (32, 3.0, 100);
    let mut chance = ChaCha8Rng::seed_from_u64(3);
    let mut alarms = 0;
    for seed in 0..pairs {
        let pair = pair(side, field(side, length, &mut chance), field(side, length, &mut chance));
        alarms += usize::from(p_of_phases(&pair, 39, seed).unwrap() <= 0.05);
    }
    // Of 100 pairs at 5 per cent, more than 11 come up in fewer than 1 of 200 runs.
    assert!(alarms <= 11, "{alarms} of {pairs}");
    let xs = field(side, length, &mut chance);
    let ys = xs.iter().zip(noise(side * side, &mut chance)).map(|(x, e)| x + 0.05 * e).collect();
    assert!(p_of_phases(&pair(side, xs, ys), 99, 1).unwrap() < 0.05);
}

#[test]
fn intervals_hold_the_coefficient_and_widen_with_larger_blocks() {
    let mut chance = ChaCha8Rng::seed_from_u64(9);
    let xs = field(64, 4.0, &mut chance);
    let other = field(64, 4.0, &mut chance);
    let ys = xs.iter().zip(&other).map(|(x, y)| x + y).collect();
    let pair = pair(64, xs, ys);
    let r = pearson(&pair.xs, &pair.ys).unwrap();
    let width = |side: usize| {
        let (low, high) = interval(&pair, side, 1000, 1).unwrap();
        assert!(low < r && r < high, "{low} {r} {high}");
        high - low
    };
    assert!(width(8) > 2.0 * width(1));
    assert_eq!(interval(&pair, 32, 1000, 1), None, "four blocks are too few");
}

#[test]
fn draws_are_those_of_the_seed() {
    let mut chance = ChaCha8Rng::seed_from_u64(2);
    let pair = pair(16, noise(256, &mut chance), noise(256, &mut chance));
    assert_eq!(p_of_phases(&pair, 50, 1), p_of_phases(&pair, 50, 1));
    assert_eq!(interval(&pair, 2, 100, 1), interval(&pair, 2, 100, 1));
    assert_ne!(interval(&pair, 2, 100, 1), interval(&pair, 2, 100, 2));
}
