//! Sums of a raster over zones, each pixel weighted by the share of it that a zone covers.
//!
//! The raster is read once, in strips of whole blocks that threads share, wide ones in parts; sums of a strip are added in the order of strips, so
//! that the result is the same for any number of threads, and memory does not grow with the raster. Zones may overlap. In a raster in degrees a row's weight is the cosine of its latitude,
//! so that a mean is one over the ground, unless the caller wants all pixels to count alike.
//!
//! Left out: resampling; a zone smaller than a pixel takes the value of the pixels it touches.

use std::collections::BTreeMap;
use std::path::Path;

use raster::{Declared, Dtype, Grid, Quantity, Real, Sieve, Source, Window};
use rayon::prelude::*;

use crate::coverage::Span;

/// Rows that one thread reads at a time, in blocks: at least one, as many as hold this many pixels.
const STRIP_PX: usize = 1 << 22;
/// Pixels that one thread holds at most: a strip of more is read in parts.
const MAX_PART_PX: usize = 1 << 24;
/// Independent sums that a processor keeps at a time.
const LANES: usize = 8;

/// Weighted sums of the pixels of a zone, or of the part of one that lies in a block of ground.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Weight with or without a value, in pixels.
    pub all: f64,
    /// Weight with a value, in pixels.
    pub weight: f64,
    /// Sum of weight times value.
    pub sum: f64,
    /// Sum of weight times squared value.
    pub squares: f64,
    /// Sum of weight times value times its logarithm, over positive values.
    pub entropy: f64,
    /// Weight above the upper cut.
    pub above: f64,
    /// Weight below the lower cut.
    pub below: f64,
}

impl Sums {
    /// Adds the sums of other ground.
    pub fn add(&mut self, other: &Sums) {
        self.all += other.all;
        self.weight += other.weight;
        self.sum += other.sum;
        self.squares += other.squares;
        self.entropy += other.entropy;
        self.above += other.above;
        self.below += other.below;
    }

    /// The weighted mean; none where nothing has a value.
    pub fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }

    /// The weighted standard deviation.
    pub fn sd(&self) -> Option<f64> {
        let mean = self.mean()?;
        Some((self.squares / self.weight - mean * mean).max(0.0).sqrt())
    }
}

/// What to add up besides means.
#[derive(Clone, Copy, Debug)]
pub enum Detail {
    /// Weights, sums and squares.
    Means,
    /// Also entropy and the weight above and below cuts.
    Cuts {
        /// Values below it count as low.
        lower: f64,
        /// Values above it count as high.
        upper: f64,
    },
}

/// Side of the blocks of ground, in rows and columns of pixels; one block for all where none is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Rows of pixels.
    pub height: u32,
    /// Columns of pixels.
    pub width: u32,
}

impl Blocks {
    /// One block for everything.
    pub const ONE: Blocks = Blocks { height: u32::MAX, width: u32::MAX };
}

/// The sums of a zone by block, `(block row, block column)` from the north-west.
pub type ByBlock = BTreeMap<(u32, u32), Sums>;

/// A raster and what is known of it beside what it says itself.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The file.
    pub path: &'a Path,
    /// What the user says of it.
    pub declared: Declared,
    /// What it holds: impossible numbers are left out with a word, those that look like fill values are refused.
    pub quantity: Option<Quantity>,
}

impl<'a> Input<'a> {
    /// A raster that speaks for itself.
    pub fn of(path: &'a Path) -> Self {
        Self { path, declared: Declared::default(), quantity: None }
    }
}

/// Adds up a band over zones, given as spans of pixels of the raster; `by_area` weighs the rows of a raster in degrees by their length.
///
/// # Errors
/// For a raster that cannot be read.
pub fn sums(
    path: &Path,
    band: usize,
    zones: &[Vec<Span>],
    blocks: Blocks,
    detail: Detail,
    by_area: bool,
) -> anyhow::Result<Vec<ByBlock>> {
    sums_of(&Input::of(path), band, zones, blocks, detail, by_area)
}

/// As [`sums`], of a raster of which more is known.
///
/// # Errors
/// As [`sums`], and for numbers that look like fill values.
pub fn sums_of(
    input: &Input<'_>,
    band: usize,
    zones: &[Vec<Span>],
    blocks: Blocks,
    detail: Detail,
    by_area: bool,
) -> anyhow::Result<Vec<ByBlock>> {
    let source = input.declared.open(input.path)?;
    let kinds = Kinds { detail, blocks, by_area };
    if source.dtype().fits(Dtype::F32) && source.dtype() != Dtype::F64 {
        typed::<f32>(input, &source, band, zones, kinds)
    } else {
        typed::<f64>(input, &source, band, zones, kinds)
    }
}

/// Row weights: the cosine of the latitude for degrees, if wanted; 1 elsewhere.
fn row_weights(grid: &Grid, by_area: bool) -> Vec<f64> {
    let geographic = by_area && grid.crs.is_geographic();
    let weight = |row: usize| {
        let (_, y) = grid.transform.to_world(row as f64 + 0.5, 0.0);
        if geographic { y.to_radians().cos().max(0.0) } else { 1.0 }
    };
    (0..grid.height).map(weight).collect()
}

fn typed<T: Real + Into<f64>>(
    input: &Input<'_>,
    source: &Source,
    band: usize,
    zones: &[Vec<Span>],
    kinds: Kinds,
) -> anyhow::Result<Vec<ByBlock>> {
    let grid = source.grid();
    let weights = row_weights(grid, kinds.by_area);
    let strips = strips(zones, grid, source.block_shape()?);
    let trusted = input.declared.nodata.is_some();
    let new_sieve = input.quantity.map(|quantity| Sieve::new(quantity, source, band, trusted));
    let parts = strips
        .par_iter()
        .map_init(
            || (input.declared.open(input.path), Vec::<T>::new()),
            |(own, pixels), strip| {
                let own = own.as_ref().map_err(|e| anyhow::anyhow!("{e}"))?;
                let (col, width) = (strip.col as usize, (strip.end - strip.col) as usize);
                let window = Window { row: strip.row, col, height: strip.height, width };
                own.read_values(band, window, pixels)?;
                let mut sieve = new_sieve.clone();
                sieve.iter_mut().for_each(|sieve| sieve.sift(pixels));
                Ok((strip_sums(pixels, strip, zones, &weights, kinds), sieve))
            },
        )
        .collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(mut sieve) = new_sieve {
        parts.iter().filter_map(|(_, part)| part.as_ref()).for_each(|part| sieve.add(part));
        let path = input.path.display();
        if let Some(said) = sieve.found().map_err(|found| anyhow::anyhow!("{path}: {found}"))? {
            tracing::warn!("{path}: {said}; {} says which number is no data", sieve.quantity().flag);
        }
    }
    let mut all = vec![ByBlock::new(); zones.len()];
    for (zone, block, sums) in parts.into_iter().flat_map(|(sums, _)| sums) {
        all[zone].entry(block).or_default().add(&sums);
    }
    Ok(all)
}

/// Rows that are read together, and the columns that any zone needs there.
struct Strip {
    row: usize,
    height: usize,
    col: u32,
    end: u32,
}

/// Strips of whole blocks that cover all zones, from the north; parts of one from the west.
fn strips(zones: &[Vec<Span>], grid: &Grid, (block_rows, block_cols): (usize, usize)) -> Vec<Strip> {
    let block_rows = block_rows.max(1);
    let rows = (STRIP_PX / grid.width.max(1) / block_rows).max(1) * block_rows;
    let mut strips: Vec<Strip> = (0..grid.height)
        .step_by(rows)
        .map(|row| Strip { row, height: rows.min(grid.height - row), col: u32::MAX, end: 0 })
        .collect();
    for span in zones.iter().flatten() {
        let strip = &mut strips[span.row as usize / rows];
        strip.col = strip.col.min(span.col);
        strip.end = strip.end.max(span.end);
    }
    strips.retain(|strip| strip.col < strip.end);
    strips.into_iter().flat_map(|strip| parts(strip, block_cols.max(1) as u32)).collect()
}

/// A strip cut between columns of blocks, and a column of blocks between rows, so that each part is small enough.
fn parts(strip: Strip, block_cols: u32) -> Vec<Strip> {
    if strip.height * (strip.end - strip.col) as usize <= MAX_PART_PX {
        return vec![strip];
    }
    let cols = (MAX_PART_PX / strip.height) as u32 / block_cols * block_cols;
    let cols = if cols > 0 { cols } else { block_cols };
    let first = strip.col / cols * cols;
    let mut found = Vec::new();
    for start in (first..strip.end).step_by(cols as usize) {
        let (col, end) = (start.max(strip.col), strip.end.min(start.saturating_add(cols)));
        let rows = (MAX_PART_PX / (end - col) as usize).clamp(1, strip.height);
        for row in (strip.row..strip.row + strip.height).step_by(rows) {
            let height = rows.min(strip.row + strip.height - row);
            found.push(Strip { row, height, col, end });
        }
    }
    found
}

#[derive(Clone, Copy)]
struct Kinds {
    detail: Detail,
    blocks: Blocks,
    by_area: bool,
}

fn strip_sums<T: Real + Into<f64>>(
    pixels: &[T],
    strip: &Strip,
    zones: &[Vec<Span>],
    weights: &[f64],
    kinds: Kinds,
) -> Vec<(usize, (u32, u32), Sums)> {
    let mut found = Vec::new();
    let width = (strip.end - strip.col) as usize;
    let rows = strip.row as u32..(strip.row + strip.height) as u32;
    for (zone, spans) in zones.iter().enumerate() {
        let first = spans.partition_point(|span| span.row < rows.start);
        let mut by_block = ByBlock::new();
        for span in spans[first..].iter().take_while(|span| span.row < rows.end) {
            let line = &pixels[(span.row - rows.start) as usize * width..][..width];
            let weight = weights[span.row as usize] * span.share;
            let (mut col, last) = (span.col.max(strip.col), span.end.min(strip.end));
            while col < last {
                let block = (span.row / kinds.blocks.height, col / kinds.blocks.width);
                let end = last.min((block.1 + 1).saturating_mul(kinds.blocks.width));
                let run = &line[(col - strip.col) as usize..(end - strip.col) as usize];
                by_block.entry(block).or_default().add(&run_sums(run, weight, kinds));
                col = end;
            }
        }
        found.extend(by_block.into_iter().map(|(block, sums)| (zone, block, sums)));
    }
    found
}

/// The sums of pixels that have one weight.
fn run_sums<T: Real + Into<f64>>(run: &[T], weight: f64, kinds: Kinds) -> Sums {
    let (mut n, mut sum, mut squares) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    let mut add = |lane: usize, value: f64| {
        let known = value.is_finite();
        let value = if known { value } else { 0.0 };
        n[lane] += f64::from(u8::from(known));
        sum[lane] += value;
        squares[lane] += value * value;
    };
    let chunks = run.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in chunk.iter().enumerate() {
            add(lane, value.into());
        }
    }
    for (lane, &value) in rest.iter().enumerate() {
        add(lane, value.into());
    }
    let mut sums = Sums {
        all: weight * run.len() as f64,
        weight: weight * n.iter().sum::<f64>(),
        sum: weight * sum.iter().sum::<f64>(),
        squares: weight * squares.iter().sum::<f64>(),
        ..Sums::default()
    };
    if let Detail::Cuts { lower, upper } = kinds.detail {
        add_cuts(&mut sums, run, weight, (lower, upper));
    }
    sums
}

/// Tiles are many pixels of one value: its logarithm is taken once.
fn add_cuts<T: Real + Into<f64>>(sums: &mut Sums, run: &[T], weight: f64, cuts: (f64, f64)) {
    for equal in run.chunk_by(PartialEq::eq) {
        let value: f64 = equal[0].into();
        if !value.is_finite() {
            continue;
        }
        let weight = weight * equal.len() as f64;
        sums.entropy += if value > 0.0 { weight * value * value.ln() } else { 0.0 };
        sums.below += if value < cuts.0 { weight } else { 0.0 };
        sums.above += if value > cuts.1 { weight } else { 0.0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: Kinds =
        Kinds { detail: Detail::Cuts { lower: 0.25, upper: 0.75 }, blocks: Blocks::ONE, by_area: true };

    #[test]
    fn missing_pixels_count_for_the_area_and_for_nothing_else() {
        let run: Vec<f32> = vec![0.5, f32::INFINITY, f32::NAN, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5];
        let sums = run_sums(&run, 0.5, KINDS);
        assert_eq!((sums.all, sums.weight, sums.sum), (5.0, 4.0, 2.0));
        assert_eq!((sums.above, sums.below), (0.5, 0.5));
        assert_eq!((sums.mean(), sums.sd()), (Some(0.5), Some(0.25)));
    }

    #[test]
    fn parts_of_a_wide_strip_hold_every_pixel_once_and_few_at_a_time() {
        for (height, col, end, block_cols) in [
            (512, 0, 40_000, 512),
            (8192, 3, 37_000, 8192),
            (1, 5, 9, 1),
            (512, 700, 33_500, 37_000),
            (100_000, 0, 300, 300),
        ] {
            let all = parts(Strip { row: 7, height, col, end }, block_cols);
            let px: usize = all.iter().map(|part| part.height * (part.end - part.col) as usize).sum();
            assert_eq!(px, height * (end - col) as usize);
            assert!(all.iter().all(|part| part.height * (part.end - part.col) as usize <= MAX_PART_PX));
            assert!(
                all.iter()
                    .all(|p| p.row >= 7 && p.row + p.height <= 7 + height && p.col >= col && p.end <= end)
            );
        }
    }

    #[test]
    fn a_zone_without_a_value_has_no_mean() {
        let sums = run_sums(&[f32::NAN; 3], 1.0, KINDS);
        assert_eq!((sums.all, sums.mean()), (3.0, None));
    }
}
