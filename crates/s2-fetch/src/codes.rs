//! A scene classification (SCL) as the scene's own, finer grid sees it.

use anyhow::bail;
use raster::{Grid, Source, Window};

use crate::scl;

/// An open classification that covers a scene.
#[derive(Debug)]
pub(crate) struct Codes {
    source: Source,
    window: Window,
    /// Pixels of the scene along a side of a pixel of the classification.
    ratio: usize,
    /// Row and column of the scene's corner in the classification, counted in pixels of the scene.
    corner: (usize, usize),
    /// The scene's grid.
    grid: Grid,
}

impl Codes {
    /// Lays a classification, of which only `window` may be read, on a scene's grid.
    ///
    /// # Errors
    /// If it holds no codes, or does not cover the scene with pixels a whole number as large.
    pub fn open(source: Source, window: Window, grid: &Grid) -> anyhow::Result<Self> {
        scl::check(&source)?;
        let own = window.grid(source.grid());
        let ratio = (own.transform.pixel_width / grid.transform.pixel_width).round().max(1.0) as usize;
        let mut fine = own.clone();
        fine.transform.pixel_width /= ratio as f64;
        fine.transform.pixel_height /= ratio as f64;
        (fine.height, fine.width) = (own.height * ratio, own.width * ratio);
        let inside =
            |(row, col): &(usize, usize)| row + grid.height <= fine.height && col + grid.width <= fine.width;
        let corner =
            fine.offset_of(grid).and_then(|(row, col)| Some((row.try_into().ok()?, col.try_into().ok()?)));
        let Some(corner) = corner.filter(inside) else {
            bail!(
                "{}: want a scene classification that covers the scene's pixels whole, found {} x {} pixels of {} m elsewhere; \
                 check the catalogue's SCL asset, or take the file to the scene's grid with gdalwarp -r near",
                source.path().display(),
                own.height,
                own.width,
                own.transform.pixel_width
            );
        };
        Ok(Self { source, window, ratio, corner, grid: grid.clone() })
    }

    /// The codes of the scene's pixels of a tile: `[height, width]`.
    ///
    /// # Errors
    /// If the file cannot be read or holds no codes.
    pub fn read(&self, tile: Window) -> anyhow::Result<Vec<u8>> {
        let ratio = self.ratio;
        let (row, col) = (self.corner.0 + tile.row, self.corner.1 + tile.col);
        let (first_row, first_col) = (row / ratio, col / ratio);
        let height = (row + tile.height).div_ceil(ratio) - first_row;
        let width = (col + tile.width).div_ceil(ratio) - first_col;
        let (top, left) = (self.window.row + first_row, self.window.col + first_col);
        let codes = scl::codes(&self.source, Window { row: top, col: left, height, width })?;
        let mut fine = Vec::with_capacity(tile.len());
        for row in row..row + tile.height {
            let line = &codes[(row / ratio - first_row) * width..][..width];
            fine.extend((col..col + tile.width).map(|col| line[col / ratio - first_col]));
        }
        Ok(fine)
    }

    /// The classification's own pixels under the scene, where they begin at its corner: later stages read them so.
    pub fn own_window(&self) -> Option<Window> {
        let (row, col) = self.corner;
        let begins = row.is_multiple_of(self.ratio) && col.is_multiple_of(self.ratio);
        let pixels = |n: usize| n.div_ceil(self.ratio);
        begins.then(|| Window {
            row: self.window.row + row / self.ratio,
            col: self.window.col + col / self.ratio,
            height: pixels(self.grid.height),
            width: pixels(self.grid.width),
        })
    }

    /// The open file.
    pub fn source(&self) -> &Source {
        &self.source
    }
}
