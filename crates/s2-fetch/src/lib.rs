//! Sentinel-2 scenes for an area: which granules (`plan`), which scene of each, fetched, proven and written as one Cloud Optimized GeoTIFF with
//! its provenance (`fetch`), the same from files that a person already has (`import`), and whether scenes agree in radiometry (`audit`).
//!
//! An area is a polygon, a rectangle, a named place of a boundary file, or a list of granules. The tiling is computed, every place is given to one
//! granule, and granules whose part others cover are given up. Only granules of ESA's own grid are named.
//!
//! The catalogue is a static one (a file, or on the web), a table of items (stac-geoparquet) or a search API; the dialects of
//! Planetary Computer, Earth Search, Copernicus Data Space and Google Earth Engine are understood; what a file holds is said by the catalogue, not
//! by the name it was asked for by. The scene is chosen by a printed rule, inside the area by footprint and classification, and may be locked.
//! Its files are fetched, held to the published length and hash, decoded block by block, and stacked
//! into one file, tile by tile: memory does not grow with the scene. The offset that newer processings add to reflectance is taken off, by a rule of each
//! provider, held to the numbers, and recorded; of several scenes before they are combined into a composite.
//!
//! Promises. Process killed, machine lost power, disk full: the old scene stays or the new one is whole; downloads lie beside it, hidden, and the
//! next run goes on where they stopped, if the server's entity tag still is the same. They go when the scene is written; the lock keeps every line of
//! every process. Bad input: one line that names it. Bad network: at most five tries a request and a file, waits as the server asks, an end in
//! bounded time with an exit code of its own. Hostile catalogue: no file, no private host, no more bytes than promised, no name of its own in a path.
//! TLS is always verified.
//!
//! Left out: resampling of 20 m and 60 m bands onto 10 m, ground beyond 84° N and 83.6° S.

mod area;
mod asset;
mod assign;
mod audit;
mod bands;
mod catalogue;
mod choose;
mod clock;
mod closer;
mod codes;
mod compose;
mod cost;
mod cover;
mod dark;
#[cfg(test)]
mod dialects;
mod fault;
mod fetch;
mod fewer;
mod find;
mod flags;
mod globe;
mod grid;
mod ground;
mod guard;
mod import;
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
mod suited;
mod summary;
mod tiling;
mod wire;

use stage::Ledger;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 failed; 2 wrong flags; 3 no scene fits the question; 4 the network or a server gave up, try later.";

/// Flags of the program.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// List the granules that cover an area, each place once, and say what fetching them costs
    #[command(after_help = EXIT_CODES)]
    Plan(plan::Plan),
    /// Fetch the best scene of a granule
    #[command(after_help = EXIT_CODES)]
    Fetch(fetch::Fetch),
    /// Make of files that you already have what fetch makes: a scene from a GeoTIFF, band files or a folder of them
    Import(import::Import),
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
        Command::Import(flags) => import::run(&flags),
        Command::Audit(flags) => audit::run(&flags),
    }
}
