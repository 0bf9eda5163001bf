//! From sums over zones to the table of zones, the metrics and the simulation of targeting; no files but the rasters it adds up.

use std::collections::BTreeMap;
use std::path::Path;

use contract::{Metric, Region, Targeting};
use raster::{Grid, Source};

use crate::agreement::agreement;
use crate::bootstrap::{Block, Rounds, ends, rounds, standings};
use crate::change::{self, Changes};
use crate::export::point_inside;
use crate::inequality::{gini, theil};
use crate::population::People;
use crate::targeting::{self, Candidate};
use crate::zonal::{Blocks, ByBlock, Detail, Input, Sums, sums, sums_of};
use crate::zones::Zones;

/// What is asked of the table.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Side of a bootstrap block in metres.
    pub block_m: f64,
    /// Zones with less of their area on the map have no place.
    pub min_coverage_share: f64,
    /// Scores below it are low.
    pub lower_cut: f64,
    /// Scores above it are high.
    pub upper_cut: f64,
    /// Rounds of the bootstrap.
    pub n_rounds: usize,
    /// Of every draw.
    pub seed: u64,
    /// What the budget reaches.
    pub budget: Budget,
}

/// A budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Budget {
    /// The lowest fifth of the ranked zones.
    Fifth,
    /// So many zones.
    Zones(usize),
    /// So many people.
    People(f64),
}

/// What is known of zones from elsewhere, in their order; empty where it was not given.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// People.
    pub people: Vec<People>,
    /// Mean radiance.
    pub night_light: Vec<Option<f64>>,
    /// Change since an earlier date.
    pub change: Changes,
    /// Official numbers by zone id, and what they are.
    pub official: Option<(String, BTreeMap<String, f64>)>,
}

/// The tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// Zones in the file's order.
    pub regions: Vec<Region>,
    /// Numbers about all of them.
    pub metrics: Vec<Metric>,
    /// The simulation.
    pub targeting: Vec<Targeting>,
}

/// The heat map's sums by zone and block, and what is needed to read them.
pub struct MapSums {
    grid: Grid,
    score: Vec<ByBlock>,
    sd: Vec<ByBlock>,
    area_px: Vec<f64>,
}

/// Adds up the heat map over the zones.
///
/// # Errors
/// For a map that cannot be read.
pub fn map_sums(
    heatmap: &Path,
    bands: (usize, Option<usize>),
    zones: &Zones,
    wanted: &Wanted,
) -> anyhow::Result<MapSums> {
    let grid = Source::open(heatmap)?.grid().clone();
    let spans = zones.spans_on(&grid)?;
    let side = |pixel_m: f64| (wanted.block_m / pixel_m).round().max(1.0) as u32;
    let blocks =
        Blocks { height: side(grid.transform.pixel_height), width: side(grid.transform.pixel_width) };
    let cuts = Detail::Cuts { lower: wanted.lower_cut, upper: wanted.upper_cut };
    let score = sums(heatmap, bands.0, &spans, blocks, cuts, true)?;
    let sd = match bands.1 {
        Some(band) => sums(heatmap, band, &spans, blocks, Detail::Means, true)?,
        None => vec![ByBlock::new(); spans.len()],
    };
    let area_px = zones.areas_on(&grid)?;
    Ok(MapSums { grid, score, sd, area_px })
}

/// Mean over each zone of another raster, where at least `min_coverage_share` of the zone has a value.
///
/// # Errors
/// For a raster that cannot be read.
pub fn means(input: &Input<'_>, zones: &Zones, min_coverage_share: f64) -> anyhow::Result<Vec<Option<f64>>> {
    let spans = zones.spans_on(Source::open(input.path)?.grid())?;
    let found = sums_of(input, 1, &spans, Blocks::ONE, Detail::Means, true)?;
    let mean = |by_block: &ByBlock| {
        let all = total(by_block);
        all.mean().filter(|_| all.weight >= min_coverage_share * all.all)
    };
    Ok(found.iter().map(mean).collect())
}

/// Makes the tables.
pub fn tables(zones: &Zones, map: &MapSums, known: &Known, wanted: &Wanted) -> Tables {
    let totals: Vec<Sums> = map.score.iter().map(total).collect();
    let mut regions: Vec<Region> =
        (0..totals.len()).map(|zone| region(zone, zones, map, &totals[zone], known)).collect();
    for row in &mut regions {
        if row.score.is_none() {
            row.skipped = Some("the map has no score here".to_owned());
        } else if row.coverage_share < wanted.min_coverage_share {
            row.skipped = Some(format!("less than {} of the area has a score", wanted.min_coverage_share));
        }
    }
    let ranked: Vec<usize> = (0..regions.len()).filter(|&zone| regions[zone].skipped.is_none()).collect();
    let blocks: Vec<Vec<Block>> =
        ranked.iter().map(|&zone| blocks_of(&map.score[zone], &map.sd[zone])).collect();
    let drawn = rounds(&blocks, wanted.n_rounds, wanted.seed);
    place(&mut regions, &ranked, &blocks, &drawn);
    target(&mut regions, &ranked, wanted.budget);
    let metrics = metrics(&regions, &ranked, &totals, &drawn, known, wanted);
    let targeting = simulation(&regions, &ranked);
    Tables { regions, metrics, targeting }
}

fn total(by_block: &ByBlock) -> Sums {
    let mut all = Sums::default();
    by_block.values().for_each(|sums| all.add(sums));
    all
}

fn region(zone: usize, zones: &Zones, map: &MapSums, sums: &Sums, known: &Known) -> Region {
    const M2_A_KM2: f64 = 1e6;
    let names = &zones.zones[zone];
    let pixel_m2 = map.grid.transform.pixel_width * map.grid.transform.pixel_height;
    let (lon_deg, lat_deg) = point_inside(&names.rings_deg);
    let score = sums.mean();
    let official = known.official.as_ref().and_then(|(_, numbers)| numbers.get(&names.id).copied());
    let change = known.change.zones.get(zone).copied().flatten();
    let share = |weight: f64| (sums.weight > 0.0).then(|| weight / sums.weight);
    Region {
        zone: names.id.clone(),
        name: names.name.clone(),
        name_en: names.name_en.clone(),
        part_of: names.part_of.clone(),
        lon_deg,
        lat_deg,
        area_km2: map.area_px[zone] * pixel_m2 / M2_A_KM2,
        coverage_share: (sums.weight / map.area_px[zone]).min(1.0),
        score,
        spread: sums.sd(),
        model_sd: total(&map.sd[zone]).mean(),
        above: share(sums.above),
        below: share(sums.below),
        n_blocks: map.score[zone].values().filter(|block| block.weight > 0.0).count() as u32,
        population: known.people.get(zone).map(|people| people.all),
        population_score: known.people.get(zone).and_then(|people| people.score),
        night_light: known.night_light.get(zone).copied().flatten(),
        change: change.map(|change| change.mean),
        change_detectable: change.and_then(|change| change.detectable),
        official,
        ..Region::default()
    }
}

fn blocks_of(score: &ByBlock, sd: &ByBlock) -> Vec<Block> {
    let known = score.iter().filter(|(_, sums)| sums.weight > 0.0);
    let block = |(at, sums): (&(u32, u32), &Sums)| {
        let sd = sd.get(at).and_then(Sums::mean).unwrap_or(0.0);
        Block { weight: sums.weight, sum: sums.sum, sd }
    };
    known.map(block).collect()
}

/// Writes intervals, places and groups into the ranked rows.
fn place(regions: &mut [Region], ranked: &[usize], blocks: &[Vec<Block>], drawn: &Rounds) {
    let means: Vec<f64> = ranked.iter().filter_map(|&zone| regions[zone].score).collect();
    let n_blocks: Vec<usize> = blocks.iter().map(Vec::len).collect();
    for (&zone, standing) in ranked.iter().zip(standings(&means, drawn, &n_blocks)) {
        let row = &mut regions[zone];
        (row.low, row.high) = (standing.mean.map(|ends| ends.0), standing.mean.map(|ends| ends.1));
        row.rank = Some(standing.rank);
        (row.rank_low, row.rank_high) = (Some(standing.ranks.0), Some(standing.ranks.1));
        (row.group, row.n_alike) = (Some(standing.group), Some(standing.n_alike));
        row.bottom_fifth = Some(standing.bottom_fifth);
    }
}

fn target(regions: &mut [Region], ranked: &[usize], budget: Budget) {
    const FIFTH: f64 = 0.2;
    let scores: Vec<f64> = ranked.iter().filter_map(|&zone| regions[zone].score).collect();
    let reached = match budget {
        Budget::Fifth => targeting::lowest(&scores, (FIFTH * scores.len() as f64).round() as usize),
        Budget::Zones(n) => targeting::lowest(&scores, n),
        Budget::People(n) => {
            let people: Vec<f64> =
                ranked.iter().map(|&zone| regions[zone].population.unwrap_or(0.0)).collect();
            targeting::lowest_people(&scores, &people, n)
        }
    };
    reached.into_iter().for_each(|place| regions[ranked[place]].targeted = true);
}

/// The rules against the truths that are known, over the ranked zones that have both.
fn simulation(regions: &[Region], ranked: &[usize]) -> Vec<Targeting> {
    type Of = fn(&Region) -> Option<f64>;
    let truths: [(&str, Of); 2] = [("official", |r| r.official), ("night_light", |r| r.night_light)];
    let rules: [(&str, Of); 2] = [("score", |r| r.score), ("night_light", |r| r.night_light)];
    let mut table = Vec::new();
    for (truth_name, truth) in truths {
        let with_truth: Vec<&Region> =
            ranked.iter().map(|&zone| &regions[zone]).filter(|r| truth(r).is_some()).collect();
        if with_truth.len() < targeting::MIN_ZONES {
            continue;
        }
        for (rule_name, rule) in rules.iter().filter(|rule| rule.0 != truth_name) {
            let candidate = |r: &&Region| {
                let people = r.population.unwrap_or(1.0);
                Some(Candidate { rule: rule(r)?, truth: truth(r)?, people })
            };
            let zones: Vec<Candidate> = with_truth.iter().filter_map(candidate).collect();
            if zones.len() == with_truth.len() {
                table.extend(targeting::errors(rule_name, truth_name, &zones));
            }
        }
        table.extend(targeting::errors_by_chance(truth_name, with_truth.len()));
    }
    table
}

const NO_MONEY: &str =
    "a score is a rank turned into a number and not money: compare maps of one model, not incomes";

/// A row of a table of metrics without an interval.
pub(crate) fn plain(
    name: &str,
    of: &str,
    value: Option<f64>,
    unit: &str,
    n: usize,
    note: Option<String>,
) -> Metric {
    let (name, of, unit) = (name.to_owned(), of.to_owned(), unit.to_owned());
    Metric { name, of, value, low: None, high: None, unit, n: n as u64, note }
}

fn metrics(
    regions: &[Region],
    ranked: &[usize],
    totals: &[Sums],
    drawn: &Rounds,
    known: &Known,
    wanted: &Wanted,
) -> Vec<Metric> {
    let rows: Vec<&Region> = ranked.iter().map(|&zone| &regions[zone]).collect();
    let groups = rows.iter().filter_map(|row| row.group).max().unwrap_or(0);
    let weights: Vec<f64> =
        ranked.iter().map(|&zone| regions[zone].population.unwrap_or(totals[zone].weight)).collect();
    let means: Vec<f64> = rows.iter().filter_map(|row| row.score).collect();
    let mut ginis: Vec<f64> = drawn.iter().filter_map(|means| gini(means, &weights)).collect();
    ginis.sort_by(f64::total_cmp);
    let by = if known.people.is_empty() { "area" } else { "people" };
    let of = format!("score, zones weighted by {by}");
    let split = theil(
        &ranked
            .iter()
            .map(|&zone| (totals[zone].weight, totals[zone].sum, totals[zone].entropy))
            .collect::<Vec<_>>(),
    );
    let plain = |name: &str, of: &str, value: Option<f64>, note: Option<&str>| {
        plain(name, of, value, "1", rows.len(), note.map(str::to_owned))
    };
    let (low, high) = (!ginis.is_empty()).then(|| ends(&ginis)).unzip();
    let mut all = vec![
        plain("zones", "with a place", Some(rows.len() as f64), None),
        plain("zones", "without a place", Some((regions.len() - rows.len()) as f64), None),
        plain("groups", "of zones that cannot be told from their first", Some(f64::from(groups)), None),
        Metric { low, high, ..plain("gini", &of, gini(&means, &weights), Some(NO_MONEY)) },
        plain("theil_between", "score, between zones", split.map(|t| t.between), Some(NO_MONEY)),
        plain("theil_within", "score, within zones", split.map(|t| t.within), Some(NO_MONEY)),
    ];
    all.extend(agreements(&rows, known, wanted));
    all.extend(change::metrics(&known.change, regions, wanted.block_m));
    all
}

/// Spearman's coefficients over zones of score, night light and official number.
fn agreements(rows: &[&Region], known: &Known, wanted: &Wanted) -> Vec<Metric> {
    type Of = fn(&Region) -> Option<f64>;
    let official = known.official.as_ref().map_or("official number", |(name, _)| name.as_str());
    let (score, light, truth): (Of, Of, Of) = (|r| r.score, |r| r.night_light, |r| r.official);
    let asked: [(&str, Of, String, Of, bool); 3] = [
        ("score", score, official.to_owned(), truth, known.official.is_some()),
        ("score", score, "night light".to_owned(), light, !known.night_light.is_empty()),
        (
            "night light",
            light,
            official.to_owned(),
            truth,
            known.official.is_some() && !known.night_light.is_empty(),
        ),
    ];
    let metric = |(one, x, other, y, _): &(&str, Of, String, Of, bool)| {
        let pairs: Vec<(f64, f64)> = rows.iter().filter_map(|row| Some((x(row)?, y(row)?))).collect();
        let found = agreement(&pairs, wanted.n_rounds, wanted.seed);
        let missing = format!("not reported: {} zones with both, or one does not vary", pairs.len());
        Metric {
            name: "spearman_zones".to_owned(),
            of: format!("{one}, {other}"),
            value: found.map(|a| a.spearman),
            low: found.map(|a| a.low),
            high: found.map(|a| a.high),
            unit: "1".to_owned(),
            n: pairs.len() as u64,
            note: Some(if found.is_some() {
                "interval by bootstrap over zones; neighbours are alike, so it is too narrow".to_owned()
            } else {
                missing
            }),
        }
    };
    asked.iter().filter(|asked| asked.4).map(metric).collect()
}
