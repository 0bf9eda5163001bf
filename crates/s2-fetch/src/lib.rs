//! A granule's best Sentinel-2 scene from a STAC catalogue, as one Cloud Optimized GeoTIFF with its provenance.
//!
//! The catalogue is a static one (a file, or on the web) or a search API; Planetary Computer's and Earth Search's dialects are understood.
//! The scene is chosen by a printed rule, its files are fetched, held to the published length and hash, decoded block by block, and stacked
//! into one file, tile by tile: memory does not grow with the scene. The offset that newer processings add to reflectance is taken off, by a rule of each
//! provider, held to the numbers, and recorded; of several scenes before they are combined into a composite.
//!
//! Promises. Process killed, machine lost power, disk full: the old scene stays or the new one is whole; downloads lie beside it, hidden, and go.
//! Bad input: one line that names it. Bad network: at most five tries a file, waits as the server asks. Hostile catalogue: no file, no private host,
//! no more bytes than promised, no name of its own in a path.
//!
//! Left out: resumed downloads, resampling of 20 m and 60 m bands onto 10 m.

mod area;
mod assign;
mod audit;
mod catalogue;
mod choose;
mod closer;
mod compose;
mod cost;
mod cover;
mod dark;
mod fault;
mod fetch;
mod find;
mod flags;
mod guard;
mod items;
mod lock;
mod output;
mod paint;
mod plan;
mod proof;
mod question;
mod radiometry;
mod scl;
mod sign;
mod stac;
mod stack;
mod summary;
mod tiling;
mod wire;

use stage::Ledger;

/// Flags of the program.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the granules that cover an area, each place once, and say what fetching them costs
    Plan(plan::Plan),
    /// Fetch the best scene of a granule
    Fetch(fetch::Fetch),
    /// Find scenes, or parts of one, that carry the offset of newer processings among those that do not, by their dark pixels
    Audit(audit::Audit),
}

/// Runs the command.
///
/// # Errors
/// If the granule has no scene, a file cannot be fetched or proven, or an output cannot be written.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    match args.command {
        Command::Plan(flags) => plan::run(&flags),
        Command::Fetch(flags) => fetch::run(&flags),
        Command::Audit(flags) => audit::run(&flags),
    }
}
