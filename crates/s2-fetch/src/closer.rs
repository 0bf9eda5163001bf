//! A closer look at the best candidates: their classification (SCL) inside the area says more than the catalogue's figures for the whole granule.

use std::path::Path;

use geo::MultiPolygon;
use raster::Source;
use tracing::info;

use crate::choose::{Choice, better};
use crate::find::assets;
use crate::globe::extent;
use crate::proof::Promise;
use crate::question::Question;
use crate::scl;
use crate::stac::Item;
use crate::wire::{Proven, Wire};

/// The rule, as it is printed.
pub(crate) const RULE: &str = "the best candidates ranked anew by data and cloud inside the area (SCL)";

const REASON: &str = "too much cloud or no data in the area (SCL)";

/// Ranks the best `n` scenes anew; those that fall out make room for the next.
///
/// # Errors
/// If a classification cannot be fetched or read.
pub(crate) async fn look(
    wire: &Wire,
    mut choice: Choice,
    question: &Question,
    area: &MultiPolygon,
    beside: &Path,
    n: usize,
) -> anyhow::Result<Choice> {
    let (mut kept, mut n_out, mut n_looked) = (Vec::new(), 0, 0);
    for item in &choice.ranked {
        if kept.len() == n {
            break;
        }
        n_looked += 1;
        let Some(shares) = shares(wire, item, question, area, beside).await? else {
            kept.push(item.clone());
            continue;
        };
        info!(
            "{}: valid {:.1} %, cloud {:.1} % of the area by its classification",
            item.id,
            shares.valid_share * 100.0,
            shares.cloud_share * 100.0
        );
        if shares.valid_share > 0.0 && shares.cloud_share <= question.max_cloud_share {
            let (valid_share, cloud_share) = (Some(shares.valid_share), Some(shares.cloud_share));
            kept.push(Item { valid_share, cloud_share, ..item.clone() });
        } else {
            n_out += 1;
        }
    }
    kept.sort_by(better);
    kept.extend(choice.ranked.split_off(n_looked));
    if n_out > 0 {
        choice.skipped.push((REASON, n_out));
    }
    Ok(Choice { ranked: kept, ..choice })
}

/// What a scene's classification says of an area; `None` where it has none.
async fn shares(
    wire: &Wire,
    item: &Item,
    question: &Question,
    area: &MultiPolygon,
    beside: &Path,
) -> anyhow::Result<Option<scl::Shares>> {
    if item.asset("SCL").is_none() {
        return Ok(None);
    }
    let wanted = ["SCL".to_owned()];
    let (_, asset, url) = assets(item, &wanted)?.remove(0);
    let promise = Promise { size: asset.size, sha256: asset.sha256.clone() };
    let collection = item.collection.as_deref().unwrap_or(&question.collection);
    let name = format!("{}.look", beside.file_name().unwrap_or_default().to_string_lossy());
    let proven = wire.raster(&url, &beside.with_file_name(name), &promise, collection, extent(area)).await?;
    let shares = counted(&proven, area);
    proven.discard();
    shares.map(Some)
}

fn counted(proven: &Proven, area: &MultiPolygon) -> anyhow::Result<scl::Shares> {
    scl::shares(&Source::open(proven.path())?, proven.window, Some(area))
}
