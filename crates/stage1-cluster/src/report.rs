//! What is said of a clustering: the table of K, and lines for the log.

use crate::sweep::{Reason, Sweep, Tried};
use contract::Metric;
use std::collections::BTreeMap;

/// The chosen number of clusters of each class, then the audit, then the silhouette and stability of every K that was tried: a
/// page shows the first rows only.
pub fn table(sweeps: &BTreeMap<String, Sweep>, min_stability: f64, audit: Vec<Metric>) -> Vec<Metric> {
    let (mut rows, mut details) = (Vec::new(), Vec::new());
    for (class, sweep) in sweeps {
        let n = sweep.grouping.of_row.len() as u64;
        let row = |name: &str, of: String, value: Option<f64>| Metric {
            name: name.into(),
            of,
            value,
            low: None,
            high: None,
            unit: "1".into(),
            n,
            note: None,
        };
        let chosen = row("n_clusters", class.clone(), Some(sweep.k() as f64));
        rows.push(Metric { note: Some(why(sweep, n, min_stability)), ..chosen });
        for tried in &sweep.tried {
            let of = format!("{class} k={}", tried.k);
            details.push(row("silhouette", of.clone(), Some(tried.silhouette)));
            details.push(stability(tried, row("stability", of, tried.mean_stability())));
        }
    }
    rows.extend(audit);
    rows.extend(details);
    rows
}

fn stability(tried: &Tried, row: Metric) -> Metric {
    let n = tried.stability.len();
    if n == 0 {
        return Metric { note: Some("no resamples were asked for".into()), ..row };
    }
    let ends = (tried.stability.iter().copied(), tried.stability.iter().copied());
    Metric {
        low: Some(ends.0.fold(f64::INFINITY, f64::min)),
        high: Some(ends.1.fold(f64::NEG_INFINITY, f64::max)),
        note: Some(format!("mean, least and most adjusted Rand index of {n} bootstrap resamples")),
        ..row
    }
}

fn why(sweep: &Sweep, n: u64, min_stability: f64) -> String {
    let few = sweep.few_distinct;
    match sweep.reason {
        Reason::Best => {
            let best = format!("the highest silhouette among K of a stability of at least {min_stability}");
            few.map_or(best.clone(), |few| format!("{best}; {n} tiles show {few} different pictures"))
        }
        Reason::NoneStable => format!("no K reaches a stability of {min_stability}: the class stays whole"),
        Reason::TooFew => "too few tiles for more than one cluster".into(),
        Reason::AllAlike => "all tiles show the same picture".into(),
        Reason::Given { asked } => match few {
            Some(few) => {
                format!("--k asked for {asked}, but {n} tiles show {few} different pictures")
            }
            None => "given by --k".into(),
        },
    }
}

/// One line a class, and one of the audit over all tiles.
pub fn log(sweeps: &BTreeMap<String, Sweep>, audit: &[Metric]) {
    for (class, sweep) in sweeps {
        let number = |value: Option<f64>| value.map_or("none".into(), |v| format!("{v:.3}"));
        tracing::info!(
            "{class}: {} clusters of {} tiles, silhouette {}, stability {}",
            sweep.k(),
            sweep.grouping.of_row.len(),
            number(sweep.chosen().map(|t| t.silhouette)),
            number(sweep.chosen().and_then(Tried::mean_stability))
        );
    }
    log_audit(audit);
}

/// One line: by what, and how well, a tile's cluster is told.
pub fn log_audit(audit: &[Metric]) {
    let all = audit.iter().filter_map(|m| Some((m.of.strip_prefix("all tiles: ")?, m.value?)));
    let words: Vec<String> = all.map(|(by, value)| format!("{by} {value:.2}")).collect();
    tracing::info!("share of tiles whose cluster is told right: {}", words.join("; "));
}
