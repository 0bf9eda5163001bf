//! Which granule is responsible for which part of an area: every place belongs to exactly one.
//!
//! The base is the military grid: a place belongs to the square of its own UTM zone. Then granules are given up, those with the smallest part
//! first, whose whole part lies inside the footprints of others that stay: fewer downloads, and still every place once.
//!
//! Left out: that a scene may fill its granule only in part; the choice of the scene looks at that.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use geo::{Area, BooleanOps, BoundingRect, Intersects, Line, LineString, MultiPolygon, Polygon, Rect};

use crate::tiling::{Shape, shapes, squares, zone_deg};

/// Pieces narrower than this, about 3 cm, are rounding of the polygon arithmetic and no ground: a pixel is 10 m.
const SLIVER_DEG: f64 = 3e-7;
const ZONES: u32 = 60;

/// A granule and the part of the area that is its own.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The granule.
    pub shape: Shape,
    /// Its part, in degrees.
    pub own: MultiPolygon,
}

/// The ground of an area on the WGS 84 ellipsoid, its edges straight in degrees, as every other step here takes them: parts add up to the whole.
///
/// Snyder, Map Projections (1987), equation 3-12: an area is the integral of `a²/2 q(latitude)` over longitude along its edges.
pub(crate) fn area_km2(area: &MultiPolygon) -> f64 {
    const HALF_AXIS_KM: f64 = 6378.137;
    const E: f64 = 0.081_819_190_842_621_5;
    // Gauss-Legendre: 5 points are exact to the tenth digit for edges of some degrees.
    const NODES: [(f64, f64); 5] = [
        (0.0, 128.0 / 225.0),
        (0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (-0.538_469_310_105_683_1, 0.478_628_670_499_366_5),
        (0.906_179_845_938_664, 0.236_926_885_056_189_1),
        (-0.906_179_845_938_664, 0.236_926_885_056_189_1),
    ];
    let q = |lat_deg: f64| {
        let s = lat_deg.to_radians().sin();
        (1.0 - E * E) * (s / (1.0 - E * E * s * s) - ((1.0 - E * s) / (1.0 + E * s)).ln() / (2.0 * E))
    };
    let edge = |line: Line| {
        let (middle, half) = ((line.start.y + line.end.y) / 2.0, line.dy() / 2.0);
        let mean: f64 = NODES.iter().map(|(at, weight)| weight * q(middle + at * half)).sum::<f64>() / 2.0;
        mean * line.dx().to_radians()
    };
    let ring =
        |ring: &LineString| ring.lines().map(edge).sum::<f64>().abs() * HALF_AXIS_KM * HALF_AXIS_KM / 2.0;
    let one = |p: &Polygon| ring(p.exterior()) - p.interiors().iter().map(ring).sum::<f64>();
    area.0.iter().map(one).sum()
}

/// Assigns each place of an area to the granule of its square. Ordered by zone, from south to north and west to east.
///
/// # Errors
/// If GDAL cannot place the grid.
pub(crate) fn base(area: &MultiPolygon) -> anyhow::Result<Vec<Part>> {
    let Some(whole) = area.bounding_rect() else { return Ok(Vec::new()) };
    let mut parts: Vec<Part> = Vec::new();
    let mut orphans = Vec::new();
    for zone in 1..=ZONES {
        let inside = solid(area.intersection(&zone_deg(zone, whole.min().y, whole.max().y)));
        let Some(extent) = inside.bounding_rect() else { continue };
        for shape in shapes(&squares(zone, extent.min().y, extent.max().y))? {
            if !meet(&shape.core, extent) {
                continue;
            }
            let own = solid(shape.core.intersection(&inside));
            match shape.square.has_granule() {
                _ if own.0.is_empty() => {}
                true => parts.push(Part { shape, own }),
                false => orphans.push((zone, own)),
            }
        }
    }
    for (zone, own) in orphans {
        adopt(&mut parts, zone, own)?;
    }
    parts.sort_by_key(|p| p.shape.square);
    Ok(parts)
}

/// Gives ground of a zone's first column, which has no granules, to the squares of the zone to the west.
fn adopt(parts: &mut Vec<Part>, zone: u32, own: MultiPolygon) -> anyhow::Result<()> {
    let west = if zone == 1 { ZONES } else { zone - 1 };
    let mut rest = own;
    let Some(extent) = rest.bounding_rect() else { return Ok(()) };
    for shape in shapes(&squares(west, extent.min().y, extent.max().y))? {
        if !shape.square.has_granule() || !meet(&shape.core, extent) {
            continue;
        }
        let piece = solid(rest.intersection(&shape.core));
        if piece.0.is_empty() {
            continue;
        }
        rest = rest.difference(&shape.core);
        match parts.iter_mut().find(|p| p.shape.square == shape.square) {
            Some(part) => part.own = part.own.union(&piece),
            None => parts.push(Part { shape, own: piece }),
        }
    }
    Ok(())
}

/// Gives up granules whose part the footprints of the others cover, smallest first, until none is left to give up.
/// Those that `may_stay` refuses go first, whatever their size; what no other covers stays with them.
pub(crate) fn fewer(mut parts: Vec<Part>, may_stay: impl Fn(&Part) -> bool) -> Vec<Part> {
    // Parts only grow and footprints only go: what is needed once is needed for good.
    let mut needed = BTreeSet::new();
    loop {
        let rank = |n: &usize| {
            let part: &Part = &parts[*n];
            (may_stay(part), Ordered(part.own.unsigned_area()), part.shape.square)
        };
        let next = (0..parts.len()).filter(|n| !needed.contains(&parts[*n].shape.square)).min_by_key(rank);
        let Some(gone) = next else { return parts };
        match given_up(&parts, gone, &may_stay) {
            Some(moved) => {
                for (to, piece) in moved {
                    parts[to].own = parts[to].own.union(&piece);
                }
                parts.remove(gone);
            }
            None => {
                needed.insert(parts[gone].shape.square);
            }
        }
    }
}

/// What each other granule would take over of a part, if together they cover it.
fn given_up(
    parts: &[Part],
    gone: usize,
    may_stay: &impl Fn(&Part) -> bool,
) -> Option<Vec<(usize, MultiPolygon)>> {
    let extent = parts[gone].own.bounding_rect()?;
    let mut others: Vec<usize> = (0..parts.len())
        .filter(|n| *n != gone && may_stay(&parts[*n]) && meet(&parts[*n].shape.footprint, extent))
        .collect();
    others.sort_by_key(|n| (Reverse(Ordered(parts[*n].own.unsigned_area())), parts[*n].shape.square));
    let mut rest = parts[gone].own.clone();
    let mut moved = Vec::new();
    for other in others {
        let piece = solid(rest.intersection(&parts[other].shape.footprint));
        if piece.0.is_empty() {
            continue;
        }
        rest = solid(rest.difference(&parts[other].shape.footprint));
        moved.push((other, piece));
        if rest.0.is_empty() {
            return Some(moved);
        }
    }
    None
}

/// An area without the slivers that rounding leaves.
fn solid(area: MultiPolygon) -> MultiPolygon {
    let width_deg = |polygon: &Polygon| {
        let around: f64 = polygon.exterior().lines().map(|l| l.dx().hypot(l.dy())).sum();
        if around > 0.0 { 2.0 * polygon.unsigned_area() / around } else { 0.0 }
    };
    MultiPolygon(area.0.into_iter().filter(|polygon| width_deg(polygon) > SLIVER_DEG).collect())
}

/// Areas in order; they are never NaN.
#[derive(PartialEq)]
struct Ordered(f64);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn meet(shape: &MultiPolygon, extent: Rect) -> bool {
    shape.bounding_rect().is_some_and(|own| own.intersects(&extent))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use geo::Coord;

    /// Rounding of the polygon arithmetic: some millimetres along every edge, against an area of 1,000 km² or more.
    const AREA_TOLERANCE: f64 = 1e-6;

    /// A star of `n` points around a place; numbers from a plain generator, so that every run tests the same stars.
    fn star(state: &mut u64, n: usize) -> MultiPolygon {
        let mut draw = || {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (*state >> 11) as f64 / (1u64 << 53) as f64
        };
        let (x, y) = (draw() * 350.0 - 175.0, draw() * 120.0 - 55.0);
        let (wide, high) = (0.3 + 3.0 * draw(), 0.3 + 2.0 * draw());
        let ring = (0..n).map(|i| {
            let (angle, far) = (i as f64 / n as f64 * std::f64::consts::TAU, 0.3 + 0.7 * draw());
            Coord { x: x + wide * far * angle.cos(), y: y + high * far * angle.sin() }
        });
        geo::unary_union(&[Polygon::new(LineString(ring.collect()), vec![])])
    }

    /// The law: parts lie inside their granule, do not overlap, and make up the area.
    fn hold_once(area: &MultiPolygon, parts: &[Part]) {
        let sum: f64 = parts.iter().map(|p| area_km2(&p.own)).sum();
        let whole = area_km2(area);
        assert!((sum / whole - 1.0).abs() < AREA_TOLERANCE, "{sum} of {whole} km²");
        let united = geo::unary_union(&parts.iter().map(|p| p.own.clone()).collect::<Vec<_>>());
        assert!((area_km2(&united) / whole - 1.0).abs() < AREA_TOLERANCE, "parts overlap");
        for part in parts {
            let outside = solid(part.own.difference(&part.shape.footprint));
            assert!(outside.0.is_empty(), "{} is given ground that it does not cover", part.shape.granule);
        }
    }

    #[test]
    fn areas_are_those_of_the_ellipsoid() {
        let rect =
            |w: f64, s: f64, e: f64, n: f64| MultiPolygon(vec![Rect::new((w, s), (e, n)).to_polygon()]);
        // The whole ellipsoid, and one degree at the equator, from Snyder's table of WGS 84.
        assert!((area_km2(&rect(-180.0, -90.0, 180.0, 90.0)) / 510_065_621.7 - 1.0).abs() < 1e-9);
        let geodesic = |area: &MultiPolygon| geo::GeodesicArea::geodesic_area_unsigned(area) / 1e6;
        let small = rect(104.0, 30.0, 104.01, 30.01);
        assert!(
            (area_km2(&small) / geodesic(&small) - 1.0).abs() < 1e-6,
            "short edges are straight either way"
        );
    }

    #[test]
    fn every_place_belongs_to_exactly_one_granule_that_covers_it() {
        let mut state = 1;
        let mut n_given_up = 0;
        for round in 0..40 {
            let area = star(&mut state, 5 + round % 20);
            let base = base(&area).unwrap();
            hold_once(&area, &base);
            let n_base = base.len();
            let fewer = fewer(base, |_| true);
            hold_once(&area, &fewer);
            assert!(fewer.len() <= n_base && !fewer.is_empty());
            n_given_up += n_base - fewer.len();
        }
        assert!(n_given_up > 20, "{n_given_up}");
    }

    #[test]
    fn ground_on_the_antimeridian_and_in_first_columns_has_its_granule() {
        let rect = |west: f64, south: f64, east: f64, north: f64| {
            MultiPolygon(vec![Rect::new((west, south), (east, north)).to_polygon()])
        };
        // At the equator a zone's first column is 34 km wide; the zone to the west covers it.
        let equator = rect(-66.0, -0.5, -65.9, 0.5);
        let parts = base(&equator).unwrap();
        hold_once(&equator, &parts);
        assert!(parts.iter().all(|p| p.shape.square.zone == 19 && p.shape.square.col == 8));
        let fiji =
            MultiPolygon([rect(178.5, -17.5, 180.0, -16.5).0, rect(-180.0, -17.5, -179.7, -16.5).0].concat());
        let parts = base(&fiji).unwrap();
        hold_once(&fiji, &parts);
        assert!(parts.iter().all(|p| [60, 1].contains(&p.shape.square.zone)));
    }
}
