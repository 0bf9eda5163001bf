//! Votes, or whole orders, to one partial order of clusters (POG).
//!
//! Every rater's answers become midranks, the ranks become a consensus that is robust to raters
//! who answer at random, the consensus becomes levels, and a bootstrap says how far to trust each
//! rank. Left out: asking the raters (`vlm-label`) and pairwise questions (Bradley-Terry).
//!
//! - Ties of one rater: exact 1-D k-means into the fewest levels in which no two tied clusters
//!   differ by more than `--tie-score` points ([`ranks::from_scores`]).
//! - Consensus: [`welsch`]; `--weights mean|study` for comparison, `--rater-weight` to overrule.
//! - Levels: exact 1-D k-means of the consensus, `--levels` of them, or as many as the intervals
//!   tell apart ([`bootstrap::told_apart`]).
//! - `--lowest` clusters are not voted on: together they are one more level below all others.
//! - Missing scores: [`ballots`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use contract::{Made, PogRow, RaterRow, Vote};
use rand_chacha::ChaCha8Rng;
use stage::Ledger;

pub mod ballots;
pub mod bootstrap;
pub mod group;
pub mod kendall;
pub mod order;
pub mod ranks;
pub mod welsch;

use ballots::Ballots;
use order::WeakOrder;
use welsch::{Consensus, Rule};

/// Votes, or whole orders, to one partial order of clusters
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    evidence: Evidence,
    /// Names of the raters of --orders, one a line (default: order-1, order-2, …)
    #[arg(long, value_name = "FILE", requires = "orders")]
    raters: Option<PathBuf>,
    /// A cluster that ranks lowest by rule and is not voted on; repeat for more
    #[arg(long, value_name = "CLUSTER")]
    lowest: Vec<u32>,
    /// How raters are weighted; `study` favours outliers and is for comparison
    #[arg(long, value_enum, default_value = "welsch")]
    weights: Weights,
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
    /// Write the order here as text, such as 3=4>1
    #[arg(long, value_name = "FILE")]
    order_out: Option<PathBuf>,
    /// Write the partial order here (Parquet, table `pog`)
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

#[derive(clap::Args, Debug)]
#[group(required = true, multiple = false)]
struct Evidence {
    /// Votes of vlm-label (Parquet, table `votes`)
    #[arg(long, value_name = "FILE")]
    votes: Option<PathBuf>,
    /// Orders as text, one rater a line, such as 3=4>1
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum, PartialEq)]
enum Weights {
    Welsch,
    Mean,
    Study,
}

impl Weights {
    fn rule(self) -> Rule {
        match self {
            Weights::Welsch => Rule::Welsch,
            Weights::Mean => Rule::Mean,
            Weights::Study => Rule::Study,
        }
    }
}

/// Reads the evidence, aggregates it, and writes the order, its intervals and the raters' weights.
///
/// # Errors
/// Unreadable or inconsistent evidence, more levels than distinct ranks, unwritable outputs.
pub fn run(args: Args) -> anyhow::Result<Ledger> {
    let lowest: BTreeSet<u32> = args.lowest.iter().copied().collect();
    let (ballots, ledger) = read_ballots(&args, &lowest)?;
    let prior = prior_weights(&ballots, &args.rater_weight)?;
    let ranks = ballots.ranks()?;
    let consensus = welsch::aggregate(&ranks, &prior, args.weights.rule());
    if !consensus.converged {
        tracing::warn!("the consensus still moved after {} steps", consensus.steps);
    }
    let replicates = resampled(&ballots, &prior, &args);
    let levels = match args.levels {
        Some(count) => group::Groupings::new(&consensus.ranks, count)?.levels(count).context("--levels")?,
        None => bootstrap::told_apart(&consensus.ranks, &replicates)?,
    };
    let rows = pog_rows(&ballots.clusters, &consensus.ranks, &levels, &replicates, &lowest)?;
    let raters = rater_rows(&ballots, &consensus);
    let order = order_of(&rows)?;
    report(&ballots, &ranks, &consensus, &order);

    let made = made(&args)?;
    if let Some(path) = &args.raters_out {
        contract::write(path, &raters, &made).context("writing the raters")?;
    }
    if let Some(path) = &args.order_out {
        contract::file::write(path, format!("{order}\n").as_bytes()).context("writing the order")?;
    }
    contract::write(&args.out, &rows, &made).context("writing the partial order")?;
    Ok(ledger)
}

fn read_ballots(args: &Args, lowest: &BTreeSet<u32>) -> anyhow::Result<(Ballots, Ledger)> {
    match (&args.evidence.votes, &args.evidence.orders) {
        (Some(path), None) => {
            let votes: Vec<Vote> = contract::read(path).context("reading the votes")?;
            let ballots = Ballots::from_votes(&votes, lowest, args.tie_score)
                .with_context(|| format!("{}", path.display()))?;
            let ledger = vote_ledger(&votes, &ballots, lowest);
            Ok((ballots, ledger))
        }
        (None, Some(path)) => {
            let orders = read_orders(path, args.raters.as_deref())?;
            let mut ledger = Ledger::of("orders", orders.len());
            let ballots =
                Ballots::from_orders(orders, lowest).with_context(|| format!("{}", path.display()))?;
            ledger.ok(ballots.raters.len());
            ballots.left_out.iter().for_each(|_| ledger.skip("ranks fewer than half of the clusters"));
            Ok((ballots, ledger))
        }
        _ => bail!("want either --votes or --orders"),
    }
}

fn vote_ledger(votes: &[Vote], ballots: &Ballots, lowest: &BTreeSet<u32>) -> Ledger {
    let left_out: BTreeSet<&str> = ballots.left_out.iter().map(|rater| rater.name.as_str()).collect();
    let mut ledger = Ledger::of("votes", votes.len());
    for vote in votes {
        if lowest.contains(&vote.cluster) {
            ledger.skip("cluster is lowest by rule");
        } else if vote.score.is_none() {
            ledger.skip("missing score");
        } else if left_out.contains(vote.rater.as_str()) {
            ledger.skip("rater scored fewer than half of the clusters");
        } else {
            ledger.ok(1);
        }
    }
    ledger
}

fn read_orders(path: &Path, names: Option<&Path>) -> anyhow::Result<Vec<(String, WeakOrder)>> {
    let lines = read_lines(path)?;
    let names = match names {
        Some(file) => {
            let names: Vec<String> = read_lines(file)?.into_iter().map(|(_, name)| name).collect();
            let distinct: BTreeSet<&String> = names.iter().collect();
            let found = distinct.len();
            ensure!(
                names.len() == lines.len() && found == names.len(),
                "{}: want one distinct name an order, {} of them, got {found} distinct in {} lines",
                file.display(),
                lines.len(),
                names.len()
            );
            names
        }
        None => (1..=lines.len()).map(|line| format!("order-{line}")).collect(),
    };
    let parse = |((number, line), name): ((usize, String), String)| {
        let order = line.parse().with_context(|| format!("{}: line {number}", path.display()))?;
        Ok((name, order))
    };
    lines.into_iter().zip(names).map(parse).collect()
}

/// Lines that are not blank, trimmed, with their numbers.
fn read_lines(path: &Path) -> anyhow::Result<Vec<(usize, String)>> {
    let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
    let numbered = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim().to_owned()));
    Ok(numbered.filter(|(_, line)| !line.is_empty()).collect())
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

fn resampled(ballots: &Ballots, prior: &[f64], args: &Args) -> Vec<Vec<f64>> {
    let counts = ballots.image_counts().unwrap_or_default();
    bootstrap::replicates(args.replicates as usize, args.seed, |rng: &mut ChaCha8Rng| {
        let drawn = bootstrap::resample(rng, ballots.raters.len());
        let images: Vec<Vec<usize>> = counts.iter().map(|&count| bootstrap::resample(rng, count)).collect();
        // raters of weight 0, or without a score of the drawn images, add nothing
        let heard: Vec<usize> = drawn.into_iter().filter(|&rater| prior[rater] > 0.0).collect();
        one_replicate(ballots, &heard, &images, prior, args.weights.rule())
            .unwrap_or_else(|| vec![f64::NAN; ballots.clusters.len()])
    })
}

fn one_replicate(
    ballots: &Ballots,
    raters: &[usize],
    images: &[Vec<usize>],
    prior: &[f64],
    rule: Rule,
) -> Option<Vec<f64>> {
    let (mut ranks, mut weights) = (ranks::RankMatrix::new(ballots.clusters.len()), Vec::new());
    for &rater in raters {
        let one = ballots.ranks_of(&[rater], images).ok()?;
        if one.raters() == 1 {
            ranks.push(one.row(0));
            weights.push(prior[rater]);
        }
    }
    (ranks.raters() > 0).then(|| welsch::aggregate(&ranks, &weights, rule).ranks)
}

fn pog_rows(
    clusters: &[u32],
    consensus: &[f64],
    levels: &[usize],
    replicates: &[Vec<f64>],
    lowest: &BTreeSet<u32>,
) -> anyhow::Result<Vec<PogRow>> {
    let mut rows = Vec::new();
    for (item, &cluster) in clusters.iter().enumerate() {
        let (rank_low, rank_high) = bootstrap::interval(replicates, &[item]).with_context(|| {
            format!("cluster {cluster} has no rank in any replicate; take more --replicates")
        })?;
        let level = levels[item] as u32 + 1;
        rows.push(PogRow { cluster, rank: consensus[item], rank_low, rank_high, level });
    }
    let rank = clusters.len() as f64 + (lowest.len() as f64 + 1.0) / 2.0;
    let level = rows.iter().map(|row| row.level).max().unwrap_or(0) + 1;
    rows.extend(lowest.iter().map(|&cluster| PogRow {
        cluster,
        rank,
        rank_low: rank,
        rank_high: rank,
        level,
    }));
    rows.sort_unstable_by_key(|row| row.cluster);
    Ok(rows)
}

fn order_of(rows: &[PogRow]) -> anyhow::Result<WeakOrder> {
    let count = rows.iter().map(|row| row.level as usize).max().unwrap_or(0);
    let mut levels = vec![Vec::new(); count];
    rows.iter().for_each(|row| levels[row.level as usize - 1].push(row.cluster));
    Ok(WeakOrder::new(levels)?)
}

fn rater_rows(ballots: &Ballots, consensus: &Consensus) -> Vec<RaterRow> {
    let row = |(index, rater): (usize, &ballots::Rater)| RaterRow {
        rater: rater.name.clone(),
        weight: consensus.weights[index],
        distance: consensus.distances[index],
        n_votes: rater.n_votes,
        n_missing: rater.n_missing,
    };
    ballots.raters.iter().enumerate().map(row).collect()
}

fn report(ballots: &Ballots, ranks: &ranks::RankMatrix, consensus: &Consensus, order: &WeakOrder) {
    for (index, rater) in ballots.raters.iter().enumerate() {
        let row = ranks.row(index);
        let ranked: Vec<usize> = (0..row.len()).filter(|&item| !row[item].is_nan()).collect();
        let pick = |values: &[f64]| -> Vec<f64> { ranked.iter().map(|&item| values[item]).collect() };
        let tau = kendall::tau_b(&pick(row), &pick(&consensus.ranks));
        let tau = tau.map_or("undefined".to_owned(), |tau| format!("{tau:.2}"));
        let weight = consensus.weights[index];
        tracing::info!("rater {}: weight {weight:.3}, tau to the consensus {tau}", rater.name);
    }
    for rater in &ballots.left_out {
        tracing::warn!("rater {} is left out: it ranks fewer than half of the clusters", rater.name);
    }
    if ballots.raters.len() == 1 {
        tracing::warn!("one rater: the intervals show the spread of images only");
    }
    tracing::info!("order of {} levels: {order}", order.levels().len());
}

fn made(args: &Args) -> anyhow::Result<Made> {
    let mut made = Made::by("pog-aggregate")
        .flag("lowest", &args.lowest)
        .flag("weights", format!("{:?}", args.weights).to_lowercase())
        .flag("rater-weight", &args.rater_weight)
        .flag("tie-score", args.tie_score)
        .flag("levels", args.levels)
        .flag("replicates", args.replicates)
        .seed(args.seed);
    for path in [&args.evidence.votes, &args.evidence.orders, &args.raters].into_iter().flatten() {
        made = made.input(path)?;
    }
    Ok(made)
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
