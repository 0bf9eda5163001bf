use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gdal::raster::RasterBand;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};

use crate::blocks::Blocks;
use crate::error::{open_error, said};
use crate::globe::{Turn, on_the_globe};
use crate::mask::Mask;
use crate::opening::{colour, file_bytes, gdal_name, grid_of, one_dtype, scalings};
use crate::{Dtype, Error, Grid, Pixel, Result, Scaling, Window, honest};

/// Drivers that decode one file and nothing else. A VRT names other files and is none of them.
const ALLOWED_DRIVERS: [&str; 3] = ["GTiff", "JP2OpenJPEG", "PNG"];

/// The largest window that is read in one piece.
pub const MAX_WINDOW_BYTES: u64 = 4 << 30;

/// The least side of the tiles in which a mask is proved.
const PROVED_PX: usize = 512;

/// A georeferenced raster, open for reading.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    dataset: Dataset,
    grid: Grid,
    turn: Turn,
    n_bands: usize,
    dtype: Dtype,
    scaling: Vec<Scaling>,
    pub(crate) nodata: Option<f64>,
    /// Whether a user declared it: then it holds besides masks.
    pub(crate) is_declared: bool,
    pub(crate) mask: Mask,
    blocks: OnceCell<Option<Blocks>>,
    /// Blocks at the lower edge whose checksums are right.
    proved: RefCell<BTreeSet<usize>>,
}

impl Source {
    /// Opens a GeoTIFF (also packed, `.tif.gz`), JPEG 2000 or PNG with a coordinate system. Longitudes beyond 180° are shown from -180° on.
    ///
    /// # Errors
    /// Refuses a file of another kind (a VRT above all), one without a north-up place on the ground, one with mixed or unknown pixel
    /// types or an impossible scale, and one whose header asks for memory that its length does not justify.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        crate::set_up();
        let path = path.as_ref().to_owned();
        let file_bytes = file_bytes(&path)?;
        let options = DatasetOptions {
            open_flags: GdalOpenFlags::GDAL_OF_READONLY
                | GdalOpenFlags::GDAL_OF_RASTER
                | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
            allowed_drivers: Some(&ALLOWED_DRIVERS),
            ..DatasetOptions::default()
        };
        let dataset = Dataset::open_ex(gdal_name(&path), options).map_err(|e| open_error(&path, said(e)))?;
        let dtype = one_dtype(&path, &dataset)?;
        let (grid, turn) = on_the_globe(grid_of(&path, &dataset)?);
        let n_bands = dataset.raster_count();
        let scaling = scalings(&path, &dataset)?;
        let first = dataset.rasterband(1).map_err(|e| open_error(&path, said(e)))?;
        let (nodata, mask) = (first.no_data_value(), Mask::of(&path, &dataset)?);
        let blocks = OnceCell::new();
        let source = Self {
            n_bands,
            path,
            dataset,
            grid,
            turn,
            dtype,
            scaling,
            nodata,
            is_declared: false,
            mask,
            blocks,
            proved: RefCell::default(),
        };
        let pixel_bytes = dtype.bytes() * n_bands;
        honest::check(&source.path, &source.grid, source.block_shape()?, pixel_bytes, file_bytes)?;
        Ok(source)
    }

    /// Takes a value for "no data" that the file does not declare, or another than it declares.
    #[must_use]
    pub fn with_nodata(self, nodata: f64) -> Self {
        Self { nodata: Some(nodata), is_declared: true, ..self }
    }

    /// Takes another scaling than the file's, for all bands.
    #[must_use]
    pub fn with_scaling(mut self, scaling: Scaling) -> Self {
        self.scaling.fill(scaling);
        self
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the pixels lie.
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Number of bands; they are counted from 1.
    pub fn n_bands(&self) -> usize {
        self.n_bands
    }

    /// The type of a pixel, the same in all bands.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// From the numbers of a band, counted from 1, to its quantity, as the file says: GDAL's scale and offset.
    pub fn scaling(&self, band: usize) -> Scaling {
        self.scaling.get(band.wrapping_sub(1)).copied().unwrap_or(Scaling::NONE)
    }

    /// The bands' names, in order: their description, else the colour that they are, else an empty text.
    pub fn band_names(&self) -> Vec<String> {
        let name = |band| {
            let band = self.dataset.rasterband(band).ok()?;
            let described = band.description().ok().filter(|text| !text.is_empty());
            described.or_else(|| colour(band.color_interpretation()).map(str::to_owned))
        };
        (1..=self.n_bands).map(|band| name(band).unwrap_or_default()).collect()
    }

    /// A tag of the file: domain `""` is the ordinary one.
    pub fn tag(&self, domain: &str, key: &str) -> Option<String> {
        self.dataset.metadata_item(key, domain)
    }

    /// A tag of a band, counted from 1: domain `""` is the ordinary one, and holds `unit` in files made here.
    pub fn band_tag(&self, band: usize, domain: &str, key: &str) -> Option<String> {
        let band = self.dataset.rasterband(band).ok()?;
        band.metadata_item(key, domain)
    }

    /// Height and width of the blocks in which the file is stored.
    pub fn block_shape(&self) -> Result<(usize, usize)> {
        let (width, height) = self.band(1)?.block_size();
        Ok((height, width))
    }

    /// Reads a window of a band (counted from 1), row after row: `[height, width]`.
    ///
    /// # Errors
    /// [`Error::Outside`] beyond the raster, [`Error::Dtype`] where pixels do not fit `T`, [`Error::Decode`] where the file is damaged.
    pub fn read_window<T: Pixel>(
        &self,
        band: usize,
        row: usize,
        col: usize,
        height: usize,
        width: usize,
    ) -> Result<Vec<T>> {
        let mut pixels = Vec::new();
        self.read_anew(band, Window { row, col, height, width }, &mut pixels)?;
        Ok(pixels)
    }

    /// As [`Source::read_window`], into memory that was used before.
    pub(crate) fn read_anew<T: Pixel>(&self, band: usize, window: Window, pixels: &mut Vec<T>) -> Result<()> {
        self.check_window(band, window)?;
        self.check_dtype(T::DTYPE)?;
        honest::check_window(&self.path, window, T::DTYPE.bytes())?;
        pixels.resize(window.len(), T::default());
        self.read_into(band, window, pixels)
    }

    /// As [`Source::read_window`], into memory that was used before. The blocks of a plain GeoTIFF are unpacked by all threads.
    ///
    /// # Errors
    /// As [`Source::read_window`].
    pub fn read_window_together<T: Pixel>(
        &self,
        band: usize,
        window: Window,
        pixels: &mut Vec<T>,
    ) -> Result<()> {
        self.check_window(band, window)?;
        self.check_dtype(T::DTYPE)?;
        honest::check_window(&self.path, window, T::DTYPE.bytes())?;
        pixels.resize(window.len(), T::default());
        if self.open_blocks().and_then(|blocks| blocks.read(band - 1, window, pixels)).is_some() {
            return Ok(());
        }
        self.read_into(band, window, pixels)
    }

    /// Reads a window of several bands (counted from 1) into `pixels`: `[bands, height, width]`. A window inside one block decodes it once,
    /// also where the file keeps the bands of a pixel together.
    ///
    /// # Errors
    /// As [`Source::read_window`]; also [`Error::Shape`] where `pixels` is not of that size.
    pub fn read_bands_into<T: Pixel>(
        &self,
        bands: &[usize],
        (row, col): (usize, usize),
        (height, width): (usize, usize),
        pixels: &mut [T],
    ) -> Result<()> {
        self.check_dtype(T::DTYPE)?;
        if pixels.len() != bands.len() * height * width {
            return Err(Error::Shape {
                wanted: format!("room for {} bands of {height} x {width} pixels", bands.len()),
                found: format!("{} pixels", pixels.len()),
            });
        }
        let window = Window { row, col, height, width };
        for (&band, plane) in bands.iter().zip(pixels.chunks_exact_mut((height * width).max(1))) {
            self.check_window(band, window)?;
            self.read_into(band, window, plane)?;
        }
        Ok(())
    }

    /// Reads a whole band (counted from 1): `[height, width]`.
    ///
    /// # Errors
    /// As [`Source::read_window`].
    pub fn read_band<T: Pixel>(&self, band: usize) -> Result<Vec<T>> {
        self.read_window(band, 0, 0, self.grid.height, self.grid.width)
    }

    /// Decodes every block of every band and of its mask, and keeps none: proof that the file is whole.
    ///
    /// # Errors
    /// [`Error::Decode`] naming the first block that does not decode.
    pub fn prove(&self) -> Result<()> {
        let all = Window::of(&self.grid);
        self.prove_window(all)?;
        let mut known = Vec::new();
        let side_px = self.block_shape()?.0.max(PROVED_PX);
        let mut masked = all.tiles(side_px).filter(|_| self.is_masked());
        masked.try_for_each(|tile| self.read_mask(&[1], tile, &mut known).map(drop))
    }

    /// Decodes every block that has a pixel in the window, and no other.
    ///
    /// # Errors
    /// [`Error::Outside`] beyond the raster, [`Error::Decode`] naming the first block that does not decode.
    pub fn prove_window(&self, window: Window) -> Result<()> {
        let Window { row, col, height, width } = window;
        self.check_window(1, window)?;
        let (block_height, block_width) = self.block_shape()?;
        let mut pixels = vec![0u8; block_height * block_width];
        let blocks = |start: usize, n: usize, block: usize| {
            let first = start / block * block;
            (first..start + n).step_by(block).map(move |at| (at.max(start), (at + block).min(start + n)))
        };
        for (top, bottom) in blocks(row, height, block_height) {
            for (left, right) in blocks(col, width, block_width) {
                let part = Window { row: top, col: left, height: bottom - top, width: right - left };
                for band in 1..=self.n_bands {
                    self.read_into(band, part, &mut pixels[..part.len()])?;
                }
            }
        }
        Ok(())
    }

    pub(crate) fn band(&self, band: usize) -> Result<RasterBand<'_>> {
        self.dataset.rasterband(band).map_err(|_| Error::Outside {
            path: self.path.clone(),
            wanted: format!("band {band}"),
            found: format!("bands 1 to {}", self.n_bands),
        })
    }

    fn read_into<T: Pixel>(&self, band: usize, window: Window, pixels: &mut [T]) -> Result<()> {
        self.read_from(&self.band(band)?, band, window, pixels)?;
        self.prove_lower_edge(band, window)
    }

    /// Holds the blocks at the lower edge to their checksums, each once.
    fn prove_lower_edge(&self, band: usize, window: Window) -> Result<()> {
        let (block_height, _) = self.block_shape()?;
        let whole_px = self.grid.height / block_height.max(1) * block_height;
        if window.row + window.height <= whole_px || !self.turn.is_none() {
            return Ok(());
        }
        let Some(blocks) = self.open_blocks() else { return Ok(()) };
        let cols = window.col..window.col + window.width;
        if blocks.are_whole_below(band - 1, cols, &mut self.proved.borrow_mut()) {
            return Ok(());
        }
        let (path, row, col) = (self.path.clone(), whole_px, window.col);
        Err(Error::Decode { path, band, row, col, found: "a wrong checksum".to_owned() })
    }

    fn open_blocks(&self) -> Option<&Blocks> {
        let size = (self.grid.height, self.grid.width);
        let open = || Blocks::open(&self.path, size, self.n_bands, self.dtype);
        self.blocks.get_or_init(|| if self.turn.is_none() { open() } else { None }).as_ref()
    }

    /// Reads a window from a band, or from the mask of one (`band` is the number for errors).
    pub(crate) fn read_from<T: Pixel>(
        &self,
        from: &RasterBand<'_>,
        band: usize,
        window: Window,
        pixels: &mut [T],
    ) -> Result<()> {
        let Window { row, col, height, width } = window;
        let read = |col: usize, width: usize, pixels: &mut [T]| {
            from.read_into_slice((col as isize, row as isize), (width, height), (width, height), pixels, None)
                .map_err(|e| Error::Decode { path: self.path.clone(), band, row, col, found: said(e) })
        };
        let [first, second] = self.turn.parts(col, width, self.grid.width);
        if second.is_empty() {
            return read(first.start, width, pixels);
        }
        let mut start = 0;
        for part in [first, second] {
            let mut columns = vec![T::default(); height * part.len()];
            read(part.start, part.len(), &mut columns)?;
            for (line, from) in pixels.chunks_exact_mut(width).zip(columns.chunks_exact(part.len())) {
                line[start..start + part.len()].copy_from_slice(from);
            }
            start += part.len();
        }
        Ok(())
    }

    fn check_dtype(&self, wanted: Dtype) -> Result<()> {
        if self.dtype.fits(wanted) {
            return Ok(());
        }
        Err(Error::Dtype { path: self.path.clone(), wanted, found: self.dtype.to_string() })
    }

    pub(crate) fn check_window(&self, band: usize, window: Window) -> Result<()> {
        let Window { row, col, height, width } = window;
        let inside = |start: usize, n: usize, end: usize| {
            n > 0 && start.checked_add(n).is_some_and(|stop| stop <= end)
        };
        if (1..=self.n_bands).contains(&band)
            && inside(row, height, self.grid.height)
            && inside(col, width, self.grid.width)
        {
            return Ok(());
        }
        Err(Error::Outside {
            path: self.path.clone(),
            wanted: format!("band {band}, {height} x {width} pixels at row {row}, column {col}"),
            found: format!("{} bands of {} x {} pixels", self.n_bands, self.grid.height, self.grid.width),
        })
    }
}
