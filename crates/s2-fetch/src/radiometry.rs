//! What must be subtracted from a scene's reflectance numbers, and by which rule: the one place that decides it.
//!
//! | provider | what its files hold | how it is known |
//! |---|---|---|
//! | Planetary Computer, `sentinel-2-l2a` | ESA's numbers: +1000 from baseline 04.00 | `s2:processing_baseline` |
//! | Earth Search, `sentinel-2-c1-l2a` | ESA's numbers | baseline, and `raster:bands` offset -0.1 |
//! | Earth Search, `sentinel-2-l2a` | the offset is taken off, mostly | `earthsearch:boa_offset_applied`; its `raster:bands` say -0.1 either way |
//! | level 1C, from anywhere | ESA's numbers: +1000 from baseline 04.00 | baseline |
//! | others | what they say | `raster:bands` scale and offset |
//!
//! The date never decides: old scenes are processed again. Earth Search's flag is known to be wrong for some scenes (Element84/earth-search issues 66 and
//! 71: `false`, yet taken off), so the numbers have the last word: see [`Darkness`].

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{bail, ensure};

use crate::stac::{Asset, Item, is_reflectance};

/// The first processing baseline whose digital numbers carry an offset.
const FIRST_BASELINE_WITH_OFFSET: (u32, u32) = (4, 0);

/// That offset, in digital numbers.
pub(crate) const BASELINE_OFFSET_DN: u16 = 1000;

/// Numbers that far below the offset are darker than atmospheric correction ever makes the ground (reflectance under -0.01), save for a few pixels.
pub(crate) const SLACK_DN: u16 = 100;

/// More of a scene than this (mean of its bands) so dark, and it carries no offset. Land without the offset shows half and more; a scene with
/// it, less than a hundredth.
const MOST_DARK_SHARE: f64 = 0.2;

/// What is subtracted from the reflectance bands of a scene.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Radiometry {
    /// In digital numbers.
    pub offset_dn: u16,
    /// Why, in words for the file's tags.
    pub rule: String,
}

/// Decides for the assets that are asked for.
///
/// # Errors
/// If reflectance is asked for and nothing says whether it carries an offset, or two facts contradict each other.
pub(crate) fn radiometry(item: &Item, assets: &[(&str, &Asset)]) -> anyhow::Result<Radiometry> {
    let reflectance: Vec<_> = assets.iter().filter(|(wanted, _)| is_reflectance(wanted)).collect();
    let is = |offset_dn, rule: String| Ok(Radiometry { offset_dn, rule });
    if reflectance.is_empty() {
        return is(0, "no reflectance bands".to_owned());
    }
    if item.offset_applied {
        return is(0, "earthsearch:boa_offset_applied: the provider took it off".to_owned());
    }
    let stated = stated_offset(item, &reflectance)?;
    let Some((text, baseline)) = item.baseline.as_deref().and_then(|t| Some((t, parse_baseline(t)?))) else {
        let Some(stated) = stated else {
            bail!(
                "item {}: want a processing baseline (s2:processing_baseline) or raster:bands scale and offset, found neither; \
                 ask for another item with --item",
                item.id
            );
        };
        return is(stated, format!("raster:bands offset of {stated}"));
    };
    let by_baseline = if baseline >= FIRST_BASELINE_WITH_OFFSET { BASELINE_OFFSET_DN } else { 0 };
    if let Some(stated) = stated {
        ensure!(
            stated == by_baseline,
            "item {}: want one offset, found {by_baseline} by processing baseline {text} and {stated} by raster:bands; \
             ask for another item with --item",
            item.id
        );
    }
    is(by_baseline, format!("processing baseline {text}: offset of {by_baseline}"))
}

/// The offset that the assets state of themselves, if they do.
fn stated_offset(item: &Item, assets: &[&(&str, &Asset)]) -> anyhow::Result<Option<u16>> {
    let mut first: Option<(&str, u16)> = None;
    for (wanted, asset) in assets {
        let (Some(scale), Some(offset)) = (asset.scale, asset.offset) else { continue };
        let dn = (0.0 - offset / scale).round();
        ensure!(
            scale > 0.0 && (0.0..=10_000.0).contains(&dn),
            "item {}, asset {wanted}: want a raster:bands offset of 0 to -10000 numbers, found offset {offset} and scale {scale}; \
             ask for another item with --item",
            item.id
        );
        let dn = dn as u16;
        match first {
            Some((other, other_dn)) if other_dn != dn => bail!(
                "item {}: want one offset for all bands, found raster:bands offsets of {other_dn} ({other}) and {dn} ({wanted}); \
                 ask for another item with --item",
                item.id
            ),
            _ => first = Some((wanted, dn)),
        }
    }
    Ok(first.map(|(_, dn)| dn))
}

fn parse_baseline(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
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
             or the catalogue is wrong; ask for another item with --item, or another catalogue",
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
    use crate::stac::tests::item;
    use serde_json::json;

    fn scene(properties: serde_json::Value) -> Item {
        item(json!({"id": "a", "properties": properties, "assets": {
            "B04": {"href": "x", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]},
            "B03": {"href": "x", "raster:bands": [{"scale": 0.0001, "offset": 0}]},
            "visual": {"href": "v"}, "bare": {"href": "y"}}}))
    }

    fn offset(item: &Item, wanted: &str, key: &str) -> anyhow::Result<u16> {
        let (_, asset) = item.asset(key).unwrap();
        Ok(radiometry(item, &[(wanted, asset)])?.offset_dn)
    }

    #[test]
    fn the_offset_follows_the_baseline_and_never_the_date() {
        for (baseline, wanted) in
            [("02.04", 0), ("03.01", 0), ("04.00", 1000), ("05.11", 1000), ("10.00", 1000)]
        {
            let old_date =
                scene(json!({"s2:processing_baseline": baseline, "datetime": "2016-01-01T00:00:00Z"}));
            assert_eq!(offset(&old_date, "B02", "bare").unwrap(), wanted, "{baseline}");
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
        assert!(offset(&unknown, "B02", "bare").is_err());
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
        assert!(radiometry(&item, &both).unwrap_err().to_string().contains("1000 (B04)"));
        let upside_down = scene(json!({}));
        let asset = Asset { scale: Some(1e-4), offset: Some(0.1), ..Asset::default() };
        assert!(radiometry(&upside_down, &[("B04", &asset)]).is_err());
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
