//! The area of ground on the ellipsoid.

use geo::{Line, LineString, MultiPolygon, Polygon};

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

#[cfg(test)]
mod tests {
    use super::*;
    use geo::Rect;

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
}
