//! `stage1-cluster audit`: any table of clusters, ours or another's, against the shortcuts.

use crate::audit::{Audited, Facts, Ground, audit};
use crate::look::open_all;
use crate::report;
use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use contract::{Cluster, Made};
use nn::Rgb;
use stage::Ledger;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Tiles, and the clusters that they were put into
#[derive(ClapArgs, Debug)]
pub struct AuditArgs {
    /// Tiles of a granule, from granule-split-mpi; repeat for more granules
    #[arg(long, required = true, value_name = "FILE")]
    tiles: Vec<PathBuf>,
    /// Clusters of the tiles
    #[arg(long, value_name = "FILE")]
    clusters: PathBuf,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// How well each shortcut tells a tile's cluster, a metrics table
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &AuditArgs) -> anyhow::Result<Ledger> {
    let readers = open_all(&args.tiles)?;
    let rows = contract::read::<Cluster>(&args.clusters)?;
    let of: BTreeMap<Ground, Cluster> =
        rows.into_iter().map(|row| ((row.granule.clone(), row.tile), row)).collect();
    let mut ledger = Ledger::of("tiles", 0);
    let mut audited = Vec::new();
    for (granule, reader) in readers.iter().enumerate() {
        for tile in reader.tiles() {
            let tile = tile?;
            ledger.n_in += 1;
            let cluster = of.get(&(reader.granule().clone(), tile.tile));
            let (Some(pixels), Some(cluster)) = (&tile.pixels, cluster) else {
                ledger.skip(if tile.pixels.is_none() { "no pixels" } else { "no cluster" });
                continue;
            };
            let picture = Rgb::from_bands(pixels, reader.meta().tile_px as usize)
                .with_context(|| reader.path().display().to_string())?;
            audited.push(Audited {
                facts: Facts::of(granule, tile.tile, [tile.west_m, tile.south_m], &picture),
                class: cluster.class.clone(),
                cluster: cluster.cluster as usize,
            });
            ledger.ok(1);
        }
    }
    ensure!(!audited.is_empty(), "{}: want clusters of these tiles, found none", args.clusters.display());
    let rows = audit(&audited, args.seed);
    report::log_audit(&rows);
    let mut made = Made::by("stage1-cluster").seed(args.seed);
    for path in args.tiles.iter().chain([&args.clusters]) {
        made = made.input(path)?;
    }
    contract::write(&args.out, &rows, &made)?;
    Ok(ledger)
}
