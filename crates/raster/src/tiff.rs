//! The bytes of a GeoTIFF around its blocks: tags that GDAL makes, header, directories.

use std::sync::atomic::{AtomicUsize, Ordering};

use gdal::cpl::CslStringList;
use gdal::spatial_ref::SpatialRef;
use gdal::{DriverManager, Metadata, vsi};

use crate::error::said;
use crate::pack::predictor;
use crate::{CogOptions, Dtype, Error, Grid, Pixel, Result, cog};

/// Tags that say where a raster lies and what it holds: colours, extra bands, sample format, place, coordinate system, metadata, no-data value.
const KEPT: [u16; 14] = [258, 262, 277, 284, 320, 338, 339, 33550, 33922, 34264, 34735, 34736, 34737, 42112];
const NODATA: u16 = 42113;
/// A file that could grow beyond this has 8-byte offsets.
const CLASSIC_LIMIT_BYTES: u64 = 4_000_000_000;
const ZSTD: u32 = 50_000;
/// What each block has before and after it: its length, and its last four bytes again.
const LEADER_BYTES: u64 = 4;
const TRAILER_BYTES: u64 = 4;

const STRUCTURE: &str = "LAYOUT=IFDS_BEFORE_DATA\nBLOCK_ORDER=ROW_MAJOR\nBLOCK_LEADER=SIZE_AS_UINT4\n\
                         BLOCK_TRAILER=LAST_4_BYTES_REPEATED\nKNOWN_INCOMPATIBLE_EDITION=NO\n ";

/// A tag: its number, type, count, and bytes.
#[derive(Clone, Debug)]
struct Tag {
    id: u16,
    kind: u16,
    count: u64,
    bytes: Vec<u8>,
}

/// The tags of a raster that do not depend on its size.
pub struct Template {
    tags: Vec<Tag>,
    predictor: u32,
}

/// A level of the raster: its size and the lengths of its packed blocks.
pub struct Directory {
    pub height: usize,
    pub width: usize,
    pub block_px: usize,
    pub lengths: Vec<usize>,
}

impl Template {
    /// Lets GDAL describe a raster of one pixel.
    pub fn of<T: Pixel>(grid: &Grid, bands: &[(&str, &str)], options: &CogOptions) -> Result<Self> {
        crate::set_up();
        let refuse = |wanted: &str, found: String| Error::Shape { wanted: wanted.to_owned(), found };
        if grid.is_empty() || bands.is_empty() {
            let found = format!("{} bands of {} x {} pixels", bands.len(), grid.height, grid.width);
            return Err(refuse("a grid with pixels and at least one band", found));
        }
        if options.colours.is_some() && (bands.len() != 1 || T::DTYPE != Dtype::U8) {
            return Err(refuse(
                "one band of u8 for a colour table",
                format!("{} bands of {}", bands.len(), T::DTYPE),
            ));
        }
        let bytes = described::<T>(grid, bands, options).map_err(|e| refuse("tags of a GeoTIFF", said(e)))?;
        let tags =
            tags(&bytes).ok_or_else(|| refuse("tags of a GeoTIFF", "a file that is none".to_owned()))?;
        Ok(Self { tags, predictor: predictor::<T>(options).code() })
    }

    /// Everything before the blocks: the header, the structure that readers of COGs look for, and a directory a level.
    pub fn head(&self, directories: &[Directory]) -> Vec<u8> {
        let lengths = directories.iter().flat_map(|d| &d.lengths);
        let data: u64 = lengths.map(|&n| n as u64 + LEADER_BYTES + TRAILER_BYTES).sum();
        self.head_in(Form::of(data), directories)
    }

    /// As [`Template::head`], in a form that is given: its length does not depend on the lengths of blocks.
    pub fn head_in(&self, form: Form, directories: &[Directory]) -> Vec<u8> {
        let structure = format!("GDAL_STRUCTURAL_METADATA_SIZE={:06} bytes\n{STRUCTURE}", STRUCTURE.len());
        let first = form.even(form.header_bytes() + structure.len() as u64);
        let sizes: Vec<u64> =
            directories.iter().enumerate().map(|(i, d)| form.size(&self.with(d, i, 0, form))).collect();
        let mut at = first + sizes.iter().sum::<u64>();
        let mut starts = vec![0; directories.len()];
        for (start, directory) in starts.iter_mut().zip(directories).rev() {
            *start = at;
            at += directory.lengths.iter().map(|&n| n as u64 + LEADER_BYTES + TRAILER_BYTES).sum::<u64>();
        }
        let mut head = form.header(first);
        head.extend(structure.as_bytes());
        head.resize(first as usize, 0);
        for (i, directory) in directories.iter().enumerate() {
            let here = head.len() as u64;
            let next = if i + 1 < directories.len() { here + sizes[i] } else { 0 };
            head.extend(form.directory(&self.with(directory, i, starts[i], form), here, next));
        }
        head
    }

    /// All tags of a level whose blocks begin at an offset.
    fn with(&self, directory: &Directory, level: usize, start: u64, form: Form) -> Vec<Tag> {
        let long = |id: u16, value: u32| Tag { id, kind: 4, count: 1, bytes: value.to_le_bytes().to_vec() };
        let short =
            |id: u16, value: u32| Tag { id, kind: 3, count: 1, bytes: (value as u16).to_le_bytes().to_vec() };
        let mut at = start;
        let mut offsets = Vec::with_capacity(directory.lengths.len());
        for &length in &directory.lengths {
            offsets.push(at + LEADER_BYTES);
            at += length as u64 + LEADER_BYTES + TRAILER_BYTES;
        }
        let mut tags = vec![
            long(254, u32::from(level > 0)),
            long(256, directory.width as u32),
            long(257, directory.height as u32),
            short(259, ZSTD),
            short(317, self.predictor),
            long(322, directory.block_px as u32),
            long(323, directory.block_px as u32),
            form.offsets(324, &offsets),
            Tag {
                id: 325,
                kind: 4,
                count: directory.lengths.len() as u64,
                bytes: directory.lengths.iter().flat_map(|&n| (n as u32).to_le_bytes()).collect(),
            },
        ];
        // The place and the metadata belong to the raster, not to its smaller copies.
        let small = |tag: &&Tag| level == 0 || tag.id < 30_000 || tag.id == NODATA;
        tags.extend(self.tags.iter().filter(small).cloned());
        tags.sort_by_key(|tag| tag.id);
        tags
    }
}

/// Writes a packed block as COGs hold them: its length, itself, its last four bytes again.
pub fn write_block(out: &mut impl std::io::Write, block: &[u8]) -> std::io::Result<()> {
    out.write_all(&(block.len() as u32).to_le_bytes())?;
    out.write_all(block)?;
    out.write_all(&block[block.len().saturating_sub(TRAILER_BYTES as usize)..])
}

/// A GeoTIFF of one pixel with everything but the size, as bytes.
fn described<T: Pixel>(
    grid: &Grid,
    bands: &[(&str, &str)],
    options: &CogOptions,
) -> gdal::errors::Result<Vec<u8>> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let place = format!("/vsimem/template-{}.tif", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut creation = CslStringList::new();
    creation.set_name_value("INTERLEAVE", "PIXEL")?;
    creation.set_name_value("ALPHA", "NO")?;
    let rgb = T::DTYPE == Dtype::U8 && bands.len() == 3;
    creation.set_name_value("PHOTOMETRIC", if rgb { "RGB" } else { "MINISBLACK" })?;
    let driver = DriverManager::get_driver_by_name("GTiff")?;
    let mut dataset =
        driver.create_with_band_type_with_options::<T, _>(&place, 1, 1, bands.len(), &creation)?;
    dataset.set_geo_transform(&grid.transform.to_gdal())?;
    dataset.set_spatial_ref(&SpatialRef::from_wkt(grid.crs.wkt())?)?;
    for (key, value) in &options.tags {
        dataset.set_metadata_item(key, value, "")?;
    }
    for (i, (name, unit)) in bands.iter().enumerate() {
        let mut band = dataset.rasterband(i + 1)?;
        if !name.is_empty() {
            band.set_description(name)?;
        }
        if !unit.is_empty() {
            band.set_metadata_item("unit", unit, "")?;
        }
        if options.nodata.is_some() {
            band.set_no_data_value(options.nodata)?;
        }
        if let Some(colours) = &options.colours {
            band.set_color_table(&cog::colour_table(colours));
        }
    }
    dataset.close()?;
    vsi::get_vsi_mem_file_bytes_owned(&place)
}

/// The tags of the first directory of a classic little-endian TIFF that are to be kept.
fn tags(file: &[u8]) -> Option<Vec<Tag>> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(file.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(file.get(at..at + 4)?.try_into().ok()?) as usize);
    let directory = (file.get(..4)? == b"II*\0").then(|| u32_at(4))??;
    let mut tags = Vec::new();
    for i in 0..usize::from(u16_at(directory)?) {
        let entry = directory + 2 + 12 * i;
        let (id, kind, count) = (u16_at(entry)?, u16_at(entry + 2)?, u32_at(entry + 4)?);
        let n_bytes = count * bytes_of(kind)?;
        let at = if n_bytes <= 4 { entry + 8 } else { u32_at(entry + 8)? };
        if KEPT.contains(&id) || id == NODATA {
            tags.push(Tag { id, kind, count: count as u64, bytes: file.get(at..at + n_bytes)?.to_vec() });
        }
    }
    Some(tags)
}

fn bytes_of(kind: u16) -> Option<usize> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 => 4,
        5 | 10 | 12 | 16 => 8,
        _ => return None,
    })
}

/// The two forms of TIFF: offsets of 4 bytes, or of 8.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Classic,
    Big,
}

impl Form {
    /// The form of a file with so many bytes of blocks.
    pub fn of(data_bytes: u64) -> Self {
        if data_bytes > CLASSIC_LIMIT_BYTES { Form::Big } else { Form::Classic }
    }

    fn offset_bytes(self) -> u64 {
        if self == Form::Big { 8 } else { 4 }
    }

    fn header_bytes(self) -> u64 {
        if self == Form::Big { 16 } else { 8 }
    }

    fn even(self, at: u64) -> u64 {
        at.next_multiple_of(self.offset_bytes())
    }

    fn header(self, first: u64) -> Vec<u8> {
        match self {
            Form::Classic => [&b"II*\0"[..], &(first as u32).to_le_bytes()].concat(),
            Form::Big => [&b"II+\0\x08\0\0\0"[..], &first.to_le_bytes()].concat(),
        }
    }

    fn number(self, value: u64) -> Vec<u8> {
        value.to_le_bytes()[..self.offset_bytes() as usize].to_vec()
    }

    fn offsets(self, id: u16, offsets: &[u64]) -> Tag {
        let kind = if self == Form::Big { 16 } else { 4 };
        Tag {
            id,
            kind,
            count: offsets.len() as u64,
            bytes: offsets.iter().flat_map(|&at| self.number(at)).collect(),
        }
    }

    /// Bytes of the fixed part: count, entries, offset of the next directory.
    fn fixed(self, n: usize) -> u64 {
        match self {
            Form::Classic => 2 + 12 * n as u64 + 4,
            Form::Big => 8 + 20 * n as u64 + 8,
        }
    }

    /// Bytes of a directory with the values that do not fit their entries.
    fn size(self, tags: &[Tag]) -> u64 {
        let outside = tags.iter().filter(|tag| tag.bytes.len() as u64 > self.offset_bytes());
        self.even(self.fixed(tags.len())) + outside.map(|tag| self.even(tag.bytes.len() as u64)).sum::<u64>()
    }

    fn directory(self, tags: &[Tag], here: u64, next: u64) -> Vec<u8> {
        let mut fixed = match self {
            Form::Classic => (tags.len() as u16).to_le_bytes().to_vec(),
            Form::Big => (tags.len() as u64).to_le_bytes().to_vec(),
        };
        let mut outside = Vec::new();
        let values = here + self.even(self.fixed(tags.len()));
        for tag in tags {
            fixed.extend(tag.id.to_le_bytes());
            fixed.extend(tag.kind.to_le_bytes());
            fixed.extend(self.number(tag.count));
            if tag.bytes.len() as u64 <= self.offset_bytes() {
                fixed.extend(&tag.bytes);
                fixed.resize(fixed.len() + self.offset_bytes() as usize - tag.bytes.len(), 0);
            } else {
                fixed.extend(self.number(values + outside.len() as u64));
                outside.extend(&tag.bytes);
                outside.resize(self.even(outside.len() as u64) as usize, 0);
            }
        }
        fixed.extend(self.number(next));
        fixed.resize((values - here) as usize, 0);
        fixed.extend(outside);
        fixed
    }
}
