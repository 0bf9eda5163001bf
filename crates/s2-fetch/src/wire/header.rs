//! The part of a TIFF that says where its blocks lie, read through a function that fetches bytes.
//!
//! All directories and the values that they point to are asked for, since a reader of the file will want them; only the first one, the
//! full image, is understood. Everything in a header may be hostile: counts, offsets and circles are bounded.

use std::collections::BTreeSet;
use std::ops::Range;

use raster::Window;

use crate::fault::Fault;

const MAX_DIRECTORIES: usize = 64;
const MAX_ENTRIES: u64 = 4096;
/// The longest list of values: the offsets of a million blocks.
const MAX_VALUE_BYTES: u64 = 8 << 20;
/// GDAL writes the length of a block before it and its last bytes after it.
const BLOCK_MARGIN_BYTES: u64 = 4;

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const SAMPLES: u16 = 277;
const PLANAR: u16 = 284;
const TILE_WIDTH: u16 = 322;
const TILE_HEIGHT: u16 = 323;
const TILE_OFFSETS: u16 = 324;
const TILE_BYTES: u16 = 325;

/// Where the blocks of a tiled image lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    height: u64,
    width: u64,
    tile_height: u64,
    tile_width: u64,
    /// 1 where a block holds all bands, else the number of bands.
    n_planes: u64,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

impl Layout {
    /// The bytes of all blocks that have a pixel in the window, neighbours of less than `gap` apart in one.
    ///
    /// # Errors
    /// If a block lies beyond the end of the file.
    pub fn ranges(&self, window: Window, file_bytes: u64, gap: u64) -> Result<Vec<Range<u64>>, Fault> {
        let (rows, cols) = (self.height.div_ceil(self.tile_height), self.width.div_ceil(self.tile_width));
        let span =
            |start: usize, n: usize, tile: u64| start as u64 / tile..((start + n) as u64).div_ceil(tile);
        let mut ranges = Vec::new();
        for plane in 0..self.n_planes {
            for row in span(window.row, window.height, self.tile_height) {
                for col in span(window.col, window.width, self.tile_width) {
                    let n = ((plane * rows + row) * cols + col) as usize;
                    let (Some(&offset), Some(&length)) = (self.offsets.get(n), self.lengths.get(n)) else {
                        return Err(damaged("a block that its header does not list"));
                    };
                    let end = offset.checked_add(length).filter(|end| *end <= file_bytes);
                    let end = end.ok_or_else(|| damaged("a block beyond its end"))?;
                    // A block of no bytes holds no data, by the file's own word.
                    if length > 0 {
                        let start = offset.saturating_sub(BLOCK_MARGIN_BYTES);
                        ranges.push(start..(end + BLOCK_MARGIN_BYTES).min(file_bytes));
                    }
                }
            }
        }
        Ok(merged(ranges, gap))
    }
}

/// In order, without overlap, and with gaps shorter than `gap` closed.
fn merged(mut ranges: Vec<Range<u64>>, gap: u64) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start < last.end.saturating_add(gap) => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}

/// Reads the header; `None` if the file is no TIFF in tiles.
///
/// # Errors
/// Those of `fetch`, and a header that makes no sense.
pub(crate) async fn layout(
    mut fetch: impl AsyncFnMut(u64, u64) -> Result<Vec<u8>, Fault>,
) -> Result<Option<Layout>, Fault> {
    let magic = fetch(0, 16).await?;
    let Some(form) = Form::of(&magic) else { return Ok(None) };
    let mut next = form.first(&magic);
    let (mut seen, mut first) = (BTreeSet::new(), None);
    while next != 0 {
        if !seen.insert(next) || seen.len() > MAX_DIRECTORIES {
            return Err(damaged("directories without end"));
        }
        let count = form.number(&fetch(next, form.count_bytes()).await?);
        if count > MAX_ENTRIES {
            return Err(damaged("a directory of absurd length"));
        }
        let entries_bytes = count * form.entry_bytes();
        let body = fetch(next + form.count_bytes(), entries_bytes + form.word()).await?;
        let (entries, link) = body.split_at(entries_bytes as usize);
        let mut values = Vec::new();
        for entry in entries.chunks_exact(form.entry_bytes() as usize) {
            let tag = form.number(&entry[..2]) as u16;
            values.push((tag, form.values(entry, &mut fetch).await?));
        }
        next = form.number(link);
        if first.is_none() {
            first = Some(values);
        }
    }
    Ok(first.and_then(understood))
}

/// The layout, if the directory is of an image in tiles.
fn understood(values: Vec<(u16, Vec<u64>)>) -> Option<Layout> {
    let list = |tag| values.iter().find(|(t, _)| *t == tag).map(|(_, list)| list.as_slice());
    let one = |tag| list(tag).and_then(|list| list.first().copied());
    let positive = |tag| one(tag).filter(|n| (1..=1 << 31).contains(n));
    let apart = one(PLANAR) == Some(2);
    let layout = Layout {
        height: positive(HEIGHT)?,
        width: positive(WIDTH)?,
        tile_height: positive(TILE_HEIGHT)?,
        tile_width: positive(TILE_WIDTH)?,
        n_planes: if apart { one(SAMPLES).unwrap_or(1).clamp(1, 65_535) } else { 1 },
        offsets: list(TILE_OFFSETS)?.to_vec(),
        lengths: list(TILE_BYTES)?.to_vec(),
    };
    Some(layout)
}

/// Byte order and word length.
#[derive(Clone, Copy)]
struct Form {
    little: bool,
    big_tiff: bool,
}

impl Form {
    fn of(magic: &[u8]) -> Option<Self> {
        let little = match magic.get(..2)? {
            b"II" => true,
            b"MM" => false,
            _ => return None,
        };
        let form = Self { little, big_tiff: false };
        match form.number(magic.get(2..4)?) {
            42 => Some(form),
            43 if form.number(magic.get(4..6)?) == 8 => Some(Self { big_tiff: true, ..form }),
            _ => None,
        }
    }

    fn first(self, magic: &[u8]) -> u64 {
        self.number(if self.big_tiff { &magic[8..16] } else { &magic[4..8] })
    }

    fn word(self) -> u64 {
        if self.big_tiff { 8 } else { 4 }
    }

    fn count_bytes(self) -> u64 {
        if self.big_tiff { 8 } else { 2 }
    }

    fn entry_bytes(self) -> u64 {
        if self.big_tiff { 20 } else { 12 }
    }

    fn number(self, bytes: &[u8]) -> u64 {
        let join = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.little { bytes.iter().rev().fold(0, join) } else { bytes.iter().fold(0, join) }
    }

    /// The whole numbers of an entry. Values of other types are fetched, and not understood.
    async fn values(
        self,
        entry: &[u8],
        fetch: &mut impl AsyncFnMut(u64, u64) -> Result<Vec<u8>, Fault>,
    ) -> Result<Vec<u64>, Fault> {
        let word = self.word() as usize;
        let (kind, count) = (self.number(&entry[2..4]), self.number(&entry[4..4 + word]));
        let size = match kind {
            1 | 2 | 6 | 7 => 1,
            3 | 8 => 2,
            4 | 9 | 11 | 13 => 4,
            5 | 10 | 12 | 16 | 17 | 18 => 8,
            _ => return Ok(Vec::new()),
        };
        let n_bytes = count.checked_mul(size).filter(|n| *n <= MAX_VALUE_BYTES);
        let n_bytes = n_bytes.ok_or_else(|| damaged("a list of absurd length"))?;
        let inline = &entry[4 + word..];
        let bytes = if n_bytes <= self.word() {
            inline[..n_bytes as usize].to_vec()
        } else {
            fetch(self.number(inline), n_bytes).await?
        };
        let whole = matches!(kind, 3 | 4 | 16);
        Ok(if whole {
            bytes.chunks_exact(size as usize).map(|b| self.number(b)).collect()
        } else {
            Vec::new()
        })
    }
}

fn damaged(found: &str) -> Fault {
    Fault::passing(format!("want a sound TIFF, found {found}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    async fn layout_of(bytes: &[u8]) -> Result<Option<Layout>, Fault> {
        layout(async |offset: u64, n: u64| {
            let end = offset.checked_add(n).filter(|end| *end <= bytes.len() as u64);
            end.map(|end| bytes[offset as usize..end as usize].to_vec())
                .ok_or_else(|| damaged("an address beyond its end"))
        })
        .await
    }

    /// Little-endian, classic: 20 x 30 pixels in blocks of 16 x 16, two bands apart.
    fn tiff(planar: u16) -> Vec<u8> {
        let mut bytes = b"II\x2a\0\x08\0\0\0".to_vec();
        let entries: [(u16, u16, u32, u32); 8] = [
            (WIDTH, 3, 1, 30),
            (HEIGHT, 3, 1, 20),
            (SAMPLES, 3, 1, 2),
            (PLANAR, 3, 1, planar.into()),
            (TILE_WIDTH, 3, 1, 16),
            (TILE_HEIGHT, 3, 1, 16),
            (TILE_OFFSETS, 4, 8, 110),
            (TILE_BYTES, 3, 8, 142),
        ];
        bytes.extend(8u16.to_le_bytes());
        for (tag, kind, count, value) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(kind.to_le_bytes());
            bytes.extend(count.to_le_bytes());
            bytes.extend(value.to_le_bytes());
        }
        bytes.extend(0u32.to_le_bytes());
        bytes.resize(110, 0);
        (0..8u32).for_each(|n| bytes.extend((1000 + n * 1000).to_le_bytes()));
        (0..8u16).for_each(|n| bytes.extend((if n == 3 { 0u16 } else { 100 }).to_le_bytes()));
        bytes
    }

    #[tokio::test]
    async fn the_blocks_of_a_window_are_found_in_every_band_and_no_others() {
        let found = layout_of(&tiff(2)).await.unwrap().unwrap();
        let window = |row, col, height, width| Window { row, col, height, width };
        let starts = |w, gap| -> Vec<u64> {
            found.ranges(w, 100_000, gap).unwrap().iter().map(|r| r.start + BLOCK_MARGIN_BYTES).collect()
        };
        assert_eq!(starts(window(0, 0, 16, 16), 0), [1000, 5000]);
        assert_eq!(starts(window(15, 15, 1, 2), 0), [1000, 2000, 5000, 6000]);
        assert_eq!(
            starts(window(0, 0, 20, 30), 0),
            [1000, 2000, 3000, 5000, 6000, 7000, 8000],
            "one is empty"
        );
        assert_eq!(starts(window(0, 0, 20, 30), 1000), [1000, 5000], "neighbours travel together");
        assert!(found.ranges(window(0, 0, 20, 30), 5050, 0).is_err(), "a block beyond the end");
    }

    #[tokio::test]
    async fn what_is_no_tiled_tiff_has_no_layout_and_a_hostile_header_no_way_through() {
        assert_eq!(layout_of(b"\x89PNG\r\n\x1a\n\0\0\0\0\0\0\0\0").await.unwrap(), None);
        let good = tiff(1);
        let mut striped = good.clone();
        striped[10 + 4 * 12] = 99;
        assert_eq!(layout_of(&striped).await.unwrap(), None);
        let mut circle = good.clone();
        circle[106..110].copy_from_slice(&8u32.to_le_bytes());
        assert!(layout_of(&circle).await.is_err());
        // Any change of any byte ends, in an answer or in a fault.
        for at in 0..110 {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                if let Ok(Some(layout)) = layout_of(&bytes).await {
                    let _ = layout.ranges(Window { row: 0, col: 0, height: 20, width: 30 }, 1 << 20, 0);
                }
            }
        }
    }
}
