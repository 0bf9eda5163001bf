//! Charts of groups: points and tiles in the colour of their group, and curves over a number such as K.

use crate::canvas::{Anchor, Canvas, Type, fitted};
use crate::{FigureError, Rgb, Words, ticks};

const PAGE: f64 = 900.0;
const MARGIN: f64 = 24.0;
const GUTTER: f64 = 26.0;
/// Space left of a panel for its labels, and under it.
const LEFT: f64 = 46.0;
const UNDER: f64 = 44.0;
/// Width of a legend's column, and the height of its lines.
const NAME: f64 = 150.0;
const LINE: f64 = 17.0;
/// Sides of cells, in points, from which a cell bears its group's number.
const NUMBERED_CELL: f64 = 12.0;

/// Colours that differ in hue or lightness from their neighbours in the list (after Kelly 1965), used again and again.
const COLOURS: [Rgb; 20] = [
    Rgb(31, 119, 180),
    Rgb(255, 179, 0),
    Rgb(0, 125, 52),
    Rgb(193, 0, 32),
    Rgb(128, 62, 117),
    Rgb(255, 104, 0),
    Rgb(166, 189, 215),
    Rgb(206, 162, 98),
    Rgb(129, 112, 102),
    Rgb(246, 118, 142),
    Rgb(0, 83, 138),
    Rgb(255, 122, 92),
    Rgb(83, 55, 122),
    Rgb(244, 200, 0),
    Rgb(127, 24, 13),
    Rgb(147, 170, 0),
    Rgb(89, 51, 21),
    Rgb(35, 44, 22),
    Rgb(0, 170, 170),
    Rgb(190, 190, 120),
];

/// The colour of a group.
#[must_use]
pub fn group_colour(group: usize) -> Rgb {
    COLOURS[group % COLOURS.len()]
}

/// What a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub enum Chart {
    /// Points in the colour of their group, with the group's number at the middle of its points: (x, y, group).
    Points {
        /// Labels of the axes.
        labels: [String; 2],
        /// The points.
        places: Vec<(f64, f64, usize)>,
    },
    /// A grid of tiles in the colour of their group, the first row at the top; missing ones are left out.
    Cells {
        /// Tiles side by side.
        n_cols: usize,
        /// The group of each tile, row by row.
        groups: Vec<Option<usize>>,
    },
    /// Curves over a number, with a mark at the one that was chosen.
    Curves {
        /// The number that they run over.
        label: String,
        /// Its values.
        xs: Vec<f64>,
        /// One value for each of `xs`; not drawn where it is not finite.
        lines: Vec<Vec<f64>>,
        /// The chosen number.
        chosen: Option<f64>,
    },
}

/// Charts under one title, with one legend.
#[derive(Clone, Debug, PartialEq)]
pub struct Charts {
    /// Title, subtitle and credit of the page.
    pub words: Words,
    /// A heading each, and the chart.
    pub charts: Vec<(String, Chart)>,
    /// Names of the groups or of the curves, in the order of their numbers.
    pub names: Vec<String>,
}

#[derive(Clone, Copy)]
struct Place {
    x: f64,
    y: f64,
    side: f64,
}

/// The page as PNG, 900 points wide: one chart large, more of them three in a row; the legend at the foot.
///
/// # Errors
/// [`FigureError::Empty`] without charts or in one without values; [`FigureError::Draw`] if the page is too large.
pub fn charts(page: &Charts) -> Result<Vec<u8>, FigureError> {
    if page.charts.is_empty() || page.charts.iter().any(|(_, chart)| chart.is_empty()) {
        return Err(FigureError::Empty("a page without charts, or a chart without values"));
    }
    let columns = page.charts.len().min(3);
    let mut canvas = Canvas::new(PAGE);
    let mut y = page.words.head(&mut canvas, MARGIN) + 4.0;
    let step = (PAGE - 2.0 * MARGIN + GUTTER) / columns as f64;
    let side = (step - GUTTER - LEFT).min(640.0);
    for row in page.charts.chunks(columns) {
        let mut end = y;
        for (column, (heading, chart)) in row.iter().enumerate() {
            let x = MARGIN + LEFT + column as f64 * step;
            canvas.text(x, y + 12.0, Anchor::Start, Type::HEADING, &fitted(heading, Type::HEADING, side));
            end = end.max(chart.draw(&mut canvas, Place { x, y: y + 20.0, side }));
        }
        y = end + 8.0;
    }
    let lines = page.charts.iter().any(|(_, chart)| matches!(chart, Chart::Curves { .. }));
    y = legend(&mut canvas, y, &page.names, lines);
    let end = page.words.foot(&mut canvas, MARGIN, y);
    canvas.png(end)
}

fn legend(canvas: &mut Canvas, y: f64, names: &[String], lines: bool) -> f64 {
    let columns = ((PAGE - 2.0 * MARGIN) / NAME) as usize;
    for (i, name) in names.iter().enumerate() {
        let (x, y) = (MARGIN + (i % columns) as f64 * NAME, y + (i / columns) as f64 * LINE);
        let colour = group_colour(i);
        if lines {
            canvas.line((x, y + 5.0), (x + 18.0, y + 5.0), colour, 2.5);
        } else {
            canvas.block(x + 3.0, y, 11.0, 11.0, colour);
        }
        canvas.text(x + 24.0, y + 10.0, Anchor::Start, Type::TICK, &fitted(name, Type::TICK, NAME - 28.0));
    }
    y + names.len().div_ceil(columns) as f64 * LINE
}

impl Chart {
    fn is_empty(&self) -> bool {
        match self {
            Chart::Points { places, .. } => places.is_empty(),
            Chart::Cells { n_cols, groups } => *n_cols == 0 || groups.is_empty(),
            Chart::Curves { xs, .. } => xs.is_empty(),
        }
    }

    /// Draws the chart and says where it ends.
    fn draw(&self, canvas: &mut Canvas, place: Place) -> f64 {
        match self {
            Chart::Points { labels, places } => points(canvas, place, labels, places),
            Chart::Cells { n_cols, groups } => cells(canvas, place, *n_cols, groups),
            Chart::Curves { label, xs, lines, chosen } => curves(canvas, place, label, xs, lines, *chosen),
        }
    }
}

fn points(canvas: &mut Canvas, place: Place, labels: &[String; 2], places: &[(f64, f64, usize)]) -> f64 {
    let high = place.side * 0.8;
    let frame =
        Frame { place, high, xs: ends(places.iter().map(|p| p.0)), ys: ends(places.iter().map(|p| p.1)) };
    frame.axes(canvas, (&labels[0], ticks::linear), &labels[1]);
    let radius = if places.len() < 1000 { 2.6 } else { 1.6 };
    for &(x, y, group) in places {
        canvas.disc(frame.at(x, y), radius, group_colour(group), 0.75);
    }
    let n_groups = places.iter().map(|p| p.2 + 1).max().unwrap_or(0);
    for group in 0..n_groups {
        let of =
            |pick: fn(&(f64, f64, usize)) -> f64| median(places.iter().filter(|p| p.2 == group).map(pick));
        if let (Some(x), Some(y)) = (of(|p| p.0), of(|p| p.1)) {
            let (x, y) = frame.at(x, y);
            canvas.halo_text(x - 4.0, y + 4.0, Type { bold: true, ..Type::LABEL }, &group.to_string());
        }
    }
    place.y + high + UNDER
}

fn cells(canvas: &mut Canvas, place: Place, n_cols: usize, groups: &[Option<usize>]) -> f64 {
    let n_rows = groups.len().div_ceil(n_cols);
    let cell = place.side / n_cols.max(n_rows) as f64;
    for (i, group) in groups.iter().enumerate() {
        let (x, y) = (place.x + (i % n_cols) as f64 * cell, place.y + (i / n_cols) as f64 * cell);
        let colour = group.map_or(Rgb::NODATA, group_colour);
        canvas.block(x, y, cell, cell, colour);
        if let Some(group) = group.filter(|_| cell >= NUMBERED_CELL) {
            let ink = if colour.lightness() > 60.0 { Rgb::INK } else { Rgb(255, 255, 255) };
            let size = (cell * 0.5).min(11.0);
            let style = Type { size, bold: false, ink };
            canvas.text(
                x + cell / 2.0,
                y + cell / 2.0 + size * 0.36,
                Anchor::Middle,
                style,
                &group.to_string(),
            );
        }
    }
    canvas.frame(place.x, place.y, cell * n_cols as f64, cell * n_rows as f64, Rgb::INK);
    place.y + cell * n_rows as f64 + 14.0
}

fn curves(
    canvas: &mut Canvas,
    place: Place,
    label: &str,
    xs: &[f64],
    lines: &[Vec<f64>],
    chosen: Option<f64>,
) -> f64 {
    let high = place.side * 0.8;
    let values = || lines.iter().flatten().copied().filter(|v| v.is_finite());
    let lowest = values().fold(0.0, f64::min);
    let frame =
        Frame { place, high, xs: ends(xs.iter().copied()), ys: (lowest, values().fold(1.0, f64::max)) };
    let whole = xs.iter().all(|x| x.fract() == 0.0);
    frame.axes(canvas, (label, if whole { ticks::whole } else { ticks::linear }), "");
    if let Some(x) = chosen {
        let (x, _) = frame.at(x, 0.0);
        canvas.line((x, place.y), (x, place.y + high), Rgb::FAINT_INK, 1.5);
        // On the side where there is room.
        let right = x < place.x + place.side / 2.0;
        let (x, anchor) = if right { (x + 5.0, Anchor::Start) } else { (x - 5.0, Anchor::End) };
        canvas.text(x, place.y + 14.0, anchor, Type::TICK, "chosen");
    }
    for (i, line) in lines.iter().enumerate() {
        let known: Vec<(f64, f64)> =
            xs.iter().zip(line).filter(|(_, y)| y.is_finite()).map(|(&x, &y)| frame.at(x, y)).collect();
        known.windows(2).for_each(|pair| canvas.line(pair[0], pair[1], group_colour(i), 2.0));
        known.iter().for_each(|&point| canvas.disc(point, 3.0, group_colour(i), 1.0));
    }
    place.y + high + UNDER
}

/// Numbers for an axis between two ends, about so many.
type Ticks = fn(f64, f64, usize) -> Vec<f64>;

/// A plot's place and the ends of its axes.
struct Frame {
    place: Place,
    high: f64,
    xs: (f64, f64),
    ys: (f64, f64),
}

impl Frame {
    fn at(&self, x: f64, y: f64) -> (f64, f64) {
        let share = |value: f64, (low, high): (f64, f64)| (value - low) / (high - low);
        let Place { x: left, y: top, side } = self.place;
        (left + share(x, self.xs) * side, top + (1.0 - share(y, self.ys)) * self.high)
    }

    fn axes(&self, canvas: &mut Canvas, (x_label, x_ticks): (&str, Ticks), y_label: &str) {
        let Place { x: left, y: top, side } = self.place;
        let bottom = top + self.high;
        let round = |(low, high): (f64, f64), ticks: Ticks, length: f64| {
            let values = ticks(low, high, ((length / 70.0) as usize).max(2));
            values.iter().copied().zip(ticks::labels(&values)).collect::<Vec<_>>()
        };
        for (tick, label) in round(self.xs, x_ticks, side) {
            let (x, _) = self.at(tick, self.ys.0);
            canvas.line((x, top), (x, bottom), Rgb::RULE, 1.0);
            canvas.text(x, bottom + 15.0, Anchor::Middle, Type::TICK, &label);
        }
        for (tick, label) in round(self.ys, ticks::linear, self.high) {
            let (_, y) = self.at(self.xs.0, tick);
            canvas.line((left, y), (left + side, y), Rgb::RULE, 1.0);
            canvas.text(left - 6.0, y + 4.0, Anchor::End, Type::TICK, &label);
        }
        canvas.frame(left, top, side, self.high, Rgb::INK);
        canvas.text(left + side / 2.0, bottom + 32.0, Anchor::Middle, Type::LABEL, x_label);
        let middle = (left - 34.0, top + self.high / 2.0);
        canvas.turned_text(middle, -90.0, Anchor::Middle, Type::LABEL, y_label);
    }
}

/// The ends of an axis, a little beyond those of the values.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    let margin = if high > low { 0.04 * (high - low) } else { 0.5 };
    (low - margin, high + margin)
}

fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
