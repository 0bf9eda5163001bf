use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// A granule: the part of the ground that one scene covers, such as the MGRS tile `T48RVV`.
///
/// One to 64 letters, digits, `-` and `_`, so that it is safe as a file name anywhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GranuleId(String);

impl GranuleId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GranuleId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let fits = (1..=64).contains(&text.len());
        let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits && safe && !text.starts_with('-') {
            return Ok(Self(text.to_owned()));
        }
        Err(Error::Id {
            want: "a granule id of 1 to 64 letters, digits, - and _",
            got: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for GranuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tile of a granule by its row (from north) and column (from west), both from 0. Written `r003c012`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// Row of tiles, 0 is the northernmost.
    pub row: u32,
    /// Column of tiles, 0 is the westernmost.
    pub col: u32,
}

impl FromStr for TileId {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (row, col) = text.strip_prefix('r')?.split_once('c')?;
            let digits = |s: &str| (3..=9).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
            let id = TileId { row: row.parse().ok()?, col: col.parse().ok()? };
            (digits(row) && digits(col) && id.to_string() == text).then_some(id)
        };
        parse().ok_or_else(|| Error::Id {
            want: "a tile id such as r003c012",
            got: text.chars().take(80).collect(),
        })
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "r{:03}c{:03}", self.row, self.col)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_id_reads_back_as_itself() {
        for id in [TileId { row: 0, col: 0 }, TileId { row: 31, col: 7 }, TileId { row: 1234, col: 99_999 }] {
            assert_eq!(id.to_string().parse::<TileId>().unwrap(), id);
        }
    }

    #[test]
    fn text_that_is_no_tile_id_is_refused() {
        for text in ["", "r1c2", "r001", "c001r001", "r001c00x", "r-01c001", "r0001c001", "r001c001 "] {
            assert!(text.parse::<TileId>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_granule_id_cannot_leave_its_folder() {
        let long = "a".repeat(300);
        for text in ["", "..", "../x", "/abs", "a/b", "a\\b", "a\0b", "a.b", "-rf", "é", long.as_str()] {
            assert!(text.parse::<GranuleId>().is_err(), "{text:?} was taken");
        }
        assert!("T48RVV".parse::<GranuleId>().is_ok());
    }
}
