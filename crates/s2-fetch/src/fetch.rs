//! The command `fetch`: choose, fetch, prove, stack, write.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use contract::{GranuleId, SCL};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use geo::{Area, BooleanOps, MultiPolygon};
use stage::Ledger;
use tracing::info;

use crate::cost::{Cost, cost_of};
use crate::find::{Search, assets, find, say};
use crate::flags::catalogue_url;
use crate::globe::extent;
use crate::lock::{self, Locked};
use crate::output::{Fetched, Outputs, scl_asset, write};
use crate::proof::Promise;
use crate::question::Question;
use crate::stac::Item;
use crate::wire::{Limits, Proven, Wire};
use crate::{area, summary, tiling};

/// Memory for decoded blocks, in megabytes: each is used once, or soon again.
const CACHE_MB: usize = 24;

#[derive(clap::Args, Debug)]
/// Flags of `fetch`.
pub(crate) struct Fetch {
    /// Static STAC catalogue (path, file: or http address), a table of items (.parquet), or root of a STAC API
    #[arg(long, value_name = "PATH|URL")]
    pub catalogue: String,
    /// Granule, such as T18SVG
    #[arg(long, value_name = "ID")]
    pub granule: GranuleId,
    #[command(flatten)]
    pub question: Question,
    /// Fetch this item and no other
    #[arg(long, value_name = "ID")]
    pub item: Option<String>,
    /// What the catalogue does not say, or says wrongly: reflectance is 0.0001 x number + OFFSET; -0.1 for numbers that carry 1000, else 0
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
    pub offset: Option<f64>,
    #[command(flatten)]
    pub limits: Limits,
    /// The scene: one Cloud Optimized GeoTIFF
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub outputs: Outputs,
    /// The choice: a table of the scene and its runners-up [default: OUT with .scene.parquet]
    #[arg(long, value_name = "FILE")]
    pub scene_out: Option<PathBuf>,
    /// Keep the choice in this file: the same scene comes again although the catalogue has newer ones; many granules share one file
    #[arg(long, value_name = "FILE")]
    pub lock: Option<PathBuf>,
    /// Choose again whatever the lock says, and lock the new choice
    #[arg(long, requires = "lock")]
    pub refresh: bool,
    /// Fetch the whole granule though an area is given, not only the part around it
    #[arg(long)]
    pub whole: bool,
    /// Choose, say how many files and bytes it would be, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// With --dry-run, say how long it takes at this many megabytes (1,000,000 bytes) a second
    #[arg(long, value_name = "RATE", value_parser = stage::positive, requires = "dry_run")]
    pub at_mb_per_s: Option<f64>,
    /// Print what was done as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

/// Chooses, fetches, proves, stacks, writes.
///
/// # Errors
/// If the granule has no scene, a file cannot be fetched or proven, or an output cannot be written.
pub(crate) fn run(flags: &Fetch) -> anyhow::Result<Ledger> {
    raster::limit_cache(CACHE_MB);
    let begun = Instant::now();
    flags.question.periods()?;
    let area = area_here(flags)?;
    let wire = Wire::to(catalogue_url(&flags.catalogue)?, &flags.limits)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let n_scenes = flags.outputs.n_scenes();
    let question = question_hash(flags, &wire, area.as_ref())?;
    let locked = locked(flags, &question)?;
    let search = Search {
        granule: &flags.granule,
        question: &flags.question,
        item: flags.item.as_deref(),
        locked: &locked,
        area: area.as_ref(),
        n_used: n_scenes,
        beside: (!flags.dry_run).then_some(flags.out.as_path()),
    };
    let (choice, ledger) = runtime.block_on(find(&wire, &search))?;
    say(&choice, n_scenes);
    let used = &choice.ranked[..n_scenes.min(choice.ranked.len())];
    if flags.dry_run {
        summary::print_dry(flags, used, runtime.block_on(cost(&wire, flags, used))?);
        return Ok(ledger);
    }
    keep(flags, used, question)?;
    let mut fetched = Vec::new();
    for (place, item) in used.iter().enumerate() {
        fetched.push(runtime.block_on(fetch(&wire, flags, item, place, area.as_ref()))?);
    }
    write(flags, &choice, &fetched)?;
    let bytes = summary::bytes(&fetched);
    fetched.into_iter().flat_map(|f| f.files.into_iter().chain(f.scl)).for_each(Proven::discard);
    if flags.json {
        summary::print(flags, used, &bytes, begun.elapsed().as_secs_f64())?;
    }
    Ok(ledger)
}

/// The part of the area that the granule covers.
fn area_here(flags: &Fetch) -> anyhow::Result<Option<MultiPolygon>> {
    let Some(area) = flags.question.area.read()? else { return Ok(None) };
    let Some(granule) = tiling::granule(flags.granule.as_str())? else { return Ok(Some(area)) };
    let here = area.intersection(&granule.footprint);
    ensure!(
        here.unsigned_area() > 0.0,
        "want an area that granule {} meets, found one beside it; s2-fetch plan lists the granules of an area",
        flags.granule
    );
    Ok(Some(here))
}

/// A hash of the question, the provider included, wherever a local catalogue lies.
fn question_hash(flags: &Fetch, wire: &Wire, area: Option<&MultiPolygon>) -> anyhow::Result<String> {
    let provider = wire.catalogue().host_str().unwrap_or("local").to_owned();
    let n_scenes = flags.outputs.n_scenes().to_string();
    flags.question.hash(area.map(area::hash).as_deref(), &[("provider", provider), ("scenes", n_scenes)])
}

/// The scenes that the lock holds for this question.
fn locked(flags: &Fetch, question: &str) -> anyhow::Result<Vec<String>> {
    let Some(path) = flags.lock.as_ref().filter(|_| !flags.refresh && flags.item.is_none()) else {
        return Ok(Vec::new());
    };
    match lock::read(path, &flags.granule)? {
        Some(line) if line.question == question => Ok(line.items),
        Some(line) => {
            info!(
                "the question is another one than when {} was locked: choosing again",
                line.items.join(" ")
            );
            Ok(Vec::new())
        }
        None => Ok(Vec::new()),
    }
}

/// Locks the choice before the first byte of it is fetched, so that a broken run goes on with the same scene.
fn keep(flags: &Fetch, used: &[Item], question: String) -> anyhow::Result<()> {
    let Some(path) = &flags.lock else { return Ok(()) };
    let collection = used[0].collection.as_ref().unwrap_or(&flags.question.collection).clone();
    let items = used.iter().map(|item| item.id.clone()).collect();
    lock::keep(path, &flags.granule, Locked { items, collection, question })
}

async fn cost(wire: &Wire, flags: &Fetch, used: &[Item]) -> anyhow::Result<Cost> {
    let mut assets = flags.question.assets.clone();
    if flags.outputs.needs_scl() {
        assets.push("SCL".to_owned());
    }
    let mut costs = Vec::new();
    for item in used {
        costs.push(cost_of(wire, item, &assets, &flags.question.collection).await?);
    }
    Ok(costs.into_iter().sum())
}

/// Fetches the files of one scene and proves them.
async fn fetch<'a>(
    wire: &Wire,
    flags: &Fetch,
    item: &'a Item,
    place: usize,
    area: Option<&MultiPolygon>,
) -> anyhow::Result<Fetched<'a>> {
    let window = area.filter(|_| !flags.whole).and_then(extent);
    let collection = item.collection.as_deref().unwrap_or(&flags.question.collection);
    let mut wanted = assets(item, &flags.question.assets)?;
    if flags.outputs.needs_scl() {
        let asset = scl_asset(item).with_context(|| {
            format!("item {}: want a scene classification (asset SCL), found none; want another collection or no --composite and --scl-out", item.id)
        })?;
        let url = item.base.join(&asset.href).context("asset SCL: a bad address")?;
        wanted.push((SCL.name, asset, url));
    }
    let fetches = wanted.iter().map(|(wanted, asset, url)| async move {
        let promise = Promise { size: asset.size, sha256: asset.sha256.clone() };
        wire.raster(url, &beside(&flags.out, wanted, place), &promise, collection, window).await
    });
    let mut files: Vec<_> = stream::iter(fetches).buffered(wire.files_at_once()).try_collect().await?;
    let scl = if flags.outputs.needs_scl() { files.pop() } else { None };
    Ok(Fetched { item, files, scl })
}

/// The name beside the output under which an asset is kept while it is fetched.
fn beside(out: &Path, wanted: &str, place: usize) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let place = if place == 0 { String::new() } else { format!(".{place}") };
    out.with_file_name(format!("{name}.{wanted}{place}"))
}
