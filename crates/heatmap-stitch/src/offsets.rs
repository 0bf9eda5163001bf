//! What to add to each scene so that ground seen twice has one score.
//!
//! A score s becomes σ(logit s + c): a correction c moves scores within 0 and 1, little at the ends and most in the middle, as haze, season and sun
//! do. Within a granule c is a smooth surface over [`NODES`] x [`NODES`] nodes, bilinear between them, because one date is not off by the same
//! amount everywhere. All surfaces are solved together: least absolute differences (iteratively reweighted least squares, as tiles differ with heavy
//! tails) over all pairs of tiles that share ground. A difference counts in logits times the slope of σ between the two scores *as they were read*:
//! counted in corrected scores, pushing all ground to 0 and 1, where σ is flat, would pass for agreement. Two penalties hold what the overlaps leave
//! open: on the slope of a surface, and, weakly, on its size. Gauge: in each group of granules that hang together by overlaps the mean correction
//! is 0; a granule alone stays as it is.
//!
//! Left out: a gain a scene. Least differences would shrink all scores to one value.

use crate::overlap::{Granule, Pair};

/// Nodes along a side of a granule: one in 10 km for 110 km.
pub const NODES: usize = 12;
const K: usize = NODES * NODES;

/// Weight of a surface's mean square in tiles of shared ground.
const SIZE_WEIGHT: f64 = 1.0;
/// Weight of the squared difference of neighbouring nodes.
const SLOPE_WEIGHT: f64 = 0.1;
/// Differences below this count as squares, above as absolute values.
const L1_FROM: f64 = 0.01;
/// Keeps scores of 0 and 1 finite in logits.
const LOGIT_MARGIN: f64 = 0.01;
/// Rounds of reweighting.
const MAX_STEPS: usize = 25;
/// Moves below this end the search.
const SMALL_MOVE: f64 = 1e-4;
const CG_STEPS: usize = 300;
const CG_TOLERANCE: f64 = 1e-5;

/// The correction of every granule, in logits at its nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct Offsets {
    nodes: Vec<f64>,
    /// The number of each granule's group; granules of one group hang together by overlaps.
    pub groups: Vec<usize>,
}

impl Offsets {
    /// No correction.
    #[must_use]
    pub fn none(granules: &[Granule]) -> Offsets {
        Offsets { nodes: vec![0.0; granules.len() * K], groups: (0..granules.len()).collect() }
    }

    /// The corrections that bring shared ground together.
    #[must_use]
    pub fn solve(granules: &[Granule], pairs: &[Pair]) -> Offsets {
        let groups = groups(granules.len(), pairs);
        let problem = Problem::of(granules, pairs);
        let mut nodes = vec![0.0; granules.len() * K];
        for _ in 0..MAX_STEPS {
            let step = problem.step(&nodes);
            let largest = step.iter().fold(0.0_f64, |most, v| most.max(v.abs()));
            nodes.iter_mut().zip(&step).for_each(|(node, v)| *node += v);
            centre(&mut nodes, &groups);
            if largest < SMALL_MOVE {
                break;
            }
        }
        Offsets { nodes, groups }
    }

    /// The correction of a tile, in logits.
    #[must_use]
    pub fn at(&self, granules: &[Granule], granule: usize, tile: usize) -> f64 {
        spots(&granules[granule], tile)
            .iter()
            .map(|(node, share)| share * self.nodes[granule * K + node])
            .sum()
    }

    /// Mean, least and most of a granule's correction, in logits.
    #[must_use]
    pub fn range(&self, granule: usize) -> [f64; 3] {
        let nodes = &self.nodes[granule * K..][..K];
        let mean = nodes.iter().sum::<f64>() / K as f64;
        [
            mean,
            nodes.iter().copied().fold(f64::INFINITY, f64::min),
            nodes.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        ]
    }

    /// The corrected score of a tile, if it has one.
    #[must_use]
    pub fn score(&self, granules: &[Granule], granule: usize, tile: usize) -> Option<f64> {
        let score = granules[granule].patches[tile].score_share?;
        Some(shifted(score, self.at(granules, granule, tile)))
    }

    /// The granules with corrected scores; standard deviations are stretched as the scores around them are.
    #[must_use]
    pub fn applied(&self, granules: &[Granule]) -> Vec<Granule> {
        let corrected = |(g, granule): (usize, &Granule)| {
            let mut patches = granule.patches.clone();
            for (tile, patch) in patches.iter_mut().enumerate() {
                let Some(score) = patch.score_share else { continue };
                let c = self.at(granules, g, tile);
                patch.score_share = Some(shifted(score, c));
                let stretch = slope(logit(score) + c) / slope(logit(score));
                patch.sd_share = patch.sd_share.map(|sd| (sd * stretch).min(1.0));
            }
            let layer = crate::layer::Layer::of(&patches);
            Granule { patches, layer, ..granule.clone() }
        };
        granules.iter().enumerate().map(corrected).collect()
    }
}

fn logit(score: f64) -> f64 {
    ((score + LOGIT_MARGIN) / (1.0 - score + LOGIT_MARGIN)).ln()
}

/// The score of a logit: the inverse of [`logit`], beyond 0 and 1 by at most the margin.
fn score_of(logit: f64) -> f64 {
    (1.0 + 2.0 * LOGIT_MARGIN) / (1.0 + (-logit).exp()) - LOGIT_MARGIN
}

/// The derivative of [`score_of`].
fn slope(logit: f64) -> f64 {
    let sigma = 1.0 / (1.0 + (-logit).exp());
    (1.0 + 2.0 * LOGIT_MARGIN) * sigma * (1.0 - sigma)
}

/// A score moved by a correction; a score without correction is kept to the bit.
fn shifted(score: f64, correction: f64) -> f64 {
    if correction == 0.0 { score } else { score_of(logit(score) + correction).clamp(0.0, 1.0) }
}

/// The four nodes around a tile's middle and their shares.
fn spots(granule: &Granule, tile: usize) -> [(usize, f64); 4] {
    let b = granule.layer.bounds();
    let (east_m, north_m) = granule.patches[tile].centre_m();
    let place = |share: f64| {
        let at = share.clamp(0.0, 1.0) * (NODES - 1) as f64;
        let node = (at as usize).min(NODES - 2);
        (node, at - node as f64)
    };
    let (row, down) = place((b.north - north_m) / (b.north - b.south));
    let (column, across) = place((east_m - b.west) / (b.east - b.west));
    let node = row * NODES + column;
    [
        (node, (1.0 - down) * (1.0 - across)),
        (node + 1, (1.0 - down) * across),
        (node + NODES, down * (1.0 - across)),
        (node + NODES + 1, down * across),
    ]
}

/// Granules joined by overlaps, each group by its first granule.
fn groups(n: usize, pairs: &[Pair]) -> Vec<usize> {
    let mut groups: Vec<usize> = (0..n).collect();
    for [a, b] in pairs.iter().map(|pair| pair.granules) {
        let (low, high) = (groups[a].min(groups[b]), groups[a].max(groups[b]));
        if low < high {
            groups.iter_mut().filter(|group| **group == high).for_each(|group| *group = low);
        }
    }
    groups
}

/// Takes the mean correction of each group away.
fn centre(nodes: &mut [f64], groups: &[usize]) {
    let n = groups.len();
    let (mut sums, mut counts) = (vec![0.0; n], vec![0_usize; n]);
    for (granule, &group) in groups.iter().enumerate() {
        sums[group] += nodes[granule * K..][..K].iter().sum::<f64>();
        counts[group] += K;
    }
    for (granule, &group) in groups.iter().enumerate() {
        let mean = sums[group] / counts[group] as f64;
        nodes[granule * K..][..K].iter_mut().for_each(|node| *node -= mean);
    }
}

/// A pair as a row: its nodes and shares on both sides, how far apart its logits are, what a logit is worth in scores, its weight.
struct Row {
    nodes: [[(usize, f64); 4]; 2],
    apart_logit: f64,
    slope: f64,
    weight: f64,
}

struct Problem {
    rows: Vec<Row>,
}

impl Problem {
    fn of(granules: &[Granule], pairs: &[Pair]) -> Problem {
        let row = |pair: &Pair| {
            let side = |i: usize| {
                let (granule, tile) = (pair.granules[i], pair.tiles[i]);
                let score = granules[granule].patches[tile].score_share?;
                let nodes = spots(&granules[granule], tile).map(|(node, share)| (granule * K + node, share));
                Some((nodes, logit(score)))
            };
            let ((near, near_logit), (far, far_logit)) = (side(0)?, side(1)?);
            Some(Row {
                nodes: [near, far],
                apart_logit: near_logit - far_logit,
                slope: slope((near_logit + far_logit) / 2.0),
                weight: pair.area_tiles,
            })
        };
        Problem { rows: pairs.iter().filter_map(row).collect() }
    }

    /// One step: weights from the corrections as they are, then the solution of the normal equations by conjugate gradients.
    fn step(&self, nodes: &[f64]) -> Vec<f64> {
        let mut lines = Vec::with_capacity(self.rows.len());
        let mut down = penalty(nodes);
        down.iter_mut().for_each(|v| *v = -*v);
        for row in &self.rows {
            let moved = |i: usize| row.nodes[i].iter().map(|(node, share)| share * nodes[*node]).sum::<f64>();
            let residual = row.slope * (row.apart_logit + moved(0) - moved(1));
            let weight = row.weight / residual.abs().max(L1_FROM);
            let line = Line { row, weight };
            line.add(&mut down, -weight * residual);
            lines.push(line);
        }
        conjugate_gradients(&lines, &down)
    }
}

/// A row's derivative.
struct Line<'a> {
    row: &'a Row,
    weight: f64,
}

impl Line<'_> {
    fn each(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        let slope = self.row.slope;
        self.row
            .nodes
            .iter()
            .zip([slope, -slope])
            .flat_map(|(nodes, slope)| nodes.iter().map(move |(node, share)| (*node, slope * share)))
    }

    fn times(&self, x: &[f64]) -> f64 {
        self.each().map(|(node, v)| v * x[node]).sum()
    }

    fn add(&self, to: &mut [f64], times: f64) {
        self.each().for_each(|(node, v)| to[node] += times * v);
    }
}

/// The penalties' gradient, which is linear.
fn penalty(x: &[f64]) -> Vec<f64> {
    let mut out: Vec<f64> = x.iter().map(|v| SIZE_WEIGHT / K as f64 * v).collect();
    for start in (0..x.len()).step_by(K) {
        for node in 0..K {
            let right = (node % NODES + 1 < NODES).then_some(node + 1);
            let below = (node + NODES < K).then_some(node + NODES);
            for next in [right, below].into_iter().flatten() {
                let pull = SLOPE_WEIGHT * (x[start + node] - x[start + next]);
                out[start + node] += pull;
                out[start + next] -= pull;
            }
        }
    }
    out
}

fn conjugate_gradients(lines: &[Line<'_>], wanted: &[f64]) -> Vec<f64> {
    let apply = |x: &[f64]| {
        let mut out = penalty(x);
        lines.iter().for_each(|line| line.add(&mut out, line.weight * line.times(x)));
        out
    };
    let mut diagonal = vec![SIZE_WEIGHT / K as f64 + 4.0 * SLOPE_WEIGHT; wanted.len()];
    for line in lines {
        line.each().for_each(|(node, v)| diagonal[node] += line.weight * v * v);
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let eased = |r: &[f64]| r.iter().zip(&diagonal).map(|(r, d)| r / d).collect::<Vec<f64>>();
    let mut x = vec![0.0; wanted.len()];
    let mut rest = wanted.to_vec();
    let mut eased_rest = eased(&rest);
    let mut way = eased_rest.clone();
    let mut size = dot(&rest, &eased_rest);
    let enough = size * CG_TOLERANCE * CG_TOLERANCE;
    for _ in 0..CG_STEPS {
        if size <= enough {
            break;
        }
        let image = apply(&way);
        let length = size / dot(&way, &image);
        x.iter_mut().zip(&way).for_each(|(x, w)| *x += length * w);
        rest.iter_mut().zip(&image).for_each(|(r, i)| *r -= length * i);
        eased_rest = eased(&rest);
        let next = dot(&rest, &eased_rest);
        way.iter_mut().zip(&eased_rest).for_each(|(w, r)| *w = r + next / size * *w);
        size = next;
    }
    x
}
