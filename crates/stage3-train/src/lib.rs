//! The order of clusters to a score model (`train`), and the score of every tile (`score`).
//!
//! `train` learns from tiles, their clusters and the clusters' levels: the differentiable rank loss over all levels,
//! tied clusters sharing a sampler, plus the linear stitch loss (METHODS A6). By default the backbone is frozen and a
//! small ensemble of heads is trained, which a laptop does in a minute; `--train whole` trains the network itself.
//! `--recipe dev-measure` is the study's own way, `--recipe ridge` a regression of the ranks. Figures come from blocks that are held
//! out and, the honest ones for choosing settings, from clusters that are left out in turn. A score has the ensemble's deviation, a
//! conformal interval and a flag for ground unlike that of training, and is anchored so that runs can be compared.
//!
//! Killed: `--checkpoints` holds whole checkpoints, and the run goes on from the last one to the same bytes.

mod cache;
mod card;
mod compare;
mod course;
mod data;
mod draw;
mod evaluate;
mod flags;
mod head;
mod interval;
mod loose;
mod model;
mod near;
mod recipe;
mod report;
mod ridge;
mod scale;
mod score;
mod sight;
mod study;
mod train;
mod whole;
mod windows;

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
    Train(Box<flags::TrainArgs>),
    /// Score the tiles of a granule
    Score(score::ScoreArgs),
    /// Hold two scores of the same ground against each other
    Compare(compare::CompareArgs),
}

/// Reads tables and weights, trains or scores, writes.
///
/// # Errors
/// One line that names the file and what to do.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    match args.command {
        Command::Train(args) => train::run(&args),
        Command::Score(args) => score::run(&args),
        Command::Compare(args) => compare::run(&args),
    }
}
