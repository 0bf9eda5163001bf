//! A file of a scene, as a catalogue describes it: where it lies, what it holds, what its numbers mean.
//!
//! What it holds is decided here, for all dialects: by the bands that the catalogue states (`eo:bands`, or `bands` of STAC 1.1), else by its key or
//! the file's name. Never by the name that a person asks for it by.

use serde_json::Value;

use crate::bands::{Content, of_band, of_name, resolution_m};

/// A file of a scene.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asset {
    /// Address as written, perhaps relative.
    pub href: String,
    /// The bands' names, as `B04`; empty where unknown.
    pub bands: Vec<String>,
    /// What the bands hold, or the file as a whole; empty where nothing says it.
    pub holds: Vec<Content>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Scale and offset of each band that states both: reflectance is `number * scale + offset`.
    pub stated: Vec<(f64, f64)>,
    /// What states them: a field of the catalogue, or the file.
    pub stated_by: &'static str,
    /// Whether it holds reflectance of bands that nothing names.
    pub numbers: bool,
    /// Metres of a pixel's side, where it is said.
    pub pixel_m: Option<f64>,
    /// Whether it is JPEG 2000: as ESA delivers it.
    pub jp2: bool,
}

impl Asset {
    /// Reads an asset of this key; `None` without an address.
    pub fn parse(key: &str, value: &Value) -> Option<Self> {
        let href = text(value, "href")?;
        let path = href.split(['?', '#']).next().unwrap_or_default();
        let file = path.rsplit('/').next().unwrap_or_default();
        let described = list(value, "eo:bands").or_else(|| list(value, "bands")).unwrap_or_default();
        let stated = stated(value);
        Some(Self {
            bands: described.iter().filter_map(|band| text(band, "name")).collect(),
            holds: holds(value, described, of_name(key).or_else(|| of_name(file)), &stated),
            size: value.get("file:size").and_then(Value::as_u64),
            sha256: text(value, "file:checksum").and_then(|multihash| sha256_of_multihash(&multihash)),
            stated,
            stated_by: "raster:bands",
            numbers: false,
            pixel_m: pixel_m(value)
                .or_else(|| resolution_m(key).or_else(|| resolution_m(file)).map(f64::from)),
            jp2: key.to_ascii_lowercase().ends_with("jp2") || file.to_ascii_lowercase().ends_with(".jp2"),
            href,
        })
    }

    /// Whether it holds a band of reflectance, whose numbers may carry an offset.
    pub fn has_reflectance(&self) -> bool {
        self.numbers || self.holds.iter().any(|content| matches!(content, Content::Band(_)))
    }
}

fn holds(
    value: &Value,
    described: &[Value],
    by_name: Option<Content>,
    stated: &[(f64, f64)],
) -> Vec<Content> {
    let of = |band: &Value| {
        let common = text(band, "eo:common_name").or_else(|| text(band, "common_name"));
        of_band(text(band, "name").as_deref(), common.as_deref())
    };
    let bands: Vec<Content> = described.iter().map(of).collect::<Option<_>>().unwrap_or_default();
    match by_name {
        // A preview and a classification may state bands of what they were made from.
        Some(Content::Classes | Content::Other(_) | Content::Colour(_)) if bands.len() != 1 => {
            by_name.into_iter().collect()
        }
        Some(Content::Picture) if !(bands.len() > 1 && is_numbers(value, stated)) => vec![Content::Picture],
        _ if bands.is_empty() => by_name.into_iter().collect(),
        _ if bands == NATURAL && data_type(value).is_some_and(|t| t == "uint8") => vec![Content::Picture],
        _ => bands,
    }
}

const NATURAL: [Content; 3] = [Content::Band("B04"), Content::Band("B03"), Content::Band("B02")];

/// Whether a file of several bands is said to hold reflectance rather than a picture.
fn is_numbers(value: &Value, stated: &[(f64, f64)]) -> bool {
    stated.iter().any(|(_, offset)| *offset != 0.0) || data_type(value).is_some_and(|t| t == "uint16")
}

fn data_type(value: &Value) -> Option<String> {
    text(value, "data_type").or_else(|| of_first_band(value).find_map(|band| text(band, "data_type")))
}

/// The first band of each list that describes bands.
fn of_first_band(value: &Value) -> impl Iterator<Item = &Value> {
    ["raster:bands", "bands"].into_iter().filter_map(|key| list(value, key)?.first())
}

/// Scale and offset in all the places where versions of STAC put them: in a list of bands, or for the whole file.
fn stated(value: &Value) -> Vec<(f64, f64)> {
    let both = |of: &Value| {
        let number =
            |key: &str| [key.to_owned(), format!("raster:{key}")].iter().find_map(|k| of.get(k)?.as_f64());
        Some((number("scale")?, number("offset")?))
    };
    let of_bands = |key: &str| -> Vec<(f64, f64)> {
        list(value, key).unwrap_or_default().iter().filter_map(both).collect()
    };
    let found = [of_bands("raster:bands"), of_bands("bands"), both(value).into_iter().collect()];
    found.into_iter().find(|pairs| !pairs.is_empty()).unwrap_or_default()
}

fn pixel_m(value: &Value) -> Option<f64> {
    let places = ["gsd", "raster:spatial_resolution"].into_iter().find_map(|key| value.get(key)?.as_f64());
    let of_band = |band: &Value| {
        ["spatial_resolution", "raster:spatial_resolution", "gsd"].iter().find_map(|k| band.get(k)?.as_f64())
    };
    let pixel = places.or_else(|| of_first_band(value).find_map(of_band))?;
    (pixel > 0.0 && pixel.is_finite()).then_some(pixel)
}

/// A multihash is code (12 for SHA-256), length (20 for 32 bytes), hash. Other hashes are not checked.
fn sha256_of_multihash(text: &str) -> Option<String> {
    let hash = text.strip_prefix("1220")?;
    let hexadecimal = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    hexadecimal.then(|| hash.to_ascii_lowercase())
}

fn list<'a>(value: &'a Value, key: &str) -> Option<&'a [Value]> {
    value.get(key)?.as_array().map(Vec::as_slice)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn holds(key: &str, value: Value) -> Vec<Content> {
        Asset::parse(key, &value).unwrap().holds
    }

    #[test]
    fn what_a_file_holds_is_said_by_its_bands_then_its_key_then_its_name() {
        let red = vec![Content::Band("B04")];
        let bands = json!([{"name": "B04", "common_name": "red"}]);
        assert_eq!(holds("data", json!({"href": "x.tif", "eo:bands": bands})), red);
        assert_eq!(
            holds("data", json!({"href": "x.tif", "bands": [{"name": "B1", "eo:common_name": "red"}]})),
            red
        );
        assert_eq!(holds("B04_10m", json!({"href": "x"})), red);
        assert_eq!(holds("data", json!({"href": "s3://a/T48RVV_20230131T033959_B04_10m.jp2?sig=x"})), red);
        assert_eq!(holds("data", json!({"href": "all.tif"})), vec![]);
        let three = json!([{"name": "B04"}, {"name": "B03"}, {"name": "B02"}]);
        assert_eq!(holds("visual", json!({"href": "TCI.tif", "eo:bands": three})), [Content::Picture]);
        assert_eq!(
            holds("preview", json!({"href": "L2A_PVI.tif", "eo:bands": three})),
            [Content::Other("preview")]
        );
        assert_eq!(holds("data", json!({"href": "x", "eo:bands": three})), NATURAL);
        let numbers = json!([{"data_type": "uint16", "scale": 1e-4, "offset": -0.1}]);
        assert_eq!(
            holds("visual", json!({"href": "x", "eo:bands": three, "raster:bands": numbers})),
            NATURAL
        );
        let bytes = json!([{"data_type": "uint8"}]);
        assert_eq!(
            holds("data", json!({"href": "x", "eo:bands": three, "raster:bands": bytes})),
            [Content::Picture]
        );
    }

    #[test]
    fn scale_and_offset_are_read_wherever_a_version_of_stac_puts_them() {
        let stated = |value: Value| Asset::parse("B04", &value).unwrap().stated;
        let pair = vec![(1e-4, -0.1)];
        assert_eq!(stated(json!({"href": "x", "raster:bands": [{"scale": 1e-4, "offset": -0.1}]})), pair);
        assert_eq!(
            stated(json!({"href": "x", "bands": [{"raster:scale": 1e-4, "raster:offset": -0.1}]})),
            pair
        );
        assert_eq!(
            stated(
                json!({"href": "x", "bands": [{"name": "B04"}], "raster:scale": 1e-4, "raster:offset": -0.1})
            ),
            pair
        );
        assert_eq!(
            stated(json!({"href": "x", "raster:bands": [{"scale": 1e-4}]})),
            vec![],
            "half of it says nothing"
        );
    }

    #[test]
    fn a_pixels_size_is_read_from_any_place_and_nonsense_is_none() {
        let pixel = |key: &str, value: Value| Asset::parse(key, &value).unwrap().pixel_m;
        assert_eq!(pixel("B04", json!({"href": "x", "gsd": 10})), Some(10.0));
        assert_eq!(pixel("B04", json!({"href": "x", "bands": [{"gsd": 20.0}]})), Some(20.0));
        assert_eq!(pixel("B04_60m", json!({"href": "x"})), Some(60.0));
        assert_eq!(pixel("B04", json!({"href": "x", "gsd": -1})), None);
    }
}
