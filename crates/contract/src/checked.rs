//! A Parquet file before it is decoded: its footer, its checksums, and whether what it says of itself can be true of a file of its size.
//!
//! A file of a few megabytes can name a hundred million rows. What the rows and columns asked for would take in memory is reckoned from
//! row counts and page headers, and refused when it is far more than the bytes that hold it. Left out: decoding (see `table`).

use crate::pages::{self, Pages};
use crate::{Error, Result, seal};
use parquet::basic::Type;
use parquet::file::metadata::{
    ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// What a table may take in memory, whatever its file's size.
const FREE_BYTES: u64 = 512 << 20;
/// What it may take beyond that, for each byte of the chunks that are read.
const BYTES_A_BYTE: u64 = 64;
/// What a value takes beside its own bytes, as text with its length and place, or as a number.
const TEXT_BYTES: u64 = 64;
const NUMBER_BYTES: u64 = 16;
/// The length of the footer and `PAR1`, at the end of a file.
pub(crate) const TAIL_BYTES: u64 = 8;

/// A file whose footer is whole.
pub(crate) struct Checked<'a> {
    path: &'a Path,
    maker: &'static str,
    file: &'a File,
    n_bytes: u64,
    meta: ParquetMetaData,
    sums: Option<Vec<u32>>,
}

impl<'a> Checked<'a> {
    /// Reads the footer, and checks it where the file has checksums.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Damaged`].
    pub(crate) fn open(path: &'a Path, file: &'a File, maker: &'static str) -> Result<Self> {
        let damaged = |reason: &str| Error::Damaged { path: path.into(), reason: reason.to_owned(), maker };
        let n_bytes = file.metadata().map_err(Error::io(path, "read"))?.len();
        let footer = footer(file, n_bytes).map_err(Error::io(path, "read"))?;
        let footer = footer.ok_or_else(|| damaged("it has no footer"))?;
        let decoded = crate::caught(|| ParquetMetaDataReader::decode_metadata(&footer));
        let meta =
            decoded.and_then(std::result::Result::ok).ok_or_else(|| damaged("its footer cannot be read"))?;
        let mut checked = Self { path, maker, file, n_bytes, meta, sums: None };
        if checked.meta.file_metadata().created_by() == Some(seal::CREATED_BY) {
            checked.sums = seal::chunk_sums(&footer, checked.tag(seal::KEY)).map_err(damaged)?;
        }
        let n_chunks: usize = checked.meta.row_groups().iter().map(RowGroupMetaData::num_columns).sum();
        if checked.sums.as_ref().is_some_and(|sums| sums.len() != n_chunks) {
            return Err(damaged("it has more or fewer columns than checksums"));
        }
        Ok(checked)
    }

    fn damaged(&self, reason: String) -> Error {
        Error::Damaged { path: self.path.into(), reason, maker: self.maker }
    }

    fn tag(&self, key: &str) -> Option<&str> {
        let pairs = self.meta.file_metadata().key_value_metadata()?;
        pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
    }

    /// All key-value metadata.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        let pairs = self.meta.file_metadata().key_value_metadata().into_iter().flatten();
        pairs.filter_map(|kv| Some((kv.key.clone(), kv.value.clone()?))).collect()
    }

    /// Checks the columns (all, or those named) of the row groups that hold some rows (all, or `(first, count)`): checksums, and that
    /// they fit into what a file of this size may take. Returns the bytes that their values may take once decoded.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Damaged`].
    pub(crate) fn check(&self, columns: Option<&[String]>, rows: Option<(usize, usize)>) -> Result<u64> {
        let wanted = |column: &ColumnChunkMetaData| {
            let name = column.column_path().parts().first();
            columns.is_none_or(|columns| name.is_some_and(|name| columns.contains(name)))
        };
        let (first, count) = rows.map_or((0, u64::MAX), |(first, count)| (first as u64, count as u64));
        let (mut n_rows, mut chunk_at) = (0_u64, 0);
        let (mut chunks, mut packed, mut declared) = (Vec::new(), 0_u64, 0_u64);
        for group in self.meta.row_groups() {
            let here = self.count(group.num_rows())?;
            let is_read = n_rows < first.saturating_add(count) && n_rows.saturating_add(here) > first;
            n_rows = n_rows.saturating_add(here);
            for (i, column) in
                group.columns().iter().enumerate().filter(|(_, column)| is_read && wanted(column))
            {
                packed = packed.saturating_add(self.count(column.compressed_size())?);
                declared = declared.saturating_add(self.takes(column, here, 0)?);
                chunks.push((chunk_at + i, column, here));
            }
            chunk_at += group.num_columns();
        }
        let most = FREE_BYTES.saturating_add(BYTES_A_BYTE.saturating_mul(packed.min(self.n_bytes)));
        if declared > most {
            return Err(self.too_much(n_rows, declared));
        }
        let (mut buffer, mut found) = (Vec::new(), 0_u64);
        for (at, column, n_rows) in chunks {
            let pages = self.check_chunk(at, column, &mut buffer)?;
            if column.column_descr().max_rep_level() == 0 && pages.n_values != n_rows {
                let (path, n) = (column.column_path().string(), pages.n_values);
                return Err(self.damaged(format!("column {path} has {n} values in {n_rows} rows")));
            }
            found = found.saturating_add(self.takes(column, pages.n_values, pages.n_unpacked_bytes)?);
        }
        if found > most {
            return Err(self.too_much(n_rows, found));
        }
        Ok(most)
    }

    /// What the values of a chunk take in memory.
    fn takes(&self, column: &ColumnChunkMetaData, n_values: u64, n_bytes: u64) -> Result<u64> {
        let each = match column.column_type() {
            Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => TEXT_BYTES,
            _ => NUMBER_BYTES,
        };
        let n_bytes = n_bytes.max(self.count(column.uncompressed_size())?);
        Ok(n_bytes.saturating_add(n_values.max(self.count(column.num_values())?).saturating_mul(each)))
    }

    fn count(&self, n: i64) -> Result<u64> {
        u64::try_from(n).map_err(|_| self.damaged(format!("it says that it has {n} rows or bytes")))
    }

    fn too_much(&self, n_rows: u64, n_bytes: u64) -> Error {
        const BYTES_A_MB: u64 = 1 << 20;
        let (mb, file_mb) = (n_bytes / BYTES_A_MB, self.n_bytes.div_ceil(BYTES_A_MB));
        self.damaged(format!(
            "its {n_rows} rows would take {mb} MB of memory, too much for a file of {file_mb} MB"
        ))
    }

    fn check_chunk(&self, at: usize, column: &ColumnChunkMetaData, buffer: &mut Vec<u8>) -> Result<Pages> {
        let path = || column.column_path().string();
        let first = self.count(column.dictionary_page_offset().unwrap_or(column.data_page_offset()))?;
        let size = self.count(column.compressed_size())?;
        if first.checked_add(size).is_none_or(|end| end > self.n_bytes) {
            return Err(self.damaged(format!("column {} ends beyond the file", path())));
        }
        buffer.resize(size as usize, 0);
        self.file.read_exact_at(buffer, first).map_err(Error::io(self.path, "read"))?;
        let wanted = self.sums.as_ref().and_then(|sums| sums.get(at));
        if wanted.is_some_and(|wanted| *wanted != crc32fast::hash(buffer)) {
            return Err(self.damaged(format!("column {} is not as it was written (CRC-32)", path())));
        }
        pages::walk(buffer).map_err(|reason| self.damaged(format!("column {} has {reason}", path())))
    }
}

/// The footer's bytes; none where the end of the file names none.
pub(crate) fn footer(file: &File, n_bytes: u64) -> std::io::Result<Option<Vec<u8>>> {
    let Some(end) = n_bytes.checked_sub(TAIL_BYTES) else { return Ok(None) };
    let mut tail = [0; TAIL_BYTES as usize];
    file.read_exact_at(&mut tail, end)?;
    let [a, b, c, d, magic @ ..] = tail;
    let size = u64::from(u32::from_le_bytes([a, b, c, d]));
    if &magic != b"PAR1" || size > end {
        return Ok(None);
    }
    let mut footer = vec![0; size as usize];
    file.read_exact_at(&mut footer, end - size)?;
    Ok(Some(footer))
}
