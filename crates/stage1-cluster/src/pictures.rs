//! The clustering as pictures: the choice of K, the clusters by their first two components, and the clusters by their place, where a
//! shortcut is seen at once.

use crate::look::Seen;
use crate::sweep::Sweep;
use contract::{Cluster, TileReader};
use figure::{Chart, Charts, Words, charts};
use std::collections::BTreeMap;
use std::path::Path;

/// What is drawn; seen tiles, rows and places in the plane go together.
pub struct View<'a> {
    /// The tiles.
    pub seen: &'a [Seen],
    /// Their clusters.
    pub rows: &'a [Cluster],
    /// The choice of K of each class.
    pub sweeps: &'a BTreeMap<String, Sweep>,
    /// Their first two whitened components.
    pub plane: &'a [[f64; 2]],
    /// The granules.
    pub readers: &'a [TileReader],
}

/// Writes `k.png` (if any K was tried), `components.png` and `places.png`.
///
/// # Errors
/// If a picture cannot be drawn or written.
pub fn write(folder: &Path, view: &View) -> anyhow::Result<()> {
    if view.sweeps.values().any(|sweep| !sweep.tried.is_empty()) {
        contract::file::write(&folder.join("k.png"), &charts(&choice(view))?)?;
    }
    contract::file::write(&folder.join("components.png"), &charts(&components(view))?)?;
    contract::file::write(&folder.join("places.png"), &charts(&places(view))?)?;
    Ok(())
}

fn choice(view: &View) -> Charts {
    let chart = |(class, sweep): (&String, &Sweep)| {
        let xs = sweep.tried.iter().map(|t| t.k as f64).collect();
        let silhouettes = sweep.tried.iter().map(|t| t.silhouette).collect();
        let stabilities = sweep.tried.iter().map(|t| t.mean_stability().unwrap_or(f64::NAN)).collect();
        let chosen = (sweep.k() > 1).then_some(sweep.k() as f64);
        let heading = match sweep.k() {
            1 => format!("{class}: left whole"),
            k => format!("{class}: {k} clusters"),
        };
        (heading, Chart::Curves { label: "K".into(), xs, lines: vec![silhouettes, stabilities], chosen })
    };
    let words = Words {
        title: "How many clusters".into(),
        subtitle: "Stability is the adjusted Rand index of resampled and re-clustered tiles, 1 for the same clusters every time. Of the K that \
                   are stable enough, the one of the highest silhouette is taken."
            .into(),
        credit: String::new(),
    };
    let names = vec!["silhouette".into(), "stability".into()];
    Charts {
        words,
        charts: view.sweeps.iter().filter(|(_, s)| !s.tried.is_empty()).map(chart).collect(),
        names,
    }
}

fn components(view: &View) -> Charts {
    let place = |(at, row): (&[f64; 2], &Cluster)| (at[0], at[1], row.cluster as usize);
    let places = view.plane.iter().zip(view.rows).map(place).collect();
    let words = Words {
        title: "Clusters by their features".into(),
        subtitle: "Each dot is a tile, by the first two of the whitened principal components that the clusters were found in; clusters that \
                   lie on each other here may be apart in the others."
            .into(),
        credit: String::new(),
    };
    let labels = ["first component".into(), "second component".into()];
    Charts { words, charts: vec![(String::new(), Chart::Points { labels, places })], names: names(view) }
}

fn places(view: &View) -> Charts {
    let chart = |(granule, reader): (usize, &TileReader)| {
        let (n_rows, n_cols) = (reader.meta().n_rows as usize, reader.meta().n_cols as usize);
        let mut groups = vec![None; n_rows * n_cols];
        for (seen, row) in view.seen.iter().zip(view.rows).filter(|(seen, _)| seen.facts.granule == granule) {
            groups[seen.facts.block[0] * n_cols + seen.facts.block[1]] = Some(row.cluster as usize);
        }
        (reader.granule().to_string(), Chart::Cells { n_cols, groups })
    };
    let words = Words {
        title: "Clusters by their place".into(),
        subtitle: "Each cell is a tile. Clusters that follow the ground are scattered as the ground is; stripes, halves and edges of a scene \
                   speak of light, haze or season."
            .into(),
        credit: String::new(),
    };
    Charts { words, charts: view.readers.iter().enumerate().map(chart).collect(), names: names(view) }
}

fn names(view: &View) -> Vec<String> {
    let mut names = BTreeMap::new();
    for row in view.rows {
        names.entry(row.cluster).or_insert_with(|| format!("{} {}", row.cluster, row.class));
    }
    let most = names.keys().max().map_or(0, |most| most + 1);
    (0..most).map(|cluster| names.remove(&cluster).unwrap_or_default()).collect()
}
