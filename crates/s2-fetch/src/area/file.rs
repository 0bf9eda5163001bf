//! The polygons of a file and what is said of them. GeoJSON is read here; GeoPackage, FlatGeobuf and the other files that `raster` knows through it,
//! and so is GeoJSON that is packed, not in UTF-8, or in a coordinate system that its member `crs` names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use geo::{Area, Coord, LineString, Polygon};
use geojson::{GeoJson, Geometry, GeometryValue, JsonObject, JsonValue};
use raster::{Crs, Ring, transform_points};
use tracing::info;

const MAX_FILE_BYTES: u64 = 1 << 30;
/// Enough to tell JSON from other files.
const HEAD_BYTES: u64 = 1 << 10;
/// The mark that some programs write before UTF-8.
const MARK: char = '\u{feff}';
/// Degrees on WGS 84 or on a system that lies within a metre or two of it: China's, Europe's, and those of old GeoJSON.
const DEGREES_EPSG: [u32; 4] = [4326, 4490, 4258, 4979];

/// A feature with polygons.
#[derive(Debug)]
pub(crate) struct Feature {
    /// The values of its properties.
    pub values: Vec<Said>,
    /// Longitudes and latitudes; rings as they are written.
    pub polygons: Vec<Polygon>,
}

/// A value of a feature.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    /// A number as text, without a fraction of zero.
    pub text: String,
    /// Whether it is a number.
    pub is_number: bool,
}

/// The features of a file that have polygons; those of other geometry are passed over.
///
/// # Errors
/// Names the file and what is wrong with it.
pub(crate) fn features(path: &Path) -> anyhow::Result<Vec<Feature>> {
    let about = std::fs::metadata(path).map_err(contract::Error::io(path, "read"))?;
    ensure!(
        about.is_file() && about.len() <= MAX_FILE_BYTES,
        "{}: want a file of at most {MAX_FILE_BYTES} bytes, found {}",
        path.display(),
        if about.is_file() { format!("{} bytes", about.len()) } else { "something else".to_owned() }
    );
    let found = match plain(path)? {
        Some(text) => written(path, text.trim_start_matches(MARK))?,
        None => None,
    };
    let found = match found {
        Some(found) => found,
        None => through_gdal(path)?,
    };
    ensure!(!found.is_empty(), "{}: want polygons, found none", path.display());
    Ok(found)
}

/// The text of a file of JSON in UTF-8.
fn plain(path: &Path) -> anyhow::Result<Option<String>> {
    let unreadable = contract::Error::io(path, "read");
    let mut file = File::open(path).map_err(contract::Error::io(path, "read"))?;
    let mut bytes = Vec::new();
    file.by_ref().take(HEAD_BYTES).read_to_end(&mut bytes).map_err(contract::Error::io(path, "read"))?;
    let head = String::from_utf8_lossy(&bytes);
    if !head.trim_start_matches(MARK).trim_start().starts_with(['{', '[']) {
        return Ok(None);
    }
    file.read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(String::from_utf8(bytes).ok())
}

/// The features of GeoJSON; `None` where it is in a coordinate system of its own.
fn written(path: &Path, text: &str) -> anyhow::Result<Option<Vec<Feature>>> {
    let parsed: GeoJson = text
        .parse()
        .map_err(|e| anyhow::anyhow!("{}: want GeoJSON, found something else: {e}", path.display()))?;
    let (features, members) = match parsed {
        GeoJson::FeatureCollection(all) => (all.features, all.foreign_members),
        GeoJson::Feature(mut one) => {
            let members = one.foreign_members.take();
            (vec![one], members)
        }
        GeoJson::Geometry(geometry) => {
            (vec![geojson::Feature { geometry: Some(geometry), ..Default::default() }], None)
        }
    };
    if members.as_ref().and_then(|members| members.get("crs")).is_some_and(is_another_system) {
        return Ok(None);
    }
    let mut found = Vec::new();
    for feature in features {
        let Some(geometry) = feature.geometry else { continue };
        let polygons = polygons(geometry).with_context(|| format!("{}: a bad polygon", path.display()))?;
        if !polygons.is_empty() {
            found.push(Feature { values: values(feature.properties), polygons });
        }
    }
    Ok(Some(found))
}

/// Whether a member `crs` names another system than degrees of longitude and latitude on WGS 84.
fn is_another_system(crs: &JsonValue) -> bool {
    let Some(name) = crs.pointer("/properties/name").and_then(JsonValue::as_str) else { return false };
    let code = name.rsplit(':').next().unwrap_or_default();
    code != "CRS84" && !code.parse().is_ok_and(|code| DEGREES_EPSG.contains(&code))
}

fn values(properties: Option<JsonObject>) -> Vec<Said> {
    let said = |value: &JsonValue| match value {
        JsonValue::String(text) => Some(Said { text: text.trim().to_owned(), is_number: false }),
        JsonValue::Number(number) => {
            let text = number.to_string();
            let text = text.strip_suffix(".0").map(str::to_owned).unwrap_or(text);
            Some(Said { text, is_number: true })
        }
        _ => None,
    };
    properties.iter().flat_map(JsonObject::values).filter_map(said).collect()
}

/// The polygons of a geometry.
///
/// # Errors
/// If a corner is no pair of numbers.
pub(crate) fn polygons(geometry: Geometry) -> anyhow::Result<Vec<Polygon>> {
    let mut found = Vec::new();
    collect(geometry, &mut found)?;
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
            other => Err(anyhow::anyhow!("want a longitude and a latitude, found {} numbers", other.len())),
        };
        Ok::<_, anyhow::Error>(LineString(ring.iter().map(point).collect::<anyhow::Result<_>>()?))
    };
    let mut rings = rings.iter().map(ring);
    let exterior = rings.next().context("a polygon without a ring")??;
    Ok(Polygon::new(exterior, rings.collect::<anyhow::Result<_>>()?))
}

/// The features of a file that GDAL reads, in degrees on WGS 84.
fn through_gdal(path: &Path) -> anyhow::Result<Vec<Feature>> {
    let (shapes, crs) = raster::read_shapes(path)?;
    info!("{}: no plain GeoJSON; read through GDAL, in {}", path.display(), named(&crs));
    let is_degrees = crs.epsg().is_some_and(|code| DEGREES_EPSG.contains(&code));
    let moved = |ring: &Ring| -> anyhow::Result<LineString> {
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = ring.iter().copied().unzip();
        if !is_degrees {
            transform_points(&crs, &Crs::wgs84()?, &mut x, &mut y)
                .with_context(|| format!("{}: taking it to EPSG:4326", path.display()))?;
        }
        Ok(LineString::from_iter(x.into_iter().zip(y)))
    };
    let feature = |shape: &raster::Shape| -> anyhow::Result<Feature> {
        let texts = shape.fields.iter().filter_map(|(_, value)| value.as_deref());
        let said =
            |text: &str| Said { text: text.trim().to_owned(), is_number: text.trim().parse::<f64>().is_ok() };
        let rings = shape.rings.iter().map(moved).collect::<anyhow::Result<_>>()?;
        Ok(Feature { values: texts.map(said).collect(), polygons: nested(rings) })
    };
    shapes.iter().map(feature).collect()
}

fn named(crs: &Crs) -> String {
    crs.epsg().map_or_else(|| "a coordinate system without a code".to_owned(), |code| format!("EPSG:{code}"))
}

/// Polygons of rings in order, outer ones counter-clockwise before their holes.
fn nested(rings: Vec<LineString>) -> Vec<Polygon> {
    let mut found: Vec<Polygon> = Vec::new();
    for ring in rings {
        let polygon = Polygon::new(ring, vec![]);
        match found.last_mut() {
            Some(outer) if polygon.signed_area() < 0.0 => outer.interiors_push(polygon.exterior().clone()),
            _ => found.push(polygon),
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const TEXT: &str = r#"{"type":"FeatureCollection","crs":{"type":"name","properties":{"name":"urn:ogc:def:crs:OGC:1.3:CRS84"}},
        "features":[{"type":"Feature","properties":{"name":"a","code":1.50,"n":3.0,"t":null},"geometry":{"type":"MultiPolygon",
        "coordinates":[[[[0,0],[4,0],[4,4],[0,0]],[[1,0.5],[2,0.5],[2,1],[1,0.5]]]]}}]}"#;

    fn read(bytes: &[u8]) -> anyhow::Result<Vec<Feature>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.geojson");
        std::fs::write(&path, bytes).unwrap();
        features(&path)
    }

    #[test]
    fn values_are_texts_and_numbers() {
        let found = read(format!("{MARK}\n {TEXT}").as_bytes()).unwrap();
        let texts: Vec<_> = found[0].values.iter().map(|said| (said.text.as_str(), said.is_number)).collect();
        assert_eq!(texts, [("a", false), ("1.5", true), ("3", true)]);
        assert_eq!((found.len(), found[0].polygons[0].interiors().len()), (1, 1));
    }

    #[test]
    fn a_file_with_any_byte_changed_is_read_or_refused_by_name() {
        let mut state: u64 = 22;
        let mut draw = |below: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        let mut n_refused = 0;
        for _ in 0..1_000 {
            let mut bytes = TEXT.as_bytes().to_vec();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len());
                match draw(4) {
                    0 => bytes[at] = draw(256) as u8,
                    1 => drop(bytes.remove(at)),
                    2 => bytes.insert(at, b"[]{},:\"0-e9\0\xff"[draw(13)]),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            if let Err(error) = read(&bytes) {
                n_refused += 1;
                assert!(format!("{error:#}").contains("a.geojson"), "{error:#}");
            }
        }
        assert!((200..1_000).contains(&n_refused), "{n_refused}");
    }
}
