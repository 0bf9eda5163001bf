//! Shapes on the globe: rings over the antimeridian, and longitudes beyond 180°, as files and catalogues draw them, brought to -180° to 180°.
//!
//! Left out: rings around a pole. They are taken as they are drawn.

use geo::{
    AffineOps, AffineTransform, Area, BooleanOps, BoundingRect, Coord, LineString, MapCoords, MultiPolygon,
    Polygon, Rect,
};

/// An edge that spans more of longitude may go the other way round the globe.
const JUMP_DEG: f64 = 180.0;
/// Narrower than this there is no ground.
const WIDTH_DEG: f64 = 1e-9;

/// A shape, and how many of its polygons are taken to cross the antimeridian because their corners jump from one side to the other.
#[derive(Debug)]
pub(crate) struct Found {
    /// The shape, between -180° and 180°.
    pub shape: MultiPolygon,
    /// Its polygons that jump.
    pub n_crossing: usize,
}

/// Brings polygons to -180° to 180°, cut at the antimeridian: those that are given beyond it, and those whose ring jumps from one side to the other.
pub(crate) fn on_globe(polygons: Vec<Polygon>) -> Found {
    let mut found = Found { shape: MultiPolygon(Vec::new()), n_crossing: 0 };
    for polygon in polygons {
        let polygon = match across(&polygon) {
            Some(unwrapped) => {
                found.n_crossing += 1;
                unwrapped
            }
            None => polygon,
        };
        found.shape.0.extend(within_180(polygon).0);
    }
    found
}

/// West, south, east, north of a shape between -180° and 180°. East goes on beyond 180° where the shape is narrower across the antimeridian.
pub(crate) fn extent(shape: &MultiPolygon) -> Option<[f64; 4]> {
    let rect = shape.bounding_rect()?;
    let rects = || shape.0.iter().filter_map(BoundingRect::bounding_rect);
    let beyond = |rect: &Rect, x: f64| if rect.max().x <= 0.0 { x + 360.0 } else { x };
    let west = rects().map(|r| beyond(&r, r.min().x)).fold(f64::MAX, f64::min);
    let east = rects().map(|r| beyond(&r, r.max().x)).fold(f64::MIN, f64::max);
    let across = rect.width() > JUMP_DEG && east - west < rect.width();
    let [west, east] = if across { [west, east] } else { [rect.min().x, rect.max().x] };
    Some([west, rect.min().y, east, rect.max().y])
}

/// Cuts a polygon whose longitudes may lie beyond 180° at the antimeridian and brings its parts to -180° to 180°.
pub(crate) fn within_180(polygon: Polygon) -> MultiPolygon {
    let Some(extent) = polygon.bounding_rect() else { return MultiPolygon(vec![polygon]) };
    let (low, high) = (extent.min(), extent.max());
    if low.x >= -180.0 && high.x <= 180.0 {
        return MultiPolygon(vec![polygon]);
    }
    let turn = |x: f64| ((x + 180.0) / 360.0).floor();
    let mut parts = Vec::new();
    let mut n = turn(low.x);
    while n <= turn(high.x) {
        let moved = polygon.affine_transform(&AffineTransform::translate(-360.0 * n, 0.0));
        // No wider than the polygon: the arithmetic rounds to a share of the whole extent.
        let (west, east) = ((low.x - 360.0 * n - 1.0).max(-180.0), (high.x - 360.0 * n + 1.0).min(180.0));
        let globe = Rect::new(Coord { x: west, y: low.y - 1.0 }, Coord { x: east, y: high.y + 1.0 });
        if moved.bounding_rect().is_some_and(|r| r.min().x >= -180.0 && r.max().x <= 180.0) {
            parts.push(moved);
        } else if west < east {
            parts.extend(globe.to_polygon().intersection(&moved).0);
        }
        n += 1.0;
    }
    // The polygon arithmetic rounds, also beyond the edge of the globe.
    MultiPolygon(parts).map_coords(|c| Coord { x: c.x.clamp(-180.0, 180.0), y: c.y })
}

/// The polygon with longitudes that do not jump, if it is one that crosses the antimeridian.
///
/// Its ring must close again after the jumps, and be narrower than the half globe. A rectangle of four corners from -179° to 179° could be either:
/// it goes round the globe if its outer ring is counter-clockwise as drawn (RFC 7946), else it crosses the antimeridian.
fn across(polygon: &Polygon) -> Option<Polygon> {
    if polygon.exterior().lines().all(|l| l.dx().abs() <= JUMP_DEG) {
        return None;
    }
    let exterior = unwrapped(polygon.exterior())?;
    let extent = exterior.bounding_rect()?;
    let goes_round = is_rectangle(polygon) && polygon.signed_area() > 0.0;
    // A rectangle from -180° to 180° has no width once its jumps are taken back.
    if goes_round || !(WIDTH_DEG..JUMP_DEG).contains(&extent.width()) {
        return None;
    }
    let middle = extent.center().x;
    let beside = |ring: &LineString| {
        let ring = unwrapped(ring)?;
        let turns = ((ring.bounding_rect()?.center().x - middle) / 360.0).round();
        Some(ring.map_coords(|c| Coord { x: c.x - 360.0 * turns, y: c.y }))
    };
    let interiors = polygon.interiors().iter().map(beside).collect::<Option<_>>()?;
    Some(Polygon::new(exterior, interiors))
}

/// A ring each of whose corners is less than half the globe from the last; `None` for one that does not close so.
fn unwrapped(ring: &LineString) -> Option<LineString> {
    let mut turns = 0.0;
    let mut corners: Vec<Coord> = Vec::with_capacity(ring.0.len());
    let mut last = ring.0.first()?.x;
    for corner in &ring.0 {
        turns -= match corner.x - last {
            step if step > JUMP_DEG => 1.0,
            step if step < -JUMP_DEG => -1.0,
            _ => 0.0,
        };
        last = corner.x;
        corners.push(Coord { x: corner.x + 360.0 * turns, y: corner.y });
    }
    (corners.first() == corners.last()).then_some(LineString(corners))
}

fn is_rectangle(polygon: &Polygon) -> bool {
    let corners = &polygon.exterior().0;
    corners.len() == 5 && polygon.exterior().lines().all(|l| l.dx() == 0.0 || l.dy() == 0.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn polygon(corners: &[(f64, f64)]) -> Polygon {
        Polygon::new(LineString::from(corners.to_vec()), vec![])
    }

    fn extents(found: &Found) -> Vec<(f64, f64)> {
        let mut found: Vec<_> = found
            .shape
            .0
            .iter()
            .map(|p| p.bounding_rect().unwrap())
            .map(|r| ((r.min().x * 1e6).round() / 1e6, (r.max().x * 1e6).round() / 1e6))
            .collect();
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found
    }

    #[test]
    fn one_place_on_the_antimeridian_is_the_same_however_it_is_drawn() {
        let drawn = [
            // Beyond 180° on either side, a turn too far, and jumping: counter-clockwise and, with a corner more, clockwise.
            vec![(179.0, -18.0), (181.0, -18.0), (181.0, -17.0), (179.0, -17.0)],
            vec![(-181.0, -18.0), (-179.0, -18.0), (-179.0, -17.0), (-181.0, -17.0)],
            vec![(539.0, -18.0), (541.0, -18.0), (541.0, -17.0), (539.0, -17.0)],
            vec![(179.0, -18.0), (-179.0, -18.0), (-179.0, -17.0), (179.0, -17.0)],
            vec![(179.0, -17.0), (-179.0, -17.0), (-179.0, -18.0), (-179.5, -18.0), (179.0, -18.0)],
            // With corners on both sides of the line itself.
            vec![
                (179.0, -18.0),
                (180.0, -18.0),
                (-180.0, -18.0),
                (-179.0, -18.0),
                (-179.0, -17.0),
                (-180.0, -17.0),
                (180.0, -17.0),
                (179.0, -17.0),
            ],
        ];
        for corners in &drawn {
            let found = on_globe(vec![polygon(corners)]);
            assert_eq!(extents(&found), [(-180.0, -179.0), (179.0, 180.0)], "{corners:?}");
            assert!((found.shape.unsigned_area() - 2.0).abs() < 1e-6, "{corners:?}");
        }
        let away = on_globe(vec![polygon(&[(181.0, 1.0), (183.0, 1.0), (182.0, 2.0)])]);
        assert_eq!(extents(&away), [(-179.0, -177.0)]);
    }

    #[test]
    fn what_goes_round_the_globe_stays_as_it_is_drawn() {
        for corners in [
            vec![(-180.0, -84.0), (180.0, -84.0), (180.0, 84.0), (-180.0, 84.0)],
            vec![(-180.0, 84.0), (180.0, 84.0), (180.0, -84.0), (-180.0, -84.0)],
            vec![(-179.0, -60.0), (179.0, -60.0), (179.0, 70.0), (-179.0, 70.0)],
            vec![(-180.0, -60.0), (0.0, -60.0), (180.0, -60.0), (180.0, 70.0), (-180.0, 70.0)],
            // Around the south pole, along the coast and back along 90° S.
            vec![
                (-180.0, -90.0),
                (180.0, -90.0),
                (180.0, -80.0),
                (90.0, -70.0),
                (0.0, -70.0),
                (-90.0, -72.0),
                (-180.0, -80.0),
            ],
        ] {
            let ring = polygon(&corners);
            let found = on_globe(vec![ring.clone()]);
            assert_eq!(
                (found.n_crossing, found.shape.unsigned_area()),
                (0, ring.unsigned_area()),
                "{corners:?}"
            );
        }
    }

    #[test]
    fn the_extent_of_a_shape_across_the_antimeridian_is_narrow() {
        let taveuni =
            on_globe(vec![polygon(&[(179.5, -17.5), (180.5, -17.5), (180.5, -16.5), (179.5, -16.5)])]);
        let [west, _, east, _] = extent(&taveuni.shape).unwrap();
        assert!((west - 179.5).abs() < 1e-6 && (east - 180.5).abs() < 1e-6, "{west} {east}");
        let far_apart = [
            polygon(&[(-75.0, 1.0), (-74.0, 1.0), (-74.0, 2.0)]),
            polygon(&[(80.0, 1.0), (81.0, 1.0), (81.0, 2.0)]),
        ];
        assert_eq!(extent(&MultiPolygon(far_apart.to_vec())).unwrap(), [-75.0, 1.0, 81.0, 2.0]);
    }

    #[test]
    fn holes_move_with_their_ring() {
        let hole =
            LineString::from(vec![(-179.6, 0.4), (-179.6, 0.6), (-179.4, 0.6), (-179.4, 0.4), (-179.6, 0.4)]);
        let outer =
            LineString::from(vec![(179.0, 0.0), (-179.0, 0.0), (-179.0, 1.0), (179.0, 1.0), (179.0, 0.0)]);
        let found = on_globe(vec![Polygon::new(outer, vec![hole])]);
        assert!((found.shape.unsigned_area() - 1.96).abs() < 1e-6);
    }
}
