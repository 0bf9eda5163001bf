//! The map by county: tables, ranks, inequality, a web page.

use std::path::PathBuf;

/// Flags of region-report.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The map, as heatmap-stitch writes it
    #[arg(long, value_name = "TIF")]
    heatmap: PathBuf,
}

/// Opens the map.
///
/// # Errors
/// For a map that cannot be read.
pub fn run(args: Args) -> anyhow::Result<stage::Ledger> {
    raster::Source::open(&args.heatmap)?;
    Ok(stage::Ledger::of("zones", 0))
}
