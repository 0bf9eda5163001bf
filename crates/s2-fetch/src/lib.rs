//! A granule's best Sentinel-2 scene from a STAC catalogue, as one Cloud Optimized GeoTIFF with its provenance.
//!
//! The catalogue is a static one (a file, or on the web) or a search API; Planetary Computer's and Earth Search's dialects are understood.
//! The scene is chosen by a printed rule, its files are fetched, held to the published length and hash, decoded block by block, and stacked
//! into one file. The offset that newer processings add to reflectance is taken off, by baseline, and recorded.
//!
//! Promises. Process killed, machine lost power, disk full: the old scene stays or the new one is whole; downloads lie beside it, hidden, and go.
//! Bad input: one line that names it. Bad network: at most five tries a file, waits as the server asks. Hostile catalogue: no file, no private host,
//! no more bytes than promised, no name of its own in a path.
//!
//! Left out: composites of several scenes, resumed downloads, resampling of 20 m and 60 m bands onto 10 m.

mod catalogue;
mod choose;
mod fault;
mod guard;
mod proof;
mod sign;
mod stac;
mod stack;
mod wire;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::{GranuleId, Made, SCENE, Scene};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use raster::{CogOptions, Source};
use stage::Ledger;
use tracing::info;
use url::Url;

use choose::{Choice, Wanted, choose};
use guard::shown;
use proof::Promise;
use stac::Item;
use stack::{Piece, Stacked, offset_dn, stack};
use wire::{Proven, Wire};

const FETCHES_AT_ONCE: usize = 4;
const RUNNERS_UP_SHOWN: usize = 5;

/// Flags of the program.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Fetch the best scene of a granule
    Fetch(Fetch),
}

#[derive(clap::Args, Debug)]
struct Fetch {
    /// Static STAC catalogue (path, file: or http address) or root of a STAC API
    #[arg(long, value_name = "PATH|URL")]
    catalogue: String,
    /// Granule, such as T18SVG
    #[arg(long, value_name = "ID")]
    granule: GranuleId,
    /// Files of the scene, in band order: B02,B03,B04,B08 or visual
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = asset_name, required = true)]
    assets: Vec<String>,
    /// First day of sensing, YYYY-MM-DD
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: String,
    /// Last day of sensing
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: String,
    /// Leave out scenes with more cloud than this
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = stage::share)]
    max_cloud_share: f64,
    /// Fetch this item and no other
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// Collection to search, where the catalogue is an API
    #[arg(long, value_name = "ID", default_value = "sentinel-2-l2a")]
    collection: String,
    /// The scene: one Cloud Optimized GeoTIFF
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The choice: a table of the scene and its runners-up [default: OUT with .scene.parquet]
    #[arg(long, value_name = "FILE")]
    scene_out: Option<PathBuf>,
}

/// Chooses, fetches, proves, stacks, writes.
///
/// # Errors
/// If the granule has no scene, a file cannot be fetched or proven, or an output cannot be written.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    let Command::Fetch(flags) = args.command;
    if flags.from > flags.to {
        bail!("want --from before --to, found {} after {}", flags.from, flags.to);
    }
    let catalogue = catalogue_url(&flags.catalogue)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let wire = Wire::to(catalogue)?;
    let (choice, ledger) = runtime.block_on(find(&wire, &flags))?;
    let proven = runtime.block_on(fetch(&wire, &flags, &choice.ranked[0]))?;
    write(&flags, &choice, &proven)?;
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
        wire.raster(&url, &beside(&flags.out, wanted), &promise, collection).await
    });
    stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_collect().await
}

fn write(flags: &Fetch, choice: &Choice, proven: &[Proven]) -> anyhow::Result<()> {
    let item = &choice.ranked[0];
    let mut pieces = Vec::new();
    for (wanted, file) in flags.assets.iter().zip(proven) {
        let (_, asset) = item.asset(wanted).context("an asset vanished")?;
        pieces.push(Piece { wanted, asset, source: Source::open(file.path())? });
    }
    let named: Vec<_> = pieces.iter().map(|p| (p.wanted, p.asset)).collect();
    let offset = offset_dn(item, &named)?;
    let (_, stacked) = stack(&pieces, offset)?;
    let options =
        CogOptions { nodata: SCENE.nodata, tags: tags(flags, item, offset), ..CogOptions::default() };
    match stacked {
        Stacked::U8(canvas) => canvas.write_cog(&flags.out, &options)?,
        Stacked::U16(canvas) => canvas.write_cog(&flags.out, &options)?,
    }
    let n_bytes = proven.iter().map(|p| p.n_bytes).sum();
    let rows = scenes(flags, choice, offset, n_bytes)?;
    let scene_out = flags.scene_out.clone().unwrap_or_else(|| flags.out.with_extension("scene.parquet"));
    Ok(contract::write(&scene_out, &rows, &made(flags))?)
}

fn made(flags: &Fetch) -> Made {
    Made::by("s2-fetch")
        .flag("granule", flags.granule.as_str())
        .flag("assets", &flags.assets)
        .flag("from", &flags.from)
        .flag("to", &flags.to)
        .flag("max-cloud-share", flags.max_cloud_share)
        .flag("item", &flags.item)
        .flag("collection", &flags.collection)
}

fn tags(flags: &Fetch, item: &Item, offset_dn: f64) -> Vec<(String, String)> {
    let mut tags = made(flags).pairs(&SCENE.tag());
    let unknown = || "unknown".to_owned();
    let facts = [
        ("granule", flags.granule.to_string()),
        ("item", item.id.clone()),
        ("sensed", item.sensed().unwrap_or_else(unknown)),
        ("baseline", item.baseline.clone().unwrap_or_else(unknown)),
        ("offset_subtracted_dn", offset_dn.to_string()),
        ("credit", "Contains modified Copernicus Sentinel data".to_owned()),
    ];
    tags.extend(facts.map(|(key, value)| (key.to_owned(), value)));
    tags
}

fn scenes(flags: &Fetch, choice: &Choice, offset_dn: f64, n_bytes: u64) -> anyhow::Result<Vec<Scene>> {
    let sha256 = contract::sha256_of(&flags.out)?;
    let row = |(place, item): (usize, &Item)| {
        let chosen = place == 0;
        let source: Vec<_> =
            flags.assets.iter().filter_map(|wanted| Some(source_of(&item.asset(wanted)?.1.href))).collect();
        Scene {
            granule: flags.granule.clone(),
            item: item.id.clone(),
            place: place as u32,
            chosen,
            sensed: item.sensed(),
            baseline: item.baseline.clone(),
            cloud_share: item.cloud_share,
            valid_share: item.valid_share,
            offset: chosen.then_some(offset_dn),
            source: source.join(" "),
            sha256: chosen.then(|| sha256.clone()),
            n_bytes: if chosen { n_bytes } else { 0 },
        }
    };
    Ok(choice.ranked.iter().enumerate().map(row).collect())
}

/// An asset's address as the catalogue writes it, without what may be secret.
fn source_of(href: &str) -> String {
    match Url::parse(href) {
        Ok(url) if url.scheme() != "file" => shown(&url),
        _ => href
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}

/// The name beside the output under which an asset is kept while it is fetched.
fn beside(out: &Path, wanted: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}.{wanted}"))
}

fn catalogue_url(text: &str) -> anyhow::Result<Url> {
    if let Ok(url) = Url::parse(text)
        && matches!(url.scheme(), "http" | "https" | "file")
    {
        return Ok(url);
    }
    let path = std::path::absolute(text).with_context(|| format!("{text}: no path"))?;
    Url::from_file_path(&path)
        .map_err(|()| anyhow::anyhow!("{text}: want a path, a file: or an http address"))
}

/// Parses a band or asset name; it becomes part of a file name.
fn asset_name(text: &str) -> Result<String, String> {
    let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if (1..=32).contains(&text.len()) && safe {
        return Ok(text.to_owned());
    }
    Err("want a name of 1 to 32 letters, digits, - and _".into())
}

fn day(text: &str) -> Result<String, String> {
    let shape = text.len() == 10
        && text
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    let in_range = || {
        let (month, day): (u32, u32) = (text[5..7].parse().ok()?, text[8..].parse().ok()?);
        ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(())
    };
    if shape && in_range().is_some() {
        return Ok(text.to_owned());
    }
    Err("want a day as 2020-01-31".into())
}
