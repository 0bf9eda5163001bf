//! `heatmap-stitch summary`: reads what an area's run left behind and prints one page about it.
//!
//! The page holds seconds from the ledgers, so it is the one output here that differs between two equal runs.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use contract::{Cluster, Metric, PogRow, RaterRow, Record, Scene, Score, TileReader};

use crate::judge::Judge;
use crate::page::{Findings, page};

/// Flags of `heatmap-stitch summary`. What is not given is not on the page.
#[derive(clap::Args, Debug)]
pub struct SummaryArgs {
    /// First line of the page
    #[arg(long)]
    title: String,
    /// A table of scenes; repeat for more granules
    #[arg(long, value_name = "PARQUET")]
    scenes: Vec<PathBuf>,
    /// A table of tiles; repeat for more granules
    #[arg(long, value_name = "PARQUET")]
    tiles: Vec<PathBuf>,
    /// The table of classes and clusters
    #[arg(long, value_name = "PARQUET")]
    clusters: Option<PathBuf>,
    /// The partial order of the clusters
    #[arg(long, value_name = "PARQUET")]
    pog: Option<PathBuf>,
    /// The table of raters
    #[arg(long, value_name = "PARQUET")]
    raters: Option<PathBuf>,
    /// A table of scores; repeat for more granules
    #[arg(long, value_name = "PARQUET")]
    scores: Vec<PathBuf>,
    /// A table of metrics of any stage; repeat for more
    #[arg(long, value_name = "PARQUET")]
    metrics: Vec<PathBuf>,
    /// A ledger that a stage wrote with --ledger; repeat for more
    #[arg(long, value_name = "JSON")]
    stage_ledger: Vec<PathBuf>,
    /// The card of the offline judge behind the order, the .json beside its heads
    #[arg(long, value_name = "JSON")]
    judge: Option<PathBuf>,
    /// A file that the page tells its reader to look at; repeat for more
    #[arg(long, value_name = "FILE")]
    see: Vec<String>,
    /// Write the page to this file too
    #[arg(long, value_name = "TXT")]
    out: Option<PathBuf>,
}

/// Prints the page and, if asked, writes it.
///
/// # Errors
/// For a table or ledger that cannot be read, and a page that cannot be written.
pub fn run(args: &SummaryArgs) -> anyhow::Result<stage::Ledger> {
    let text = page(&findings(args)?);
    if let Some(path) = &args.out {
        contract::file::write(path, text.as_bytes())?;
    }
    std::io::stdout().write_all(text.as_bytes()).context("printing the page")?;
    Ok(stage::Ledger::of("tables", 0))
}

fn findings(args: &SummaryArgs) -> anyhow::Result<Findings> {
    let metrics = args.metrics.iter().map(|path| Ok((name(path), contract::read::<Metric>(path)?)));
    let (tiles, tiles_skipped) = count_tiles(&args.tiles)?;
    Ok(Findings {
        title: args.title.clone(),
        scenes: all::<Scene>(&args.scenes)?,
        tiles,
        tiles_skipped,
        clusters: all::<Cluster>(args.clusters.as_slice())?,
        order: all::<PogRow>(args.pog.as_slice())?,
        raters: all::<RaterRow>(args.raters.as_slice())?,
        scores: all::<Score>(&args.scores)?,
        metrics: metrics.collect::<anyhow::Result<_>>()?,
        ledgers: args
            .stage_ledger
            .iter()
            .map(|path| stage::Report::read(path))
            .collect::<anyhow::Result<_>>()?,
        judge: args.judge.as_deref().map(|card| Judge::read(card, &args.stage_ledger)).transpose()?,
        see: args.see.clone(),
    })
}

fn all<R: Record>(paths: &[PathBuf]) -> anyhow::Result<Vec<R>> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(contract::read::<R>(path)?);
    }
    Ok(rows)
}

/// Number of tiles, and those left out by reason.
fn count_tiles(paths: &[PathBuf]) -> anyhow::Result<(usize, BTreeMap<String, usize>)> {
    let (mut n, mut skipped) = (0, BTreeMap::new());
    for path in paths {
        let tiles = TileReader::open(path)?.index()?;
        n += tiles.len();
        for reason in tiles.into_iter().filter_map(|tile| tile.skipped) {
            *skipped.entry(reason).or_default() += 1;
        }
    }
    Ok((n, skipped))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
