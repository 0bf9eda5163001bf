//! Curved lines as short straight ones.

use gdal::vector::{Geometry, OGRwkbGeometryType as Kind, geometry_type_flatten};

use super::Ring;

/// Degrees of an arc that one straight edge takes the place of: a circle loses a twenty-thousandth of its area.
const STEP_DEG: f64 = 1.0;

/// The points of a line, a ring, arcs, or any chain of them.
pub fn points(line: &Geometry) -> Ring {
    match geometry_type_flatten(line.geometry_type()) {
        Kind::wkbCompoundCurve => {
            let mut chain = Ring::new();
            for part in 0..line.geometry_count() {
                let next = points(&line.get_geometry(part));
                let shared = usize::from(!chain.is_empty() && chain.last() == next.first());
                chain.extend(&next[shared..]);
            }
            chain
        }
        Kind::wkbCircularString => arcs(&corners(line)),
        _ => corners(line),
    }
}

fn corners(line: &Geometry) -> Ring {
    let mut points = Vec::with_capacity(line.point_count());
    line.get_points(&mut points);
    points.into_iter().map(|(x, y, _)| (x, y)).collect()
}

/// Arcs through every second point; each goes through the point between its ends.
fn arcs(points: &[(f64, f64)]) -> Ring {
    let mut ring: Ring = points.first().copied().into_iter().collect();
    for arc in points.windows(3).step_by(2) {
        push_arc(&mut ring, arc[0], arc[1], arc[2]);
    }
    ring
}

/// Adds an arc without its first point.
fn push_arc(ring: &mut Ring, from: (f64, f64), through: (f64, f64), to: (f64, f64)) {
    let Some(centre) = centre(from, through, to) else {
        ring.extend([through, to]);
        return;
    };
    let radius = (from.0 - centre.0).hypot(from.1 - centre.1);
    let angle = |p: (f64, f64)| (p.1 - centre.1).atan2(p.0 - centre.0);
    let whole = std::f64::consts::TAU;
    let (start, middle, end) = (angle(from), angle(through), angle(to));
    let on = (middle - start).rem_euclid(whole);
    let all = if from == to { whole } else { (end - start).rem_euclid(whole) };
    let sweep = if on <= all { all } else { all - whole };
    let n = (sweep.abs() / STEP_DEG.to_radians()).ceil().max(2.0) as usize;
    for i in 1..n {
        let at = start + sweep * i as f64 / n as f64;
        ring.push((centre.0 + radius * at.cos(), centre.1 + radius * at.sin()));
    }
    ring.push(to);
}

/// The centre of the circle through three points; none where they lie on a line. Equal ends mean a circle whose far side is the middle.
fn centre(a: (f64, f64), b: (f64, f64), c: (f64, f64)) -> Option<(f64, f64)> {
    if a == c {
        return (a != b).then(|| ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0));
    }
    // Near the first point, so that digits stay.
    let (bx, by, cx, cy) = (b.0 - a.0, b.1 - a.1, c.0 - a.0, c.1 - a.1);
    let twice = 2.0 * (bx * cy - by * cx);
    let (b2, c2) = (bx * bx + by * by, cx * cx + cy * cy);
    let centre = (a.0 + (cy * b2 - by * c2) / twice, a.1 + (bx * c2 - cx * b2) / twice);
    let flat = twice.abs() <= 1e-12 * (b2 + c2);
    (!flat && centre.0.is_finite() && centre.1.is_finite()).then_some(centre)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::shapes::outline::doubled_area;

    /// What edges of one degree take from a circle.
    const AREA_TOLERANCE_SHARE: f64 = 1e-4;

    fn area(wkt: &str) -> f64 {
        let mut ring = points(&Geometry::from_wkt(wkt).unwrap());
        if ring.first() == ring.last() {
            ring.pop();
        }
        doubled_area(&ring).abs() / 2.0
    }

    #[test]
    fn circles_half_circles_and_chains_have_the_areas_that_geometry_gives_them() {
        let pi = std::f64::consts::PI;
        for (wkt, wanted) in [
            ("CIRCULARSTRING(0 0,4 0,4 4,0 4,0 0)", 8.0 * pi),
            ("CIRCULARSTRING(500000 4000000,500200 4000000,500000 4000000)", 1e4 * pi),
            ("COMPOUNDCURVE(CIRCULARSTRING(0 0,1 1,2 0),(2 0,0 0))", pi / 2.0),
            ("COMPOUNDCURVE((2 0,0 0),CIRCULARSTRING(0 0,1 -1,2 0))", pi / 2.0),
            ("CIRCULARSTRING(0 0,1 0,2 0,2 1,2 2,1 2,0 2,0 1,0 0)", 4.0),
            ("LINESTRING(0 0,1 0,1 1,0 0)", 0.5),
        ] {
            let found = area(wkt);
            assert!((found - wanted).abs() < AREA_TOLERANCE_SHARE * wanted, "{wkt}: {found}, want {wanted}");
        }
    }
}
