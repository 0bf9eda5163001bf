//! Split-conformal intervals by block: how far a score may lie from the place of its tile's level.
//!
//! Tiles of a block resemble each other, so a block counts as one observation: the residuals of a held-out block share a weight of
//! 1/(B+1) among B blocks, and 1/(B+1) lies at infinity (Dunn, Wasserman and Ramdas 2023, pooled distribution functions). A new
//! block's tiles then keep within the half width with at least the share asked for, as far as new blocks are like the training ones.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A half width that scores keep, and how often they did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The share of tiles that it is to hold.
    pub share: f64,
    /// Half of the interval's width, in scores.
    pub half_width: f64,
    /// The share of tiles that it held on blocks it was not fitted on; missing if there are too few blocks to halve.
    pub coverage: Option<f64>,
    /// Held-out blocks that it rests on.
    pub n_blocks: usize,
}

/// How far a held-out tile's score lies from its level's place, and the tile's block.
#[derive(Clone, Copy, Debug)]
pub struct Residual<B> {
    /// The block.
    pub block: B,
    /// Absolute difference.
    pub off: f64,
}

impl Interval {
    /// Fits the half width; nothing where the blocks are too few to promise the share.
    pub fn fit<B: Ord + Copy>(residuals: &[Residual<B>], share: f64) -> Option<Self> {
        let blocks = by_block(residuals);
        let half_width = half_width(blocks.values(), share)?;
        let coverage = coverage(&blocks, share);
        Some(Self { share, half_width, coverage, n_blocks: blocks.len() })
    }

    /// The ends of the interval around a score, within 0 and 1.
    pub fn around(&self, score: f64) -> (f64, f64) {
        ((score - self.half_width).max(0.0), (score + self.half_width).min(1.0))
    }
}

fn by_block<B: Ord + Copy>(residuals: &[Residual<B>]) -> BTreeMap<B, Vec<f64>> {
    let mut blocks: BTreeMap<B, Vec<f64>> = BTreeMap::new();
    residuals.iter().for_each(|r| blocks.entry(r.block).or_default().push(r.off));
    blocks
}

fn half_width<'a>(blocks: impl Iterator<Item = &'a Vec<f64>> + Clone, share: f64) -> Option<f64> {
    let mass = 1.0 / (blocks.clone().count() as f64 + 1.0);
    let mut all: Vec<(f64, f64)> =
        blocks.flat_map(|block| block.iter().map(move |&off| (off, mass / block.len() as f64))).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut sum = 0.0;
    // Sums of shares are rounded; a millionth of a tile is no tile.
    const ROUNDING: f64 = 1e-9;
    all.into_iter().find_map(|(off, weight)| {
        sum += weight;
        (sum >= share - ROUNDING).then_some(off)
    })
}

/// Every second block fits, the others are held against it, and the other way round.
fn coverage<B: Ord>(blocks: &BTreeMap<B, Vec<f64>>, share: f64) -> Option<f64> {
    let half =
        |parity: usize| blocks.values().enumerate().filter(move |(i, _)| i % 2 == parity).map(|(_, b)| b);
    let (mut within, mut n) = (0, 0);
    for parity in [0, 1] {
        let width = half_width(half(parity), share)?;
        for &off in half(1 - parity).flatten() {
            n += 1;
            within += usize::from(off <= width);
        }
    }
    (n > 0).then(|| within as f64 / n as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Blocks whose tiles err alike: a block's own size of error, and a little of each tile.
    fn blocks(n_blocks: usize, rng: &mut ChaCha8Rng) -> Vec<Residual<usize>> {
        let mut all = Vec::new();
        for block in 0..n_blocks {
            let own = rng.random::<f64>();
            let n_tiles = 1 + rng.random_range(0..8);
            all.extend((0..n_tiles).map(|_| Residual { block, off: own + 0.1 * rng.random::<f64>() }));
        }
        all
    }

    #[test]
    fn new_blocks_keep_within_the_interval_as_often_as_promised() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let (mut held, mut n) = (0.0, 0.0);
        for _ in 0..400 {
            let interval = Interval::fit(&blocks(30, &mut rng), 0.9).unwrap();
            for block in by_block(&blocks(10, &mut rng)).values() {
                held += block.iter().filter(|&&off| off <= interval.half_width).count() as f64
                    / block.len() as f64;
                n += 1.0;
            }
        }
        let coverage = held / n;
        // 4,000 blocks: three standard errors of a share of 0.9 are 0.015.
        assert!((0.885..0.95).contains(&coverage), "{coverage}");
    }

    #[test]
    fn too_few_blocks_promise_nothing() {
        let all: Vec<Residual<usize>> = (0..8).map(|block| Residual { block, off: 0.1 }).collect();
        assert_eq!(Interval::fit(&all, 0.9), None, "8 of 9 is less than 0.9");
        assert!(Interval::fit(&all, 0.8).is_some());
    }
}
