use crate::checked::Checked;
use crate::row_group::{Joined, RowGroup};
use crate::{Error, Frame, Made, Result, Spec, Values};
use polars::io::SerReader;
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
    let mut packed = Vec::new();
    ParquetWriter::new(&mut packed)
        .with_compression(ParquetCompression::Zstd(None))
        .finish(&mut frame)
        .expect("typed columns of equal length are always written to memory");
    Joined::write(path, RowGroup::from_bytes(packed), made.pairs(&R::SPEC.tag()))
}

/// Reads a table, its contract tag first.
///
/// # Errors
/// [`Error::Io`], [`Error::Damaged`], [`Error::Tag`] or [`Error::Column`].
pub fn read<R: Record>(path: &Path) -> Result<Vec<R>> {
    let (frame, _) = read_frame(path, &R::SPEC, None, None)?;
    R::from_frame(&frame)
}

/// All key-value metadata of a Parquet file: contract tag, maker, flags, seed, hashes of inputs.
///
/// # Errors
/// [`Error::Io`] or [`Error::Damaged`].
pub fn tags(path: &Path) -> Result<Vec<(String, String)>> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    Ok(Checked::open(path, &file, "the stage that made it")?.pairs())
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

/// Reads columns (all, or those named) and rows (all, or `(first, count)`), after checking the tag, checksums and size.
pub(crate) fn read_frame(
    path: &Path,
    spec: &Spec,
    columns: Option<Vec<String>>,
    rows: Option<(usize, usize)>,
) -> Result<(Frame, Vec<(String, String)>)> {
    let file = File::open(path).map_err(Error::io(path, "read"))?;
    let checked = Checked::open(path, &file, spec.made_by)?;
    let pairs = checked.pairs();
    let got = pairs.iter().find(|(key, _)| key == "contract").map_or("no contract tag", |(_, tag)| tag);
    if got != spec.tag() {
        return Err(Error::Tag {
            path: path.into(),
            want: spec.tag(),
            got: got.to_owned(),
            maker: spec.made_by,
        });
    }
    let most_bytes = checked.check(columns.as_deref(), rows)?;
    let again = file.try_clone().map_err(Error::io(path, "read"))?;
    let frame = decode(path, spec.made_by, || {
        ParquetReader::new(again).with_columns(columns).with_slice(rows).set_rechunk(true).finish()
    })?;
    Ok((Frame::new(path, spec, frame, most_bytes), pairs))
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

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(160).collect()
}
