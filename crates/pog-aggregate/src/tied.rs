//! Evidence that puts no cluster above another: no stage after this one can make anything of it, so it is said here.

use std::collections::BTreeSet;

use anyhow::ensure;

use crate::ballots::Ballots;
use crate::order::WeakOrder;

/// What consensus ranks may differ by when they are the same.
const ROUNDING_RANKS: f64 = 1e-9;

/// What makes a judge answer alike, and what to do.
const CAUSE: &str = "likely each tile shows too much or too little (cut them smaller or larger with --tile-px of granule-split-mpi), or this ground is not \
                     what the judge knows (take another judge or prompt)";

/// Refuses evidence on fewer than two clusters, and such that ties all.
///
/// # Errors
/// One line with the likely cause. Clusters that are lowest by rule are below the others, whatever those are.
pub fn refuse(ballots: &Ballots, ranks: &[f64], lowest: &BTreeSet<u32>) -> anyhow::Result<()> {
    if !lowest.is_empty() {
        return Ok(());
    }
    let n = ballots.clusters.len();
    ensure!(
        n > 1,
        "want evidence on at least 2 clusters, got {n}: nothing to order; {CAUSE}, or cluster again with --k CLASS=K of stage1-cluster"
    );
    let all_tied = ranks.iter().all(|rank| (rank - ranks[0]).abs() < ROUNDING_RANKS);
    ensure!(
        !all_tied,
        "want clusters that differ, but all {n} are tied by their raters: nothing to order; {CAUSE}"
    );
    Ok(())
}

/// Warns where the voted clusters share a level though their ranks differ, or are tied above those that are lowest by rule.
pub fn warn(order: &WeakOrder, lowest: &BTreeSet<u32>) {
    let voted = order.levels().iter().filter(|level| !level.iter().all(|cluster| lowest.contains(cluster)));
    if voted.count() > 1 {
        return;
    }
    tracing::warn!(
        "all clusters voted on share one level: their intervals overlap, and a model can learn no order among them; ask more raters or \
         about more images, or give a number of --levels; else {CAUSE}"
    );
}
