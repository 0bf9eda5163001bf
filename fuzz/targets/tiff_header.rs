//! The header of a TIFF: what is accepted has a place for each of its blocks, of a size that can be held, and none beyond.
#![no_main]

#[path = "../../crates/raster/src/directory.rs"]
#[allow(dead_code)]
mod directory;
#[path = "../../crates/raster/src/dtype.rs"]
#[allow(dead_code)]
mod dtype;

use directory::Directory;
use dtype::Dtype;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    let read = |buffer: &mut [u8], at: u64| {
        let start = usize::try_from(at).ok()?;
        let end = start.checked_add(buffer.len())?;
        buffer.copy_from_slice(file.get(start..end)?);
        Some(())
    };
    let Some(found) = Directory::read(&read) else { return };
    assert!(found.height > 0 && found.width > 0 && found.n_bands > 0);
    assert!(found.block_bytes() <= 64 << 20 && found.line_bytes() > 0);
    assert_eq!(found.offsets.len(), found.lengths.len());
    let (down, across) =
        (found.height.div_ceil(found.block_height), found.width.div_ceil(found.block_width));
    let last = found.block(found.n_bands - 1, down - 1, across - 1);
    assert_eq!(last.map(|block| block + 1), Some(found.offsets.len()));
    assert_eq!(found.block(0, down, 0).or(found.block(0, 0, across)), None);
});
