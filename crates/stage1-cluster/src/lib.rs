//! Tiles to classes and clusters: what looks alike is grouped, so that a judge need not look at every tile.
//!
//! `tiles`: the class of a tile is the likeliest of its label; inside each class the backbone's features, whitened and at unit
//! length, are clustered by k-means, K by the silhouette among those that are stable (METHODS A4).
//! `deepcluster`: a backbone learns features of its own from tiles without labels, for `tiles` and `stage3-train`.
//! `train-classifier` and `classify`: labels of some tiles, by a judge or by people, become the class of every tile.
//! `audit`: how well shortcuts (position, granule, colour) tell the cluster of a tile.
//! `import`: a person's clusters, as folders of pictures, become the same tables.
//! Left out: the judge's work (`vlm-label`).

mod audit;
mod check;
mod classes;
mod classifier;
mod cluster;
mod deep;
mod deepcluster;
mod import;
pub mod kmeans;
mod look;
mod model;
mod network;
mod pictures;
mod poor;
mod radiometry;
mod report;
mod residual;
mod rows;
mod seeding;
mod sheets;
pub mod silhouette;
mod stability;
mod sweep;
mod teach;
mod tell;

use clap::{Args as ClapArgs, Subcommand};
use stage::Ledger;

/// Tiles to classes and clusters
#[derive(ClapArgs, Debug)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Cluster the tiles of granules inside each class
    Tiles(cluster::ClusterArgs),
    /// Train a backbone on tiles without labels (DeepCluster)
    Deepcluster(deep::DeepArgs),
    /// Train a classifier of tiles on soft labels
    TrainClassifier(teach::TeachArgs),
    /// Tell the class of every tile by a trained classifier
    Classify(tell::TellArgs),
    /// Tell how well position, granule and colour tell the cluster of a tile
    Audit(check::AuditArgs),
    /// Bring a person's clusters, folders of pictures, into the tables of tiles and clusters
    Import(import::ImportArgs),
}

/// Reads tiles and labels or folders, clusters, writes.
///
/// # Errors
/// One line that names the file and what to do.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    match args.command {
        Command::Tiles(args) => cluster::run(&args),
        Command::Deepcluster(args) => deep::run(&args),
        Command::TrainClassifier(args) => teach::run(&args),
        Command::Classify(args) => tell::run(&args),
        Command::Audit(args) => check::run(&args),
        Command::Import(args) => import::run(&args),
    }
}
