//! Which granule is responsible for which part of an area: every place belongs to exactly one.
//!
//! A place belongs to the square of its own UTM zone, or, where ESA's grid has no granule for that, to the one of a neighbouring zone that
//! covers it. Granules that others can stand in for are given up afterwards, by [`crate::fewer`].
//!
//! Left out: that a scene may fill its granule only in part; the choice of the scene looks at that.

use std::collections::BTreeMap;

use anyhow::ensure;
use contract::GranuleId;
use geo::{Area, BooleanOps, BoundingRect, Coord, Intersects, Line, LineString, MultiPolygon, Polygon, Rect};

use crate::grid::{Square, ZONES};
use crate::tiling::{Core, cores, footprints, squares, zone_deg};

/// Pieces narrower than this, about 3 cm, are rounding of the polygon arithmetic and no ground: a pixel is 10 m.
const SLIVER_DEG: f64 = 3e-7;
/// More squares than this of a zone meet the area in bands of so many, each with its share of the area alone.
const SQUARES_AT_ONCE: usize = 80;

/// A granule and the part of the area that is its own.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// The square at its core.
    pub square: Square,
    /// The granule.
    pub granule: GranuleId,
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

/// Assigns each place of an area to a granule that covers it. Ordered by zone, from south to north and west to east.
///
/// # Errors
/// If GDAL cannot place the grid, or the area reaches beyond its ends.
pub(crate) fn base(area: &MultiPolygon) -> anyhow::Result<Vec<Part>> {
    let Some(whole) = area.bounding_rect() else { return Ok(Vec::new()) };
    let mut parts = BTreeMap::new();
    let mut orphans = Vec::new();
    for (zone, of_zone) in in_all_zones(|zone| of_zone(area, zone, whole))? {
        let (own, others): (Vec<_>, Vec<_>) = of_zone.into_iter().partition(|p| p.square.has_granule());
        parts.extend(own.into_iter().map(|part| (part.square, part)));
        if !others.is_empty() {
            orphans.push((zone, others.into_iter().map(|part| part.own).collect()));
        }
    }
    for (zone, ground) in orphans {
        adopt(&mut parts, zone, ground)?;
    }
    Ok(parts.into_values().collect())
}

/// The part of an area in each square of a zone, whether it has a granule or not.
fn of_zone(area: &MultiPolygon, zone: u32, whole: Rect) -> anyhow::Result<Vec<Part>> {
    let inside = solid(area.intersection(&zone_deg(zone, whole.min().y, whole.max().y)));
    let Some(extent) = inside.bounding_rect() else { return Ok(Vec::new()) };
    Ok(share_out(&inside, &cores(&squares(zone, extent.min().y, extent.max().y))?))
}

/// What is found in each zone, in order; the zones are shared among threads.
fn in_all_zones<T: Send>(look: impl Fn(u32) -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<(u32, T)>> {
    let n = std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) as u32;
    let look = &look;
    let found = std::thread::scope(|scope| {
        let some = |first: u32| (first..=ZONES).step_by(n as usize).map(|zone| Ok((zone, look(zone)?)));
        let threads: Vec<_> =
            (1..=n).map(|first| scope.spawn(move || some(first).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()).collect::<Vec<_>>()
    });
    let mut found = found.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(found.len() == ZONES as usize, "want all zones looked at, found a thread that ended early");
    found.sort_by_key(|(zone, _)| *zone);
    Ok(found)
}

/// The part of an area in each square that has one.
fn share_out(inside: &MultiPolygon, cores: &[Core]) -> Vec<Part> {
    let band = if cores.len() > 2 * SQUARES_AT_ONCE { SQUARES_AT_ONCE } else { cores.len().max(1) };
    let mut parts = Vec::new();
    for cores in cores.chunks(band) {
        let rects: Vec<_> = cores.iter().map(|core| core.shape.bounding_rect()).collect();
        let here = if band < SQUARES_AT_ONCE { inside.clone() } else { between(inside, &rects) };
        let Some(extent) = here.bounding_rect() else { continue };
        for (core, rect) in cores.iter().zip(rects) {
            if !rect.is_some_and(|rect| rect.intersects(&extent)) {
                continue;
            }
            let all = band == SQUARES_AT_ONCE && rect.is_some_and(|rect| is_in_rectangle(rect, &here));
            let own = if all { core.shape.clone() } else { solid(core.shape.intersection(&here)) };
            if !own.0.is_empty() {
                parts.push(Part { square: core.square, granule: core.granule.clone(), own });
            }
        }
    }
    parts
}

/// Whether an area is a rectangle that holds another.
fn is_in_rectangle(rect: Rect, area: &MultiPolygon) -> bool {
    let [polygon] = area.0.as_slice() else { return false };
    let Some(whole) = polygon.bounding_rect().filter(|_| polygon.interiors().is_empty()) else {
        return false;
    };
    let at_corner = |c: &Coord| {
        [whole.min().x, whole.max().x].contains(&c.x) && [whole.min().y, whole.max().y].contains(&c.y)
    };
    let is_rectangle = polygon.exterior().0.len() == 5 && polygon.exterior().0.iter().all(at_corner);
    is_rectangle
        && whole.min().x <= rect.min().x
        && rect.max().x <= whole.max().x
        && whole.min().y <= rect.min().y
        && rect.max().y <= whole.max().y
}

/// The part of an area between the latitudes of some rectangles.
fn between(area: &MultiPolygon, rects: &[Option<Rect>]) -> MultiPolygon {
    let low = rects.iter().flatten().fold(f64::MAX, |low, rect| low.min(rect.min().y));
    let high = rects.iter().flatten().fold(f64::MIN, |high, rect| high.max(rect.max().y));
    let Some(extent) = area.bounding_rect().filter(|_| low < high) else { return area.clone() };
    let west_south = Coord { x: extent.min().x - 1.0, y: low };
    let band = Rect::new(west_south, Coord { x: extent.max().x + 1.0, y: high });
    area.intersection(&band.to_polygon())
}

/// Gives ground of a zone's squares that have no granules to granules of the zones beside it: first by their squares, then by all that they cover.
fn adopt(parts: &mut BTreeMap<Square, Part>, zone: u32, ground: Vec<MultiPolygon>) -> anyhow::Result<()> {
    let rects = ground.iter().filter_map(MultiPolygon::bounding_rect);
    let (low, high) = rects.fold((f64::MAX, f64::MIN), |(l, h), r| (l.min(r.min().y), h.max(r.max().y)));
    let outer: Vec<_> =
        beside(zone).into_iter().flat_map(|zone| squares(zone, low, high)).filter(|s| is_outer(*s)).collect();
    let near = cores(&outer)?;
    let shapes: Vec<_> = near.iter().map(|core| core.shape.clone()).collect();
    let rest = hand_over(parts, &near, &shapes, ground);
    if rest.is_empty() {
        return Ok(());
    }
    // What is left lies in the overlaps, where rows of the zones do not meet.
    let own = squares(zone, low, high).into_iter().filter(|s| s.has_granule()).collect::<Vec<_>>();
    let near: Vec<_> = cores(&own)?.into_iter().chain(near).collect();
    let shapes = footprints(&near.iter().map(|core| core.square).collect::<Vec<_>>())?;
    let rest = hand_over(parts, &near, &shapes, rest);
    let place = rest.iter().find_map(|ground| ground.bounding_rect()).map(|rect| rect.center());
    ensure!(
        rest.is_empty(),
        "want an area inside Sentinel-2's grid, found ground at {:.4}, {:.4} that no granule covers; cut it off",
        place.unwrap_or_default().x,
        place.unwrap_or_default().y
    );
    Ok(())
}

/// Gives ground to granules, the first of which takes what it can; what none takes comes back.
fn hand_over(
    parts: &mut BTreeMap<Square, Part>,
    near: &[Core],
    shapes: &[MultiPolygon],
    ground: Vec<MultiPolygon>,
) -> Vec<MultiPolygon> {
    let rects: Vec<_> = shapes.iter().map(MultiPolygon::bounding_rect).collect();
    let mut left = Vec::new();
    for mut rest in ground {
        let Some(extent) = rest.bounding_rect() else { continue };
        for ((core, shape), rect) in near.iter().zip(shapes).zip(&rects) {
            if rest.0.is_empty() || !rect.is_some_and(|rect| rect.intersects(&extent)) {
                continue;
            }
            let piece = solid(rest.intersection(shape));
            if piece.0.is_empty() {
                continue;
            }
            rest = solid(rest.difference(shape));
            let Core { square, granule, .. } = core.clone();
            let part = parts.entry(square).or_insert(Part { square, granule, own: MultiPolygon(vec![]) });
            part.own = if part.own.0.is_empty() { piece } else { part.own.union(&piece) };
        }
        if !rest.0.is_empty() {
            left.push(rest);
        }
    }
    left
}

/// The zones that may cover ground of a zone's edges, nearest first, the western before the eastern.
pub(crate) fn beside(zone: u32) -> Vec<u32> {
    // Every second zone ends at 72° N between Norway and Svalbard.
    let far = if (31..=37).contains(&zone) { 2 } else { 1 };
    let around = |zone: u32, by: u32| (zone - 1 + by) % ZONES + 1;
    (1..=far).flat_map(|by| [around(zone, ZONES - by), around(zone, by)]).collect()
}

/// Whether a granule is one of the two outermost of its row on either side: no other reaches into another zone's first column.
fn is_outer(square: Square) -> bool {
    let has = |col: u32| Square { col, ..square }.has_granule();
    square.has_granule() && !(has(square.col.saturating_sub(2)) && has(square.col + 2))
}

/// An area without the slivers that rounding leaves.
pub(crate) fn solid(area: MultiPolygon) -> MultiPolygon {
    let width_deg = |polygon: &Polygon| {
        let around: f64 = polygon.exterior().lines().map(|l| l.dx().hypot(l.dy())).sum();
        if around > 0.0 { 2.0 * polygon.unsigned_area() / around } else { 0.0 }
    };
    MultiPolygon(area.0.into_iter().filter(|polygon| width_deg(polygon) > SLIVER_DEG).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::area::{NORTHERNMOST_DEG, SOUTHERNMOST_DEG};
    use crate::fewer::fewer;

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
        let squares: Vec<_> = parts.iter().map(|part| part.square).collect();
        for (part, footprint) in parts.iter().zip(footprints(&squares).unwrap()) {
            assert!(part.square.has_granule(), "{} is not in ESA's grid", part.granule);
            let outside = solid(part.own.difference(&footprint));
            assert!(outside.0.is_empty(), "{} is given ground that it does not cover", part.granule);
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
            let fewer = fewer(base, |_| true).unwrap();
            hold_once(&area, &fewer);
            assert!(fewer.len() <= n_base && !fewer.is_empty());
            n_given_up += n_base - fewer.len();
        }
        assert!(n_given_up > 20, "{n_given_up}");
    }

    fn rect(west: f64, south: f64, east: f64, north: f64) -> MultiPolygon {
        MultiPolygon(vec![Rect::new((west, south), (east, north)).to_polygon()])
    }

    fn names(area: &MultiPolygon) -> Vec<String> {
        let parts = base(area).unwrap();
        hold_once(area, &parts);
        let fewer = fewer(parts, |_| true).unwrap();
        hold_once(area, &fewer);
        fewer.into_iter().map(|part| part.granule.to_string()).collect()
    }

    #[test]
    fn ground_where_a_zone_has_no_granules_belongs_to_those_of_the_zone_beside_it() {
        // At the equator a zone's first column is 34 km wide; the zone to the west covers it.
        let parts = base(&rect(-66.0, -0.5, -65.9, 0.5)).unwrap();
        assert!(parts.iter().all(|p| p.square.zone == 19 && p.square.col == 8));
        for (place, area, granules) in [
            ("Luxembourg", rect(6.05, 49.55, 6.2, 49.68), vec!["T31UGR"]),
            ("Geneva", rect(6.05, 46.15, 6.25, 46.3), vec!["T31TGM"]),
            ("Venice", rect(12.25, 45.4, 12.4, 45.5), vec!["T32TQR"]),
            ("Bergen", rect(5.2, 60.3, 5.5, 60.5), vec!["T32VKM", "T32VKN"]),
            ("Longyearbyen", rect(15.4, 78.15, 15.9, 78.3), vec!["T33XWG"]),
            ("Suva", rect(178.4, -18.2, 178.5, -18.1), vec!["T60KXE"]),
            ("Chengdu", rect(103.9, 30.5, 104.2, 30.8), vec!["T48RUV", "T48RVV"]),
        ] {
            let found = names(&area);
            assert!(found.iter().all(|name| granules.contains(&name.as_str())), "{place}: {found:?}");
        }
        // Taveuni, on both sides of the antimeridian.
        let taveuni = MultiPolygon(
            [rect(179.95, -17.1, 180.0, -16.7).0, rect(-180.0, -17.1, -179.85, -16.7).0].concat(),
        );
        assert_eq!(names(&taveuni), ["T01KAB"]);
    }

    #[test]
    fn the_plan_of_the_whole_globe_has_every_place_once_and_ends_in_seconds() {
        let begun = std::time::Instant::now();
        let globe = rect(-180.0, SOUTHERNMOST_DEG, 180.0, NORTHERNMOST_DEG);
        let base = base(&globe).unwrap();
        let fewer = fewer(base.clone(), |_| true).unwrap();
        for parts in [&base, &fewer] {
            let sum: f64 = parts.iter().map(|p| area_km2(&p.own)).sum();
            assert!((sum / area_km2(&globe) - 1.0).abs() < AREA_TOLERANCE, "{sum} km²");
            assert!(parts.iter().all(|p| p.square.has_granule()));
        }
        println!("{} granules, {} of them needed, {:?}", base.len(), fewer.len(), begun.elapsed());
    }
}
