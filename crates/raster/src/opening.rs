//! What is asked of a file when it is opened.

use std::path::{Path, PathBuf};

use gdal::raster::{ColorInterpretation, RasterBand};
use gdal::{Dataset, Metadata};

use crate::error::{open_error, said};
use crate::pixel::of_gdal;
use crate::{Affine, Crs, Dtype, Error, Grid, Result, Scaling};

/// The colour that a band is.
pub(crate) fn colour(interpretation: ColorInterpretation) -> Option<&'static str> {
    match interpretation {
        ColorInterpretation::RedBand => Some("red"),
        ColorInterpretation::GreenBand => Some("green"),
        ColorInterpretation::BlueBand => Some("blue"),
        ColorInterpretation::AlphaBand => Some("alpha"),
        _ => None,
    }
}

/// The file as GDAL is asked for it: a packed one is unpacked while it is read.
pub(crate) fn gdal_name(path: &Path) -> PathBuf {
    if path.extension().is_none_or(|extension| extension != "gz") {
        return path.to_owned();
    }
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut name = std::ffi::OsString::from("/vsigzip/");
    name.push(whole);
    name.into()
}

/// The length of an ordinary file; this also keeps GDAL's virtual paths (`/vsicurl/...`, inline XML) out.
pub(crate) fn file_bytes(path: &Path) -> Result<u64> {
    let found = std::fs::metadata(path).map_err(|e| open_error(path, e.to_string()))?;
    if !found.is_file() {
        return Err(open_error(path, "something that is no ordinary file"));
    }
    if found.len() == 0 {
        return Err(open_error(path, "an empty file"));
    }
    Ok(found.len())
}

/// The type of all pixels.
pub(crate) fn one_dtype(path: &Path, dataset: &Dataset) -> Result<Dtype> {
    let mut types = Vec::new();
    for band in dataset.rasterbands() {
        let band = band.map_err(|e| open_error(path, said(e)))?;
        // GDAL gives them as unsigned ones, with another value each.
        if band.metadata_item("PIXELTYPE", "IMAGE_STRUCTURE").is_some_and(|kind| kind == "SIGNEDBYTE") {
            return Err(open_error(path, "pixels of type Int8 (convert them with gdal_translate -ot Int16)"));
        }
        types.push(band.band_type());
    }
    let first = *types.first().ok_or_else(|| open_error(path, "a file without bands"))?;
    if types.iter().any(|t| *t != first) {
        return Err(open_error(path, "bands of different pixel types"));
    }
    of_gdal(first).ok_or_else(|| open_error(path, format!("pixels of type {}", first.name())))
}

/// GDAL's scale and offset of each band.
pub(crate) fn scalings(path: &Path, dataset: &Dataset) -> Result<Vec<Scaling>> {
    let scaling = |band: gdal::errors::Result<RasterBand<'_>>| {
        let band = band.map_err(|e| open_error(path, said(e)))?;
        let scaling = Scaling { scale: band.scale().unwrap_or(1.0), offset: band.offset().unwrap_or(0.0) };
        if scaling.is_usable() {
            return Ok(scaling);
        }
        let found = format!("a scale of {} and an offset of {}", scaling.scale, scaling.offset);
        Err(open_error(path, found + " (take them off with gdal_edit.py -unsetmd, or write the right ones)"))
    };
    dataset.rasterbands().map(scaling).collect()
}

/// Where the pixels lie.
pub(crate) fn grid_of(path: &Path, dataset: &Dataset) -> Result<Grid> {
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
