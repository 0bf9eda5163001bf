//! Which pixels of a raster hold data: the one place that decides it, for all readers.
//!
//! GDAL knows four ways to say "no data", and this is its order: a mask in the file, a mask in a file beside it (`NAME.msk`), values of all bands
//! together (`NODATA_VALUES`); without any of these, the no-data value. A band of opacity counts besides: what is wholly transparent is no
//! data, whatever the band's type and place. A pixel that is not a number never is data.
//!
//! Left out: transparent entries of a table of colours.

use std::path::{Path, PathBuf};

use gdal::raster::ColorInterpretation;
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, Metadata};

use crate::error::{open_error, said};
use crate::{Dtype, Real, Result, Scaling, Source, Window};

/// The driver of a mask beside a file: a VRT could name others.
const MASK_DRIVERS: [&str; 1] = ["GTiff"];

/// GDAL's flag of a mask that all bands share.
const SHARED: u32 = 2;

/// What says, besides the values of a band itself, where data is.
#[derive(Debug)]
pub(crate) struct Mask {
    kind: Kind,
    /// The band of opacity, counted from 1.
    alpha: Option<usize>,
}

#[derive(Debug)]
enum Kind {
    /// Nothing.
    None,
    /// A mask that GDAL finds in the file itself.
    Inside,
    /// A file beside it: one band for all, or one a band.
    Beside { dataset: Dataset, shared: bool },
}

impl Mask {
    /// Looks for the masks of an open file.
    pub fn of(path: &Path, dataset: &Dataset) -> Result<Self> {
        let n_bands = dataset.raster_count();
        let is_alpha = |band: &usize| {
            let band = dataset.rasterband(*band);
            band.is_ok_and(|band| band.color_interpretation() == ColorInterpretation::AlphaBand)
        };
        // A band alone is not its own opacity.
        let alpha = (1..=n_bands).filter(|_| n_bands > 1).find(is_alpha);
        let first = dataset.rasterband(1).map_err(|e| open_error(path, said(e)))?;
        let flags = first.mask_flags().map_err(|e| open_error(path, said(e)))?;
        let inside = flags.is_per_dataset() && !flags.is_alpha();
        let kind = if inside { Kind::Inside } else { beside(path, dataset)? };
        Ok(Self { kind, alpha })
    }

    fn is_any(&self) -> bool {
        self.alpha.is_some() || !matches!(self.kind, Kind::None)
    }

    /// How many masks to read for some bands: one where they share it.
    fn n_of(&self, n_bands: usize) -> usize {
        if matches!(self.kind, Kind::Beside { shared: false, .. }) { n_bands } else { n_bands.min(1) }
    }
}

/// A mask in a file beside another.
fn beside(path: &Path, dataset: &Dataset) -> Result<Kind> {
    let mut name = path.as_os_str().to_owned();
    name.push(".msk");
    let path = PathBuf::from(name);
    if !path.is_file() {
        return Ok(Kind::None);
    }
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY
            | GdalOpenFlags::GDAL_OF_RASTER
            | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&MASK_DRIVERS),
        ..DatasetOptions::default()
    };
    let mask = Dataset::open_ex(&path, options).map_err(|e| open_error(&path, said(e)))?;
    // GDAL's own tag of such files; without it they hold no mask that GDAL would use.
    let flags = mask.metadata_item("INTERNAL_MASK_FLAGS_1", "").and_then(|text| text.parse::<u32>().ok());
    let Some(flags) = flags else { return Ok(Kind::None) };
    let shared = flags & SHARED != 0;
    let n_bands = if shared { 1 } else { dataset.raster_count() };
    if mask.raster_size() != dataset.raster_size() || mask.raster_count() < n_bands {
        let ((width, height), n) = (mask.raster_size(), mask.raster_count());
        return Err(open_error(
            &path,
            format!("a mask of {height} x {width} pixels in {n} bands, not as its raster"),
        ));
    }
    Ok(Kind::Beside { dataset: mask, shared })
}

impl Source {
    /// Whether a mask or a band of opacity says which pixels are data, besides their values.
    pub fn is_masked(&self) -> bool {
        self.mask.is_any()
    }

    /// The band of opacity, counted from 1: it is a mask, and no band of the picture.
    pub fn alpha(&self) -> Option<usize> {
        self.mask.alpha
    }

    /// The value of a band's pixels that stands for "no data"; none where a mask takes its place.
    pub fn nodata(&self) -> Option<f64> {
        self.nodata.filter(|_| self.is_declared || matches!(self.mask.kind, Kind::None))
    }

    /// Which pixels of a window are data in any of some bands (counted from 1) by masks and opacity: 1 for data, `[height, width]`; false, and
    /// all 1, where there are none. What the values say ([`Source::nodata`]) comes on top: [`Source::read_values`] knows both.
    ///
    /// # Errors
    /// As [`Source::read_window`].
    pub fn read_mask(&self, bands: &[usize], window: Window, known: &mut Vec<u8>) -> Result<bool> {
        bands.iter().try_for_each(|band| self.check_window(*band, window))?;
        known.clear();
        known.resize(window.len(), u8::from(!self.is_masked()));
        if !self.is_masked() {
            return Ok(false);
        }
        let mut mask = vec![1u8; window.len()];
        for &band in bands.iter().take(self.mask.n_of(bands.len())) {
            self.read_one_mask(band, window, &mut mask)?;
            known.iter_mut().zip(&mask).for_each(|(known, mask)| *known |= u8::from(*mask > 0));
        }
        if let Some(alpha) = self.mask.alpha.filter(|alpha| bands != [*alpha]) {
            // Parts of one are opacity too.
            let mut opacity = vec![0f32; window.len()];
            self.read_from(&self.band(alpha)?, alpha, window, &mut opacity)?;
            known.iter_mut().zip(&opacity).for_each(|(known, opacity)| *known &= u8::from(*opacity > 0.0));
        }
        Ok(true)
    }

    /// The mask of a band as it is; untouched where there is none.
    fn read_one_mask(&self, band: usize, window: Window, mask: &mut [u8]) -> Result<()> {
        match &self.mask.kind {
            Kind::None => Ok(()),
            Kind::Inside => {
                let of = self.band(band)?;
                let of = of.open_mask_band().map_err(|e| open_error(self.path(), said(e)))?;
                self.read_from(&of, band, window, mask)
            }
            Kind::Beside { dataset, shared } => {
                let of = dataset.rasterband(if *shared { 1 } else { band });
                let of = of.map_err(|e| open_error(self.path(), said(e)))?;
                self.read_from(&of, band, window, mask)
            }
        }
    }

    /// Reads a window of a band (counted from 1) as the quantity that it holds: scaled as the file says, and not a number where there is no
    /// data. `[height, width]`, into memory that was used before; infinities stay.
    ///
    /// # Errors
    /// As [`Source::read_window`].
    pub fn read_values<T: Real>(&self, band: usize, window: Window, values: &mut Vec<T>) -> Result<()> {
        if !self.dtype().fits(T::DTYPE) || (self.dtype() == Dtype::F64 && T::DTYPE == Dtype::F32) {
            // No-data values of wide types have no equal among narrow ones.
            let mut wide: Vec<f64> = Vec::new();
            self.read_values(band, window, &mut wide)?;
            values.clear();
            values.extend(wide.into_iter().map(T::of_f64));
            return Ok(());
        }
        if window.height < self.block_shape()?.0 {
            // Parts of blocks come again and again, and GDAL keeps a few unpacked.
            self.read_anew(band, window, values)?;
        } else {
            self.read_window_together(band, window, values)?;
        }
        if let Some(nodata) = self.nodata() {
            blank(values, T::of_f64(nodata), matches!(self.dtype(), Dtype::F32 | Dtype::F64));
        }
        let mut known = Vec::new();
        if self.is_masked() && self.read_mask(&[band], window, &mut known)? {
            let hidden = values.iter_mut().zip(&known).filter(|(_, known)| **known == 0);
            hidden.for_each(|(value, _)| *value = T::NAN);
        }
        let scaling = self.scaling(band);
        if scaling != Scaling::NONE {
            values.iter_mut().for_each(|value| *value = T::of_f64(scaling.of(value.to_f64())));
        }
        Ok(())
    }
}

/// Makes no-data values not a number. Floats are compared as GDAL does: a text of six digits and a number of four bytes are the same value.
fn blank<T: Real>(values: &mut [T], nodata: T, float: bool) {
    let blank = |value: &mut T, same: bool| *value = if same { T::NAN } else { *value };
    if float {
        values.iter_mut().for_each(|value| blank(value, T::is_close(*value, nodata)));
    } else {
        values.iter_mut().for_each(|value| blank(value, value.to_f64() == nodata.to_f64()));
    }
}
