//! A STAC item as any catalogue may write it: read or refused, never a panic; shares are shares, hashes are hashes, every key finds its own file,
//! and an offset lies in the range of Sentinel-2's numbers.
#![no_main]

#[path = "../../crates/s2-fetch/src/asset.rs"]
#[allow(dead_code)]
mod asset;
#[path = "../../crates/s2-fetch/src/bands.rs"]
#[allow(dead_code)]
mod bands;
#[path = "../../crates/s2-fetch/src/radiometry.rs"]
#[allow(dead_code)]
mod radiometry;
#[path = "../../crates/s2-fetch/src/stac.rs"]
#[allow(dead_code)]
mod stac;

/// Footprints are read by a library of their own.
mod area {
    pub(crate) fn footprint(_: &serde_json::Value) -> Option<geo::MultiPolygon> {
        None
    }
}

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use stac::Item;
use url::Url;

/// Full scale of reflectance.
const MOST_DN: u16 = 10_000;

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return };
    let base = Url::parse("https://example.org/items/x.json").expect("a constant address");
    let Ok(item) = Item::parse(&value, &base) else { return };
    for share in [item.cloud_share, item.valid_share].into_iter().flatten() {
        assert!((0.0..=1.0).contains(&share));
    }
    for (key, asset) in &item.assets {
        assert_eq!(item.asset(key).map(|(found, _)| found), Some(key.as_str()));
        assert!(asset.sha256.as_ref().is_none_or(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())));
        assert!(asset.pixel_m.is_none_or(|metres| metres > 0.0 && metres.is_finite()));
        if let Ok(radiometry) = radiometry::radiometry(&item, &[(key, asset)], None) {
            assert!(radiometry.offset_dn <= MOST_DN);
        }
    }
    for wanted in ["B04", "red", "visual", "SCL", "B04_20m", "red-jp2"] {
        if let Some((key, _)) = item.asset(wanted) {
            assert!(item.assets.contains_key(key));
        }
    }
    let granule = item.granule.unwrap_or_default();
    assert!(granule.is_empty() || stac::granule_key(&granule).len() <= granule.len());
});
