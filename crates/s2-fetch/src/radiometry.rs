//! What must be subtracted from a scene's reflectance numbers, and by which rule: the one place that decides it.
//!
//! | provider | what its files hold | how it is known |
//! |---|---|---|
//! | Planetary Computer, `sentinel-2-l2a` | ESA's numbers: +1000 from baseline 04.00 | `s2:processing_baseline` |
//! | Earth Search, `sentinel-2-c1-l2a` | ESA's numbers | baseline, and `raster:bands` offset -0.1 |
//! | Earth Search, `sentinel-2-l2a` | the offset is taken off, mostly | `earthsearch:boa_offset_applied` (v0: `sentinel:`); its `raster:bands` say -0.1 either way |
//! | the same, files as JPEG 2000 (`red-jp2`) | ESA's numbers | baseline |
//! | Copernicus Data Space | ESA's numbers | `processing:version`, and `raster:offset` of the file |
//! | Google Earth Engine, `..._HARMONIZED` | the offset is taken off | the collection's name |
//! | level 1C, from anywhere | ESA's numbers: +1000 from baseline 04.00 | baseline |
//! | others | what they say | `raster:bands` or `raster:scale` and `raster:offset` |
//!
//! What a file holds is said by the catalogue ([`Asset::holds`]), not by the name it was asked for by. The date never decides: old scenes are processed
//! again. Earth Search's flag is known to be wrong for some scenes (Element84/earth-search issues 66 and 71: `false`, yet taken off), so the numbers have
//! the last word: see [`Darkness`]. A person who knows better says `--offset`.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{bail, ensure};

use crate::asset::Asset;
use crate::stac::Item;

/// The first processing baseline whose digital numbers carry an offset.
const FIRST_BASELINE_WITH_OFFSET: (u32, u32) = (4, 0);

/// That offset, in digital numbers.
pub(crate) const BASELINE_OFFSET_DN: u16 = 1000;

/// Numbers that far below the offset are darker than atmospheric correction ever makes the ground (reflectance under -0.01), save for a few pixels.
pub(crate) const SLACK_DN: u16 = 100;

/// More of a scene than this (mean of its bands) so dark, and it carries no offset. Land without the offset shows half and more; a scene with
/// it, less than a hundredth.
const MOST_DARK_SHARE: f64 = 0.2;

/// What a person does where nothing says it.
const ADVICE: &str = "say it with --offset -0.1 where numbers carry 1000, or --offset 0 where they do not";

/// Digital numbers of a unit of reflectance, in all of Sentinel-2's files.
pub(crate) const DN_PER_REFLECTANCE: f64 = 10_000.0;

/// How far a scale may differ from the one of Sentinel-2: it may have been a 32-bit float.
const SCALE_TOLERANCE: f64 = 1e-6;

/// What is subtracted from the reflectance bands of a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Radiometry {
    /// In digital numbers.
    pub offset_dn: u16,
    /// Why, in words for the file's tags.
    pub rule: String,
}

/// Decides for the assets that are asked for; `said` is what a person says, in reflectance.
///
/// # Errors
/// If reflectance is asked for and nothing says whether it carries an offset, or two facts contradict each other.
pub(crate) fn radiometry(
    item: &Item,
    assets: &[(&str, &Asset)],
    said: Option<f64>,
) -> anyhow::Result<Radiometry> {
    let mut first: Option<(&str, Radiometry)> = None;
    for (wanted, asset) in assets.iter().filter(|(_, asset)| asset.has_reflectance()) {
        let one = match said {
            Some(offset) => of_flag(offset)?,
            None => of_asset(item, wanted, asset)?,
        };
        match &first {
            Some((other, of_other)) if of_other.offset_dn != one.offset_dn => bail!(
                "item {}: want one offset for all bands, found {} ({other}) and {} ({wanted}); ask for files of one kind, or {ADVICE}",
                item.id,
                of_other.offset_dn,
                one.offset_dn
            ),
            Some(_) => {}
            None => first = Some((wanted, one)),
        }
    }
    let none = || Radiometry { offset_dn: 0, rule: "no reflectance bands".to_owned() };
    Ok(first.map_or_else(none, |(_, radiometry)| radiometry))
}

/// What a person says of all bands.
///
/// # Errors
/// If it is no offset of Sentinel-2's numbers.
pub(crate) fn of_flag(offset: f64) -> anyhow::Result<Radiometry> {
    let dn = (-offset * DN_PER_REFLECTANCE).round();
    ensure!(
        (0.0..=DN_PER_REFLECTANCE).contains(&dn),
        "want --offset from -1 to 0, in reflectance, found {offset}; say -0.1 or 0"
    );
    Ok(Radiometry { offset_dn: dn as u16, rule: format!("--offset {offset}") })
}

fn of_asset(item: &Item, wanted: &str, asset: &Asset) -> anyhow::Result<Radiometry> {
    let is = |offset_dn, rule: String| Ok(Radiometry { offset_dn, rule });
    if let Some(why) = item.offset_applied.as_ref().filter(|_| !asset.jp2) {
        return is(0, format!("{why}: the provider took it off"));
    }
    let stated = stated_offset(item, wanted, asset)?;
    let Some((text, by_baseline)) = item.baseline.as_deref().and_then(|t| Some((t, offset_of_baseline(t)?)))
    else {
        let Some(stated) = stated else {
            bail!(
                "item {}: want a processing baseline (s2:processing_baseline, processing:version) or raster:bands scale and offset, \
                 found neither for asset {wanted}; {ADVICE}, or ask for another item with --item",
                item.id
            );
        };
        return is(stated, format!("{} offset of {stated}", asset.stated_by));
    };
    if let Some(stated) = stated {
        ensure!(
            stated == by_baseline,
            "item {}: want one offset of asset {wanted}, found {by_baseline} by processing baseline {text} and {stated} by {}; \
             {ADVICE}, or ask for another item with --item",
            item.id,
            asset.stated_by
        );
    }
    is(by_baseline, format!("processing baseline {text}: offset of {by_baseline}"))
}

/// The offset that an asset states of itself, if it does.
fn stated_offset(item: &Item, wanted: &str, asset: &Asset) -> anyhow::Result<Option<u16>> {
    let mut first = None;
    for (scale, offset) in &asset.stated {
        let dn = (0.0 - offset / scale).round();
        ensure!(
            (scale * DN_PER_REFLECTANCE - 1.0).abs() < SCALE_TOLERANCE
                && (0.0..=DN_PER_REFLECTANCE).contains(&dn),
            "item {}, asset {wanted}: want a scale of 0.0001 by {} and an offset of 0 to -10000 numbers, found scale {scale} and offset {offset}; \
             fetch the file by other means and take it in with s2-fetch import --scale {scale} --offset {offset}",
            item.id,
            asset.stated_by
        );
        let dn = dn as u16;
        ensure!(
            *first.get_or_insert(dn) == dn,
            "item {}, asset {wanted}: want one offset for all bands, found offsets of {} and {dn} by {}; {ADVICE}",
            item.id,
            first.unwrap_or_default(),
            asset.stated_by
        );
    }
    Ok(first)
}

/// The offset of a processing baseline, `05.11`; none if it says nothing.
pub(crate) fn offset_of_baseline(text: &str) -> Option<u16> {
    Some(if parse_baseline(text)? >= FIRST_BASELINE_WITH_OFFSET { BASELINE_OFFSET_DN } else { 0 })
}

/// Major and minor number; 99.99 is what people's own runs of ESA's processor say, and says nothing.
fn parse_baseline(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let baseline = (major.parse().ok()?, minor.parse().ok()?);
    (baseline != (99, 99)).then_some(baseline)
}

/// Takes the offset off a digital number. 0 means "no data" and stays; a darker number than the offset becomes 1, the darkest with data.
pub(crate) fn without_offset(dn: u16, offset_dn: u16) -> u16 {
    if dn == 0 || offset_dn == 0 { dn } else { dn.saturating_sub(offset_dn).max(1) }
}

/// Counts how many numbers of a scene's reflectance bands are too dark to carry the offset that is being taken off; may be shared by threads.
#[derive(Debug)]
pub(crate) struct Darkness {
    offset_dn: u16,
    // Of each band: pixels with data, and those too dark.
    bands: Vec<[AtomicU64; 2]>,
}

impl Darkness {
    /// Nothing counted yet.
    pub fn new(offset_dn: u16, n_bands: usize) -> Self {
        Self { offset_dn, bands: (0..n_bands).map(|_| Default::default()).collect() }
    }

    /// Counts numbers of a band (from 0) as they are in the file.
    pub fn count(&self, band: usize, numbers: impl Iterator<Item = u16>) {
        let Some(limit_dn) = self.offset_dn.checked_sub(SLACK_DN).filter(|limit| *limit > 0) else { return };
        let (mut n_data, mut n_dark) = (0, 0);
        for dn in numbers {
            n_data += u64::from(dn != 0);
            n_dark += u64::from(dn != 0 && dn <= limit_dn);
        }
        self.bands[band][0].fetch_add(n_data, Ordering::Relaxed);
        self.bands[band][1].fetch_add(n_dark, Ordering::Relaxed);
    }

    /// Holds the numbers to the rule.
    ///
    /// # Errors
    /// If they are so dark that the offset must have been taken off before.
    pub fn check(&self, item: &str, rule: &str) -> anyhow::Result<()> {
        let count = |n: &AtomicU64| n.load(Ordering::Relaxed) as f64;
        let shares: Vec<f64> =
            self.bands.iter().filter(|b| count(&b[0]) > 0.0).map(|b| count(&b[1]) / count(&b[0])).collect();
        let dark_share = shares.iter().sum::<f64>() / shares.len().max(1) as f64;
        ensure!(
            dark_share <= MOST_DARK_SHARE,
            "item {item}: want numbers that carry an offset of {} ({rule}), found {:.0} % of them below {}: it was taken off before, \
             or what says so is wrong; say --offset 0, or ask for another item with --item, or another catalogue",
            self.offset_dn,
            100.0 * dark_share,
            self.offset_dn - SLACK_DN
        );
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::bands::Content;
    use crate::stac::tests::item;
    use serde_json::json;

    fn scene(properties: serde_json::Value) -> Item {
        item(json!({"id": "a", "properties": properties, "assets": {
            "B04": {"href": "x", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            "B03": {"href": "x", "raster:bands": [{"scale": 0.0001, "offset": 0}]},
            "visual": {"href": "v"}, "B02": {"href": "y"}}}))
    }

    fn offset(item: &Item, wanted: &str, key: &str) -> anyhow::Result<u16> {
        let (_, asset) = item.asset(key).unwrap();
        Ok(radiometry(item, &[(wanted, asset)], None)?.offset_dn)
    }

    #[test]
    fn the_offset_follows_the_baseline_and_never_the_date() {
        for (baseline, wanted) in
            [("02.04", 0), ("03.01", 0), ("04.00", 1000), ("05.11", 1000), ("10.00", 1000)]
        {
            let old_date =
                scene(json!({"s2:processing_baseline": baseline, "datetime": "2016-01-01T00:00:00Z"}));
            assert_eq!(offset(&old_date, "B02", "B02").unwrap(), wanted, "{baseline}");
        }
        let harmonised =
            scene(json!({"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": true}));
        assert_eq!(offset(&harmonised, "B04", "B04").unwrap(), 0, "Earth Search states -0.1 even so");
        let not_yet =
            scene(json!({"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": false}));
        assert_eq!(offset(&not_yet, "B04", "B04").unwrap(), 1000);
    }

    #[test]
    fn without_a_baseline_the_asset_must_state_its_offset() {
        let unknown = scene(json!({}));
        assert_eq!(offset(&unknown, "B04", "B04").unwrap(), 1000);
        assert_eq!(offset(&unknown, "B03", "B03").unwrap(), 0);
        assert_eq!(offset(&unknown, "visual", "visual").unwrap(), 0, "a picture has no offset");
        assert!(offset(&unknown, "B02", "B02").is_err());
    }

    #[test]
    fn the_rule_is_that_of_the_file_whatever_name_it_was_asked_by() {
        let red = json!({"href": "B04.tif", "eo:bands": [{"name": "B04", "common_name": "red"}]});
        let jp2 = json!({"href": "s3://sentinel-s2-l2a/tiles/48/R/VV/2023/1/31/0/R10m/B04.jp2", "eo:bands": red["eo:bands"]});
        let scene = |properties| {
            item(
                json!({"id": "a", "properties": properties, "assets": {"red": red, "red-jp2": jp2, "data": red}}),
            )
        };
        let offsets = |properties| {
            let item = scene(properties);
            ["B04", "red", "data", "red-jp2", "B04-jp2"].map(|wanted| {
                let asset = item.asset(wanted).unwrap().1;
                radiometry(&item, &[(wanted, asset)], None).unwrap().offset_dn
            })
        };
        assert_eq!(offsets(json!({"s2:processing_baseline": "05.11"})), [1000; 5]);
        assert_eq!(offsets(json!({"processing:version": "05.11"})), [1000; 5]);
        let v0 = json!({"sentinel:processing_baseline": "04.00", "sentinel:boa_offset_applied": true});
        assert_eq!(offsets(v0), [0, 0, 0, 1000, 1000], "ESA's own files still carry it");
        let mut gee = json!({"id": "a", "collection": "COPERNICUS/S2_SR_HARMONIZED", "properties": {"PROCESSING_BASELINE": "05.09"},
            "assets": {"B4": {"href": "x.tif"}}});
        let rule = |value: &serde_json::Value| {
            let item = item(value.clone());
            radiometry(&item, &[("B4", item.asset("B4").unwrap().1)], None).unwrap()
        };
        assert_eq!(rule(&gee).offset_dn, 0);
        assert_eq!(rule(&gee).rule, "collection COPERNICUS/S2_SR_HARMONIZED: the provider took it off");
        gee["collection"] = json!("COPERNICUS/S2_SR");
        assert_eq!(rule(&gee).offset_dn, 1000);
        let both: Vec<_> = ["red", "red-jp2"].to_vec();
        let mixed = scene(json!({"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": true}));
        let named: Vec<_> = both.iter().map(|key| (*key, mixed.asset(key).unwrap().1)).collect();
        assert!(
            radiometry(&mixed, &named, None).unwrap_err().to_string().contains("ask for files of one kind")
        );
    }

    #[test]
    fn what_cannot_be_decided_names_the_flag_that_decides_it() {
        for properties in
            [json!({}), json!({"s2:processing_baseline": "99.99"}), json!({"processing:version": "1.0"})]
        {
            let item = scene(properties);
            let named = [("B02", item.asset("B02").unwrap().1)];
            assert!(radiometry(&item, &named, None).unwrap_err().to_string().contains("--offset -0.1"));
            assert_eq!(
                radiometry(&item, &named, Some(-0.1)).unwrap(),
                Radiometry { offset_dn: 1000, rule: "--offset -0.1".into() }
            );
            assert_eq!(radiometry(&item, &named, Some(0.0)).unwrap().offset_dn, 0);
            assert!(
                radiometry(&item, &named, Some(0.1)).is_err()
                    && radiometry(&item, &named, Some(f64::NAN)).is_err()
            );
        }
    }

    #[test]
    fn facts_that_contradict_each_other_are_refused_and_both_named() {
        let cases = [
            ("05.11", "B03", ["1000 by processing baseline 05.11", "0 by raster:bands"]),
            ("02.14", "B04", ["0 by processing baseline 02.14", "1000 by raster:bands"]),
        ];
        for (baseline, band, said) in cases {
            let item = scene(json!({"s2:processing_baseline": baseline}));
            let line = offset(&item, band, band).unwrap_err().to_string();
            assert!(said.iter().all(|fact| line.contains(fact)), "{line}");
        }
        let item = scene(json!({}));
        let both: Vec<_> = ["B03", "B04"].map(|key| (key, item.asset(key).unwrap().1)).to_vec();
        assert!(radiometry(&item, &both, None).unwrap_err().to_string().contains("1000 (B04)"));
        let upside_down = scene(json!({}));
        let holds = vec![Content::Band("B04")];
        for stated in [(1e-4, 0.1), (2.75e-5, -0.2), (0.0, -0.1), (1.0, -1000.0)] {
            let asset = Asset { stated: vec![stated], holds: holds.clone(), ..Asset::default() };
            let line = radiometry(&upside_down, &[("B04", &asset)], None).unwrap_err().to_string();
            assert!(line.contains("s2-fetch import --scale"), "{line}");
        }
    }

    #[test]
    fn no_data_stays_and_data_never_becomes_no_data() {
        assert_eq!([0, 1, 999, 1000, 1001, 1300].map(|dn| without_offset(dn, 1000)), [0, 1, 1, 1, 1, 300]);
        assert_eq!([0, 1, 65535].map(|dn| without_offset(dn, 0)), [0, 1, 65535]);
    }

    #[test]
    fn numbers_too_dark_for_their_offset_are_refused_and_no_data_does_not_count() {
        let check = |dn: &[u16]| {
            let darkness = Darkness::new(1000, 1);
            darkness.count(0, dn.iter().copied());
            darkness.check("one", "baseline")
        };
        assert!(check(&[0, 0, 0, 0, 1100, 1500]).is_ok());
        assert!(check(&[950, 960, 970, 980]).is_ok(), "a little below is what correction does to dark water");
        assert!(check(&[0, 300, 1200]).unwrap_err().to_string().contains("50 % of them below 900"));
        let darkness = Darkness::new(0, 1);
        darkness.count(0, [5, 6].into_iter());
        assert!(darkness.check("one", "no offset").is_ok());
    }
}
