use crate::Grid;

/// A rectangle of pixels of a raster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// First row.
    pub row: usize,
    /// First column.
    pub col: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Window {
    /// All pixels of a grid.
    pub fn of(grid: &Grid) -> Self {
        Self { row: 0, col: 0, height: grid.height, width: grid.width }
    }

    /// Number of pixels.
    pub fn len(&self) -> usize {
        self.height * self.width
    }

    /// Whether it holds no pixel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The grid of the window's pixels within `grid`.
    pub fn grid(&self, grid: &Grid) -> Grid {
        grid.window(self.row as i64, self.col as i64, self.height, self.width)
    }

    /// Cuts the window into pieces of at most `side_px` a side, row after row; every pixel is in exactly one of them.
    ///
    /// # Panics
    /// If `side_px` is 0.
    pub fn tiles(self, side_px: usize) -> impl Iterator<Item = Self> {
        let rows = (0..self.height).step_by(side_px);
        rows.flat_map(move |row| {
            let cols = (0..self.width).step_by(side_px);
            cols.map(move |col| Self {
                row: self.row + row,
                col: self.col + col,
                height: side_px.min(self.height - row),
                width: side_px.min(self.width - col),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_hold_every_pixel_of_a_window_exactly_once() {
        for (height, width, side_px) in [(1, 1, 4), (10, 7, 3), (8, 8, 4), (5, 9, 100)] {
            let window = Window { row: 3, col: 2, height, width };
            let mut n_seen = vec![0; height * width];
            for tile in window.tiles(side_px) {
                assert!(!tile.is_empty() && tile.height <= side_px && tile.width <= side_px);
                for row in tile.row..tile.row + tile.height {
                    for col in tile.col..tile.col + tile.width {
                        n_seen[(row - 3) * width + col - 2] += 1;
                    }
                }
            }
            assert!(n_seen.iter().all(|n| *n == 1), "{height} x {width} by {side_px}");
        }
    }
}
