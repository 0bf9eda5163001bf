//! Calibration curves: how often answers are right, against how sure they are.

use crate::Rgb;
use crate::canvas::{Anchor, Canvas, Type};
use crate::map::Area;

/// Answers that are about as sure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sure {
    /// Their mean probability, 0 to 1.
    pub confidence: f64,
    /// The share of them that is right, 0 to 1.
    pub hit_share: f64,
    /// How many they are.
    pub n: usize,
}

/// One calibration curve of a page: perfect answers lie on the diagonal, modest ones above it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reliability {
    /// A line above the plot. May be empty.
    pub heading: String,
    /// What a share of hits is.
    pub y_label: String,
    /// Groups of answers.
    pub groups: Vec<Sure>,
    /// Lines in the upper left corner of the plot.
    pub notes: Vec<String>,
}

const MARK: Rgb = Rgb(32, 82, 140);
/// The disc of the largest group; the area of a disc is its share of answers.
const LARGEST_RADIUS: f64 = 11.0;
const LEAST_RADIUS: f64 = 2.2;
/// Groups of fewer answers stand alone: a line to them would draw chance.
const LEAST_JOINED: usize = 10;
const TICKS: usize = 5;

impl Reliability {
    /// As a scatter plot is drawn: labels stand outside the area, 52 points left of it and 40 under it.
    pub(crate) fn draw(&self, canvas: &mut Canvas, area: Area) {
        let bottom = area.y + area.height;
        let place = |x: f64, y: f64| (area.x + x * area.width, bottom - y * area.height);
        for tick in 0..=TICKS {
            let value = tick as f64 / TICKS as f64;
            let ((x, _), (_, y)) = (place(value, 0.0), place(0.0, value));
            canvas.line((x, area.y), (x, bottom), Rgb::RULE, 1.0);
            canvas.line((area.x, y), (area.x + area.width, y), Rgb::RULE, 1.0);
            canvas.text(x, bottom + 17.0, Anchor::Middle, Type::TICK, &format!("{value:.1}"));
            canvas.text(area.x - 8.0, y + 4.0, Anchor::End, Type::TICK, &format!("{value:.1}"));
        }
        canvas.line(place(0.0, 0.0), place(1.0, 1.0), Rgb::FAINT_INK, 1.2);
        let most = self.groups.iter().map(|group| group.n).max().unwrap_or(1).max(1) as f64;
        let firm: Vec<Sure> = self.groups.iter().copied().filter(|group| group.n >= LEAST_JOINED).collect();
        for pair in firm.windows(2) {
            let [from, to] = [pair[0], pair[1]].map(|group| place(group.confidence, group.hit_share));
            canvas.line(from, to, MARK, 1.4);
        }
        for group in &self.groups {
            let radius = (LARGEST_RADIUS * (group.n as f64 / most).sqrt()).max(LEAST_RADIUS);
            let (x, y) = place(group.confidence, group.hit_share);
            canvas.disc((x, y), radius, MARK, 0.75);
            // Above the disc, and below it where the heading would be in the way.
            let beside = if y - radius < area.y + 20.0 { y + radius + 14.0 } else { y - radius - 4.0 };
            canvas.halo_text(x - radius - 18.0, beside, Type::TICK, &format!("{}", group.n));
        }
        canvas.frame(area.x, area.y, area.width, area.height, Rgb::INK);
        let label = "probability of the class said";
        canvas.text(area.x + area.width / 2.0, bottom + 36.0, Anchor::Middle, Type::LABEL, label);
        let middle = (area.x - 40.0, area.y + area.height / 2.0);
        canvas.turned_text(middle, -90.0, Anchor::Middle, Type::LABEL, &self.y_label);
        for (line, note) in self.notes.iter().enumerate() {
            let y = area.y + 20.0 + line as f64 * Type::LABEL.leading();
            canvas.halo_text(area.x + 10.0, y, Type::LABEL, note);
        }
    }
}
