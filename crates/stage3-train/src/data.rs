//! What training sees: the pictures of clusters that have a level, those in no cluster that have a label, and the split into blocks.

use crate::loose::{self, Loose};
use anyhow::{Context, ensure};
use contract::{Cluster, GranuleId, PogRow, TileId, TileReader};
use nn::Rgb;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stage::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Tiles on a side of a block that is held out together, so that neighbours are not on both sides of a split.
const BLOCK_TILES: u32 = 4;
/// Share of blocks that is held out.
const HELD_SHARE: f64 = 0.2;

/// One training picture, without its pixels.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Which of the granules.
    pub granule: usize,
    /// The tile.
    pub tile: TileId,
    /// Its cluster.
    pub cluster: u32,
    /// Place of its level among all, 0 is the least developed.
    pub level: usize,
    /// Whether its block is held out for the figures.
    pub held: bool,
}

impl Sample {
    /// The block of its tile.
    pub fn block(&self) -> Block {
        block(self.granule, self.tile)
    }
}

/// Granule, row of blocks, column of blocks.
pub type Block = (usize, u32, u32);

fn block(granule: usize, tile: TileId) -> Block {
    (granule, tile.row / BLOCK_TILES, tile.col / BLOCK_TILES)
}

/// All training pictures. Pixels stay in their files until they are asked for.
pub struct Samples {
    /// The samples, in order of granule and tile.
    pub all: Vec<Sample>,
    /// How many levels.
    pub n_levels: usize,
    /// Pictures in no cluster of which the classes are known; their indices go on from those of the samples.
    pub loose: Vec<Loose>,
    /// Consensus rank of each cluster, 1 is the most developed.
    pub rank_of: BTreeMap<u32, f64>,
    /// The class that each cluster is of.
    pub class_of: BTreeMap<u32, String>,
    readers: Vec<TileReader>,
}

impl Samples {
    /// Samples without pixels, for laws about them.
    #[cfg(test)]
    pub fn of(all: Vec<Sample>, n_levels: usize, rank_of: BTreeMap<u32, f64>) -> Self {
        Self { all, n_levels, loose: Vec::new(), rank_of, class_of: BTreeMap::new(), readers: Vec::new() }
    }

    /// Samples and pictures in no cluster.
    pub fn n_pictures(&self) -> usize {
        self.all.len() + self.loose.len()
    }

    /// Granule and tile of a picture, of a sample or of one in no cluster.
    pub fn tile(&self, i: usize) -> (usize, TileId) {
        match self.all.get(i) {
            Some(sample) => (sample.granule, sample.tile),
            None => (self.loose[i - self.all.len()].granule, self.loose[i - self.all.len()].tile),
        }
    }

    /// The block of a picture, of a sample or of one in no cluster.
    pub fn block(&self, i: usize) -> Block {
        let (granule, tile) = self.tile(i);
        block(granule, tile)
    }

    /// A cluster's place in the order, from 0 for the last rank to 1 for the first.
    pub fn place_of(&self, cluster: u32) -> f64 {
        1.0 - (self.rank_of[&cluster] - 1.0) / (self.rank_of.len() as f64 - 1.0).max(1.0)
    }

    /// How many granules.
    pub fn n_granules(&self) -> usize {
        self.readers.len()
    }

    /// Gives some pictures, in their order, one row of tiles in memory at a time.
    ///
    /// # Errors
    /// If a file cannot be read or has no colour.
    pub fn each(
        &self,
        chosen: &[usize],
        mut take: impl FnMut(Vec<(usize, Rgb)>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let mut rows: BTreeMap<(usize, u32), Vec<usize>> = BTreeMap::new();
        for &i in chosen {
            let (granule, tile) = self.tile(i);
            rows.entry((granule, tile.row)).or_default().push(i);
        }
        for ((granule, row), mut of_row) in rows {
            let reader = &self.readers[granule];
            let px = reader.meta().tile_px as usize;
            let mut tiles = reader.row(row)?;
            of_row.sort_unstable();
            of_row.dedup();
            let mut pictures = Vec::with_capacity(of_row.len());
            for i in of_row {
                let (_, wanted) = self.tile(i);
                let at =
                    tiles.iter().position(|t| t.tile == wanted).context("a tile of the file's own index")?;
                let pixels = tiles.swap_remove(at).pixels.context("pixels of a tile that is not skipped")?;
                let picture = Rgb::from_bands(&pixels, px);
                pictures.push((i, picture.with_context(|| reader.path().display().to_string())?));
            }
            take(pictures)?;
        }
        Ok(())
    }

    /// One cluster a level, the study's main chain: the one with the most pictures, of equals the first.
    pub fn main_chain(&self) -> BTreeSet<u32> {
        let mut counts = vec![BTreeMap::<u32, usize>::new(); self.n_levels];
        for sample in &self.all {
            *counts[sample.level].entry(sample.cluster).or_default() += 1;
        }
        let largest = |of: &BTreeMap<u32, usize>| of.iter().rev().max_by_key(|(_, n)| **n).map(|(&c, _)| c);
        counts.iter().filter_map(largest).collect()
    }
}

/// Reads where the pictures are of all clusters that the order ranks, and of what else has labels.
pub fn read(
    tiles: &[PathBuf],
    clusters: &Path,
    pog: &Path,
    labels: Option<&Path>,
    seed: u64,
    ledger: &mut Ledger,
) -> anyhow::Result<Samples> {
    let (level_of, rank_of) = levels(pog)?;
    let rows = contract::read::<Cluster>(clusters)?;
    let class_of = rows.iter().map(|r| (r.cluster, r.class.clone())).collect();
    let shares_of = labels.map(loose::shares).transpose()?.unwrap_or_default();
    let cluster_of: BTreeMap<(GranuleId, TileId), u32> =
        rows.into_iter().map(|r| ((r.granule, r.tile), r.cluster)).collect();
    let mut readers = tiles.iter().map(|path| TileReader::open(path)).collect::<Result<Vec<_>, _>>()?;
    readers.sort_by(|a, b| a.granule().cmp(b.granule()));
    let (mut all, mut loose) = (Vec::new(), Vec::new());
    for (granule, reader) in readers.iter().enumerate() {
        for tile in reader.index()? {
            ledger.n_in += 1;
            let name = (reader.granule().clone(), tile.tile);
            let (cluster, shares) = (cluster_of.get(&name), shares_of.get(&name));
            let level = cluster.and_then(|c| level_of.get(c));
            let held = held(reader.granule(), tile.tile, seed);
            match (&tile.skipped, cluster, level) {
                (Some(reason), ..) => ledger.skip(reason),
                (_, None, _) => match shares {
                    None => ledger.skip("in no cluster"),
                    Some(shares) => {
                        ledger.ok(1);
                        loose.push(Loose { granule, tile: tile.tile, held, shares: shares.clone() });
                    }
                },
                (.., None) => ledger.skip("its cluster is not in the order"),
                (None, Some(&cluster), Some(&level)) => {
                    ledger.ok(1);
                    all.push(Sample { granule, tile: tile.tile, cluster, level, held });
                }
            }
        }
    }
    let n_levels = level_of.values().max().map_or(0, |&top| top + 1);
    ensure!(
        n_levels != 1,
        "{}: want an order of at least 2 levels, got 1: all {} clusters are tied and there is nothing to learn; ask more raters or about \
         more images, give pog-aggregate a number of --levels, or cut tiles of another size",
        pog.display(),
        level_of.len()
    );
    ensure!(
        !all.is_empty(),
        "{}: want tiles whose clusters are in {}, got none of {}; give --tiles, --clusters and --pog of one run",
        clusters.display(),
        pog.display(),
        ledger.n_in
    );
    let present: BTreeSet<usize> = all.iter().map(|s| s.level).collect();
    ensure!(
        present.len() == n_levels && n_levels >= 2,
        "want tiles of at least two levels and of every level of {}, got tiles of {} of {n_levels}; check --tiles and --clusters belong to it",
        pog.display(),
        present.len()
    );
    if let Some(labels) = labels {
        ensure!(
            !loose.is_empty(),
            "{}: want labels of tiles that are in no cluster, found none among the tiles given; leave --labels out, or give their tiles",
            labels.display()
        );
    }
    Ok(Samples { all, n_levels, loose, rank_of, class_of, readers })
}

/// The level of each cluster, 0 the least developed, and its rank.
fn levels(pog: &Path) -> anyhow::Result<(BTreeMap<u32, usize>, BTreeMap<u32, f64>)> {
    let rows = contract::read::<PogRow>(pog)?;
    let steps: BTreeSet<u32> = rows.iter().map(|row| row.level).collect();
    let place = |level: u32| {
        steps.iter().rev().position(|&step| step == level).context("a level of the table itself")
    };
    let levels =
        rows.iter().map(|row| Ok((row.cluster, place(row.level)?))).collect::<anyhow::Result<_>>()?;
    Ok((levels, rows.iter().map(|row| (row.cluster, row.rank)).collect()))
}

/// Whether the block of a tile is held out: drawn from the seed and the block's place, whatever other tiles there are.
fn held(granule: &GranuleId, tile: TileId, seed: u64) -> bool {
    let name = granule
        .as_str()
        .bytes()
        .fold(seed, |hash, byte| hash.wrapping_mul(0x0100_0000_01b3) ^ u64::from(byte));
    let mut rng = ChaCha8Rng::seed_from_u64(name);
    rng.set_stream((u64::from(tile.row / BLOCK_TILES) << 32) | u64::from(tile.col / BLOCK_TILES));
    rng.random::<f64>() < HELD_SHARE
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tiles_of_a_block_are_held_out_together_and_a_fifth_of_blocks_is() {
        let granule: GranuleId = "T48RVV".parse().unwrap();
        let of = |row, col| held(&granule, TileId { row, col }, 0);
        let mut n_held = 0;
        for block in 0..1000 {
            let (row, col) = (block / 32 * BLOCK_TILES, block % 32 * BLOCK_TILES);
            assert!((0..BLOCK_TILES).all(|d| of(row + d, col + d) == of(row, col)));
            n_held += u32::from(of(row, col));
        }
        assert!((150..=250).contains(&n_held), "{n_held} of 1000 blocks");
    }

    #[test]
    fn the_main_chain_has_one_cluster_a_level_and_the_largest() {
        let sample = |(cluster, level)| Sample {
            granule: 0,
            tile: TileId { row: 0, col: 0 },
            cluster,
            level,
            held: false,
        };
        let all = [(4, 0), (7, 1), (9, 1), (9, 1), (2, 2), (3, 2)].map(sample).to_vec();
        let samples = Samples::of(all, 3, BTreeMap::new());
        assert_eq!(samples.main_chain(), BTreeSet::from([4, 9, 2]));
    }
}
