//! Which pixels of a grid lie in an area on the globe: the spans of columns of each row, without a mask of the whole.
//!
//! A pixel is inside where its centre is. Left out: areas across the antimeridian in one ring.

use geo::{LineString, MultiPolygon};
use raster::{Bounds, Crs, Grid, bounds_deg, transform_points};

/// Longest piece of an edge that is moved as one: over it a straight line in degrees leaves a straight line on the ground of a granule by about
/// 0.1 m, far less than a pixel.
const LONGEST_PIECE_DEG: f64 = 0.01;

/// The area is cut to the grid and so much around it: far corners may have no image in the grid's system, and need none.
const MARGIN_DEG: f64 = 0.05;

/// Spans of columns `start..end` of every row of a grid that lie in an area, in order and apart.
#[derive(Debug)]
pub(crate) struct Cover {
    rows: Vec<Vec<(u32, u32)>>,
}

impl Cover {
    /// All pixels.
    pub fn whole(grid: &Grid) -> Self {
        Self { rows: vec![vec![(0, grid.width as u32)]; grid.height] }
    }

    /// The pixels in an area in degrees on WGS 84.
    ///
    /// # Errors
    /// If the area has no image in the grid's system.
    pub fn of(grid: &Grid, area: &MultiPolygon<f64>) -> raster::Result<Self> {
        let mut rows = vec![Vec::new(); grid.height];
        let near = around(bounds_deg(grid)?);
        for polygon in &area.0 {
            let mut crossings = vec![Vec::new(); grid.height];
            for ring in std::iter::once(polygon.exterior()).chain(polygon.interiors()) {
                cross(&on_grid(grid, ring, near)?, &mut crossings);
            }
            for (row, crossings) in rows.iter_mut().zip(crossings) {
                row.extend(spans(crossings, grid.width));
            }
        }
        rows.iter_mut().for_each(merge);
        Ok(Self { rows })
    }

    /// The spans of a row.
    pub fn row(&self, row: usize) -> &[(u32, u32)] {
        &self.rows[row]
    }
}

/// The rectangle and a margin; `None` where the grid lies across the antimeridian, and nothing is cut.
fn around(b: Bounds) -> Option<Bounds> {
    (b.west < b.east).then_some(Bounds {
        west: b.west - MARGIN_DEG,
        south: b.south - MARGIN_DEG,
        east: b.east + MARGIN_DEG,
        north: b.north + MARGIN_DEG,
    })
}

/// A ring's corners as `(row, col)` of a grid, with corners added on long edges.
fn on_grid(grid: &Grid, ring: &LineString<f64>, near: Option<Bounds>) -> raster::Result<Vec<(f64, f64)>> {
    let corners: Vec<_> = ring.coords().map(|c| (c.x, c.y)).collect();
    let corners = near.map_or(corners.clone(), |near| cut(corners, near));
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for (i, from) in corners.iter().enumerate() {
        let to = corners[(i + 1) % corners.len()];
        let n = ((to.0 - from.0).hypot(to.1 - from.1) / LONGEST_PIECE_DEG).ceil().max(1.0) as usize;
        for piece in 0..n {
            let share = piece as f64 / n as f64;
            x.push(from.0 + share * (to.0 - from.0));
            y.push(from.1 + share * (to.1 - from.1));
        }
    }
    transform_points(&Crs::wgs84()?, &grid.crs, &mut x, &mut y)?;
    Ok(x.iter().zip(&y).map(|(x, y)| grid.transform.to_pixel(*x, *y)).collect())
}

/// Cuts a ring to a rectangle (Sutherland and Hodgman). Pieces may stay joined along its edges, which lie outside the grid.
fn cut(mut ring: Vec<(f64, f64)>, b: Bounds) -> Vec<(f64, f64)> {
    type Inside = fn((f64, f64), Bounds) -> f64;
    let sides: [Inside; 4] =
        [|p, b| p.0 - b.west, |p, b| b.east - p.0, |p, b| p.1 - b.south, |p, b| b.north - p.1];
    for depth in sides {
        let mut kept = Vec::with_capacity(ring.len());
        for (i, from) in ring.iter().copied().enumerate() {
            let to = ring[(i + 1) % ring.len()];
            let (a, z) = (depth(from, b), depth(to, b));
            if a >= 0.0 {
                kept.push(from);
            }
            if (a >= 0.0) != (z >= 0.0) {
                let share = a / (a - z);
                kept.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
            }
        }
        ring = kept;
    }
    ring
}

/// Where a ring crosses the line through the middle of each row.
fn cross(ring: &[(f64, f64)], crossings: &mut [Vec<f64>]) {
    for (i, from) in ring.iter().enumerate() {
        let to = ring[(i + 1) % ring.len()];
        let (upper, lower) = if from.0 <= to.0 { (*from, to) } else { (to, *from) };
        let middle = |row: f64| (row - 0.5).ceil().clamp(0.0, crossings.len() as f64) as usize;
        let rows = middle(upper.0)..middle(lower.0);
        for (row, crossed) in rows.clone().zip(&mut crossings[rows]) {
            let share = (row as f64 + 0.5 - upper.0) / (lower.0 - upper.0);
            crossed.push(upper.1 + share * (lower.1 - upper.1));
        }
    }
}

/// Columns whose centres lie between the first and second crossing, the third and fourth, and so on.
fn spans(mut crossings: Vec<f64>, width: usize) -> Vec<(u32, u32)> {
    crossings.sort_by(f64::total_cmp);
    let col = |x: f64| (x - 0.5).ceil().clamp(0.0, width as f64) as u32;
    crossings.chunks_exact(2).map(|pair| (col(pair[0]), col(pair[1]))).filter(|(a, b)| a < b).collect()
}

/// Joins spans that touch or overlap.
fn merge(row: &mut Vec<(u32, u32)>) {
    row.sort_unstable();
    let mut merged: Vec<(u32, u32)> = Vec::with_capacity(row.len());
    for (start, end) in row.drain(..) {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    *row = merged;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use geo::{Contains, Point, polygon};
    use raster::Affine;

    fn grid() -> Grid {
        Grid {
            height: 60,
            width: 50,
            transform: Affine { west: 435_720.0, north: 4_179_420.0, pixel_width: 20.0, pixel_height: 20.0 },
            crs: Crs::from_epsg(32618).unwrap(),
        }
    }

    fn n_px(cover: &Cover) -> u32 {
        (0..60).flat_map(|row| cover.row(row)).map(|(start, end)| end - start).sum()
    }

    /// Corners in pixels of the grid to an area in degrees.
    fn area(corners: &[(f64, f64)]) -> MultiPolygon<f64> {
        let grid = grid();
        let (mut x, mut y): (Vec<f64>, Vec<f64>) =
            corners.iter().map(|(row, col)| grid.transform.to_world(*row, *col)).unzip();
        transform_points(&grid.crs, &Crs::wgs84().unwrap(), &mut x, &mut y).unwrap();
        let ring: Vec<_> = x.into_iter().zip(y).collect();
        MultiPolygon(vec![geo::Polygon::new(LineString::from(ring), vec![])])
    }

    #[test]
    fn a_pixel_is_inside_where_its_centre_is() {
        let star = area(&[(3.0, 4.0), (30.0, 20.0), (3.2, 40.1), (58.7, 45.0), (40.0, 25.0), (55.1, 2.3)]);
        let cover = Cover::of(&grid(), &star).unwrap();
        let mut n_inside = 0;
        for row in 0..60 {
            for col in 0..50 {
                let (x, y) = grid().transform.to_world(row as f64 + 0.5, col as f64 + 0.5);
                let (mut x, mut y) = ([x], [y]);
                transform_points(&grid().crs, &Crs::wgs84().unwrap(), &mut x, &mut y).unwrap();
                let wanted = star.contains(&Point::new(x[0], y[0]));
                let spans = cover.row(row);
                let found = spans.iter().any(|(a, b)| (*a..*b).contains(&(col as u32)));
                assert_eq!(found, wanted, "row {row}, column {col}");
                n_inside += u32::from(wanted);
            }
        }
        assert!(n_inside > 500);
        assert_eq!(n_px(&cover), n_inside);
    }

    #[test]
    fn an_area_far_larger_than_the_grid_covers_all_of_it_and_one_elsewhere_nothing() {
        let world = MultiPolygon(vec![polygon![(x: -179.0, y: -80.0), (x: 179.0, y: -80.0),
            (x: 179.0, y: 80.0), (x: -179.0, y: 80.0)]]);
        assert_eq!(n_px(&Cover::of(&grid(), &world).unwrap()), 3000);
        assert_eq!(n_px(&Cover::whole(&grid())), 3000);
        let elsewhere =
            MultiPolygon(vec![polygon![(x: 100.0, y: 30.0), (x: 101.0, y: 30.0), (x: 100.5, y: 31.0)]]);
        assert_eq!(n_px(&Cover::of(&grid(), &elsewhere).unwrap()), 0);
    }

    #[test]
    fn a_hole_is_outside_and_overlapping_parts_count_once() {
        let square = |a: f64, b: f64| area(&[(a, a), (a, b), (b, b), (b, a)]).0.remove(0);
        let ring = geo::Polygon::new(
            square(5.0, 35.0).exterior().clone(),
            vec![square(10.0, 20.0).exterior().clone()],
        );
        let cover = Cover::of(&grid(), &MultiPolygon(vec![ring.clone()])).unwrap();
        assert_eq!(n_px(&cover), 30 * 30 - 10 * 10);
        let twice = MultiPolygon(vec![ring, square(25.0, 45.0)]);
        assert_eq!(n_px(&Cover::of(&grid(), &twice).unwrap()), 800 + 20 * 20 - 10 * 10);
    }
}
