//! Everything about a correlation beyond its number: what it is worth, at which scale it holds, what moves it.

use contract::Metric;

use crate::baseline::{self, Baseline};
use crate::blooming;
use crate::correlate::{midranks, pearson};
use crate::dependence::{Lags, interval, p_of, p_of_phases};
use crate::field_pair::FieldPair;

/// Sides of the cells of the scale curve.
const SCALES_KM: [f64; 7] = [0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0];
/// Cells by which the score is moved, at most, when the best registration is sought.
const MOST_SHIFT: i64 = 3;
/// A shift that raises the correlation by more than this is worth a warning.
const SHIFT_GAIN: f64 = 0.02;
/// Shares of the cells that a saturated sensor would leave unchanged.
const CUTS: [f64; 3] = [0.99, 0.95, 0.9];
/// Draws of blocks for an interval.
const BLOCK_DRAWS: usize = 2000;

/// A way to correlate radiance (x) with score (y): Pearson's coefficient of something made of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of the midranks.
    Spearman,
    /// Of log(1 + radiance).
    PearsonLog1p,
    /// Of the radiance itself.
    Pearson,
}

impl Kind {
    /// All, in the order of the tables.
    pub const ALL: [Kind; 3] = [Kind::Spearman, Kind::PearsonLog1p, Kind::Pearson];

    /// The name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Spearman => "spearman",
            Kind::PearsonLog1p => "pearson_log1p",
            Kind::Pearson => "pearson",
        }
    }

    /// What Pearson's coefficient is taken of.
    #[must_use]
    pub fn values(self, xs: &[f64], ys: &[f64]) -> (Vec<f64>, Vec<f64>) {
        match self {
            Kind::Spearman => (midranks(xs), midranks(ys)),
            Kind::PearsonLog1p => (xs.iter().map(|x| x.max(0.0).ln_1p()).collect(), ys.to_vec()),
            Kind::Pearson => (xs.to_vec(), ys.to_vec()),
        }
    }

    /// The coefficient.
    #[must_use]
    pub fn of(self, xs: &[f64], ys: &[f64]) -> Option<f64> {
        let (xs, ys) = self.values(xs, ys);
        pearson(&xs, &ys)
    }
}

/// What a coefficient is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Worth {
    /// Independent cells of the same precision.
    pub effective_n: f64,
    /// p value with so many cells.
    pub p: Option<f64>,
    /// 95 % interval over blocks.
    pub interval: Option<(f64, f64)>,
    /// Side of the blocks in cells.
    pub block_cells: usize,
}

/// What the coefficient of a kind is worth; `None` where it does not exist.
#[must_use]
pub fn worth(pair: &FieldPair, kind: Kind, seed: u64) -> Option<Worth> {
    let (xs, ys) = kind.values(&pair.xs, &pair.ys);
    let pair = pair.with(xs, ys);
    let r = pearson(&pair.xs, &pair.ys)?;
    let lags = Lags::of(&pair);
    let (effective_n, block_cells) = (lags.effective_n(), lags.alike_cells());
    let interval = interval(&pair, block_cells, BLOCK_DRAWS, seed);
    Some(Worth { effective_n, p: p_of(r, effective_n), interval, block_cells })
}

/// How details are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Drawing {
    /// Draws of the null.
    pub draws: usize,
    /// Seed of all draws.
    pub seed: u64,
    /// The fewest cells for a coefficient.
    pub min_n: usize,
}

/// All details of a map against its night light, on cells of `cell_km`; empty below `min_n` cells.
#[must_use]
pub fn details(pair: &FieldPair, cell_km: f64, drawing: Drawing, rivals: &[Baseline]) -> Vec<Metric> {
    if pair.cells.len() < drawing.min_n {
        return Vec::new();
    }
    let mut rows: Vec<Metric> =
        Kind::ALL.iter().flat_map(|&kind| worth_rows(pair, kind, cell_km, drawing)).collect();
    rows.extend(scale_curve(pair, cell_km, drawing.min_n));
    rows.extend(cuts(pair));
    rows.extend(shift(pair));
    rows.extend(blooming::rows(pair, drawing.min_n));
    rows.extend(baseline::rows(pair, rivals, drawing.min_n, drawing.seed));
    rows
}

/// A row of a table of metrics.
pub(crate) fn row(name: &str, of: &str, value: Option<f64>, unit: &str, n: usize, note: &str) -> Metric {
    Metric {
        name: name.to_owned(),
        of: of.to_owned(),
        value,
        low: None,
        high: None,
        unit: unit.to_owned(),
        n: n as u64,
        note: (!note.is_empty()).then(|| note.to_owned()),
    }
}

fn worth_rows(pair: &FieldPair, kind: Kind, cell_km: f64, drawing: Drawing) -> Vec<Metric> {
    let Some(worth) = worth(pair, kind, drawing.seed) else { return Vec::new() };
    let (n, name) = (pair.cells.len(), kind.name());
    let (xs, ys) = kind.values(&pair.xs, &pair.ys);
    let phases = p_of_phases(&pair.with(xs, ys), drawing.draws, drawing.seed);
    let block =
        format!("interval of the coefficient over blocks of {:.1} km", worth.block_cells as f64 * cell_km);
    let few = "not reported: too few independent cells";
    let mut effective = row(
        &format!("{name}_effective_n"),
        "independent cells",
        Some(worth.effective_n),
        "cells",
        n,
        "modified t-test",
    );
    effective.note = Some(format!("modified t-test (Clifford, Richardson, Hémon 1989); {block}"));
    let p_note = if worth.p.is_some() { "two-sided, with the effective number of cells" } else { few };
    vec![
        effective,
        row(&format!("{name}_p"), "no correlation", worth.p, "1", n, p_note),
        row(
            &format!("{name}_p_phases"),
            "no correlation",
            phases,
            "1",
            n,
            &format!("two-sided, {} fields with the score's spectrum and other phases", drawing.draws),
        ),
    ]
}

/// The correlation on the cells themselves and of means over larger and larger ones.
fn scale_curve(pair: &FieldPair, cell_km: f64, min_n: usize) -> Vec<Metric> {
    let mut rows = Vec::new();
    let sides = SCALES_KM.map(|scale_km| (scale_km / cell_km).round() as usize);
    for side in std::iter::once(1).chain(sides.into_iter().filter(|&side| side > 1)) {
        let coarse = pair.coarser(side);
        let of = format!("cells of {:.1} km", side as f64 * cell_km);
        for kind in [Kind::Spearman, Kind::PearsonLog1p] {
            let value = if coarse.cells.len() < min_n { None } else { kind.of(&coarse.xs, &coarse.ys) };
            let note = match value {
                None => "not reported: too few cells",
                Some(_) if side == 1 => "the cells that are compared: no finer score or light is known",
                Some(_) => "both averaged over larger cells",
            };
            rows.push(row(&format!("{}_at_scale", kind.name()), &of, value, "1", coarse.cells.len(), note));
        }
    }
    rows
}

/// The correlation as a sensor that saturates earlier would give it.
fn cuts(pair: &FieldPair) -> Vec<Metric> {
    let mut sorted = pair.xs.clone();
    sorted.sort_by(f64::total_cmp);
    let mut rows = Vec::new();
    for share in CUTS {
        let top = sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)];
        let xs: Vec<f64> = pair.xs.iter().map(|x| x.min(top)).collect();
        for kind in [Kind::PearsonLog1p, Kind::Pearson] {
            let of = format!("radiance cut at {top:.2} nW cm-2 sr-1");
            let note = format!("{:.0} % of the cells are darker", share * 100.0);
            rows.push(row(
                &format!("{}_saturated", kind.name()),
                &of,
                kind.of(&xs, &pair.ys),
                "1",
                xs.len(),
                &note,
            ));
        }
    }
    rows
}

/// The registration that fits best: a warning, never used.
fn shift(pair: &FieldPair) -> Vec<Metric> {
    let kind = Kind::PearsonLog1p;
    let Some(here) = kind.of(&pair.xs, &pair.ys) else { return Vec::new() };
    let mut best = (here, 0, 0, pair.cells.len());
    for down in -MOST_SHIFT..=MOST_SHIFT {
        for across in -MOST_SHIFT..=MOST_SHIFT {
            let (xs, ys) = pair.shifted(down, across);
            let Some(r) = kind.of(&xs, &ys) else { continue };
            if r > best.0 {
                best = (r, down, across, xs.len());
            }
        }
    }
    let (r, down, across, n) = best;
    let of = format!(
        "light moved {} cells {} and {} cells {}",
        down.abs(),
        if down < 0 { "north" } else { "south" },
        across.abs(),
        if across < 0 { "west" } else { "east" }
    );
    let note = if (down, across) == (0, 0) {
        "the two fit best where they are"
    } else if r - here > SHIFT_GAIN {
        "warning: another registration fits better; check the georeference of both; not used"
    } else {
        "another registration fits no better to speak of; not used"
    };
    vec![row("pearson_log1p_best_shift", &of, Some(r), "1", n, note)]
}
