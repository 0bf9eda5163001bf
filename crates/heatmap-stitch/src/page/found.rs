//! What was found: classes, the order of the clusters, the scores.

use std::collections::{BTreeMap, BTreeSet};

use contract::{GranuleId, Score, TileId};

use super::text::{count, indented, number, share};
use super::{Findings, WIDTH};
use crate::support::{outside, same_everywhere};

/// Bars of the histogram of scores.
const BINS: usize = 10;
const BAR: usize = 48;

/// A line a class: tiles, share, clusters, mean score.
pub fn classes(findings: &Findings) -> Vec<String> {
    let scores: BTreeMap<(&GranuleId, TileId), f64> =
        findings.scores.iter().filter_map(|row| Some(((&row.granule, row.tile), row.score?))).collect();
    let mut classes: BTreeMap<&str, (usize, BTreeSet<u32>, Vec<f64>)> = BTreeMap::new();
    for row in &findings.clusters {
        let (tiles, clusters, of_class) = classes.entry(&row.class).or_default();
        *tiles += 1;
        clusters.insert(row.cluster);
        of_class.extend(scores.get(&(&row.granule, row.tile)));
    }
    if classes.is_empty() {
        return Vec::new();
    }
    let line = |(class, (tiles, clusters, of_class)): (&&str, &(usize, BTreeSet<u32>, Vec<f64>))| {
        let part = *tiles as f64 / findings.clusters.len() as f64;
        let score = mean(of_class).map_or("-".to_owned(), number);
        format!("  {class:<20} {:>9} {:>9} {:>9} {score:>11}", count(*tiles), share(part), clusters.len())
    };
    let mut lines = vec![format!(
        "  {:<20} {:>9} {:>9} {:>9} {:>11}",
        "class", "tiles", "share", "clusters", "mean score"
    )];
    lines.extend(classes.iter().map(line));
    lines
}

/// The clusters in the order found, `>` between levels and `=` within one.
pub fn order(findings: &Findings) -> Vec<String> {
    let classes: BTreeMap<u32, &str> =
        findings.clusters.iter().map(|row| (row.cluster, row.class.as_str())).collect();
    let initials = initials(&classes);
    let mut levels: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for row in &findings.order {
        levels.entry(row.level).or_default().push(row.cluster);
    }
    if levels.is_empty() {
        return Vec::new();
    }
    let name = |cluster: &u32| {
        let initial = classes.get(cluster).and_then(|class| initials.get(class)).map_or("", String::as_str);
        format!("{initial}{cluster}")
    };
    let level = |clusters: &Vec<u32>| {
        let mut clusters = clusters.clone();
        clusters.sort_unstable();
        clusters.iter().map(name).collect::<Vec<_>>().join(" = ")
    };
    let chain = levels.values().map(level).collect::<Vec<_>>().join(" > ");
    let mut lines = indented(&chain, 2, WIDTH);
    let legend: Vec<String> = initials.iter().map(|(class, initial)| format!("{initial} {class}")).collect();
    let legend = if legend.is_empty() { String::new() } else { format!(" Letters: {}.", legend.join(", ")) };
    let sizes = format!("{} clusters on {} levels.{legend}", findings.order.len(), levels.len());
    lines.extend(indented(&sizes, 2, WIDTH));
    lines
}

/// The shortest beginning of each class name, in capitals, that no other class begins with.
fn initials<'a>(classes: &BTreeMap<u32, &'a str>) -> BTreeMap<&'a str, String> {
    let names: BTreeSet<&str> = classes.values().copied().collect();
    let begin = |name: &str, n: usize| name.chars().take(n).collect::<String>().to_uppercase();
    let shortest = |name: &str| {
        let alone = |n: &usize| names.iter().filter(|other| begin(other, *n) == begin(name, *n)).count() == 1;
        begin(name, (1..=name.chars().count()).find(alone).unwrap_or(name.len()))
    };
    names.iter().map(|&name| (name, shortest(name))).collect()
}

/// Mean, standard deviation, quantiles and histogram.
pub fn scores(findings: &Findings) -> Vec<String> {
    let mut values: Vec<f64> = findings.scores.iter().filter_map(|row| row.score).collect();
    if findings.scores.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![format!(
        "  {} tiles with a score, {} without",
        count(values.len()),
        count(findings.scores.len() - values.len())
    )];
    lines.extend(reasons(&findings.scores));
    lines.extend(unlike_training(&findings.scores));
    let Some(mean_score) = mean(&values) else { return lines };
    values.sort_by(f64::total_cmp);
    if let (Some(note), [first, ..]) = (same_everywhere(&values), &values[..]) {
        lines.extend(indented(
            &format!("all {} tiles have the score {}: {note}", count(values.len()), number(*first)),
            2,
            WIDTH,
        ));
        return lines;
    }
    let variance = values.iter().map(|v| (v - mean_score).powi(2)).sum::<f64>() / values.len() as f64;
    lines.push(format!("  mean {}, sd {}", number(mean_score), number(variance.sqrt())));
    let at = |q: f64| format!("{:.0} %: {}", q * 100.0, number(quantile(&values, q)));
    lines.push(format!("  quantiles: {}", [0.05, 0.25, 0.5, 0.75, 0.95].map(at).join(", ")));
    let sds: Vec<f64> = findings.scores.iter().filter_map(|row| row.sd).collect();
    if let Some(sd) = mean(&sds) {
        lines.push(format!("  sd between the models of a tile: {} on average", number(sd)));
    }
    lines.push(String::new());
    lines.extend(histogram(&values));
    lines
}

/// Tiles far from all that the score was learnt from, where the model says so.
fn unlike_training(scores: &[Score]) -> Vec<String> {
    let Some((n, part)) = outside(scores) else { return Vec::new() };
    let text = format!(
        "{} of them ({}) are unlike all tiles that the score was learnt from: nothing supports their scores",
        count(n),
        share(part)
    );
    indented(&text, 2, WIDTH)
}

fn reasons(scores: &[Score]) -> Vec<String> {
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for row in scores.iter().filter(|row| row.score.is_none()) {
        *reasons.entry(row.skipped.as_deref().unwrap_or("no reason given")).or_default() += 1;
    }
    reasons.iter().map(|(reason, &n)| format!("  {:>9}  without: {reason}", count(n))).collect()
}

fn histogram(values: &[f64]) -> Vec<String> {
    let mut bins = [0_usize; BINS];
    for value in values {
        bins[((value * BINS as f64) as usize).min(BINS - 1)] += 1;
    }
    let most = bins.iter().copied().max().unwrap_or(0).max(1);
    let line = |(i, &n): (usize, &usize)| {
        let low = i as f64 / BINS as f64;
        let bar = "#".repeat((n * BAR).div_ceil(most));
        format!("  {low:.1} to {:.1} {:>9}  {bar}", low + 1.0 / BINS as f64, count(n)).trim_end().to_owned()
    };
    bins.iter().enumerate().map(line).collect()
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The quantile of sorted values, linear between them.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let place = q * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (place - place.floor()) * (above - below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_an_even_run_are_even() {
        let run: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!([0.0, 0.05, 0.5, 0.95, 1.0].map(|q| quantile(&run, q)), [0.0, 5.0, 50.0, 95.0, 100.0]);
    }

    #[test]
    fn the_histogram_counts_every_score_once() {
        let values = [0.0, 0.05, 0.1, 0.95, 1.0];
        let counts: Vec<usize> = histogram(&values)
            .iter()
            .filter_map(|line| line.split_whitespace().nth(3).and_then(|n| n.parse().ok()))
            .collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 2]);
    }

    #[test]
    fn classes_that_begin_alike_get_longer_letters() {
        let classes = BTreeMap::from([(0, "rural"), (1, "urban"), (2, "uninhabited")]);
        let initials = initials(&classes);
        assert_eq!([&initials["rural"], &initials["urban"], &initials["uninhabited"]], ["R", "UR", "UN"]);
    }
}
