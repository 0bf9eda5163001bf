//! The texts of a shapefile, which are bytes until their encoding is known.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8};

use super::columns::{Columns, Row};
use super::encoding;

/// Where the header of a DBF says its language driver.
const LANGUAGE_DRIVER_BYTE: usize = 29;
/// Bytes of a character that the end of a field may cut, at most.
const MOST_CUT_BYTES: usize = 3;
/// Values of fewer bytes are whole.
const SHORT_BYTES: usize = 9;
/// A `.cpg` holds a word.
const MAX_CODE_PAGE_BYTES: u64 = 200;

/// Decodes the names and values of a shapefile, in which each character stands for a byte. The encoding is the one that the `.cpg` beside the file
/// names, else the one in its header, if the texts are in it; else it is told from the texts, and returned. Texts that nothing fits get U+FFFD.
pub fn decode(path: &Path, columns: &mut Columns, rows: &mut [Row]) -> Option<&'static str> {
    let mut texts: Vec<&mut String> = columns.names.iter_mut().collect();
    texts.extend(rows.iter_mut().flat_map(|row| row.values.iter_mut().flatten()));
    texts.retain(|text| !text.is_ascii());
    if texts.is_empty() {
        return None;
    }
    let bytes: Vec<Vec<u8>> =
        texts.iter().map(|text| text.chars().map(|c| c as u32 as u8).collect()).collect();
    let fits = |encoding: &'static Encoding| bytes.iter().all(|bytes| whole(bytes, encoding).is_some());
    let named = code_page(path).or_else(|| language_driver(path)).filter(|encoding| fits(encoding));
    let found = named.or_else(|| fits(UTF_8).then_some(UTF_8)).or_else(|| {
        let all: Vec<u8> = bytes.iter().flat_map(|bytes| bytes.iter().chain(b"\n")).copied().collect();
        encoding::guess(&all).filter(|encoding| fits(encoding))
    });
    let said = found.filter(|_| named.is_none()).map(Encoding::name);
    for (text, bytes) in texts.into_iter().zip(&bytes) {
        let decoded = found.and_then(|encoding| whole(bytes, encoding));
        *text = decoded.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    }
    said
}

/// The text; a field that is full may end within a character, a short one does not.
fn whole(bytes: &[u8], encoding: &'static Encoding) -> Option<String> {
    let most = if bytes.len() < SHORT_BYTES { 0 } else { MOST_CUT_BYTES };
    (0..=most).find_map(|n| encoding::decode(&bytes[..bytes.len() - n], encoding))
}

fn code_page(path: &Path) -> Option<&'static Encoding> {
    let read = |end: &str| {
        let mut text = String::new();
        File::open(path.with_extension(end))
            .ok()?
            .take(MAX_CODE_PAGE_BYTES)
            .read_to_string(&mut text)
            .ok()?;
        Some(text)
    };
    encoding::of_code_page(&read("cpg").or_else(|| read("CPG"))?)
}

fn language_driver(path: &Path) -> Option<&'static Encoding> {
    let read = |end: &str| {
        let mut header = [0; LANGUAGE_DRIVER_BYTE + 1];
        File::open(path.with_extension(end)).ok()?.read_exact(&mut header).ok()?;
        Some(header[LANGUAGE_DRIVER_BYTE])
    };
    encoding::of_language_driver(read("dbf").or_else(|| read("DBF"))?)
}
