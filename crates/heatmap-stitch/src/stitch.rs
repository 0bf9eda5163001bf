//! Constant fill of tiles on one grid.
//!
//! A pixel takes the score of the tile that holds its centre; of several tiles it takes the mean score and the root
//! mean square of the standard deviations. Nothing is interpolated: the map says what the tiles say, no more.
//!
//! Rows between two tile edges are equal, so each such stripe is computed once and copied: the work is bound by memory.

use raster::{Affine, Crs, Grid};
use rayon::prelude::*;

/// Marks a pixel without a value.
pub const NODATA: f32 = -9999.0;

/// The largest map that is drawn: two bands of 4 bytes a pixel fit in 8 GiB.
pub const MAX_PIXELS: usize = 1 << 30;

/// A tile edge this close to a pixel centre, in pixels, counts as on it, so that tiles that share an edge up to
/// rounding share it exactly.
const EDGE_TOLERANCE_PX: f64 = 1e-6;

/// A tile on the ground and its score, if it has one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patch {
    /// Western edge.
    pub west_m: f64,
    /// Southern edge.
    pub south_m: f64,
    /// Eastern edge.
    pub east_m: f64,
    /// Northern edge.
    pub north_m: f64,
    /// Score from 0 to 1.
    pub score_share: Option<f64>,
    /// Standard deviation of the score.
    pub sd_share: Option<f64>,
}

/// The two bands of a map, `[row, column]`, [`NODATA`] where no tile has a value.
#[derive(Clone, Debug, PartialEq)]
pub struct HeatMap {
    /// Score from 0 to 1.
    pub score_share: Vec<f32>,
    /// Standard deviation of the score.
    pub sd_share: Vec<f32>,
}

/// The smallest grid that holds all patches, with or without a score, its edges on multiples of the pixel.
/// `None` without patches, or if it would have more than [`MAX_PIXELS`].
#[must_use]
pub fn grid_around(patches: &[Patch], pixel_m: f64, crs: &Crs) -> Option<Grid> {
    let least = |edge: fn(&Patch) -> f64| patches.iter().map(edge).fold(f64::INFINITY, f64::min);
    let most = |edge: fn(&Patch) -> f64| patches.iter().map(edge).fold(f64::NEG_INFINITY, f64::max);
    let down = |edge_m: f64| (edge_m / pixel_m + EDGE_TOLERANCE_PX).floor();
    let up = |edge_m: f64| (edge_m / pixel_m - EDGE_TOLERANCE_PX).ceil();
    let (west, north) = (down(least(|p| p.west_m)), up(most(|p| p.north_m)));
    let (height, width) = (north - down(least(|p| p.south_m)), up(most(|p| p.east_m)) - west);
    let fits = height >= 1.0 && width >= 1.0 && height * width <= MAX_PIXELS as f64;
    fits.then(|| Grid {
        height: height as usize,
        width: width as usize,
        transform: Affine {
            west: west * pixel_m,
            north: north * pixel_m,
            pixel_width: pixel_m,
            pixel_height: pixel_m,
        },
        crs: crs.clone(),
    })
}

/// The map of the patches on a grid. Their order does not matter; parts outside the grid are not drawn.
#[must_use]
pub fn stitch(patches: &[Patch], grid: &Grid) -> HeatMap {
    let mut spans: Vec<Span> = patches.iter().filter_map(|patch| Span::of(patch, grid)).collect();
    spans.sort_by(Span::order);
    let stripes = stripes(&spans, grid.height);
    let mut map = HeatMap { score_share: vec![NODATA; grid.len()], sd_share: vec![NODATA; grid.len()] };
    let lengths: Vec<usize> = stripes.iter().map(|stripe| stripe.len() * grid.width).collect();
    let scores = split(&mut map.score_share, &lengths);
    let sds = split(&mut map.sd_share, &lengths);
    stripes.par_iter().zip(scores).zip(sds).for_each(|((stripe, scores), sds)| {
        let line = Line::across(&spans, stripe.start, grid.width);
        scores.chunks_exact_mut(grid.width).for_each(|row| row.copy_from_slice(&line.score_share));
        sds.chunks_exact_mut(grid.width).for_each(|row| row.copy_from_slice(&line.sd_share));
    });
    map
}

/// The pixels of a scored patch.
struct Span {
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
    score: f64,
    sd: Option<f64>,
}

impl Span {
    fn of(patch: &Patch, grid: &Grid) -> Option<Span> {
        let score = patch.score_share?;
        let (top, left) = grid.transform.to_pixel(patch.west_m, patch.north_m);
        let (bottom, right) = grid.transform.to_pixel(patch.east_m, patch.south_m);
        let rows = first_centre(top, grid.height)..first_centre(bottom, grid.height);
        let columns = first_centre(left, grid.width)..first_centre(right, grid.width);
        let drawn = !rows.is_empty() && !columns.is_empty();
        drawn.then_some(Span { rows, columns, score, sd: patch.sd_share })
    }

    /// A total order by content, so that sums do not depend on the order of the input.
    fn order(&self, other: &Span) -> std::cmp::Ordering {
        let key = |span: &Span| (span.rows.start, span.columns.start, span.rows.end, span.columns.end);
        let sd = |span: &Span| span.sd.unwrap_or(-1.0);
        key(self)
            .cmp(&key(other))
            .then(self.score.total_cmp(&other.score))
            .then(sd(self).total_cmp(&sd(other)))
    }
}

/// The first pixel whose centre is not before the edge, within `0..=n`.
fn first_centre(edge_px: f64, n: usize) -> usize {
    (edge_px - 0.5 - EDGE_TOLERANCE_PX).ceil().clamp(0.0, n as f64) as usize
}

/// The rows cut where a span begins or ends: inside a stripe all rows are equal.
fn stripes(spans: &[Span], height: usize) -> Vec<std::ops::Range<usize>> {
    let mut cuts: Vec<usize> = spans.iter().flat_map(|span| [span.rows.start, span.rows.end]).collect();
    cuts.extend([0, height]);
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| pair[0]..pair[1]).collect()
}

fn split<'a>(mut rest: &'a mut [f32], lengths: &[usize]) -> Vec<&'a mut [f32]> {
    let mut parts = Vec::with_capacity(lengths.len());
    for &length in lengths {
        let (part, tail) = rest.split_at_mut(length);
        parts.push(part);
        rest = tail;
    }
    parts
}

/// One row of the map.
struct Line {
    score_share: Vec<f32>,
    sd_share: Vec<f32>,
}

impl Line {
    fn across(spans: &[Span], row: usize, width: usize) -> Line {
        let (mut scores, mut variances) = (vec![Mean::default(); width], vec![Mean::default(); width]);
        for span in spans.iter().filter(|span| span.rows.contains(&row)) {
            scores[span.columns.clone()].iter_mut().for_each(|mean| mean.add(span.score));
            if let Some(sd) = span.sd {
                variances[span.columns.clone()].iter_mut().for_each(|mean| mean.add(sd * sd));
            }
        }
        Line {
            score_share: scores.iter().map(|mean| mean.get().map_or(NODATA, |v| v as f32)).collect(),
            sd_share: variances.iter().map(|mean| mean.get().map_or(NODATA, |v| v.sqrt() as f32)).collect(),
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Mean {
    sum: f64,
    n: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.n += 1;
    }

    fn get(self) -> Option<f64> {
        (self.n > 0).then(|| self.sum / f64::from(self.n))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn utm() -> Crs {
        Crs::from_epsg(32_648).unwrap()
    }

    /// Tiles of `side_m` from an origin, their scores a fixed jumble, every seventh without one.
    fn tiles(origin: (f64, f64), rows: usize, columns: usize, side_m: f64) -> Vec<Patch> {
        let patch = |i: usize| {
            let (row, column) = (i / columns, i % columns);
            let (west_m, north_m) = (origin.0 + column as f64 * side_m, origin.1 - row as f64 * side_m);
            let share = (i * 37 % 101) as f64 / 100.0;
            Patch {
                west_m,
                south_m: north_m - side_m,
                east_m: west_m + side_m,
                north_m,
                score_share: (i % 7 != 3).then_some(share),
                sd_share: (i % 7 != 3).then_some(share / 10.0),
            }
        };
        (0..rows * columns).map(patch).collect()
    }

    #[test]
    fn every_pixel_of_a_tile_has_its_score_and_every_tile_its_area() {
        let patches = tiles((500_000.0, 3_400_000.0), 4, 5, 3430.0);
        let grid = grid_around(&patches, 10.0, &utm()).unwrap();
        assert_eq!((grid.height, grid.width), (4 * 343, 5 * 343));
        let map = stitch(&patches, &grid);
        for (i, patch) in patches.iter().enumerate() {
            let (row, column) = (i / 5 * 343, i % 5 * 343);
            let pixels =
                (row..row + 343).flat_map(|r| (column..column + 343).map(move |c| r * grid.width + c));
            let wanted = patch.score_share.map_or(NODATA, |v| v as f32);
            let n = pixels.filter(|&p| map.score_share[p] == wanted).count();
            assert_eq!(n as f64 * 100.0, 3430.0 * 3430.0, "tile {i}");
        }
    }

    #[test]
    fn tiles_that_touch_leave_no_gap_and_no_overlap_at_any_pixel_size() {
        let mut patches = tiles((-13_985.37, 77_123.91), 6, 6, 2_445.984_905_125_640_6);
        patches.iter_mut().for_each(|p| p.score_share = Some(0.25));
        for pixel_m in [9.554_628_535_647_032, 10.0, 244.598_490_512_564, 333.3, 2_445.984_905_125_640_6] {
            let grid = grid_around(&patches, pixel_m, &utm()).unwrap();
            let map = stitch(&patches, &grid);
            let filled = map.score_share.iter().filter(|&&v| v == 0.25).count() as f64;
            assert!(map.score_share.iter().all(|&v| v == 0.25 || v == NODATA));
            let side_px = 6.0 * 2_445.984_905_125_640_6 / pixel_m;
            assert!((filled.sqrt() - side_px).abs() <= 1.0, "{filled} pixels at {pixel_m} m");
        }
    }

    #[test]
    fn the_order_of_the_tiles_does_not_matter() {
        let mut patches = tiles((500_000.0, 3_400_000.0), 5, 5, 320.0);
        patches.extend(tiles((500_470.0, 3_399_910.0), 5, 5, 320.0));
        patches.extend(tiles((500_130.0, 3_399_330.0), 5, 5, 320.0));
        let grid = grid_around(&patches, 10.0, &utm()).unwrap();
        let map = stitch(&patches, &grid);
        patches.reverse();
        assert_eq!(stitch(&patches, &grid), map);
    }

    #[test]
    fn an_overlap_has_the_mean_score_and_the_root_mean_square_sd() {
        let one = Patch {
            west_m: 0.0,
            south_m: 0.0,
            east_m: 20.0,
            north_m: 10.0,
            score_share: Some(0.2),
            sd_share: Some(0.03),
        };
        let other = Patch { west_m: 10.0, east_m: 30.0, score_share: Some(0.6), sd_share: Some(0.04), ..one };
        let grid = grid_around(&[one, other], 10.0, &utm()).unwrap();
        let map = stitch(&[one, other], &grid);
        assert_eq!(map.score_share, [0.2, 0.4, 0.6]);
        let rms = ((0.03_f64 * 0.03 + 0.04 * 0.04) / 2.0).sqrt() as f32;
        assert_eq!(map.sd_share, [0.03, rms, 0.04]);
    }

    #[test]
    fn a_tile_without_a_score_is_no_zero() {
        let patches = [Patch {
            west_m: 0.0,
            south_m: 0.0,
            east_m: 10.0,
            north_m: 10.0,
            score_share: None,
            sd_share: None,
        }];
        let grid = grid_around(&patches, 5.0, &utm()).unwrap();
        assert!(stitch(&patches, &grid).score_share.iter().all(|&v| v == NODATA));
    }

    #[test]
    fn the_grid_lies_on_multiples_of_the_pixel() {
        let grid = grid_around(&tiles((503.0, 1007.0), 2, 3, 95.0), 10.0, &utm()).unwrap();
        assert_eq!((grid.transform.west, grid.transform.north), (500.0, 1010.0));
        assert_eq!((grid.height, grid.width), (20, 29));
    }

    #[test]
    fn a_grid_of_nothing_or_of_too_much_is_refused() {
        assert!(grid_around(&[], 10.0, &utm()).is_none());
        assert!(grid_around(&tiles((0.0, 0.0), 2, 2, 1e6), 0.01, &utm()).is_none());
    }
}
