//! The share of each pixel that rings cover: shares are above 0 and at most 1, runs lie in order inside the raster and do not overlap, and the shares
//! of a triangle add up to its area on the raster. Bytes are corners in eighths of a pixel, as far as some rasters away.
#![no_main]

#[path = "../../crates/region-report/src/coverage.rs"]
#[allow(dead_code)]
mod coverage;

use coverage::{Span, spans};
use libfuzzer_sys::fuzz_target;

type Point = (f64, f64);

/// Of sums of some thousand shares.
const SUM_TOLERANCE_PX: f64 = 1e-6;

fuzz_target!(|bytes: &[u8]| {
    let Some((&[height, width, n_rings], rest)) = bytes.split_first_chunk::<3>() else { return };
    let (height, width) = (usize::from(height % 64) + 1, usize::from(width % 64) + 1);
    let points: Vec<Point> = rest.chunks_exact(4).map(point).collect();
    let n = points.len().div_ceil(usize::from(n_rings % 8) + 1).max(1);
    let rings: Vec<Vec<Point>> = points.chunks(n).map(<[Point]>::to_vec).collect();
    let all = spans(&rings, height, width);
    for span in &all {
        assert!(span.share > 0.0 && span.share <= 1.0, "{span:?}");
        assert!((span.row as usize) < height && span.col < span.end && span.end as usize <= width, "{span:?}");
    }
    assert!(all.windows(2).all(|two| (two[0].row, two[0].end) <= (two[1].row, two[1].col)), "runs overlap");
    for corners in points.chunks_exact(3) {
        let found: f64 = spans(&[corners.to_vec()], height, width).iter().map(px).sum();
        let wanted = area(&clipped(corners, height as f64, width as f64));
        assert!((found - wanted).abs() < SUM_TOLERANCE_PX, "{corners:?}: {found}, want {wanted}");
    }
    // Not numbers, and numbers beyond all rasters, must not kill.
    let huge: Vec<Point> = rest.chunks_exact(16).map(huge).collect();
    spans(&[huge], height, width).iter().for_each(|span| assert!(span.share > 0.0 && span.share <= 1.0));
});

fn point(bytes: &[u8]) -> Point {
    let number = |i: usize| f64::from(i16::from_le_bytes([bytes[i], bytes[i + 1]]) % 2048) / 8.0;
    (number(0), number(2))
}

fn huge(bytes: &[u8]) -> Point {
    let number = |i: usize| bytes[i..i + 8].try_into().map_or(0.0, f64::from_le_bytes);
    (number(0), number(8))
}

fn px(span: &Span) -> f64 {
    f64::from(span.end - span.col) * span.share
}

fn area(ring: &[Point]) -> f64 {
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
}

/// A convex ring on the raster, by cutting it at each side.
fn clipped(ring: &[Point], height: f64, width: f64) -> Vec<Point> {
    let sides: [&dyn Fn(Point) -> f64; 4] = [&|p| p.0, &|p| width - p.0, &|p| p.1, &|p| height - p.1];
    sides.iter().fold(ring.to_vec(), |ring, side| {
        let mut kept = Vec::new();
        for (&from, &to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (a, b) = (side(from), side(to));
            if a >= 0.0 {
                kept.push(from);
            }
            if (a < 0.0) != (b < 0.0) {
                let share = a / (a - b);
                kept.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
            }
        }
        kept
    })
}
