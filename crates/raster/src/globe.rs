//! Longitudes from -180° to 180°, also for files that count them from 0° to 360° or beyond.

use std::ops::Range;

use crate::{Affine, Grid};

/// What two grids around the globe may differ by, in pixels.
const TOLERANCE_PX: f64 = 1e-3;

const CIRCLE_DEG: f64 = 360.0;

/// How many columns of a file lie east of its first column as it is shown: a raster around the globe can begin anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(usize);

impl Turn {
    /// Whether columns are where the file has them.
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The columns of the file behind `width` columns from `col` on: a run, and the run after it where the file's last column lies between.
    pub fn parts(self, col: usize, width: usize, n: usize) -> [Range<usize>; 2] {
        let start = if col + self.0 >= n { col + self.0 - n } else { col + self.0 };
        let end = start + width;
        if self.is_none() || end <= n { [start..end, 0..0] } else { [start..n, 0..end - n] }
    }
}

/// A grid in degrees moved to longitudes up to 180°, and how its columns are turned for it; other grids as they are.
pub(crate) fn on_the_globe(grid: Grid) -> (Grid, Turn) {
    let Affine { west, pixel_width, .. } = grid.transform;
    let (width_deg, none) = (grid.width as f64 * pixel_width, Turn(0));
    let east = west + width_deg;
    let beyond = east > CIRCLE_DEG / 2.0 + pixel_width || west < -CIRCLE_DEG / 2.0 - pixel_width;
    // What could not be degrees is not looked up.
    if !beyond
        || width_deg > CIRCLE_DEG + pixel_width
        || west.abs() > 2.0 * CIRCLE_DEG
        || !grid.crs.is_geographic()
    {
        return (grid, none);
    }
    let moved = |west: f64| Grid { transform: Affine { west, ..grid.transform }, ..grid.clone() };
    let middle = west + width_deg / 2.0;
    let around = (width_deg - CIRCLE_DEG).abs() <= TOLERANCE_PX * pixel_width;
    if !around {
        // A grid across 180° stays in one piece.
        let rounds = if middle.abs() > CIRCLE_DEG / 2.0 { (middle / CIRCLE_DEG).round() } else { 0.0 };
        return (if rounds == 0.0 { grid } else { moved(west - CIRCLE_DEG * rounds) }, none);
    }
    // The first column whose middle lies at 180° or beyond comes first.
    let round = ((west + pixel_width / 2.0 + CIRCLE_DEG / 2.0) / CIRCLE_DEG).floor() * CIRCLE_DEG;
    let first = ((round + CIRCLE_DEG / 2.0 - west) / pixel_width - 0.5).ceil().max(0.0) as usize % grid.width;
    let shown =
        if first == 0 { west - round } else { west + first as f64 * pixel_width - round - CIRCLE_DEG };
    (moved(shown), Turn(first))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Crs;

    fn shown(west: f64, pixel_width: f64, width: usize) -> (f64, Turn) {
        let transform = Affine { west, north: 10.0, pixel_width, pixel_height: 1.0 };
        let (grid, turn) = on_the_globe(Grid { height: 4, width, transform, crs: Crs::wgs84().unwrap() });
        assert_eq!((grid.height, grid.width, grid.transform.north), (4, width, 10.0));
        (grid.transform.west, turn)
    }

    #[test]
    fn longitudes_are_shown_from_180_west_to_180_east() {
        assert_eq!(shown(-180.0, 0.5, 720), (-180.0, Turn(0)));
        assert_eq!(shown(0.0, 0.5, 720), (-180.0, Turn(360)));
        assert_eq!(shown(-0.25, 0.5, 720), (-180.25, Turn(360)), "a column around 180° itself comes first");
        assert_eq!(shown(20.0, 1.0, 360), (-180.0, Turn(160)));
        assert_eq!(shown(180.0, 1.0, 360), (-180.0, Turn(0)));
        assert_eq!(shown(463.5, 0.5, 60), (103.5, Turn(0)));
        assert_eq!(shown(200.0, 0.5, 60), (-160.0, Turn(0)));
        assert_eq!(shown(170.0, 0.5, 30), (170.0, Turn(0)), "in one piece across 180°");
        assert_eq!(shown(100.0, 0.5, 60), (100.0, Turn(0)));
    }

    #[test]
    fn every_column_of_a_turned_raster_is_read_once() {
        let (n, turn) = (10, Turn(4));
        for col in 0..n {
            for width in 1..=n - col {
                let [first, second] = turn.parts(col, width, n);
                let found: Vec<usize> = first.chain(second).collect();
                let wanted: Vec<usize> = (col..col + width).map(|c| (c + 4) % n).collect();
                assert_eq!(found, wanted);
            }
        }
        assert_eq!(Turn(0).parts(2, 3, n), [2..5, 0..0]);
    }
}
