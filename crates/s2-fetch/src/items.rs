//! Items from a table: stac-geoparquet, a row an item, its properties as columns, its files as a struct of structs.
//!
//! Left out: tables in parts (a folder of files), and any geometry but polygons.

use anyhow::Context;
use bytes::Bytes;
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value, json};
use url::Url;

use crate::guard::shown;
use crate::stac::{Item, granule_key};

/// Columns that are no properties.
const OWN_COLUMNS: [&str; 9] =
    ["id", "type", "stac_version", "stac_extensions", "geometry", "bbox", "links", "assets", "collection"];

/// The items of a granule in a table that was read from `url`.
///
/// # Errors
/// If it is no table of STAC items.
pub(crate) fn of_table(bytes: Vec<u8>, url: &Url, granule: &str) -> anyhow::Result<Vec<Item>> {
    let said = || format!("{}: want a table of STAC items (stac-geoparquet)", shown(url));
    let reader = SerializedFileReader::new(Bytes::from(bytes)).with_context(said)?;
    let units = time_units(&reader);
    let granule = granule_key(granule);
    let mut items = Vec::new();
    for row in reader.get_row_iter(None).with_context(said)? {
        let value = item_of(&row.with_context(said)?, &units);
        let item = Item::parse(&value, url)
            .map_err(|found| anyhow::anyhow!("{}: want STAC items, found {found}", shown(url)))?;
        if item.granule.as_ref().is_none_or(|own| *own == granule) {
            items.push(item);
        }
    }
    Ok(items)
}

/// Times count ticks since 1970: how many of them make a second, by column. The reader itself knows milli- and microseconds only.
fn time_units(reader: &SerializedFileReader<Bytes>) -> Map<String, Value> {
    let schema = reader.metadata().file_metadata().schema();
    let unit = |field: &parquet::schema::types::TypePtr| {
        let per_second = match field.get_basic_info().logical_type_ref()? {
            LogicalType::Timestamp(time) => match time.unit {
                TimeUnit::MILLIS => 1_000_i64,
                TimeUnit::MICROS => 1_000_000,
                TimeUnit::NANOS => 1_000_000_000,
            },
            _ => return None,
        };
        Some((field.name().to_owned(), json!(per_second)))
    };
    schema.get_fields().iter().filter_map(unit).collect()
}

/// A row in the form of a STAC item.
fn item_of(row: &Row, units: &Map<String, Value>) -> Value {
    let (mut item, mut properties) = (Map::new(), Map::new());
    for (name, field) in row.get_column_iter() {
        let value = match (field, units.get(name).and_then(Value::as_i64)) {
            (Field::Long(ticks), Some(per_second)) => time(*ticks, per_second),
            (Field::Bytes(wkb), _) if name == "geometry" => polygons(wkb.data()).unwrap_or(Value::Null),
            (field, _) => json_of(field),
        };
        match OWN_COLUMNS.contains(&name.as_str()) {
            true => item.insert(name.clone(), value),
            false => properties.insert(name.clone(), value),
        };
    }
    item.insert("properties".into(), Value::Object(properties));
    Value::Object(item)
}

fn json_of(field: &Field) -> Value {
    match field {
        Field::Bool(v) => json!(v),
        Field::Byte(v) => json!(v),
        Field::Short(v) => json!(v),
        Field::Int(v) => json!(v),
        Field::Long(v) => json!(v),
        Field::UByte(v) => json!(v),
        Field::UShort(v) => json!(v),
        Field::UInt(v) => json!(v),
        Field::ULong(v) => json!(v),
        Field::Float(v) => json!(v),
        Field::Double(v) => json!(v),
        Field::Str(v) => json!(v),
        Field::TimestampMillis(v) => time(*v, 1_000),
        Field::TimestampMicros(v) => time(*v, 1_000_000),
        Field::Group(row) => row.get_column_iter().map(|(k, v)| (k.clone(), json_of(v))).collect(),
        Field::ListInternal(list) => list.elements().iter().map(json_of).collect(),
        // Nothing that is read from an item has another type.
        _ => Value::Null,
    }
}

fn time(ticks: i64, per_second: i64) -> Value {
    let nanos = ticks.rem_euclid(per_second) * (1_000_000_000 / per_second);
    let time = chrono::DateTime::from_timestamp(ticks.div_euclid(per_second), nanos as u32);
    time.map_or(Value::Null, |t| json!(t.to_rfc3339_opts(chrono::SecondsFormat::Micros, true)))
}

/// Polygons in well-known binary as GeoJSON; `None` for another kind, or bytes that end early.
fn polygons(wkb: &[u8]) -> Option<Value> {
    let mut reader = Wkb { bytes: wkb, little: true };
    let coordinates: Vec<Value> = match reader.head()? {
        POLYGON => vec![reader.polygon()?],
        MULTI_POLYGON => {
            let n = reader.count()?;
            (0..n)
                .map(|_| if reader.head()? == POLYGON { reader.polygon() } else { None })
                .collect::<Option<_>>()?
        }
        _ => return None,
    };
    Some(json!({"type": "MultiPolygon", "coordinates": coordinates}))
}

const POLYGON: u32 = 3;
const MULTI_POLYGON: u32 = 6;

struct Wkb<'a> {
    bytes: &'a [u8],
    little: bool,
}

impl Wkb<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.bytes.split_first_chunk::<N>()?;
        self.bytes = rest;
        Some(*head)
    }

    /// Byte order and kind.
    fn head(&mut self) -> Option<u32> {
        let [order] = self.take()?;
        self.little = order == 1;
        self.count()
    }

    fn count(&mut self) -> Option<u32> {
        let bytes = self.take()?;
        Some(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn number(&mut self) -> Option<f64> {
        let bytes = self.take()?;
        Some(if self.little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }

    fn polygon(&mut self) -> Option<Value> {
        let n_rings = self.count()?;
        let mut rings = Vec::new();
        for _ in 0..n_rings {
            let n_points = self.count()?;
            let mut ring = Vec::new();
            for _ in 0..n_points {
                ring.push(json!([self.number()?, self.number()?]));
            }
            rings.push(Value::Array(ring));
        }
        Some(Value::Array(rings))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_any_unit_are_one_time() {
        let text = json!("2024-04-22T17:53:02.036000Z");
        for per_second in [1_000, 1_000_000, 1_000_000_000] {
            assert_eq!(time(1_713_808_382_036 * (per_second / 1_000), per_second), text);
        }
        assert_eq!(time(i64::MAX, 1_000), Value::Null);
    }

    #[test]
    fn binary_that_lies_about_its_length_is_no_polygon() {
        let mut wkb = vec![1, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0];
        wkb.extend([1.0f64, 2.0, 3.0, 4.0].iter().flat_map(|v| v.to_le_bytes()));
        assert_eq!(polygons(&wkb).unwrap()["coordinates"], json!([[[[1.0, 2.0], [3.0, 4.0]]]]));
        assert!(polygons(&wkb[..wkb.len() - 1]).is_none());
        wkb[5..9].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(polygons(&wkb).is_none());
        assert!(polygons(&[]).is_none());
    }

    /// The text of a file of real items, if the reference data is there.
    fn reference(name: &str) -> Option<Vec<u8>> {
        let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
        let folder = std::env::var_os("REFERENCE_DATA").map_or(beside, std::path::PathBuf::from);
        std::fs::read(folder.join("stac").join(name)).ok()
    }

    fn hold_whole(item: &Item) {
        let facts = [item.cloud_share, item.valid_share].map(|s| s.is_some());
        assert_eq!(facts, [true, true], "{}", item.id);
        assert!(item.sensed_from.as_deref().is_some_and(|t| t.starts_with("20")), "{:?}", item.sensed_from);
        assert!(item.footprint.is_some() && item.sensing.is_some() && item.baseline.is_some(), "{}", item.id);
        for asset in ["B02", "B03", "B04", "B08", "B11", "SCL", "visual"] {
            assert!(item.asset(asset).is_some(), "{}: {asset}", item.id);
        }
    }

    #[test]
    fn a_real_table_and_real_pages_of_two_dialects_are_read_whole() {
        let url = Url::parse("https://example.org/items").unwrap();
        let Some(table) = reference("100-sentinel-2-items.parquet") else {
            println!("skipped: no reference data; set REFERENCE_DATA");
            return;
        };
        let mut items = of_table(table.clone(), &url, "T13TDE").unwrap();
        assert_eq!(items.len(), 100);
        for page in ["item-collection.json", "two-sentinel-2-items.json"] {
            let page: Value = serde_json::from_slice(&reference(page).unwrap()).unwrap();
            let features = page["features"].as_array().unwrap().clone();
            items.extend(features.iter().map(|feature| Item::parse(feature, &url).unwrap()));
        }
        assert_eq!(items.len(), 112);
        for item in &items {
            assert_eq!(item.granule.as_deref(), Some("13TDE"));
            hold_whole(item);
        }
        assert!(of_table(table[..table.len() / 2].to_vec(), &url, "T13TDE").is_err());
    }
}
