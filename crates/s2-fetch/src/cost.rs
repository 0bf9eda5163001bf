//! What fetching costs before it is done: files and bytes, as the catalogue or the server states them, or typical lengths marked as such.

use std::iter::Sum;

use crate::bands::{Content, of_name};
use crate::find::assets;
use crate::stac::Item;
use crate::wire::Wire;

/// Files and bytes of a scene or of many.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Cost {
    /// How many files.
    pub n_files: usize,
    /// Their bytes, whole files.
    pub n_bytes: u64,
    /// How many of the lengths are stated; the others are typical ones.
    pub n_known: usize,
}

impl Cost {
    /// The share of files whose length is stated and not estimated.
    pub fn known_share(&self) -> f64 {
        if self.n_files == 0 { 1.0 } else { self.n_known as f64 / self.n_files as f64 }
    }

    /// The bytes in words.
    pub fn words(&self) -> String {
        let size = format!("{} ({:.2} GB)", self.n_bytes, self.n_bytes as f64 / 1e9);
        match self.n_files - self.n_known {
            0 => size,
            n => format!(
                "{size}, an estimate: {n} of {} files counted with the mean of ten scenes",
                self.n_files
            ),
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self {
            n_files: a.n_files + b.n_files,
            n_bytes: a.n_bytes + b.n_bytes,
            n_known: a.n_known + b.n_known,
        })
    }
}

/// The cost of an item's files: lengths as the catalogue states them, else as the server does, else typical ones.
///
/// # Errors
/// If the item lacks an asset.
pub(crate) async fn cost_of(
    wire: &Wire,
    item: &Item,
    wanted: &[String],
    collection: &str,
) -> anyhow::Result<Cost> {
    let collection = item.collection.as_deref().unwrap_or(collection);
    let mut costs = Vec::new();
    for (wanted, asset, url) in assets(item, wanted)? {
        let stated = match asset.size {
            Some(size) => Some(size),
            None => wire.length(&url, collection).await,
        };
        costs.push(match stated {
            Some(n_bytes) => Cost { n_files: 1, n_bytes, n_known: 1 },
            None => typical(&[wanted.to_owned()]),
        });
    }
    Ok(costs.into_iter().sum())
}

/// Typical lengths of the files of a whole granule.
pub(crate) fn typical(assets: &[String]) -> Cost {
    let n_bytes = assets.iter().map(|asset| typical_bytes(asset)).sum();
    Cost { n_files: assets.len(), n_bytes, n_known: 0 }
}

/// The mean over ten scenes of T13TDE at Earth Search (sentinel-2-c1-l2a), five of them filled to a quarter; of an unknown asset, that of a 10 m band.
fn typical_bytes(asset: &str) -> u64 {
    match of_name(asset) {
        Some(Content::Picture) => 116_000_000,
        Some(Content::Band("B05" | "B06" | "B07" | "B8A")) => 38_500_000,
        Some(Content::Band("B11" | "B12")) => 36_500_000,
        Some(Content::Band("B01" | "B09")) => 4_400_000,
        Some(Content::Classes | Content::Other("aerosol")) => 1_500_000,
        Some(Content::Other("water vapour")) => 15_700_000,
        _ => 137_000_000,
    }
}
