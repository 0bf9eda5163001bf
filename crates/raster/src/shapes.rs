use std::path::Path;

use gdal::vector::{FieldValue, GeometryRef, LayerAccess, OGRwkbGeometryType};
use gdal::{Dataset, DatasetOptions, GdalOpenFlags};

use crate::error::said;
use crate::{Crs, Error, Result};

/// Drivers of vector files that hold themselves and name no other file.
const ALLOWED_DRIVERS: [&str; 3] = ["GeoJSON", "GPKG", "FlatGeobuf"];

/// The largest file of shapes that is read, packed or not.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// A closed line of `(x, y)`; the first point is not repeated at the end.
pub type Ring = Vec<(f64, f64)>;

/// One feature of a vector file: its attributes as text and its area as rings.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Attributes by name, in the file's order; an absent value is `None`.
    pub fields: Vec<(String, Option<String>)>,
    /// Outer rings counter-clockwise, holes clockwise (`y` to the north), so that their signed areas add up to the shape's.
    pub rings: Vec<Ring>,
}

impl Shape {
    /// An attribute's text.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name)?;
        found.1.as_deref()
    }
}

/// Reads the polygons of the first layer of a GeoJSON file (also packed, `.geojson.gz`), a GeoPackage or a FlatGeobuf, and their
/// coordinate system. Features without a polygon are left out, lines and points too.
///
/// # Errors
/// [`Error::Shapes`] for a file that is none of these, too large, damaged, or without a polygon or a coordinate system.
pub fn read_shapes(path: &Path) -> Result<(Vec<Shape>, Crs)> {
    crate::set_up();
    let refuse = |found: String| Error::Shapes { path: path.to_owned(), found };
    let about = std::fs::metadata(path).map_err(|e| refuse(e.to_string()))?;
    if !about.is_file() || about.len() > MAX_FILE_BYTES {
        return Err(refuse(format!("no ordinary file of at most {MAX_FILE_BYTES} bytes")));
    }
    let packed = path.extension().is_some_and(|extension| extension == "gz");
    let name = if packed { packed_name(path) } else { path.to_owned() };
    let options = DatasetOptions {
        open_flags: GdalOpenFlags::GDAL_OF_READONLY
            | GdalOpenFlags::GDAL_OF_VECTOR
            | GdalOpenFlags::GDAL_OF_VERBOSE_ERROR,
        allowed_drivers: Some(&ALLOWED_DRIVERS),
        ..DatasetOptions::default()
    };
    let dataset = Dataset::open_ex(name, options).map_err(|e| refuse(said(e)))?;
    let mut layer = dataset.layer(0).map_err(|_| refuse("no layer".to_owned()))?;
    let system = layer.spatial_ref().ok_or_else(|| refuse("no coordinate system".to_owned()))?;
    let wkt = system.to_wkt().map_err(|e| refuse(said(e)))?;
    let crs =
        Crs::from_text(&wkt).map_err(|_| refuse("a coordinate system that is not understood".into()))?;
    let mut shapes = Vec::new();
    for feature in layer.features() {
        let mut rings = Vec::new();
        if let Some(geometry) = feature.geometry() {
            for part in 0..geometry.geometry_count().max(1) {
                match geometry.geometry_type() {
                    kind if is_polygon(kind) => {
                        push_ring(&mut rings, &geometry.get_geometry(part), part == 0);
                    }
                    kind if is_multi(kind) => push_polygon(&mut rings, &geometry.get_geometry(part)),
                    _ => {}
                }
            }
        }
        if !rings.is_empty() {
            let fields = feature.fields().map(|(name, value)| (name, value.and_then(as_text))).collect();
            shapes.push(Shape { fields, rings });
        }
    }
    if shapes.is_empty() {
        return Err(refuse("no polygon".to_owned()));
    }
    if shapes
        .iter()
        .flat_map(|shape| shape.rings.iter().flatten())
        .any(|(x, y)| !x.is_finite() || !y.is_finite())
    {
        return Err(refuse("a corner that is no number".to_owned()));
    }
    Ok((shapes, crs))
}

/// GDAL's name of what a packed file holds; the file's own name must start at the root.
fn packed_name(path: &Path) -> std::path::PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut name = std::ffi::OsString::from("/vsigzip/");
    name.push(whole);
    name.into()
}

fn flat(kind: OGRwkbGeometryType::Type) -> OGRwkbGeometryType::Type {
    gdal::vector::geometry_type_flatten(kind)
}

fn is_polygon(kind: OGRwkbGeometryType::Type) -> bool {
    flat(kind) == OGRwkbGeometryType::wkbPolygon
}

fn is_multi(kind: OGRwkbGeometryType::Type) -> bool {
    [OGRwkbGeometryType::wkbMultiPolygon, OGRwkbGeometryType::wkbGeometryCollection].contains(&flat(kind))
}

fn push_polygon(rings: &mut Vec<Ring>, polygon: &GeometryRef<'_>) {
    if is_polygon(polygon.geometry_type()) {
        for part in 0..polygon.geometry_count() {
            push_ring(rings, &polygon.get_geometry(part), part == 0);
        }
    }
}

fn push_ring(rings: &mut Vec<Ring>, line: &GeometryRef<'_>, outer: bool) {
    let mut points = Vec::with_capacity(line.point_count());
    line.get_points(&mut points);
    let mut ring: Ring = points.into_iter().map(|(x, y, _)| (x, y)).collect();
    if ring.first() == ring.last() {
        ring.pop();
    }
    if ring.len() < 3 {
        return;
    }
    if (doubled_area(&ring) > 0.0) != outer {
        ring.reverse();
    }
    rings.push(ring);
}

/// Twice the signed area of a ring, positive where it runs counter-clockwise; near the ring's own place, so that digits stay.
fn doubled_area(ring: &[(f64, f64)]) -> f64 {
    let (x0, y0) = ring[0];
    let pairs = ring.iter().zip(ring.iter().cycle().skip(1));
    pairs.map(|(a, b)| (a.0 - x0) * (b.1 - y0) - (b.0 - x0) * (a.1 - y0)).sum()
}

fn as_text(value: FieldValue) -> Option<String> {
    match value {
        FieldValue::IntegerValue(v) => Some(v.to_string()),
        FieldValue::Integer64Value(v) => Some(v.to_string()),
        FieldValue::RealValue(v) => Some(v.to_string()),
        FieldValue::StringValue(v) => Some(v),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SQUARE_WITH_A_HOLE: &str = r#"{"type":"FeatureCollection","features":[
      {"type":"Feature","properties":{"adcode":510104,"name":"锦江区","empty":null},"geometry":{"type":"MultiPolygon","coordinates":
        [[[[0,0],[0,4],[4,4],[4,0],[0,0]],[[1,1],[2,1],[2,2],[1,2],[1,1]]]]}},
      {"type":"Feature","properties":{"name":"a point"},"geometry":{"type":"Point","coordinates":[1,1]}}]}"#;

    fn read(text: &str, name: &str) -> Result<(Vec<Shape>, Crs)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        read_shapes(&path)
    }

    #[test]
    fn rings_turn_so_that_holes_take_from_the_area_whatever_way_the_file_turned_them() {
        let (shapes, crs) = read(SQUARE_WITH_A_HOLE, "zones.geojson").unwrap();
        assert_eq!((shapes.len(), crs.epsg()), (1, Some(4326)), "a point is no zone");
        let area: f64 = shapes[0].rings.iter().map(|ring| doubled_area(ring) / 2.0).sum();
        assert_eq!(area, 15.0);
        assert_eq!(shapes[0].field("adcode"), Some("510104"));
        assert_eq!(shapes[0].field("name"), Some("锦江区"));
        assert_eq!(shapes[0].field("empty"), None);
    }

    #[test]
    fn a_file_without_polygons_is_refused_by_name() {
        for text in [r#"{"type":"FeatureCollection","features":[]}"#, "no json", ""] {
            let error = read(text, "zones.geojson").unwrap_err().to_string();
            assert!(error.contains("zones.geojson: want polygons"), "{error}");
        }
    }
}
