//! Files of shapes: which are opened, which of their layers is read, in which encoding their texts are.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use gdal::vector::{Layer, LayerAccess, OGRwkbGeometryType as Kind, geometry_type_flatten};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags, vsi};

use super::encoding;
use crate::error::said;
use crate::{Error, Result};

/// Drivers of vector files that name no file but their own parts.
const ALLOWED_DRIVERS: [&str; 8] =
    ["GeoJSON", "GeoJSONSeq", "TopoJSON", "GPKG", "FlatGeobuf", "ESRI Shapefile", "KML", "MapInfo File"];
/// The largest file of shapes that is read, packed or not.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// The largest that is taken from another encoding, which needs it in memory.
const MAX_RECODED_BYTES: u64 = 1 << 28;
/// A packed file may hold this many bytes for each of its own, above the first megabytes.
const MAX_EXPANSION: u64 = 200;
const ANY_EXPANSION_BYTES: u64 = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;

/// How a file is refused.
pub fn refuse(path: &Path, found: impl Into<String>, cure: &str) -> Error {
    Error::Shapes { path: path.to_owned(), found: found.into(), cure: cure.to_owned() }
}

/// What to do with most files that are refused.
pub const CONVERT: &str = "convert it with ogr2ogr";

/// An open file of shapes.
pub struct Opened {
    pub dataset: Dataset,
    /// Texts are bytes of an unknown encoding, each as the character of its number: a shapefile's.
    pub texts_are_bytes: bool,
    /// The encoding that the file was taken from, if it was no UTF-8.
    pub encoding: Option<&'static str>,
    _memory: Option<Memory>,
}

/// A file in GDAL's memory, gone when dropped.
struct Memory(PathBuf);

impl Drop for Memory {
    fn drop(&mut self) {
        // It is in memory: there is nobody to tell.
        let _ = vsi::unlink_mem_file(&self.0);
    }
}

/// Opens a file of shapes.
///
/// # Errors
/// For one that is none, is too large, or whose text is in an encoding that cannot be told.
pub fn open(path: &Path) -> Result<Opened> {
    let about = std::fs::metadata(path).map_err(|e| refuse(path, e.to_string(), CONVERT))?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        let found = format!("no ordinary file of at most {MAX_FILE_BYTES} bytes");
        return Err(refuse(path, found, CONVERT));
    }
    let ends = |end: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(end));
    let packed = ends("gz");
    let mut name = if packed { packed_name(path) } else { path.to_owned() };
    let (mut memory, mut encoding) = (None, None);
    if let Some((text, from)) = recoded(path, packed, about.len())? {
        name = in_memory();
        vsi::create_mem_file(&name, text.into_bytes()).map_err(|e| refuse(path, said(e), CONVERT))?;
        (memory, encoding) = (Some(Memory(name.clone())), Some(from));
    }
    let texts_are_bytes = ends("shp") || ends("dbf");
    let as_bytes = ["ENCODING=ISO-8859-1"];
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY
            | GdalOpenFlags::GDAL_OF_VECTOR
            | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&ALLOWED_DRIVERS),
        open_options: texts_are_bytes.then_some(&as_bytes[..]),
        ..DatasetOptions::default()
    };
    let dataset = Dataset::open_ex(&name, options).map_err(|e| refuse(path, said(e), CONVERT))?;
    Ok(Opened { dataset, texts_are_bytes, encoding, _memory: memory })
}

/// GDAL's name of what a packed file holds; the file's own name must start at the root.
fn packed_name(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut name = std::ffi::OsString::from("/vsigzip/");
    name.push(whole);
    name.into()
}

fn in_memory() -> PathBuf {
    static N: AtomicU64 = AtomicU64::new(0);
    format!("/vsimem/shapes-{}", N.fetch_add(1, Ordering::Relaxed)).into()
}

/// The text of a file of JSON that is not UTF-8, as UTF-8, and the name of its encoding; none for other files.
fn recoded(path: &Path, packed: bool, file_bytes: u64) -> Result<Option<(String, &'static str)>> {
    let unreadable = |e: std::io::Error| refuse(path, e.to_string(), CONVERT);
    let limit = if packed {
        MAX_FILE_BYTES.min(ANY_EXPANSION_BYTES.max(file_bytes.saturating_mul(MAX_EXPANSION)))
    } else {
        MAX_FILE_BYTES
    };
    let open = || -> Result<Box<dyn Read>> {
        let file = BufReader::new(File::open(path).map_err(unreadable)?);
        Ok(if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) })
    };
    match kind(&mut open()?, limit).map_err(unreadable)? {
        Text::Utf8 | Text::NoJson => return Ok(None),
        Text::TooLong => {
            let found = format!("more than {limit} bytes when unpacked");
            return Err(refuse(path, found, "the file is damaged or hostile, do not use it"));
        }
        Text::Other => {}
    }
    let mut bytes = Vec::new();
    open()?.take(MAX_RECODED_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    let cure = "convert it with iconv -f GBK -t UTF-8, or from the encoding that it is in";
    if bytes.len() as u64 > MAX_RECODED_BYTES {
        return Err(refuse(path, "a large text that is not UTF-8", cure));
    }
    let found = encoding::guess(&bytes).and_then(|from| Some((encoding::decode(&bytes, from)?, from.name())));
    found
        .map(Some)
        .ok_or_else(|| refuse(path, "text that is not UTF-8, in an encoding that cannot be told", cure))
}

enum Text {
    /// JSON in UTF-8.
    Utf8,
    /// JSON in another encoding.
    Other,
    /// A binary file, or XML, which says its encoding.
    NoJson,
    TooLong,
}

/// What a text is, read once and not kept.
fn kind(reader: &mut impl Read, limit: u64) -> std::io::Result<Text> {
    let mut chunk = Vec::with_capacity(CHUNK_BYTES + 4);
    let (mut n_read, mut first) = (0, true);
    loop {
        let kept = chunk.len();
        let n = reader.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        n_read += n as u64;
        if n_read > limit {
            return Ok(Text::TooLong);
        }
        if std::mem::take(&mut first) {
            if chunk.starts_with(&[0xFF, 0xFE]) || chunk.starts_with(&[0xFE, 0xFF]) {
                return Ok(Text::Other);
            }
            if !is_json(&chunk) {
                return Ok(Text::NoJson);
            }
            if encoding::utf_16(&chunk).is_some() {
                return Ok(Text::Other);
            }
        }
        match std::str::from_utf8(&chunk) {
            Ok(_) => chunk.clear(),
            // A character that the chunk's end cuts.
            Err(e) if e.error_len().is_none() && n > 0 => drop(chunk.drain(..e.valid_up_to())),
            Err(_) => return Ok(Text::Other),
        }
        if n == 0 {
            return Ok(if kept == 0 { Text::Utf8 } else { Text::Other });
        }
    }
}

fn is_json(start: &[u8]) -> bool {
    let text = start.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(start);
    // A sequence of features may start with the sign that parts records.
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace() && !matches!(byte, 0 | 0x1E));
    matches!(first, Some(b'{' | b'['))
}

/// The place of the layer that is read: the one named, else the only one that may hold areas.
///
/// # Errors
/// Lists the layers where none has the name, or none is named and there are several.
pub fn layer(path: &Path, dataset: &Dataset, wanted: Option<&str>) -> Result<usize> {
    let names: Vec<(String, bool)> =
        dataset.layers().map(|layer| (layer.name(), may_hold_areas(&layer))).collect();
    let listed = || names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        let place = names.iter().position(|(name, _)| name == wanted);
        return place.ok_or_else(|| {
            refuse(path, format!("no layer {wanted} but these layers: {}", listed()), "name one of them")
        });
    }
    let mut areas = names.iter().enumerate().filter(|(_, (_, areas))| *areas).map(|(place, _)| place);
    match (areas.next(), areas.count()) {
        (Some(place), 0) => Ok(place),
        (None, _) if names.is_empty() => Err(refuse(path, "no layer", CONVERT)),
        // The reader says what its first layer holds instead.
        (None, _) => Ok(0),
        (Some(_), more) => Err(refuse(
            path,
            format!(
                "{} layers: {}",
                more + 1,
                names.iter().filter(|n| n.1).map(|n| n.0.as_str()).collect::<Vec<_>>().join(", ")
            ),
            "name the one to read (--zones-layer)",
        )),
    }
}

fn may_hold_areas(layer: &Layer<'_>) -> bool {
    let no_area = |kind: Kind::Type| {
        matches!(
            geometry_type_flatten(kind),
            Kind::wkbNone
                | Kind::wkbPoint
                | Kind::wkbMultiPoint
                | Kind::wkbLineString
                | Kind::wkbMultiLineString
                | Kind::wkbCircularString
                | Kind::wkbCompoundCurve
                | Kind::wkbMultiCurve
        )
    };
    layer.defn().geom_fields().any(|field| !no_area(field.field_type()))
}
