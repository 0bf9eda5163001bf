//! Rings in degrees that cross the antimeridian.

use super::Ring;
use super::outline::doubled_area;

/// Degrees around the globe.
const TURN_DEG: f64 = 360.0;

/// Takes rings in degrees that jump over the antimeridian, from 179° to -179° say, the short way: longitudes go on beyond 180°, and the holes of such
/// a ring come along. Outer rings run counter-clockwise, each before its holes. Says whether there was one. A ring that goes around a pole, or along
/// a whole parallel, stays as it is.
pub fn go_the_short_way(rings: &mut [Ring]) -> bool {
    let outer = |ring: &Ring| {
        let area = doubled_area(unwound(ring).as_ref().unwrap_or(ring));
        area > 0.0
    };
    let starts: Vec<usize> = (0..rings.len()).filter(|&i| i == 0 || outer(&rings[i])).collect();
    let mut any = false;
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(rings.len());
        any |= polygon(&mut rings[start..end]);
    }
    any
}

/// The same for one polygon, an outer ring and its holes, whatever way they turn.
pub fn polygon(rings: &mut [Ring]) -> bool {
    let Some((outer, holes)) = rings.split_first_mut() else { return false };
    let Some(whole) = unwound(outer) else { return false };
    *outer = whole;
    let middle = middle(outer);
    for hole in holes {
        if let Some(whole) = unwound(hole) {
            *hole = whole;
        }
        let shift = ((middle - self::middle(hole)) / TURN_DEG).round() * TURN_DEG;
        hole.iter_mut().for_each(|point| point.0 += shift);
    }
    true
}

/// The ring without jumps of more than half a turn, if it has any and still closes.
fn unwound(ring: &Ring) -> Option<Ring> {
    let jumps = |from: f64, to: f64| (to - from).abs() > TURN_DEG / 2.0;
    if !ring.iter().all(|(x, _)| x.abs() <= TURN_DEG) {
        return None;
    }
    if !ring.windows(2).any(|edge| jumps(edge[0].0, edge[1].0)) {
        let (first, last) = (ring.first()?, ring.last()?);
        if !jumps(last.0, first.0) {
            return None;
        }
    }
    let mut turns = 0.0;
    let mut found = Ring::with_capacity(ring.len());
    for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        found.push((from.0 + turns, from.1));
        if jumps(from.0, to.0) {
            turns -= ((to.0 - from.0) / TURN_DEG).round() * TURN_DEG;
        }
    }
    let (low, high) = ends(&found);
    (turns == 0.0 && high - low > 0.0 && high - low < TURN_DEG / 2.0).then_some(found)
}

fn ends(ring: &Ring) -> (f64, f64) {
    ring.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (x, _)| (low.min(*x), high.max(*x)))
}

fn middle(ring: &Ring) -> f64 {
    let (low, high) = ends(ring);
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_that_jumps_goes_on_and_its_hole_comes_along() {
        let outer = vec![(179.0, 0.0), (-179.0, 0.0), (-179.0, 2.0), (179.0, 2.0)];
        let hole = vec![(-179.8, 0.5), (-179.8, 1.0), (-179.5, 1.0)];
        let island = vec![(170.0, 0.0), (171.0, 0.0), (171.0, 1.0)];
        let mut rings = vec![outer, hole, island.clone()];
        assert!(go_the_short_way(&mut rings));
        assert_eq!(rings[0], vec![(179.0, 0.0), (181.0, 0.0), (181.0, 2.0), (179.0, 2.0)]);
        assert!(rings[1].iter().all(|(x, _)| (180.0..181.0).contains(x)) && rings[2] == island, "{rings:?}");
    }

    #[test]
    fn the_world_a_cap_around_a_pole_and_a_wide_country_stay_as_they_are() {
        let world = vec![(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0)];
        let cap: Ring = (-18..=18)
            .map(|i| (f64::from(i) * 10.0, -70.0))
            .chain([(180.0, -90.0), (-180.0, -90.0)])
            .collect();
        let wide = vec![(-75.0, 40.0), (75.0, 40.0), (75.0, 70.0), (-75.0, 70.0)];
        for ring in [world, cap, wide] {
            let mut rings = vec![ring.clone()];
            assert!(!go_the_short_way(&mut rings) && rings[0] == ring);
        }
    }
}
