//! The scale curve of a map against its night light.
#![allow(clippy::unwrap_used)]

use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use viirs_corr::details::{Drawing, Kind, details};
use viirs_corr::made::{field, pair};

#[test]
fn the_scale_curve_begins_at_the_cells_that_are_compared() {
    let mut chance = ChaCha8Rng::seed_from_u64(3);
    let light = field(64, 3.0, &mut chance);
    let score = light.iter().zip(field(64, 3.0, &mut chance)).map(|(x, noise)| x + 0.5 * noise).collect();
    let pair = pair(64, light, score);
    let rows = details(&pair, 0.49, Drawing { draws: 9, seed: 1, min_n: 30 }, &[]);
    let curve: Vec<_> = rows.iter().filter(|row| row.name == "spearman_at_scale").collect();
    let sides_km: Vec<&str> = curve.iter().map(|row| row.of.as_str()).collect();
    assert_eq!(sides_km[..4], ["cells of 0.5 km", "cells of 1.0 km", "cells of 2.0 km", "cells of 4.9 km"]);
    assert_eq!(curve[0].value, Kind::Spearman.of(&pair.xs, &pair.ys));
    assert_eq!((curve[0].n, curve[1].n), (64 * 64, 32 * 32));
    assert!(curve.last().unwrap().value.is_none(), "50 km of 31 km are too few cells");
}
