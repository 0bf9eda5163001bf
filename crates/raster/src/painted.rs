//! Cloud Optimized GeoTIFF from a function that paints blocks: the pixels of the whole never lie in memory.
//!
//! Blocks are painted, halved into the blocks of the overviews, and packed while they are in the processor's caches, on all threads; only packed
//! blocks are kept until the file is written, overviews first. GDAL writes the tags that say where the raster lies and what it is (of a raster of one
//! pixel), this module the rest: header, directories, blocks. The bytes are the same for any number of threads.

use std::io::Write as _;
use std::path::Path;

use contract::file::Whole;
use rayon::prelude::*;

use crate::tiff::{Directory, Template, encode};
use crate::{CogOptions, Error, Grid, Overviews, Pixel, Result, Window, cog, halve};

/// Paints a window of the grid: one slice a band, `[height, width]`, of the window's size.
pub trait Paint<T>: Sync {
    /// Fills the bands.
    fn paint(&self, window: Window, bands: &mut [Vec<T>]);
}

impl<T, F: Fn(Window, &mut [Vec<T>]) + Sync> Paint<T> for F {
    fn paint(&self, window: Window, bands: &mut [Vec<T>]) {
        self(window, bands);
    }
}

/// Writes a Cloud Optimized GeoTIFF of bands (name and unit) whose blocks are painted on demand, whole or not at all.
///
/// # Errors
/// [`Error::Shape`] for a grid without pixels, no band, or a colour table that does not apply; [`Error::Write`] where the file cannot be written; an
/// old file then stays.
pub fn write_cog_painted<T: Pixel>(
    path: &Path,
    grid: &Grid,
    bands: &[(&str, &str)],
    options: &CogOptions,
    paint: &impl Paint<T>,
) -> Result<()> {
    let template = Template::of::<T>(grid, bands, options)?;
    let block_px = cog::block_px(bands.len() * size_of::<T>());
    let pyramid = Pyramid::<T, _> {
        sizes: sizes(grid, options.overviews),
        n_bands: bands.len(),
        block_px,
        options,
        paint,
        pixel: std::marker::PhantomData,
    };
    let levels =
        pyramid.packed().map_err(|e| Error::Write { path: path.to_owned(), found: e.to_string() })?;
    let directories: Vec<Directory> = pyramid
        .sizes
        .iter()
        .zip(&levels)
        .map(|(&(height, width), blocks)| Directory {
            height,
            width,
            block_px,
            lengths: blocks.iter().map(Vec::len).collect(),
        })
        .collect();
    let head = template.head(&directories);
    let refuse = |found: String| Error::Write { path: path.to_owned(), found };
    let mut whole = Whole::begin(path).map_err(|e| refuse(e.to_string()))?;
    let mut write = || -> std::io::Result<()> {
        let mut file = std::io::BufWriter::new(whole.file());
        file.write_all(&head)?;
        for block in levels.iter().rev().flatten() {
            file.write_all(&(block.len() as u32).to_le_bytes())?;
            file.write_all(block)?;
            file.write_all(&block[block.len().saturating_sub(4)..])?;
        }
        file.flush()
    };
    write().map_err(|e| refuse(e.to_string()))?;
    whole.commit().map_err(|e| refuse(e.to_string()))
}

/// Height and width of the raster and of its smaller copies, halved until they fit one block.
fn sizes(grid: &Grid, overviews: Overviews) -> Vec<(usize, usize)> {
    let halved = |&(height, width): &(usize, usize)| {
        let larger = overviews != Overviews::None && height.max(width) > cog::BLOCK_PX;
        larger.then(|| (height.div_ceil(2), width.div_ceil(2)))
    };
    std::iter::successors(Some((grid.height, grid.width)), halved).collect()
}

/// The raster and its smaller copies as blocks.
struct Pyramid<'a, T, P> {
    sizes: Vec<(usize, usize)>,
    n_bands: usize,
    block_px: usize,
    options: &'a CogOptions,
    paint: &'a P,
    pixel: std::marker::PhantomData<T>,
}

/// A packed block: its level, its place in the level, its bytes.
type Packed = (usize, usize, Vec<u8>);

/// The pixels of a block and all that was packed on the way to it.
struct Made<T> {
    window: Window,
    bands: Vec<Vec<T>>,
    packed: Vec<Packed>,
}

impl<T: Pixel, P: Paint<T>> Pyramid<'_, T, P> {
    /// The packed blocks of all levels, each in row order.
    fn packed(&self) -> std::io::Result<Vec<Vec<Vec<u8>>>> {
        let top = self.sizes.len() - 1;
        let made: Vec<Vec<Packed>> = (0..self.n_blocks(top))
            .into_par_iter()
            .map(|index| Ok(self.block(top, index)?.packed))
            .collect::<std::io::Result<_>>()?;
        let mut levels: Vec<Vec<Vec<u8>>> =
            (0..=top).map(|level| vec![Vec::new(); self.n_blocks(level)]).collect();
        for (level, index, bytes) in made.into_iter().flatten() {
            levels[level][index] = bytes;
        }
        Ok(levels)
    }

    fn across(&self, level: usize) -> usize {
        self.sizes[level].1.div_ceil(self.block_px)
    }

    fn n_blocks(&self, level: usize) -> usize {
        self.sizes[level].0.div_ceil(self.block_px) * self.across(level)
    }

    fn window(&self, level: usize, index: usize) -> Window {
        let (row, col) =
            (index / self.across(level) * self.block_px, index % self.across(level) * self.block_px);
        let (height, width) = self.sizes[level];
        Window { row, col, height: self.block_px.min(height - row), width: self.block_px.min(width - col) }
    }

    /// A block of a level: painted, or halved from the four blocks below it.
    fn block(&self, level: usize, index: usize) -> std::io::Result<Made<T>> {
        let window = self.window(level, index);
        let mut bands = vec![vec![T::default(); window.len()]; self.n_bands];
        let mut packed = Vec::new();
        if level == 0 {
            self.paint.paint(window, &mut bands);
        } else {
            let children: Vec<Made<T>> = self
                .below(level, index)
                .into_par_iter()
                .map(|child| self.block(level - 1, child))
                .collect::<std::io::Result<_>>()?;
            for child in children {
                self.halve_into(&child, window, &mut bands);
                packed.extend(child.packed);
            }
        }
        packed.push((level, index, encode(&bands, window, self.block_px, self.options)?));
        Ok(Made { window, bands, packed })
    }

    /// The blocks one level below that a block is made of.
    fn below(&self, level: usize, index: usize) -> Vec<usize> {
        let (row, column) = (index / self.across(level) * 2, index % self.across(level) * 2);
        let across = self.across(level - 1);
        let down = self.n_blocks(level - 1) / across;
        let places = [(row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)];
        places.into_iter().filter(|&(r, c)| r < down && c < across).map(|(r, c)| r * across + c).collect()
    }

    fn halve_into(&self, child: &Made<T>, window: Window, bands: &mut [Vec<T>]) {
        let (row, col) = (child.window.row / 2 - window.row, child.window.col / 2 - window.col);
        for (from, to) in child.bands.iter().zip(bands) {
            let half = halve::halve(
                from,
                child.window.height,
                child.window.width,
                self.options.overviews,
                self.options.nodata,
            );
            for (i, line) in half.chunks_exact(child.window.width.div_ceil(2)).enumerate() {
                to[(row + i) * window.width + col..][..line.len()].copy_from_slice(line);
            }
        }
    }
}
