//! The area of interest: a polygon, a rectangle, or a named place of a boundary file, in degrees on WGS 84.
//!
//! Left out: areas beyond 84° N and 80° S, where UTM ends. A polygon may not cross the antimeridian in one ring: GeoJSON cuts it there.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use geo::{BooleanOps, BoundingRect, Coord, LineString, MultiPolygon, Polygon, Rect};
use geojson::{Feature, GeoJson, Geometry, GeometryValue};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::proof::hexadecimal;

/// Where Sentinel-2's grid ends, degrees of latitude.
pub(crate) const SOUTHERNMOST_DEG: f64 = -80.0;
/// See [`SOUTHERNMOST_DEG`].
pub(crate) const NORTHERNMOST_DEG: f64 = 84.0;
const MAX_FILE_BYTES: u64 = 1 << 30;
const NEAR_NAMES: usize = 5;

/// Flags that say where.
#[derive(clap::Args, Debug, Clone, Default)]
pub(crate) struct AreaFlags {
    /// Area: a GeoJSON file of polygons, longitude and latitude
    #[arg(long, value_name = "FILE", conflicts_with_all = ["bbox", "boundary"])]
    pub area: Option<PathBuf>,
    /// Area: a rectangle, west,south,east,north in degrees; west of east it crosses the antimeridian
    #[arg(long, value_name = "W,S,E,N", value_parser = bbox, allow_hyphen_values = true, conflicts_with = "boundary")]
    pub bbox: Option<Bbox>,
    /// Area: the place --name of this GeoJSON file
    #[arg(long, value_name = "FILE", requires = "name")]
    pub boundary: Option<PathBuf>,
    /// The place's name: any text property of the boundary file that equals it
    #[arg(long, value_name = "TEXT", requires = "boundary")]
    pub name: Option<String>,
}

/// West, south, east, north in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bbox([f64; 4]);

fn bbox(text: &str) -> Result<Bbox, String> {
    let wrong = || {
        format!(
            "want west,south,east,north in degrees, longitudes within 180, latitudes {SOUTHERNMOST_DEG} to {NORTHERNMOST_DEG}, \
             south below north"
        )
    };
    let numbers: Vec<f64> = text.split(',').map_while(|n| n.trim().parse().ok()).collect();
    let [west, south, east, north] = <[f64; 4]>::try_from(numbers).map_err(|_| wrong())?;
    let fits = (-180.0..=180.0).contains(&west)
        && (-180.0..=180.0).contains(&east)
        && south >= SOUTHERNMOST_DEG
        && north <= NORTHERNMOST_DEG
        && south < north
        && west != east;
    if fits { Ok(Bbox([west, south, east, north])) } else { Err(wrong()) }
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
            (Some(path), ..) => {
                let polygons = features(path)?.into_iter().map(|(_, polygons)| polygons);
                checked(path, geo::unary_union(&polygons.collect::<Vec<_>>()))?
            }
            (_, Some(bbox), ..) => rectangle(bbox),
            (.., Some(path), Some(name)) => checked(path, place(path, name)?)?,
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
    if west < east {
        return MultiPolygon(vec![part(west, east)]);
    }
    let halves = [(west, 180.0), (-180.0, east)].into_iter().filter(|(w, e)| w < e);
    MultiPolygon(halves.map(|(w, e)| part(w, e)).collect())
}

/// The polygons of a file's features with their properties; those of other geometry are passed over.
fn features(path: &Path) -> anyhow::Result<Vec<(Option<geojson::JsonObject>, MultiPolygon)>> {
    let size_bytes = std::fs::metadata(path).map_err(contract::Error::io(path, "read"))?.len();
    ensure!(
        size_bytes <= MAX_FILE_BYTES,
        "{}: want at most {MAX_FILE_BYTES} bytes, found {size_bytes}",
        path.display()
    );
    let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
    let parsed: GeoJson = text
        .trim_start_matches('\u{feff}')
        .parse()
        .map_err(|e| anyhow::anyhow!("{}: want GeoJSON, found something else: {e}", path.display()))?;
    let features: Vec<Feature> = match parsed {
        GeoJson::FeatureCollection(all) => all.features,
        GeoJson::Feature(one) => vec![one],
        GeoJson::Geometry(geometry) => vec![Feature { geometry: Some(geometry), ..Feature::default() }],
    };
    let mut found = Vec::new();
    for feature in features {
        let Some(geometry) = feature.geometry else { continue };
        let mut polygons = Vec::new();
        collect(geometry, &mut polygons).with_context(|| format!("{}: a bad polygon", path.display()))?;
        if !polygons.is_empty() {
            found.push((feature.properties, MultiPolygon(polygons)));
        }
    }
    ensure!(!found.is_empty(), "{}: want polygons, found none", path.display());
    Ok(found)
}

fn collect(geometry: Geometry, polygons: &mut Vec<Polygon>) -> anyhow::Result<()> {
    match geometry.value {
        GeometryValue::Polygon { coordinates } => polygons.push(polygon(&coordinates)?),
        GeometryValue::MultiPolygon { coordinates } => {
            for rings in &coordinates {
                polygons.push(polygon(rings)?);
            }
        }
        GeometryValue::GeometryCollection { geometries } => {
            // A file nests these at most once in practice; the parser bounds deeper nesting.
            for geometry in geometries {
                collect(geometry, polygons)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn polygon(rings: &[Vec<geojson::Position>]) -> anyhow::Result<Polygon> {
    let ring = |ring: &Vec<geojson::Position>| {
        let point = |p: &geojson::Position| match p.as_slice() {
            [x, y, ..] if x.is_finite() && y.is_finite() => Ok(Coord { x: *x, y: *y }),
            other => Err(anyhow::anyhow!("want a longitude and a latitude, found {other:?}")),
        };
        Ok::<_, anyhow::Error>(LineString(ring.iter().map(point).collect::<anyhow::Result<_>>()?))
    };
    let mut rings = rings.iter().map(ring);
    let exterior = rings.next().context("a polygon without a ring")??;
    Ok(Polygon::new(exterior, rings.collect::<anyhow::Result<_>>()?))
}

/// The polygon of a STAC item, if it has one that can be used.
pub(crate) fn footprint(geometry: &Value) -> Option<MultiPolygon> {
    let mut polygons = Vec::new();
    collect(serde_json::from_value(geometry.clone()).ok()?, &mut polygons).ok()?;
    let sane = |c: Coord| c.x.is_finite() && c.y.is_finite() && c.x.abs() <= 360.0 && c.y.abs() <= 90.0;
    let all_sane = polygons.iter().flat_map(|p| p.exterior().0.iter()).all(|c| sane(*c));
    (!polygons.is_empty() && all_sane).then(|| geo::unary_union(&polygons))
}

/// Puts an area in order and refuses what is not on the globe between the ends of the grid.
fn checked(path: &Path, area: MultiPolygon) -> anyhow::Result<MultiPolygon> {
    // A union with itself winds the rings one way and resolves crossings.
    let area = geo::unary_union(&area.0);
    let Some(extent) = area.bounding_rect() else {
        bail!("{}: want polygons with an area, found none", path.display());
    };
    let (low, high) = (extent.min(), extent.max());
    ensure!(
        low.x >= -180.0 && high.x <= 180.0 && low.y >= -90.0 && high.y <= 90.0,
        "{}: want longitudes and latitudes in degrees, found {:.1} to {:.1} and {:.1} to {:.1}; take it to EPSG:4326 first, \
         and cut it at the antimeridian",
        path.display(),
        low.x,
        high.x,
        low.y,
        high.y
    );
    ensure!(
        low.y >= SOUTHERNMOST_DEG && high.y <= NORTHERNMOST_DEG,
        "{}: want latitudes {SOUTHERNMOST_DEG} to {NORTHERNMOST_DEG}, where Sentinel-2's grid lies, found {:.1} to {:.1}; cut the poles off",
        path.display(),
        low.y,
        high.y
    );
    Ok(area)
}

/// The one place of a name; several features of one place that share all their texts are taken together.
fn place(path: &Path, name: &str) -> anyhow::Result<MultiPolygon> {
    let wanted = name.trim().to_lowercase();
    let mut found: Vec<(Vec<String>, MultiPolygon)> = Vec::new();
    let mut others = Vec::new();
    for (properties, polygons) in features(path)? {
        let texts: Vec<String> = properties
            .iter()
            .flat_map(|p| p.values())
            .filter_map(|v| v.as_str().map(|t| t.trim().to_owned()))
            .collect();
        if texts.iter().any(|t| t.to_lowercase() == wanted) {
            found.push((texts, polygons));
        } else {
            others.extend(texts);
        }
    }
    let Some((first, _)) = found.first() else {
        bail!(
            "{}: want a place named {name}, found none; near: {}",
            path.display(),
            near(&wanted, others).join(", ")
        );
    };
    if found.iter().any(|(texts, _)| texts != first) && !is_division(&found, &wanted) {
        let said: Vec<_> = found.iter().take(NEAR_NAMES).map(|(texts, _)| texts.join(" / ")).collect();
        bail!(
            "{}: want one place named {name}, found {}: {}; use a name or code that only one has",
            path.display(),
            found.len(),
            said.join("; ")
        );
    }
    Ok(geo::unary_union(&found.into_iter().map(|(_, polygons)| polygons).collect::<Vec<_>>()))
}

/// Whether all features name the place at the same property, among others that differ below it: the counties of one province, say.
fn is_division(found: &[(Vec<String>, MultiPolygon)], wanted: &str) -> bool {
    let place_of = |texts: &[String]| texts.iter().position(|t| t.to_lowercase() == wanted);
    let Some(place) = place_of(&found[0].0) else { return false };
    let same_above = |texts: &[String]| place_of(texts) == Some(place) && texts.len() == found[0].0.len();
    let has_parts = found[0].0.len() > place + 1;
    has_parts && found.iter().all(|(texts, _)| same_above(texts))
}

/// The names most like a wanted one: by the longest stretch of letters in common, then by likeness of length.
fn near(wanted: &str, mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    let common = |name: &str| {
        let (a, b): (Vec<char>, Vec<char>) =
            (wanted.chars().collect(), name.to_lowercase().chars().collect());
        let mut best = 0;
        for i in 0..a.len() {
            for j in 0..b.len() {
                best = best.max(a[i..].iter().zip(&b[j..]).take_while(|(x, y)| x == y).count());
            }
        }
        best
    };
    let length = |name: &str| name.chars().count().abs_diff(wanted.chars().count());
    names.sort_by_cached_key(|name| (std::cmp::Reverse(common(name)), length(name), name.clone()));
    names.truncate(NEAR_NAMES);
    names
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
        let point = json!({"type": "Point", "coordinates": [1.0, 2.0]});
        let empty = json!({"type": "FeatureCollection", "features": []});
        for (document, said) in [
            (projected, "EPSG:4326"),
            (pole, "cut the poles off"),
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
    fn a_rectangle_may_cross_the_antimeridian_and_nothing_else() {
        let across = rectangle(&bbox("179,-18,-179,-17").unwrap());
        assert_eq!((across.0.len(), across.unsigned_area()), (2, 2.0));
        for wrong in [
            "",
            "1,2,3",
            "1,2,3,4,5",
            "0,10,1,5",
            "0,80,1,85",
            "-190,0,0,1",
            "a,b,c,d",
            "1,1,1,2",
            "nan,0,1,1",
        ] {
            assert!(bbox(wrong).is_err(), "{wrong}");
        }
    }
}
