use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use gdal::raster::ColorInterpretation;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};

use crate::blocks::Blocks;
use crate::error::{open_error, said};
use crate::{Affine, Crs, Dtype, Error, Grid, Pixel, Result, Window};

/// Drivers that decode one file and nothing else. A VRT names other files and is none of them.
const ALLOWED_DRIVERS: [&str; 3] = ["GTiff", "JP2OpenJPEG", "PNG"];

/// The largest window that is read in one piece.
pub const MAX_WINDOW_BYTES: u64 = 4 << 30;

/// The largest block (tile or strip) that a file may ask to be decoded.
const MAX_BLOCK_BYTES: u64 = 512 << 20;

/// Above [`MAX_WINDOW_BYTES`] of pixels a file must hold at least one byte for this many, or it is a decompression bomb.
const MAX_EXPANSION: u64 = 20_000;

/// A georeferenced raster, open for reading.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    dataset: Dataset,
    grid: Grid,
    n_bands: usize,
    dtype: Dtype,
    blocks: OnceCell<Option<Blocks>>,
}

impl Source {
    /// Opens a GeoTIFF, JPEG 2000 or PNG with a coordinate system.
    ///
    /// # Errors
    /// Refuses a file of another kind (a VRT above all), one without a north-up place on the ground, one with mixed or unknown pixel
    /// types, and one whose header asks for absurd amounts of memory.
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
        let dataset = Dataset::open_ex(&path, options).map_err(|e| open_error(&path, said(e)))?;
        let dtype = one_dtype(&path, &dataset)?;
        let grid = grid_of(&path, &dataset)?;
        let n_bands = dataset.raster_count();
        let source = Self { n_bands, path, dataset, grid, dtype, blocks: OnceCell::new() };
        source.check_size(file_bytes)?;
        Ok(source)
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

    /// The value that stands for "no data", as the first band declares it.
    pub fn nodata(&self) -> Option<f64> {
        self.dataset.rasterband(1).ok()?.no_data_value()
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
        self.check_window(band, row, col, height, width)?;
        self.check_dtype(T::DTYPE)?;
        self.limit("pixels in one window", MAX_WINDOW_BYTES, bytes_of(height, width, T::DTYPE.bytes()))?;
        let mut pixels = vec![T::default(); height * width];
        self.read_into(band, (row, col), (height, width), &mut pixels)?;
        Ok(pixels)
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
        let Window { row, col, height, width } = window;
        self.check_window(band, row, col, height, width)?;
        self.check_dtype(T::DTYPE)?;
        self.limit("pixels in one window", MAX_WINDOW_BYTES, bytes_of(height, width, T::DTYPE.bytes()))?;
        pixels.resize(window.len(), T::default());
        let size = (self.grid.height, self.grid.width);
        let blocks = self.blocks.get_or_init(|| Blocks::open(&self.path, size, self.n_bands, self.dtype));
        if blocks.as_ref().and_then(|blocks| blocks.read(band - 1, window, pixels)).is_some() {
            return Ok(());
        }
        self.read_into(band, (row, col), (height, width), pixels)
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
        for (&band, plane) in bands.iter().zip(pixels.chunks_exact_mut((height * width).max(1))) {
            self.check_window(band, row, col, height, width)?;
            self.read_into(band, (row, col), (height, width), plane)?;
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

    /// Decodes every block of every band and keeps none: proof that the file is whole.
    ///
    /// # Errors
    /// [`Error::Decode`] naming the first block that does not decode.
    pub fn prove(&self) -> Result<()> {
        self.prove_window(Window::of(&self.grid))
    }

    /// Decodes every block that has a pixel in the window, and no other.
    ///
    /// # Errors
    /// [`Error::Outside`] beyond the raster, [`Error::Decode`] naming the first block that does not decode.
    pub fn prove_window(&self, window: Window) -> Result<()> {
        let Window { row, col, height, width } = window;
        self.check_window(1, row, col, height, width)?;
        let (block_height, block_width) = self.block_shape()?;
        let mut pixels = vec![0u8; block_height * block_width];
        let blocks = |start: usize, n: usize, block: usize| {
            let first = start / block * block;
            (first..start + n).step_by(block).map(move |at| (at.max(start), (at + block).min(start + n)))
        };
        for (top, bottom) in blocks(row, height, block_height) {
            for (left, right) in blocks(col, width, block_width) {
                let (height, width) = (bottom - top, right - left);
                for band in 1..=self.n_bands {
                    self.read_into(band, (top, left), (height, width), &mut pixels[..height * width])?;
                }
            }
        }
        Ok(())
    }

    fn band(&self, band: usize) -> Result<gdal::raster::RasterBand<'_>> {
        self.dataset.rasterband(band).map_err(|_| Error::Outside {
            path: self.path.clone(),
            wanted: format!("band {band}"),
            found: format!("bands 1 to {}", self.n_bands),
        })
    }

    fn read_into<T: Pixel>(
        &self,
        band: usize,
        (row, col): (usize, usize),
        (height, width): (usize, usize),
        pixels: &mut [T],
    ) -> Result<()> {
        self.band(band)?
            .read_into_slice((col as isize, row as isize), (width, height), (width, height), pixels, None)
            .map_err(|e| Error::Decode { path: self.path.clone(), band, row, col, found: said(e) })
    }

    fn check_dtype(&self, wanted: Dtype) -> Result<()> {
        if self.dtype.fits(wanted) {
            return Ok(());
        }
        Err(Error::Dtype { path: self.path.clone(), wanted, found: self.dtype.to_string() })
    }

    fn check_window(&self, band: usize, row: usize, col: usize, height: usize, width: usize) -> Result<()> {
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

    /// Refuses a header that would make GDAL, or us, ask for absurd memory or time.
    fn check_size(&self, file_bytes: u64) -> Result<()> {
        let (block_height, block_width) = self.block_shape()?;
        let pixel_bytes = self.dtype.bytes() * self.n_bands;
        let block = bytes_of(block_height, block_width, pixel_bytes);
        self.limit("pixels in one block", MAX_BLOCK_BYTES, block)?;
        let whole = bytes_of(self.grid.height, self.grid.width, pixel_bytes);
        let honest = MAX_WINDOW_BYTES.max(file_bytes.saturating_mul(MAX_EXPANSION));
        self.limit("pixels for a file of this length", honest, whole)
    }

    fn limit(&self, what: &'static str, limit_bytes: u64, found_bytes: u64) -> Result<()> {
        if found_bytes <= limit_bytes {
            return Ok(());
        }
        Err(Error::TooLarge { path: self.path.clone(), what, limit_bytes, found_bytes })
    }
}

fn colour(interpretation: ColorInterpretation) -> Option<&'static str> {
    match interpretation {
        ColorInterpretation::RedBand => Some("red"),
        ColorInterpretation::GreenBand => Some("green"),
        ColorInterpretation::BlueBand => Some("blue"),
        _ => None,
    }
}

fn bytes_of(height: usize, width: usize, pixel_bytes: usize) -> u64 {
    (height as u64).saturating_mul(width as u64).saturating_mul(pixel_bytes as u64)
}

/// The length of an ordinary file; this also keeps GDAL's virtual paths (`/vsicurl/...`, inline XML) out.
fn file_bytes(path: &Path) -> Result<u64> {
    let found = std::fs::metadata(path).map_err(|e| open_error(path, e.to_string()))?;
    if !found.is_file() {
        return Err(open_error(path, "something that is no ordinary file"));
    }
    if found.len() == 0 {
        return Err(open_error(path, "an empty file"));
    }
    Ok(found.len())
}

fn one_dtype(path: &Path, dataset: &Dataset) -> Result<Dtype> {
    let mut types = Vec::new();
    for band in dataset.rasterbands() {
        let band = band.map_err(|e| open_error(path, said(e)))?;
        types.push(band.band_type());
    }
    let first = *types.first().ok_or_else(|| open_error(path, "a file without bands"))?;
    if types.iter().any(|t| *t != first) {
        return Err(open_error(path, "bands of different pixel types"));
    }
    Dtype::of_gdal(first).ok_or_else(|| open_error(path, format!("pixels of type {}", first.name())))
}

fn grid_of(path: &Path, dataset: &Dataset) -> Result<Grid> {
    let refuse = |found: &str| Error::Georeference { path: path.to_owned(), found: found.to_owned() };
    let wkt = dataset.projection();
    if wkt.is_empty() {
        return Err(refuse("no coordinate system"));
    }
    let crs = Crs::from_text(&wkt).map_err(|_| refuse("a coordinate system that is not understood"))?;
    let geo = dataset.geo_transform().map_err(|_| refuse("no origin and pixel size"))?;
    let transform = Affine::from_gdal(geo).ok_or_else(|| refuse("a rotated, flipped or degenerate grid"))?;
    let (width, height) = dataset.raster_size();
    Ok(Grid { height, width, transform, crs })
}
