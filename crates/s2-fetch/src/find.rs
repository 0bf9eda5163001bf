//! From the question to the scenes that answer it, best first.

use std::path::Path;

use anyhow::Context;
use contract::GranuleId;
use geo::MultiPolygon;
use stage::{Ledger, NOTHING_FITS, coded};
use tracing::info;

use crate::catalogue;
use crate::choose::{self, Choice, Wanted, choose};
use crate::closer;
use crate::guard::shown;
use crate::question::Question;
use crate::stac::Item;
use crate::wire::Wire;

const RUNNERS_UP_SHOWN: usize = 5;

/// What to look for.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    /// The granule.
    pub granule: &'a GranuleId,
    /// Days, clouds, files.
    pub question: &'a Question,
    /// One scene by its id.
    pub item: Option<&'a str>,
    /// Scenes that were chosen before and stay the choice, best first.
    pub locked: &'a [String],
    /// The part of the granule that matters.
    pub area: Option<&'a MultiPolygon>,
    /// How many of the best scenes will be fetched.
    pub n_used: usize,
    /// The name beside which a closer look keeps its files; `None` for no closer look.
    pub beside: Option<&'a Path>,
}

/// Finds and ranks the scenes of a granule.
///
/// # Errors
/// If the catalogue cannot be read, or has no scene that fits: then with the exit code of that.
pub(crate) async fn find(wire: &Wire, search: &Search<'_>) -> anyhow::Result<(Choice, Ledger)> {
    let question = search.question;
    let wanted = Wanted {
        granule: search.granule.to_string(),
        periods: question.periods()?,
        months: question.months.clone(),
        max_cloud_share: question.max_cloud_share,
        item: search.item.map(str::to_owned),
        locked: search.locked.to_vec(),
        area: search.area.cloned(),
    };
    let items =
        catalogue::items(wire, &wanted, &question.collection).await.context("reading the catalogue")?;
    let n_items = items.len();
    let mut choice = choose(items, &wanted);
    if let Some(gone) = search.locked.iter().find(|id| choice.ranked.iter().all(|item| item.id != **id)) {
        return Err(lost(wire, search.granule, gone));
    }
    let free = search.locked.is_empty() && search.item.is_none();
    if let (true, Some(area), Some(beside), n @ 1..) = (free, search.area, search.beside, question.n_scl()) {
        choice = closer::look(wire, choice, question, area, beside, n.max(search.n_used)).await?;
        info!("rule: {}", closer::RULE);
    }
    if choice.ranked.is_empty() {
        return Err(none(wire, &wanted, &choice));
    }
    let ledger = ledger(&choice, n_items, search.n_used);
    Ok((choice, ledger))
}

fn lost(wire: &Wire, granule: &GranuleId, item: &str) -> anyhow::Error {
    let text =
        "want the locked scene {item} of granule {granule}, found it no more; choose again with --refresh";
    let text = text.replace("{item}", item).replace("{granule}", granule.as_str());
    coded(NOTHING_FITS, format!("{}: {text}", shown(wire.catalogue())))
}

/// Counts what became of the catalogue's items when the best `n_used` are fetched.
fn ledger(choice: &Choice, n_items: usize, n_used: usize) -> Ledger {
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
) -> anyhow::Result<Vec<(&'a str, &'a crate::asset::Asset, url::Url)>> {
    let one = |wanted: &'a String| {
        let (_, asset) = item.asset(wanted).with_context(|| {
            let keys: Vec<_> = item.assets.keys().map(String::as_str).collect();
            format!(
                "item {}: want an asset {wanted}, found {}; name one of them with --assets",
                item.id,
                keys.join(", ")
            )
        })?;
        let url = item.base.join(&asset.href).with_context(|| format!("asset {wanted}: a bad address"))?;
        Ok((wanted.as_str(), asset, url))
    };
    wanted.iter().map(one).collect()
}
