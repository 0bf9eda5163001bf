//! Each granule by itself, and all tiles of all granules together, as the study counted them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use contract::{Metric, Score};
use raster::{Affine, Crs, Grid, Source};

use crate::MIN_COVER_SHARE;
use crate::details::{Drawing, Kind, row, worth};
use crate::field_pair::FieldPair;
use crate::lights::{Limits, limited_on};
use crate::table::Line;

/// What became of all granules.
pub struct Granules {
    /// Rows of the table of metrics: granules by name, then all tiles.
    pub rows: Vec<Metric>,
    /// The same as a table, a line a granule and one for all.
    pub lines: Vec<Line>,
}

/// Correlates the tiles of every granule with the light that falls on them. `effective_n` is that of the seamless map, for the pooled tiles.
///
/// # Errors
/// For tables that cannot be read or whose tiles make no grid.
pub fn granules(
    paths: &[PathBuf],
    lights: &Source,
    limits: &Limits,
    pooled_worth: impl Fn(Kind) -> Option<f64>,
    drawing: Drawing,
) -> anyhow::Result<Granules> {
    let mut tables: BTreeMap<String, Vec<Score>> = BTreeMap::new();
    for path in paths {
        for row in contract::read::<Score>(path)? {
            tables.entry(row.granule.as_str().to_owned()).or_default().push(row);
        }
    }
    let (mut rows, mut lines, mut pooled) = (Vec::new(), Vec::new(), FieldPair::default());
    for (name, table) in &tables {
        let pair = tiles(table, lights, limits).with_context(|| format!("granule {name}"))?;
        let found = Kind::ALL.map(|kind| of_granule(name, &pair, kind, drawing));
        let worth = worth(&pair, Kind::Spearman, drawing.seed);
        lines.push(Line::of(name, &found, worth.map(|w| w.effective_n), worth.and_then(|w| w.p)));
        rows.extend(found);
        pooled.xs.extend(&pair.xs);
        pooled.ys.extend(&pair.ys);
    }
    let of = format!("tiles of {} granules", tables.len());
    let all = Kind::ALL.map(|kind| of_all(&of, &pooled, kind, &pooled_worth, drawing));
    let effective_n = pooled_worth(Kind::Spearman);
    let p = all[0].value.zip(effective_n).and_then(|(r, n)| crate::dependence::p_of(r, n));
    lines.push(Line::of(&format!("all {} granules", tables.len()), &all, effective_n, p));
    rows.extend(all);
    Ok(Granules { rows, lines })
}

/// The tiles of a granule as fields on their own grid.
fn tiles(table: &[Score], lights: &Source, limits: &Limits) -> anyhow::Result<FieldPair> {
    let crs = Crs::from_text(&table[0].crs)?;
    ensure!(
        table.iter().all(|row| row.crs == table[0].crs),
        "want one coordinate system, got several; make the scores again with stage3-train"
    );
    let side_m = table[0].east_m - table[0].west_m;
    let west = table.iter().map(|row| row.west_m).fold(f64::INFINITY, f64::min);
    let north = table.iter().map(|row| row.north_m).fold(f64::NEG_INFINITY, f64::max);
    let place = |row: &Score| {
        (((north - row.north_m) / side_m).round() as usize, ((row.west_m - west) / side_m).round() as usize)
    };
    let height = table.iter().map(|row| place(row).0).max().unwrap_or(0) + 1;
    let width = table.iter().map(|row| place(row).1).max().unwrap_or(0) + 1;
    let transform = Affine { west, north, pixel_width: side_m, pixel_height: side_m };
    let light = limited_on(lights, &Grid { height, width, transform, crs }, limits)?;
    let mut scored: Vec<(usize, f64)> =
        table.iter().filter_map(|row| Some((place(row).0 * width + place(row).1, row.score?))).collect();
    scored.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    scored.dedup_by_key(|tile| tile.0);
    let mut pair = FieldPair { height, width, ..FieldPair::default() };
    for (cell, score) in scored.into_iter().filter(|(cell, _)| light.cover[*cell] >= MIN_COVER_SHARE) {
        pair.cells.push(cell);
        pair.xs.push(light.values[cell]);
        pair.ys.push(score);
    }
    Ok(pair)
}

fn of_granule(name: &str, pair: &FieldPair, kind: Kind, drawing: Drawing) -> Metric {
    let n = pair.cells.len();
    if n < drawing.min_n {
        return row(
            kind.name(),
            name,
            None,
            "1",
            n,
            &format!("n too small, not reported: at least {} tiles wanted", drawing.min_n),
        );
    }
    let Some(worth) = worth(pair, kind, drawing.seed) else {
        return row(kind.name(), name, None, "1", n, "not reported: score or radiance does not vary");
    };
    let p = worth.p.map_or("no test: too few".to_owned(), |p| format!("p {p:.3}"));
    let note = format!("about {:.0} independent tiles, {p}", worth.effective_n);
    let mut metric = row(kind.name(), name, kind.of(&pair.xs, &pair.ys), "1", n, &note);
    (metric.low, metric.high) = worth.interval.unzip();
    metric
}

fn of_all(
    of: &str,
    pooled: &FieldPair,
    kind: Kind,
    pooled_worth: &impl Fn(Kind) -> Option<f64>,
    drawing: Drawing,
) -> Metric {
    let n = pooled.xs.len();
    if n < drawing.min_n {
        return row(kind.name(), of, None, "1", n, "n too small, not reported");
    }
    let worth = pooled_worth(kind)
        .map_or(String::new(), |n| format!("; about {n:.0} independent ones, as on the seamless map"));
    let note = format!("ground in two granules counts twice, as the study counted it{worth}");
    row(kind.name(), of, kind.of(&pooled.xs, &pooled.ys), "1", n, &note)
}
