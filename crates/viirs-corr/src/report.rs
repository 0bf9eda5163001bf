//! What the comparison found, as a table and as a picture.

use contract::Metric;
use figure::{Axis, Ground, Legend, Map, Panel, Scale, Scatter, Words, side_by_side};

use crate::MIN_COVER_SHARE;
use crate::correlate::{pearson, spearman};
use crate::details::Worth;
use crate::field_pair::FieldPair;
use crate::regrid::Field;

const RADIANCE: &str = "Radiance (nW cm⁻² sr⁻¹)";
const CAVEAT: &str = "neighbouring cells are alike: the cells are fewer independent ones";

/// The number of cells and the three coefficients of radiance (`xs`) with score (`ys`), missing below `min_n` cells.
pub fn metrics(xs: &[f64], ys: &[f64], min_n: usize, saturation_nw_cm2_sr: Option<f64>) -> Vec<Metric> {
    let logs: Vec<f64> = xs.iter().map(|radiance| radiance.max(0.0).ln_1p()).collect();
    let negative = xs.iter().filter(|&&radiance| radiance < 0.0).count();
    let cut =
        saturation_nw_cm2_sr.map_or(String::new(), |top| format!("; radiance above {top} counts as {top}"));
    let clipped = format!("{CAVEAT}{cut}; {negative} negative radiances count as 0");
    let plain = format!("{CAVEAT}{cut}");
    let row = |name: &str, value: Option<f64>, note: &str| {
        let (value, note) = match value {
            _ if xs.len() < min_n => {
                (None, format!("n too small, not reported: {} cells, at least {min_n} wanted", xs.len()))
            }
            None => (None, "not reported: score or radiance does not vary".to_owned()),
            value => (value, note.to_owned()),
        };
        Metric {
            name: name.to_owned(),
            of: "score, night light".to_owned(),
            value,
            low: None,
            high: None,
            unit: "1".to_owned(),
            n: xs.len() as u64,
            note: Some(note),
        }
    };
    vec![
        row("spearman", spearman(xs, ys), &plain),
        row("pearson_log1p", pearson(&logs, ys), &clipped),
        row("pearson", pearson(xs, ys), &plain),
    ]
}

/// The rows with their intervals and the number of cells that they are worth.
pub fn with_worth(mut rows: Vec<Metric>, worths: &[Option<Worth>; 3], cell_km: f64) -> Vec<Metric> {
    for (row, worth) in rows.iter_mut().zip(worths) {
        let Some(worth) = worth.filter(|_| row.value.is_some()) else { continue };
        (row.low, row.high) = worth.interval.unzip();
        let blocks = match worth.interval {
            Some(_) => format!("95 % interval over blocks of {:.1} km", worth.block_cells as f64 * cell_km),
            None => "too few blocks for an interval".to_owned(),
        };
        let note = row.note.take().unwrap_or_default();
        row.note = Some(format!("{note}; about {:.0} independent ones; {blocks}", worth.effective_n));
    }
    rows
}

/// A row in words.
pub fn line(row: &Metric) -> String {
    match (row.value, row.low, row.high) {
        (Some(value), Some(low), Some(high)) => {
            format!("{} {value:.3} [{low:.3}, {high:.3}], n = {}", label(&row.name), row.n)
        }
        (Some(value), ..) => format!("{} {value:.3}, n = {}", label(&row.name), row.n),
        (None, ..) => format!("{}: {}", label(&row.name), row.note.as_deref().unwrap_or("not reported")),
    }
}

fn label(name: &str) -> &str {
    match name {
        "spearman" => "Spearman",
        "pearson_log1p" => "Pearson, log(1 + radiance)",
        "pearson" => "Pearson",
        other => other,
    }
}

/// Both fields on their common grid, and the cells as a scatter plot.
pub fn picture(
    title: &str,
    credit: &str,
    rows: &[Metric],
    (score, light): (&Field, &Field),
    corners_deg: [[f64; 2]; 4],
    pair: &FieldPair,
) -> Result<Vec<u8>, figure::FigureError> {
    let ground = Some(Ground { corners_deg });
    let score_legend = Legend::linear("Development score", Scale::Score, 0.0, 1.0).nodata("no score");
    let (xs, ys) = (pair.xs.clone(), pair.ys.clone());
    let brightest = xs.iter().copied().fold(1.0, f64::max);
    let light_legend = Legend::log1p(RADIANCE, Scale::Light, brightest).nodata("no data");
    let panel = |heading: &str, legend: Legend, field: &Field| {
        let image = legend.paint(field.height, field.width, &shown(field))?;
        Ok::<_, figure::FigureError>(Panel::Map(Map { heading: heading.to_owned(), image, ground, legend }))
    };
    let notes = match rows.first() {
        Some(first) if first.value.is_none() => {
            vec![format!("n = {}", first.n), "too small, not reported".to_owned()]
        }
        _ => std::iter::once(format!("n = {}", xs.len())).chain(rows.iter().map(short)).collect(),
    };
    let scatter = Scatter {
        heading: "Cell by cell".to_owned(),
        x: Axis::log1p(RADIANCE).between(0.0, brightest),
        y: Axis::linear("Development score").between(0.0, 1.0),
        xs,
        ys,
        notes,
    };
    let panels = [
        panel("Development score", score_legend, score)?,
        panel("Night light", light_legend, light)?,
        Panel::Scatter(scatter),
    ];
    let worth = rows
        .first()
        .and_then(|row| row.low.is_some().then_some("in brackets, 95 % intervals over blocks of cells"));
    let subtitle = format!(
        "Both averaged by area onto the coarser of the two grids. Neighbouring cells are alike: {}.",
        worth.unwrap_or("n overstates what is known")
    );
    let words = Words { title: title.to_owned(), subtitle, credit: credit.to_owned() };
    side_by_side(&words, &panels)
}

fn short(row: &Metric) -> String {
    row.value.map_or_else(
        || format!("{}: not reported", label(&row.name)),
        |value| match (row.low, row.high) {
            (Some(low), Some(high)) => format!("{} {value:.2} [{low:.2}, {high:.2}]", label(&row.name)),
            _ => format!("{} {value:.2}", label(&row.name)),
        },
    )
}

/// The values of the cells that count, the others missing.
fn shown(field: &Field) -> Vec<f32> {
    let value =
        |(value, cover): (&f64, &f64)| if *cover < MIN_COVER_SHARE { f32::NAN } else { *value as f32 };
    field.values.iter().zip(&field.cover).map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of(n: usize) -> (Vec<f64>, Vec<f64>) {
        ((0..n).map(|i| i as f64 - 2.0).collect(), (0..n).map(|i| i as f64 / n as f64).collect())
    }

    #[test]
    fn below_the_least_number_of_cells_nothing_is_reported_and_the_table_says_why() {
        let (xs, ys) = line_of(29);
        for row in metrics(&xs, &ys, 30, None) {
            assert_eq!((row.value, row.n), (None, 29));
            assert!(row.note.is_some_and(|note| note.starts_with("n too small, not reported: 29 cells")));
        }
    }

    #[test]
    fn from_the_least_number_on_all_coefficients_are_there() {
        let (xs, ys) = line_of(30);
        let rows = metrics(&xs, &ys, 30, None);
        assert_eq!(rows.len(), 3);
        assert!(rows.iter().all(|row| row.value.is_some()));
        assert_eq!(rows[0].value, Some(1.0));
        assert!(rows[1].note.as_deref().is_some_and(|note| note.contains("2 negative radiances count as 0")));
    }

    #[test]
    fn a_dark_region_has_a_reason_and_no_number() {
        let rows = metrics(&[0.0; 50], &line_of(50).1, 30, None);
        assert!(rows.iter().all(|row| row.value.is_none()));
        assert_eq!(rows[0].note.as_deref(), Some("not reported: score or radiance does not vary"));
    }
}
