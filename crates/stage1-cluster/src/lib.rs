//! Tiles to classes and clusters: what looks alike is grouped, so that a judge need not look at every tile.
//!
//! `tiles`: the class of a tile is the likeliest of its label; inside each class the frozen backbone's features,
//! whitened and at unit length, are clustered by k-means, K by the silhouette (METHODS A4).
//! `import`: a person's clusters, as folders of pictures, become the same tables.
//! Left out: training the features (DeepCluster) and the judge's work (`vlm-label`).

mod classes;
mod cluster;
mod import;
pub mod kmeans;
mod sheets;
pub mod silhouette;
mod sweep;

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
        Command::Import(args) => import::run(&args),
    }
}
