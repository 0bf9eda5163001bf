//! STAC items as providers and static catalogues write them, reduced to what the choice of a scene needs.
//!
//! | provider | granule | baseline | offset taken off | share with data |
//! |---|---|---|---|---|
//! | Planetary Computer | `s2:mgrs_tile` | `s2:processing_baseline` | never | `s2:nodata_pixel_percentage` |
//! | Earth Search v1 | `grid:code`, `mgrs:*` | `s2:processing_baseline` | `earthsearch:boa_offset_applied` | `s2:nodata_pixel_percentage` |
//! | Earth Search v0 | `sentinel:utm_zone` and so on | `sentinel:processing_baseline` | `sentinel:boa_offset_applied` | `sentinel:data_coverage` |
//! | Copernicus Data Space (STAC 1.1) | `grid:code` | `processing:version` | never | `statistics.nodata` |
//! | Sentinel Hub | the id | the id | not said | not said |
//! | Google Earth Engine | `MGRS_TILE` | `PROCESSING_BASELINE` | collections `..._HARMONIZED` | `NODATA_PIXEL_PERCENTAGE` |
//!
//! Left out: roles, and every property that no decision rests on.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use geo::MultiPolygon;
use serde_json::Value;
use url::Url;

use crate::area;
use crate::asset::Asset;
use crate::bands::{of_name, resolution_m};

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
    /// What says that the provider subtracted the offset already, if anything does.
    pub offset_applied: Option<String>,
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

impl Item {
    /// Reads an item that was found at `base`.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn parse(value: &Value, base: &Url) -> Result<Self, String> {
        let id = text(value, "id").ok_or("an item without an id")?;
        let properties = value.get("properties").ok_or_else(|| format!("item {id} without properties"))?;
        let get = |keys: &[&str]| keys.iter().find_map(|key| text(properties, key));
        let percent = |keys: &[&str]| keys.iter().find_map(|key| share_of_percent(properties.get(*key)));
        let sensed = get(&["datetime"]);
        let sensed_from = get(&["start_datetime"]).or_else(|| sensed.clone());
        let assets = value.get("assets").and_then(Value::as_object);
        let collection = text(value, "collection");
        let empty = share_of_percent(properties.get("statistics").and_then(|s| s.get("nodata")));
        let empty = percent(&["s2:nodata_pixel_percentage", "NODATA_PIXEL_PERCENTAGE"]).or(empty);
        Ok(Self {
            granule: granule_of(properties, &id),
            sensing: sensing_of(properties, sensed_from.as_deref()),
            sensed_to: get(&["end_datetime"]).or(sensed),
            sensed_from,
            processed: get(&["s2:generation_time", "processing:datetime", "created", "updated"]),
            baseline: baseline_of(properties, &id),
            offset_applied: offset_applied(properties, collection.as_deref(), &id),
            cloud_share: percent(&["eo:cloud_cover", "CLOUDY_PIXEL_PERCENTAGE"]),
            valid_share: empty.map(|empty| 1.0 - empty).or_else(|| percent(&["sentinel:data_coverage"])),
            collection,
            footprint: value.get("geometry").and_then(area::footprint),
            assets: assets
                .into_iter()
                .flatten()
                .filter_map(|(key, asset)| Some((key.clone(), Asset::parse(key, asset)?)))
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

    /// The asset of this key; else the one that holds what the name says, in the resolution that it names or the finest, not as JPEG 2000
    /// unless it says so; else the one whose only band has this name.
    pub fn asset(&self, wanted: &str) -> Option<(&str, &Asset)> {
        let named = |a: &Asset| a.bands.len() == 1 && a.bands[0] == wanted;
        let found = self.assets.get_key_value(wanted).or_else(|| self.holding(wanted));
        found.or_else(|| self.assets.iter().find(|(_, a)| named(a))).map(|(key, asset)| (key.as_str(), asset))
    }

    fn holding(&self, wanted: &str) -> Option<(&String, &Asset)> {
        let content = of_name(wanted)?;
        let (pixel_m, jp2) =
            (resolution_m(wanted).map(f64::from), wanted.to_ascii_lowercase().ends_with("jp2"));
        let fits = |a: &Asset| {
            a.holds == [content] && pixel_m.is_none_or(|wanted| a.pixel_m.is_none_or(|m| m == wanted))
        };
        let order = |a: &Asset| (Reverse(a.jp2 == jp2), a.pixel_m.unwrap_or(f64::INFINITY));
        let better = |a: &(&String, &Asset), b: &(&String, &Asset)| {
            let ((a_form, a_m), (b_form, b_m)) = (order(a.1), order(b.1));
            a_form.cmp(&b_form).then_with(|| a_m.total_cmp(&b_m)).then_with(|| a.0.cmp(b.0))
        };
        self.assets.iter().filter(|(_, asset)| fits(asset)).min_by(better)
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

fn granule_of(properties: &Value, id: &str) -> Option<String> {
    let get = |key: &str| text(properties, key);
    let in_name = |name: String| {
        name.split(|c: char| !c.is_ascii_alphanumeric()).map(granule_key).find(|part| is_mgrs(part))
    };
    let said: Vec<String> =
        ["s2:mgrs_tile", "grid:code", "MGRS_TILE"].iter().filter_map(|key| get(key)).collect();
    let parts = |prefix: &str| {
        let zone = properties.get(format!("{prefix}:utm_zone"))?;
        let zone = zone.as_u64().map(|z| z.to_string()).or_else(|| zone.as_str().map(str::to_owned))?;
        let letters = ["latitude_band", "grid_square"].map(|part| get(&format!("{prefix}:{part}")));
        Some(format!("{zone}{}{}", letters[0].as_ref()?, letters[1].as_ref()?))
    };
    let parts = ["mgrs", "sentinel"].iter().filter_map(|prefix| parts(prefix));
    let keys: Vec<_> = said.into_iter().chain(parts).map(|text| granule_key(&text)).collect();
    let names =
        ["s2:tile_id", "s2:granule_id", "s2:product_uri", "sentinel:product_id", "GRANULE_ID", "PRODUCT_ID"];
    let named = || names.iter().filter_map(|key| get(key)).chain([id.to_owned()]).find_map(in_name);
    keys.iter().find(|key| is_mgrs(key)).or(keys.first()).cloned().or_else(named)
}

/// The processing baseline that a property states, else the one in the product's name: `N0511`.
fn baseline_of(properties: &Value, id: &str) -> Option<String> {
    let stated = |key: &str| match properties.get(key)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(format!("{:05.2}", number.as_f64()?)),
        _ => None,
    };
    // `processing:version` is of whatever software a provider means: only ESA's form of it is a baseline.
    let version = || stated("processing:version").filter(|text| is_baseline(text));
    let own = ["s2:processing_baseline", "sentinel:processing_baseline", "PROCESSING_BASELINE"]
        .iter()
        .find_map(|key| stated(key));
    let names = ["s2:product_uri", "sentinel:product_id", "PRODUCT_ID"];
    own.or_else(version).or_else(|| {
        names
            .iter()
            .filter_map(|key| text(properties, key))
            .chain([id.to_owned()])
            .find_map(|name| baseline_in(&name))
    })
}

/// Two digits, a point, two digits.
fn is_baseline(text: &str) -> bool {
    text.len() == 5
        && text.bytes().enumerate().all(|(i, b)| if i == 2 { b == b'.' } else { b.is_ascii_digit() })
}

/// The baseline in a product's name: `S2B_MSIL2A_20230131T033959_N0511_R061_T48RVV_20230131T055344`.
pub(crate) fn baseline_in(name: &str) -> Option<String> {
    let number = |token: &str| {
        let digits =
            token.strip_prefix('N').filter(|d| d.len() == 4 && d.bytes().all(|b| b.is_ascii_digit()))?;
        Some(format!("{}.{}", &digits[..2], &digits[2..]))
    };
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(number)
}

/// What says that the provider took the offset off.
fn offset_applied(properties: &Value, collection: Option<&str>, id: &str) -> Option<String> {
    let yes = |key: &&str| match properties.get(key) {
        Some(Value::Bool(yes)) => *yes,
        Some(Value::String(text)) => text.eq_ignore_ascii_case("true"),
        _ => false,
    };
    let stated =
        ["earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"].into_iter().find(|key| yes(key));
    let harmonised = |text: &&str| text.to_ascii_uppercase().contains("_HARMONIZED");
    let named = || {
        [collection.unwrap_or_default(), id]
            .into_iter()
            .find(harmonised)
            .map(|text| format!("collection {text}"))
    };
    stated.map(str::to_owned).or_else(named)
}

fn sensing_of(properties: &Value, sensed: Option<&str>) -> Option<String> {
    let keys = ["s2:datatake_id", "eopf:datatake_id", "DATATAKE_IDENTIFIER"];
    if let Some(data_take) = keys.iter().find_map(|key| text(properties, key)) {
        // GS2A_20240422T173911_046141_N05.10: all but the baseline.
        let end = data_take.rfind("_N").unwrap_or(data_take.len());
        return Some(data_take[..end].to_owned());
    }
    let second = sensed?.get(..19)?;
    let platform = text(properties, "platform").unwrap_or_default().to_ascii_lowercase();
    Some(format!("{platform} {second}"))
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
        assert!(planetary.offset_applied.is_none() && earth_search.offset_applied.is_some());
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
