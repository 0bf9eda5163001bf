//! The evidence as files: votes, orders, pairs, and what became of each line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use contract::Made;
use stage::Ledger;

use crate::ballots::{Ballots, Given, PairsNeed};
use crate::order::WeakOrder;

/// Where the evidence is.
#[derive(clap::Args, Debug)]
#[group(required = true, multiple = true)]
pub struct Files {
    /// Votes of vlm-label (Parquet, table `votes`)
    #[arg(long, value_name = "FILE")]
    votes: Option<PathBuf>,
    /// Orders as text, one rater a line, such as 3=4>1
    #[arg(long, value_name = "FILE")]
    orders: Option<PathBuf>,
    /// Judgements of two images of vlm-label (Parquet, table `pairs`)
    #[arg(long, value_name = "FILE")]
    pairs: Option<PathBuf>,
}

impl Files {
    /// Whether judgements of two are among the evidence.
    pub fn has_pairs(&self) -> bool {
        self.pairs.is_some()
    }

    /// Records the files in what is made of them.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn sign(&self, mut made: Made) -> anyhow::Result<Made> {
        for path in [&self.votes, &self.orders, &self.pairs].into_iter().flatten() {
            made = made.input(path)?;
        }
        Ok(made)
    }

    /// Reads all there is; `names` are the raters of the orders.
    ///
    /// # Errors
    /// A file that cannot be read, or is not of its form.
    pub fn read(&self, names: Option<&Path>) -> anyhow::Result<Given> {
        let mut given = Given::default();
        if let Some(path) = &self.votes {
            given.votes = contract::read(path).context("reading the votes")?;
        }
        if let Some(path) = &self.orders {
            given.orders = read_orders(path, names)?;
        }
        if let Some(path) = &self.pairs {
            given.pairs = contract::read(path).context("reading the pairs")?;
        }
        Ok(given)
    }

    /// The raters' ballots, and the ledger of what they are made of.
    ///
    /// # Errors
    /// Evidence that contradicts itself or ranks nothing.
    pub fn ballots(
        &self,
        given: &Given,
        lowest: &BTreeSet<u32>,
        tie_score: f64,
        need: PairsNeed,
    ) -> anyhow::Result<(Ballots, Ledger)> {
        let ballots = Ballots::new(given, lowest, tie_score, need).with_context(|| self.names())?;
        let ledger = ledger(given, &ballots, lowest);
        Ok((ballots, ledger))
    }

    /// The files, for a message.
    pub fn names(&self) -> String {
        let paths = [&self.votes, &self.orders, &self.pairs].into_iter().flatten();
        paths.map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    }
}

fn ledger(given: &Given, ballots: &Ballots, lowest: &BTreeSet<u32>) -> Ledger {
    let left_out: BTreeSet<&str> = ballots.left_out.iter().map(|rater| rater.name.as_str()).collect();
    let unit = match (given.votes.is_empty(), given.orders.is_empty(), given.pairs.is_empty()) {
        (_, true, true) => "votes",
        (true, false, true) => "orders",
        (true, true, false) => "pairs",
        _ => "votes, orders and pairs",
    };
    let mut ledger = Ledger::of(unit, given.votes.len() + given.orders.len() + given.pairs.len());
    let mut count = |is_lowest: bool, missing: Option<&str>, rater: &str, kind: &str, thin: &str| {
        if is_lowest {
            ledger.skip("cluster is lowest by rule");
        } else if let Some(missing) = missing {
            ledger.skip(missing);
        } else if left_out.contains(rater) || left_out.contains(format!("{rater} ({kind})").as_str()) {
            ledger.skip(thin);
        } else {
            ledger.ok(1);
        }
    };
    let thin = "rater scored fewer than half of the clusters";
    for vote in &given.votes {
        let missing = vote.score.is_none().then_some("missing score");
        count(lowest.contains(&vote.cluster), missing, &vote.rater, "scores", thin);
    }
    for (name, _) in &given.orders {
        count(false, None, name, "order", "ranks fewer than half of the clusters");
    }
    for pair in &given.pairs {
        let is_lowest = lowest.contains(&pair.left_cluster) || lowest.contains(&pair.right_cluster);
        let missing = pair.winner.is_none().then_some("missing winner");
        count(is_lowest, missing, &pair.rater, "pairs", "rater compared fewer than half of the clusters");
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
