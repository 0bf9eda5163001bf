//! Votes, whole orders or judgements of two, to one partial order of clusters (POG).
//!
//! Every rater's answers become midranks, the ranks become a consensus that is robust to raters
//! who answer at random, the consensus becomes levels, and a bootstrap says how far to trust each
//! rank. Left out: asking the raters (`vlm-label`).
//!
//! - Ties of one rater: exact 1-D k-means into the fewest levels in which no two tied clusters
//!   differ by more than `--tie-score` points ([`ranks::from_scores`]).
//! - Consensus: [`welsch`], or, where pairs are among the evidence, [`bradley_terry`]; [`kemeny`] and others by `--method`
//!   ([`method::Method`]); `--rater-weight` to overrule.
//! - Levels: exact 1-D k-means of the consensus, `--levels` of them, or as many as the intervals
//!   tell apart ([`bootstrap::told_apart`]).
//! - `--lowest` clusters are not voted on: together they are one more level below all others.
//! - Missing scores: [`ballots`]. Whether the evidence can carry an order: [`health`]. Who makes it so: [`influence`].
//! - `pog-aggregate compare` holds the methods against planted orders: [`compare`].
//!
//! By failure class. A judge that fails: missing answers are fewer answers, never a number; the ranks of what is there are
//! stretched evenly over all clusters. Bad or hostile input (an unreadable table, a score outside 0 to 100, a question answered
//! twice, an order that is none, nothing to order): exit 1 with one line, nothing written. A killed process: every output is whole or not there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use contract::{Made, Metric, RaterRow};
use rand_chacha::ChaCha8Rng;
use stage::Ledger;

pub mod ballots;
pub mod bootstrap;
pub mod bradley_terry;
pub mod compare;
pub mod dot;
pub mod evidence;
pub mod exp;
pub mod group;
pub mod health;
pub mod influence;
pub mod kemeny;
pub mod kendall;
mod lanes;
pub mod method;
pub mod order;
pub mod pairs;
pub mod picture;
pub mod planted;
pub mod ranks;
pub mod tables;
mod tied;
pub mod welsch;

use ballots::{Ballots, PairsNeed};
use method::Method;
use order::WeakOrder;

/// Votes, whole orders or judgements of two, to one partial order of clusters
#[derive(clap::Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    aggregate: Aggregate,
}

#[derive(clap::Subcommand, Debug)]
enum Command {
    /// Hold the methods against planted orders of 22 clusters, with good, random and reversed raters
    Compare(compare::Args),
}

#[derive(clap::Args, Debug)]
struct Aggregate {
    #[command(flatten)]
    files: evidence::Files,
    /// Names of the raters of --orders, one a line (default: order-1, order-2, …)
    #[arg(long, value_name = "FILE", requires = "orders")]
    raters: Option<PathBuf>,
    /// A cluster that ranks lowest by rule and is not voted on; repeat for more
    #[arg(long, value_name = "CLUSTER")]
    lowest: Vec<u32>,
    /// How raters become a consensus (default: welsch; with --pairs bradley-terry)
    #[arg(long, visible_alias = "weights", value_enum)]
    method: Option<Method>,
    /// Multiply the weight of a rater by hand, as NAME=WEIGHT; repeat for more
    #[arg(long, value_name = "NAME=WEIGHT", value_parser = parse_weight)]
    rater_weight: Vec<(String, f64)>,
    /// Scores of one rater within this many points can tie
    #[arg(long, value_name = "POINTS", default_value_t = 10.0, value_parser = parse_points)]
    tie_score: f64,
    /// Levels among the clusters voted on (default: as many as the bootstrap tells apart)
    #[arg(long, value_name = "K")]
    levels: Option<usize>,
    /// Bootstrap replicates behind the intervals
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    replicates: u32,
    /// Seed of the bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the weight of every rater here (Parquet, table `raters`)
    #[arg(long, value_name = "FILE")]
    raters_out: Option<PathBuf>,
    /// Write here whether the evidence can carry an order: connected, rings, convergence (Parquet, table `metrics`)
    #[arg(long, value_name = "FILE")]
    health_out: Option<PathBuf>,
    /// Write the order here as text, such as 3=4>1
    #[arg(long, value_name = "FILE")]
    order_out: Option<PathBuf>,
    /// Write the order here as a graph for Graphviz
    #[arg(long, value_name = "FILE")]
    dot_out: Option<PathBuf>,
    /// Clusters of stage1-cluster, for the images of --picture-out (Parquet, table `clusters`)
    #[arg(long, value_name = "FILE", requires = "tiles", requires = "picture_out")]
    clusters: Option<PathBuf>,
    /// Tiles of a granule, for the images of --picture-out (Parquet, table `tiles`); repeat for more
    #[arg(long, value_name = "FILE", requires = "clusters")]
    tiles: Vec<PathBuf>,
    /// Draw the order here, with images of the clusters: SVG, or PNG by the name
    #[arg(long, value_name = "FILE")]
    picture_out: Option<PathBuf>,
    /// Write the partial order here (Parquet, table `pog`)
    #[arg(long, value_name = "FILE", required = true)]
    out: Option<PathBuf>,
}

/// Reads the evidence, aggregates it, and writes the order, its intervals and the raters' weights; or compares the methods.
///
/// # Errors
/// Unreadable or inconsistent evidence, more levels than distinct ranks, unwritable outputs.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    match args.command {
        Some(Command::Compare(args)) => compare::run(&args),
        None => aggregate(&args.aggregate),
    }
}

fn aggregate(args: &Aggregate) -> anyhow::Result<Ledger> {
    let method =
        args.method.unwrap_or(if args.files.has_pairs() { Method::BradleyTerry } else { Method::Welsch });
    let lowest: BTreeSet<u32> = args.lowest.iter().copied().collect();
    let need = if method.takes_ranks() { PairsNeed::Half } else { PairsNeed::One };
    let given = args.files.read(args.raters.as_deref())?;
    let (ballots, ledger) = args.files.ballots(&given, &lowest, args.tie_score, need)?;
    let prior = prior_weights(&ballots, &args.rater_weight)?;
    let evidence = ballots.evidence(None, true)?;
    let consensus = method.consensus(&evidence, &prior)?;
    tied::refuse(&ballots, &consensus.ranks, &lowest).with_context(|| args.files.names())?;
    let replicates = resampled(&ballots, &prior, method, args);
    let levels = match args.levels {
        Some(count) => group::Groupings::new(&consensus.ranks, count)?.levels(count).context("--levels")?,
        None => bootstrap::told_apart(&consensus.ranks, &replicates)?,
    };
    let influence = influence::leave_one_out(&evidence, &prior, method, &consensus, &levels);
    let rows = tables::pog_rows(&ballots.clusters, &consensus.ranks, &levels, &replicates, &lowest)?;
    let raters = tables::rater_rows(&ballots, &evidence.ranks, &consensus, &influence);
    let health = health::checks(&ballots, &evidence, &consensus);
    let order = tables::order_of(&rows)?;
    report(&ballots, &raters, &health, &order);
    tied::warn(&order, &lowest);

    let made = made(args, method)?;
    if let Some(path) = &args.raters_out {
        contract::write(path, &raters, &made).context("writing the raters")?;
    }
    if let Some(path) = &args.health_out {
        contract::write(path, &health, &made).context("writing the health checks")?;
    }
    if let Some(path) = &args.order_out {
        contract::file::write(path, format!("{order}\n").as_bytes()).context("writing the order")?;
    }
    if let Some(path) = &args.dot_out {
        contract::file::write(path, dot::graph(&rows).as_bytes()).context("writing the graph")?;
    }
    if let Some(path) = &args.picture_out {
        picture::write(path, &rows, args.clusters.as_deref(), &args.tiles).context("drawing the order")?;
    }
    let out = args.out.as_ref().context("--out: want a file, got none")?;
    contract::write(out, &rows, &made).context("writing the partial order")?;
    Ok(ledger)
}

fn prior_weights(ballots: &Ballots, given: &[(String, f64)]) -> anyhow::Result<Vec<f64>> {
    let mut prior = vec![1.0; ballots.raters.len()];
    for (name, weight) in given {
        let rater = ballots.raters.iter().position(|rater| &rater.name == name);
        let rater =
            rater.with_context(|| format!("--rater-weight {name}: no rater of this name is heard"))?;
        prior[rater] = *weight;
    }
    ensure!(prior.iter().sum::<f64>() > 0.0, "--rater-weight: want at least one rater above 0, got none");
    Ok(prior)
}

fn resampled(ballots: &Ballots, prior: &[f64], method: Method, args: &Aggregate) -> Vec<Vec<f64>> {
    let replicate = |rng: &mut ChaCha8Rng| {
        let draw = ballots.draw(rng);
        let evidence = ballots.evidence(Some(&draw), method.takes_ranks()).ok()?;
        // raters that were not drawn, or without a score of the drawn images, add nothing
        let weight = |rater: usize| {
            let said =
                evidence.judged_pairs(rater) || evidence.ranks.row(rater).iter().any(|rank| !rank.is_nan());
            if said { draw.times[rater] * prior[rater] } else { 0.0 }
        };
        let weights: Vec<f64> = (0..prior.len()).map(weight).collect();
        let heard = weights.iter().sum::<f64>() > 0.0;
        heard.then(|| method.consensus(&evidence, &weights).ok()).flatten().map(|consensus| consensus.ranks)
    };
    bootstrap::replicates(args.replicates as usize, args.seed, |rng| {
        replicate(rng).unwrap_or_else(|| vec![f64::NAN; ballots.clusters.len()])
    })
}

/// Raters are named up to this many; the table has them all.
const RATERS_SAID: usize = 40;

fn report(ballots: &Ballots, raters: &[RaterRow], health: &[Metric], order: &WeakOrder) {
    for rater in raters.iter().take(RATERS_SAID) {
        let tau = rater.tau.map_or("undefined".to_owned(), |tau| format!("{tau:.2}"));
        let shift = rater.shift_ranks.map_or("undefined".to_owned(), |shift| format!("{shift:.2} ranks"));
        let weight = rater.weight;
        tracing::info!(
            "rater {}: weight {weight:.3}, tau to the consensus {tau}, moves it by {shift}",
            rater.rater
        );
    }
    for rater in ballots.left_out.iter().take(RATERS_SAID) {
        tracing::warn!("rater {} is left out: it ranks fewer than half of the clusters", rater.name);
    }
    if ballots.raters.len() == 1 {
        tracing::warn!("one rater: the intervals show the spread of images only");
    }
    let value = |name: &str| health.iter().find(|check| check.name == name).and_then(|check| check.value);
    if value("converged") == Some(0.0) {
        tracing::warn!("the consensus still moved after {} steps", value("steps").unwrap_or_default());
    }
    if let Some(parts) = value("components").filter(|&parts| parts > 1.0) {
        tracing::warn!(
            "no comparison connects {parts} groups of clusters: how they stand to each other is a guess"
        );
    }
    if let Some(rings) = value("ring_share") {
        tracing::info!("of three clusters that a majority orders two by two, {rings:.4} go in a ring");
    }
    tracing::info!("order of {} levels: {order}", order.levels().len());
}

fn made(args: &Aggregate, method: Method) -> anyhow::Result<Made> {
    let made = Made::by("pog-aggregate")
        .flag("lowest", &args.lowest)
        .flag("method", method.name())
        .flag("rater-weight", &args.rater_weight)
        .flag("tie-score", args.tie_score)
        .flag("levels", args.levels)
        .flag("replicates", args.replicates)
        .seed(args.seed);
    let made = args.files.sign(made)?;
    match &args.raters {
        Some(names) => Ok(made.input(names)?),
        None => Ok(made),
    }
}

fn parse_weight(text: &str) -> Result<(String, f64), String> {
    let parsed =
        text.rsplit_once('=').and_then(|(name, weight)| Some((name.to_owned(), weight.parse().ok()?)));
    let fits = |(name, weight): &(String, f64)| !name.is_empty() && weight.is_finite() && *weight >= 0.0;
    parsed.filter(fits).ok_or_else(|| "want NAME=WEIGHT with a weight of 0 or more".to_owned())
}

fn parse_points(text: &str) -> Result<f64, String> {
    let points: Option<f64> = text.parse().ok();
    points
        .filter(|points| (0.0..=100.0).contains(points))
        .ok_or_else(|| "want points from 0 to 100".to_owned())
}
