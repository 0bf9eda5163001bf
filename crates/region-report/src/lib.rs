//! The map by county: tables, ranks, inequality, a web page.
//!
//! `report` takes zones (GeoJSON, GeoPackage, FlatGeobuf, shapefile; GCJ-02 on request) and a heat map, and says for each zone what its mean score
//! is, how much of it the map covers, how sure that is, and how sure its place among the others is; for all zones how unequal they are,
//! how a budget that serves the lowest first would err, how the scores agree with night light and official statistics, and which zones changed
//! between two dates by more than chance.
//! It writes a table, copies for spreadsheets and GIS programs, and a page that opens without a network.
//! `zonal` gives exact means of any raster over zones, and nothing else.
//!
//! What survives: every file is written whole; a killed run leaves old files or new ones, and the next makes all again.
//!
//! Left out: borders. Zones are the user's, and whether they are right, and whose, is not judged here.

pub mod agreement;
pub mod bootstrap;
mod change;
pub mod codes;
pub mod coverage;
mod export;
mod gcj02;
mod ground;
pub mod inequality;
mod layers;
mod means;
mod note;
pub mod numerals;
pub mod official;
mod packed;
mod page;
mod population;
mod report;
mod story;
mod table;
pub mod targeting;
pub mod zonal;
pub mod zones;

pub use means::ZonalArgs;
pub use report::ReportArgs;

/// Flags of region-report.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(clap::Subcommand, Debug)]
enum Task {
    /// Make the tables and the page of a map by zone
    Report(Box<ReportArgs>),
    /// Give exact means of a raster over zones
    Zonal(ZonalArgs),
}

/// Runs the task asked for.
///
/// # Errors
/// For input that cannot be read or does not fit together, and output that cannot be written.
pub fn run(args: Args) -> anyhow::Result<stage::Ledger> {
    match args.task {
        Task::Report(args) => report::run(&args),
        Task::Zonal(args) => means::run(&args),
    }
}
