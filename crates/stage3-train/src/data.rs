//! What training sees: pictures of clusters that have a level, and the split into blocks.

use anyhow::{Context, ensure};
use contract::{Cluster, GranuleId, PogRow, TileId, TileReader};
use nn::Rgb;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use stage::{Ledger, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Tiles on a side of a block that is held out together, so that neighbours are not on both sides of a split.
const BLOCK_TILES: u32 = 4;
/// Share of blocks that is held out.
const HELD_SHARE: f64 = 0.2;

/// One training picture.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its cluster.
    pub cluster: u32,
    /// Place of its level among all, 0 is the least developed.
    pub level: usize,
    /// Whether its block is held out for the figures.
    pub held: bool,
    /// The picture.
    pub picture: Rgb,
}

/// All training pictures.
#[derive(Debug)]
pub struct Samples {
    /// The pictures, in order of granule and tile.
    pub all: Vec<Sample>,
    /// How many levels.
    pub n_levels: usize,
}

/// Reads the pictures of all clusters that the order ranks.
pub fn read(
    tiles: &[PathBuf],
    clusters: &Path,
    pog: &Path,
    seed: u64,
    ledger: &mut Ledger,
) -> anyhow::Result<Samples> {
    let level_of = levels(pog)?;
    let rows = contract::read::<Cluster>(clusters)?;
    let cluster_of: BTreeMap<(GranuleId, TileId), u32> =
        rows.into_iter().map(|r| ((r.granule, r.tile), r.cluster)).collect();
    let mut readers = tiles.iter().map(|path| TileReader::open(path)).collect::<Result<Vec<_>, _>>()?;
    readers.sort_by(|a, b| a.granule().cmp(b.granule()));
    let n_rows = readers.iter().map(|r| r.meta().n_rows as usize).sum();
    let mut progress = Progress::over("rows of tiles", n_rows);
    let mut all = Vec::new();
    for reader in &readers {
        let px = reader.meta().tile_px as usize;
        for row in 0..reader.meta().n_rows {
            progress.add(1);
            for tile in reader.row(row)? {
                ledger.n_in += 1;
                let cluster = cluster_of.get(&(reader.granule().clone(), tile.tile));
                let level = cluster.and_then(|c| level_of.get(c));
                match (tile.pixels, cluster, level) {
                    (None, ..) => ledger.skip(tile.skipped.as_deref().unwrap_or("no pixels")),
                    (_, None, _) => ledger.skip("in no cluster"),
                    (.., None) => ledger.skip("its cluster is not in the order"),
                    (Some(pixels), Some(&cluster), Some(&level)) => {
                        ledger.ok(1);
                        let picture = Rgb::from_bands(&pixels, px);
                        let picture = picture.with_context(|| reader.path().display().to_string())?;
                        all.push(Sample {
                            cluster,
                            level,
                            held: held(reader.granule(), tile.tile, seed),
                            picture,
                        });
                    }
                }
            }
        }
    }
    let n_levels = level_of.values().max().map_or(0, |&top| top + 1);
    let present: BTreeSet<usize> = all.iter().map(|s| s.level).collect();
    ensure!(
        present.len() == n_levels && n_levels >= 2,
        "want tiles of at least two levels and of every level of {}, got tiles of {} of {n_levels}; check --tiles and --clusters belong to it",
        pog.display(),
        present.len()
    );
    Ok(Samples { all, n_levels })
}

/// The level of each cluster, 0 the least developed.
fn levels(pog: &Path) -> anyhow::Result<BTreeMap<u32, usize>> {
    let rows = contract::read::<PogRow>(pog)?;
    let steps: BTreeSet<u32> = rows.iter().map(|row| row.level).collect();
    let place = |level: u32| {
        steps.iter().rev().position(|&step| step == level).context("a level of the table itself")
    };
    rows.iter().map(|row| Ok((row.cluster, place(row.level)?))).collect()
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
}
