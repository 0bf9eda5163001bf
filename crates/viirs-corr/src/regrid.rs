//! Area-weighted means on another grid.
//!
//! A source cell is the quadrilateral between its four corners; each target cell takes the part of it that lies inside.
//! The parts of a cell add up to the cell, so the integral over the target is the integral over the source.

/// Values on cells, with the share of each cell that they are known for.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// `[row, column]`; of no meaning where the cover is 0.
    pub values: Vec<f64>,
    /// Share of the cell's area with a value, 0 to 1.
    pub cover: Vec<f64>,
}

impl Field {
    /// A field without values.
    #[must_use]
    pub fn unknown(height: usize, width: usize) -> Field {
        Field { height, width, values: vec![0.0; height * width], cover: vec![0.0; height * width] }
    }

    /// A field of values that are known for the whole cell, or, where they are NaN, not at all.
    ///
    /// # Panics
    /// If there is not one value a cell.
    #[must_use]
    pub fn of(height: usize, width: usize, values: Vec<f64>) -> Field {
        assert_eq!(values.len(), height * width, "one value a cell");
        let cover = values.iter().map(|value| if value.is_nan() { 0.0 } else { 1.0 }).collect();
        Field { height, width, values, cover }
    }
}

/// A point in cells of a grid: `(row, column)`, whole numbers at corners.
pub type Place = (f64, f64);

/// The field on a target grid of `height` x `width` cells.
///
/// `corners` are the places in the target of all corners of the source, `[height + 1, width + 1]`.
///
/// # Panics
/// If the number of corners does not fit the field.
#[must_use]
pub fn regrid(field: &Field, corners: &[Place], height: usize, width: usize) -> Field {
    let mut sums = Field::unknown(height, width);
    add(field, corners, &mut sums);
    means(&mut sums);
    sums
}

/// Adds the cells of a field to a target's sums of value times area, and of area; `corners` as for [`regrid`]. A field may come in pieces.
///
/// # Panics
/// If the number of corners does not fit the field.
pub fn add(field: &Field, corners: &[Place], sums: &mut Field) {
    let line = field.width + 1;
    assert_eq!(corners.len(), (field.height + 1) * line, "the corners of all cells");
    for row in 0..field.height {
        for column in 0..field.width {
            let cell = row * field.width + column;
            if field.cover[cell] <= 0.0 {
                continue;
            }
            let corner = row * line + column;
            let quad =
                [corners[corner], corners[corner + 1], corners[corner + line + 1], corners[corner + line]];
            share_out(&quad, field.values[cell], field.cover[cell], sums);
        }
    }
}

/// Makes means of the sums that [`add`] made.
pub fn means(sums: &mut Field) {
    for (value, cover) in sums.values.iter_mut().zip(&mut sums.cover) {
        if *cover > 0.0 {
            *value /= *cover;
            *cover = cover.min(1.0);
        }
    }
}

/// Adds the parts of one source cell to the target's sums of value times area, and of area.
fn share_out(quad: &[Place; 4], value: f64, cover: f64, sums: &mut Field) {
    let (rows, columns) =
        (extent(quad, |place| place.0, sums.height), extent(quad, |place| place.1, sums.width));
    for row in rows {
        for column in columns.clone() {
            let part = cover * area(&clipped(quad, row as f64, column as f64));
            sums.values[row * sums.width + column] += value * part;
            sums.cover[row * sums.width + column] += part;
        }
    }
}

/// The cells along one axis that a quadrilateral may touch; none if a corner is not finite.
fn extent(quad: &[Place; 4], axis: impl Fn(&Place) -> f64, n: usize) -> std::ops::Range<usize> {
    let ends = quad.each_ref().map(axis);
    if !ends.iter().all(|end| end.is_finite()) {
        return 0..0;
    }
    let low = ends.iter().copied().fold(f64::INFINITY, f64::min).floor().max(0.0);
    let high = ends.iter().copied().fold(f64::NEG_INFINITY, f64::max).ceil().min(n as f64);
    if high <= low { 0..0 } else { low as usize..high as usize }
}

/// The polygon's part inside the unit cell at a row and column (Sutherland and Hodgman 1974, one edge at a time).
fn clipped(quad: &[Place; 4], row: f64, column: f64) -> Vec<Place> {
    let above = keep(quad, |p| p.0 - row);
    let between = keep(&above, |p| row + 1.0 - p.0);
    let right = keep(&between, |p| p.1 - column);
    keep(&right, |p| column + 1.0 - p.1)
}

/// The polygon's part where `inside` is not negative; `inside` must be linear.
fn keep(polygon: &[Place], inside: impl Fn(Place) -> f64) -> Vec<Place> {
    let mut kept = Vec::with_capacity(polygon.len() + 1);
    for (i, &end) in polygon.iter().enumerate() {
        let start = polygon[(i + polygon.len() - 1) % polygon.len()];
        let (from, to) = (inside(start), inside(end));
        if (from < 0.0) != (to < 0.0) {
            let share = from / (from - to);
            kept.push((start.0 + share * (end.0 - start.0), start.1 + share * (end.1 - start.1)));
        }
        if to >= 0.0 {
            kept.push(end);
        }
    }
    kept
}

/// Area of a polygon, whichever way round it goes.
fn area(polygon: &[Place]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    let twice: f64 = polygon.iter().zip(next).map(|(a, b)| a.1 * b.0 - b.1 * a.0).sum();
    twice.abs() / 2.0
}

/// One-dimensional overlaps of coarse cells of `side` fine cells each with the `n` fine cells they lie on: for each
/// coarse cell the first fine cell and the overlapping lengths.
#[must_use]
pub fn overlaps(n: usize, side: f64) -> Vec<(usize, Vec<f64>)> {
    // A side that is whole up to rounding must not add a coarse cell of no width.
    const SLACK: f64 = 1e-9;
    let n_coarse = ((n as f64 / side) - SLACK * n as f64).ceil().max(1.0) as usize;
    let overlap = |i: usize| {
        let (start, end) = (i as f64 * side, ((i + 1) as f64 * side).min(n as f64));
        let first = ((start + SLACK).floor() as usize).min(n - 1);
        let last = ((end - SLACK).ceil() as usize).clamp(first + 1, n);
        let length = |cell: usize| (end.min(cell as f64 + 1.0) - start.max(cell as f64)).max(0.0);
        (first, (first..last).map(length).collect())
    };
    (0..n_coarse).map(overlap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Doubles through some thousand additions.
    const ROUNDING: f64 = 1e-9;

    fn jumble(n: usize) -> Vec<f64> {
        (0..n).map(|i| ((i * 7919 + 13) % 1009) as f64 / 100.0).collect()
    }

    /// Corners of a source grid under a map from source to target places.
    fn corners(field: &Field, map: impl Fn(f64, f64) -> Place) -> Vec<Place> {
        let places = (0..=field.height).flat_map(|r| (0..=field.width).map(move |c| (r as f64, c as f64)));
        places.map(|(r, c)| map(r, c)).collect()
    }

    fn integral(field: &Field, cell_area: f64) -> f64 {
        field.values.iter().zip(&field.cover).map(|(v, c)| v * c * cell_area).sum()
    }

    /// Turned by 17 degrees, shrunk by 0.37, bent a little, inside a target of 30 x 30.
    fn bent(r: f64, c: f64) -> Place {
        let (sin, cos) = 17_f64.to_radians().sin_cos();
        let (r, c) = (0.37 * r, 0.37 * c);
        (6.0 + cos * r - sin * c + 0.002 * c * c + 4.0, 4.0 + sin * r + cos * c + 0.003 * r * r)
    }

    #[test]
    fn the_integral_is_conserved_under_turning_shrinking_and_bending() {
        let field = Field::of(40, 50, jumble(2000));
        let corners = corners(&field, bent);
        let on_target = regrid(&field, &corners, 30, 40);
        let quads = (0..40).flat_map(|r| (0..50).map(move |c| (r, c)));
        let source: f64 = quads
            .map(|(r, c)| {
                let i = r * 51 + c;
                field.values[r * 50 + c]
                    * area(&[corners[i], corners[i + 1], corners[i + 52], corners[i + 51]])
            })
            .sum();
        let target = integral(&on_target, 1.0);
        assert!((target - source).abs() < 1e-6 * source, "{target} and {source}");
    }

    #[test]
    fn a_constant_stays_that_constant_and_cover_is_a_share() {
        let field = Field::of(40, 50, vec![2.5; 2000]);
        let on_target = regrid(&field, &corners(&field, bent), 30, 40);
        let covered = on_target.values.iter().zip(&on_target.cover).filter(|(_, c)| **c > 0.0);
        assert!(covered.clone().all(|(v, c)| (v - 2.5).abs() < ROUNDING && *c <= 1.0));
        assert!(covered.count() > 200);
    }

    #[test]
    fn a_turned_grid_agrees_with_brute_force_sampling() {
        const SAMPLES: usize = 60;
        let (sin, cos) = 30_f64.to_radians().sin_cos();
        let field = Field::of(12, 12, jumble(144));
        let there = |r: f64, c: f64| (5.0 + 0.6 * (cos * r - sin * c), 1.0 + 0.6 * (sin * r + cos * c));
        let back = |(row, column): Place| {
            let (r, c) = ((row - 5.0) / 0.6, (column - 1.0) / 0.6);
            (cos * r + sin * c, cos * c - sin * r)
        };
        let on_target = regrid(&field, &corners(&field, there), 14, 14);
        for cell in 0..14 * 14 {
            let (mut sum, mut hits) = (0.0, 0);
            for sample in 0..SAMPLES * SAMPLES {
                let step = |i: usize| (i as f64 + 0.5) / SAMPLES as f64;
                let (row, column) = (
                    (cell / 14) as f64 + step(sample / SAMPLES),
                    (cell % 14) as f64 + step(sample % SAMPLES),
                );
                let (r, c) = back((row, column));
                if (0.0..12.0).contains(&r) && (0.0..12.0).contains(&c) {
                    sum += field.values[r as usize * 12 + c as usize];
                    hits += 1;
                }
            }
            let cover = f64::from(hits) / (SAMPLES * SAMPLES) as f64;
            assert!((on_target.cover[cell] - cover).abs() < 0.02, "cover of cell {cell}");
            let error = on_target.values[cell] * on_target.cover[cell] - sum / (SAMPLES * SAMPLES) as f64;
            assert!(error.abs() < 0.1, "values reach 10; cell {cell} is off by {error}");
        }
    }

    #[test]
    fn a_missing_cell_lowers_the_cover_and_not_the_mean() {
        let mut values = vec![4.0; 16];
        values[5] = f64::NAN;
        let field = Field::of(4, 4, values);
        let halved = regrid(&field, &corners(&field, |r, c| (r / 2.0, c / 2.0)), 2, 2);
        assert_eq!(halved.values, [4.0; 4]);
        assert_eq!(halved.cover, [0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn parts_outside_the_target_are_left_out() {
        let field = Field::of(2, 2, vec![1.0, 2.0, 3.0, 4.0]);
        let moved = regrid(&field, &corners(&field, |r, c| (r - 1.0, c + 0.5)), 1, 2);
        assert_eq!((moved.values, moved.cover), (vec![3.0, 3.5], vec![0.5, 1.0]));
    }

    #[test]
    fn overlaps_of_coarse_cells_add_up_to_the_fine_ones() {
        for (n, side) in
            [(1024, 32.0), (1000, 34.3), (7, 2.5), (10, 64.0), (3 * 343, 343.0), (15, 0.1 * 50.0)]
        {
            let overlaps = overlaps(n, side);
            let sum: f64 = overlaps.iter().flat_map(|(_, lengths)| lengths).sum();
            assert!((sum - n as f64).abs() < ROUNDING, "{n} cells of {side}");
            assert_eq!(overlaps.len(), (n as f64 / side).ceil() as usize);
        }
    }
}
