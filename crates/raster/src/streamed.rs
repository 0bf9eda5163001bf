//! A Cloud Optimized GeoTIFF from pixels that lie somewhere else, such as in a hidden file: blocks are read, packed by all threads and written
//! a few at a time, so that memory does not grow with the raster. The bytes are the same for any number of threads.

use std::fs::File;
use std::io::{BufWriter, Seek as _, SeekFrom, Write as _};

use rayon::prelude::*;

use crate::pack::Packer;
use crate::pool::Pool;
use crate::tiff::{Directory, Form, Template};
use crate::{CogOptions, Pixel, Window};

/// Bytes of unpacked blocks that are held at a time.
const BATCH_BYTES: usize = 64 << 20;

/// What goes into the file.
pub(crate) struct Levels<'a> {
    /// Everything but the blocks.
    pub template: &'a Template,
    /// Height and width of the raster and of its smaller copies.
    pub sizes: &'a [(usize, usize)],
    pub block_px: usize,
    pub n_bands: usize,
    pub options: &'a CogOptions,
}

/// What stopped it.
pub(crate) enum Stopped {
    /// The pixels could not be read.
    Read(String),
    /// The file could not be written.
    Write(std::io::Error),
}

impl From<std::io::Error> for Stopped {
    fn from(error: std::io::Error) -> Self {
        Self::Write(error)
    }
}

impl Levels<'_> {
    /// Writes the file; `read` fills the bands of a window of a level, `[height, width]` each.
    pub fn write<T: Pixel>(
        &self,
        file: &mut File,
        read: impl Fn(usize, Window, &mut [Vec<T>]) -> Result<(), String>,
    ) -> Result<(), Stopped> {
        let mut directories: Vec<Directory> = self.sizes.iter().map(|size| self.directory(*size)).collect();
        let n_blocks: usize = directories.iter().map(|directory| directory.lengths.len()).sum();
        let block_bytes = self.block_px * self.block_px * self.n_bands * size_of::<T>();
        let form = Form::of((n_blocks * block_bytes) as u64);
        let mut out = BufWriter::new(&mut *file);
        // Room for the head, which is known at the end.
        out.write_all(&vec![0; self.template.head_in(form, &directories).len()])?;
        let n_at_once = (BATCH_BYTES / block_bytes).clamp(1, 4 * rayon::current_num_threads());
        let (packers, buffers) = (Pool::new(), Pool::new());
        for level in (0..self.sizes.len()).rev() {
            let windows = self.windows(level);
            for batch in (0..windows.len()).step_by(n_at_once) {
                let windows = &windows[batch..(batch + n_at_once).min(windows.len())];
                let mut blocks = Vec::with_capacity(windows.len());
                for window in windows {
                    let mut bands: Vec<Vec<T>> =
                        buffers.take().unwrap_or_else(|| vec![Vec::new(); self.n_bands]);
                    bands.iter_mut().for_each(|band| band.resize(window.len(), T::default()));
                    read(level, *window, &mut bands).map_err(Stopped::Read)?;
                    blocks.push((*window, bands));
                }
                let packed = blocks.into_par_iter().map(|(window, bands)| {
                    let packer = packers.take();
                    let mut packer =
                        packer.map_or_else(|| Packer::new(self.block_px, self.n_bands, self.options), Ok)?;
                    let packed = packer.pack(&bands, window);
                    packers.give(packer);
                    buffers.give(bands);
                    packed
                });
                for (i, block) in packed.collect::<std::io::Result<Vec<_>>>()?.iter().enumerate() {
                    crate::tiff::write_block(&mut out, block)?;
                    directories[level].lengths[batch + i] = block.len();
                }
            }
        }
        out.flush()?;
        drop(out);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&self.template.head_in(form, &directories))?;
        Ok(())
    }

    fn directory(&self, (height, width): (usize, usize)) -> Directory {
        let n = height.div_ceil(self.block_px) * width.div_ceil(self.block_px);
        Directory { height, width, block_px: self.block_px, lengths: vec![0; n] }
    }

    /// The windows of a level's blocks, in the order of the file.
    fn windows(&self, level: usize) -> Vec<Window> {
        let (height, width) = self.sizes[level];
        Window { row: 0, col: 0, height, width }.tiles(self.block_px).collect()
    }
}
