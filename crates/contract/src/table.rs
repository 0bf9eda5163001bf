use crate::{Error, Frame, Made, Result, Spec, Values, file::Whole};
use polars::io::{SerReader, parquet::write::KeyValueMetadata};
use polars::prelude::{DataFrame, ParquetCompression, ParquetReader, ParquetWriter};
use std::fs::File;
use std::path::Path;

/// A row of a table that passes between stages.
pub trait Record: Sized {
    /// The table.
    const SPEC: Spec;
    /// The rows as columns, in the order of the spec.
    fn to_columns(rows: &[Self]) -> Vec<Values>;
    /// The rows of a table that was read.
    ///
    /// # Errors
    /// [`Error::Column`] for a column that is absent, of another type, or not of its form.
    fn from_frame(frame: &Frame) -> Result<Vec<Self>>;
}

/// Writes a whole table with its contract tag and provenance.
///
/// # Errors
/// [`Error::Io`] or [`Error::Busy`]; the old file is then untouched.
pub fn write<R: Record>(path: &Path, rows: &[R], made: &Made) -> Result<()> {
    let mut frame = to_frame(&R::SPEC, R::to_columns(rows), rows.len());
    let mut whole = Whole::begin(path)?;
    ParquetWriter::new(whole.file())
        .with_compression(ParquetCompression::Zstd(None))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(made.pairs(&R::SPEC.tag()))))
        .finish(&mut frame)
        .map_err(|e| write_error(path, &e))?;
    whole.commit()
}

/// Reads a table, its contract tag first.
///
/// # Errors
/// [`Error::Io`], [`Error::Damaged`], [`Error::Tag`] or [`Error::Column`].
pub fn read<R: Record>(path: &Path) -> Result<Vec<R>> {
    let (frame, _) = read_frame(path, &R::SPEC, None, None)?;
    R::from_frame(&Frame::new(path, &R::SPEC, frame))
}

/// All key-value metadata of a Parquet file: contract tag, maker, flags, seed, hashes of inputs.
///
/// # Errors
/// [`Error::Io`] or [`Error::Damaged`].
pub fn tags(path: &Path) -> Result<Vec<(String, String)>> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    decode(path, "the stage that made it", || {
        let mut reader = ParquetReader::new(file);
        let meta = reader.get_metadata()?;
        Ok(meta
            .key_value_metadata()
            .iter()
            .flatten()
            .filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?)))
            .collect())
    })
}

fn to_frame(spec: &Spec, columns: Vec<Values>, n_rows: usize) -> DataFrame {
    assert_eq!(
        columns.len(),
        spec.columns.len(),
        "table {} has another number of columns than its spec",
        spec.name
    );
    let named = spec.columns.iter().zip(columns).map(|(column, values)| {
        assert_eq!(
            values.kind(),
            column.kind,
            "{}.{} is of another kind than its spec",
            spec.name,
            column.name
        );
        assert!(
            column.nullable || values.n_missing() == 0,
            "{}.{} has gaps and must not",
            spec.name,
            column.name
        );
        values.into_series(column.name)
    });
    DataFrame::new(n_rows, named.collect()).expect("all columns come from the same rows")
}

/// Reads columns (all, or those named) and rows (all, or `(first, count)`), after checking the tag.
pub(crate) fn read_frame(
    path: &Path,
    spec: &Spec,
    columns: Option<Vec<String>>,
    rows: Option<(usize, usize)>,
) -> Result<(DataFrame, Vec<(String, String)>)> {
    let pairs = tags(path).map_err(|e| match e {
        Error::Damaged { path, reason, .. } => Error::Damaged { path, reason, maker: spec.made_by },
        other => other,
    })?;
    let got = pairs.iter().find(|(key, _)| key == "contract").map_or("no contract tag", |(_, tag)| tag);
    if got != spec.tag() {
        return Err(Error::Tag {
            path: path.into(),
            want: spec.tag(),
            got: got.to_owned(),
            maker: spec.made_by,
        });
    }
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let frame = decode(path, spec.made_by, || {
        ParquetReader::new(file).with_columns(columns).with_slice(rows).set_rechunk(true).finish()
    })?;
    Ok((frame, pairs))
}

/// Runs a decoder of foreign bytes: its error or its panic becomes [`Error::Damaged`].
fn decode<T>(
    path: &Path,
    maker: &'static str,
    read: impl FnOnce() -> polars::prelude::PolarsResult<T>,
) -> Result<T> {
    let damaged = |reason: &str| Error::Damaged { path: path.into(), reason: first_line(reason), maker };
    match crate::caught(read) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(damaged(&error.to_string())),
        None => Err(damaged("the decoder gave up")),
    }
}

fn write_error(path: &Path, error: &polars::prelude::PolarsError) -> Error {
    Error::Io {
        path: path.into(),
        action: "write",
        source: std::io::Error::other(first_line(&error.to_string())),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}
