use crate::{Error, Kind, Result, Spec};
use polars::prelude::{self as pl, DataFrame, IntoColumn, NamedFrom};
use std::path::{Path, PathBuf};

/// The values of one column.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Values {
    Text(Vec<Option<String>>),
    Bool(Vec<Option<bool>>),
    U32(Vec<Option<u32>>),
    U64(Vec<Option<u64>>),
    F64(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Values {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Text(_) => Kind::Text,
            Self::Bool(_) => Kind::Bool,
            Self::U32(_) => Kind::U32,
            Self::U64(_) => Kind::U64,
            Self::F64(_) => Kind::F64,
            Self::Bytes(_) => Kind::Bytes,
        }
    }

    pub(crate) fn n_missing(&self) -> usize {
        fn count<T>(values: &[Option<T>]) -> usize {
            values.iter().filter(|v| v.is_none()).count()
        }
        match self {
            Self::Text(v) => count(v),
            Self::Bool(v) => count(v),
            Self::U32(v) => count(v),
            Self::U64(v) => count(v),
            Self::F64(v) => count(v),
            Self::Bytes(v) => count(v),
        }
    }

    pub(crate) fn into_series(self, name: &str) -> pl::Column {
        let name = pl::PlSmallStr::from(name);
        match self {
            Self::Text(v) => pl::Series::new(name, v),
            Self::Bool(v) => pl::Series::new(name, v),
            Self::U32(v) => pl::Series::new(name, v),
            Self::U64(v) => pl::Series::new(name, v),
            Self::F64(v) => pl::Series::new(name, v),
            Self::Bytes(v) => {
                let v: Vec<Option<&[u8]>> = v.iter().map(Option::as_deref).collect();
                pl::Series::new(name, v)
            }
        }
        .into_column()
    }
}

/// A table that was read: its columns by name, each checked against the table's [`Spec`].
pub struct Frame {
    path: PathBuf,
    maker: &'static str,
    frame: DataFrame,
    most_bytes: u64,
}

macro_rules! getters {
    ($($need:ident $may:ident $type:ty, $cast:ident, $own:expr, $size:expr, $words:literal;)*) => {$(
        #[doc = concat!("A column of ", $words, " without gaps.\n\n# Errors\n[`Error::Column`] if it is absent, of another type, or has a gap.")]
        pub fn $need(&self, name: &str) -> Result<Vec<$type>> {
            let all = self.$may(name)?;
            let n = all.len();
            let full: Vec<$type> = all.into_iter().flatten().collect();
            if full.len() == n {
                return Ok(full);
            }
            Err(self.bad(name, "without gaps", format!("{} gaps in {n} rows", n - full.len())))
        }
        #[doc = concat!("A column of ", $words, " where a value may be missing.\n\n# Errors\n[`Error::Column`] if it is absent or of another type.")]
        pub fn $may(&self, name: &str) -> Result<Vec<Option<$type>>> {
            let column = self.frame.column(name).map_err(|_| self.bad(name, concat!("of ", $words), "no such column".into()))?;
            let typed = column.as_materialized_series().$cast().map_err(|_| {
                self.bad(name, concat!("of ", $words), format!("type {}", column.dtype()))
            })?;
            let n_bytes: u64 = typed.iter().flatten().map(|v| $size(&v)).sum();
            if n_bytes > self.most_bytes {
                let want = format!("of at most {} bytes in a file of its size", self.most_bytes);
                return Err(self.bad(name, &want, format!("{n_bytes} bytes")));
            }
            Ok(typed.iter().map(|v| v.map($own)).collect())
        }
    )*};
}

/// Values of a fixed size are counted before they are decoded.
fn none<T>(_: &T) -> u64 {
    0
}

impl Frame {
    /// `most_bytes` is what the texts of a column may take together: a dictionary lets a small file repeat a long one.
    pub(crate) fn new(path: &Path, spec: &Spec, frame: DataFrame, most_bytes: u64) -> Self {
        Self { path: path.into(), maker: spec.made_by, frame, most_bytes }
    }

    /// The file that the table came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// An [`Error::Column`] about this table.
    pub fn bad(&self, column: &str, want: &str, got: String) -> Error {
        Error::Column {
            path: self.path.clone(),
            column: column.into(),
            want: want.into(),
            got,
            maker: self.maker,
        }
    }

    getters! {
        text may_text String, str, str::to_owned, |v: &&str| v.len() as u64, "text";
        bools may_bools bool, bool, std::convert::identity, none, "true or false";
        u32s may_u32s u32, u32, std::convert::identity, none, "whole numbers";
        u64s may_u64s u64, u64, std::convert::identity, none, "whole numbers";
        f64s may_f64s f64, f64, std::convert::identity, none, "numbers";
        bytes may_bytes Vec<u8>, binary, <[u8]>::to_vec, |v: &&[u8]| v.len() as u64, "bytes";
    }

    /// A column of text, each parsed as an id.
    ///
    /// # Errors
    /// [`Error::Column`] naming the first text that does not parse.
    pub fn ids<T: std::str::FromStr<Err = Error>>(&self, name: &str) -> Result<Vec<T>> {
        let parse = |text: String| text.parse().map_err(|e: Error| self.bad(name, "of ids", e.to_string()));
        self.text(name)?.into_iter().map(parse).collect()
    }
}
