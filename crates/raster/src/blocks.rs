//! Blocks of plain GeoTIFF, read and unpacked by all threads: GDAL unpacks one block after the other.
//!
//! It knows little-endian files whose blocks are stored, deflated or ZSTD, with any of TIFF's predictors, in the pixel types of [`Dtype`], and is
//! right or silent: whatever else a file holds, and whatever does not decode to the last byte, gives `None`, and GDAL has its say.

use std::collections::BTreeSet;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};
use rayon::prelude::*;

use crate::directory::{Directory, Packing};
use crate::{Dtype, Pixel, Window};

/// A file whose blocks lie open.
#[derive(Debug)]
pub struct Blocks {
    file: File,
    directory: Directory,
}

/// How a frame of ZSTD begins, and the bit of the byte after it that says that a checksum follows the block.
const FRAME: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const FRAME_START: usize = 5;
const CHECKSUM_FLAG: u8 = 4;

/// What a block is unpacked with.
#[derive(Default)]
struct Scratch {
    packed: Vec<u8>,
    bytes: Vec<u8>,
    line: Vec<u8>,
}

/// Lines of the window that lie in one row of blocks, and the first of them.
type Part<'a, T> = (usize, &'a mut [T]);

impl Blocks {
    /// The first raster of a file, if it is of a kind that is known here and has this size and type of pixel.
    pub fn open(
        path: &Path,
        (height, width): (usize, usize),
        n_bands: usize,
        dtype: Dtype,
    ) -> Option<Blocks> {
        let file = File::open(path).ok()?;
        let directory = Directory::read(&|buffer: &mut [u8], at: u64| file.read_exact_at(buffer, at).ok())?;
        let as_said = directory.height == height && directory.width == width && directory.n_bands == n_bands;
        (as_said && directory.dtype == dtype).then_some(Blocks { file, directory })
    }

    /// A window of a band, counted from 0: `[height, width]`.
    pub fn read<T: Pixel>(&self, band: usize, window: Window, pixels: &mut [T]) -> Option<()> {
        match self.directory.dtype {
            Dtype::U8 => self.read_as::<u8, T>(band, window, pixels),
            Dtype::U16 => self.read_as::<u16, T>(band, window, pixels),
            Dtype::I16 => self.read_as::<i16, T>(band, window, pixels),
            Dtype::U32 => self.read_as::<u32, T>(band, window, pixels),
            Dtype::I32 => self.read_as::<i32, T>(band, window, pixels),
            Dtype::F32 => self.read_as::<f32, T>(band, window, pixels),
            Dtype::F64 => self.read_as::<f64, T>(band, window, pixels),
        }
    }

    /// Whether the blocks at the lower edge under some columns hold to their checksums; those in `proved` do. GDAL unpacks no more of such a
    /// block than the lines inside the raster, and so never comes to its checksum.
    pub fn are_whole_below(&self, band: usize, cols: Range<usize>, proved: &mut BTreeSet<usize>) -> bool {
        let d = &self.directory;
        if d.packing != Packing::Zstd || !d.tiled || d.height.is_multiple_of(d.block_height) {
            return true;
        }
        let across = cols.start / d.block_width..cols.end.div_ceil(d.block_width);
        let blocks = across.filter_map(|col| d.block(band, d.height / d.block_height, col));
        blocks.into_iter().all(|block| {
            let whole = proved.contains(&block) || self.is_whole(block);
            if whole {
                proved.insert(block);
            }
            whole
        })
    }

    /// Whether a block of ZSTD unpacks to its checksum; one without any is believed.
    fn is_whole(&self, block: usize) -> bool {
        let d = &self.directory;
        let (offset, n) = (d.offsets[block], d.lengths[block]);
        let mut start = [0; FRAME_START];
        if n < FRAME_START || self.file.read_exact_at(&mut start, offset).is_err() {
            return true;
        }
        if start[..4] != FRAME || start[4] & CHECKSUM_FLAG == 0 || n > 2 * d.block_bytes() + 1024 {
            return true;
        }
        let mut packed = vec![0; n];
        let read = self.file.read_exact_at(&mut packed, offset);
        read.is_ok() && zstd::bulk::decompress(&packed, d.block_bytes()).is_ok()
    }

    fn read_as<S: Pixel, T: Pixel>(&self, band: usize, window: Window, pixels: &mut [T]) -> Option<()> {
        let parts = self.parts(window, pixels);
        parts.into_par_iter().try_for_each_init(Scratch::default, |scratch, (row, part)| {
            let lines = Window { row, height: part.len() / window.width, ..window };
            self.read_lines::<S, T>(band, lines, part, scratch)
        })
    }

    /// Cuts the pixels of a window where rows of blocks meet.
    fn parts<'a, T>(&self, window: Window, mut pixels: &'a mut [T]) -> Vec<Part<'a, T>> {
        let (mut row, mut parts) = (window.row, Vec::new());
        while row < window.row + window.height {
            let next = (row / self.directory.block_height + 1) * self.directory.block_height;
            let n = next.min(window.row + window.height) - row;
            let (part, rest) = pixels.split_at_mut(n * window.width);
            parts.push((row, part));
            (row, pixels) = (row + n, rest);
        }
        parts
    }

    /// Lines of one row of blocks.
    fn read_lines<S: Pixel, T: Pixel>(
        &self,
        band: usize,
        window: Window,
        pixels: &mut [T],
        scratch: &mut Scratch,
    ) -> Option<()> {
        let d = &self.directory;
        let (block_row, inside) = (window.row / d.block_height, window.row % d.block_height);
        let end = window.col + window.width;
        for block_col in window.col / d.block_width..end.div_ceil(d.block_width) {
            let block = d.block(band, block_row, block_col)?;
            self.unpack::<S>(block, block_row, scratch)?;
            let first = block_col * d.block_width;
            let (left, right) = (window.col.max(first), end.min(first + d.block_width));
            let (samples, sample) = if d.together { (d.n_bands, band) } else { (1, 0) };
            for (i, line) in pixels.chunks_exact_mut(window.width).enumerate() {
                let at = ((inside + i) * d.block_width + left - first) * samples;
                let values = scratch.bytes[at * size_of::<S>()..].chunks_exact(size_of::<S>()).map(S::of_le);
                let to = line[left - window.col..right - window.col].iter_mut();
                let cast = |(to, value): (&mut T, S)| *to = T::of_f64(value.to_f64());
                if samples == 1 {
                    to.zip(values).for_each(cast);
                } else {
                    to.zip(values.skip(sample).step_by(samples)).for_each(cast);
                }
            }
        }
        Some(())
    }

    /// Fills the scratch with the values of a block, their bytes the lightest first.
    fn unpack<S: Pixel>(&self, block: usize, block_row: usize, scratch: &mut Scratch) -> Option<()> {
        let d = &self.directory;
        let (offset, n) = (d.offsets[block], d.lengths[block]);
        // A block that is not there stands for no data: GDAL knows its value.
        if n == 0 || n > d.block_bytes().saturating_mul(2).saturating_add(1024) {
            return None;
        }
        scratch.packed.resize(n, 0);
        self.file.read_exact_at(&mut scratch.packed, offset).ok()?;
        // The last strip has only the lines that are there.
        let lines =
            if d.tiled { d.block_height } else { d.block_height.min(d.height - block_row * d.block_height) };
        let n_bytes = lines * d.line_bytes();
        scratch.bytes.resize(n_bytes, 0);
        match d.packing {
            Packing::Stored => scratch.bytes.copy_from_slice(scratch.packed.get(..n_bytes)?),
            Packing::Deflate => inflate(&scratch.packed, &mut scratch.bytes)?,
            Packing::Zstd => {
                let found = zstd::bulk::decompress_to_buffer(&scratch.packed, &mut scratch.bytes).ok()?;
                (found == n_bytes).then_some(())?;
            }
        }
        let stride = if d.together { d.n_bands } else { 1 };
        match d.predictor {
            1 => {}
            2 => scratch
                .bytes
                .chunks_exact_mut(d.line_bytes())
                .for_each(|line| undo_differences::<S>(line, stride)),
            _ => {
                scratch.line.resize(d.line_bytes(), 0);
                for line in scratch.bytes.chunks_exact_mut(d.line_bytes()) {
                    undo_planes(line, &mut scratch.line, stride, size_of::<S>());
                }
            }
        }
        Some(())
    }
}

/// All bytes of a block, or none.
fn inflate(packed: &[u8], bytes: &mut [u8]) -> Option<()> {
    let mut inflater = Decompress::new(true);
    let status = inflater.decompress(packed, bytes, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd && inflater.total_out() == bytes.len() as u64).then_some(())
}

/// Sums of neighbours, around the ends of the range.
fn undo_differences<S: Pixel>(line: &mut [u8], stride: usize) {
    let width = size_of::<S>();
    for at in (stride * width..line.len()).step_by(width) {
        let sum = S::of_le(&line[at..]).more(S::of_le(&line[at - stride * width..]));
        let mut number = [0; 8];
        sum.put_le(&mut number);
        line[at..at + width].copy_from_slice(&number[..width]);
    }
}

/// Sums of neighbouring bytes, then the bytes of a value together: they lie by weight, the heaviest first.
fn undo_planes(line: &mut [u8], planes: &mut [u8], stride: usize, width: usize) {
    let n = line.len() / width;
    planes.copy_from_slice(line);
    if let (4, 1) = (width, stride) {
        return undo_four_planes(line, planes);
    }
    (stride..planes.len()).for_each(|i| planes[i] = planes[i].wrapping_add(planes[i - stride]));
    for (i, to) in line.chunks_exact_mut(width).enumerate() {
        to.iter_mut().rev().zip(planes[i..].iter().step_by(n)).for_each(|(to, from)| *to = *from);
    }
}

/// The same for one band of four bytes: the planes' sums run side by side, each from the end of the plane before it.
fn undo_four_planes(line: &mut [u8], planes: &[u8]) {
    let n = planes.len() / 4;
    let (a, rest) = planes.split_at(n);
    let (b, rest) = rest.split_at(n);
    let (c, d) = rest.split_at(n);
    let end = |start: u8, plane: &[u8]| plane.iter().fold(start, |sum, byte| sum.wrapping_add(*byte));
    let mut sums = [0, end(0, a), 0, 0];
    sums[2] = end(sums[1], b);
    sums[3] = end(sums[2], c);
    for (to, ((a, b), (c, d))) in line.chunks_exact_mut(4).zip(a.iter().zip(b).zip(c.iter().zip(d))) {
        let next = [a, b, c, d];
        sums = std::array::from_fn(|i| sums[i].wrapping_add(*next[i]));
        to.copy_from_slice(&u32::from_be_bytes(sums).to_le_bytes());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
