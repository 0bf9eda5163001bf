//! Scatter plots: one mark an observation, over axes that may be logarithmic.

use std::collections::BTreeMap;

use crate::canvas::{Anchor, Canvas, Type, fitted};
use crate::map::Area;
use crate::{FigureError, Rgb, ticks};

/// One axis.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// The quantity and its unit.
    pub label: String,
    /// Whether the axis is linear in log(1 + value); values below 0 stand at 0 then.
    pub log1p: bool,
    /// Ends of the axis, or those of the values.
    pub range: Option<(f64, f64)>,
}

impl Axis {
    /// A linear axis over the range of the values.
    #[must_use]
    pub fn linear(label: impl Into<String>) -> Axis {
        Axis { label: label.into(), log1p: false, range: None }
    }

    /// An axis in log(1 + value), from 0.
    #[must_use]
    pub fn log1p(label: impl Into<String>) -> Axis {
        Axis { log1p: true, ..Axis::linear(label) }
    }

    /// The same axis with given ends.
    #[must_use]
    pub fn between(mut self, low: f64, high: f64) -> Axis {
        self.range = Some((low, high));
        self
    }

    fn scaled(&self, value: f64) -> f64 {
        if self.log1p { value.max(0.0).ln_1p() } else { value }
    }

    fn ends(&self, values: &[f64]) -> (f64, f64) {
        if let Some(ends) = self.range {
            return ends;
        }
        let finite = values.iter().copied().filter(|value| value.is_finite());
        let low = if self.log1p { 0.0 } else { finite.clone().fold(f64::INFINITY, f64::min) };
        let high = finite.fold(f64::NEG_INFINITY, f64::max);
        if high > low {
            let margin = if self.log1p { 0.0 } else { 0.03 * (high - low) };
            (low - margin, high + margin)
        } else if low.is_finite() {
            (low - 0.5, low + 0.5)
        } else {
            (0.0, 1.0)
        }
    }
}

/// One scatter plot of a page. Pairs with a value that is not finite are not drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Scatter {
    /// A line above the plot. May be empty.
    pub heading: String,
    /// The horizontal axis.
    pub x: Axis,
    /// The vertical axis.
    pub y: Axis,
    /// One value an observation.
    pub xs: Vec<f64>,
    /// One value an observation.
    pub ys: Vec<f64>,
    /// Lines in the upper left corner of the plot, as the number of observations and a coefficient.
    pub notes: Vec<String>,
}

const MARK: Rgb = Rgb(32, 82, 140);
/// Marks closer than this, in points, are drawn as one of the opacity of all.
const CELL: f64 = 0.5;

impl Scatter {
    pub(crate) fn check(&self) -> Result<(), FigureError> {
        if self.xs.len() == self.ys.len() {
            Ok(())
        } else {
            Err(FigureError::Pairs { xs: self.xs.len(), ys: self.ys.len() })
        }
    }

    /// Axes and marks; labels stand outside the area, 52 points left of it and 40 under it.
    pub(crate) fn draw(&self, canvas: &mut Canvas, area: Area) {
        let (x_ends, y_ends) = (self.x.ends(&self.xs), self.y.ends(&self.ys));
        let across = |value: f64| area.x + share(&self.x, x_ends, value) * area.width;
        let up = |value: f64| area.y + (1.0 - share(&self.y, y_ends, value)) * area.height;
        let bottom = area.y + area.height;
        for (tick, label) in axis_ticks(&self.x, x_ends, area.width) {
            let x = across(tick);
            canvas.line((x, area.y), (x, bottom), Rgb::RULE, 1.0);
            canvas.line((x, bottom), (x, bottom + 5.0), Rgb::INK, 1.0);
            canvas.text(x, bottom + 17.0, Anchor::Middle, Type::TICK, &label);
        }
        for (tick, label) in axis_ticks(&self.y, y_ends, area.height) {
            let y = up(tick);
            canvas.line((area.x, y), (area.x + area.width, y), Rgb::RULE, 1.0);
            canvas.line((area.x - 5.0, y), (area.x, y), Rgb::INK, 1.0);
            canvas.text(area.x - 8.0, y + 4.0, Anchor::End, Type::TICK, &label);
        }
        let places = self.xs.iter().zip(&self.ys).filter(|(x, y)| x.is_finite() && y.is_finite());
        let inside = |&(x, y): &(f64, f64)| {
            (area.x - 0.1..=area.x + area.width + 0.1).contains(&x)
                && (area.y - 0.1..=bottom + 0.1).contains(&y)
        };
        marks(canvas, places.map(|(&x, &y)| (across(x), up(y))).filter(inside).collect());
        canvas.frame(area.x, area.y, area.width, area.height, Rgb::INK);
        canvas.text(area.x + area.width / 2.0, bottom + 36.0, Anchor::Middle, Type::LABEL, &self.x.label);
        let y_label = fitted(&self.y.label, Type::LABEL, area.height);
        canvas.turned_text(
            (area.x - 40.0, area.y + area.height / 2.0),
            -90.0,
            Anchor::Middle,
            Type::LABEL,
            &y_label,
        );
        self.draw_notes(canvas, area);
    }

    fn draw_notes(&self, canvas: &mut Canvas, area: Area) {
        for (line, note) in self.notes.iter().enumerate() {
            let y = area.y + 20.0 + line as f64 * Type::LABEL.leading();
            canvas.halo_text(area.x + 10.0, y, Type::LABEL, note);
        }
    }
}

/// Where a value stands on its axis, 0 at the low end.
fn share(axis: &Axis, (low, high): (f64, f64), value: f64) -> f64 {
    let (low, high) = (axis.scaled(low), axis.scaled(high));
    (axis.scaled(value) - low) / (high - low)
}

fn axis_ticks(axis: &Axis, (low, high): (f64, f64), length: f64) -> Vec<(f64, String)> {
    if axis.log1p {
        let values = ticks::log1p(low, high);
        return values.iter().copied().zip(ticks::own_labels(&values)).collect();
    }
    let values = ticks::linear(low, high, ((length / 70.0) as usize).max(2));
    values.iter().copied().zip(ticks::labels(&values)).collect()
}

/// Discs whose opacity falls with their number; coincident ones add up to the opacity they would have together.
fn marks(canvas: &mut Canvas, places: Vec<(f64, f64)>) {
    let mut cells: BTreeMap<(i64, i64), i32> = BTreeMap::new();
    for (x, y) in &places {
        *cells.entry(((x / CELL).round() as i64, (y / CELL).round() as i64)).or_default() += 1;
    }
    let crowd = (places.len() as f64 / 300.0).max(1.0);
    let (opacity, radius) = ((0.75 / crowd.sqrt()).max(0.06), if places.len() < 2000 { 2.4 } else { 1.5 });
    for ((x, y), n) in cells {
        let together = 1.0 - (1.0 - opacity).powi(n);
        canvas.disc((x as f64 * CELL, y as f64 * CELL), radius, MARK, together);
    }
}
