//! Which granule is responsible for which part of an area: every place belongs to exactly one.
//!
//! A place belongs to the square of its own UTM zone, or, where ESA's grid has no granule for that, to the one of a neighbouring zone that
//! covers it. Granules that others can stand in for are given up afterwards, by [`crate::fewer`].
//!
//! Left out: that a scene may fill its granule only in part; the choice of the scene looks at that.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::ensure;
use contract::GranuleId;
use geo::{Area, BooleanOps, BoundingRect, Coord, Intersects, MultiPolygon, Polygon, Rect};

use crate::grid::{Square, ZONES};
use crate::tiling::{Core, cores, footprints, squares, zone_deg};

/// Pieces narrower than this, about 3 cm, are rounding of the polygon arithmetic and no ground: a pixel is 10 m.
const SLIVER_DEG: f64 = 3e-7;
/// More squares than this of a zone meet the area in bands of so many, each with its share of the area alone.
const SQUARES_AT_ONCE: usize = 80;
/// Areas wider than this take the squares of all zones from those of one.
const WIDE_DEG: f64 = 60.0;
const MODEL_ZONE: u32 = 30;

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

/// Assigns each place of an area to a granule that covers it. Ordered by zone, from south to north and west to east.
///
/// # Errors
/// If GDAL cannot place the grid, or the area reaches beyond its ends.
pub(crate) fn base(area: &MultiPolygon) -> anyhow::Result<Vec<Part>> {
    let Some(whole) = area.bounding_rect() else { return Ok(Vec::new()) };
    let zones = Zones::around(whole)?;
    let mut parts = BTreeMap::new();
    let mut orphans: BTreeMap<u32, Vec<MultiPolygon>> = BTreeMap::new();
    for of_zone in in_all_zones(|zone| zones.share_out(area, zone))? {
        for part in of_zone {
            if part.square.has_granule() {
                parts.insert(part.square, part);
            } else {
                orphans.entry(part.square.zone).or_default().push(part.own);
            }
        }
    }
    let adopted = in_all_zones(|zone| zones.adopt(zone, orphans.get(&zone).map_or(&[], Vec::as_slice)))?;
    for part in adopted.into_iter().flatten() {
        match parts.entry(part.square) {
            Entry::Vacant(place) => drop(place.insert(part)),
            Entry::Occupied(mut own) => own.get_mut().own = own.get().own.union(&part.own),
        }
    }
    Ok(parts.into_values().collect())
}

/// The squares of the zones between two latitudes.
struct Zones {
    south_deg: f64,
    north_deg: f64,
    /// Those of one zone, where the area is so wide that moving them to the others is quicker than placing each.
    model: Option<Vec<Core>>,
}

impl Zones {
    fn around(area: Rect) -> anyhow::Result<Self> {
        let (south_deg, north_deg) = (area.min().y, area.max().y);
        let model = (area.width() > WIDE_DEG).then(|| cores(&squares(MODEL_ZONE, south_deg, north_deg)));
        Ok(Self { south_deg, north_deg, model: model.transpose()? })
    }

    /// The squares of a zone that may reach into latitudes.
    fn cores(&self, zone: u32, south_deg: f64, north_deg: f64) -> anyhow::Result<Vec<Core>> {
        match &self.model {
            Some(model) => model.iter().map(|core| core.in_zone(zone)).collect(),
            None => cores(&squares(zone, south_deg, north_deg)),
        }
    }

    /// The part of an area in each square of a zone, whether it has a granule or not.
    fn share_out(&self, area: &MultiPolygon, zone: u32) -> anyhow::Result<Vec<Part>> {
        let inside = solid(area.intersection(&zone_deg(zone, self.south_deg, self.north_deg)));
        let Some(extent) = inside.bounding_rect() else { return Ok(Vec::new()) };
        Ok(share_out(&inside, &self.cores(zone, extent.min().y, extent.max().y)?))
    }

    /// What granules of the zones beside it take of a zone's ground: first what is in their squares, then all that they cover.
    fn adopt(&self, zone: u32, ground: &[MultiPolygon]) -> anyhow::Result<Vec<Part>> {
        if ground.is_empty() {
            return Ok(Vec::new());
        }
        let rects = ground.iter().filter_map(MultiPolygon::bounding_rect);
        let (low, high) = rects.fold((f64::MAX, f64::MIN), |(l, h), r| (l.min(r.min().y), h.max(r.max().y)));
        let mut near = Vec::new();
        for zone in beside(zone) {
            near.extend(self.cores(zone, low, high)?.into_iter().filter(|core| is_outer(core.square)));
        }
        let shapes: Vec<_> = near.iter().map(|core| core.shape.clone()).collect();
        let mut taken = Vec::new();
        let rest = hand_over(&mut taken, &near, &shapes, ground);
        if rest.is_empty() {
            return Ok(taken);
        }
        // What is left lies in the overlaps, where rows of the zones do not meet.
        let mut own = self.cores(zone, low, high)?;
        own.retain(|core| core.square.has_granule());
        let near: Vec<_> = own.into_iter().chain(near).filter(|core| is_near(core, &rest)).collect();
        let shapes = footprints(&near.iter().map(|core| core.square).collect::<Vec<_>>())?;
        let rest = hand_over(&mut taken, &near, &shapes, &rest);
        let place = rest.iter().find_map(|ground| ground.bounding_rect()).map(|rect| rect.center());
        ensure!(
            rest.is_empty(),
            "want an area inside Sentinel-2's grid, found ground at {:.4}, {:.4} that no granule covers; cut it off",
            place.unwrap_or_default().x,
            place.unwrap_or_default().y
        );
        Ok(taken)
    }
}

/// Whether a square's granule may reach some ground: it is less than 10 km wider.
fn is_near(core: &Core, ground: &[MultiPolygon]) -> bool {
    core.shape.0.iter().filter_map(BoundingRect::bounding_rect).any(|rect| {
        let lat_deg = rect.min().y.abs().max(rect.max().y.abs());
        let reach = Coord { x: 0.1 / lat_deg.to_radians().cos().max(0.05), y: 0.1 };
        let wide = Rect::new(rect.min() - reach, rect.max() + reach);
        ground.iter().filter_map(MultiPolygon::bounding_rect).any(|ground| ground.intersects(&wide))
    })
}

/// What is found in each zone, in order; the zones are shared among threads.
fn in_all_zones<T: Send>(look: impl Fn(u32) -> anyhow::Result<T> + Sync) -> anyhow::Result<Vec<T>> {
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
    Ok(found.into_iter().map(|(_, found)| found).collect())
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

/// Gives ground to granules, the first of which takes what it can; what none takes comes back.
fn hand_over(
    taken: &mut Vec<Part>,
    near: &[Core],
    shapes: &[MultiPolygon],
    ground: &[MultiPolygon],
) -> Vec<MultiPolygon> {
    let rects: Vec<_> = shapes.iter().map(MultiPolygon::bounding_rect).collect();
    let mut left = Vec::new();
    for ground in ground {
        let mut rest = ground.clone();
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
            taken.push(Part { square: core.square, granule: core.granule.clone(), own: piece });
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
    use geo::LineString;

    use crate::area::{NORTHERNMOST_DEG, SOUTHERNMOST_DEG};
    use crate::fewer::fewer;
    use crate::ground::area_km2;

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
            ("Chengdu", rect(103.9, 30.5, 104.2, 30.8), vec!["T48RUU", "T48RUV", "T48RVU", "T48RVV"]),
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
