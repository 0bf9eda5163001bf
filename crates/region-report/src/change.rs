//! The change of zones between two dates, and the least change that is more than chance.
//!
//! `heatmap-stitch change` gives the change of each pixel, the shift between the dates taken off. A zone's change is the mean over its ground, each
//! pixel by the share of it inside, less the middle of the means of all blocks of ground: pixels that rise far and fall little have a mean of their own
//! where nothing happened. Haze, season and the model move whole neighbourhoods together, so chance is measured on blocks of ground, not on
//! pixels: the blocks of the whole map differ by a spread that is taken from their median absolute deviation, which a minority of changed blocks does
//! not move. A zone that holds the shares wᵢ of its ground in blocks i has the noise of √Σwᵢ² blocks; 1.96 times that is its minimum detectable
//! change. Of zones where nothing changed one in twenty passes it.
//!
//! Left out: what blocks have in common beyond their side; a zone smaller than a block counts as one block, and its noise is more than that.

use std::path::Path;

use anyhow::ensure;
use contract::{CHANGE, Metric, RasterSpec, Region};
use raster::{Grid, Source};

use crate::coverage::Span;
use crate::table::plain;
use crate::zonal::{Blocks, ByBlock, Detail, Sums, sums};
use crate::zones::Zones;

/// The spread of a normal distribution over its median absolute deviation.
const SD_OVER_MAD: f64 = 1.4826;
/// Standard deviations that hold 95 % of a normal distribution.
const CONFIDENCE_SDS: f64 = 1.96;
/// A block counts for the noise where this share of it has a score at both dates.
const LEAST_BLOCK_SHARE: f64 = 0.5;
/// The fewest blocks from which noise is estimated.
const LEAST_BLOCKS: usize = 10;

/// What is known of the change between two dates.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Mean change of each zone and the least that is more than chance; none where too little of it has a score at both dates.
    pub zones: Vec<Option<ZoneChange>>,
    /// The middle of all blocks, which is taken off every zone; 0 with too few blocks.
    pub shift: f64,
    /// Standard deviation of blocks of unchanged ground; none with too few blocks.
    pub noise: Option<f64>,
    /// Blocks that the noise rests on.
    pub n_blocks: usize,
}

/// The change of a zone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ZoneChange {
    /// Mean over its ground, less the shift that all ground shares.
    pub mean: f64,
    /// The minimum detectable change.
    pub detectable: Option<f64>,
}

/// The changes of zones on a raster of change.
///
/// # Errors
/// For a file that is no such raster of this version, or is damaged.
pub fn changes(path: &Path, zones: &Zones, min_coverage_share: f64, block_m: f64) -> anyhow::Result<Changes> {
    let source = Source::open(path)?;
    let tag = source.tag("", RasterSpec::TAG).unwrap_or_else(|| "no contract tag".to_owned());
    let (wanted, maker) = (CHANGE.tag(), CHANGE.made_by);
    ensure!(
        tag == wanted,
        "{}: want raster {wanted}, got {tag}; make it with {maker} change",
        path.display()
    );
    let grid = source.grid().clone();
    drop(source);
    let side = |pixel_m: f64| (block_m / pixel_m).round().max(1.0) as u32;
    let blocks =
        Blocks { height: side(grid.transform.pixel_height), width: side(grid.transform.pixel_width) };
    let mut spans = zones.spans_on(&grid)?;
    spans.push(whole(&grid));
    let mut found = sums(path, 1, &spans, blocks, Detail::Means, true)?;
    let everywhere = found.pop().unwrap_or_default();
    let area_px = zones.areas_on(&grid)?;
    Ok(of_sums(&everywhere, &found, &area_px, blocks, min_coverage_share))
}

/// All pixels of a grid.
fn whole(grid: &Grid) -> Vec<Span> {
    (0..grid.height as u32).map(|row| Span { row, col: 0, end: grid.width as u32, share: 1.0 }).collect()
}

fn of_sums(
    everywhere: &ByBlock,
    zones: &[ByBlock],
    area_px: &[f64],
    blocks: Blocks,
    min_coverage_share: f64,
) -> Changes {
    let full_px = f64::from(blocks.height) * f64::from(blocks.width);
    let large = everywhere.values().filter(|block| block.weight >= LEAST_BLOCK_SHARE * full_px);
    let means: Vec<f64> = large.filter_map(Sums::mean).collect();
    let noise = (means.len() >= LEAST_BLOCKS).then(|| spread(&means));
    let shift = noise.map_or(0.0, |_| median(means.clone()));
    let zone = |(by_block, area_px): (&ByBlock, &f64)| {
        let mut all = Sums::default();
        by_block.values().for_each(|block| all.add(block));
        let mean = all.mean().filter(|_| all.weight >= min_coverage_share * area_px)?;
        let squares: f64 = by_block.values().map(|block| (block.weight / all.weight).powi(2)).sum();
        let detectable = noise.map(|sd| CONFIDENCE_SDS * sd * squares.sqrt());
        Some(ZoneChange { mean: mean - shift, detectable })
    };
    Changes { zones: zones.iter().zip(area_px).map(zone).collect(), shift, noise, n_blocks: means.len() }
}

/// The standard deviation of the bulk of the values.
fn spread(values: &[f64]) -> f64 {
    let middle = median(values.to_vec());
    SD_OVER_MAD * median(values.iter().map(|value| (value - middle).abs()).collect())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

/// The numbers about the change of all zones; nothing where no change was given.
pub fn metrics(changes: &Changes, regions: &[Region], block_m: f64) -> Vec<Metric> {
    if changes.zones.is_empty() {
        return Vec::new();
    }
    let known: Vec<(f64, f64)> =
        regions.iter().filter_map(|row| Some((row.change?, row.change_detectable?))).collect();
    let row = |name: &str, of: &str, value: Option<f64>, unit: &str, n: usize, note: String| {
        plain(name, of, value, unit, n, Some(note))
    };
    let count =
        |changed: &dyn Fn(&(f64, f64)) -> bool| known.iter().filter(|zone| changed(zone)).count() as f64;
    let noise_note = match changes.noise {
        Some(_) => "1.4826 times the median absolute deviation of their changes".to_owned(),
        None => format!(
            "not reported: at least {LEAST_BLOCKS} blocks with both dates wanted; a smaller --block-m"
        ),
    };
    let of_blocks = format!("blocks of {} km", block_m / 1000.0);
    let chance = "of zones where nothing changed 2.5 % rise and 2.5 % fall by more than their minimum detectable change";
    let shift_note = "median of their changes, taken off every zone".to_owned();
    vec![
        row(
            "change_shift",
            &of_blocks,
            changes.noise.map(|_| changes.shift),
            "share",
            changes.n_blocks,
            shift_note,
        ),
        row("change_noise_sd", &of_blocks, changes.noise, "share", changes.n_blocks, noise_note),
        row(
            "zones_risen",
            "with both dates",
            Some(count(&|zone| zone.0 > zone.1)),
            "zones",
            known.len(),
            chance.to_owned(),
        ),
        row(
            "zones_fallen",
            "with both dates",
            Some(count(&|zone| -zone.0 > zone.1)),
            "zones",
            known.len(),
            chance.to_owned(),
        ),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    const BLOCKS: Blocks = Blocks { height: 10, width: 10 };
    const ROUNDING: f64 = 1e-12;

    fn block(mean: f64, weight: f64) -> Sums {
        Sums { all: weight, weight, sum: weight * mean, ..Sums::default() }
    }

    /// A map of 10 x 10 blocks whose means are of a known spread, but for one that rose.
    fn everywhere() -> ByBlock {
        let mean = |i: u32| if i == 55 { 0.9 } else { f64::from(i * 37 % 101) / 101.0 * 0.2 - 0.1 };
        (0..100).map(|i| ((i / 10, i % 10), block(mean(i), 100.0))).collect()
    }

    #[test]
    fn a_zone_of_many_blocks_shows_smaller_changes_than_one_of_one() {
        let map = everywhere();
        let one: ByBlock =
            map.iter().filter(|(at, _)| **at == (5, 5)).map(|(at, sums)| (*at, *sums)).collect();
        let found = of_sums(&map, &[map.clone(), one], &[10_000.0, 100.0], BLOCKS, 0.5);
        let sd = found.noise.unwrap();
        // Even within 0.1 of 0: the median absolute deviation is 0.05.
        assert!((sd - SD_OVER_MAD * 0.05).abs() < 0.003, "{sd}");
        let [all, one] = [found.zones[0].unwrap(), found.zones[1].unwrap()];
        assert!((one.detectable.unwrap() - CONFIDENCE_SDS * sd).abs() < ROUNDING);
        assert!((all.detectable.unwrap() - CONFIDENCE_SDS * sd / 10.0).abs() < ROUNDING);
        assert!(one.mean > one.detectable.unwrap() && all.mean.abs() < all.detectable.unwrap());
    }

    #[test]
    fn a_shift_that_all_ground_shares_is_no_change() {
        let moved = |by: f64| -> ByBlock {
            everywhere().into_iter().map(|(at, sums)| (at, block(sums.mean().unwrap() + by, 100.0))).collect()
        };
        let [still, risen] = [0.0, 0.3].map(|by| {
            let map = moved(by);
            of_sums(&map, std::slice::from_ref(&map), &[10_000.0], BLOCKS, 0.5)
        });
        assert!((risen.shift - still.shift - 0.3).abs() < ROUNDING);
        let [still, risen] = [still, risen].map(|found| found.zones[0].unwrap());
        assert!((still.mean - risen.mean).abs() < ROUNDING && still.detectable.is_some());
    }

    #[test]
    fn of_zones_where_nothing_changed_one_in_twenty_passes_its_minimum_detectable_change() {
        const MAPS: usize = 100;
        /// Two thousand zones: sampling and the estimate of the noise move the share by less than this.
        const TOLERANCE_SHARE: f64 = 0.025;
        let mut chance = rand_chacha::ChaCha8Rng::seed_from_u64(5);
        // A sum of twelve even numbers is nearly normal.
        let mut normal = || (0..12).map(|_| chance.random::<f64>()).sum::<f64>() - 6.0;
        let (mut n, mut passed) = (0, 0);
        for _ in 0..MAPS {
            let map: ByBlock = (0..100).map(|i| ((i / 10, i % 10), block(0.05 * normal(), 100.0))).collect();
            // A zone of five blocks, of one of them only half.
            let of_zone = |zone: u32| -> ByBlock {
                let blocks = map
                    .iter()
                    .filter(|((row, col), _)| row * 10 + col >= 5 * zone && row * 10 + col < 5 * zone + 5);
                blocks
                    .map(|(at, sums)| {
                        (*at, if at.1.is_multiple_of(5) { block(sums.mean().unwrap(), 50.0) } else { *sums })
                    })
                    .collect()
            };
            let zones: Vec<ByBlock> = (0..20).map(of_zone).collect();
            for zone in of_sums(&map, &zones, &[450.0; 20], BLOCKS, 0.5).zones.into_iter().flatten() {
                n += 1;
                passed += usize::from(zone.mean.abs() > zone.detectable.unwrap());
            }
        }
        let share = passed as f64 / f64::from(n);
        assert!(n == 2000 && (share - 0.05).abs() < TOLERANCE_SHARE, "{share} of {n}");
    }

    #[test]
    fn a_zone_with_too_little_ground_of_both_dates_has_no_change_and_few_blocks_no_noise() {
        let few: ByBlock = everywhere().into_iter().take(LEAST_BLOCKS - 1).collect();
        let found = of_sums(&few, &[few.clone(), few.clone()], &[900.0, 2_000.0], BLOCKS, 0.5);
        assert_eq!((found.noise, found.n_blocks), (None, 9));
        assert_eq!(found.zones[0].unwrap().detectable, None);
        assert_eq!(found.zones[1], None);
        let rows = metrics(&found, &[Region::default()], 10_000.0);
        assert!(rows[1].value.is_none() && rows[1].note.as_deref().unwrap().contains("at least 10 blocks"));
    }

    #[test]
    fn blocks_at_the_edge_do_not_count_for_the_noise() {
        let mut map = everywhere();
        map.values_mut().take(40).for_each(|sums| *sums = block(sums.mean().unwrap() * 50.0, 20.0));
        assert_eq!(of_sums(&map, &[], &[], BLOCKS, 0.5).n_blocks, 60);
    }

    #[test]
    fn without_a_map_of_change_there_is_nothing_to_say() {
        assert!(metrics(&Changes::default(), &[], 10_000.0).is_empty());
    }
}
