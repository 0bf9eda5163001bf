//! From the question to the scenes that answer it, best first.

use anyhow::Context;
use contract::GranuleId;
use geo::MultiPolygon;
use stage::{Ledger, NOTHING_FITS, coded};
use tracing::info;

use crate::catalogue;
use crate::choose::{self, Choice, Wanted, choose};
use crate::guard::shown;
use crate::question::Question;
use crate::stac::Item;
use crate::wire::Wire;

const RUNNERS_UP_SHOWN: usize = 5;

/// Finds and ranks the scenes of a granule, of which the best `n_used` will be fetched.
///
/// # Errors
/// If the catalogue cannot be read, or has no scene that fits: then with the exit code of that.
pub(crate) async fn find(
    wire: &Wire,
    granule: &GranuleId,
    question: &Question,
    item: Option<&str>,
    area: Option<&MultiPolygon>,
    n_used: usize,
) -> anyhow::Result<(Choice, Ledger)> {
    let wanted = Wanted {
        granule: granule.to_string(),
        periods: question.periods()?,
        months: question.months.clone(),
        max_cloud_share: question.max_cloud_share,
        item: item.map(str::to_owned),
        area: area.cloned(),
    };
    let items =
        catalogue::items(wire, &wanted, &question.collection).await.context("reading the catalogue")?;
    let n_items = items.len();
    let choice = choose(items, &wanted);
    if choice.ranked.is_empty() {
        return Err(none(wire, &wanted, &choice));
    }
    Ok((choice.clone(), ledger(&choice, n_items, n_used)))
}

/// Counts what became of the catalogue's items when the best `n_used` are fetched.
pub(crate) fn ledger(choice: &Choice, n_items: usize, n_used: usize) -> Ledger {
    let mut ledger = Ledger::of("scenes", n_items);
    for (reason, n) in &choice.skipped {
        (0..*n).for_each(|_| ledger.skip(reason));
    }
    ledger.ok(n_used.min(choice.ranked.len()));
    (n_used..choice.ranked.len()).for_each(|_| ledger.skip("runner-up"));
    ledger
}

fn none(wire: &Wire, wanted: &Wanted, choice: &Choice) -> anyhow::Error {
    let reasons: Vec<_> = choice.skipped.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
    let days: Vec<_> = wanted.periods.iter().map(|p| format!("from {} to {}", p.from, p.to)).collect();
    coded(
        NOTHING_FITS,
        format!(
            "{}: want a scene of granule {} {}, found none ({}); widen the dates or the cloud, or check the granule's id",
            shown(wire.catalogue()),
            wanted.granule,
            days.join(" or "),
            if reasons.is_empty() { "no items".to_owned() } else { reasons.join(", ") }
        ),
    )
}

/// Logs the rule, the scenes that are used, and the runners-up.
pub(crate) fn say(choice: &Choice, n_used: usize) {
    info!("rule: {}", choose::RULE);
    let percent = |share: Option<f64>| share.map_or("unknown".to_owned(), |s| format!("{:.1} %", s * 100.0));
    for (place, item) in choice.ranked.iter().take(n_used + RUNNERS_UP_SHOWN).enumerate() {
        let word =
            if place < n_used { "fetching".to_owned() } else { format!("runner-up {}:", place + 1 - n_used) };
        info!(
            "{word} {}, valid {}, cloud {}, sensed {}",
            item.id,
            percent(item.valid_share),
            percent(item.cloud_share),
            item.sensed().as_deref().unwrap_or("unknown")
        );
    }
}

/// The assets of an item that a question asks for, in its order: the name asked for and the address.
///
/// # Errors
/// Names the asset that is not there, and those that are.
pub(crate) fn assets<'a>(
    item: &'a Item,
    wanted: &'a [String],
) -> anyhow::Result<Vec<(&'a str, &'a crate::stac::Asset, url::Url)>> {
    let one = |wanted: &'a String| {
        let (_, asset) = item.asset(wanted).with_context(|| {
            let keys: Vec<_> = item.assets.keys().map(String::as_str).collect();
            format!("item {}: want an asset {wanted}, found {}", item.id, keys.join(", "))
        })?;
        let url = item.base.join(&asset.href).with_context(|| format!("asset {wanted}: a bad address"))?;
        Ok((wanted.as_str(), asset, url))
    };
    wanted.iter().map(one).collect()
}
