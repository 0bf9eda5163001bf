//! The command `fetch`: choose, fetch, prove, stack, write.

use std::path::{Path, PathBuf};

use contract::GranuleId;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use stage::Ledger;

use crate::find::{assets, find, say};
use crate::flags::catalogue_url;
use crate::output::write;
use crate::proof::Promise;
use crate::question::Question;
use crate::stac::Item;
use crate::wire::{Limits, Proven, Wire};

const FETCHES_AT_ONCE: usize = 4;

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
    /// The choice: a table of the scene and its runners-up [default: OUT with .scene.parquet]
    #[arg(long, value_name = "FILE")]
    pub scene_out: Option<PathBuf>,
}

/// Chooses, fetches, proves, stacks, writes.
///
/// # Errors
/// If the granule has no scene, a file cannot be fetched or proven, or an output cannot be written.
pub(crate) fn run(flags: &Fetch) -> anyhow::Result<Ledger> {
    flags.question.periods()?;
    let area = flags.question.area.read()?;
    let catalogue = catalogue_url(&flags.catalogue)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let wire = Wire::to(catalogue, &flags.limits)?;
    let wanted = find(&wire, &flags.granule, &flags.question, flags.item.as_deref(), area.as_ref());
    let (choice, ledger) = runtime.block_on(wanted)?;
    say(&choice, 1);
    let proven = runtime.block_on(fetch(&wire, flags, &choice.ranked[0]))?;
    write(flags, &choice, &proven)?;
    proven.into_iter().for_each(Proven::discard);
    Ok(ledger)
}

/// Fetches the files of one scene and proves them.
async fn fetch(wire: &Wire, flags: &Fetch, item: &Item) -> anyhow::Result<Vec<Proven>> {
    let collection = item.collection.as_deref().unwrap_or(&flags.question.collection);
    let files = assets(item, &flags.question.assets)?;
    let fetches = files.iter().map(|(wanted, asset, url)| async move {
        let promise = Promise { size: asset.size, sha256: asset.sha256.clone() };
        wire.raster(url, &beside(&flags.out, wanted), &promise, collection, None).await
    });
    stream::iter(fetches).buffered(FETCHES_AT_ONCE).try_collect().await
}

/// The name beside the output under which an asset is kept while it is fetched.
fn beside(out: &Path, wanted: &str) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!("{name}.{wanted}"))
}
