//! Another's clusters as a table, for `make bench-learning`: lines of `row,col,cluster`, from 0, without a header.

use anyhow::Context;
use clap::Parser;
use contract::{Cluster, GranuleId, Made, TileId};
use std::path::PathBuf;

#[derive(Parser)]
struct Args {
    /// Lines of row, column and cluster
    #[arg(long)]
    csv: PathBuf,
    /// The granule of the tiles
    #[arg(long)]
    granule: GranuleId,
    /// The table
    #[arg(long)]
    out: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let text = std::fs::read_to_string(&args.csv)
        .with_context(|| format!("{}: reading clusters", args.csv.display()))?;
    let row = |line: &str| {
        let numbers: Vec<u32> = line.split(',').filter_map(|n| n.trim().parse().ok()).collect();
        let &[row, col, cluster] = numbers.as_slice() else {
            anyhow::bail!("{}: want row,col,cluster, got `{line}`", args.csv.display());
        };
        let (granule, tile) = (args.granule.clone(), TileId { row, col });
        Ok(Cluster { granule, tile, class: "given".into(), cluster, distance: 0.0 })
    };
    let rows = text.lines().map(row).collect::<anyhow::Result<Vec<_>>>()?;
    contract::write(&args.out, &rows, &Made::by("stage1-cluster"))?;
    Ok(())
}
