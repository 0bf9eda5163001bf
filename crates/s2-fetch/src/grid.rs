//! Which squares of the military grid (MGRS) have a granule, and what it is called: ESA's tiling grid, 56,686 granules, as a rule.
//!
//! A granule's upper left corner is its square's, moved outward to a whole multiple of 60 m, so that pixels of 10, 20 and 60 m agree. Its latitude
//! band is the one of the square's centre. The rows of all zones have the same columns: those that the zone is wide enough for. Where its first
//! column is narrow enough that the zone to the west covers it, it has no granules. On the antimeridian it is the other way round: zone 1
//! keeps its first column, and zone 60 gives up its last. Norway's and Svalbard's zones, 31 to 37, have widths of their own.
//!
//! Held against every name, system and corner of ESA's own list, which `scripts/reference/sentinel2_grid.py` reads, by their hash.
//!
//! Left out: which granules are ever sensed. Those far from land exist here, and catalogues have few scenes of them or none.
//!
//! Sources: DMA TM 8358.1 for the letters; ESA's grid, S2A_OPER_GIP_TILPAR_MPC__20151209T095117, for the rest.

use std::ops::{Range, RangeInclusive};

use contract::GranuleId;

/// Side of a square.
pub(crate) const SQUARE_M: f64 = 100_000.0;
/// Side of a granule: 10,980 pixels of 10 m.
pub(crate) const GRANULE_M: f64 = 109_800.0;
/// Northings south of the equator are counted from here.
pub(crate) const FALSE_NORTHING_M: f64 = 10_000_000.0;
/// UTM zones.
pub(crate) const ZONES: u32 = 60;
/// Easternmost column that any zone has.
pub(crate) const LAST_COLUMN: u32 = 8;
/// Corners lie on multiples of this.
const SNAP_M: f64 = 60.0;
/// The first latitude band begins here; granules farther south have its letter too.
pub(crate) const FIRST_BAND_DEG: f64 = -80.0;
/// Height of a latitude band; the last one is higher.
pub(crate) const BAND_DEG: f64 = 8.0;

const COLUMNS: [&[u8; 8]; 3] = [b"ABCDEFGH", b"JKLMNPQR", b"STUVWXYZ"];
const ROWS: &[u8; 20] = b"ABCDEFGHJKLMNPQRSTUV";
const BANDS: &[u8; 20] = b"CDEFGHJKLMNPQRSTUVWX";

/// A square of the grid. Ordered by zone, then from north to south and west to east within a hemisphere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Square {
    /// UTM zone, 1 to 60.
    pub zone: u32,
    /// Whether south of the equator.
    pub south: bool,
    /// Hundreds of kilometres of northing, the false northing included.
    pub row: u32,
    /// Hundreds of kilometres of easting, 1 to 8.
    pub col: u32,
}

/// Rows that have the same columns: how far out the zone reaches (columns `first..=9 - first`), and whether the neighbour covers its first.
struct Rows {
    rows: Range<u32>,
    first: u32,
    neighbour_covers: bool,
}

const fn rows(rows: Range<u32>, first: u32, neighbour_covers: bool) -> Rows {
    Rows { rows, first, neighbour_covers }
}

const NORTH: [Rows; 7] = [
    rows(0..29, 1, true),
    rows(29..47, 2, false),
    rows(47..60, 2, true),
    rows(60..71, 3, false),
    rows(71..81, 3, true),
    rows(81..91, 4, false),
    rows(91..94, 4, true),
];

const SOUTH: [Rows; 7] = [
    rows(7..9, 4, true),
    rows(9..19, 4, false),
    rows(19..29, 3, true),
    rows(29..40, 3, false),
    rows(40..53, 2, true),
    rows(53..71, 2, false),
    rows(71..100, 1, true),
];

/// No columns.
const NONE: [u32; 2] = [1, 0];

/// Rows of zones 31 to 37 whose first and last columns are others: Norway's coast belongs to zone 32, Svalbard to 31, 33, 35 and 37.
const ODD: [(&[u32], Range<u32>, [u32; 2]); 14] = [
    (&[31], 63..70, [3, 5]),
    (&[31], 79..81, [4, 7]),
    (&[31], 81..91, [4, 6]),
    (&[31], 91..94, [5, 5]),
    (&[32], 63..71, [2, 6]),
    (&[32, 34, 36], 79..80, [5, 6]),
    (&[32, 34, 36], 80..94, NONE),
    (&[33, 35], 79..81, [3, 7]),
    (&[33, 35], 81..86, [3, 6]),
    (&[33, 35], 86..91, [4, 6]),
    (&[33, 35], 91..94, [4, 5]),
    (&[37], 79..81, [3, 6]),
    (&[37], 81..86, [3, 5]),
    (&[37], 86..94, [4, 5]),
];

impl Square {
    /// Whether ESA's grid has a granule for it.
    pub fn has_granule(self) -> bool {
        columns(self.zone, self.south, self.row).contains(&self.col)
    }

    /// The EPSG code of its UTM zone.
    pub fn epsg(self) -> u32 {
        self.zone + if self.south { 32_700 } else { 32_600 }
    }

    /// West and north of the granule, in metres.
    pub fn corner_m(self) -> (f64, f64) {
        let west = (f64::from(self.col) * SQUARE_M / SNAP_M).floor() * SNAP_M;
        // Southern corners are whole multiples counted from the equator.
        let false_m = if self.south { FALSE_NORTHING_M } else { 0.0 };
        let north = (f64::from(self.row + 1) * SQUARE_M - false_m) / SNAP_M;
        (west, north.ceil() * SNAP_M + false_m)
    }

    /// Easting and northing of the middle of the square, in metres.
    pub fn centre_m(self) -> (f64, f64) {
        ((f64::from(self.col) + 0.5) * SQUARE_M, (f64::from(self.row) + 0.5) * SQUARE_M)
    }

    /// The letter of its column.
    pub fn column_letter(self) -> u8 {
        COLUMNS[((self.zone - 1) % 3) as usize][(self.col - 1) as usize]
    }

    /// The name, `T48RVV`, of the square whose centre lies at this latitude.
    pub fn granule(self, centre_lat_deg: f64) -> anyhow::Result<GranuleId> {
        let band = ((centre_lat_deg - FIRST_BAND_DEG) / BAND_DEG).floor().max(0.0) as usize;
        let shift = if self.zone.is_multiple_of(2) { 5 } else { 0 };
        let row = ROWS[((self.row + shift) % 20) as usize];
        let [band, column, row] =
            [BANDS[band.min(BANDS.len() - 1)], self.column_letter(), row].map(char::from);
        Ok(format!("T{:02}{band}{column}{row}", self.zone).parse()?)
    }
}

/// The southern end of the latitude band of a letter.
pub(crate) fn band_south_deg(letter: u8) -> Option<f64> {
    let band = BANDS.iter().position(|b| *b == letter)?;
    Some(FIRST_BAND_DEG + BAND_DEG * band as f64)
}

/// The columns of a row that have granules.
fn columns(zone: u32, south: bool, row: u32) -> RangeInclusive<u32> {
    let [first, last] = first_and_last(zone, south, row);
    first..=last
}

fn first_and_last(zone: u32, south: bool, row: u32) -> [u32; 2] {
    let is_odd = |odd: &&(&[u32], Range<u32>, _)| !south && odd.0.contains(&zone) && odd.1.contains(&row);
    if let Some((.., columns)) = ODD.iter().find(is_odd) {
        return *columns;
    }
    let table = if south { &SOUTH } else { &NORTH };
    let Some(Rows { first, neighbour_covers, .. }) = table.iter().find(|r| r.rows.contains(&row)) else {
        return NONE;
    };
    let given_up = u32::from(*neighbour_covers);
    match zone {
        1 => [*first, 9 - first],
        ZONES => [first + given_up, 9 - first - given_up],
        _ => [first + given_up, 9 - first],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn southern_corners_are_counted_from_the_equator() {
        let corner = |row| Square { zone: 21, south: true, row, col: 4 }.corner_m().1;
        assert_eq!((corner(99), corner(98), corner(82)), (10_000_000.0, 9_900_040.0, 8_300_020.0));
    }
}
