//! What leaves the later stages little or nothing to order, said where it is seen first: one class, few or equal tiles, one cluster.

use crate::sweep::{Reason, Sweep};
use anyhow::bail;
use std::collections::BTreeMap;

/// What to do where tiles do not differ enough.
const CURE: &str = "look at some tiles: where each shows everything or next to nothing, cut them larger or smaller with --tile-px of \
                    granule-split-mpi";
/// What to do besides where a judge does not tell classes apart.
const JUDGE: &str = "or this ground is not what the judge knows, and another judge or prompt tells more";

/// Warns of what is poor, a line each.
pub fn warn(sweeps: &BTreeMap<String, Sweep>, labelled: bool) {
    for (class, sweep) in sweeps {
        let (n, k) = (sweep.grouping.of_row.len(), sweep.k());
        match (sweep.reason, sweep.few_distinct) {
            (Reason::Given { asked }, Some(few)) => tracing::warn!(
                "{class}: --k asks for {asked} clusters, but {n} tiles show {few} different pictures; made {k}"
            ),
            (Reason::TooFew, _) => {
                tracing::warn!("{class}: {n} tiles are too few for more than one cluster; {CURE}")
            }
            (_, Some(few)) => tracing::warn!(
                "{class}: {n} tiles show {few} different pictures, fewer than --k-min asks for; made {k}; {CURE}"
            ),
            _ => {}
        }
    }
    if let (true, 1, Some(class)) = (labelled, sweeps.len(), sweeps.keys().next()) {
        tracing::warn!("all tiles are of one class by their labels, {class}; {CURE}, {JUDGE}");
    }
}

/// Refuses one cluster of all tiles, of which nobody can make an order, unless it was asked for.
///
/// # Errors
/// If there is but one cluster.
pub fn refuse_one_cluster(sweeps: &BTreeMap<String, Sweep>, min_stability: f64) -> anyhow::Result<()> {
    let mut all = sweeps.iter();
    let (Some((class, sweep)), None) = (all.next(), all.next()) else { return Ok(()) };
    if sweep.k() > 1 || sweep.reason == (Reason::Given { asked: 1 }) {
        return Ok(());
    }
    let n = sweep.grouping.of_row.len();
    let stablest = sweep.tried.iter().filter_map(|t| Some((t.k, t.mean_stability()?)));
    let why = match (sweep.reason, stablest.reduce(|best, next| if next.1 > best.1 { next } else { best })) {
        (Reason::NoneStable, Some((k, best))) => format!(
            "no number of clusters reaches --min-stability {min_stability} (the nearest is K = {k} with {best:.2})"
        ),
        (Reason::TooFew, _) => "they are too few for more than one cluster".into(),
        _ => "they show the same picture".into(),
    };
    bail!(
        "want at least 2 clusters, or there is nothing to order, got 1 of all {n} tiles, class {class}: {why}; {CURE}; or ask for \
         clusters with --k {class}=K"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kmeans::Grouping;
    use crate::sweep::Tried;
    use ndarray::Array2;

    fn sweep(k: usize, reason: Reason, stability: Option<f64>) -> Sweep {
        let tried = stability.map(|x| Tried { k: 3, silhouette: 0.1, stability: vec![x] });
        let of_row = (0..12).map(|i| i % k).collect();
        let grouping = Grouping { of_row, centres: Array2::zeros((k, 2)), squares: vec![0.0; 12] };
        Sweep { tried: tried.into_iter().collect(), reason, grouping, few_distinct: None }
    }

    #[test]
    fn one_cluster_of_all_tiles_is_refused_with_its_cause_unless_asked_for() {
        let said = |sweep| {
            let one = BTreeMap::from([("all".to_owned(), sweep)]);
            refuse_one_cluster(&one, 0.5).err().map(|error| error.to_string())
        };
        let unstable = said(sweep(1, Reason::NoneStable, Some(0.31))).unwrap_or_default();
        assert!(unstable.contains("--min-stability 0.5 (the nearest is K = 3 with 0.31)"), "{unstable}");
        assert!(unstable.contains("--tile-px") && unstable.contains("--k all=K"), "{unstable}");
        assert!(said(sweep(1, Reason::TooFew, None)).is_some_and(|text| text.contains("too few")));
        assert_eq!(said(sweep(1, Reason::Given { asked: 1 }, None)), None);
        assert_eq!(said(sweep(2, Reason::Best, Some(0.9))), None);
        let two = ["a", "b"].map(|class| (class.to_owned(), sweep(1, Reason::TooFew, None)));
        assert!(refuse_one_cluster(&BTreeMap::from(two), 0.5).is_ok(), "two whole classes are two clusters");
    }
}
