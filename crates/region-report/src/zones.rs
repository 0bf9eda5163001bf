//! Zones from a file, on the grid of a map.
//!
//! Chinese web maps publish borders in GCJ-02, which shifts places by some hundred metres by a known rule. The rule is public in
//! its effect and was never published; the form here is the one that all converters share, inverted by iteration to a millimetre.

use std::path::Path;

use anyhow::{Context as _, ensure};
use raster::{Crs, Grid, Ring, Shape, read_shapes, transform_points};

use crate::coverage::{Span, spans};

/// The coordinates that a zones file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ZonesCrs {
    /// As the file says.
    File,
    /// GCJ-02, whatever the file says.
    Gcj02,
}

/// Which attributes name a zone.
#[derive(Clone, Debug)]
pub struct Naming<'a> {
    /// Attribute that identifies it; the place in the file where there is none.
    pub id: Option<&'a str>,
    /// Attribute with its name; the id where there is none.
    pub name: Option<&'a str>,
    /// Attribute with its name in English.
    pub name_en: Option<&'a str>,
    /// Attribute with what it is a part of.
    pub part_of: Option<&'a str>,
}

/// A zone: its names and its outline in degrees, WGS 84.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Id, unique in the file.
    pub id: String,
    /// Name.
    pub name: String,
    /// Name in English.
    pub name_en: Option<String>,
    /// What it is a part of.
    pub part_of: Option<String>,
    /// Outline as longitude and latitude: outer rings counter-clockwise, each followed by its holes.
    pub rings_deg: Vec<Ring>,
    /// The outline as the file has it, in its own system.
    rings: Vec<Ring>,
}

/// The zones of a file.
#[derive(Clone, Debug)]
pub struct Zones {
    /// The zones in the file's order.
    pub zones: Vec<Zone>,
    crs: Crs,
}

/// Reads zones.
///
/// # Errors
/// For a file that cannot be read, an attribute that is not there, and ids that repeat.
pub fn read_zones(path: &Path, crs: ZonesCrs, naming: &Naming<'_>) -> anyhow::Result<Zones> {
    let (shapes, mut system) = read_shapes(path)?;
    let wgs84 = Crs::wgs84()?;
    let mut zones = Vec::with_capacity(shapes.len());
    let mut ids = std::collections::BTreeSet::new();
    for (place, shape) in shapes.into_iter().enumerate() {
        let text =
            |attribute: Option<&str>| attribute.map(|name| wanted(path, &shape, place, name)).transpose();
        let id = text(naming.id)?.unwrap_or_else(|| (place + 1).to_string());
        ensure!(
            ids.insert(id.clone()),
            "{}: want zones of different ids, found {id} twice; choose another attribute with --zone-id",
            path.display()
        );
        let (name, part_of) = (text(naming.name)?.unwrap_or_else(|| id.clone()), text(naming.part_of)?);
        let name_en = naming.name_en.and_then(|name| shape.field(name)).map(str::to_owned);
        let mut rings = shape.rings.clone();
        if crs == ZonesCrs::Gcj02 {
            rings.iter_mut().flatten().for_each(|point| *point = wgs84_of_gcj02(*point));
        }
        zones.push(Zone { id, name, name_en, part_of, rings_deg: rings.clone(), rings });
    }
    if crs == ZonesCrs::Gcj02 {
        system = wgs84;
    } else if !system.same_as(&wgs84) {
        for zone in &mut zones {
            zone.rings_deg = moved(&zone.rings, &system, &wgs84)?;
        }
    }
    Ok(Zones { zones, crs: system })
}

fn wanted(path: &Path, shape: &Shape, place: usize, name: &str) -> anyhow::Result<String> {
    let known = || shape.fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    shape.field(name).map(str::to_owned).with_context(|| {
        format!("{}: want attribute {name} of zone {}, found {}", path.display(), place + 1, known())
    })
}

impl Zones {
    /// The pixels that each zone covers on a grid. Edges are straight on the grid where the zones are in its coordinate system; else
    /// long ones are cut first, so that they follow the line that they are in their own.
    ///
    /// # Errors
    /// Where a corner has no place on the grid's ground.
    pub fn spans_on(&self, grid: &Grid) -> anyhow::Result<Vec<Vec<Span>>> {
        let same = self.crs.same_as(&grid.crs);
        let on_grid = |zone: &Zone| -> anyhow::Result<Vec<Span>> {
            let rings =
                if same { zone.rings.clone() } else { moved(&cut(&zone.rings), &self.crs, &grid.crs)? };
            let pixel = |&(x, y): &(f64, f64)| {
                let (row, col) = grid.transform.to_pixel(x, y);
                (col, row)
            };
            let rings: Vec<Vec<_>> = rings.iter().map(|ring| ring.iter().map(pixel).collect()).collect();
            Ok(spans(&rings, grid.height, grid.width))
        };
        self.zones.iter().map(on_grid).collect()
    }

    /// The area of each zone in pixels of a grid, its parts outside of the grid too.
    ///
    /// # Errors
    /// As [`Zones::spans_on`].
    pub fn areas_on(&self, grid: &Grid) -> anyhow::Result<Vec<f64>> {
        let area = |zone: &Zone| -> anyhow::Result<f64> {
            let rings = moved(&cut(&zone.rings), &self.crs, &grid.crs)?;
            let pixel = grid.transform.pixel_width * grid.transform.pixel_height;
            Ok(rings.iter().map(|ring| signed_area(ring)).sum::<f64>().abs() / pixel)
        };
        self.zones.iter().map(area).collect()
    }
}

/// Pieces into which the bounding box of a ring is at most cut along an edge.
const PIECES: f64 = 256.0;

/// Rings with long edges cut into pieces.
fn cut(rings: &[Ring]) -> Vec<Ring> {
    rings.iter().map(cut_ring).collect()
}

fn cut_ring(ring: &Ring) -> Ring {
    let span = |axis: fn(&(f64, f64)) -> f64| {
        let (low, high) =
            ring.iter().map(axis).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        high - low
    };
    let step = span(|p| p.0).max(span(|p| p.1)) / PIECES;
    let mut points = Vec::with_capacity(ring.len());
    for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        let n = ((to.0 - from.0).abs().max((to.1 - from.1).abs()) / step).ceil().max(1.0);
        let n = if n.is_finite() { n } else { 1.0 };
        for i in 0..n as usize {
            let share = i as f64 / n;
            points.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
        }
    }
    points
}

fn moved(rings: &[Ring], from: &Crs, to: &Crs) -> anyhow::Result<Vec<Ring>> {
    if from.same_as(to) {
        return Ok(rings.to_vec());
    }
    let (mut x, mut y): (Vec<f64>, Vec<f64>) = rings.iter().flatten().copied().unzip();
    transform_points(from, to, &mut x, &mut y).context("taking zones to another coordinate system")?;
    let mut points = x.into_iter().zip(y);
    Ok(rings.iter().map(|ring| points.by_ref().take(ring.len()).collect()).collect())
}

/// Signed area of a ring, positive where it runs counter-clockwise.
pub fn signed_area(ring: &[(f64, f64)]) -> f64 {
    let Some(&(x0, y0)) = ring.first() else { return 0.0 };
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(a, b)| (a.0 - x0) * (b.1 - y0) - (b.0 - x0) * (a.1 - y0)).sum::<f64>() / 2.0
}

/// Semi-major axis in metres and squared eccentricity of Krasovsky's ellipsoid, which the shift is computed on.
const KRASOVSKY_M: f64 = 6_378_245.0;
const ECCENTRICITY_SQUARED: f64 = 0.006_693_421_622_965_943;
/// Where the shift applies: longitude and latitude in degrees.
const CHINA_DEG: [f64; 4] = [72.004, 0.8293, 137.8347, 55.8271];
/// Steps of the inversion; each makes the error a thousandth.
const INVERSION_STEPS: usize = 6;

/// The place in WGS 84 that GCJ-02 shows at a longitude and latitude in degrees.
pub fn wgs84_of_gcj02((lon, lat): (f64, f64)) -> (f64, f64) {
    let mut place = (lon, lat);
    for _ in 0..INVERSION_STEPS {
        let shown = gcj02_of_wgs84(place);
        place = (place.0 + lon - shown.0, place.1 + lat - shown.1);
    }
    place
}

/// Where GCJ-02 shows a place of WGS 84, longitude and latitude in degrees.
pub fn gcj02_of_wgs84((lon, lat): (f64, f64)) -> (f64, f64) {
    let [west, south, east, north] = CHINA_DEG;
    if !(west..=east).contains(&lon) || !(south..=north).contains(&lat) {
        return (lon, lat);
    }
    let (x, y) = (lon - 105.0, lat - 35.0);
    let pi = std::f64::consts::PI;
    let wave = |angle: f64, scale: f64| scale * (angle * pi).sin();
    let common = (wave(6.0 * x, 20.0) + wave(2.0 * x, 20.0)) * 2.0 / 3.0;
    let north_m = -100.0
        + 2.0 * x
        + 3.0 * y
        + 0.2 * y * y
        + 0.1 * x * y
        + 0.2 * x.abs().sqrt()
        + common
        + (wave(y, 20.0) + wave(y / 3.0, 40.0)) * 2.0 / 3.0
        + (wave(y / 12.0, 160.0) + wave(y / 30.0, 320.0)) * 2.0 / 3.0;
    let east_m = 300.0
        + x
        + 2.0 * y
        + 0.1 * x * x
        + 0.1 * x * y
        + 0.1 * x.abs().sqrt()
        + common
        + (wave(x, 20.0) + wave(x / 3.0, 40.0)) * 2.0 / 3.0
        + (wave(x / 12.0, 150.0) + wave(x / 30.0, 300.0)) * 2.0 / 3.0;
    let sine = lat.to_radians().sin();
    let magic = 1.0 - ECCENTRICITY_SQUARED * sine * sine;
    let north_deg =
        north_m * 180.0 / (KRASOVSKY_M * (1.0 - ECCENTRICITY_SQUARED) / (magic * magic.sqrt()) * pi);
    let east_deg = east_m * 180.0 / (KRASOVSKY_M / magic.sqrt() * lat.to_radians().cos() * pi);
    (lon + east_deg, lat + north_deg)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenth of a millimetre in degrees.
    const INVERSION_TOLERANCE_DEG: f64 = 1e-9;

    #[test]
    fn the_shift_of_gcj02_is_undone_all_over_china_and_absent_elsewhere() {
        let mut n_cases = 0;
        for lon in 74..135 {
            for lat in 4..54 {
                let place = (f64::from(lon) + 0.37, f64::from(lat) + 0.61);
                let shown = gcj02_of_wgs84(place);
                let metres = (shown.0 - place.0).hypot(shown.1 - place.1) * 111_000.0;
                assert!((10.0..2_000.0).contains(&metres), "{metres} m at {place:?}");
                let back = wgs84_of_gcj02(shown);
                assert!((back.0 - place.0).abs() < INVERSION_TOLERANCE_DEG);
                assert!((back.1 - place.1).abs() < INVERSION_TOLERANCE_DEG);
                n_cases += 1;
            }
        }
        assert_eq!(n_cases, 61 * 50);
        assert_eq!(wgs84_of_gcj02((-75.6, 37.7)), (-75.6, 37.7), "Virginia is not shifted");
    }

    /// The example that converters of several languages print: Tian'anmen Square.
    #[test]
    fn a_known_place_is_shifted_as_other_converters_shift_it() {
        let shown = gcj02_of_wgs84((116.397_428, 39.909_23));
        assert!((shown.0 - 116.403_672).abs() < 2e-6 && (shown.1 - 39.910_634).abs() < 2e-6, "{shown:?}");
    }
}
