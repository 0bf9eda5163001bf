//! The shortcut audit: how well position, granule and mean colour tell a tile's cluster. Lower is better.
//!
//! A cluster that can be told from where a tile lies, from the day of its scene or from its haze is not one of ground alone. The
//! classifier is plain: the majority among the 10 nearest tiles in standardised coordinates; for the granule and the class, the
//! commonest cluster among their tiles. Shares of tiles told right, in five folds: by tile, as the published study
//! measured, where neighbours tell on each other and a shortcut shows most; and by blocks of 4 x 4 tiles, where only what
//! holds beyond the neighbourhood tells. The share of the largest cluster stands beside as the floor.

use crate::residual::standard;
use contract::{GranuleId, Metric, TileId};
use nn::Rgb;
use rand::SeedableRng;
use rand::seq::{SliceRandom, index::sample};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::collections::BTreeMap;

const NEIGHBOURS: usize = 10;
const FOLDS: usize = 5;
/// Side of a block in tiles.
const BLOCK_TILES: usize = 4;
/// Tiles that are looked at, at most: the work grows with their square.
const SAMPLE_TILES: usize = 6000;
/// A class of fewer tiles is not audited on its own.
const FEWEST_TILES: usize = 40;

/// What is known of a tile beside what it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// East and north of its south-west corner, in metres.
    pub position_m: [f64; 2],
    /// The place of its granule in the list of granules.
    pub granule: usize,
    /// Means over its pixels: red, green, blue, brightness, saturation, and the hue's cosine and sine.
    pub colour: [f64; 7],
    /// Its row and column in the granule.
    pub block: [usize; 2],
}

impl Facts {
    /// The facts of a tile.
    pub fn of(granule: usize, tile: TileId, position_m: [f64; 2], picture: &Rgb) -> Self {
        Self { position_m, granule, colour: colour(picture), block: [tile.row as usize, tile.col as usize] }
    }
}

/// Hue, saturation and brightness of every pixel as of the HSV colour model, shares of 255.
fn colour(picture: &Rgb) -> [f64; 7] {
    let mut sums = [0.0; 7];
    let pixels = picture.interleaved().chunks_exact(3);
    let n = pixels.len().max(1) as f64;
    for pixel in pixels {
        let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(|v| f64::from(v) / 255.0);
        let (most, least) = (red.max(green).max(blue), red.min(green).min(blue));
        let saturation = if most > 0.0 { (most - least) / most } else { 0.0 };
        // the hue's direction on the colour circle, at the length of the chroma
        let (cos, sin) = (red - (green + blue) / 2.0, (green - blue) * 0.75_f64.sqrt());
        let values = [red, green, blue, most, saturation, cos, sin];
        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
    }
    sums.map(|sum| sum / n)
}

/// A tile as the audit sees it.
pub struct Audited {
    /// What is known of it.
    pub facts: Facts,
    /// Its class.
    pub class: String,
    /// Its cluster.
    pub cluster: usize,
}

/// Audits all tiles, and each class of enough of them.
pub fn audit(tiles: &[Audited], seed: u64) -> Vec<Metric> {
    let mut classes: BTreeMap<&str, Vec<&Audited>> = BTreeMap::new();
    tiles.iter().for_each(|tile| classes.entry(&tile.class).or_default().push(tile));
    let mut rows = one_audit("all tiles", &tiles.iter().collect::<Vec<_>>(), seed);
    if classes.len() > 1 {
        for (class, members) in classes.iter().filter(|(_, members)| members.len() >= FEWEST_TILES) {
            rows.extend(one_audit(class, members, seed));
        }
    }
    rows
}

fn one_audit(of: &str, tiles: &[&Audited], seed: u64) -> Vec<Metric> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut seen = sample(&mut rng, tiles.len(), SAMPLE_TILES.min(tiles.len())).into_vec();
    seen.sort_unstable();
    let tiles: Vec<&Audited> = seen.iter().map(|&i| tiles[i]).collect();
    let clusters: Vec<usize> = tiles.iter().map(|t| t.cluster).collect();
    let position = table(&tiles, |f| f.position_m.to_vec());
    let colour = table(&tiles, |f| f.colour.to_vec());
    let by_tile = folds((0..tiles.len()).map(|i| [i, 0, 0]).collect(), &mut rng);
    let block =
        |t: &&Audited| [t.facts.granule, t.facts.block[0] / BLOCK_TILES, t.facts.block[1] / BLOCK_TILES];
    let by_block = folds(tiles.iter().map(block).collect(), &mut rng);
    let granule: Vec<String> = tiles.iter().map(|t| t.facts.granule.to_string()).collect();
    let class: Vec<String> = tiles.iter().map(|t| t.class.clone()).collect();
    let rows = [
        ("largest cluster", commonest(&vec![String::new(); tiles.len()], &clusters, &by_tile)),
        ("class", commonest(&class, &clusters, &by_tile)),
        ("granule", commonest(&granule, &clusters, &by_tile)),
        ("position, by tile", neighbours(&position, &clusters, &by_tile)),
        ("position, by block", neighbours(&position, &clusters, &by_block)),
        ("colour, by tile", neighbours(&colour, &clusters, &by_tile)),
        ("colour, by block", neighbours(&colour, &clusters, &by_block)),
    ];
    let row = |(by, value): (&str, f64)| Metric {
        name: "shortcut".into(),
        of: format!("{of}: {by}"),
        value: Some(value),
        low: None,
        high: None,
        unit: "share of tiles whose cluster is told right".into(),
        n: tiles.len() as u64,
        note: None,
    };
    rows.into_iter().map(row).collect()
}

/// Standardised columns. `[tile][column]`
fn table(tiles: &[&Audited], values: impl Fn(&Facts) -> Vec<f64>) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = tiles.iter().map(|t| values(&t.facts)).collect();
    let n_columns = rows.first().map_or(0, Vec::len);
    let columns: Vec<Vec<f64>> =
        (0..n_columns).map(|c| standard(rows.iter().map(|row| row[c]).collect())).collect();
    (0..rows.len()).map(|i| columns.iter().map(|column| column[i]).collect()).collect()
}

/// A fold for each tile; tiles of one unit stay together.
fn folds(units: Vec<[usize; 3]>, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut names = units.clone();
    names.sort_unstable();
    names.dedup();
    names.shuffle(rng);
    let fold: BTreeMap<[usize; 3], usize> =
        names.into_iter().enumerate().map(|(i, name)| (name, i % FOLDS)).collect();
    units.iter().map(|unit| fold[unit]).collect()
}

/// The share of tiles that the majority of their nearest tiles in other folds tells right.
fn neighbours(table: &[Vec<f64>], clusters: &[usize], fold: &[usize]) -> f64 {
    let right = |i: usize| {
        let square = |j: usize| table[i].iter().zip(&table[j]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        let mut others: Vec<(f64, usize)> =
            (0..table.len()).filter(|&j| fold[j] != fold[i]).map(|j| (square(j), j)).collect();
        let n = NEIGHBOURS.min(others.len());
        if n == 0 {
            return false;
        }
        others.select_nth_unstable_by(n - 1, |a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        others.truncate(n);
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        majority(others.iter().map(|&(_, j)| clusters[j])) == Some(clusters[i])
    };
    share((0..table.len()).into_par_iter().filter(|&i| right(i)).count(), table.len())
}

/// The share of tiles whose cluster is the commonest among tiles of the same key in other folds.
fn commonest(keys: &[String], clusters: &[usize], fold: &[usize]) -> f64 {
    let told: BTreeMap<(&str, usize), Option<usize>> = keys
        .iter()
        .zip(fold)
        .map(|(key, &held)| (key.as_str(), held))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .map(|(key, held)| {
            let others = (0..keys.len()).filter(|&j| fold[j] != held && keys[j] == key);
            ((key, held), majority(others.map(|j| clusters[j])))
        })
        .collect();
    let right = |&i: &usize| told[&(keys[i].as_str(), fold[i])] == Some(clusters[i]);
    share((0..keys.len()).filter(right).count(), keys.len())
}

/// The commonest; of equally common ones, the one that comes first.
fn majority(clusters: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts: Vec<(usize, usize)> = Vec::new();
    for cluster in clusters {
        match counts.iter_mut().find(|(c, _)| *c == cluster) {
            Some((_, n)) => *n += 1,
            None => counts.push((cluster, 1)),
        }
    }
    counts
        .into_iter()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(cluster, _)| cluster)
}

fn share(n: usize, of: usize) -> f64 {
    n as f64 / of.max(1) as f64
}

/// The key that tables join tiles by.
pub type Ground = (GranuleId, TileId);

#[cfg(test)]
mod tests {
    use super::*;

    /// A field of 24 x 24 tiles with grey pictures.
    fn field(cluster: impl Fn(usize, usize) -> usize) -> Vec<Audited> {
        let tile = |i: usize| Audited {
            facts: Facts {
                position_m: [(i % 24) as f64 * 640.0, (i / 24) as f64 * 640.0],
                granule: 0,
                colour: [0.5; 7],
                block: [i / 24, i % 24],
            },
            class: "all".into(),
            cluster: cluster(i / 24, i % 24),
        };
        (0..576).map(tile).collect()
    }

    fn told(rows: &[Metric], by: &str) -> f64 {
        rows.iter()
            .find(|m| m.of == format!("all tiles: {by}"))
            .and_then(|m| m.value)
            .expect("an audit by this")
    }

    #[test]
    fn clusters_that_follow_position_are_told_and_scattered_ones_are_not() {
        let halves = audit(&field(|_, col| usize::from(col >= 12)), 1);
        assert!(told(&halves, "position, by tile") > 0.95);
        // a block on the border of the halves is told by its neighbours on either side
        assert!(told(&halves, "position, by block") > 0.7, "{}", told(&halves, "position, by block"));
        let scattered = audit(&field(|row, col| ((row * 31 + col) * 2_654_435_761) >> 20 & 3), 1);
        assert!(told(&scattered, "position, by tile") < 0.45, "{}", told(&scattered, "position, by tile"));
        assert!(told(&halves, "colour, by tile") < 0.7, "all tiles are of one colour");
    }

    #[test]
    fn neighbours_tell_on_each_other_by_tile_and_not_by_block() {
        let patches = audit(&field(|row, col| (row / 4 * 6 + col / 4) * 7 % 11), 1);
        let (tile, block) = (told(&patches, "position, by tile"), told(&patches, "position, by block"));
        assert!(tile > 0.5 && block < 0.2, "patches of one block each: {tile} by tile, {block} by block");
    }
}
