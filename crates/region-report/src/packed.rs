//! Outlines and tiles in few letters, for the page's one file of data; `page/unpack.js` unpacks them.
//!
//! Outlines become whole steps of a grid finer than a screen shows, each point as its distance from the one before. Columns of tiles become numbers of
//! 16 bits in base64. Left out: what the page does not show; the tables beside it hold all digits.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use contract::RingDeg;
use serde_json::{Value, json};

/// Steps of the grid across the larger side of all zones.
const STEPS_ACROSS: f64 = 10_000.0;

/// A number of 16 bits that stands for none.
pub const NONE: u16 = u16::MAX;

/// Outlines as the page draws them, each point once, without those on a straight line between their neighbours. Zones that share a border still do: a
/// point goes to the same place in both, and is left out of both.
///
/// # Shapes
/// `rings[zone][polygon][ring]` is `[x0, y0, dx1, dy1, …]` in steps from the south-western corner.
pub fn packed_outlines(outlines: &[Vec<Vec<RingDeg>>], [west, south, east, north]: [f64; 4]) -> Value {
    let step_deg = (east - west).max(north - south).max(f64::MIN_POSITIVE) / STEPS_ACROSS;
    let steps = |degrees: f64, from: f64| ((degrees - from) / step_deg).round() as i64;
    let ring = |ring: &RingDeg| -> Value {
        let mut points: Vec<(i64, i64)> =
            ring.iter().map(|&(lon, lat)| (steps(lon, west), steps(lat, south))).collect();
        points.dedup();
        let points = bends(&points);
        let mut before = (0, 0);
        let mut moves = Vec::with_capacity(2 * points.len());
        for point in points {
            moves.extend([point.0 - before.0, point.1 - before.1]);
            before = point;
        }
        json!(moves)
    };
    let polygons = |polygons: &Vec<Vec<RingDeg>>| -> Value {
        polygons.iter().map(|rings| rings.iter().map(ring).collect::<Value>()).collect()
    };
    json!({"west": west, "south": south, "step": step_deg, "rings": outlines.iter().map(polygons).collect::<Vec<_>>()})
}

/// The points of a ring at which it turns; all where it has fewer than four.
fn bends(points: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let n = points.len();
    let turns = |i: &usize| {
        let [(ax, ay), (bx, by), (cx, cy)] = [points[(i + n - 1) % n], points[*i], points[(i + 1) % n]];
        (bx - ax) * (cy - by) != (by - ay) * (cx - bx) || (bx - ax) * (cx - bx) + (by - ay) * (cy - by) < 0
    };
    if n < 4 { points.to_vec() } else { (0..n).filter(turns).map(|i| points[i]).collect() }
}

/// Numbers of 16 bits as base64, little end first.
pub fn packed(numbers: impl IntoIterator<Item = u16>) -> String {
    STANDARD.encode(numbers.into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>())
}

/// A share in thousandths, as many digits as the page shows.
pub fn thousandths(share: Option<f64>) -> u16 {
    share.map_or(NONE, |share| (share.clamp(0.0, 60.0) * 1000.0).round() as u16)
}

/// A place on the way from `low` to `high`, in steps of a 65,534th of it.
pub fn between(value: f64, [low, high]: [f64; 2]) -> u16 {
    let share = if high > low { (value - low) / (high - low) } else { 0.0 };
    (share.clamp(0.0, 1.0) * f64::from(NONE - 1)).round() as u16
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_outline_unpacks_to_within_half_a_step_and_shared_points_stay_shared() {
        let ring = vec![(100.0, 30.0), (101.234_567, 30.5), (101.234_567, 30.5), (100.9, 31.987_654)];
        let other = vec![(101.234_567, 30.5), (102.0, 32.0)];
        let bounds = [100.0, 30.0, 102.0, 32.0];
        let packed = packed_outlines(&[vec![vec![ring.clone()]], vec![vec![other.clone()]]], bounds);
        let step = packed["step"].as_f64().unwrap();
        let unpacked = |zone: usize| {
            let moves = packed["rings"][zone][0][0].as_array().unwrap();
            let (mut x, mut y) = (0, 0);
            let mut points = Vec::new();
            for pair in moves.chunks_exact(2) {
                (x, y) = (x + pair[0].as_i64().unwrap(), y + pair[1].as_i64().unwrap());
                points.push((100.0 + x as f64 * step, 30.0 + y as f64 * step));
            }
            points
        };
        let (one, two) = (unpacked(0), unpacked(1));
        assert_eq!((one.len(), two.len()), (3, 2), "a point that repeats is left out");
        for (found, wanted) in one.iter().zip([ring[0], ring[1], ring[3]]) {
            assert!((found.0 - wanted.0).abs() <= step / 2.0 && (found.1 - wanted.1).abs() <= step / 2.0);
        }
        assert_eq!(one[1], two[0]);
    }

    #[test]
    fn points_on_a_straight_line_are_left_out_and_corners_and_spikes_stay() {
        let square = [(0, 0), (2, 0), (5, 0), (5, 5), (5, 9), (5, 5), (0, 5), (0, 1)];
        assert_eq!(bends(&square), [(0, 0), (5, 0), (5, 9), (5, 5), (0, 5)]);
        assert_eq!(bends(&square[..3]), square[..3]);
    }

    #[test]
    fn numbers_of_16_bits_keep_their_order_and_their_ends() {
        assert_eq!(STANDARD.decode(packed([1, 258, NONE])).unwrap(), [1, 0, 2, 1, 255, 255]);
        assert_eq!([None, Some(0.0), Some(0.123_51), Some(1.0)].map(thousandths), [NONE, 0, 124, 1000]);
        assert_eq!([3.0, 4.0, 5.0, 9.0].map(|value| between(value, [3.0, 5.0])), [0, 32_767, 65_534, 65_534]);
        assert_eq!(between(7.0, [7.0, 7.0]), 0);
    }
}
