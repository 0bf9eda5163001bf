//! Where Sentinel-2's granules lie on the globe: squares of the military grid, 100 km wide, each the core of a granule of 109.8 km.
//!
//! Which squares have a granule, and its name, is in [`crate::grid`].
//!
//! Left out: the ends of the globe beyond 84° N and 83.6° S.

use std::collections::BTreeMap;

use anyhow::Context;
use contract::GranuleId;
use geo::{Coord, LineString, MultiPolygon, Polygon, Rect, Translate};
use raster::Crs;

use crate::area::{NORTHERNMOST_DEG, SOUTHERNMOST_DEG};
use crate::globe::within_180;
use crate::grid::{BAND_DEG, FALSE_NORTHING_M, GRANULE_M, LAST_COLUMN, SQUARE_M, Square, band_south_deg};
use crate::stac::{granule_key, is_mgrs};

/// Edges have a point at every whole multiple of this, so that squares and granules that share an edge share its points. Between two points
/// the curve is left by at most a metre up to 60° of latitude, five at 84°.
const STEP_M: f64 = 5_000.0;
/// Bounds of the length of a degree of latitude, in metres.
const DEGREE_M: [f64; 2] = [110_500.0, 112_000.0];

/// A square with its shape in degrees, cut at the antimeridian.
#[derive(Debug, Clone)]
pub(crate) struct Core {
    /// Which.
    pub square: Square,
    /// The granule, `T48RVV`, whether ESA's grid has it or not.
    pub granule: GranuleId,
    /// The square of 100 km, not cut at the zone's edges.
    pub shape: MultiPolygon,
    /// Latitude of its middle.
    pub centre_lat_deg: f64,
}

impl Core {
    /// The square at the same place of another zone. The zones are alike but for their longitude; this one may not lie on the antimeridian.
    ///
    /// # Errors
    /// None in practice: the name is well formed.
    pub fn in_zone(&self, zone: u32) -> anyhow::Result<Self> {
        let square = Square { zone, ..self.square };
        let east = 6.0 * (f64::from(zone) - f64::from(self.square.zone));
        let moved = |polygon: &Polygon| within_180(polygon.translate(east, 0.0)).0;
        let shape = MultiPolygon(self.shape.0.iter().flat_map(moved).collect());
        Ok(Self { square, granule: square.granule(self.centre_lat_deg)?, shape, ..*self })
    }
}

/// A granule of ESA's grid with its shape in degrees, cut at the antimeridian.
#[derive(Debug, Clone)]
pub(crate) struct Granule {
    /// The square at its core.
    pub square: Square,
    /// All of it.
    pub footprint: MultiPolygon,
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
pub(crate) fn cores(squares: &[Square]) -> anyhow::Result<Vec<Core>> {
    let ring = |square: &Square| {
        ring_m(f64::from(square.col) * SQUARE_M, f64::from(square.row + 1) * SQUARE_M, SQUARE_M)
    };
    let shapes = placed(squares, ring)?;
    let centres = placed(squares, |square| vec![square.centre_m()])?;
    let one = |((square, shape), centre): ((&Square, Vec<Coord>), Vec<Coord>)| {
        let centre_lat_deg = centre[0].y;
        Ok(Core {
            square: *square,
            granule: square.granule(centre_lat_deg)?,
            shape: closed(shape),
            centre_lat_deg,
        })
    };
    squares.iter().zip(shapes).zip(centres).map(one).collect()
}

/// The shapes of the granules of squares, in the order given.
///
/// # Errors
/// As [`cores`].
pub(crate) fn footprints(squares: &[Square]) -> anyhow::Result<Vec<MultiPolygon>> {
    let ring = |square: &Square| {
        let (west, north) = square.corner_m();
        ring_m(west, north, GRANULE_M)
    };
    Ok(placed(squares, ring)?.into_iter().map(closed).collect())
}

/// Points of squares in degrees, one transformation for all points of a zone. Longitudes do not jump around the zone's middle.
fn placed(
    squares: &[Square],
    points_m: impl Fn(&Square) -> Vec<(f64, f64)>,
) -> anyhow::Result<Vec<Vec<Coord>>> {
    let mut by_zone: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (place, square) in squares.iter().enumerate() {
        by_zone.entry(square.epsg()).or_default().push(place);
    }
    let mut found = vec![Vec::new(); squares.len()];
    for (epsg, places) in by_zone {
        let points: Vec<_> = places.iter().map(|place| points_m(&squares[*place])).collect();
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = points.iter().flatten().copied().unzip();
        raster::transform_points(&Crs::from_epsg(epsg)?, &Crs::wgs84()?, &mut x, &mut y)
            .context("placing the grid on the globe")?;
        let mut placed = x.iter().zip(&y);
        for (place, points) in places.into_iter().zip(points) {
            let zone = squares[place].zone;
            let points = placed.by_ref().take(points.len());
            found[place] = points.map(|(x, y)| Coord { x: unwrapped(*x, zone), y: *y }).collect();
        }
    }
    Ok(found)
}

fn closed(ring: Vec<Coord>) -> MultiPolygon {
    within_180(Polygon::new(LineString(ring), vec![]))
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

/// The granule of ESA's grid with this name, in any spelling; `None` for other names.
///
/// # Errors
/// As [`cores`].
pub(crate) fn granule(name: &str) -> anyhow::Result<Option<Granule>> {
    let Some(Core { square, .. }) = square_named(name)? else { return Ok(None) };
    if !square.has_granule() {
        return Ok(None);
    }
    let footprint = footprints(&[square])?.remove(0);
    Ok(Some(Granule { square, footprint }))
}

/// The square of the military grid with this name, whether ESA's grid has a granule for it or not.
///
/// # Errors
/// As [`cores`].
pub(crate) fn square_named(name: &str) -> anyhow::Result<Option<Core>> {
    let key = granule_key(name);
    let zone: u32 = match key.trim_end_matches(|c: char| c.is_ascii_alphabetic()).parse() {
        Ok(zone @ 1..=60) if is_mgrs(&key) => zone,
        _ => return Ok(None),
    };
    let letters = &key.as_bytes()[key.len() - 3..];
    let Some(south) = band_south_deg(letters[0]) else { return Ok(None) };
    // A square whose centre lies in a band reaches less than a degree out of it. The first and the last band go on to the end of the grid.
    let (low, high) = (south - 4.0, south + BAND_DEG + 5.0);
    let mut candidates = squares(zone, low, high);
    candidates.retain(|square| square.column_letter() == letters[1]);
    Ok(cores(&candidates)?.into_iter().find(|core| granule_key(core.granule.as_str()) == key))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use geo::BoundingRect;
    use sha2::{Digest, Sha256};

    use crate::grid::ZONES;
    use crate::proof::hexadecimal;

    #[test]
    fn names_are_found_in_any_spelling_and_only_those_of_the_grid() {
        for (name, wanted) in
            [("T13TDE", "T13TDE"), ("48rvv", "T48RVV"), ("MGRS-18SVG", "T18SVG"), ("1KAB", "T01KAB")]
        {
            let found = square_named(name).unwrap().unwrap();
            assert_eq!(found.granule.as_str(), wanted);
            assert_eq!(granule(name).unwrap().unwrap().square, found.square);
        }
        // Squares that the zone to the west covers, on the antimeridian to the east.
        let squares = ["T32UKA", "T32TKS", "T33TTL", "T34UBA", "T51TTJ", "T52TBR", "T60KZG"];
        for name in squares {
            assert!(granule(name).unwrap().is_none() && square_named(name).unwrap().is_some(), "{name}");
        }
        for no_square in ["KANGWON", "T61RVV", "T48IVV", "T48RAA", "T32XNN"] {
            assert!(granule(no_square).unwrap().is_none(), "{no_square}");
        }
    }

    #[test]
    fn a_granule_on_the_antimeridian_is_cut_there() {
        let mut squares = squares(1, -18.0, -17.0);
        squares.retain(|square| square.has_granule());
        let on_it: Vec<_> = footprints(&squares).unwrap().into_iter().filter(|f| f.0.len() == 2).collect();
        assert!(!on_it.is_empty());
        for footprint in on_it {
            let extent = footprint.bounding_rect().unwrap();
            assert!(extent.min().x >= -180.0 && extent.max().x <= 180.0);
        }
    }

    /// ESA's list of 2015-12-09 holds so many granules; the hash is of its lines `name EPSG west north`, sorted, as `sentinel2_grid.py` prints it.
    const N_OF_ESA: usize = 56_686;
    const HASH_OF_ESA: &str = "ef55d356e08441901e774fa5608302af8dc2d5a17825c68823f7b465410ae3ef";

    #[test]
    fn every_name_system_and_corner_of_all_zones_is_that_of_esas_list_and_there_are_no_others() {
        let mut all = Vec::new();
        for zone in 1..=ZONES {
            all.extend(squares(zone, SOUTHERNMOST_DEG, NORTHERNMOST_DEG));
        }
        all.retain(|square| square.has_granule());
        let line = |core: Core| {
            let (west, north) = core.square.corner_m();
            format!("{} {} {west} {north}\n", &core.granule.as_str()[1..], core.square.epsg())
        };
        let mut lines: Vec<_> = cores(&all).unwrap().into_iter().map(line).collect();
        lines.sort();
        assert_eq!(lines.len(), N_OF_ESA);
        let mut hash = Sha256::new();
        hash.update(lines.concat());
        assert_eq!(hexadecimal(hash), HASH_OF_ESA, "{:?}", &lines[..3]);
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
