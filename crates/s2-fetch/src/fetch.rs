//! The command `fetch`: choose, fetch, prove, stack, write.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::GranuleId;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use stage::Ledger;
use tracing::info;

use crate::catalogue;
use crate::choose::{self, Choice, Wanted, choose};
use crate::flags::{asset_name, catalogue_url, day};
use crate::guard::shown;
use crate::output::write;
use crate::proof::Promise;
use crate::stac::Item;
use crate::wire::{Limits, Proven, Wire};

const FETCHES_AT_ONCE: usize = 4;
const RUNNERS_UP_SHOWN: usize = 5;

#[derive(clap::Args, Debug)]
/// Flags of `fetch`.
pub(crate) struct Fetch {
    /// Static STAC catalogue (path, file: or http address) or root of a STAC API
    #[arg(long, value_name = "PATH|URL")]
    pub catalogue: String,
    /// Granule, such as T18SVG
    #[arg(long, value_name = "ID")]
    pub granule: GranuleId,
    /// Files of the scene, in band order: B02,B03,B04,B08 or visual
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = asset_name, required = true)]
    pub assets: Vec<String>,
    /// First day of sensing, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub from: String,
    /// Last day of sensing
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub to: String,
    /// Leave out scenes with more cloud than this
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = stage::share)]
    pub max_cloud_share: f64,
    /// Fetch this item and no other
    #[arg(long, value_name = "ID")]
    pub item: Option<String>,
    /// Collection to search, where the catalogue is an API
    #[arg(long, value_name = "ID", default_value = "sentinel-2-l2a")]
    pub collection: String,
    #[command(flatten)]
    pub limits: Limits,
    /// The scene: one Cloud Optimized GeoTIFF
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// The choice: a table of the scene and its runners-up [default: OUT with .scene.parquet]
    #[arg(long, value_name = "FILE")]
    pub scene_out: Option<PathBuf>,
}

/// Chooses, fetches, proves, stacks, writes.
///
/// # Errors
/// If the granule has no scene, a file cannot be fetched or proven, or an output cannot be written.
pub(crate) fn run(flags: &Fetch) -> anyhow::Result<Ledger> {
    if flags.from > flags.to {
        bail!("want --from before --to, found {} after {}", flags.from, flags.to);
    }
    let catalogue = catalogue_url(&flags.catalogue)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let wire = Wire::to(catalogue, &flags.limits)?;
    let (choice, ledger) = runtime.block_on(find(&wire, flags))?;
    let proven = runtime.block_on(fetch(&wire, flags, &choice.ranked[0]))?;
    write(flags, &choice, &proven)?;
    proven.into_iter().for_each(Proven::discard);
    Ok(ledger)
}

async fn find(wire: &Wire, flags: &Fetch) -> anyhow::Result<(Choice, Ledger)> {
    let wanted = Wanted {
        granule: flags.granule.to_string(),
        from: flags.from.clone(),
        to: flags.to.clone(),
        max_cloud_share: flags.max_cloud_share,
        item: flags.item.clone(),
    };
    let items = catalogue::items(wire, &wanted, &flags.collection).await.context("reading the catalogue")?;
    let mut ledger = Ledger::of("scenes", items.len());
    let choice = choose(items, &wanted);
    for (reason, n) in &choice.skipped {
        (0..*n).for_each(|_| ledger.skip(reason));
    }
    if choice.ranked.is_empty() {
        let reasons: Vec<_> = choice.skipped.iter().map(|(reason, n)| format!("{n} {reason}")).collect();
        bail!(
            "{}: want a scene of granule {} from {} to {}, found none ({}); widen the dates or the cloud, or check the granule's id",
            shown(wire.catalogue()),
            flags.granule,
            flags.from,
            flags.to,
            if reasons.is_empty() { "no items".to_owned() } else { reasons.join(", ") }
        );
    }
    ledger.ok(1);
    (1..choice.ranked.len()).for_each(|_| ledger.skip("runner-up"));
    say(&choice);
    Ok((choice, ledger))
}

fn say(choice: &Choice) {
    info!("rule: {}", choose::RULE);
    let percent = |share: Option<f64>| share.map_or("unknown".to_owned(), |s| format!("{:.1} %", s * 100.0));
    for (place, item) in choice.ranked.iter().take(1 + RUNNERS_UP_SHOWN).enumerate() {
        info!(
            "{} {}, valid {}, cloud {}, sensed {}",
            if place == 0 { "fetching".to_owned() } else { format!("runner-up {place}:") },
            item.id,
            percent(item.valid_share),
            percent(item.cloud_share),
            item.sensed().as_deref().unwrap_or("unknown")
        );
    }
}

async fn fetch(wire: &Wire, flags: &Fetch, item: &Item) -> anyhow::Result<Vec<Proven>> {
    let collection = item.collection.as_deref().unwrap_or(&flags.collection);
    let fetches = flags.assets.iter().map(|wanted| async move {
        let (_, asset) = item.asset(wanted).with_context(|| {
            let keys: Vec<_> = item.assets.keys().map(String::as_str).collect();
            format!("item {}: want an asset {wanted}, found {}", item.id, keys.join(", "))
        })?;
        let url = item.base.join(&asset.href).with_context(|| format!("asset {wanted}: a bad address"))?;
        let promise = Promise { size: asset.size, sha256: asset.sha256.clone() };
        wire.raster(&url, &beside(&flags.out, wanted), &promise, collection, None).await
    });
    stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_collect().await
}

/// The name beside the output under which an asset is kept while it is fetched.
fn beside(out: &Path, wanted: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}.{wanted}"))
}
