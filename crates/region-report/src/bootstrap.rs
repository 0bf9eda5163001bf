//! How sure a zone's mean and its place are.
//!
//! A zone's ground is cut into square blocks. In each round of the bootstrap a zone draws as many of its blocks as it has, with
//! replacement, and its mean is that of what was drawn; where the map carries a standard deviation, each drawn block is also moved by it,
//! all its pixels alike (errors of neighbours go together). From the rounds come the interval of the mean, that of the place among
//! all zones, the probability of being among the lowest fifth, and which pairs of zones cannot be told apart.
//!
//! Left out: errors that all zones share (they move no rank), and those of one block to the next. The interval of a zone of few blocks is
//! too narrow, as any bootstrap of few things is; the table says how many there are.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// What a block of a zone adds to its mean.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Weight of its pixels that have a value.
    pub weight: f64,
    /// Sum of weight times value.
    pub sum: f64,
    /// Mean of the map's standard deviation there, 0 where it carries none.
    pub sd: f64,
}

/// Share of the rounds that an interval holds.
pub const INTERVAL_SHARE: f64 = 0.95;
/// Share of the rounds in which the order of two zones must be the same for them to be told apart.
const TOLD_SHARE: f64 = 0.95;
/// The lowest part of the zones that is of interest.
const BOTTOM_SHARE: f64 = 0.2;

/// The mean of each zone in each round: `[round][zone]`.
pub type Rounds = Vec<Vec<f64>>;

/// Draws the rounds. Zones without a block of positive weight have no place here.
pub fn rounds(zones: &[Vec<Block>], n_rounds: usize, seed: u64) -> Rounds {
    let by_zone: Vec<Vec<f64>> = zones
        .par_iter()
        .enumerate()
        .map(|(zone, blocks)| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(zone as u64);
            (0..n_rounds).map(|_| draw(blocks, &mut random)).collect()
        })
        .collect();
    (0..n_rounds).map(|round| by_zone.iter().map(|zone| zone[round]).collect()).collect()
}

fn draw(blocks: &[Block], random: &mut ChaCha8Rng) -> f64 {
    let (mut sum, mut weight) = (0.0, 0.0);
    for _ in blocks {
        let block = blocks[random.random_range(0..blocks.len())];
        let error = if block.sd > 0.0 { block.sd * normal(random) } else { 0.0 };
        sum += block.sum + block.weight * error;
        weight += block.weight;
    }
    sum / weight
}

/// A standard normal number (Box and Muller 1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
    (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos()
}

/// What the rounds say about a zone.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Interval of the mean; none for a zone of one block, whose mean never varies.
    pub mean: Option<(f64, f64)>,
    /// Place by the means themselves, 1 is the highest.
    pub rank: u32,
    /// Interval of the place.
    pub ranks: (u32, u32),
    /// Share of the rounds in which it is among the lowest fifth.
    pub bottom_fifth: f64,
    /// Group of zones that cannot be told from the group's first, 1 is the highest.
    pub group: u32,
    /// Other zones that cannot be told from this one.
    pub n_alike: u32,
}

/// The standing of each zone, by its mean and the rounds.
pub fn standings(means: &[f64], rounds: &Rounds, n_blocks: &[usize]) -> Vec<Standing> {
    let n = means.len();
    let ranks_now = ranks(means);
    let by_round: Vec<Vec<u32>> = rounds.par_iter().map(|means| ranks(means)).collect();
    let groups = groups(means, &ranks_now, rounds);
    let bottom_from = n as u32 - (n as f64 * BOTTOM_SHARE).round() as u32;
    let standing = |zone: usize| {
        let mut places: Vec<u32> = by_round.iter().map(|ranks| ranks[zone]).collect();
        places.sort_unstable();
        let mut drawn: Vec<f64> = rounds.iter().map(|means| means[zone]).collect();
        drawn.sort_by(f64::total_cmp);
        let n_bottom = places.iter().filter(|place| **place > bottom_from).count();
        let alike = (0..n).filter(|&other| other != zone && !told(zone, other, rounds)).count();
        Standing {
            mean: (n_blocks[zone] > 1).then(|| ends(&drawn)),
            rank: ranks_now[zone],
            ranks: ends(&places),
            bottom_fifth: n_bottom as f64 / rounds.len() as f64,
            group: groups[zone],
            n_alike: alike as u32,
        }
    };
    (0..n).into_par_iter().map(standing).collect()
}

/// The ends of the interval of sorted values.
pub fn ends<T: Copy>(sorted: &[T]) -> (T, T) {
    let tail = (1.0 - INTERVAL_SHARE) / 2.0;
    let last = (sorted.len() - 1) as f64;
    (sorted[(tail * last).floor() as usize], sorted[((1.0 - tail) * last).ceil() as usize])
}

/// Places from the highest value, 1 first; of equal values the earlier zone comes first.
fn ranks(means: &[f64]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_by(|&a, &b| means[b].total_cmp(&means[a]).then(a.cmp(&b)));
    let mut ranks = vec![0; means.len()];
    for (place, zone) in order.into_iter().enumerate() {
        ranks[zone] = place as u32 + 1;
    }
    ranks
}

/// Whether nearly all rounds put two zones in the same order.
fn told(a: usize, b: usize, rounds: &Rounds) -> bool {
    let above = rounds.iter().filter(|means| means[a] > means[b]).count() as f64;
    let below = rounds.iter().filter(|means| means[a] < means[b]).count() as f64;
    above.max(below) >= TOLD_SHARE * rounds.len() as f64
}

/// From the highest zone down, a zone that can be told from the first of the present group begins the next.
fn groups(means: &[f64], ranks: &[u32], rounds: &Rounds) -> Vec<u32> {
    let mut order: Vec<usize> = (0..means.len()).collect();
    order.sort_by_key(|&zone| ranks[zone]);
    let mut groups = vec![0; means.len()];
    let (mut first, mut group) = (order.first().copied().unwrap_or(0), 1);
    for zone in order {
        if told(first, zone, rounds) {
            (first, group) = (zone, group + 1);
        }
        groups[zone] = group;
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const N_ROUNDS: usize = 400;

    fn zone(mean: f64, spread: f64, n: usize) -> Vec<Block> {
        let at = |i: usize| mean + spread * (i as f64 / (n - 1).max(1) as f64 - 0.5);
        (0..n).map(|i| Block { weight: 2.0, sum: 2.0 * at(i), sd: 0.0 }).collect()
    }

    fn standings_of(zones: &[Vec<Block>], means: &[f64]) -> Vec<Standing> {
        let n_blocks: Vec<usize> = zones.iter().map(Vec::len).collect();
        standings(means, &rounds(zones, N_ROUNDS, 7), &n_blocks)
    }

    #[test]
    fn zones_far_apart_are_told_apart_and_close_ones_are_one_group() {
        let means = [0.9, 0.5, 0.5001, 0.1, 0.1002];
        let zones: Vec<_> = means.iter().map(|&mean| zone(mean, 0.1, 20)).collect();
        let found = standings_of(&zones, &means);
        assert_eq!(found.iter().map(|s| s.group).collect::<Vec<_>>(), [1, 2, 2, 3, 3]);
        assert_eq!(found.iter().map(|s| s.n_alike).collect::<Vec<_>>(), [0, 1, 1, 1, 1]);
        assert_eq!((found[0].rank, found[0].ranks), (1, (1, 1)));
        assert_eq!(found[1].ranks, (2, 3));
        assert_eq!(found[0].bottom_fifth, 0.0);
        let sum: f64 = found.iter().map(|s| s.bottom_fifth).sum();
        assert!((sum - 1.0).abs() < 1e-12, "one of five zones is the lowest fifth in each round");
    }

    #[test]
    fn an_interval_holds_the_mean_and_widens_with_the_doubt_of_the_map() {
        let sure = zone(0.4, 0.2, 30);
        let unsure: Vec<Block> = sure.iter().map(|b| Block { sd: 0.3, ..*b }).collect();
        let found = standings_of(&[sure, unsure], &[0.4, 0.4]);
        let width = |s: &Standing| s.mean.map_or(0.0, |(low, high)| high - low);
        assert!(found.iter().all(|s| s.mean.is_some_and(|(low, high)| low < 0.4 && 0.4 < high)));
        assert!(width(&found[1]) > 2.0 * width(&found[0]));
    }

    #[test]
    fn one_block_gives_no_interval() {
        assert_eq!(standings_of(&[zone(0.4, 0.0, 1)], &[0.4])[0].mean, None);
    }
}
