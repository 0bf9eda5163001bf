//! The order of clusters to a score model (`train`), and the score of every tile (`score`).
//!
//! `train` learns from tiles, their clusters and the clusters' levels: the differentiable rank loss over all levels,
//! tied clusters sharing a sampler, plus the linear stitch loss (METHODS A6). By default the backbone is frozen and a
//! small ensemble of heads is trained, which a laptop does in a minute; `--train whole` trains the network itself.
//! Left out: conformal intervals, out-of-distribution flags, and the study's own recipe.
//!
//! Killed: `--checkpoints` holds whole checkpoints, and the run goes on from the last one to the same bytes.

mod card;
mod data;
mod draw;
mod evaluate;
mod head;
mod score;
mod train;
mod whole;

use clap::{Args as ClapArgs, Subcommand};
use stage::Ledger;

/// The order to a score model, and a score a tile
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Train a score model from tiles, clusters and their order
    Train(train::TrainArgs),
    /// Score the tiles of a granule
    Score(score::ScoreArgs),
}

/// Reads tables and weights, trains or scores, writes.
///
/// # Errors
/// One line that names the file and what to do.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    match args.command {
        Command::Train(args) => train::run(&args),
        Command::Score(args) => score::run(&args),
    }
}
