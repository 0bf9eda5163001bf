use std::path::{Path, PathBuf};

use gdal::errors::GdalError;

use crate::Dtype;

/// What went wrong with a raster or a coordinate system: the file, what was wanted, what was found, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is absent, unreadable, or no raster of an allowed kind.
    #[error(
        "{}: want a GeoTIFF, JPEG 2000 or PNG raster, found {found}; fetch or make it again",
        path.display()
    )]
    Open {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system or GDAL said.
        found: String,
    },
    /// The raster has no usable place on the ground.
    #[error(
        "{}: want a north-up raster with a coordinate system, found {found}; rewrite it with gdalwarp",
        path.display()
    )]
    Georeference {
        /// The file that was opened.
        path: PathBuf,
        /// What is missing or unusual.
        found: String,
    },
    /// The raster asks for more memory than any honest input does.
    #[error(
        "{}: want at most {limit_bytes} bytes of {what}, found {found_bytes}; {cure}",
        path.display()
    )]
    TooLarge {
        /// The file that was opened.
        path: PathBuf,
        /// Which part is too large.
        what: &'static str,
        /// The bound.
        limit_bytes: u64,
        /// What the header claims.
        found_bytes: u64,
        /// What to do.
        cure: &'static str,
    },
    /// A file of polygons is absent, of another kind, or holds none.
    #[error(
        "{}: want polygons in a GeoJSON file, GeoPackage, FlatGeobuf or shapefile, found {found}; {cure}",
        path.display()
    )]
    Shapes {
        /// The file that was asked for.
        path: PathBuf,
        /// What the operating system or GDAL said.
        found: String,
        /// What to do.
        cure: String,
    },
    /// A window or band that lies outside the raster was asked for.
    #[error("{}: want {wanted}, found {found}; check the grid that the window comes from", path.display())]
    Outside {
        /// The file that was opened.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// What the file holds.
        found: String,
    },
    /// The pixel type does not fit the type asked for without loss.
    #[error("{}: want pixels that fit {wanted}, found {found}; convert the file first", path.display())]
    Dtype {
        /// The file that was opened.
        path: PathBuf,
        /// The type asked for.
        wanted: Dtype,
        /// The type in the file, or GDAL's name of it.
        found: String,
    },
    /// A block does not decode: the file is truncated or damaged.
    #[error(
        "{}: want readable pixels in band {band} at row {row}, column {col}, found {found}; the file is damaged, fetch or make it again",
        path.display()
    )]
    Decode {
        /// The file that was opened.
        path: PathBuf,
        /// Band, counted from 1.
        band: usize,
        /// First row of the window.
        row: usize,
        /// First column of the window.
        col: usize,
        /// What GDAL said.
        found: String,
    },
    /// A coordinate system is not understood, or points do not transform.
    #[error(
        "want {wanted}, found {found}; give a coordinate system as EPSG:<code> or WKT, and points inside its area"
    )]
    Crs {
        /// What was asked for.
        wanted: String,
        /// What came instead.
        found: String,
    },
    /// Pixels and grid of an output do not fit each other.
    #[error("{wanted}, found {found}: the caller's bands and grid disagree")]
    Shape {
        /// What the grid asks for.
        wanted: String,
        /// What was given.
        found: String,
    },
    /// The output cannot be written.
    #[error("{}: want to write a Cloud Optimized GeoTIFF, found {found}; check space and permissions", path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// What GDAL or the operating system said.
        found: String,
    },
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// GDAL's own words, without the wrapper's.
pub(crate) fn said(error: GdalError) -> String {
    let text = match error {
        GdalError::CplError { msg, .. } | GdalError::NullPointer { msg, .. } => msg,
        // Its own text shows how Rust holds the message.
        GdalError::InvalidCoordinateRange { msg, .. } => msg.unwrap_or_default(),
        other => other.to_string(),
    };
    let text = text.trim();
    if text.is_empty() {
        return "an error that GDAL does not describe".to_owned();
    }
    text.replace('\n', " ")
}

pub(crate) fn open_error(path: &Path, found: impl Into<String>) -> Error {
    Error::Open { path: path.to_owned(), found: found.into() }
}
