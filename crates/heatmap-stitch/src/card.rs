//! Granules as the tables that `kernels/score_fill.cu` fills maps from, on a graphics card or wherever that file is compiled.
//!
//! A granule is drawn alone, on a grid of its own coordinate system: a table of cells for each band, and the row and column of cells over each row and
//! column of pixels. Both come from the same code as [`crate::stitch::stitch`], which is the reference: the kernel only copies, so its pixels are the
//! same to the bit. Left out: granules that overlap, see [`crate::stitch::Mosaic`].

use raster::Grid;

use crate::layer::Layer;
use crate::place::Placed;
use crate::stitch::alone;

/// Bands of a map: score, standard deviation, scenes, outside.
pub const BANDS: usize = 4;

/// Pixel rows that a thread of the kernel writes.
pub const ROWS_A_THREAD: usize = 32;

/// Pixels of a row that a thread of the kernel writes.
pub const COLUMNS_A_THREAD: usize = 4;

/// Numbers of 32 bits in the kernel's `Granule`.
pub const GRANULE_WORDS: usize = 8;

/// What the kernel reads: granules one after the other, each band of one a granule of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tables {
    /// The kernel's `Granule`s, its `first_pixel` as two numbers.
    pub granules: Vec<[u32; GRANULE_WORDS]>,
    /// The row of cells over each row of pixels.
    pub rows: Vec<u16>,
    /// The column of cells over each column of pixels.
    pub columns: Vec<u16>,
    /// Rows of cells, the last row and column of each granule empty.
    pub cells: Vec<f32>,
    /// Pixels of all granules.
    pub n_pixels: usize,
    most_height: usize,
    most_width: usize,
}

impl Tables {
    /// The first `n_bands` bands of granules, each with the grid it is drawn on; `None` where there are more cells or pixels than the kernel counts.
    #[must_use]
    pub fn of(granules: &[(&Layer, &Grid)], n_bands: usize) -> Option<Tables> {
        let mut tables = Tables::default();
        for (layer, grid) in granules {
            tables.add(layer, grid, n_bands.min(BANDS))?;
        }
        Some(tables)
    }

    /// Blocks of the kernel across, down and in depth, for blocks of so many threads.
    #[must_use]
    pub fn blocks(&self, threads: usize) -> [u32; 3] {
        let across = self.most_width.div_ceil(threads * COLUMNS_A_THREAD);
        [across as u32, self.most_height.div_ceil(ROWS_A_THREAD) as u32, self.granules.len() as u32]
    }

    /// The place of a granule's pixels among all.
    #[must_use]
    pub fn first_pixel(&self, granule: usize) -> usize {
        let words = &self.granules[granule];
        words[6] as usize | (words[7] as usize) << 32
    }

    fn add(&mut self, layer: &Layer, grid: &Grid, n_bands: usize) -> Option<()> {
        let (n_rows, n_columns) = (layer.ys_m.len() - 1, layer.xs_m.len() - 1);
        let placed = Placed::aligned(layer, grid, 0.0);
        let (down, across) = placed.axes.as_ref()?;
        let place = |cell: Option<usize>, empty: usize| u16::try_from(cell.unwrap_or(empty)).ok();
        let (first_row, first_column) = (self.rows.len(), self.columns.len());
        for row in 0..grid.height {
            self.rows.push(place(down.cell(row), n_rows)?);
        }
        for column in 0..grid.width {
            self.columns.push(place(across.cell(column), n_columns)?);
        }
        let cell = |i: usize| {
            let (row, column) = (i / (n_columns + 1), i % (n_columns + 1));
            alone((row < n_rows && column < n_columns).then(|| layer.cell(row, column)).flatten())
        };
        let values: Vec<[f32; BANDS]> = (0..(n_rows + 1) * (n_columns + 1)).map(cell).collect();
        for band in 0..n_bands {
            let counts = [grid.height, grid.width, n_columns + 1, first_row, first_column, self.cells.len()];
            let [height, width, cell_columns, first_row, first_column, first_cell] =
                counts.map(|count| u32::try_from(count).ok());
            self.granules.push([
                height?,
                width?,
                cell_columns?,
                first_row?,
                first_column?,
                first_cell?,
                self.n_pixels as u32,
                (self.n_pixels >> 32) as u32,
            ]);
            self.cells.extend(values.iter().map(|bands| bands[band]));
            self.n_pixels += grid.len().next_multiple_of(COLUMNS_A_THREAD);
        }
        self.most_height = self.most_height.max(grid.height);
        self.most_width = self.most_width.max(grid.width);
        Some(())
    }
}
