//! Scores to maps, and a page about the run that made them.
//!
//! `map` brings the scores of scenes that see the same ground together, joins granules of any UTM zones on one grid without seams or gaps, and
//! writes a GeoTIFF (score, standard deviation, number of scenes, share unlike all that was learnt from), a paletted GeoTIFF and a style for GIS
//! programs, a PNG with a legend, and a report of the seams. Tables of `stage3-train score --stride-px` have a row for each cell of the stride, with the
//! score of the window around its middle, and are drawn cell by cell; where tiles of a table overlap, a place takes the mean of those over it.
//! `change` compares the maps of two dates. `published` turns a published list of scores into tables. `summary` reads the tables and
//! ledgers of an area and says in plain text what went in, what was left out, what was found and how far to trust it.

mod atlas;
pub mod card;
mod change;
pub mod judge;
pub mod layer;
pub mod offsets;
pub mod overlap;
pub mod page;
mod place;
mod published;
pub mod seams;
pub mod stitch;
mod summary;
mod support;

pub use atlas::{MapArgs, read_granules, write_granule};
pub use change::ChangeArgs;
pub use published::PublishedArgs;
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
    /// Compare two maps of the same ground at two dates
    Change(ChangeArgs),
    /// Turn a published list of tile scores into tables of scores, one a granule
    Published(PublishedArgs),
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
        Task::Change(args) => change::run(&args),
        Task::Published(args) => published::run(&args),
        Task::Summary(args) => summary::run(&args),
    }
}
