use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::{Result, Scaling, Source};

/// What a user says of a raster that the raster does not say itself, or says wrongly.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Declared {
    /// The number that stands for no data.
    pub nodata: Option<Nodata>,
    /// How numbers become the quantity.
    pub scaling: Option<Scaling>,
}

/// Which number stands for no data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Nodata {
    /// This one, as the file has it, before any scale.
    Number(f64),
    /// None besides what the file declares: numbers that look like it are data.
    None,
}

impl Declared {
    /// Opens a raster and takes the user's word.
    ///
    /// # Errors
    /// As [`Source::open`].
    pub fn open(&self, path: &Path) -> Result<Source> {
        let mut source = Source::open(path)?;
        if let Some(Nodata::Number(nodata)) = self.nodata {
            source = source.with_nodata(nodata);
        }
        if let Some(scaling) = self.scaling {
            source = source.with_scaling(scaling);
        }
        Ok(source)
    }
}

impl fmt::Display for Nodata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::None => f.write_str("none"),
        }
    }
}

impl FromStr for Nodata {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text == "none" {
            return Ok(Self::None);
        }
        text.parse().map(Self::Number).map_err(|_| format!("want a number or none, got {text}"))
    }
}
