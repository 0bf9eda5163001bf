//! The items that a search has found so far, within a bound of memory and of number.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use crate::stac::{Item, granule_key};

/// More items than this are of no one granule: thirty years of three satellites, and all its neighbours with it, are fewer.
const MAX_ITEMS: usize = 50_000;
/// They take about this much memory at most.
const MAX_BYTES: usize = 256 << 20;
/// What an item takes beside its files and its outline, and a file beside its texts.
const ITEM_BYTES: usize = 1_500;
const ASSET_BYTES: usize = 400;

/// What no other question to the same catalogue would mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub String);

/// Items, each once.
#[derive(Debug)]
pub(crate) struct Held {
    granule: String,
    items: Vec<Item>,
    known: HashSet<Key>,
    n_bytes: usize,
    run: HashSet<Key>,
    /// Items that came since the last [`Held::page`], and those of them that are new in this run of pages.
    n_came: usize,
    n_new: usize,
}

/// A hash of an item's collection and id.
type Key = [u8; 16];

impl Held {
    /// None yet; of another granule than this one only the facts that a choice leaves out by are kept.
    pub fn of(granule: &str) -> Self {
        Self {
            granule: granule_key(granule),
            items: Vec::new(),
            known: HashSet::new(),
            n_bytes: 0,
            run: HashSet::new(),
            n_came: 0,
            n_new: 0,
        }
    }

    /// Begins another run of pages, which may bring again what another one brought.
    pub fn begin(&mut self) {
        self.run.clear();
        self.page();
    }

    /// How many items came since the last call, and how many of them had not come before in this run.
    pub fn page(&mut self) -> (usize, usize) {
        (std::mem::take(&mut self.n_came), std::mem::take(&mut self.n_new))
    }

    /// Keeps an item, if it is not there yet.
    ///
    /// # Errors
    /// If there are too many.
    pub fn add(&mut self, mut item: Item) -> Result<(), Refused> {
        let name = format!("{}\n{}", item.collection.as_deref().unwrap_or_default(), item.id);
        let mut key = Key::default();
        key.copy_from_slice(&Sha256::digest(name)[..16]);
        self.n_came += 1;
        self.n_new += usize::from(self.run.insert(key));
        if !self.known.insert(key) {
            return Ok(());
        }
        if item.granule.as_ref().is_some_and(|granule| *granule != self.granule) {
            item.assets.clear();
            item.footprint = None;
        }
        self.n_bytes += size_of_about(&item);
        if self.items.len() >= MAX_ITEMS || self.n_bytes > MAX_BYTES {
            return Err(Refused(format!(
                "want at most {MAX_ITEMS} items or {} MiB of them, found more; narrow the dates",
                MAX_BYTES >> 20
            )));
        }
        self.items.push(item);
        Ok(())
    }

    /// The items, in the order in which they came.
    pub fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// Whether an item is of the granule.
    pub fn has_granule(&self) -> bool {
        self.items.iter().any(|item| item.granule.as_ref() == Some(&self.granule))
    }
}

fn size_of_about(item: &Item) -> usize {
    use geo::CoordsIter;
    let texts = item.id.len() + 2 * item.base.as_str().len();
    let assets: usize =
        item.assets.iter().map(|(key, asset)| ASSET_BYTES + key.len() + asset.href.len()).sum();
    let corners = item.footprint.as_ref().map_or(0, CoordsIter::coords_count);
    ITEM_BYTES + texts + assets + 16 * corners
}
