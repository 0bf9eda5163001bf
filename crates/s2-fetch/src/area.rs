//! The area of interest: a polygon, a rectangle, or a named place of a boundary file, in degrees on WGS 84.
//!
//! Longitudes may go on beyond 180°, and rings may jump over the antimeridian. Left out: ground beyond 84° N and 83.6° S, where
//! Sentinel-2's grid ends; it is cut off, and said.

mod file;
mod place;

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use geo::{BooleanOps, BoundingRect, Coord, MultiPolygon, Polygon, Rect};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::globe::on_globe;
use crate::proof::hexadecimal;

/// Where Sentinel-2's grid ends, degrees of latitude: its last row begins here or a little farther south.
pub(crate) const SOUTHERNMOST_DEG: f64 = -83.6;
/// See [`SOUTHERNMOST_DEG`].
pub(crate) const NORTHERNMOST_DEG: f64 = 84.0;
/// Longitudes are degrees up to here; beyond it they are something else.
const MAX_LON_DEG: f64 = 360.0;

/// Flags that say where.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct AreaFlags {
    /// Area: a file of polygons: GeoJSON (longitude and latitude), GeoPackage, FlatGeobuf
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bbox", "boundary"])]
    pub area: Option<PathBuf>,
    /// Area: a rectangle, west,south,east,north in degrees; where west is greater than east it crosses the antimeridian
    #[arg(long, value_name = "W,S,E,N", value_parser = bbox, allow_hyphen_values = true, conflicts_with = "boundary")]
    pub bbox: Option<Bbox>,
    /// Area: the place --name of this file of polygons
    #[arg(long, value_name = "FILE", requires = "name")]
    pub boundary: Option<PathBuf>,
    /// The place's name or code: any text or number of the boundary file that equals it
    #[arg(long, value_name = "TEXT", requires = "boundary")]
    pub name: Option<String>,
}

/// West, south, east, north in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bbox([f64; 4]);

fn bbox(text: &str) -> Result<Bbox, String> {
    let wrong = || {
        "want west,south,east,north in degrees, longitudes within 360 and a turn apart at most, latitudes within 90, south below north"
            .to_owned()
    };
    let numbers: Vec<f64> = text.split(',').map_while(|n| n.trim().parse().ok()).collect();
    let [west, south, east, north] = <[f64; 4]>::try_from(numbers).map_err(|_| wrong())?;
    let is_lon = |lon: f64| (-MAX_LON_DEG..=MAX_LON_DEG).contains(&lon);
    let ordered = if west < east { east - west <= 360.0 } else { west.abs().max(east.abs()) <= 180.0 };
    let fits = is_lon(west) && is_lon(east) && south >= -90.0 && north <= 90.0 && south < north;
    if fits && ordered && west != east { Ok(Bbox([west, south, east, north])) } else { Err(wrong()) }
}

impl AreaFlags {
    /// Whether an area is named at all.
    pub fn is_given(&self) -> bool {
        self.area.is_some() || self.bbox.is_some() || self.boundary.is_some()
    }

    /// The area in words, without the folder that a file lies in.
    pub fn said(&self) -> Option<String> {
        let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match (&self.area, &self.bbox, &self.boundary, &self.name) {
            (Some(path), ..) => Some(file(path)),
            (_, Some(Bbox([west, south, east, north])), ..) => Some(format!("{west},{south},{east},{north}")),
            (.., Some(path), Some(name)) => Some(format!("{name} of {}", file(path))),
            _ => None,
        }
    }

    /// The area, if one is given: valid polygons, outer rings counter-clockwise.
    ///
    /// # Errors
    /// Names the file and what is wrong with it, or the names near the one that is not there.
    pub fn read(&self) -> anyhow::Result<Option<MultiPolygon>> {
        let area = match (&self.area, &self.bbox, &self.boundary, &self.name) {
            (Some(path), ..) => checked(path, file::features(path)?.into_iter().flat_map(|f| f.polygons))?,
            (_, Some(bbox), ..) => inside_grid("--bbox", rectangle(bbox))?,
            (.., Some(path), Some(name)) => checked(path, place::named(path, name)?)?,
            _ => return Ok(None),
        };
        Ok(Some(area))
    }
}

/// A hash of an area's vertices to a tenth of a millimetre or so.
pub(crate) fn hash(area: &MultiPolygon) -> String {
    let mut hash = Sha256::new();
    for ring in area.0.iter().flat_map(|p| std::iter::once(p.exterior()).chain(p.interiors())) {
        ring.0.iter().for_each(|c| hash.update(format!("{:.9},{:.9};", c.x, c.y)));
        hash.update("\n");
    }
    hexadecimal(hash)
}

fn rectangle(&Bbox([west, south, east, north]): &Bbox) -> MultiPolygon {
    let part = |west: f64, east: f64| {
        Rect::new(Coord { x: west, y: south }, Coord { x: east, y: north }).to_polygon()
    };
    let halves = match (west < east, west.min(east) >= -180.0 && west.max(east) <= 180.0) {
        (true, true) => return MultiPolygon(vec![part(west, east)]),
        (false, _) => vec![(west, 180.0), (-180.0, east)],
        (true, false) => [-360.0, 0.0, 360.0].map(|turn| (west + turn, east + turn)).to_vec(),
    };
    let halves = halves.into_iter().map(|(w, e)| (w.max(-180.0), e.min(180.0)));
    MultiPolygon(halves.filter(|(w, e)| w < e).map(|(w, e)| part(w, e)).collect())
}

/// The polygon of a STAC item, if it has one that can be used.
pub(crate) fn footprint(geometry: &Value) -> Option<MultiPolygon> {
    let polygons = file::polygons(serde_json::from_value(geometry.clone()).ok()?).ok()?;
    let sane = |c: Coord| c.x.is_finite() && c.y.is_finite() && c.x.abs() <= MAX_LON_DEG && c.y.abs() <= 90.0;
    let all_sane = polygons.iter().flat_map(|p| p.exterior().0.iter()).all(|c| sane(*c));
    (!polygons.is_empty() && all_sane).then(|| geo::unary_union(&on_globe(polygons).shape.0))
}

/// Puts an area in order and refuses what is not on the globe.
fn checked(path: &Path, polygons: impl IntoIterator<Item = Polygon>) -> anyhow::Result<MultiPolygon> {
    let drawn = MultiPolygon(polygons.into_iter().collect());
    let Some(extent) = drawn.bounding_rect() else {
        bail!("{}: want polygons with an area, found none", path.display());
    };
    let (low, high) = (extent.min(), extent.max());
    let fit = |x: [f64; 2], y: [f64; 2]| {
        x[0] >= -MAX_LON_DEG && x[1] <= MAX_LON_DEG && y[0] >= -90.0 && y[1] <= 90.0
    };
    ensure!(
        fit([low.x, high.x], [low.y, high.y]),
        "{}: want longitudes and latitudes in degrees, found {:.1} to {:.1} and {:.1} to {:.1}; {}",
        path.display(),
        low.x,
        high.x,
        low.y,
        high.y,
        if fit([low.y, high.y], [low.x, high.x]) {
            "the latitude seems to stand first: swap the two"
        } else {
            "they seem to be metres: take them to EPSG:4326 first (ogr2ogr -s_srs EPSG:<code of the file> -t_srs EPSG:4326)"
        }
    );
    let found = on_globe(drawn.0);
    if found.n_crossing > 0 {
        warn!(
            "{}: {} polygons jump from 180° to -180° and are taken to cross the antimeridian; cut them there to be sure",
            path.display(),
            found.n_crossing
        );
    }
    // A union with itself winds the rings one way and resolves crossings.
    let area = geo::unary_union(&geo::unary_union(&found.shape.0).0);
    ensure!(area.bounding_rect().is_some(), "{}: want polygons with an area, found none", path.display());
    inside_grid(&path.display().to_string(), area)
}

/// Cuts off what lies beyond the ends of the grid.
fn inside_grid(named: &str, area: MultiPolygon) -> anyhow::Result<MultiPolygon> {
    let Some(extent) = area.bounding_rect() else { return Ok(area) };
    let (low, high) = (extent.min(), extent.max());
    if low.y >= SOUTHERNMOST_DEG && high.y <= NORTHERNMOST_DEG {
        return Ok(area);
    }
    let said = format!("latitudes {SOUTHERNMOST_DEG} to {NORTHERNMOST_DEG}, where Sentinel-2's grid lies");
    let found = format!("{:.1} to {:.1}", low.y, high.y);
    ensure!(low.y < NORTHERNMOST_DEG && high.y > SOUTHERNMOST_DEG, "{named}: want {said}, found {found}");
    warn!("{named}: want {said}, found {found}; what lies beyond is left out");
    let grid = Rect::new(
        Coord { x: low.x - 1.0, y: SOUTHERNMOST_DEG },
        Coord { x: high.x + 1.0, y: NORTHERNMOST_DEG },
    );
    Ok(area.intersection(&grid.to_polygon()))
}

/// The share of an area that lies inside a shape, both in degrees. Degrees shrink alike over both, so that no projection is needed.
pub(crate) fn share_inside(area: &MultiPolygon, shape: &MultiPolygon) -> f64 {
    use geo::Area;
    let whole = area.unsigned_area();
    if whole > 0.0 { (area.intersection(shape).unsigned_area() / whole).min(1.0) } else { 0.0 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use geo::Area;
    use serde_json::json;

    fn square(west: f64, south: f64) -> Value {
        json!([
            [west, south],
            [west, south + 1.0],
            [west + 1.0, south + 1.0],
            [west + 1.0, south],
            [west, south]
        ])
    }

    fn county(code: &str, city: &str, name: &str, west: f64) -> Value {
        json!({"type": "Feature", "properties": {"adcode": code, "province": "四川省", "city": city, "district": name},
            "geometry": {"type": "Polygon", "coordinates": [square(west, 30.0)]}})
    }

    fn read(name: Option<&str>, document: &Value) -> anyhow::Result<MultiPolygon> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b.geojson");
        std::fs::write(&path, document.to_string()).unwrap();
        let flags = match name {
            Some(name) => AreaFlags { boundary: Some(path), name: Some(name.into()), ..AreaFlags::default() },
            None => AreaFlags { area: Some(path), ..AreaFlags::default() },
        };
        flags.read().map(|area| area.unwrap())
    }

    #[test]
    fn every_kind_of_geojson_with_polygons_is_an_area() {
        let with_hole = json!([
            square(100.0, 30.0),
            [[100.2, 30.2], [100.4, 30.2], [100.4, 30.4], [100.2, 30.4], [100.2, 30.2]]
        ]);
        let polygon = json!({"type": "Polygon", "coordinates": with_hole});
        let many = json!({"type": "MultiPolygon", "coordinates": [with_hole, [square(103.0, 30.0)]]});
        let feature = json!({"type": "Feature", "properties": null, "geometry": polygon});
        let collection = json!({"type": "FeatureCollection", "features": [feature, {"type": "Feature", "properties": {},
            "geometry": {"type": "Point", "coordinates": [1.0, 2.0]}}]});
        for (document, area_deg2) in
            [(polygon.clone(), 0.96), (many, 1.96), (feature, 0.96), (collection, 0.96)]
        {
            let area = read(None, &document).unwrap();
            // The polygon arithmetic rounds to a billionth of the extent.
            assert!((area.unsigned_area() - area_deg2).abs() < 1e-7, "{document}");
        }
    }

    #[test]
    fn what_is_no_area_is_refused_with_the_file_named() {
        let projected = json!({"type": "Polygon", "coordinates": [square(400_000.0, 3_500_000.0)]});
        let pole = json!({"type": "Polygon", "coordinates": [square(10.0, 84.5)]});
        let swapped = json!({"type": "Polygon", "coordinates": [square(30.0, 104.0)]});
        let point = json!({"type": "Point", "coordinates": [1.0, 2.0]});
        let empty = json!({"type": "FeatureCollection", "features": []});
        for (document, said) in [
            (projected, "EPSG:4326"),
            (pole, "where Sentinel-2's grid lies, found 84.5 to 85.5"),
            (swapped, "the latitude seems to stand first"),
            (point, "want polygons, found none"),
            (empty, "want polygons"),
            (json!({"a": 1}), "want GeoJSON"),
        ] {
            let error = format!("{:#}", read(None, &document).unwrap_err());
            assert!(error.contains(said) && error.contains("b.geojson"), "{error}");
        }
    }

    #[test]
    fn a_place_is_found_by_any_of_its_names_and_by_no_other() {
        let file = json!({"type": "FeatureCollection", "features": [
            county("510104", "成都市", "锦江区", 104.0),
            county("511002", "内江市", "市中区", 105.0),
            county("511102", "乐山市", "市中区", 106.0),
        ]});
        assert!((read(Some("锦江区"), &file).unwrap().unsigned_area() - 1.0).abs() < 1e-7);
        assert!((read(Some("511102"), &file).unwrap().unsigned_area() - 1.0).abs() < 1e-7);
        assert!((read(Some("四川省"), &file).unwrap().unsigned_area() - 3.0).abs() < 1e-7, "all its parts");
        let two = read(Some("市中区"), &file).unwrap_err().to_string();
        assert!(two.contains("found 2") && two.contains("内江市") && two.contains("乐山市"), "{two}");
        let none = read(Some("锦江"), &file).unwrap_err().to_string();
        assert!(none.contains("found none; near: 锦江区"), "{none}");
    }

    #[test]
    fn a_footprint_over_the_antimeridian_covers_the_same_ground_however_a_catalogue_draws_it() {
        let area = rectangle(&bbox("179.9,-17.1,-179.8,-16.8").unwrap());
        let ring = |west: f64, east: f64| {
            json!([[[west, -17.2], [east, -17.2], [east, -16.2], [west, -16.2], [west, -17.2]]])
        };
        let drawn = [
            json!({"type": "Polygon", "coordinates": ring(179.0, -179.0)}),
            json!({"type": "Polygon", "coordinates": ring(179.0, 181.0)}),
            json!({"type": "Polygon", "coordinates": ring(-181.0, -179.0)}),
            json!({"type": "MultiPolygon", "coordinates": [ring(179.0, 180.0), ring(-180.0, -179.0)]}),
            json!({"type": "MultiPolygon", "coordinates": [ring(179.0, 180.0), ring(180.0, 181.0)]}),
        ];
        for geometry in drawn {
            let share = share_inside(&area, &footprint(&geometry).unwrap());
            assert!((share - 1.0).abs() < 1e-6, "{geometry}: {share}");
        }
        let beside = json!({"type": "Polygon", "coordinates": ring(-179.7, -178.0)});
        assert!(share_inside(&area, &footprint(&beside).unwrap()) < 1e-6);
        assert!(footprint(&json!({"type": "Polygon", "coordinates": ring(400.0, 401.0)})).is_none());
    }

    #[test]
    fn a_rectangle_may_cross_the_antimeridian_or_go_on_beyond_it() {
        for same in ["179,-18,-179,-17", "179,-18,181,-17", "-181,-18,-179,-17"] {
            let across = rectangle(&bbox(same).unwrap());
            assert_eq!((across.0.len(), across.unsigned_area()), (2, 2.0), "{same}");
        }
        let world = rectangle(&bbox("-180,-84,180,84").unwrap());
        assert_eq!((world.0.len(), world.unsigned_area()), (1, 360.0 * 168.0));
        let cut = inside_grid("--bbox", world).unwrap().unsigned_area();
        assert!((cut - 360.0 * (NORTHERNMOST_DEG - SOUTHERNMOST_DEG)).abs() < 1e-3, "{cut}");
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "0,10,1,5",
            "0,80,1,95",
            "-190,0,200,1",
            "-190,0,-200,1",
            "0,0,361,1",
            "a,b,c,d",
            "1,1,1,2",
            "nan,0,1,1",
        ] {
            assert!(bbox(wrong).is_err(), "{wrong}");
        }
    }
}
