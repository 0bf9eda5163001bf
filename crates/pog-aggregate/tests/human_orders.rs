//! T2: the official order of 22 clusters of North Korea from the orders of ten people.
//!
//! The data are the reference set `nk_clusters`, found through `REFERENCE_DATA`; without it the
//! tests say so in one line and pass.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

const LEVELS: usize = 7;
const LOWEST: u32 = 22;

fn reference() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/reference");
    let root = std::env::var_os("REFERENCE_DATA").map_or(PathBuf::from(beside), PathBuf::from);
    let folder = root.join("nk_clusters");
    if !folder.is_dir() {
        println!("skipped: no nk_clusters in REFERENCE_DATA");
        return None;
    }
    Some(folder)
}

/// The official file lists `low<high` between levels by one member each, then the levels, top first.
fn official_levels(text: &str) -> BTreeMap<u32, usize> {
    let ties = text.lines().filter(|line| line.contains('='));
    let tied: Vec<Vec<u32>> =
        ties.map(|line| line.split('=').map(|c| c.parse().unwrap()).collect()).collect();
    let below: BTreeMap<u32, u32> = text
        .lines()
        .filter_map(|line| line.split_once('<'))
        .map(|(low, high)| (high.trim().parse().unwrap(), low.trim().parse().unwrap()))
        .collect();
    let top = below.keys().find(|high| !below.values().any(|low| low == *high)).unwrap();
    let chain = std::iter::successors(Some(*top), |high| below.get(high).copied());
    let mut levels = BTreeMap::new();
    for (level, member) in chain.enumerate() {
        let alone = vec![member];
        let tie = tied.iter().find(|tie| tie.contains(&member)).unwrap_or(&alone);
        levels.extend(tie.iter().map(|&cluster| (cluster, level)));
    }
    levels
}

/// Clusters of the collection that the program puts on their official level.
fn agreeing(collection: &str) -> Option<usize> {
    let folder = reference()?;
    let out = tempfile::tempdir().unwrap();
    let order_file = out.path().join("order.txt");
    let status = Command::new(env!("CARGO_BIN_EXE_pog-aggregate"))
        .arg("--orders")
        .arg(folder.join(collection))
        .arg("--raters")
        .arg(folder.join("pog_annotators.txt"))
        .args(["--weights", "mean", "--levels", &LEVELS.to_string(), "--lowest", &LOWEST.to_string()])
        .arg("--order-out")
        .arg(&order_file)
        .arg("--out")
        .arg(out.path().join("pog.parquet"))
        .status()
        .unwrap();
    assert!(status.success());
    let order: pog_aggregate::order::WeakOrder =
        std::fs::read_to_string(order_file).unwrap().trim().parse().unwrap();
    println!("{collection}: {order}");
    let official = official_levels(&std::fs::read_to_string(folder.join("official_order.txt")).unwrap());
    assert_eq!(official.len(), 23, "the official order ranks 22 clusters and the lowest");
    assert_eq!(order.levels()[LEVELS], [LOWEST]);
    let found = order.levels().iter().take(LEVELS).enumerate();
    Some(
        found
            .flat_map(|(level, tie)| tie.iter().map(move |c| (c, level)))
            .filter(|(c, l)| official[c] == *l)
            .count(),
    )
}

#[test]
fn the_first_published_orders_give_the_official_order() {
    if let Some(count) = agreeing("pog_collection_v1.txt") {
        assert_eq!(count, 22);
    }
}

#[test]
fn the_revised_orders_give_it_but_for_two_clusters() {
    if let Some(count) = agreeing("pog_collection.txt") {
        assert_eq!(count, 20);
    }
}
