//! STAC items as two providers and static catalogues write them, reduced to what the choice of a scene needs.
//!
//! Left out: roles, and every property that no decision rests on.

use std::collections::BTreeMap;

use geo::MultiPolygon;
use serde_json::Value;
use url::Url;

use crate::area;

/// A scene in a catalogue.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The catalogue's id.
    pub id: String,
    /// The collection that it belongs to, if it says so.
    pub collection: Option<String>,
    /// The granule, in the normal form of [`granule_key`].
    pub granule: Option<String>,
    /// First instant of sensing as the catalogue writes it.
    pub sensed_from: Option<String>,
    /// Last instant of sensing.
    pub sensed_to: Option<String>,
    /// Time of processing, or of the catalogue entry.
    pub processed: Option<String>,
    /// What tells two processings of one sensing from two sensings: the data take, or satellite and second.
    pub sensing: Option<String>,
    /// Processing baseline, as `05.11`.
    pub baseline: Option<String>,
    /// Whether the provider subtracted the offset already.
    pub offset_applied: bool,
    /// Share of pixels under cloud.
    pub cloud_share: Option<f64>,
    /// Share of pixels with data.
    pub valid_share: Option<f64>,
    /// Where the scene has data, as the catalogue draws it, in degrees.
    pub footprint: Option<MultiPolygon>,
    /// The files, by key.
    pub assets: BTreeMap<String, Asset>,
    /// Where the item was read, for relative addresses.
    pub base: Url,
}

/// A file of a scene.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asset {
    /// Address as written, perhaps relative.
    pub href: String,
    /// The bands' names, as `B04`; empty where unknown.
    pub bands: Vec<String>,
    /// Length in bytes.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: Option<String>,
    /// Reflectance is `number * scale + offset`.
    pub scale: Option<f64>,
    /// See `scale`.
    pub offset: Option<f64>,
}

impl Item {
    /// Reads an item that was found at `base`.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn parse(value: &Value, base: &Url) -> Result<Self, String> {
        let id = text(value, "id").ok_or("an item without an id")?;
        let properties = value.get("properties").ok_or_else(|| format!("item {id} without properties"))?;
        let get = |key: &str| text(properties, key);
        let percent = |key: &str| share_of_percent(properties.get(key));
        let sensed = get("datetime");
        let sensed_from = get("start_datetime").or_else(|| sensed.clone());
        let assets = value.get("assets").and_then(Value::as_object);
        Ok(Self {
            collection: text(value, "collection"),
            granule: granule_of(properties, &id),
            sensing: sensing_of(properties, sensed_from.as_deref()),
            sensed_to: get("end_datetime").or(sensed),
            sensed_from,
            processed: get("s2:generation_time").or_else(|| get("created")).or_else(|| get("updated")),
            baseline: get("s2:processing_baseline"),
            offset_applied: properties.get("earthsearch:boa_offset_applied") == Some(&Value::Bool(true)),
            cloud_share: percent("eo:cloud_cover"),
            valid_share: percent("s2:nodata_pixel_percentage").map(|empty| 1.0 - empty),
            footprint: value.get("geometry").and_then(area::footprint),
            assets: assets
                .into_iter()
                .flatten()
                .filter_map(|(key, asset)| Some((key.clone(), Asset::parse(asset)?)))
                .collect(),
            base: base.clone(),
            id,
        })
    }

    /// The time of sensing; where the catalogue knows only a range, the range as `first/last`.
    pub fn sensed(&self) -> Option<String> {
        match (&self.sensed_from, &self.sensed_to) {
            (Some(first), Some(last)) if first != last => Some(format!("{first}/{last}")),
            (first, _) => first.clone(),
        }
    }

    /// The asset asked for by key, by the provider's other name for the band, or by the one band that it holds.
    pub fn asset(&self, wanted: &str) -> Option<(&str, &Asset)> {
        let by_key = |key: &str| self.assets.get_key_value(key).map(|(k, a)| (k.as_str(), a));
        by_key(wanted)
            .or_else(|| common_name(wanted).or_else(|| other_name(wanted)).and_then(by_key))
            .or_else(|| {
                let holds = |a: &Asset| a.bands.len() == 1 && a.bands[0] == wanted;
                self.assets.iter().find(|(_, a)| holds(a)).map(|(k, a)| (k.as_str(), a))
            })
    }
}

impl Asset {
    fn parse(value: &Value) -> Option<Self> {
        let first = |list: &str| value.get(list).and_then(Value::as_array).and_then(|l| l.first());
        let number =
            |key: &str| first("raster:bands").or_else(|| first("bands")).and_then(|b| b.get(key)?.as_f64());
        let bands = value.get("eo:bands").or_else(|| value.get("bands")).and_then(Value::as_array);
        Some(Self {
            href: text(value, "href")?,
            bands: bands.into_iter().flatten().filter_map(|band| text(band, "name")).collect(),
            size: value.get("file:size").and_then(Value::as_u64),
            sha256: text(value, "file:checksum").and_then(|multihash| sha256_of_multihash(&multihash)),
            scale: number("scale"),
            offset: number("offset"),
        })
    }
}

/// One spelling for a granule: `T48RVV`, `48RVV` and `MGRS-48RVV` are the same, and so are `5QKB` and `T05QKB`.
pub(crate) fn granule_key(text: &str) -> String {
    let upper = text.trim().to_ascii_uppercase();
    let bare = upper.strip_prefix("MGRS-").unwrap_or(&upper);
    let code = bare.strip_prefix('T').filter(|rest| is_mgrs(rest)).unwrap_or(bare);
    if is_mgrs(code) { code.trim_start_matches('0').to_owned() } else { code.to_owned() }
}

/// One or two digits and three letters.
pub(crate) fn is_mgrs(code: &str) -> bool {
    let digits = code.bytes().take_while(u8::is_ascii_digit).count();
    (1..=2).contains(&digits)
        && code.len() == digits + 3
        && code.bytes().skip(digits).all(|b| b.is_ascii_uppercase())
}

/// The name that Earth Search gives a band of Sentinel-2.
fn common_name(band: &str) -> Option<&'static str> {
    Some(match band {
        "B01" => "coastal",
        "B02" => "blue",
        "B03" => "green",
        "B04" => "red",
        "B05" => "rededge1",
        "B06" => "rededge2",
        "B07" => "rededge3",
        "B08" => "nir",
        "B8A" => "nir08",
        "B09" => "nir09",
        "B11" => "swir16",
        "B12" => "swir22",
        _ => return None,
    })
}

/// The name that Earth Search gives a file that is no band.
fn other_name(asset: &str) -> Option<&'static str> {
    Some(match asset {
        "SCL" => "scl",
        "AOT" => "aot",
        "WVP" => "wvp",
        _ => return None,
    })
}

/// Whether an asset asked for by this name holds reflectance, whose numbers may carry an offset.
pub(crate) fn is_reflectance(wanted: &str) -> bool {
    common_name(wanted).is_some() || wanted == "B10"
}

fn granule_of(properties: &Value, id: &str) -> Option<String> {
    let said = ["s2:mgrs_tile", "grid:code"].iter().find_map(|key| text(properties, key));
    let said = said.map(|granule| granule_key(&granule));
    said.or_else(|| id.split('_').map(granule_key).find(|part| is_mgrs(part)))
}

fn sensing_of(properties: &Value, sensed: Option<&str>) -> Option<String> {
    if let Some(data_take) = text(properties, "s2:datatake_id") {
        // GS2A_20240422T173911_046141_N05.10: all but the baseline.
        let end = data_take.rfind("_N").unwrap_or(data_take.len());
        return Some(data_take[..end].to_owned());
    }
    let second = sensed?.get(..19)?;
    let platform = text(properties, "platform").unwrap_or_default().to_ascii_lowercase();
    Some(format!("{platform} {second}"))
}

/// A multihash is code (12 for SHA-256), length (20 for 32 bytes), hash. Other hashes are not checked.
fn sha256_of_multihash(text: &str) -> Option<String> {
    let hash = text.strip_prefix("1220")?;
    let hexadecimal = hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit());
    hexadecimal.then(|| hash.to_ascii_lowercase())
}

fn share_of_percent(value: Option<&Value>) -> Option<f64> {
    let percent = value?.as_f64()?;
    (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    pub fn item(value: Value) -> Item {
        Item::parse(&value, &Url::parse("https://example.org/items/x.json").unwrap()).unwrap()
    }

    #[test]
    fn a_granule_has_one_key_however_it_is_written() {
        for text in ["T48RVV", "48RVV", "MGRS-48RVV", " t48rvv"] {
            assert_eq!(granule_key(text), "48RVV");
        }
        assert_eq!(granule_key("T05QKB"), granule_key("5QKB"));
        assert_eq!(granule_key("KANGWON"), "KANGWON");
        assert_eq!(granule_key("TAIPEI"), "TAIPEI");
    }

    #[test]
    fn both_dialects_give_the_same_facts() {
        let planetary = item(json!({
            "id": "a", "properties": {"datetime": "2024-04-22T17:39:11.024000Z", "s2:mgrs_tile": "13TDE", "eo:cloud_cover": 25.0,
                "s2:nodata_pixel_percentage": 50.0, "s2:datatake_id": "GS2A_20240422T173911_046141_N05.10", "s2:processing_baseline": "05.10"},
            "assets": {"B02": {"href": "b2.tif"}, "visual": {"href": "v.tif"}}}));
        let earth_search = item(json!({
            "id": "b", "properties": {"datetime": "2024-04-22T17:53:02.036000Z", "grid:code": "MGRS-13TDE", "eo:cloud_cover": 25,
                "s2:nodata_pixel_percentage": 50, "s2:datatake_id": "GS2A_20240422T173911_046141_N05.11", "s2:processing_baseline": "05.11",
                "earthsearch:boa_offset_applied": true},
            "assets": {"blue": {"href": "b2.tif"}, "visual": {"href": "v.tif"}}}));
        assert_eq!(planetary.granule, earth_search.granule);
        assert_eq!(planetary.sensing, earth_search.sensing, "two processings of one sensing");
        assert_eq!((planetary.cloud_share, planetary.valid_share), (Some(0.25), Some(0.5)));
        assert_eq!((earth_search.cloud_share, earth_search.valid_share), (Some(0.25), Some(0.5)));
        assert!(!planetary.offset_applied && earth_search.offset_applied);
        assert_eq!(planetary.asset("B02").unwrap().0, "B02");
        assert_eq!(earth_search.asset("B02").unwrap().0, "blue");
        assert!(earth_search.asset("visual").is_some() && earth_search.asset("B04").is_none());
    }

    #[test]
    fn nonsense_is_missing_and_never_a_number() {
        let odd = item(
            json!({"id": "S2B_T13TDE_20240420T175329_L2A", "properties": {"eo:cloud_cover": 140.0, "datetime": null,
            "s2:nodata_pixel_percentage": "none"}, "assets": {"B02": {"href": "x", "file:checksum": "1220zz", "file:size": -4}, "bad": 7}}),
        );
        assert_eq!((odd.cloud_share, odd.valid_share, odd.sensed_from.clone()), (None, None, None));
        assert_eq!(odd.granule.as_deref(), Some("13TDE"), "the id is the last resort");
        let (_, asset) = odd.asset("B02").unwrap();
        assert_eq!((asset.size, asset.sha256.clone()), (None, None));
        assert!(Item::parse(&json!({"type": "Feature"}), &odd.base).is_err());
    }
}
