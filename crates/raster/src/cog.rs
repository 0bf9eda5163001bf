use std::path::Path;

use contract::file::Whole;
use gdal::cpl::CslStringList;
use gdal::raster::{Buffer, ColorEntry, ColorTable};
use gdal::spatial_ref::SpatialRef;
use gdal::{Dataset, DriverManager};

use crate::error::said;
use crate::painted::sizes;
use crate::streamed::{Levels, Stopped};
use crate::tiff::Template;
use crate::{Dtype, Error, Grid, Pixel, Result, Window, halve, lost_writes};

/// Side of a block of a COG.
pub(crate) const BLOCK_PX: usize = 512;

/// Files of many bands have smaller blocks: halved until all bands of one fit.
const MAX_BLOCK_BYTES: usize = 4 << 20;
const SMALLEST_BLOCK_PX: usize = 128;

/// One band of an output.
#[derive(Debug, Clone, Copy)]
pub struct BandOut<'a, T> {
    /// The band's name, as `score_share` or `B04`.
    pub name: &'a str,
    /// The unit of its values, as `share` or `1e-4 reflectance`.
    pub unit: &'a str,
    /// Its pixels, `[height, width]`.
    pub pixels: &'a [T],
}

/// How a COG's smaller copies are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overviews {
    /// Means of the valid pixels: for quantities.
    Average,
    /// The nearest pixel: for classes.
    Nearest,
    /// No smaller copies.
    None,
}

/// How a COG is written. The default is for intermediate files: fast, lossless.
#[derive(Debug, Clone)]
pub struct CogOptions {
    /// ZSTD level, 1 (fast) to 22 (small).
    pub zstd_level: u8,
    /// How overviews are made.
    pub overviews: Overviews,
    /// The value of pixels without data.
    pub nodata: Option<f64>,
    /// Tags of the file, for provenance. They must not depend on time or place.
    pub tags: Vec<(String, String)>,
    /// Red, green, blue and opacity of each value, for a single band of `u8`.
    pub colours: Option<Vec<[u8; 4]>>,
}

impl Default for CogOptions {
    fn default() -> Self {
        Self { zstd_level: 1, overviews: Overviews::Average, nodata: None, tags: Vec::new(), colours: None }
    }
}

/// Writes bands as one Cloud Optimized GeoTIFF, whole or not at all.
///
/// # Errors
/// [`Error::Shape`] where pixels do not fit the grid, [`Error::Write`] where the file cannot be written; an old file then stays.
pub fn write_cog<T: Pixel>(
    path: &Path,
    grid: &Grid,
    bands: &[BandOut<'_, T>],
    options: &CogOptions,
) -> Result<()> {
    let mut canvas = Canvas::new(grid, bands.len())?;
    for (index, band) in bands.iter().enumerate() {
        canvas.name(index + 1, band.name, band.unit)?;
        canvas.put(index + 1, 0, 0, grid.height, grid.width, band.pixels)?;
    }
    canvas.write_cog(path, options)
}

/// An output raster in the making, filled window by window and band by band.
///
/// [`Canvas::new`] keeps it in memory; [`Canvas::beside`] keeps it in a hidden file, so that memory does not grow with the raster.
#[derive(Debug)]
pub struct Canvas<T> {
    grid: Grid,
    /// Name and unit of each band.
    bands: Vec<(String, String)>,
    dataset: Dataset,
    // Removed after the dataset is closed: fields are dropped in this order.
    scratch: Option<Whole>,
    lost_before: usize,
    pixel: std::marker::PhantomData<T>,
}

impl<T: Pixel> Canvas<T> {
    /// An empty canvas (zeros) of `n_bands` bands, in memory.
    ///
    /// # Errors
    /// [`Error::Shape`] where the grid or the number of bands is nothing that can be held.
    pub fn new(grid: &Grid, n_bands: usize) -> Result<Self> {
        Self::made("MEM", Path::new(""), &[], grid, n_bands)
    }

    /// An empty canvas in a hidden, unpacked file beside `path`, the output to be: it takes the pixels' size on the disk and a third for the
    /// overviews. It goes with the canvas; what a killed process leaves is taken over by the next one that makes the same output.
    ///
    /// # Errors
    /// As [`Canvas::new`], and [`Error::Write`] where the file cannot be made.
    pub fn beside(path: &Path, grid: &Grid, n_bands: usize) -> Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let refuse = |found: String| Error::Write { path: path.to_owned(), found };
        let scratch = Whole::begin(&path.with_file_name(format!("{name}.pixels")))
            .map_err(|e| refuse(e.to_string()))?;
        let side = BLOCK_PX.to_string();
        // Bands apart, so that a caller may fill one after the other; sparse, so that no zeros are written before the pixels.
        let layout = [
            ("TILED", "YES"),
            ("BLOCKXSIZE", side.as_str()),
            ("BLOCKYSIZE", side.as_str()),
            ("INTERLEAVE", "BAND"),
            ("BIGTIFF", "YES"),
            ("SPARSE_OK", "TRUE"),
            ("PHOTOMETRIC", if T::DTYPE == Dtype::U8 && n_bands == 3 { "RGB" } else { "MINISBLACK" }),
            ("ALPHA", "NO"),
        ];
        let canvas = Self::made("GTiff", scratch.part(), &layout, grid, n_bands)?;
        Ok(Self { scratch: Some(scratch), ..canvas })
    }

    fn made(
        driver: &str,
        place: &Path,
        layout: &[(&str, &str)],
        grid: &Grid,
        n_bands: usize,
    ) -> Result<Self> {
        crate::set_up();
        let refuse = |found: String| Error::Shape {
            wanted: "a grid with pixels, at least one band and a coordinate system".to_owned(),
            found,
        };
        if grid.is_empty() || n_bands == 0 {
            return Err(refuse(format!("{n_bands} bands of {} x {} pixels", grid.height, grid.width)));
        }
        let lost_before = lost_writes::count();
        let make = || -> gdal::errors::Result<Dataset> {
            let driver = DriverManager::get_driver_by_name(driver)?;
            let mut creation = CslStringList::new();
            for (key, value) in layout {
                creation.set_name_value(key, value)?;
            }
            let mut dataset = driver.create_with_band_type_with_options::<T, _>(
                place,
                grid.width,
                grid.height,
                n_bands,
                &creation,
            )?;
            dataset.set_geo_transform(&grid.transform.to_gdal())?;
            dataset.set_spatial_ref(&SpatialRef::from_wkt(grid.crs.wkt())?)?;
            Ok(dataset)
        };
        Ok(Self {
            grid: grid.clone(),
            bands: vec![Default::default(); n_bands],
            dataset: make().map_err(|e| refuse(said(e)))?,
            scratch: None,
            lost_before,
            pixel: std::marker::PhantomData,
        })
    }

    /// Names a band, counted from 1, and its unit.
    ///
    /// # Errors
    /// [`Error::Shape`] where there is no such band.
    pub fn name(&mut self, band: usize, name: &str, unit: &str) -> Result<()> {
        let place = band.checked_sub(1).and_then(|place| self.bands.get_mut(place));
        match place {
            Some(place) => *place = (name.to_owned(), unit.to_owned()),
            None => return Err(self.no_band(band)),
        }
        Ok(())
    }

    /// Puts a window of pixels, `[height, width]`, into a band, counted from 1.
    ///
    /// # Errors
    /// [`Error::Shape`] where the window leaves the grid or the pixels do not fill it.
    pub fn put(
        &mut self,
        band: usize,
        row: usize,
        col: usize,
        height: usize,
        width: usize,
        pixels: &[T],
    ) -> Result<()> {
        let inside = row + height <= self.grid.height && col + width <= self.grid.width;
        if !inside || pixels.len() != height * width {
            return Err(Error::Shape {
                wanted: format!(
                    "{height} x {width} pixels at row {row}, column {col} of a grid of {} x {}",
                    self.grid.height, self.grid.width
                ),
                found: format!("{} pixels", pixels.len()),
            });
        }
        if pixels.is_empty() {
            return Ok(());
        }
        let mut buffer = Buffer::new((width, height), pixels.to_vec());
        let mut target = self.dataset.rasterband(band).map_err(|_| self.no_band(band))?;
        target.write((col as isize, row as isize), (width, height), &mut buffer).map_err(|e| {
            match &self.scratch {
                Some(scratch) => Error::Write { path: scratch.part().to_owned(), found: said(e) },
                None => Error::Shape { wanted: format!("to hold band {band}"), found: said(e) },
            }
        })
    }

    /// Writes the canvas as one Cloud Optimized GeoTIFF, whole or not at all.
    ///
    /// # Errors
    /// [`Error::Write`] where the file cannot be written; an old file then stays. [`Error::Shape`] for a colour table that does not apply.
    pub fn write_cog(mut self, path: &Path, options: &CogOptions) -> Result<()> {
        let bands: Vec<_> = self.bands.iter().map(|(name, unit)| (name.as_str(), unit.as_str())).collect();
        let template = Template::of::<T>(&self.grid, &bands, options)?;
        let refuse = |found: String| Error::Write { path: path.to_owned(), found };
        let mut whole = Whole::begin(path).map_err(|e| refuse(e.to_string()))?;
        self.add_overviews(options).map_err(|e| refuse(said(e)))?;
        let sizes = sizes(&self.grid, options.overviews);
        let (block_px, n_bands) = (block_px(self.bands.len() * size_of::<T>()), self.bands.len());
        let levels = Levels { template: &template, sizes: &sizes, block_px, n_bands, options };
        let read = |level: usize, window: Window, bands: &mut [Vec<T>]| {
            self.read(level, window, bands).map_err(said)
        };
        levels.write(whole.file(), read).map_err(|stopped| match stopped {
            Stopped::Read(found) => refuse(found),
            Stopped::Write(error) => refuse(error.to_string()),
        })?;
        if let Some(lost) = lost_writes::since(self.lost_before) {
            return Err(refuse(lost));
        }
        whole.commit().map_err(|e| refuse(e.to_string()))
    }

    /// Reads back a window of all bands, of the raster or of a smaller copy.
    fn read(&self, level: usize, window: Window, bands: &mut [Vec<T>]) -> gdal::errors::Result<()> {
        let Window { row, col, height, width } = window;
        for (index, pixels) in (1..).zip(bands) {
            let band = self.dataset.rasterband(index)?;
            let band = if level == 0 { band } else { band.overview(level - 1)? };
            band.read_into_slice(
                (col as isize, row as isize),
                (width, height),
                (width, height),
                pixels,
                None,
            )?;
        }
        Ok(())
    }

    /// Overviews are made in the canvas: GDAL would make them in files beside the output, which a killed process leaves behind.
    fn add_overviews(&mut self, options: &CogOptions) -> gdal::errors::Result<()> {
        for index in 1..=self.bands.len() {
            if options.nodata.is_some() {
                self.dataset.rasterband(index)?.set_no_data_value(options.nodata)?;
            }
        }
        let levels = self.overview_levels(options.overviews);
        if levels.is_empty() {
            return Ok(());
        }
        if self.scratch.is_some() {
            self.dataset.build_overviews("NONE", &levels, &[])?;
            return halve::fill::<T>(&self.dataset, options.overviews, options.nodata);
        }
        let method = if options.overviews == Overviews::Average { "AVERAGE" } else { "NEAREST" };
        self.dataset.build_overviews(method, &levels, &[])
    }

    /// Halves the raster until it fits one block.
    fn overview_levels(&self, kind: Overviews) -> Vec<i32> {
        let longest = self.grid.height.max(self.grid.width);
        let wanted = |level: &usize| kind != Overviews::None && longest.div_ceil(level / 2) > BLOCK_PX;
        (1..).map(|halvings| 1 << halvings).take_while(wanted).map(|level| level as i32).collect()
    }

    fn no_band(&self, band: usize) -> Error {
        Error::Shape { wanted: format!("one of {} bands", self.bands.len()), found: format!("band {band}") }
    }
}

/// The side of a block: all bands of a block are packed together, and a reader or writer holds several.
pub(crate) fn block_px(pixel_bytes: usize) -> usize {
    let sides = std::iter::successors(Some(BLOCK_PX), |side| Some(side / 2));
    sides
        .take_while(|side| *side >= SMALLEST_BLOCK_PX)
        .find(|side| side * side * pixel_bytes <= MAX_BLOCK_BYTES)
        .unwrap_or(SMALLEST_BLOCK_PX)
}

pub(crate) fn colour_table(colours: &[[u8; 4]]) -> ColorTable<'static> {
    let mut table = ColorTable::default();
    for (value, [red, green, blue, opacity]) in (0u16..).zip(colours) {
        let entry = ColorEntry::rgba((*red).into(), (*green).into(), (*blue).into(), (*opacity).into());
        table.set_color_entry(value, &entry);
    }
    table
}
