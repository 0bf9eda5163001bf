//! What area a feature has: polygons however they are nested, curves made straight, one frame of longitudes, valid.

use gdal::cpl::CslStringList;
use gdal::vector::{Geometry, OGRwkbGeometryType as Kind, geometry_type_flatten};

use super::{Ring, curve};
use crate::error::said;

/// The polygons of a feature, each an outer ring and its holes, and whether there was anything else.
#[derive(Default)]
pub struct Outline {
    pub polygons: Vec<Vec<Ring>>,
    /// Lines and points.
    pub n_others: usize,
}

/// What became of a feature.
pub enum Area {
    /// Rings whose signed areas add up to its own, and whether it had to be made valid.
    Is { rings: Vec<Ring>, mended: bool },
    /// It has none, and this is why.
    No(&'static str),
}

impl Outline {
    /// Everything in a geometry and in what it is made of.
    pub fn of(geometry: &Geometry) -> Self {
        let mut outline = Self::default();
        outline.collect(geometry);
        outline
    }

    fn collect(&mut self, geometry: &Geometry) {
        match geometry_type_flatten(geometry.geometry_type()) {
            Kind::wkbPolygon | Kind::wkbCurvePolygon | Kind::wkbTriangle => {
                let rings = (0..geometry.geometry_count()).map(|i| curve::points(&geometry.get_geometry(i)));
                self.polygons.push(rings.collect());
            }
            Kind::wkbMultiPolygon
            | Kind::wkbMultiSurface
            | Kind::wkbGeometryCollection
            | Kind::wkbPolyhedralSurface
            | Kind::wkbTIN => {
                (0..geometry.geometry_count()).for_each(|i| self.collect(&geometry.get_geometry(i)));
            }
            _ => self.n_others += 1,
        }
    }

    /// A corner that is no number.
    pub fn is_finite(&self) -> bool {
        self.polygons.iter().flatten().flatten().all(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// The area, made valid where it is not.
    ///
    /// # Errors
    /// GDAL's words where it cannot.
    pub fn area(mut self) -> Result<Area, String> {
        let (n_others, n_polygons) = (self.n_others, self.polygons.len());
        self.polygons.iter_mut().for_each(without_slivers);
        self.polygons.retain(|rings| !rings.is_empty());
        if self.polygons.is_empty() {
            return Ok(Area::No(match (n_polygons, n_others) {
                (0, 0) => "empty geometry",
                (0, _) => "lines or points, no area",
                _ => "polygon without an area",
            }));
        }
        let geometry = Geometry::from_wkb(&wkb(&self.polygons)).map_err(said)?;
        let mended = !geometry.is_valid();
        if mended {
            self.polygons = Outline::of(&made_valid(&geometry)?).polygons;
            self.polygons.iter_mut().for_each(without_slivers);
        }
        let rings: Vec<Ring> = self.polygons.into_iter().flat_map(turned).collect();
        if rings.iter().map(|ring| doubled_area(ring)).sum::<f64>() <= 0.0 {
            return Ok(Area::No("polygon without an area"));
        }
        Ok(Area::Is { rings, mended })
    }
}

/// Ground that a ring goes around is inside it however often; holes are taken from their polygon; polygons are united. GEOS calls the rule
/// "structure". Its other one, "linework", takes ground that two parts share from both.
fn made_valid(geometry: &Geometry) -> Result<Geometry, String> {
    let mut options = CslStringList::new();
    for (name, value) in [("METHOD", "STRUCTURE"), ("KEEP_COLLAPSED", "NO")] {
        options.set_name_value(name, value).map_err(said)?;
    }
    geometry.make_valid(&options).map_err(said)
}

/// Takes the repeated last points off, and rings of less than three points out; without its outer ring a polygon is none.
fn without_slivers(rings: &mut Vec<Ring>) {
    for ring in rings.iter_mut() {
        if ring.len() > 1 && ring.first() == ring.last() {
            ring.pop();
        }
    }
    if rings.first().is_none_or(|outer| outer.len() < 3) {
        rings.clear();
    }
    rings.retain(|ring| ring.len() >= 3);
}

/// Outer ring counter-clockwise, holes clockwise.
fn turned(rings: Vec<Ring>) -> impl Iterator<Item = Ring> {
    rings.into_iter().enumerate().map(|(place, mut ring)| {
        if (doubled_area(&ring) > 0.0) != (place == 0) {
            ring.reverse();
        }
        ring
    })
}

/// Twice the signed area of a ring, positive where it runs counter-clockwise; near the ring's own place, so that digits stay.
pub fn doubled_area(ring: &[(f64, f64)]) -> f64 {
    let Some(&(x0, y0)) = ring.first() else { return 0.0 };
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(a, b)| (a.0 - x0) * (b.1 - y0) - (b.0 - x0) * (a.1 - y0)).sum()
}

/// A MultiPolygon as the well-known binary form, rings closed.
fn wkb(polygons: &[Vec<Ring>]) -> Vec<u8> {
    const LITTLE_ENDIAN: u8 = 1;
    let head = |bytes: &mut Vec<u8>, kind: u32, n: usize| {
        bytes.push(LITTLE_ENDIAN);
        bytes.extend(kind.to_le_bytes());
        bytes.extend((n as u32).to_le_bytes());
    };
    let mut bytes = Vec::new();
    head(&mut bytes, Kind::wkbMultiPolygon, polygons.len());
    for rings in polygons {
        head(&mut bytes, Kind::wkbPolygon, rings.len());
        for ring in rings {
            bytes.extend((ring.len() as u32 + 1).to_le_bytes());
            for (x, y) in ring.iter().chain(ring.first()) {
                bytes.extend(x.to_le_bytes());
                bytes.extend(y.to_le_bytes());
            }
        }
    }
    bytes
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn area(wkt: &str) -> Option<(f64, bool)> {
        crate::set_up();
        match Outline::of(&Geometry::from_wkt(wkt).unwrap()).area().unwrap() {
            Area::Is { rings, mended } => {
                Some((rings.iter().map(|ring| doubled_area(ring) / 2.0).sum(), mended))
            }
            Area::No(_) => None,
        }
    }

    #[test]
    fn what_is_not_valid_has_the_area_of_the_ground_that_it_goes_around() {
        for (wkt, wanted, mended) in [
            ("POLYGON((0 0,4 0,4 4,0 4,0 0),(1 1,2 1,2 2,1 2,1 1))", 15.0, false),
            ("POLYGON((0 0,4 4,4 0,0 4,0 0))", 8.0, true),
            ("MULTIPOLYGON(((0 0,4 0,4 4,0 4,0 0)),((2 2,6 2,6 6,2 6,2 2)))", 28.0, true),
            ("MULTIPOLYGON(((0 0,8 0,8 8,0 8,0 0)),((2 2,4 2,4 4,2 4,2 2)))", 64.0, true),
            ("MULTIPOLYGON(((0 0,4 0,4 4,0 4,0 0)),((4 0,8 0,8 4,4 4,4 0)))", 32.0, true),
            ("POLYGON((0 0,4 0,4 4,0 4,0 0,4 0,4 4,0 4,0 0))", 16.0, true),
            ("POLYGON((0 0,4 0,4 4,0 4,0 0),(3 1,6 1,6 3,3 3,3 1))", 14.0, true),
            ("POLYGON((0 0,8 0,8 8,0 8,0 0),(1 1,4 1,4 4,1 4,1 1),(3 3,6 3,6 6,3 6,3 3))", 47.0, true),
            ("POLYGON((0 0,4 0,4 4,8 4,4 4,0 4,0 0))", 16.0, true),
            ("POLYGON((0 0,0 0,4 0,4 0,4 4,0 4,0 0))", 16.0, false),
            ("POLYGON Z((0 0 9,4 0 9,4 4 9,0 4 9,0 0 9))", 16.0, false),
            (
                "GEOMETRYCOLLECTION(GEOMETRYCOLLECTION(POLYGON((0 0,4 0,4 4,0 4,0 0))),POINT(9 9))",
                16.0,
                false,
            ),
            ("TIN(((0 0,1 0,0 1,0 0)),((1 0,1 1,0 1,1 0)))", 1.0, true),
        ] {
            let found = area(wkt).unwrap();
            assert!((found.0 - wanted).abs() < 1e-9 && found.1 == mended, "{wkt}: {found:?}, want {wanted}");
        }
        for wkt in ["POLYGON EMPTY", "POINT(1 1)", "POLYGON((0 0,4 4,0 0))", "POLYGON((0 0,2 2,4 4,0 0))"] {
            assert_eq!(area(wkt), None, "{wkt}");
        }
    }
}
