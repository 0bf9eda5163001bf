//! One page of plain text about a run, at most 80 columns wide; no files, no flags.

mod found;
mod text;

use std::collections::BTreeMap;

use contract::{Cluster, Metric, PogRow, RaterRow, Scene, Score};

use crate::judge::Judge;
use text::{count, indented, number, share};

/// Columns of the page.
pub const WIDTH: usize = 80;
/// Raters, and rows of one metrics file, that are shown.
const ROWS_SHOWN: usize = 16;

/// What a run read, left out and found; an empty field is not on the page.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// First line.
    pub title: String,
    /// Candidate scenes of all granules.
    pub scenes: Vec<Scene>,
    /// Number of tiles cut.
    pub tiles: usize,
    /// Tiles left out when cutting, by reason.
    pub tiles_skipped: BTreeMap<String, usize>,
    /// Class and cluster of the tiles.
    pub clusters: Vec<Cluster>,
    /// The order of the clusters.
    pub order: Vec<PogRow>,
    /// Those who ordered them.
    pub raters: Vec<RaterRow>,
    /// Score of the tiles.
    pub scores: Vec<Score>,
    /// File name and rows of each table of metrics.
    pub metrics: Vec<(String, Vec<Metric>)>,
    /// What the stages counted and how long they took.
    pub ledgers: Vec<stage::Report>,
    /// The offline judge behind the order.
    pub judge: Option<Judge>,
    /// Files for the reader to open.
    pub see: Vec<String>,
}

/// The page.
#[must_use]
pub fn page(findings: &Findings) -> String {
    let sections = [
        ("Scenes", scenes(findings)),
        ("Tiles", tiles(findings)),
        ("Classes", found::classes(findings)),
        ("Order of the clusters, most developed first", found::order(findings)),
        ("Raters", raters(findings)),
        ("Judge", judge(findings)),
        ("Scores", found::scores(findings)),
        ("How far to trust it", metrics(findings)),
        ("Stages", stages(findings)),
        ("Look at", findings.see.iter().map(|file| format!("  {file}")).collect()),
    ];
    let mut lines = vec!["=".repeat(WIDTH)];
    lines.extend(indented(&findings.title, 0, WIDTH));
    lines.push("=".repeat(WIDTH));
    for (heading, body) in sections {
        if !body.is_empty() {
            lines.push(String::new());
            lines.push(heading.to_owned());
            lines.extend(body);
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn scenes(findings: &Findings) -> Vec<String> {
    let chosen = findings.scenes.iter().filter(|scene| scene.chosen);
    let line = |scene: &Scene| {
        let day = scene.sensed.as_deref().map_or("date unknown", |time| time.get(..10).unwrap_or(time));
        let cloud = scene.cloud_share.map_or("cloud unknown".to_owned(), |v| format!("cloud {}", share(v)));
        let others = findings.scenes.iter().filter(|other| other.granule == scene.granule).count() - 1;
        let rest = if others == 1 { "1 other scene".to_owned() } else { format!("{others} other scenes") };
        format!("  {:<14} {day}  {cloud}, best of it and {rest}", scene.granule.as_str())
    };
    chosen.map(line).collect()
}

fn tiles(findings: &Findings) -> Vec<String> {
    if findings.tiles == 0 {
        return Vec::new();
    }
    let skipped: usize = findings.tiles_skipped.values().sum();
    let mut lines = vec![
        format!("  {:>9}  cut from the scenes", count(findings.tiles)),
        format!("  {:>9}  used", count(findings.tiles - skipped)),
    ];
    let reasons = findings.tiles_skipped.iter();
    lines.extend(reasons.map(|(reason, &n)| format!("  {:>9}  skipped: {reason}", count(n))));
    lines
}

fn raters(findings: &Findings) -> Vec<String> {
    if findings.raters.is_empty() {
        return Vec::new();
    }
    let missing: usize = findings.raters.iter().map(|rater| rater.n_missing as usize).sum();
    let votes: usize = findings.raters.iter().map(|rater| rater.n_votes as usize).sum();
    let mut lines = vec![format!(
        "  {} raters, {} votes, {} missing; even weights would be {}",
        findings.raters.len(),
        count(votes),
        count(missing),
        number(1.0 / findings.raters.len() as f64)
    )];
    let mut raters: Vec<&RaterRow> = findings.raters.iter().collect();
    raters.sort_by(|a, b| b.weight.total_cmp(&a.weight).then(a.rater.cmp(&b.rater)));
    let line = |rater: &&RaterRow| format!("  {:>9}  {}", number(rater.weight), rater.rater);
    lines.extend(raters.iter().take(ROWS_SHOWN).map(line).flat_map(|line| indented(&line, 0, WIDTH)));
    if raters.len() > ROWS_SHOWN {
        lines.push(format!("  and {} more", raters.len() - ROWS_SHOWN));
    }
    lines
}

fn judge(findings: &Findings) -> Vec<String> {
    let Some(judge) = &findings.judge else { return Vec::new() };
    let n_tiles = findings.scores.iter().filter(|row| row.score.is_some()).count();
    let mut lines = indented(&format!("local, {}", judge.ground(n_tiles)), 2, WIDTH);
    lines.extend(indented(&judge.about, 2, WIDTH));
    lines
}

fn metrics(findings: &Findings) -> Vec<String> {
    let mut lines = Vec::new();
    for (file, rows) in &findings.metrics {
        lines.push(format!("  {file}"));
        for row in rows.iter().take(ROWS_SHOWN) {
            lines.extend(metric(row));
        }
        if rows.len() > ROWS_SHOWN {
            lines.push(format!("    and {} more in that table", rows.len() - ROWS_SHOWN));
        }
    }
    lines
}

fn metric(row: &Metric) -> Vec<String> {
    let what = if row.of.is_empty() { row.name.clone() } else { format!("{} ({})", row.name, row.of) };
    let unit = if row.unit == "1" { String::new() } else { format!(" {}", row.unit) };
    let value = match (row.value, row.low, row.high) {
        (None, ..) => "not reported".to_owned(),
        (Some(value), Some(low), Some(high)) => {
            format!("{}{unit} [{}, {}]", number(value), number(low), number(high))
        }
        (Some(value), ..) => format!("{}{unit}", number(value)),
    };
    let mut lines = indented(&format!("{what:<40} {value}, n = {}", count(row.n as usize)), 4, WIDTH);
    if let Some(note) = &row.note {
        lines.extend(indented(note, 8, WIDTH));
    }
    lines
}

/// One line for each stage and unit, its runs added up, in the order of the ledgers.
fn stages(findings: &Findings) -> Vec<String> {
    let mut sums: Vec<(stage::Report, usize)> = Vec::new();
    for report in &findings.ledgers {
        let same = |(sum, _): &&mut (stage::Report, usize)| {
            sum.stage == report.stage && sum.ledger.unit == report.ledger.unit
        };
        match sums.iter_mut().find(same) {
            Some((sum, runs)) => {
                add(sum, report);
                *runs += 1;
            }
            None => sums.push((report.clone(), 1)),
        }
    }
    if sums.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!("  {:<22} {:>9} {:>5}  counts", "stage", "seconds", "runs")];
    for (sum, runs) in &sums {
        let ledger = &sum.ledger;
        let head = format!("{:<22} {:>9.1} {runs:>5}  ", sum.stage, sum.seconds);
        let mut counts =
            format!("{} of {} {} ok", count(ledger.n_ok as usize), count(ledger.n_in as usize), ledger.unit);
        for (word, reasons) in
            [("skipped", &ledger.skipped), ("failed", &ledger.failed), ("noted", &ledger.noted)]
        {
            for (reason, &n) in reasons {
                counts += &format!(", {} {word} ({reason})", count(n as usize));
            }
        }
        let mut wrapped = indented(&counts, 42, WIDTH);
        if let Some(first) = wrapped.first_mut() {
            *first = format!("  {head}{}", first.trim_start());
        }
        lines.extend(wrapped);
    }
    let seconds: f64 = sums.iter().map(|(sum, _)| sum.seconds).sum();
    lines.push(format!("  {:<22} {seconds:>9.1}", "all"));
    lines
}

fn add(sum: &mut stage::Report, report: &stage::Report) {
    sum.seconds += report.seconds;
    sum.ledger.n_in += report.ledger.n_in;
    sum.ledger.n_ok += report.ledger.n_ok;
    for (all, more) in [
        (&mut sum.ledger.skipped, &report.ledger.skipped),
        (&mut sum.ledger.failed, &report.ledger.failed),
        (&mut sum.ledger.noted, &report.ledger.noted),
    ] {
        for (reason, n) in more {
            *all.entry(reason.clone()).or_default() += n;
        }
    }
}
