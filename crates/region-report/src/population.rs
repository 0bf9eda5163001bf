//! Means over people instead of over ground.
//!
//! Each pixel of the population raster counts its people, by the share of it that the zone covers, and takes the score at its centre.

use std::path::Path;

use anyhow::ensure;
use raster::{Source, transform_points};
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
pub fn people(heatmap: &Path, population: &Path, zones: &Zones) -> anyhow::Result<Vec<People>> {
    let map = Source::open(heatmap)?;
    let scores = map.read_band::<f32>(1)?;
    let (grid, nodata) = (map.grid().clone(), map.nodata().map(|value| value as f32));
    drop(map);
    let people_grid = Source::open(population)?.grid().clone();
    let spans = zones.spans_on(&people_grid)?;
    let score_at = |x: f64, y: f64| {
        let (row, col) = grid.transform.to_pixel(x, y);
        let inside = row >= 0.0 && col >= 0.0 && row < grid.height as f64 && col < grid.width as f64;
        let score = inside.then(|| scores[row as usize * grid.width + col as usize])?;
        (!score.is_nan() && Some(score) != nodata).then_some(f64::from(score))
    };
    spans
        .par_iter()
        .map_init(
            || Source::open(population),
            |own, spans| {
                let own = own.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
                let (mut x, mut y, people) = counted(own, spans)?;
                transform_points(&people_grid.crs, &grid.crs, &mut x, &mut y)?;
                let (mut with, mut sum) = (0.0, 0.0);
                for ((x, y), n) in x.iter().zip(&y).zip(&people) {
                    if let Some(score) = score_at(*x, *y) {
                        with += n;
                        sum += n * score;
                    }
                }
                Ok(People { all: people.iter().sum(), score: (with > 0.0).then(|| sum / with) })
            },
        )
        .collect()
}

/// Centres of the pixels with people, and how many of them the zone holds.
fn counted(source: &Source, spans: &[Span]) -> anyhow::Result<(Vec<f64>, Vec<f64>, Vec<f64>)> {
    let (mut x, mut y, mut people) = (Vec::new(), Vec::new(), Vec::new());
    let nodata = source.nodata();
    for row in spans.chunk_by(|a, b| a.row == b.row) {
        let (first, end) = (row[0].col, row[row.len() - 1].end);
        let line =
            source.read_window::<f64>(1, row[0].row as usize, first as usize, 1, (end - first) as usize)?;
        for span in row {
            for col in span.col..span.end {
                let n = line[(col - first) as usize];
                if !n.is_finite() || Some(n) == nodata || n == 0.0 {
                    continue;
                }
                ensure!(n > 0.0, "{}: want people a pixel, found {n}", source.path().display());
                let place = source.grid().transform.to_world(f64::from(span.row) + 0.5, f64::from(col) + 0.5);
                x.push(place.0);
                y.push(place.1);
                people.push(n * span.share);
            }
        }
    }
    Ok((x, y, people))
}
