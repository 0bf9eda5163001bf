//! Cloud Optimized GeoTIFF from a function that paints blocks: the pixels of the whole never lie in memory.
//!
//! Blocks are painted, packed, and halved into the blocks of the overviews while they are in the processor's caches, on all threads, in memory that
//! is used again and again; only packed blocks are kept until the file is written, overviews first. GDAL writes the tags that say where the raster lies and what it is (of a raster of one
//! pixel), this module the rest: header, directories, blocks. The bytes are the same for any number of threads.

use std::io::Write as _;
use std::path::Path;

use contract::file::Whole;
use rayon::prelude::*;

use crate::pack::Packer;
use crate::pool::Pool;
use crate::tiff::{Directory, Template, write_block};
use crate::{CogOptions, Error, Grid, Overviews, Pixel, Result, Window, cog, halve};

/// Paints a window of the grid: one slice a band, `[height, width]`, of the window's size.
pub trait Paint<T>: Sync {
    /// Fills the bands; they come as zeros.
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
        desks: Pool::new(),
        quarters: Pool::new(),
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
            write_block(&mut file, block)?;
        }
        file.flush()
    };
    write().map_err(|e| refuse(e.to_string()))?;
    whole.commit().map_err(|e| refuse(e.to_string()))
}

/// Height and width of the raster and of its smaller copies, halved until they fit one block.
pub(crate) fn sizes(grid: &Grid, overviews: Overviews) -> Vec<(usize, usize)> {
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
    desks: Pool<Desk<T>>,
    quarters: Pool<Vec<Vec<T>>>,
}

/// What one block is made with.
struct Desk<T> {
    bands: Vec<Vec<T>>,
    packer: Packer<T>,
}

/// A packed block: its level, its place in the level, its bytes.
type Packed = (usize, usize, Vec<u8>);

/// Half the rows and columns of a block, and all that was packed on the way to it.
struct Made<T> {
    window: Window,
    halved: Vec<Vec<T>>,
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

    /// A block of a level: painted, or put together from the halves of the four blocks below it.
    fn block(&self, level: usize, index: usize) -> std::io::Result<Made<T>> {
        let window = self.window(level, index);
        let below: Vec<Made<T>> = self
            .below(level, index)
            .into_par_iter()
            .map(|child| self.block(level - 1, child))
            .collect::<std::io::Result<_>>()?;
        // No desk is held while others are waited for: there are no more of them than threads.
        let mut desk = self.desk()?;
        for band in &mut desk.bands {
            band.clear();
            band.resize(window.len(), T::default());
        }
        let mut packed = Vec::new();
        if level == 0 {
            self.paint.paint(window, &mut desk.bands);
        }
        for child in below {
            put(&child, window, &mut desk.bands);
            self.quarters.give(child.halved);
            packed.extend(child.packed);
        }
        packed.push((level, index, desk.packer.pack(&desk.bands, window)?));
        let halved = self.halved(&desk.bands, window, level);
        self.desks.give(desk);
        Ok(Made { window, halved, packed })
    }

    fn desk(&self) -> std::io::Result<Desk<T>> {
        self.desks.take().map_or_else(
            || {
                let packer = Packer::new(self.block_px, self.n_bands, self.options)?;
                Ok(Desk { bands: vec![Vec::new(); self.n_bands], packer })
            },
            Ok,
        )
    }

    /// Half a block for the level above, if there is one.
    fn halved(&self, bands: &[Vec<T>], window: Window, level: usize) -> Vec<Vec<T>> {
        if level + 1 == self.sizes.len() {
            return Vec::new();
        }
        let mut halved = self.quarters.take().unwrap_or_else(|| vec![Vec::new(); self.n_bands]);
        for (band, to) in bands.iter().zip(&mut halved) {
            let (kind, nodata) = (self.options.overviews, self.options.nodata);
            halve::halve_into(band, window.height, window.width, kind, nodata, to);
        }
        halved
    }

    /// The blocks one level below that a block is made of.
    fn below(&self, level: usize, index: usize) -> Vec<usize> {
        if level == 0 {
            return Vec::new();
        }
        let (row, column) = (index / self.across(level) * 2, index % self.across(level) * 2);
        let across = self.across(level - 1);
        let down = self.n_blocks(level - 1) / across;
        let places = [(row, column), (row, column + 1), (row + 1, column), (row + 1, column + 1)];
        places.into_iter().filter(|&(r, c)| r < down && c < across).map(|(r, c)| r * across + c).collect()
    }
}

/// Puts half of a block into its place in a block of the level above.
fn put<T: Pixel>(child: &Made<T>, window: Window, bands: &mut [Vec<T>]) {
    let (row, col) = (child.window.row / 2 - window.row, child.window.col / 2 - window.col);
    let width = child.window.width.div_ceil(2);
    for (from, to) in child.halved.iter().zip(bands) {
        for (i, line) in from.chunks_exact(width).enumerate() {
            to[(row + i) * window.width + col..][..width].copy_from_slice(line);
        }
    }
}
