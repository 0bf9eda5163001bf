//! The command `fetch`: choose, fetch, prove, stack, write.

use std::path::{Path, PathBuf};

use anyhow::Context;
use contract::{GranuleId, SCL};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use stage::Ledger;

use crate::find::{assets, find, say};
use crate::flags::catalogue_url;
use crate::output::{Fetched, Outputs, scl_asset, write};
use crate::proof::Promise;
use crate::question::Question;
use crate::stac::Item;
use crate::wire::{Limits, Proven, Wire};

const FETCHES_AT_ONCE: usize = 4;

/// Memory for decoded blocks, in megabytes: each is used once, or soon again.
const CACHE_MB: usize = 32;

#[derive(clap::Args, Debug)]
/// Flags of `fetch`.
pub(crate) struct Fetch {
    /// Static STAC catalogue (path, file: or http address) or root of a STAC API
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
}

/// Chooses, fetches, proves, stacks, writes.
///
/// # Errors
/// If the granule has no scene, a file cannot be fetched or proven, or an output cannot be written.
pub(crate) fn run(flags: &Fetch) -> anyhow::Result<Ledger> {
    raster::limit_cache(CACHE_MB);
    flags.question.periods()?;
    let area = flags.question.area.read()?;
    let catalogue = catalogue_url(&flags.catalogue)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let wire = Wire::to(catalogue, &flags.limits)?;
    let n_scenes = flags.outputs.n_scenes();
    let wanted = find(&wire, &flags.granule, &flags.question, flags.item.as_deref(), area.as_ref(), n_scenes);
    let (choice, ledger) = runtime.block_on(wanted)?;
    say(&choice, n_scenes);
    let mut fetched = Vec::new();
    for (place, item) in choice.ranked.iter().take(n_scenes).enumerate() {
        fetched.push(runtime.block_on(fetch(&wire, flags, item, place))?);
    }
    write(flags, &choice, &fetched)?;
    fetched.into_iter().flat_map(|f| f.files.into_iter().chain(f.scl)).for_each(Proven::discard);
    Ok(ledger)
}

/// Fetches the files of one scene and proves them.
async fn fetch<'a>(wire: &Wire, flags: &Fetch, item: &'a Item, place: usize) -> anyhow::Result<Fetched<'a>> {
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
        wire.raster(url, &beside(&flags.out, wanted, place), &promise, collection, None).await
    });
    let mut files: Vec<_> = stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_collect().await?;
    let scl = if flags.outputs.needs_scl() { files.pop() } else { None };
    Ok(Fetched { item, files, scl })
}

/// The name beside the output under which an asset is kept while it is fetched.
fn beside(out: &Path, wanted: &str, place: usize) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    let place = if place == 0 { String::new() } else { format!(".{place}") };
    out.with_file_name(format!("{name}.{wanted}{place}"))
}
