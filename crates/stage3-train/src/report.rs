//! What a training says of itself, in words and in numbers.

use crate::recipe::Recipe;
use crate::study::Found;
use crate::train::Outcome;
use contract::Metric;
use serde_json::{Value, json};

/// What makes scores of two runs comparable.
pub fn scale_in_words(recipe: Recipe) -> &'static str {
    match recipe {
        Recipe::Default | Recipe::Ridge => {
            "Quantile anchoring on the training order: of L levels, the median training tile of level l (0 the lowest) scores \
             (l + 1/2) / L in every run and member; straight lines between, exponential approach to 0 and 1 beyond."
        }
        Recipe::DevMeasure => {
            "The study's pseudo-labels: level l of L is taught the score l / (L - 1). Not anchored; runs share the labels only."
        }
    }
}

/// The figures of the card.
pub fn figures(outcome: &Outcome) -> Value {
    json!({"held_out_blocks": outcome.blocks, "held_out_clusters": outcome.clusters})
}

/// The figures as a table.
pub fn metrics(outcome: &Outcome) -> Vec<Metric> {
    let mut rows = agreement("held-out blocks", outcome.blocks.as_ref());
    rows.extend(agreement("held-out clusters", outcome.clusters.as_ref()));
    let row = |name: &str, value: Option<f64>, unit: &str, n: usize, note: &str| Metric {
        name: name.into(),
        of: "held-out blocks".into(),
        value,
        low: None,
        high: None,
        unit: unit.into(),
        n: n as u64,
        note: Some(if value.is_some() { note } else { "too few held-out blocks" }.to_owned()),
    };
    let (interval, limit) = (outcome.interval, outcome.limit);
    let n_blocks = interval.map_or(0, |i| i.n_blocks);
    let asked = interval.map_or(String::new(), |i| format!("of {} asked for, split-conformal by block, fitted on every second block and held against the others", i.share));
    rows.push(row("interval_coverage", interval.and_then(|i| i.coverage), "share", n_blocks, &asked));
    let half = interval.map(|i| i.half_width);
    rows.push(row("interval_half_width", half, "share", n_blocks, "half of the interval around a score"));
    let distance = limit.map(|l| l.distance);
    let n_held = limit.map_or(0, |l| l.n_held);
    rows.push(row(
        "outside_limit",
        distance,
        "1",
        n_held,
        "distance in features beyond which a tile is flagged",
    ));
    let own = limit.and_then(|l| l.own_share);
    let asked = limit.map_or(String::new(), |l| {
        format!(
            "of the training tiles themselves beyond that distance; of tiles of held-out blocks {} are",
            l.outside_share
        )
    });
    rows.push(row("outside_share", own, "share", limit.map_or(0, |l| l.n_rows), &asked));
    rows
}

fn agreement(of: &str, found: Option<&Found>) -> Vec<Metric> {
    let row = |name: &str, value: Option<f64>, n: usize, meaning: &str| Metric {
        name: name.into(),
        of: of.into(),
        value,
        low: None,
        high: None,
        unit: "1".into(),
        n: n as u64,
        note: Some(match value {
            Some(_) => meaning.to_owned(),
            None => "too few tiles to leave some of every level out, or not asked for".to_owned(),
        }),
    };
    let n = found.map_or(0, |f| f.agreement.n);
    let n_clusters = found.map_or(0, |f| f.n_clusters);
    vec![
        row("kendall", found.map(|f| f.agreement.kendall), n, "tau-b of score and level"),
        row("spearman", found.map(|f| f.agreement.spearman), n, "of score and level"),
        row(
            "pairwise",
            found.map(|f| f.agreement.pairwise),
            n,
            "share of pairs of levels in the right order",
        ),
        row(
            "ranks_spearman",
            found.and_then(|f| f.ranks_spearman),
            n,
            "of score and its cluster's consensus rank",
        ),
        row(
            "clusters_spearman",
            found.and_then(|f| f.clusters_spearman),
            n_clusters,
            "of a cluster's mean score and its rank",
        ),
        row(
            "within_tolerance",
            found.map(|f| f.within_tolerance),
            n,
            "share of scores nearer than 1/14 to their level's place",
        ),
    ]
}
