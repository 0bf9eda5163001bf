//! One map: an image on the ground, its frame with degrees, its legend, scale bar and north arrow.

use crate::canvas::{Anchor, Canvas, Type, text_width};
use crate::{FigureError, ImageRgb, Rgb, Scale, ticks};

/// Where on Earth a map lies. Ticks, scale bar and north arrow interpolate between the corners, which is right to a
/// fraction of a line's width for maps up to a few degrees wide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ground {
    /// Longitude and latitude in degrees (WGS 84) of the corners: north-west, north-east, south-east, south-west.
    pub corners_deg: [[f64; 2]; 4],
}

/// Mean Earth radius (IUGG).
const EARTH_RADIUS_KM: f64 = 6_371.008_8;

impl Ground {
    fn midpoint(&self, one: usize, other: usize) -> [f64; 2] {
        let [a, b] = [self.corners_deg[one], self.corners_deg[other]];
        [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0]
    }

    /// Great-circle height along the middle of the map.
    fn height_km(&self) -> f64 {
        great_circle_km(self.midpoint(0, 1), self.midpoint(2, 3))
    }

    /// Great-circle width along the middle of the map.
    pub(crate) fn width_km(&self) -> f64 {
        great_circle_km(self.midpoint(0, 3), self.midpoint(1, 2))
    }

    /// Clockwise angle from "up" on the page to north, at the middle of the map.
    pub(crate) fn north_deg(&self) -> f64 {
        let (top, bottom) = (self.midpoint(0, 1), self.midpoint(2, 3));
        let east = (top[0] - bottom[0]) * ((top[1] + bottom[1]) / 2.0).to_radians().cos();
        -east.atan2(top[1] - bottom[1]).to_degrees()
    }
}

fn great_circle_km(from_deg: [f64; 2], to_deg: [f64; 2]) -> f64 {
    let [[lon1, lat1], [lon2, lat2]] = [from_deg, to_deg].map(|point| point.map(f64::to_radians));
    let haversine =
        ((lat2 - lat1) / 2.0).sin().powi(2) + lat1.cos() * lat2.cos() * ((lon2 - lon1) / 2.0).sin().powi(2);
    2.0 * EARTH_RADIUS_KM * haversine.sqrt().min(1.0).asin()
}

/// What the colours of a map mean; it also paints the map, so that map and legend cannot disagree.
#[derive(Clone, Debug, PartialEq)]
pub struct Legend {
    label: String,
    scale: Scale,
    low: f64,
    high: f64,
    log1p: bool,
    ends: Option<(String, String)>,
    nodata: String,
}

impl Legend {
    /// Colours linear in the value from `low` to `high`; `label` names the quantity and its unit.
    #[must_use]
    pub fn linear(label: impl Into<String>, scale: Scale, low: f64, high: f64) -> Legend {
        Legend {
            label: label.into(),
            scale,
            low,
            high,
            log1p: false,
            ends: None,
            nodata: "no data".to_owned(),
        }
    }

    /// Colours linear in log(1 + value), ticks in the value itself. Values below 0 take the lowest colour.
    #[must_use]
    pub fn log1p(label: impl Into<String>, scale: Scale, high: f64) -> Legend {
        Legend { log1p: true, ..Legend::linear(label, scale, 0.0, high) }
    }

    /// Words at the two ends of the colour bar, as "less developed" and "more developed".
    #[must_use]
    pub fn ends(mut self, low: impl Into<String>, high: impl Into<String>) -> Legend {
        self.ends = Some((low.into(), high.into()));
        self
    }

    /// The word beside the grey of missing values ("no data" unless told).
    #[must_use]
    pub fn nodata(mut self, word: impl Into<String>) -> Legend {
        self.nodata = word.into();
        self
    }

    /// The values in this legend's colours, `[row, column]`; NaN is missing.
    ///
    /// # Errors
    /// [`FigureError::Pixels`] unless there is one value a pixel, [`FigureError::Empty`] if a side is zero.
    pub fn paint(&self, height: usize, width: usize, values: &[f32]) -> Result<ImageRgb, FigureError> {
        if !self.log1p {
            return ImageRgb::paint(height, width, values, (self.low, self.high), self.scale);
        }
        let logs: Vec<f32> = values
            .iter()
            .map(|value| value.max(if value.is_nan() { f32::NAN } else { 0.0 }).ln_1p())
            .collect();
        ImageRgb::paint(height, width, &logs, (self.low.ln_1p(), self.high.ln_1p()), self.scale)
    }

    /// Places on the bar, from 0 at the low end to 1, and what stands there.
    fn ticks(&self, wanted: usize) -> Vec<(f64, String)> {
        if self.log1p {
            let values = ticks::log1p(self.low, self.high);
            let labels = ticks::own_labels(&values);
            return values.iter().map(|value| value.ln_1p() / self.high.ln_1p()).zip(labels).collect();
        }
        let values = ticks::linear(self.low, self.high, wanted);
        let labels = ticks::labels(&values);
        let span = if self.high > self.low { self.high - self.low } else { 1.0 };
        values.iter().map(|value| (value - self.low) / span).zip(labels).collect()
    }
}

/// One map of a page.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// A line above the map, in a page of several panels. May be empty.
    pub heading: String,
    /// The picture, north (about) up; best made by [`Legend::paint`].
    pub image: ImageRgb,
    /// Where it lies; without it there are no degrees, scale bar and arrow.
    pub ground: Option<Ground>,
    /// What its colours mean.
    pub legend: Legend,
}

/// A rectangle of the page, in points.
#[derive(Clone, Copy)]
pub(crate) struct Area {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// Space left of a map for its latitudes, and under it for its longitudes.
pub(crate) const LATITUDES: f64 = 52.0;
pub(crate) const LONGITUDES: f64 = 22.0;
/// Thickness of a colour bar, and side of the swatch for missing values.
const BAR: f64 = 16.0;
/// Colours of a colour bar.
const STEPS: usize = 256;
/// What stands under the colour bar of a column: its low end, missing values, north arrow and scale bar.
const COLUMN_FURNITURE: f64 = 150.0;

impl Map {
    /// The largest size inside the given one with the proportions of the ground (whose pixels need not be square, as
    /// those in degrees), or without ground those of the image.
    pub(crate) fn fit(&self, width: f64, height: f64) -> (f64, f64) {
        let of_image = self.image.height() as f64 / self.image.width() as f64;
        let of_ground = self.ground.map(|ground| ground.height_km() / ground.width_km());
        let ratio = of_ground.filter(|ratio| ratio.is_normal()).unwrap_or(of_image);
        if width * ratio <= height {
            (width, (width * ratio).max(1.0))
        } else {
            ((height / ratio).max(1.0), height)
        }
    }

    /// The image with its frame and degrees.
    pub(crate) fn draw(&self, canvas: &mut Canvas, area: Area) {
        canvas.image(area.x, area.y, area.width, area.height, &self.image);
        canvas.frame(area.x, area.y, area.width, area.height, Rgb::INK);
        let Some(ground) = self.ground else { return };
        let [north_west, _, south_east, south_west] = ground.corners_deg;
        for (share, label) in degrees(south_west[0], south_east[0], area.width / 130.0, ["E", "W"]) {
            let (x, y) = (area.x + share * area.width, area.y + area.height);
            canvas.line((x, y), (x, y + 5.0), Rgb::INK, 1.0);
            canvas.text(x, y + 17.0, Anchor::Middle, Type::TICK, &label);
        }
        for (share, label) in degrees(south_west[1], north_west[1], area.height / 130.0, ["N", "S"]) {
            let (x, y) = (area.x, area.y + (1.0 - share) * area.height);
            canvas.line((x - 5.0, y), (x, y), Rgb::INK, 1.0);
            canvas.text(x - 8.0, y + 4.0, Anchor::End, Type::TICK, &label);
        }
    }

    /// The legend in a column right of the map, which lies in `area`, and the north arrow and scale bar at the foot of
    /// that column, or under the map where the column is too short; returns where all of it ends.
    pub(crate) fn draw_column(&self, canvas: &mut Canvas, area: Area, x: f64, width: f64) -> f64 {
        let bottom = area.y + area.height;
        let legend_end = self.legend.draw_column(canvas, Area { x, width, ..area });
        let end = legend_end.max(bottom + LONGITUDES);
        let Some(ground) = self.ground else { return end };
        let km_per_point = ground.width_km() / area.width;
        if legend_end + 92.0 <= bottom {
            north_arrow(canvas, (x + 8.0, bottom - 54.0), ground.north_deg());
            scale_bar(canvas, (x, bottom), width, km_per_point);
            return end;
        }
        let y = bottom + LONGITUDES + 44.0;
        north_arrow(canvas, (area.x + 8.0, y - 11.0), ground.north_deg());
        scale_bar(canvas, (area.x + 36.0, y), width, km_per_point);
        end.max(y)
    }

    /// Legend and scale bar in a band under the map, of the height [`Map::BAND`].
    pub(crate) fn draw_band(&self, canvas: &mut Canvas, area: Area) {
        let legend = &self.legend;
        canvas.text(area.x, area.y + 10.0, Anchor::Start, Type::LABEL, &legend.label);
        let nodata = text_width(&legend.nodata, Type::TICK) + BAR + 24.0;
        let (y, length) = (area.y + 18.0, (area.width - nodata).max(60.0));
        legend.draw_level_bar(canvas, Area { y, width: length, height: 12.0, ..area });
        legend.draw_nodata(canvas, area.x + length + 18.0, y - 2.0);
        if let Some(ground) = self.ground {
            let per_point = ground.width_km() / area.width;
            scale_bar(canvas, (area.x, area.y + Map::BAND), area.width * 0.5, per_point);
        }
    }

    /// Height of the band under a map, in points.
    pub(crate) const BAND: f64 = 84.0;
}

impl Legend {
    /// Label, upright colour bar and the swatch of missing values; returns where they end.
    fn draw_column(&self, canvas: &mut Canvas, area: Area) -> f64 {
        let mut y = canvas.paragraph(area.x, area.y + 11.0, area.width, Type::HEADING, &self.label) - 6.0;
        if let Some((_, high)) = &self.ends {
            canvas.text(area.x, y + 6.0, Anchor::Start, Type::TICK, high);
            y += 14.0;
        }
        let length = (area.height - (y - area.y) - COLUMN_FURNITURE).clamp(110.0, 260.0);
        self.draw_upright_bar(canvas, Area { y, width: BAR, height: length, ..area });
        y += length;
        if let Some((low, _)) = &self.ends {
            canvas.text(area.x, y + 16.0, Anchor::Start, Type::TICK, low);
            y += 14.0;
        }
        self.draw_nodata(canvas, area.x, y + 18.0);
        y + 18.0 + BAR
    }

    fn draw_upright_bar(&self, canvas: &mut Canvas, area: Area) {
        let table = self.scale.table(STEPS);
        canvas.image(
            area.x,
            area.y,
            area.width,
            area.height,
            &ImageRgb::strip(table.into_iter().rev(), STEPS, 1),
        );
        canvas.frame(area.x, area.y, area.width, area.height, Rgb::INK);
        let right = area.x + area.width;
        for (share, label) in self.ticks(5) {
            let y = area.y + (1.0 - share) * area.height;
            canvas.line((right, y), (right + 5.0, y), Rgb::INK, 1.0);
            canvas.text(right + 9.0, y + 4.0, Anchor::Start, Type::TICK, &label);
        }
    }

    fn draw_level_bar(&self, canvas: &mut Canvas, area: Area) {
        let table = self.scale.table(STEPS);
        canvas.image(area.x, area.y, area.width, area.height, &ImageRgb::strip(table.into_iter(), 1, STEPS));
        canvas.frame(area.x, area.y, area.width, area.height, Rgb::INK);
        let bottom = area.y + area.height;
        for (share, label) in self.ticks(5) {
            let x = area.x + share * area.width;
            canvas.line((x, bottom), (x, bottom + 4.0), Rgb::INK, 1.0);
            canvas.text(x, bottom + 16.0, Anchor::Middle, Type::TICK, &label);
        }
    }

    fn draw_nodata(&self, canvas: &mut Canvas, x: f64, y: f64) {
        canvas.block(x, y, BAR, BAR, Rgb::NODATA);
        canvas.frame(x, y, BAR, BAR, Rgb::FAINT_INK);
        canvas.text(x + BAR + 6.0, y + 12.0, Anchor::Start, Type::TICK, &self.nodata);
    }
}

/// Round degrees between two ends: their place from 0 to 1 and their label.
fn degrees(from_deg: f64, to_deg: f64, wanted: f64, [plus, minus]: [&str; 2]) -> Vec<(f64, String)> {
    if !(to_deg - from_deg).is_normal() || to_deg < from_deg {
        return Vec::new();
    }
    let values = ticks::linear(from_deg, to_deg, (wanted.round() as usize).clamp(2, 6));
    let sizes: Vec<f64> = values.iter().map(|value| value.abs()).collect();
    let labels = ticks::labels(&sizes);
    let named = values.iter().zip(labels).map(|(&value, label)| {
        let side = if value < 0.0 { minus } else { plus };
        ((value - from_deg) / (to_deg - from_deg), format!("{label}°{side}"))
    });
    named.collect()
}

/// A bar of round length, at most `limit` points, its base at `y`, in two halves of ink and white.
fn scale_bar(canvas: &mut Canvas, (x, y): (f64, f64), limit: f64, km_per_point: f64) {
    let limit_km = limit * 0.8 * km_per_point;
    if !limit_km.is_normal() {
        return;
    }
    let length_km = ticks::round_below(limit_km);
    let length = length_km / km_per_point;
    canvas.block(x, y - 5.0, length / 2.0, 5.0, Rgb::INK);
    canvas.frame(x, y - 5.0, length, 5.0, Rgb::INK);
    let (number, unit) = if length_km < 1.0 { (length_km * 1000.0, "m") } else { (length_km, "km") };
    canvas.text(x, y - 10.0, Anchor::Start, Type::TICK, "0");
    let far = format!("{} {unit}", ticks::own_labels(&[number]).concat());
    canvas.text(x + length, y - 10.0, Anchor::Middle, Type::TICK, &far);
}

/// An arrow to north about its centre, with the letter N at its tip.
fn north_arrow(canvas: &mut Canvas, (x, y): (f64, f64), north_deg: f64) {
    let turn = north_deg.to_radians();
    let place = |across: f64, up: f64| {
        (x + across * turn.cos() + up * turn.sin(), y + across * turn.sin() - up * turn.cos())
    };
    canvas.polygon(&[place(0.0, 15.0), place(7.0, -11.0), place(0.0, -6.0), place(-7.0, -11.0)], Rgb::INK);
    let (letter_x, letter_y) = place(0.0, 24.0);
    canvas.text(letter_x, letter_y + 4.5, Anchor::Middle, Type::HEADING, "N");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn box_at(lon: f64, lat: f64, side: f64) -> Ground {
        Ground { corners_deg: [[lon, lat + side], [lon + side, lat + side], [lon + side, lat], [lon, lat]] }
    }

    #[test]
    fn a_degree_of_longitude_at_the_equator_is_111_2_km() {
        assert!((box_at(10.0, -0.5, 1.0).width_km() - 111.195).abs() < 0.01);
    }

    #[test]
    fn north_is_up_on_an_upright_map_and_left_where_the_top_leans_east() {
        assert!(box_at(100.0, 30.0, 1.0).north_deg().abs() < 1e-9);
        let leaning = Ground { corners_deg: [[0.1, 1.0], [1.1, 1.0], [1.0, 0.0], [0.0, 0.0]] };
        assert!(leaning.north_deg() < -5.0);
    }

    #[test]
    fn degrees_are_named_by_their_hemisphere() {
        let west: Vec<String> =
            degrees(-75.8, -75.6, 2.0, ["E", "W"]).into_iter().map(|(_, label)| label).collect();
        assert_eq!(west, ["75.8°W", "75.7°W", "75.6°W"]);
    }

    #[test]
    fn a_log1p_legend_places_its_ticks_where_it_paints_them() {
        let legend = Legend::log1p("radiance", Scale::Light, 60.0);
        for (share, label) in legend.ticks(5) {
            let value: f32 = label.parse().unwrap_or(f32::NAN);
            let painted = legend.paint(1, 1, &[value]).map(|image| image.row(0).to_vec()).unwrap_or_default();
            let wanted = Scale::Light.at(share);
            assert!(
                painted.iter().zip([wanted.0, wanted.1, wanted.2]).all(|(&a, b)| a.abs_diff(b) <= 1),
                "{label}"
            );
        }
    }
}
