//! Sentinel-2's tiling of the globe: squares of the military grid (MGRS), 100 km wide, each the core of a granule of 109.8 km.
//!
//! A granule's upper left corner is its square's, moved outward to a whole multiple of 60 m, so that pixels of 10, 20 and 60 m agree. Its latitude
//! band is the one of the square's centre. The first column of a zone (eastings below 200 km) has no granules: the last column of the zone to
//! the west covers it. These rules give the 146 footprints that the reference data holds; ESA's own list was not at hand.
//!
//! Left out: the ends of the globe beyond 84° N and 80° S. The odd zones of Norway and Svalbard are followed but could not be checked.
//!
//! Sources: DMA TM 8358.1 for the letters; the grid of <https://sentinels.copernicus.eu> for the rest.

use std::collections::BTreeMap;
use std::ops::Range;

use anyhow::Context;
use contract::GranuleId;
use geo::{
    AffineOps, AffineTransform, BooleanOps, Coord, LineString, MapCoords, MultiPolygon, Polygon, Rect,
};
use raster::Crs;

use crate::area::{NORTHERNMOST_DEG, SOUTHERNMOST_DEG};
use crate::stac::granule_key;

const SQUARE_M: f64 = 100_000.0;
/// Side of a granule: 10,980 pixels of 10 m.
const GRANULE_M: f64 = 109_800.0;
/// Corners lie on multiples of this.
const SNAP_M: f64 = 60.0;
/// Northings south of the equator are counted from here.
const FALSE_NORTHING_M: f64 = 10_000_000.0;
/// Edges have a point at every whole multiple of this, so that squares and granules that share an edge share its points. Between two points
/// the curve is left by at most a metre up to 60° of latitude, five at 84°.
const STEP_M: f64 = 5_000.0;
/// Bounds of the length of a degree of latitude, in metres.
const DEGREE_M: [f64; 2] = [110_500.0, 112_000.0];
const LAST_COLUMN: u32 = 8;
const COLUMNS: [&[u8; 8]; 3] = [b"ABCDEFGH", b"JKLMNPQR", b"STUVWXYZ"];
const ROWS: &[u8; 20] = b"ABCDEFGHJKLMNPQRSTUV";
const BANDS: &[u8; 20] = b"CDEFGHJKLMNPQRSTUVWX";

/// A square of the grid. Ordered by zone, then from north to south and west to east within a hemisphere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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

/// A square with its name and its shapes in degrees, cut at the antimeridian.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// Which.
    pub square: Square,
    /// The granule, `T48RVV`.
    pub granule: GranuleId,
    /// The square of 100 km, not cut at the zone's edges.
    pub core: MultiPolygon,
    /// The whole granule.
    pub footprint: MultiPolygon,
}

impl Square {
    /// Whether a granule exists for it; see the head of this file.
    pub fn has_granule(&self) -> bool {
        self.col > 1
    }

    /// The EPSG code of its UTM zone.
    pub fn epsg(&self) -> u32 {
        self.zone + if self.south { 32_700 } else { 32_600 }
    }

    /// West and north of the granule, in metres.
    pub fn corner_m(&self) -> (f64, f64) {
        let west = (f64::from(self.col) * SQUARE_M / SNAP_M).floor() * SNAP_M;
        // Southern corners are whole multiples counted from the equator.
        let false_m = if self.south { FALSE_NORTHING_M } else { 0.0 };
        let north = (f64::from(self.row + 1) * SQUARE_M - false_m) / SNAP_M;
        (west, north.ceil() * SNAP_M + false_m)
    }

    fn granule(&self, centre_lat_deg: f64) -> anyhow::Result<GranuleId> {
        let band =
            (((centre_lat_deg - SOUTHERNMOST_DEG) / 8.0).floor().max(0.0) as usize).min(BANDS.len() - 1);
        let column = COLUMNS[((self.zone - 1) % 3) as usize][(self.col - 1) as usize];
        let shift = if self.zone.is_multiple_of(2) { 5 } else { 0 };
        let row = ROWS[((self.row + shift) % 20) as usize];
        let [band, column, row] = [BANDS[band], column, row].map(char::from);
        Ok(format!("T{:02}{band}{column}{row}", self.zone).parse()?)
    }
}

/// The parts of the globe where a zone is used, between two latitudes, in degrees.
pub(crate) fn zone_deg(zone: u32, south_deg: f64, north_deg: f64) -> MultiPolygon {
    let west = f64::from(zone) * 6.0 - 186.0;
    let plain = |south: f64, north: f64| [west, south, west + 6.0, north];
    let (south, north) = (SOUTHERNMOST_DEG, NORTHERNMOST_DEG);
    let parts = match zone {
        31 => vec![plain(south, 56.0), [0.0, 56.0, 3.0, 64.0], plain(64.0, 72.0), [0.0, 72.0, 9.0, north]],
        32 => vec![plain(south, 56.0), [3.0, 56.0, 12.0, 64.0], plain(64.0, 72.0)],
        33 => vec![plain(south, 72.0), [9.0, 72.0, 21.0, north]],
        34 | 36 => vec![plain(south, 72.0)],
        35 => vec![plain(south, 72.0), [21.0, 72.0, 33.0, north]],
        37 => vec![plain(south, 72.0), [33.0, 72.0, 42.0, north]],
        _ => vec![plain(south, north)],
    };
    // Cut here and not by polygon arithmetic, which rounds to a share of the whole extent.
    let cut = |[west, south, east, north]: [f64; 4]| {
        let (south, north) = (south.max(south_deg), north.min(north_deg));
        (south < north)
            .then(|| Rect::new(Coord { x: west, y: south }, Coord { x: east, y: north }).to_polygon())
    };
    MultiPolygon(parts.into_iter().filter_map(cut).collect())
}

/// The squares of a zone that may reach into latitudes, those without a granule included.
pub(crate) fn squares(zone: u32, south_deg: f64, north_deg: f64) -> Vec<Square> {
    let rows = |low_m: f64, high_m: f64| {
        let row = |m: f64| (m / SQUARE_M).floor().clamp(0.0, 99.0) as u32;
        row(low_m - SQUARE_M)..=row(high_m + SQUARE_M)
    };
    let [short, long] = DEGREE_M;
    let mut found = Vec::new();
    if north_deg > 0.0 {
        let rows = rows(south_deg.max(0.0) * short, north_deg * long);
        found.extend(rows.map(|row| (false, row)));
    }
    if south_deg < 0.0 {
        let rows = rows(FALSE_NORTHING_M + south_deg * long, FALSE_NORTHING_M + north_deg.min(0.0) * short);
        found.extend(rows.map(|row| (true, row)));
    }
    let columns = |(south, row)| (1..=LAST_COLUMN).map(move |col| Square { zone, south, row, col });
    found.into_iter().flat_map(columns).collect()
}

/// Names and shapes of squares, in the order given.
///
/// # Errors
/// If GDAL has no such zone.
pub(crate) fn shapes(squares: &[Square]) -> anyhow::Result<Vec<Shape>> {
    let mut by_zone: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, square) in squares.iter().enumerate() {
        by_zone.entry(square.epsg()).or_default().push(place);
    }
    let mut found = Vec::new();
    for (epsg, places) in by_zone {
        let of_zone: Vec<_> = places.iter().map(|p| squares[*p]).collect();
        found.extend(places.into_iter().zip(shapes_of_zone(epsg, &of_zone)?));
    }
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, shape)| shape).collect())
}

/// One transformation for all points of a zone.
fn shapes_of_zone(epsg: u32, squares: &[Square]) -> anyhow::Result<Vec<Shape>> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut add = |points: Vec<(f64, f64)>| {
        let start = x.len();
        x.extend(points.iter().map(|p| p.0));
        y.extend(points.iter().map(|p| p.1));
        start..x.len()
    };
    let mut ranges = Vec::new();
    for square in squares {
        let (west, north) = (f64::from(square.col) * SQUARE_M, f64::from(square.row + 1) * SQUARE_M);
        let core = add(ring_m(west, north, SQUARE_M));
        let (west, north) = square.corner_m();
        let footprint = add(ring_m(west, north, GRANULE_M));
        let centre = (f64::from(square.col) + 0.5, f64::from(square.row) + 0.5);
        ranges.push((core, footprint, add(vec![(centre.0 * SQUARE_M, centre.1 * SQUARE_M)])));
    }
    raster::transform_points(&Crs::from_epsg(epsg)?, &Crs::wgs84()?, &mut x, &mut y)
        .context("placing the grid on the globe")?;
    let ring = |square: &Square, range: Range<usize>| {
        let points = range.map(|i| Coord { x: unwrapped(x[i], square.zone), y: y[i] });
        cut_at_antimeridian(Polygon::new(LineString(points.collect()), vec![]))
    };
    let mut found = Vec::new();
    for (square, (core, footprint, centre)) in squares.iter().zip(ranges) {
        let granule = square.granule(y[centre.start])?;
        let (core, footprint) = (ring(square, core), ring(square, footprint));
        found.push(Shape { square: *square, granule, core, footprint });
    }
    Ok(found)
}

/// The edge of a square from its upper left corner, counter-clockwise, without the closing point.
fn ring_m(west: f64, north: f64, side: f64) -> Vec<(f64, f64)> {
    let along = |from: f64| {
        let first = (from / STEP_M).floor() + 1.0;
        let inner =
            (0..).map(move |n| (first + f64::from(n)) * STEP_M).take_while(move |at| *at < from + side);
        std::iter::once(from).chain(inner)
    };
    let (east, south) = (west + side, north - side);
    // Towards the south and the west the same points as towards the north and the east, the other way round.
    let back = |from: f64| {
        let mut points: Vec<_> = along(from).skip(1).collect();
        points.reverse();
        std::iter::once(from + side).chain(points)
    };
    let sides = back(south).map(|y| (west, y)).chain(along(west).map(|x| (x, south)));
    let sides = sides.chain(along(south).map(|y| (east, y))).chain(back(west).map(|x| (x, north)));
    sides.collect()
}

/// A longitude without a jump around the zone's middle.
fn unwrapped(lon_deg: f64, zone: u32) -> f64 {
    let middle = f64::from(zone) * 6.0 - 183.0;
    lon_deg - ((lon_deg - middle) / 360.0).round() * 360.0
}

fn cut_at_antimeridian(polygon: Polygon) -> MultiPolygon {
    let (low, high) =
        polygon.exterior().0.iter().fold((f64::MAX, f64::MIN), |(l, h), c| (l.min(c.x), h.max(c.x)));
    if low >= -180.0 && high <= 180.0 {
        return MultiPolygon(vec![polygon]);
    }
    let globe = Rect::new(Coord { x: -180.0, y: -90.0 }, Coord { x: 180.0, y: 90.0 }).to_polygon();
    let around = if high > 180.0 { -360.0 } else { 360.0 };
    let moved = polygon.affine_transform(&AffineTransform::translate(around, 0.0));
    let mut parts = globe.intersection(&polygon);
    parts.0.extend(globe.intersection(&moved).0);
    // The polygon arithmetic rounds, also beyond the edge of the globe.
    parts.map_coords(|c| Coord { x: c.x.clamp(-180.0, 180.0), y: c.y })
}

/// The granule of a name in any spelling, with its shapes; `None` for names that are not of this grid.
///
/// # Errors
/// As [`shapes`].
pub(crate) fn granule(name: &str) -> anyhow::Result<Option<Shape>> {
    let key = granule_key(name);
    let zone: u32 = match key.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse() {
        Ok(zone @ 1..=60) if crate::stac::is_mgrs(&key) => zone,
        _ => return Ok(None),
    };
    let letters = &key.as_bytes()[key.len() - 3..];
    let Some(band) = BANDS.iter().position(|b| *b == letters[0]) else { return Ok(None) };
    // A square whose centre lies in a band reaches less than a degree out of it.
    let south = SOUTHERNMOST_DEG + 8.0 * band as f64;
    let candidates: Vec<_> = squares(zone, south - 1.0, south + 13.0)
        .into_iter()
        .filter(|s| COLUMNS[((s.zone - 1) % 3) as usize][(s.col - 1) as usize] == letters[1])
        .collect();
    let found = shapes(&candidates)?.into_iter().find(|shape| granule_key(shape.granule.as_str()) == key);
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use geo::BoundingRect;

    #[test]
    fn names_and_corners_are_those_of_known_granules() {
        // Corners as the items and scenes of the reference data state them; the southern ones as their products do.
        for (name, epsg, corner) in [
            ("T13TDE", 32613, (399_960.0, 4_500_000.0)),
            ("T48RVV", 32648, (399_960.0, 3_500_040.0)),
            ("T18SVG", 32618, (399_960.0, 4_200_000.0)),
            ("T16PDC", 32616, (399_960.0, 1_800_000.0)),
        ] {
            let found = granule(name).unwrap().unwrap();
            assert_eq!((found.granule.as_str(), found.square.epsg()), (name, epsg));
            assert_eq!(found.square.corner_m(), corner, "{name}");
        }
        for no_granule in ["KANGWON", "T61RVV", "T48IVV", "T48RAA"] {
            assert!(granule(no_granule).unwrap().is_none(), "{no_granule}");
        }
    }

    #[test]
    fn southern_corners_are_counted_from_the_equator() {
        let corner = |row| Square { zone: 21, south: true, row, col: 4 }.corner_m().1;
        assert_eq!((corner(99), corner(98), corner(82)), (10_000_000.0, 9_900_040.0, 8_300_020.0));
    }

    #[test]
    fn a_granule_on_the_antimeridian_is_cut_there() {
        let squares = squares(60, -18.0, -17.0);
        let on_it: Vec<_> =
            shapes(&squares).unwrap().into_iter().filter(|s| s.footprint.0.len() == 2).collect();
        assert!(!on_it.is_empty());
        for shape in on_it {
            let extent = shape.footprint.bounding_rect().unwrap();
            assert!(extent.min().x >= -180.0 && extent.max().x <= 180.0);
        }
    }

    /// Footprints of the reference are rounded to 1e-9 degrees or so, and their sides drawn straight.
    const CORNER_TOLERANCE_DEG: f64 = 1e-7;

    #[test]
    fn the_grid_is_that_of_the_reference_footprints() {
        let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
        let folder = std::env::var_os("REFERENCE_DATA").map_or(beside, std::path::PathBuf::from);
        let Ok(text) = std::fs::read_to_string(folder.join("sichuan/s2_tiles.geojson")) else {
            println!("skipped: no reference data; set REFERENCE_DATA");
            return;
        };
        let tiles: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut n_compared = 0;
        for tile in tiles["features"].as_array().unwrap() {
            let name = tile["properties"]["Name"].as_str().unwrap();
            let shape = granule(name).unwrap().unwrap_or_else(|| panic!("{name} is not in the grid"));
            assert!(shape.square.has_granule(), "{name}");
            for corner in tile["geometry"]["coordinates"][0].as_array().unwrap() {
                let (x, y) = (corner[0].as_f64().unwrap(), corner[1].as_f64().unwrap());
                let near = shape.footprint.0[0].exterior().0.iter().any(|c| {
                    (c.x - x).abs() < CORNER_TOLERANCE_DEG && (c.y - y).abs() < CORNER_TOLERANCE_DEG
                });
                assert!(near, "{name}: no corner at {x} {y}");
            }
            n_compared += 1;
        }
        assert_eq!(n_compared, 146);
    }
}
