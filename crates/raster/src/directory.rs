//! The first directory of a little-endian TIFF, as far as its blocks can be read without GDAL.

use crate::Dtype;

/// How blocks are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Stored,
    /// zlib's deflate.
    Deflate,
    /// Zstandard.
    Zstd,
}

/// Fills a buffer from an offset of a file, wholly or not at all.
pub trait ReadAt: Fn(&mut [u8], u64) -> Option<()> {}

impl<F: Fn(&mut [u8], u64) -> Option<()>> ReadAt for F {}

/// More entries than any TIFF has.
const MAX_ENTRIES: u64 = 4096;
/// The largest array of a directory: the offsets of four million blocks.
const MAX_ARRAY_BYTES: u64 = 32 << 20;
/// The largest unpacked block: what GDAL is asked for elsewhere, and far more than anybody writes.
const MAX_BLOCK_BYTES: usize = 64 << 20;

/// Where the blocks lie and what they hold.
#[derive(Debug)]
pub struct Directory {
    pub height: usize,
    pub width: usize,
    pub n_bands: usize,
    pub dtype: Dtype,
    pub block_height: usize,
    pub block_width: usize,
    pub tiled: bool,
    /// Whether the bands of a pixel lie side by side.
    pub together: bool,
    pub packing: Packing,
    /// TIFF's number of it: 1 for none, 2 for differences, 3 for bytes by their weight.
    pub predictor: u64,
    pub offsets: Vec<u64>,
    pub lengths: Vec<usize>,
}

impl Directory {
    /// Reads it; `None` for what is not known here.
    pub fn read(file: &impl ReadAt) -> Option<Directory> {
        let entries = Entries::read(file)?;
        let one = |id: u16, usual: u64| {
            if entries.has(id) { entries.get(file, id)?.first().copied() } else { Some(usual) }
        };
        let size =
            |id: u16| one(id, 0).and_then(|n| usize::try_from(n).ok()).filter(|&n| n > 0 && n < 1 << 31);
        let (height, width, n_bands) = (size(257)?, size(256)?, usize::try_from(one(277, 1)?).ok()?);
        let tiled = entries.has(322);
        let block_width = if tiled { size(322)? } else { width };
        let block_height = if tiled { size(323)? } else { size(278).unwrap_or(height).min(height) };
        let (offsets, lengths) = if tiled { (324, 325) } else { (273, 279) };
        let dtype = dtype(
            &entries.get(file, 258)?,
            &if entries.has(339) { entries.get(file, 339)? } else { vec![1] },
        )?;
        let packing = match one(259, 1)? {
            1 => Packing::Stored,
            8 | 32_946 => Packing::Deflate,
            50_000 => Packing::Zstd,
            _ => return None,
        };
        let predictor = if packing == Packing::Stored { 1 } else { one(317, 1)? };
        let float = matches!(dtype, Dtype::F32 | Dtype::F64);
        let known = matches!((predictor, float), (1, _) | (2, false) | (3, true));
        let directory = Directory {
            height,
            width,
            n_bands,
            dtype,
            block_height,
            block_width,
            tiled,
            together: one(284, 1)? == 1,
            packing,
            predictor,
            offsets: entries.get(file, offsets)?,
            lengths: entries
                .get(file, lengths)?
                .into_iter()
                .map(usize::try_from)
                .collect::<Result<_, _>>()
                .ok()?,
        };
        // No bits from the other end, no samples that share colours, and planes together or apart.
        let plain = one(266, 1)? == 1 && one(262, 1)? <= 3 && matches!(one(284, 1)?, 1 | 2);
        (known && plain && directory.is_complete()).then_some(directory)
    }

    /// The place of a block among the offsets.
    pub fn block(&self, band: usize, block_row: usize, block_col: usize) -> Option<usize> {
        let (down, across) = self.n_blocks();
        let plane = if self.together { 0 } else { band };
        (block_row < down && block_col < across).then_some((plane * down + block_row) * across + block_col)
    }

    /// Bytes of an unpacked line of a block.
    pub fn line_bytes(&self) -> usize {
        self.block_width * self.dtype.bytes() * if self.together { self.n_bands } else { 1 }
    }

    /// Bytes of an unpacked block.
    pub fn block_bytes(&self) -> usize {
        self.line_bytes().saturating_mul(self.block_height)
    }

    fn n_blocks(&self) -> (usize, usize) {
        (self.height.div_ceil(self.block_height), self.width.div_ceil(self.block_width))
    }

    fn is_complete(&self) -> bool {
        let (down, across) = self.n_blocks();
        let planes = if self.together { 1 } else { self.n_bands };
        let wanted = down.checked_mul(across).and_then(|n| n.checked_mul(planes));
        let usual =
            (1..=4096).contains(&self.n_bands) && self.block_width < 1 << 20 && self.block_height < 1 << 20;
        usual
            && self.block_bytes() <= MAX_BLOCK_BYTES
            && wanted == Some(self.offsets.len())
            && wanted == Some(self.lengths.len())
    }
}

/// The pixel type of equal samples of some bits and a format: 1 for whole numbers, 2 for signed ones, 3 for floats.
fn dtype(bits: &[u64], formats: &[u64]) -> Option<Dtype> {
    let (&bit, &format) = (bits.first()?, formats.first()?);
    if bits.iter().any(|other| *other != bit) || formats.iter().any(|other| *other != format) {
        return None;
    }
    Some(match (bit, format) {
        (8, 1) => Dtype::U8,
        (16, 1) => Dtype::U16,
        (16, 2) => Dtype::I16,
        (32, 1) => Dtype::U32,
        (32, 2) => Dtype::I32,
        (32, 3) => Dtype::F32,
        (64, 3) => Dtype::F64,
        _ => return None,
    })
}

/// The entries of a directory: number, type, count, and the bytes of the value or of its offset.
struct Entries {
    big: bool,
    entries: Vec<(u16, u16, u64, [u8; 8])>,
}

impl Entries {
    fn read(file: &impl ReadAt) -> Option<Entries> {
        let mut header = [0; 16];
        file(&mut header, 0)?;
        let big = match &header[..4] {
            b"II*\0" => false,
            b"II+\0" => true,
            _ => return None,
        };
        let first = if big { number(&header[8..16]) } else { number(&header[4..8]) };
        let (count_bytes, entry_bytes) = if big { (8, 20) } else { (2, 12) };
        let n = number(&bytes(file, first, count_bytes)?);
        if n > MAX_ENTRIES {
            return None;
        }
        let table = bytes(file, first.checked_add(count_bytes)?, n * entry_bytes)?;
        let entry = |entry: &[u8]| {
            let count_end = if big { 12 } else { 8 };
            let mut value = [0; 8];
            value[..entry.len() - count_end].copy_from_slice(&entry[count_end..]);
            (number(&entry[..2]) as u16, number(&entry[2..4]) as u16, number(&entry[4..count_end]), value)
        };
        Some(Entries { big, entries: table.chunks_exact(entry_bytes as usize).map(entry).collect() })
    }

    fn has(&self, id: u16) -> bool {
        self.entries.iter().any(|entry| entry.0 == id)
    }

    /// The whole numbers of an entry.
    fn get(&self, file: &impl ReadAt, id: u16) -> Option<Vec<u64>> {
        let (_, kind, count, value) = self.entries.iter().find(|entry| entry.0 == id)?;
        let width = match kind {
            1 => 1,
            3 => 2,
            4 => 4,
            16 => 8,
            _ => return None,
        };
        let n_bytes = count.checked_mul(width)?;
        let inside = if self.big { 8 } else { 4 };
        let found = if n_bytes <= inside {
            value[..n_bytes as usize].to_vec()
        } else {
            bytes(file, number(&value[..inside as usize]), n_bytes)?
        };
        Some(found.chunks_exact(width as usize).map(number).collect())
    }
}

/// A whole number of up to eight bytes, the lightest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn bytes(file: &impl ReadAt, offset: u64, n: u64) -> Option<Vec<u8>> {
    if n > MAX_ARRAY_BYTES {
        return None;
    }
    let mut bytes = vec![0; n as usize];
    file(&mut bytes, offset)?;
    Some(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Numbers at which counts, sizes and offsets break.
    const ODD: [u64; 11] = [0, 1, 2, 3, 7, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF, 1 << 40, u64::MAX];

    /// Entries of a raster of 40 x 50 pixels of two bands in blocks of 16 x 16.
    fn entries() -> Vec<(u16, u16, Vec<u64>)> {
        let blocks: Vec<u64> = (0..12).map(|i| 1000 + 100 * i).collect();
        vec![
            (256, 3, vec![50]),
            (257, 4, vec![40]),
            (258, 3, vec![16, 16]),
            (259, 3, vec![50_000]),
            (262, 3, vec![1]),
            (277, 3, vec![2]),
            (284, 3, vec![1]),
            (317, 3, vec![2]),
            (322, 3, vec![16]),
            (323, 4, vec![16]),
            (324, 4, blocks),
            (325, 4, vec![90; 12]),
        ]
    }

    fn file(big: bool, entries: &[(u16, u16, Vec<u64>)]) -> Vec<u8> {
        let mut bytes =
            if big { b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0".to_vec() } else { b"II*\0\x08\0\0\0".to_vec() };
        let number = |bytes: &mut Vec<u8>, value: u64, n: usize| bytes.extend(&value.to_le_bytes()[..n]);
        let (count_bytes, entry_bytes, inside) = if big { (8, 20, 8) } else { (2, 12, 4) };
        let mut outside = Vec::new();
        let values = bytes.len() + count_bytes + entries.len() * entry_bytes + inside;
        number(&mut bytes, entries.len() as u64, count_bytes);
        for (id, kind, numbers) in entries {
            number(&mut bytes, (*id).into(), 2);
            number(&mut bytes, (*kind).into(), 2);
            number(&mut bytes, numbers.len() as u64, inside);
            let mut value = Vec::new();
            numbers.iter().for_each(|n| number(&mut value, *n, if *kind == 3 { 2 } else { 4 }));
            if value.len() > inside {
                let at = (values + outside.len()) as u64;
                outside.extend(value);
                value = at.to_le_bytes().to_vec();
            }
            value.resize(inside, 0);
            bytes.extend(value);
        }
        bytes.extend(vec![0; inside]);
        bytes.extend(outside);
        bytes
    }

    fn read(file: &[u8]) -> Option<Directory> {
        Directory::read(&|buffer: &mut [u8], at: u64| {
            let start = usize::try_from(at).ok()?;
            buffer.copy_from_slice(file.get(start..start.checked_add(buffer.len())?)?);
            Some(())
        })
    }

    fn holds_together(found: &Directory) {
        let (down, across) = found.n_blocks();
        let last = found.block(found.n_bands - 1, down - 1, across - 1);
        assert_eq!(last.map(|block| block + 1), Some(found.offsets.len()));
        assert_eq!(found.block(0, down, 0).or(found.block(0, 0, across)), None);
        assert!(found.line_bytes() > 0 && found.block_bytes() <= MAX_BLOCK_BYTES);
    }

    #[test]
    fn a_directory_is_read_in_both_forms() {
        for big in [false, true] {
            let found = read(&file(big, &entries())).unwrap();
            assert_eq!((found.height, found.width, found.n_bands, found.dtype), (40, 50, 2, Dtype::U16));
            assert_eq!((found.offsets[11], found.lengths[11], found.packing), (2100, 90, Packing::Zstd));
            holds_together(&found);
        }
    }

    #[test]
    fn a_damaged_directory_is_refused_or_holds_together() {
        let (mut n_read, mut n_refused) = (0, 0);
        let mut judge = |file: &[u8]| match read(file) {
            Some(found) => {
                holds_together(&found);
                n_read += 1;
            }
            None => n_refused += 1,
        };
        for big in [false, true] {
            let whole = file(big, &entries());
            for at in 0..whole.len() {
                judge(&whole[..at]);
                for odd in ODD {
                    let mut bytes = whole.clone();
                    let n = [1, 2, 4, 8][at % 4].min(bytes.len() - at);
                    bytes[at..at + n].copy_from_slice(&odd.to_le_bytes()[..n]);
                    judge(&bytes);
                }
            }
            for (i, odd) in (0..entries().len()).flat_map(|i| ODD.map(|odd| (i, odd))) {
                let mut entries = entries();
                entries[i].2[0] = odd;
                judge(&file(big, &entries));
                entries.remove(i);
                judge(&file(big, &entries));
            }
        }
        assert!(n_read > 500 && n_refused > 2000, "{n_read} read, {n_refused} refused");
    }
}
