//! The pages of a column chunk of a Parquet file, walked without decoding them: how many values they hold, how large they unpack.
//!
//! A page's header is a struct of Thrift's compact protocol. Only what bounds a reader is read; all else is passed over.
//! Left out: the values. Source: parquet.thrift of apache/parquet-format, thrift-compact-protocol.md of apache/thrift.

/// Sums over the pages of a chunk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pages {
    /// Values of data pages, missing ones too.
    pub n_values: u64,
    /// Bytes of all pages once unpacked.
    pub n_unpacked_bytes: u64,
}

/// A header nested deeper than this is none.
const MAX_DEPTH: u32 = 8;
const DATA_PAGE: i64 = 0;
const DATA_PAGE_V2: i64 = 3;

#[derive(Default)]
struct Header {
    kind: Option<i64>,
    unpacked: Option<i64>,
    packed: Option<i64>,
    crc: Option<i64>,
    n_values: i64,
}

/// Walks a chunk.
///
/// # Errors
/// Says in a few words why the bytes are no pages.
pub(crate) fn walk(chunk: &[u8]) -> Result<Pages, &'static str> {
    let mut sums = Pages::default();
    let mut rest = chunk;
    while !rest.is_empty() {
        let header = Reader::header(&mut rest).ok_or("a page without a readable header")?;
        let size = |n: Option<i64>| n.and_then(|n| usize::try_from(n).ok());
        let (packed, unpacked) = (size(header.packed), size(header.unpacked));
        let (Some(packed), Some(unpacked), Some(kind)) = (packed, unpacked, header.kind) else {
            return Err("a page without a size");
        };
        let Some((body, after)) = rest.split_at_checked(packed) else {
            return Err("a page longer than its column");
        };
        if header.crc.is_some_and(|wanted| crc32fast::hash(body) != wanted as u32) {
            return Err("a page that is not as it was written (CRC-32)");
        }
        if kind == DATA_PAGE || kind == DATA_PAGE_V2 {
            sums.n_values += u64::try_from(header.n_values).map_err(|_| "a page of less than no values")?;
        }
        sums.n_unpacked_bytes += unpacked as u64;
        rest = after;
    }
    Ok(sums)
}

/// What comes next in a header.
struct Reader;

/// Types of the compact protocol.
mod kind {
    pub const STOP: u8 = 0;
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const I64: u8 = 6;
    pub const DOUBLE: u8 = 7;
    pub const BINARY: u8 = 8;
    pub const LIST: u8 = 9;
    pub const SET: u8 = 10;
    pub const STRUCT: u8 = 12;
}

impl Reader {
    fn header(bytes: &mut &[u8]) -> Option<Header> {
        let mut header = Header::default();
        let mut field = 0;
        while let Some(kind) = Self::field(bytes, &mut field)? {
            match (field, kind) {
                (1, 4..=kind::I64) => header.kind = Some(Self::integer(bytes)?),
                (2, 4..=kind::I64) => header.unpacked = Some(Self::integer(bytes)?),
                (3, 4..=kind::I64) => header.packed = Some(Self::integer(bytes)?),
                (4, 4..=kind::I64) => header.crc = Some(Self::integer(bytes)?),
                (5 | 8, kind::STRUCT) => header.n_values = Self::first_integer(bytes)?,
                _ => Self::skip(bytes, kind, MAX_DEPTH)?,
            }
        }
        Some(header)
    }

    /// Field 1 of a struct, which is read to its end.
    fn first_integer(bytes: &mut &[u8]) -> Option<i64> {
        let (mut field, mut first) = (0, 0);
        while let Some(kind) = Self::field(bytes, &mut field)? {
            match (field, kind) {
                (1, 4..=kind::I64) => first = Self::integer(bytes)?,
                _ => Self::skip(bytes, kind, MAX_DEPTH)?,
            }
        }
        Some(first)
    }

    /// The type of the next field, whose number is put into `field`; none at the end of the struct.
    fn field(bytes: &mut &[u8], field: &mut i64) -> Option<Option<u8>> {
        let byte = Self::byte(bytes)?;
        if byte == kind::STOP {
            return Some(None);
        }
        let step = i64::from(byte >> 4);
        *field = if step == 0 { Self::integer(bytes)? } else { field.checked_add(step)? };
        Some(Some(byte & 0x0f))
    }

    fn skip(bytes: &mut &[u8], kind: u8, depth: u32) -> Option<()> {
        let depth = depth.checked_sub(1)?;
        match kind {
            kind::TRUE | kind::FALSE => Some(()),
            kind::BYTE => Self::byte(bytes).map(|_| ()),
            4..=kind::I64 => Self::varint(bytes).map(|_| ()),
            kind::DOUBLE => Self::pass(bytes, 8),
            kind::BINARY => {
                let n = Self::varint(bytes)?;
                Self::pass(bytes, n)
            }
            kind::LIST | kind::SET => {
                let head = Self::byte(bytes)?;
                let n = if head >> 4 == 15 { Self::varint(bytes)? } else { u64::from(head >> 4) };
                let inner = head & 0x0f;
                // An element takes a byte at least, truth values too when they stand in a list.
                (n <= bytes.len() as u64).then_some(())?;
                (0..n).try_for_each(|_| match inner {
                    kind::TRUE | kind::FALSE => Self::pass(bytes, 1),
                    _ => Self::skip(bytes, inner, depth),
                })
            }
            kind::STRUCT => {
                let mut field = 0;
                while let Some(kind) = Self::field(bytes, &mut field)? {
                    Self::skip(bytes, kind, depth)?;
                }
                Some(())
            }
            _ => None,
        }
    }

    fn pass(bytes: &mut &[u8], n: u64) -> Option<()> {
        *bytes = bytes.get(usize::try_from(n).ok()?..)?;
        Some(())
    }

    fn byte(bytes: &mut &[u8]) -> Option<u8> {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(*first)
    }

    fn varint(bytes: &mut &[u8]) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = Self::byte(bytes)?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A number in zigzag: 0, -1, 1, -2, 2 …
    fn integer(bytes: &mut &[u8]) -> Option<i64> {
        let n = Self::varint(bytes)?;
        Some((n >> 1) as i64 ^ -((n & 1) as i64))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A data page of `n` values and two bytes that unpack to five.
    fn page(n: u8) -> Vec<u8> {
        // kind 0, unpacked 5, packed 2, then a struct in field 5 whose field 1 is n and field 2 is 0.
        vec![0x15, 0, 0x15, 10, 0x15, 4, 0x2c, 0x15, n * 2, 0x15, 0, 0, 0, 7, 7]
    }

    #[test]
    fn values_and_bytes_of_pages_add_up() {
        assert_eq!(walk(&[]).unwrap(), Pages::default());
        let two = [page(3), page(4)].concat();
        assert_eq!(walk(&two).unwrap(), Pages { n_values: 7, n_unpacked_bytes: 10 });
    }

    #[test]
    fn a_cut_page_and_any_changed_byte_end_without_a_panic() {
        let two = [page(3), page(4)].concat();
        for cut in (1..two.len()).filter(|cut| *cut != two.len() / 2) {
            assert!(walk(&two[..cut]).is_err(), "cut at {cut}");
        }
        for at in 0..two.len() {
            for byte in 0..=255 {
                let mut bad = two.clone();
                bad[at] = byte;
                let _ = walk(&bad);
            }
        }
    }

    #[test]
    fn a_page_with_a_checksum_is_held_to_it() {
        let crc = i64::from(crc32fast::hash(&[7, 7]) as i32);
        let mut zigzag = ((crc << 1) ^ (crc >> 63)) as u64;
        let mut page = vec![0x15, 0, 0x15, 10, 0x15, 4, 0x15];
        while zigzag >= 0x80 {
            page.push(zigzag as u8 | 0x80);
            zigzag >>= 7;
        }
        page.push(zigzag as u8);
        page.extend([0x1c, 0x15, 6, 0, 0, 7, 7]);
        assert_eq!(walk(&page).unwrap().n_values, 3);
        *page.last_mut().unwrap() = 6;
        assert!(walk(&page).unwrap_err().contains("CRC-32"));
    }
}
