//! Parquet files joined from row groups that were encoded elsewhere: many threads and processes pack, one appends.
//!
//! The bytes of a file depend on its row groups and their order, not on who encoded them. Every file ends with its checksums (see `seal`).
//! Left out: reading (see `table`).

use crate::seal::{self, CREATED_BY};
use crate::{Error, Kind, Result, Spec, Values, checked, file::Whole};
use bytes::Bytes;
use parquet::basic::{Compression, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::reader::FileReader;
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, TypePtr};
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// After so many bytes the disk is asked to take what it was given, so that it works while others compute.
const SYNC_EVERY_BYTES: usize = 32 << 20;

/// One encoded row group, on its way to its file: a Parquet file of its own, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowGroup(Vec<u8>);

impl RowGroup {
    /// The bytes, to send elsewhere.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// The row group that was sent.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

/// Encodes rows as one row group. `more` are columns of numbers inside the group `bbox`, after those of the spec.
pub(crate) fn encode(spec: &Spec, columns: Vec<Values>, bbox: Option<[Vec<f64>; 4]>) -> RowGroup {
    let n_bytes = columns.iter().map(n_bytes).sum();
    let packed = pack(spec, columns, bbox, Vec::with_capacity(n_bytes));
    RowGroup(packed.expect("typed columns of equal length are always written to memory"))
}

/// Bytes of the long values of a column: about what it takes when it packs badly.
fn n_bytes(values: &Values) -> usize {
    match values {
        Values::Bytes(v) => v.iter().flatten().map(Vec::len).sum(),
        _ => 0,
    }
}

fn pack(
    spec: &Spec,
    columns: Vec<Values>,
    bbox: Option<[Vec<f64>; 4]>,
    sink: Vec<u8>,
) -> ParquetResult<Vec<u8>> {
    let properties = Arc::new(properties(spec));
    let mut file = SerializedFileWriter::new(sink, schema(spec, bbox.is_some()), properties)?;
    let mut group = file.next_row_group()?;
    let absent = || ParquetError::General("fewer columns than values".into());
    for (column, values) in spec.columns.iter().zip(columns) {
        assert_eq!(values.kind(), column.kind, "{}.{} is of another kind", spec.name, column.name);
        let gaps = values.n_missing();
        assert!(column.nullable || gaps == 0, "{}.{} has gaps and must not", spec.name, column.name);
        let mut writer = group.next_column()?.ok_or_else(absent)?;
        put_values(&mut writer, values, column.nullable)?;
        writer.close()?;
    }
    for values in bbox.into_iter().flatten() {
        let mut writer = group.next_column()?.ok_or_else(absent)?;
        writer.typed::<DoubleType>().write_batch(&values, None, None)?;
        writer.close()?;
    }
    group.close()?;
    file.into_inner()
}

fn put_values(writer: &mut SerializedColumnWriter<'_>, values: Values, nullable: bool) -> ParquetResult<()> {
    match values {
        Values::Text(v) => put::<ByteArrayType, _>(writer, v, nullable, |t| ByteArray::from(t.into_bytes())),
        Values::Bool(v) => put::<BoolType, _>(writer, v, nullable, |b| b),
        // Parquet keeps unsigned numbers in signed ones of the same bits.
        Values::U32(v) => put::<Int32Type, _>(writer, v, nullable, |n| n as i32),
        Values::U64(v) => put::<Int64Type, _>(writer, v, nullable, |n| n as i64),
        Values::F64(v) => put::<DoubleType, _>(writer, v, nullable, |n| n),
        Values::Bytes(v) => put::<ByteArrayType, _>(writer, v, nullable, ByteArray::from),
    }
}

fn put<D: DataType, T>(
    writer: &mut SerializedColumnWriter<'_>,
    values: Vec<Option<T>>,
    nullable: bool,
    convert: impl Fn(T) -> D::T,
) -> ParquetResult<()> {
    let levels: Vec<i16> = values.iter().map(|v| i16::from(v.is_some())).collect();
    let present: Vec<D::T> = values.into_iter().flatten().map(convert).collect();
    writer.typed::<D>().write_batch(&present, nullable.then_some(&levels[..]), None)?;
    Ok(())
}

fn schema(spec: &Spec, with_bbox: bool) -> TypePtr {
    let fields = spec.columns.iter().map(|column| {
        let need = if column.nullable { "optional" } else { "required" };
        let (physical, logical) = match column.kind {
            Kind::Text => ("binary", " (STRING)"),
            Kind::Bool => ("boolean", ""),
            Kind::U32 => ("int32", " (INTEGER(32,false))"),
            Kind::U64 => ("int64", " (INTEGER(64,false))"),
            Kind::F64 => ("double", ""),
            Kind::Bytes => ("binary", ""),
        };
        format!("{need} {physical} {}{logical};\n", column.name)
    });
    let bbox = "required group bbox { required double xmin; required double ymin; required double xmax; required double ymax; }";
    let fields: String = fields.collect();
    let text = format!("message {} {{ {fields} {} }}", spec.name, if with_bbox { bbox } else { "" });
    Arc::new(parse_message_type(&text).expect("the kinds of columns are all Parquet types"))
}

/// ZSTD 1, no dictionaries; smallest and largest value a chunk for short values only.
fn properties(spec: &Spec) -> WriterProperties {
    let level = ZstdLevel::try_new(1).expect("1 is a level");
    let common = WriterProperties::builder()
        .set_created_by(CREATED_BY.into())
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_enabled(false)
        .set_offset_index_disabled(true)
        .set_statistics_enabled(EnabledStatistics::Chunk);
    let long = spec.columns.iter().filter(|column| column.kind == Kind::Bytes);
    long.fold(common, |properties, column| {
        properties.set_column_statistics_enabled(ColumnPath::from(column.name), EnabledStatistics::None)
    })
    .build()
}

/// The open file under a Parquet encoder, which turns a failed write into words of its own: the system's reason is kept here.
struct Sink {
    file: File,
    fault: Arc<Mutex<Option<std::io::Error>>>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes).inspect_err(|error| {
            let copy =
                error.raw_os_error().map_or_else(|| error.kind().into(), std::io::Error::from_raw_os_error);
            *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(copy);
        })
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

/// A Parquet file in the making, joined from row groups in constant memory.
pub(crate) struct Joined {
    path: PathBuf,
    // Declared before `whole`, so that the encoder is gone when the part file is.
    parquet: SerializedFileWriter<Sink>,
    fault: Arc<Mutex<Option<std::io::Error>>>,
    whole: Whole,
    n_unsynced: usize,
    sums: Vec<u32>,
}

impl Joined {
    pub(crate) fn begin(path: &Path, spec: &Spec, with_bbox: bool) -> Result<Self> {
        Self::begin_with(path, schema(spec, with_bbox), properties(spec))
    }

    /// Writes a whole file of the row groups of another one, in memory, and their schema.
    pub(crate) fn write(path: &Path, packed: RowGroup, pairs: Vec<(String, String)>) -> Result<()> {
        let from = SerializedFileReader::new(Bytes::from(packed.0.clone()));
        let meta = from.expect("what was just written is read").metadata().file_metadata().clone();
        let properties = WriterProperties::builder().set_created_by(CREATED_BY.into()).build();
        let mut joined = Self::begin_with(path, meta.schema_descr().root_schema_ptr(), properties)?;
        for pair in meta.key_value_metadata().into_iter().flatten() {
            joined.parquet.append_key_value_metadata(pair.clone());
        }
        joined.splice(packed)?;
        joined.finish(pairs)
    }

    fn begin_with(path: &Path, schema: TypePtr, properties: WriterProperties) -> Result<Self> {
        let mut whole = Whole::begin(path)?;
        let file = whole.file().try_clone().map_err(Error::io(path, "write"))?;
        let fault = Arc::new(Mutex::new(None));
        let sink = Sink { file, fault: fault.clone() };
        let parquet = SerializedFileWriter::new(sink, schema, Arc::new(properties))
            .map_err(|e| refused(path, &fault, e))?;
        Ok(Self { path: path.into(), parquet, fault, whole, n_unsynced: 0, sums: Vec::new() })
    }

    pub(crate) fn splice(&mut self, group: RowGroup) -> Result<()> {
        self.n_unsynced += group.0.len();
        let spliced = splice(&mut self.parquet, Bytes::from(group.0), &mut self.sums);
        spliced.map_err(|e| refused(&self.path, &self.fault, e))?;
        if self.n_unsynced < SYNC_EVERY_BYTES {
            return Ok(());
        }
        self.n_unsynced = 0;
        let flushed = self.parquet.flush().and_then(|()| self.parquet.inner().file.sync_data());
        flushed.map_err(Error::io(&self.path, "write to disk"))
    }

    pub(crate) fn finish(mut self, pairs: Vec<(String, String)>) -> Result<()> {
        let sums = (seal::KEY.to_owned(), seal::unsealed(&self.sums));
        for (key, value) in pairs.into_iter().chain([sums]) {
            self.parquet.append_key_value_metadata(KeyValue::new(key, value));
        }
        self.parquet.finish().map_err(|e| refused(&self.path, &self.fault, e))?;
        drop(self.parquet);
        write_seal(&mut self.whole).map_err(Error::io(&self.path, "write"))?;
        self.whole.commit()
    }
}

/// Writes the footer's own checksum into the footer.
fn write_seal(whole: &mut Whole) -> std::io::Result<()> {
    let file = File::open(whole.part())?;
    let n_bytes = file.metadata()?.len();
    let footer = checked::footer(&file, n_bytes)?.unwrap_or_default();
    let Some((at, letters)) = seal::seal(&footer) else {
        return Err(std::io::Error::other("the footer is not what was just written"));
    };
    let tail_bytes = (footer.len() - at) as u64 + checked::TAIL_BYTES;
    whole.file().write_all_at(letters.as_bytes(), n_bytes - tail_bytes)
}

fn splice<W: Write + Send>(
    file: &mut SerializedFileWriter<W>,
    bytes: Bytes,
    sums: &mut Vec<u32>,
) -> ParquetResult<()> {
    let from = SerializedFileReader::new(bytes.clone())?;
    for group in from.metadata().row_groups() {
        let mut target = file.next_row_group()?;
        for column in group.columns() {
            let close = ColumnCloseResult {
                bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
                rows_written: u64::try_from(group.num_rows()).unwrap_or_default(),
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            target.append_column(&bytes, close)?;
            let (first, size) = column.byte_range();
            sums.push(crc32fast::hash(&bytes[first as usize..(first + size) as usize]));
        }
        target.close()?;
    }
    Ok(())
}

fn refused(path: &Path, fault: &Mutex<Option<std::io::Error>>, error: ParquetError) -> Error {
    let known = fault.lock().unwrap_or_else(PoisonError::into_inner).take();
    let text = || error.to_string().lines().next().unwrap_or_default().to_owned();
    let source = known.unwrap_or_else(|| std::io::Error::other(text()));
    Error::Io { path: path.into(), action: "write", source }
}
