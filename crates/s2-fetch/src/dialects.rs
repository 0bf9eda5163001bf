//! Tests of the reader of items on one scene in the words of every provider, and on the same items with something changed.
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/dialects.rs"]
mod said;

use serde_json::{Value, json};
use url::Url;

use crate::choose::better;
use crate::radiometry::radiometry;
use crate::stac::Item;

fn parse(value: &Value) -> Result<Item, String> {
    Item::parse(value, &Url::parse("https://example.org/items/x.json").unwrap())
}

#[test]
fn a_scene_has_the_same_facts_in_every_dialect() {
    let all = said::dialects();
    assert_eq!(all.len(), 9);
    for dialect in &all {
        let (item, name) = (parse(&dialect.item).unwrap(), dialect.name);
        assert_eq!(item.granule.as_deref(), Some("48RVV"), "{name}");
        assert_eq!(item.baseline.as_deref(), Some("05.11"), "{name}");
        assert_eq!(item.cloud_share, Some(0.01), "{name}");
        let valid = if name == "sentinel hub" { None } else { Some(0.75) };
        assert_eq!(item.valid_share, valid, "{name}");
        assert!(item.sensed_from.as_deref().is_some_and(|t| t.starts_with("2023-01-31T03:")), "{name}");
        let take = item.sensing.as_deref().unwrap();
        let known =
            take == "GS2B_20230131T033959_030829" || ["sentinel hub", "earth search v0"].contains(&name);
        assert!(known, "{name}: {take}");
    }
}

#[test]
fn every_spelling_finds_the_same_file_and_the_same_offset() {
    let mut n_asked = 0;
    for dialect in said::dialects() {
        let item = parse(&dialect.item).unwrap();
        let href = |wanted: &str| {
            item.asset(wanted).unwrap_or_else(|| panic!("{}: no {wanted}", dialect.name)).1.href.clone()
        };
        for names in dialect.spellings {
            for (name, file) in names.iter().zip(["B04", "B03", "B02"]) {
                assert_eq!(href(name), format!("./{file}.tif"), "{}: {name}", dialect.name);
                n_asked += 1;
            }
            let assets: Vec<_> = names.iter().map(|name| (*name, item.asset(name).unwrap().1)).collect();
            assert_eq!(
                radiometry(&item, &assets, None).unwrap().offset_dn,
                dialect.offset_dn,
                "{}: {names:?}",
                dialect.name
            );
        }
        for (names, file) in [(dialect.picture, "./TCI.tif"), (dialect.classes, "./SCL.tif")] {
            for name in names {
                assert_eq!(href(name), file, "{}: {name}", dialect.name);
                let assets = [(*name, item.asset(name).unwrap().1)];
                assert_eq!(
                    radiometry(&item, &assets, None).unwrap().offset_dn,
                    0,
                    "{}: {name}",
                    dialect.name
                );
            }
        }
    }
    assert!(n_asked > 60, "{n_asked}");
}

#[test]
fn a_full_scene_comes_before_a_part_in_every_dialect_that_says_it() {
    for dialect in said::dialects().iter().filter(|dialect| dialect.name != "sentinel hub") {
        let mut empty = dialect.item.clone();
        let text = empty["properties"].to_string();
        let text = text
            .replace("25.0", "90.0")
            .replace(":25,", ":90,")
            .replace("75.0", "10.0")
            .replace("1.0", "0.5");
        empty["properties"] = serde_json::from_str(&text).unwrap();
        let (full, part) = (parse(&dialect.item).unwrap(), parse(&empty).unwrap());
        assert!(part.valid_share < full.valid_share, "{}", dialect.name);
        assert!(better(&full, &part).is_lt(), "{}", dialect.name);
    }
}

/// Values that no honest catalogue puts anywhere.
fn odd() -> Vec<Value> {
    let long = "9".repeat(3000);
    let mut texts = vec![
        "",
        "é\u{0}\u{202e}",
        "../../x",
        "S2_HARMONIZED_N9999",
        "T99ZZZ",
        "2023-01-31",
        "1220zz",
        "B",
        "_m",
        "0m",
        "N0",
        long.as_str(),
    ];
    texts.extend(["MGRS-", "T", "00000VVV", "B04_99999999999m", "é04", "-0.1", "NaN", "http://[", "N05११"]);
    let numbers = [
        json!(0),
        json!(-1),
        json!(1e308),
        json!(-1e308),
        json!(5e-324),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(100.000_001),
        json!(-0.0),
    ];
    let mut nested = json!([]);
    (0..60).for_each(|_| nested = json!([nested]));
    let others = [
        Value::Null,
        json!(true),
        json!([]),
        json!({}),
        json!([[[[1e308, 2.0]]]]),
        nested,
        json!([{"name": 5, "scale": 0.0, "offset": 1}]),
    ];
    texts.into_iter().map(|t| json!(t)).chain(numbers).chain(others).collect()
}

/// The paths of all values in a document.
fn paths(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(map) => {
            map.iter().for_each(|(key, inner)| paths(inner, &format!("{at}/{}", escaped(key)), found))
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, inner)| paths(inner, &format!("{at}/{i}"), found))
        }
        _ => {}
    }
}

fn hold(value: &Value) -> bool {
    let Ok(item) = parse(value) else { return false };
    for share in [item.cloud_share, item.valid_share].into_iter().flatten() {
        assert!((0.0..=1.0).contains(&share), "{share}: {value}");
    }
    assert!(item.assets.values().all(|asset| asset.sha256.as_ref().is_none_or(|hash| hash.len() == 64)));
    for (key, asset) in &item.assets {
        assert_eq!(item.asset(key).unwrap().0, key);
        if let Ok(radiometry) = radiometry(&item, &[(key.as_str(), asset)], None) {
            assert!(radiometry.offset_dn <= 10_000, "{value}");
        }
    }
    let wanted = ["B04", "visual", "SCL", "é", "", "red-jp2", "B04_20m"];
    wanted.iter().for_each(|wanted| drop(item.asset(wanted).map(|(key, _)| key.to_owned())));
    assert!(better(&item, &item).is_eq());
    true
}

#[test]
fn an_item_with_anything_changed_is_read_or_refused_and_never_a_panic() {
    let (mut n, mut n_read) = (0, 0);
    let odd = odd();
    for dialect in said::dialects() {
        let mut item = dialect.item;
        item["geometry"] = json!({"type": "Polygon", "coordinates": [[[103.0, 30.0], [104.0, 30.0], [104.0, 31.0], [103.0, 30.0]]]});
        let mut all = Vec::new();
        paths(&item, "", &mut all);
        for (place, path) in all.iter().enumerate() {
            // A third of the values each, all of them over three neighbours.
            for value in odd.iter().skip(place % 3).step_by(3) {
                let mut changed = item.clone();
                *changed.pointer_mut(path).unwrap() = value.clone();
                n_read += usize::from(hold(&changed));
                n += 1;
            }
        }
    }
    assert!(n > 5_000 && n_read > n / 2, "{n_read} of {n}");
}
