//! The classification of an imported scene, cut to it.

use std::path::Path;

use anyhow::bail;
use contract::SCL;
use raster::{Canvas, CogOptions, Grid, Overviews, Source, Window};

use crate::codes::Codes;
use crate::scl::{self, Class};

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
    /// The share of cloud in the scene, of its pixels with data.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn cloud_share(&self) -> anyhow::Result<f64> {
        let (mut n_cloud, mut n_data) = (0.0, 0.0);
        for rows in self.rows() {
            let shares = scl::shares_of(&self.read(rows)?);
            let with_data = shares.valid_share * shares.n_px as f64;
            (n_cloud, n_data) = (n_cloud + shares.cloud_share * with_data, n_data + with_data);
        }
        Ok(if n_data == 0.0 { 0.0 } else { n_cloud / n_data })
    }

    /// As many rows as are held at once, after each other.
    fn rows(&self) -> impl Iterator<Item = Window> {
        let (height, width) = (self.grid.height, self.grid.width);
        (0..height).step_by(ROWS).map(move |row| Window {
            row,
            col: 0,
            height: ROWS.min(height - row),
            width,
        })
    }

    fn read(&self, rows: Window) -> anyhow::Result<Vec<u8>> {
        let codes = match self.own {
            Some(own) => {
                scl::codes(self.codes.source(), Window { row: own.row + rows.row, col: own.col, ..rows })?
            }
            None => self.codes.read(rows)?,
        };
        if let Some(code) = codes.iter().find(|code| Class::of(**code).is_none()) {
            bail!(
                "{}: want a scene classification of Sentinel-2 (SCL), codes 0 to 11, found {code}; give another file with --scl",
                self.codes.source().path().display()
            );
        }
        Ok(codes)
    }

    /// Writes it, cut to the scene.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn write(&self, out: &Path, tags: Vec<(String, String)>) -> anyhow::Result<()> {
        let mut canvas = Canvas::<u8>::beside(out, &self.grid, 1)?;
        canvas.name(1, SCL.bands[0].name, SCL.bands[0].unit)?;
        for rows in self.rows() {
            canvas.put(1, rows.row, 0, rows.height, rows.width, &self.read(rows)?)?;
        }
        let options =
            CogOptions { overviews: Overviews::Nearest, nodata: SCL.nodata, tags, ..CogOptions::default() };
        Ok(canvas.write_cog(out, &options)?)
    }
}
