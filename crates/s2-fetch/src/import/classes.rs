//! The classification of an imported scene, cut to it.

use std::path::Path;

use contract::SCL;
use raster::{Canvas, CogOptions, Grid, Overviews, Source, Window};

use crate::codes::Codes;
use crate::scl::{self, Shares};

/// Rows that are held at once.
const ROWS: usize = 512;

/// A classification over a scene, on its own pixels where these begin at the scene's corner, else on the scene's.
#[derive(Debug)]
pub(super) struct Classes {
    codes: Codes,
    own: Option<Window>,
    grid: Grid,
}

/// Opens a classification and proves that it is whole and covers the scene.
///
/// # Errors
/// If it does not, or holds no codes.
pub(super) fn open(path: &Path, grid: &Grid) -> anyhow::Result<Classes> {
    let source = Source::open(path)?;
    source.prove()?;
    let whole = Window::of(source.grid());
    let codes = Codes::open(source, whole, grid)?;
    let own = codes.own_window();
    let grid = own.map_or_else(|| grid.clone(), |window| window.grid(codes.source().grid()));
    Ok(Classes { codes, own, grid })
}

impl Classes {
    /// What it says of the scene.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn shares(&self) -> anyhow::Result<Shares> {
        scl::shares(self.codes.source(), self.own, None)
    }

    /// Writes it, cut to the scene.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn write(&self, out: &Path, tags: Vec<(String, String)>) -> anyhow::Result<()> {
        let mut canvas = Canvas::<u8>::beside(out, &self.grid, 1)?;
        canvas.name(1, SCL.bands[0].name, SCL.bands[0].unit)?;
        for row in (0..self.grid.height).step_by(ROWS) {
            let rows =
                Window { row, col: 0, height: ROWS.min(self.grid.height - row), width: self.grid.width };
            let codes = match self.own {
                Some(own) => {
                    scl::codes(self.codes.source(), Window { row: own.row + row, col: own.col, ..rows })?
                }
                None => self.codes.read(rows)?,
            };
            canvas.put(1, row, 0, rows.height, rows.width, &codes)?;
        }
        let options =
            CogOptions { overviews: Overviews::Nearest, nodata: SCL.nodata, tags, ..CogOptions::default() };
        Ok(canvas.write_cog(out, &options)?)
    }
}
