//! What a file may ask for: memory that its length justifies.

use std::path::Path;

use crate::{Error, Grid, MAX_WINDOW_BYTES, Result, Window};

/// The largest block (tile or strip) of all bands that a file may ask to be decoded: GDAL holds it twice, and a reader once more.
const MAX_BLOCK_BYTES: u64 = 128 << 20;

/// What a file of any length may hold.
const ANYBODYS_BYTES: u64 = 64 << 20;

/// Above [`ANYBODYS_BYTES`] of pixels a file must hold at least one byte for this many. Blocks of one value take a byte for up to 32,000 in ZSTD
/// and for 1,000 in deflate; blocks that are left out take 8 bytes each, whatever their size.
const MAX_EXPANSION: u64 = 40_000;

/// Refuses a header that would make GDAL, or us, ask for absurd memory or time.
pub(crate) fn check(
    path: &Path,
    grid: &Grid,
    (block_height, block_width): (usize, usize),
    pixel_bytes: usize,
    file_bytes: u64,
) -> Result<()> {
    let whole = bytes_of(grid.height, grid.width, pixel_bytes);
    let allowed = ANYBODYS_BYTES.max(file_bytes.saturating_mul(MAX_EXPANSION));
    let hostile = "the file is damaged or hostile, or empty: do not use it";
    limit(path, "pixels for a file of this length", allowed, whole, hostile)?;
    let block = bytes_of(block_height, block_width, pixel_bytes);
    let clumsy = "rewrite it in smaller blocks, with gdal_translate -of COG";
    limit(path, "pixels in one block", MAX_BLOCK_BYTES, block, clumsy)
}

/// Refuses a window that nobody could hold.
pub(crate) fn check_window(path: &Path, window: Window, pixel_bytes: usize) -> Result<()> {
    let bytes = bytes_of(window.height, window.width, pixel_bytes);
    limit(
        path,
        "pixels in one window",
        MAX_WINDOW_BYTES,
        bytes,
        "cut the file to the region with gdal_translate",
    )
}

fn limit(
    path: &Path,
    what: &'static str,
    limit_bytes: u64,
    found_bytes: u64,
    cure: &'static str,
) -> Result<()> {
    if found_bytes <= limit_bytes {
        return Ok(());
    }
    Err(Error::TooLarge { path: path.to_owned(), what, limit_bytes, found_bytes, cure })
}

fn bytes_of(height: usize, width: usize, pixel_bytes: usize) -> u64 {
    (height as u64).saturating_mul(width as u64).saturating_mul(pixel_bytes as u64)
}
