//! Means over people instead of over ground.
//!
//! Each pixel of the population raster counts its people, by the share of it that the zone covers, and takes the score at its centre.

use std::path::Path;

use anyhow::ensure;
use raster::{Declared, PEOPLE, Sieve, Source, Window, transform_points};
use rayon::prelude::*;

use crate::coverage::Span;
use crate::zones::Zones;

/// People in a zone, those where the map has a score, and the sum of score times people.
#[derive(Clone, Copy, Debug, Default)]
pub struct People {
    /// People in the zone.
    pub all: f64,
    /// Mean score over those where there is one.
    pub score: Option<f64>,
}

/// Counts people and their scores in each zone.
///
/// # Errors
/// For rasters that cannot be read or a raster with a negative number of people.
pub fn people(
    heatmap: &Path,
    (population, declared): (&Path, Declared),
    zones: &Zones,
) -> anyhow::Result<Vec<People>> {
    let map = Source::open(heatmap)?;
    let (grid, mut scores) = (map.grid().clone(), Vec::<f32>::new());
    map.read_values(1, Window::of(&grid), &mut scores)?;
    drop(map);
    let people_grid = Source::open(population)?.grid().clone();
    let spans = zones.spans_on(&people_grid)?;
    let score_at = |x: f64, y: f64| {
        let (row, col) = grid.transform.to_pixel(x, y);
        let inside = row >= 0.0 && col >= 0.0 && row < grid.height as f64 && col < grid.width as f64;
        let score = inside.then(|| scores[row as usize * grid.width + col as usize])?;
        (!score.is_nan()).then_some(f64::from(score))
    };
    let counted = spans
        .par_iter()
        .map_init(
            || declared.open(population),
            |own, spans| {
                let own = own.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
                let mut sieve = Sieve::new(PEOPLE, own, 1, declared.nodata.is_some());
                let (mut x, mut y, people) = counted(own, spans, &mut sieve)?;
                transform_points(&people_grid.crs, &grid.crs, &mut x, &mut y)?;
                let (mut with, mut sum) = (0.0, 0.0);
                for ((x, y), n) in x.iter().zip(&y).zip(&people) {
                    if let Some(score) = score_at(*x, *y) {
                        with += n;
                        sum += n * score;
                    }
                }
                let people = People { all: people.iter().sum(), score: (with > 0.0).then(|| sum / with) };
                Ok((people, sieve))
            },
        )
        .collect::<anyhow::Result<Vec<_>>>()?;
    let (found, sieves): (Vec<People>, Vec<Sieve>) = counted.into_iter().unzip();
    if let Some(all) = sieves.into_iter().reduce(|mut all, sieve| {
        all.add(&sieve);
        all
    }) {
        let path = population.display();
        if let Some(said) = all.found().map_err(|found| anyhow::anyhow!("{path}: {found}"))? {
            tracing::warn!("{path}: {said}; {} says which number is no data", PEOPLE.flag);
        }
    }
    Ok(found)
}

/// Centres of the pixels with people, and how many of them the zone holds.
fn counted(
    source: &Source,
    spans: &[Span],
    sieve: &mut Sieve,
) -> anyhow::Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (mut x, mut y, mut people) = (Vec::new(), Vec::new(), Vec::new());
    let mut line = Vec::<f64>::new();
    for row in spans.chunk_by(|a, b| a.row == b.row) {
        let (first, end) = (row[0].col, row[row.len() - 1].end);
        let (row_px, width) = (row[0].row as usize, (end - first) as usize);
        source.read_values(1, Window { row: row_px, col: first as usize, height: 1, width }, &mut line)?;
        for span in row {
            let line = &mut line[(span.col - first) as usize..(span.end - first) as usize];
            let negative = line.iter().find(|n| **n < 0.0);
            ensure!(
                negative.is_none(),
                "{}: want people a pixel, found {}; give {} with the number that stands for no data",
                source.path().display(),
                negative.copied().unwrap_or_default(),
                PEOPLE.flag
            );
            sieve.sift(line);
            for (col, n) in (span.col..).zip(line.iter().copied()) {
                if !n.is_finite() || n == 0.0 {
                    continue;
                }
                let place = source.grid().transform.to_world(f64::from(span.row) + 0.5, f64::from(col) + 0.5);
                x.push(place.0);
                y.push(place.1);
                people.push(n * span.share);
            }
        }
    }
    Ok((x, y, people))
}
