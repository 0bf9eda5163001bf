//! Scores to maps, and a page about the run that made them.
//!
//! `map` fills each tile of the `scores` tables with its score on one grid and writes a GeoTIFF of score and standard
//! deviation, a paletted GeoTIFF for GIS programs, and a PNG with a legend. `summary` reads the tables and ledgers of
//! an area and says in plain text what went in, what was left out, what was found and how far to trust it.
//!
//! Left out: granules of two coordinate systems on one map, and offsets between scenes: where tiles overlap, the map
//! takes their mean and keeps their seams.

mod atlas;
pub mod page;
pub mod stitch;
mod summary;

pub use atlas::MapArgs;
pub use summary::SummaryArgs;

/// Flags of heatmap-stitch.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Draw scores as a georeferenced map, a paletted map and a picture
    Map(MapArgs),
    /// Say on one page what an area's run read, left out and found
    Summary(SummaryArgs),
}

/// Runs the task asked for.
///
/// # Errors
/// For input that cannot be read or does not fit together, and output that cannot be written.
pub fn run(args: Args) -> anyhow::Result<stage::Ledger> {
    match args.task {
        Task::Map(args) => atlas::run(&args),
        Task::Summary(args) => summary::run(&args),
    }
}
