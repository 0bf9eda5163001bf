//! Checksums of a Parquet file, in its footer under the key `crc32`: one of every column chunk, in file order, and one of the footer itself.
//!
//! A reader checks only what it reads. The sums count only in files whose writer is ours: another program that copies our metadata
//! beside other bytes writes its own name. Left out: the four bytes `PAR1` at either end, which hold nothing.

use std::fmt::Write as _;

/// The name that files carry as their writer: fixed, so that a newer library alone changes no byte of it.
pub(crate) const CREATED_BY: &str = "prosperity-atlas contract";

/// The key of the sums in a file's metadata.
pub(crate) const KEY: &str = "crc32";

const BEFORE: &[u8] = b"footer=";
const BETWEEN: &[u8] = b";chunks=";
/// Letters of a sum in hexadecimal.
const WIDTH: usize = 8;

/// The text under the key, before the footer's own sum is known.
pub(crate) fn unsealed(chunks: &[u32]) -> String {
    let mut text = format!("footer={:08x};chunks=", 0);
    for sum in chunks {
        let _ = write!(text, "{sum:08x}");
    }
    text
}

/// Where the footer's own sum stands in a footer: the last place of its form, since the pair is written last.
fn place(footer: &[u8]) -> Option<usize> {
    let fits = |at: &usize| {
        let sum = at + BEFORE.len();
        footer[*at..].starts_with(BEFORE)
            && footer.get(sum + WIDTH..).is_some_and(|rest| rest.starts_with(BETWEEN))
    };
    (0..footer.len()).rev().find(fits).map(|at| at + BEFORE.len())
}

fn sum_of(footer: &[u8], at: usize) -> u32 {
    let mut hash = crc32fast::Hasher::new();
    hash.update(&footer[..at]);
    hash.update(&[b'0'; WIDTH]);
    hash.update(&footer[at + WIDTH..]);
    hash.finalize()
}

/// Where to write the footer's own sum, and the letters.
pub(crate) fn seal(footer: &[u8]) -> Option<(usize, String)> {
    let at = place(footer)?;
    Some((at, format!("{:08x}", sum_of(footer, at))))
}

/// The sums of all chunks; none in a file without them.
///
/// # Errors
/// If the footer is not the one that was written.
pub(crate) fn chunk_sums(footer: &[u8], text: Option<&str>) -> Result<Option<Vec<u32>>, &'static str> {
    const NOT_AS_WRITTEN: &str = "its footer is not as it was written (CRC-32)";
    let Some(chunks) = text.and_then(|text| text.split_once(";chunks=")).map(|(_, chunks)| chunks) else {
        return Ok(None);
    };
    let at = place(footer).ok_or(NOT_AS_WRITTEN)?;
    let hex = |letters: &[u8]| u32::from_str_radix(std::str::from_utf8(letters).ok()?, 16).ok();
    if footer[at..at + WIDTH] != *format!("{:08x}", sum_of(footer, at)).as_bytes()
        || chunks.len() % WIDTH != 0
    {
        return Err(NOT_AS_WRITTEN);
    }
    chunks.as_bytes().chunks(WIDTH).map(hex).collect::<Option<Vec<u32>>>().ok_or(NOT_AS_WRITTEN).map(Some)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_footer_gives_its_sums_and_one_with_another_bit_does_not() {
        let text = unsealed(&[7, 0xdead_beef]);
        let mut footer = format!("schema footer=00000000;chunks= in a flag {text} end").into_bytes();
        let (at, letters) = seal(&footer).unwrap();
        footer[at..at + 8].copy_from_slice(letters.as_bytes());
        assert_eq!(chunk_sums(&footer, Some(&text)).unwrap(), Some(vec![7, 0xdead_beef]));
        assert_eq!(chunk_sums(&footer, None).unwrap(), None);
        for bit in 0..8 * footer.len() {
            let mut bad = footer.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(chunk_sums(&bad, Some(&text)).is_err(), "bit {bit}");
        }
    }
}
