//! `stage3-train compare`: the same ground scored twice, such as in two years, against the change from a tile to its neighbour.
//!
//! A score that follows the ground and not haze, season and the scene's rendering changes less between years than between neighbours.
//! Left out: which of the changes on the ground are real.

use crate::evaluate::{midranks, pearson};
use anyhow::ensure;
use clap::Args as ClapArgs;
use contract::{Made, Metric, Score};
use stage::Ledger;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Two tables of scores of the same ground
#[derive(ClapArgs, Debug)]
pub struct CompareArgs {
    /// Scores of one granule, from stage3-train score
    #[arg(long, value_name = "FILE")]
    scores: PathBuf,
    /// Scores of the same ground at another time, or by another model
    #[arg(long, value_name = "FILE")]
    with: PathBuf,
    /// The figures, a metrics table
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A tile's place: its south-western and north-eastern corner in whole decimetres.
type Place = (String, [i64; 4]);

pub fn run(args: &CompareArgs) -> anyhow::Result<Ledger> {
    let (one, other) = (contract::read::<Score>(&args.scores)?, contract::read::<Score>(&args.with)?);
    let mut ledger = Ledger::of("tiles", one.len());
    let (one, other) = (by_place(&one), by_place(&other));
    let mut pairs = Vec::new();
    for (place, score) in &one {
        match other.get(place) {
            Some(then) => pairs.push((*score, *then)),
            None => ledger.skip("not scored in both"),
        }
    }
    ledger.ok(pairs.len());
    let n_unscored = ledger.n_in as usize - one.len();
    (0..n_unscored).for_each(|_| ledger.skip("no score"));
    ensure!(
        pairs.len() > 1,
        "{}: want tiles of the same ground as {}, got {} that are scored in both",
        args.with.display(),
        args.scores.display(),
        pairs.len()
    );
    let made = Made::by("stage3-train").input(&args.scores)?.input(&args.with)?;
    contract::write(&args.out, &metrics(&pairs, &[&one, &other]), &made)?;
    Ok(ledger)
}

fn by_place(rows: &[Score]) -> BTreeMap<Place, f64> {
    let place = |row: &Score| {
        let edges = [row.west_m, row.south_m, row.east_m, row.north_m];
        (row.crs.clone(), edges.map(|m| (m * 10.0).round() as i64))
    };
    rows.iter().filter_map(|row| Some((place(row), row.score?))).collect()
}

fn metrics(pairs: &[(f64, f64)], tables: &[&BTreeMap<Place, f64>]) -> Vec<Metric> {
    let neighbours: Vec<f64> = tables.iter().flat_map(|table| steps(table)).collect();
    let mean =
        |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    let change = mean(&pairs.iter().map(|(a, b)| (a - b).abs()).collect::<Vec<_>>());
    let step = mean(&neighbours);
    let (a, b): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let row = |name: &str, value: Option<f64>, unit: &str, n: usize, note: &str| Metric {
        name: name.into(),
        of: "same ground".into(),
        value,
        low: None,
        high: None,
        unit: unit.into(),
        n: n as u64,
        note: Some(note.into()),
    };
    let ratio = change.zip(step).map(|(change, step)| change / step);
    vec![
        row(
            "spearman",
            pearson(&midranks(&a), &midranks(&b)),
            "1",
            pairs.len(),
            "of the two scores of a tile",
        ),
        row("change", change, "share", pairs.len(), "mean absolute difference of the two scores of a tile"),
        row("step", step, "share", neighbours.len(), "mean absolute difference of neighbours in one table"),
        row(
            "change_ratio",
            ratio,
            "1",
            pairs.len(),
            "change over step: below 1, the ground counts for more than the time",
        ),
    ]
}

/// Differences between each tile and its eastern and southern neighbour.
fn steps(table: &BTreeMap<Place, f64>) -> Vec<f64> {
    let shifted = |(crs, [west, south, east, north]): &Place, (right, down): (i64, i64)| {
        let (width, height) = (east - west, north - south);
        let (x, y) = (right * width, -down * height);
        (crs.clone(), [west + x, south + y, east + x, north + y])
    };
    let both = table.iter().flat_map(|(place, score)| {
        [(1, 0), (0, 1)].map(|step| table.get(&shifted(place, step)).map(|other| (score - other).abs()))
    });
    both.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_abut_and_a_uniform_change_is_told_from_the_step_between_them() {
        let at = |row: i64, col: i64| (String::new(), [col * 10, -row * 10 - 10, col * 10 + 10, -row * 10]);
        let table: BTreeMap<Place, f64> = (0..12).map(|i| (at(i / 4, i % 4), (i % 4) as f64 * 0.2)).collect();
        // 9 pairs side by side differ by 0.2; 8 above each other by nothing.
        let steps = steps(&table);
        assert_eq!(steps.len(), 17);
        assert!((steps.iter().sum::<f64>() - 1.8).abs() < 1e-12);
        let pairs: Vec<(f64, f64)> = table.values().map(|&s| (s, s + 0.05)).collect();
        let rows = metrics(&pairs, &[&table]);
        let of = |name: &str| rows.iter().find(|m| m.name == name).and_then(|m| m.value).unwrap_or(f64::NAN);
        assert!((of("change_ratio") - 0.05 * 17.0 / 1.8).abs() < 1e-9);
        assert!((of("spearman") - 1.0).abs() < 1e-12);
    }
}
