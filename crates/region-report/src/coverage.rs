//! Which share of each pixel a zone covers, exactly.
//!
//! A ring's edges are cut at the lines between pixels. Within a row each piece adds to its pixel the height that it crosses and the area
//! to its east; summed from the west, the heights say how much of a pixel lies inside, the areas correct the pixels that an edge crosses.
//! This is the accumulation of font rasterisers (FreeType's "smooth" one), here in 64-bit floats: exact but for rounding, in time that
//! grows with the outline and the rows, not with the area. Outer rings and holes add up by the way they turn.
//!
//! Left out: rings that cross themselves; [`raster::read_layer`] hands none on. Where one does, ground inside twice counts once, and ground inside and
//! outside not at all.

/// A run of pixels of one row of which a zone covers the same share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Row of the raster.
    pub row: u32,
    /// First column.
    pub col: u32,
    /// One past the last column.
    pub end: u32,
    /// Covered share of each pixel, above 0 and at most 1.
    pub share: f64,
}

/// What edges do in one pixel.
#[derive(Clone, Copy)]
struct Cell {
    row: u32,
    col: u32,
    /// Height that they cross, downwards counted positive.
    height: f64,
    /// Area between them and the pixel's eastern side.
    area: f64,
}

/// Corners from here on, and those that are no numbers, have no place: a pixel is less than the last digit.
const FARTHEST_PX: f64 = 1e15;
/// Cells that are held before those of one pixel are added up.
const MANY_CELLS: usize = 1 << 20;

/// Coverage below this, or within it of 1, is rounding.
const ROUNDING_SHARE: f64 = 1e-12;

/// The spans of a zone, row by row from the west. Rings hold `(column, row)` in pixels, as fractions, row 0 in the north; outer rings and
/// holes turn opposite ways. What lies outside of the raster is left out.
pub fn spans(rings: &[Vec<(f64, f64)>], height: usize, width: usize) -> Vec<Span> {
    let mut cells = Vec::new();
    let mut many = MANY_CELLS;
    for ring in rings {
        for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            push_edge(&mut cells, *from, *to, (height, width));
            if cells.len() > many {
                add_up(&mut cells);
                many = MANY_CELLS.max(2 * cells.len());
            }
        }
    }
    cells.sort_by_key(|cell| (cell.row, cell.col));
    let mut spans = Vec::new();
    for row in cells.chunk_by(|a, b| a.row == b.row) {
        push_row(&mut spans, row, width as u32);
    }
    spans
}

/// One cell a pixel, in order: outlines that cross a pixel often take no more memory than others. Sums are those of the cells one after the other.
fn add_up(cells: &mut Vec<Cell>) {
    cells.sort_by_key(|cell| (cell.row, cell.col));
    cells.dedup_by(|next, kept| {
        let same = (next.row, next.col) == (kept.row, kept.col);
        if same {
            kept.height += next.height;
            kept.area += next.area;
        }
        same
    });
}

/// Cuts an edge at rows.
fn push_edge(cells: &mut Vec<Cell>, from: (f64, f64), to: (f64, f64), (height, width): (usize, usize)) {
    let sound = [from.0, from.1, to.0, to.1].iter().all(|v| v.abs() < FARTHEST_PX);
    if from.1 == to.1 || !sound {
        return;
    }
    let (top, bottom, sign) = if from.1 < to.1 { (from, to, 1.0) } else { (to, from, -1.0) };
    let slope = (bottom.0 - top.0) / (bottom.1 - top.1);
    let first = top.1.max(0.0).floor();
    let last = bottom.1.min(height as f64).ceil();
    let mut row = first;
    while row < last {
        let (y0, y1) = (top.1.max(row), bottom.1.min(row + 1.0));
        if y1 > y0 {
            let at = |y: f64| if y == bottom.1 { bottom.0 } else { top.0 + (y - top.1) * slope };
            push_piece(cells, row as u32, (at(y0), at(y1)), sign * (y1 - y0), width as f64);
        }
        row += 1.0;
    }
}

/// Cuts a piece within one row at columns. West of the raster it counts in full for column 0, east of it not at all.
fn push_piece(cells: &mut Vec<Cell>, row: u32, (x0, x1): (f64, f64), height: f64, width: f64) {
    let (west, east) = if x0 < x1 { (x0, x1) } else { (x1, x0) };
    if west >= width {
        return;
    }
    if east <= 0.0 {
        cells.push(Cell { row, col: 0, height, area: height });
        return;
    }
    let length = east - west;
    if west.floor() == east.floor() || length == 0.0 {
        let col = west.floor().max(0.0);
        let area = height * (col + 1.0 - (west + east) / 2.0);
        cells.push(Cell { row, col: col as u32, height, area });
        return;
    }
    if west < 0.0 {
        let outside = height * (-west / length);
        cells.push(Cell { row, col: 0, height: outside, area: outside });
    }
    let mut col = west.floor().max(0.0);
    while col < east.min(width) {
        let (a, b) = (west.max(col), east.min(col + 1.0));
        if b > a {
            let part = height * ((b - a) / length);
            cells.push(Cell { row, col: col as u32, height: part, area: part * (col + 1.0 - (a + b) / 2.0) });
        }
        col += 1.0;
    }
}

/// The spans of one row from its cells in order.
fn push_row(spans: &mut Vec<Span>, cells: &[Cell], width: u32) {
    let row = cells[0].row;
    let mut inside = 0.0;
    let mut next = 0;
    for cell in cells.chunk_by(|a, b| a.col == b.col) {
        let col = cell[0].col;
        push_span(spans, row, (next, col), inside);
        let area: f64 = cell.iter().map(|c| c.area).sum();
        push_span(spans, row, (col, col + 1), inside + area);
        inside += cell.iter().map(|c| c.height).sum::<f64>();
        next = col + 1;
    }
    push_span(spans, row, (next, width), inside);
}

fn push_span(spans: &mut Vec<Span>, row: u32, (col, end): (u32, u32), turned: f64) {
    let share = turned.abs().min(1.0);
    if col >= end || share < ROUNDING_SHARE {
        return;
    }
    let share = if share > 1.0 - ROUNDING_SHARE { 1.0 } else { share };
    match spans.last_mut() {
        Some(last) if last.row == row && last.end == col && last.share == share => last.end = end,
        _ => spans.push(Span { row, col, end, share }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Sums of some thousand shares, each exact to the last bits.
    const SUM_TOLERANCE_PX: f64 = 1e-9;

    fn covered(rings: &[Vec<(f64, f64)>], height: usize, width: usize) -> f64 {
        spans(rings, height, width).iter().map(|s| f64::from(s.end - s.col) * s.share).sum()
    }

    fn area(ring: &[(f64, f64)]) -> f64 {
        let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
        pairs.map(|(a, b)| a.0 * b.1 - b.0 * a.1).sum::<f64>().abs() / 2.0
    }

    /// A star around a centre: it never crosses itself.
    fn star(random: &mut ChaCha8Rng, centre: (f64, f64), radius: f64) -> Vec<(f64, f64)> {
        let n = random.random_range(3..40);
        (0..n)
            .map(|i| {
                let angle = f64::from(i) / f64::from(n) * std::f64::consts::TAU;
                let far = radius * random.random_range(0.1..1.0);
                (centre.0 + far * angle.cos(), centre.1 + far * angle.sin())
            })
            .collect()
    }

    #[test]
    fn shares_add_up_to_the_area_of_any_polygon_inside_the_raster() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..300 {
            let ring = star(&mut random, (30.3, 25.7), 24.0);
            let wanted = area(&ring);
            assert!((covered(std::slice::from_ref(&ring), 60, 60) - wanted).abs() < SUM_TOLERANCE_PX);
            let turned: Vec<_> = ring.into_iter().rev().collect();
            assert!((covered(&[turned], 60, 60) - wanted).abs() < SUM_TOLERANCE_PX, "whatever way it turns");
        }
    }

    #[test]
    fn a_zone_beyond_the_edge_covers_what_its_part_inside_covers() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        for _ in 0..200 {
            let ring = star(&mut random, (9.0, 8.0), 12.0);
            let shifted: Vec<_> = ring.iter().map(|(x, y)| (x + 20.0, y + 20.0)).collect();
            let whole = spans(&[shifted], 60, 60);
            let inside: f64 = whole
                .iter()
                .filter(|s| (20..37).contains(&s.row))
                .map(|s| f64::from(s.end.clamp(20, 36) - s.col.clamp(20, 36)) * s.share)
                .sum();
            assert!((covered(&[ring], 17, 16) - inside).abs() < SUM_TOLERANCE_PX);
        }
    }

    #[test]
    fn two_zones_that_share_a_border_cover_every_pixel_once() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        for _ in 0..100 {
            let border: Vec<(f64, f64)> =
                (0..=20).map(|i| (random.random_range(2.0..18.0), f64::from(i))).collect();
            let west: Vec<_> = [(0.0, 0.0)].into_iter().chain(border.clone()).chain([(0.0, 20.0)]).collect();
            let east: Vec<_> = [(20.0, 0.0)].into_iter().chain(border).chain([(20.0, 20.0)]).collect();
            let mut shares = vec![0.0; 400];
            for ring in [west, east] {
                for span in spans(&[ring], 20, 20) {
                    for col in span.col..span.end {
                        shares[(span.row * 20 + col) as usize] += span.share;
                    }
                }
            }
            assert!(shares.iter().all(|share| (share - 1.0).abs() < SUM_TOLERANCE_PX));
        }
    }

    #[test]
    fn a_hole_is_not_covered() {
        let outer = vec![(0.0, 0.0), (8.0, 0.0), (8.0, 8.0), (0.0, 8.0)];
        let hole = vec![(2.0, 2.0), (2.0, 4.5), (5.0, 4.5), (5.0, 2.0)];
        let found = spans(&[outer, hole], 8, 8);
        assert!(found.iter().all(|s| s.row != 3 || s.end <= 2 || s.col >= 5));
        assert!(found.contains(&Span { row: 4, col: 2, end: 5, share: 0.5 }));
    }
}
