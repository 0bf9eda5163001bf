//! How well granules agree where they overlap, before and after correction.
//!
//! The measure is the mean absolute difference of the scores of two tiles over the ground they share, weighted by that ground. The figure that counts
//! is held out: every strip of overlap is cut along its length into blocks of [`BLOCK_TILES`] tiles, corrections are solved on every second block and
//! measured on the others, then the other way round. Harder, and reported too: the strip in two halves, corrections carried from one into the other.
//! Beside them stand the difference of neighbouring tiles within a granule, which is what real ground does, and the ratio of the scores' standard
//! deviations after and before, which shows that agreement was bought neither by flattening the map nor by stretching it.

use contract::Metric;

use crate::offsets::Offsets;
use crate::overlap::{Granule, Pair};

/// Tiles along a strip that are held out together.
pub const BLOCK_TILES: usize = 4;

/// How a strip of overlap is cut in two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Every second block of [`BLOCK_TILES`] tiles.
    Blocks,
    /// The southern or western half, and the other.
    Halves,
}

/// The report as a table: agreement first, then a row a granule.
#[must_use]
pub fn report(granules: &[Granule], pairs: &[Pair], offsets: &Offsets) -> Vec<Metric> {
    let none = Offsets::none(granules);
    let row = |name: &str, of: &str, value: Option<f64>, n: usize, note: &str| Metric {
        name: name.to_owned(),
        of: of.to_owned(),
        value,
        low: None,
        high: None,
        unit: "1".to_owned(),
        n: n as u64,
        note: Some(
            if value.is_some() { note } else { "not reported: no ground is seen by two granules" }.to_owned(),
        ),
    };
    let (n, seen) = (pairs.len(), "ground seen by two granules");
    let weighted = "mean |difference| of two scores of the same ground, weighted by the ground";
    let held = "corrections solved on every second block of 4 tiles of the strips, measured on the others, both ways";
    let far = "corrections solved on one half of every strip and carried into the other, both ways";
    let (neighbours, n_neighbours) = neighbour_difference(granules);
    let mut rows = vec![
        row("overlap_difference_before", seen, difference(granules, pairs, &none), n, weighted),
        row(
            "overlap_difference_after",
            seen,
            difference(granules, pairs, offsets),
            n,
            "the same pairs that corrections were solved on",
        ),
        row(
            "overlap_difference_held_out",
            "blocks of the strips",
            held_out(granules, pairs, Split::Blocks),
            n,
            held,
        ),
        row(
            "overlap_difference_held_out_far",
            "halves of the strips",
            held_out(granules, pairs, Split::Halves),
            n,
            far,
        ),
    ];
    if n > 0 {
        let [map, within] = sd_ratios(granules, offsets);
        rows.extend([
            row(
                "neighbour_difference",
                "tiles side by side in a granule",
                neighbours,
                n_neighbours,
                "what neighbouring ground differs by",
            ),
            row(
                "overlap_sd_ratio_map",
                "all tiles",
                map,
                granules.len(),
                "standard deviation of scores, after over before",
            ),
            row(
                "overlap_sd_ratio_granules",
                "within granules",
                within,
                granules.len(),
                "mean standard deviation within a granule, after over before",
            ),
        ]);
        rows.extend(granules.iter().enumerate().map(|(g, granule)| correction(g, granule, offsets)));
    }
    rows
}

fn correction(g: usize, granule: &Granule, offsets: &Offsets) -> Metric {
    let [mean, low, high] = offsets.range(g);
    let alone = offsets.groups.iter().filter(|&&group| group == offsets.groups[g]).count() == 1;
    let note = if alone {
        "shares no ground with another granule: not corrected"
    } else {
        "mean, least and most over the granule"
    };
    Metric {
        name: "correction".to_owned(),
        of: granule.name.clone(),
        value: Some(mean),
        low: Some(low),
        high: Some(high),
        unit: "logit".to_owned(),
        n: granule.patches.len() as u64,
        note: Some(note.to_owned()),
    }
}

/// Mean absolute difference over shared ground; missing where none is shared.
#[must_use]
pub fn difference(granules: &[Granule], pairs: &[Pair], offsets: &Offsets) -> Option<f64> {
    let (mut sum, mut area) = (0.0, 0.0);
    for pair in pairs {
        let score = |i: usize| offsets.score(granules, pair.granules[i], pair.tiles[i]);
        let (Some(one), Some(other)) = (score(0), score(1)) else { continue };
        sum += pair.area_tiles * (one - other).abs();
        area += pair.area_tiles;
    }
    (area > 0.0).then(|| sum / area)
}

/// The difference on the parts of the strips that corrections were not solved on.
#[must_use]
pub fn held_out(granules: &[Granule], pairs: &[Pair], split: Split) -> Option<f64> {
    let first = first_part(granules, pairs, split);
    let (mut sum, mut area) = (0.0, 0.0);
    for learn_first in [true, false] {
        let part = |wanted: bool| -> Vec<Pair> {
            pairs.iter().zip(&first).filter(|(_, half)| **half == wanted).map(|(pair, _)| *pair).collect()
        };
        let (learn, test) = (part(learn_first), part(!learn_first));
        let test_area: f64 = test.iter().map(|pair| pair.area_tiles).sum();
        if let Some(difference) = difference(granules, &test, &Offsets::solve(granules, &learn)) {
            sum += difference * test_area;
            area += test_area;
        }
    }
    (area > 0.0).then(|| sum / area)
}

/// Whether each pair lies in the first part of its strip, along the longer side of the strip.
fn first_part(granules: &[Granule], pairs: &[Pair], split: Split) -> Vec<bool> {
    let mut firsts = Vec::with_capacity(pairs.len());
    for strip in pairs.chunk_by(|a, b| a.granules == b.granules) {
        let patch = |pair: &Pair| &granules[pair.granules[0]].patches[pair.tiles[0]];
        let span = |axis: fn((f64, f64)) -> f64| {
            let values = strip.iter().map(|pair| axis(patch(pair).centre_m()));
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (east, north) = (span(|c| c.0), span(|c| c.1));
        let tall = north.1 - north.0 >= east.1 - east.0;
        let (low, high) = if tall { north } else { east };
        let first = |pair: &Pair| {
            let (centre, side_m) = (patch(pair).centre_m(), patch(pair).east_m - patch(pair).west_m);
            let along_m = if tall { centre.1 } else { centre.0 } - low;
            match split {
                Split::Halves => along_m < (high - low) / 2.0,
                Split::Blocks => ((along_m / side_m).round() as usize / BLOCK_TILES).is_multiple_of(2),
            }
        };
        firsts.extend(strip.iter().map(first));
    }
    firsts
}

/// Mean absolute difference of cells side by side within a granule, and their number.
fn neighbour_difference(granules: &[Granule]) -> (Option<f64>, usize) {
    let (mut sum, mut n) = (0.0, 0_usize);
    for layer in granules.iter().map(|granule| &granule.layer) {
        let (n_rows, n_columns) = (layer.ys_m.len() - 1, layer.xs_m.len() - 1);
        for (row, column) in (0..n_rows).flat_map(|row| (0..n_columns).map(move |column| (row, column))) {
            let Some(cell) = layer.cell(row, column) else { continue };
            let right = (column + 1 < n_columns).then(|| layer.cell(row, column + 1)).flatten();
            let below = (row + 1 < n_rows).then(|| layer.cell(row + 1, column)).flatten();
            for next in [right, below].into_iter().flatten() {
                sum += (cell.score - next.score).abs();
                n += 1;
            }
        }
    }
    ((n > 0).then(|| sum / n as f64), n)
}

/// Standard deviations after over before: of all scores, and the mean of those within granules.
fn sd_ratios(granules: &[Granule], offsets: &Offsets) -> [Option<f64>; 2] {
    let none = Offsets::none(granules);
    let scores = |offsets: &Offsets, g: usize| -> Vec<f64> {
        (0..granules[g].patches.len()).filter_map(|tile| offsets.score(granules, g, tile)).collect()
    };
    let all =
        |offsets: &Offsets| sd(&(0..granules.len()).flat_map(|g| scores(offsets, g)).collect::<Vec<_>>());
    let within = |offsets: &Offsets| (0..granules.len()).map(|g| sd(&scores(offsets, g))).sum::<f64>();
    let ratio = |after: f64, before: f64| (before > 0.0).then(|| after / before);
    [ratio(all(offsets), all(&none)), ratio(within(offsets), within(&none))]
}

fn sd(values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}
