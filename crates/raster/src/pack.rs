//! Blocks of a raster as packed bytes: the bands of a pixel side by side, TIFF's predictor, ZSTD.
//!
//! Maps of tiles are made of few different lines: a line that equals the one above is copied, a block of one value is packed once, and a block of few
//! lines takes a light level of ZSTD, whose long matches find all that a heavy one finds. Which way a block goes depends on its pixels alone, so the
//! bytes are the same whichever packer packs it. Each block carries a checksum of its unpacked bytes, which every reader's ZSTD holds it to.

use zstd::bulk::Compressor;

use crate::{CogOptions, Dtype, Pixel, Window};

/// The level for blocks of few different lines. Its match finder keeps no state between blocks that could show in their bytes.
const LIGHT_LEVEL: u8 = 4;
/// A block has few different lines if this many times as many make it up.
const FEW_LINES: usize = 32;

/// The level for those of them on which the light one does badly: heavier ones find no more.
const MIDDLE_LEVEL: i32 = 6;
/// Packed bytes of a different line of a band above which the light level has done badly.
const LIGHT_LINE_BYTES: usize = 256;

/// TIFF's predictors.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Predictor {
    /// Values as they are.
    None,
    /// Differences of neighbours.
    Difference,
    /// Bytes of equal weight together, then their differences.
    Float,
}

impl Predictor {
    /// The number in the tag.
    pub fn code(self) -> u32 {
        match self {
            Predictor::None => 1,
            Predictor::Difference => 2,
            Predictor::Float => 3,
        }
    }
}

/// Differences of neighbours pack better for quantities, worse for codes.
pub fn predictor<T: Pixel>(options: &CogOptions) -> Predictor {
    match T::DTYPE {
        _ if options.colours.is_some() => Predictor::None,
        Dtype::F32 | Dtype::F64 => Predictor::Float,
        _ => Predictor::Difference,
    }
}

/// Packs blocks one after the other in the same memory.
pub struct Packer<T> {
    block_px: usize,
    n_bands: usize,
    predictor: Predictor,
    padding: T,
    level: i32,
    light: Compressor<'static>,
    line: Vec<T>,
    planes: Vec<u8>,
    bytes: Vec<u8>,
    packed: Vec<u8>,
    constant: Option<(Vec<u8>, Vec<u8>)>,
}

impl<T: Pixel> Packer<T> {
    /// A packer of blocks of a size.
    pub fn new(block_px: usize, n_bands: usize, options: &CogOptions) -> std::io::Result<Self> {
        let padding = options.nodata.map_or_else(T::default, T::of_f64);
        let mut light = Compressor::new(i32::from(options.zstd_level.min(LIGHT_LEVEL)))?;
        light.include_checksum(true)?;
        Ok(Self {
            block_px,
            n_bands,
            predictor: predictor::<T>(options),
            padding,
            level: i32::from(options.zstd_level),
            light,
            line: vec![padding; block_px * n_bands],
            planes: Vec::new(),
            bytes: Vec::new(),
            packed: Vec::new(),
            constant: None,
        })
    }

    /// A block of a window's bands, `[height, width]` each, padded to the block's size.
    pub fn pack(&mut self, bands: &[Vec<T>], window: Window) -> std::io::Result<Vec<u8>> {
        let n_lines = self.lay_out(bands, window);
        let full = window.height == self.block_px && window.width == self.block_px;
        let first: &[T] = &self.line;
        let constant =
            n_lines == 1 && full && T::same(&first[self.n_bands..], &first[..first.len() - self.n_bands]);
        if !constant {
            return self.compress(n_lines);
        }
        let value = self.first_pixel();
        if let Some((of, packed)) = &self.constant
            && *of == value
        {
            return Ok(packed.clone());
        }
        let packed = self.compress(n_lines)?;
        self.constant = Some((value, packed.clone()));
        Ok(packed)
    }

    /// All bands of the line's first pixel as bytes.
    fn first_pixel(&self) -> Vec<u8> {
        let bytes = |value: &T| {
            let mut number = [0; 8];
            value.put_le(&mut number);
            number
        };
        self.line[..self.n_bands].iter().flat_map(bytes).collect()
    }

    fn compress(&mut self, n_lines: usize) -> std::io::Result<Vec<u8>> {
        let few = n_lines * FEW_LINES <= self.block_px;
        if few {
            self.packed.clear();
            self.packed.reserve(zstd::zstd_safe::compress_bound(self.bytes.len()));
            self.light.compress_to_buffer(&self.bytes, &mut self.packed)?;
            // Now and then the light level misses the long matches.
            if self.packed.len() <= LIGHT_LINE_BYTES * n_lines * self.n_bands {
                return Ok(self.packed.clone());
            }
        }
        // These levels remember in which order blocks came: each block begins anew.
        let mut anew = Compressor::new(if few { self.level.min(MIDDLE_LEVEL) } else { self.level })?;
        anew.include_checksum(true)?;
        anew.compress(&self.bytes)
    }

    /// Fills the unpacked bytes of the block, and says how many of its lines differ from the one above.
    fn lay_out(&mut self, bands: &[Vec<T>], window: Window) -> usize {
        let line_bytes = self.line.len() * size_of::<T>();
        self.bytes.clear();
        let mut n_lines = 0;
        for row in 0..self.block_px {
            if row > 0 && as_above(bands, window, row) {
                let start = self.bytes.len() - line_bytes;
                self.bytes.extend_from_within(start..);
                continue;
            }
            n_lines += 1;
            self.line.fill(self.padding);
            if row < window.height {
                for (b, band) in bands.iter().enumerate() {
                    let pixels = &band[row * window.width..][..window.width];
                    let places = self.line.iter_mut().skip(b).step_by(self.n_bands);
                    places.zip(pixels).for_each(|(to, from)| *to = *from);
                }
            }
            self.predict();
        }
        n_lines
    }

    /// Appends the line as its predictor wants it.
    fn predict(&mut self) {
        let (width, stride, line) = (size_of::<T>(), self.n_bands, &self.line);
        let start = self.bytes.len();
        self.bytes.resize(start + line.len() * width, 0);
        let out = &mut self.bytes[start..];
        let mut number = [0; 8];
        if self.predictor != Predictor::Float {
            for (i, (value, to)) in line.iter().zip(out.chunks_exact_mut(width)).enumerate() {
                let differs = self.predictor == Predictor::Difference && i >= stride;
                let value = if differs { value.less(line[i - stride]) } else { *value };
                value.put_le(&mut number);
                to.copy_from_slice(&number[..width]);
            }
            return;
        }
        // The heaviest bytes first.
        self.planes.resize(line.len() * width, 0);
        for (weight, plane) in (0..width).rev().zip(self.planes.chunks_exact_mut(line.len())) {
            for (to, value) in plane.iter_mut().zip(line) {
                value.put_le(&mut number);
                *to = number[weight];
            }
        }
        out[..stride].copy_from_slice(&self.planes[..stride]);
        let (after, before) = (&self.planes[stride..], &self.planes);
        let differences = out[stride..].iter_mut().zip(after).zip(before);
        differences.for_each(|((to, after), before)| *to = after.wrapping_sub(*before));
    }
}

/// Whether a line of the block is the one above it; lines below the window are padding.
fn as_above<T: Pixel>(bands: &[Vec<T>], window: Window, row: usize) -> bool {
    if row >= window.height {
        return row > window.height;
    }
    bands.iter().all(|band| {
        let (above, here) = band[(row - 1) * window.width..][..2 * window.width].split_at(window.width);
        T::same(above, here)
    })
}
