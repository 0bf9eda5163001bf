//! Pictures that nobody put into a cluster, but of which the classes are known: they join a ridge at the place of their classes.
//!
//! A class lies where its clusters lie in the order, in the mean. A picture of several classes lies between them by its shares. It says less
//! than a cluster's rank, but of ground that the clusters do not show. Left out: other recipes, whose losses compare levels.

use crate::data::Samples;
use contract::{GranuleId, Label, TileId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// One such picture, without its pixels.
#[derive(Clone, Debug, PartialEq)]
pub struct Loose {
    /// Which of the granules.
    pub granule: usize,
    /// The tile.
    pub tile: TileId,
    /// Whether its block is held out for the figures.
    pub held: bool,
    /// Its classes and their shares.
    pub shares: Shares,
}

/// Classes and their shares.
pub type Shares = Vec<(String, f64)>;

/// Classes and their shares of each labelled tile; judges count alike, and answers that are missing count nothing.
///
/// # Errors
/// If the table cannot be read.
pub fn shares(labels: &Path) -> contract::Result<BTreeMap<(GranuleId, TileId), Shares>> {
    let mut sums: BTreeMap<_, BTreeMap<String, f64>> = BTreeMap::new();
    for label in contract::read::<Label>(labels)? {
        let Some(probability) = label.probability else { continue };
        *sums.entry((label.granule, label.tile)).or_default().entry(label.class).or_default() += probability;
    }
    let shares = |classes: BTreeMap<String, f64>| {
        let total: f64 = classes.values().sum();
        classes
            .into_iter()
            .map(|(class, sum)| (class, sum / total))
            .filter(|(_, share)| *share > 0.0)
            .collect()
    };
    Ok(sums.into_iter().map(|(tile, classes)| (tile, shares(classes))).collect())
}

/// Indices and places, from 0 to 1, of the pictures in no cluster that a training on some samples may see: where all their classes have
/// clusters among those samples, and, if `kept_only`, where their block is not held out.
pub fn rows(samples: &Samples, chosen: &[usize], kept_only: bool) -> Vec<(usize, f64)> {
    let clusters: BTreeSet<u32> = chosen.iter().map(|&i| samples.all[i].cluster).collect();
    let mut classes: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    for cluster in clusters {
        let Some(class) = samples.class_of.get(&cluster) else { continue };
        let (sum, n) = classes.entry(class).or_default();
        (*sum, *n) = (*sum + samples.place_of(cluster), *n + 1.0);
    }
    let place = |loose: &Loose| {
        let of = |(class, share): &(String, f64)| classes.get(class.as_str()).map(|(sum, n)| share * sum / n);
        loose.shares.iter().map(of).sum::<Option<f64>>()
    };
    let first = samples.all.len();
    let row = |(i, loose): (usize, &Loose)| Some((first + i, place(loose)?));
    let seen = samples.loose.iter().enumerate().filter(|(_, loose)| !(kept_only && loose.held));
    seen.filter_map(row).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::data::Sample;

    fn samples() -> Samples {
        let tile = |col| TileId { row: 0, col };
        let sample = |cluster: u32| Sample {
            granule: 0,
            tile: tile(cluster),
            cluster,
            level: 4 - cluster as usize,
            held: false,
        };
        let ranks = (0..5).map(|c| (c, f64::from(c) + 1.0)).collect();
        let mut samples = Samples::of((0..5).map(sample).collect(), 5, ranks);
        let classes = ["town", "town", "field", "field", "sea"];
        samples.class_of =
            classes.iter().enumerate().map(|(c, &class)| (c as u32, class.to_owned())).collect();
        let loose = |col: u32, shares: &[(&str, f64)]| Loose {
            granule: 0,
            tile: tile(col),
            held: col == 7,
            shares: shares.iter().map(|&(class, share)| (class.to_owned(), share)).collect(),
        };
        samples.loose = vec![
            loose(5, &[("town", 1.0)]),
            loose(6, &[("field", 0.5), ("sea", 0.5)]),
            loose(7, &[("field", 1.0)]),
            loose(8, &[("town", 0.5), ("swamp", 0.5)]),
        ];
        samples
    }

    #[test]
    fn a_picture_lies_between_the_mean_places_of_its_classes() {
        // Places are 1, .75 (town), .5, .25 (field) and 0 (sea).
        let all: Vec<usize> = (0..5).collect();
        assert_eq!(rows(&samples(), &all, false), [(5, 0.875), (6, 0.1875), (7, 0.375)]);
        assert_eq!(rows(&samples(), &all, true), [(5, 0.875), (6, 0.1875)]);
    }

    #[test]
    fn clusters_that_are_left_out_do_not_tell_where_their_class_lies() {
        assert_eq!(rows(&samples(), &[0, 2, 3], false), [(5, 1.0), (7, 0.375)]);
    }
}
