use super::{f64s, may_f64s, may_u32s, text};
use crate::row_group::{self, Joined};
use crate::tables::regions::Region;
use crate::{Column, Kind, Made, Result, Spec, Values};
use serde_json::json;
use std::path::Path;

/// A closed line of longitude and latitude; the first point is not repeated at the end.
pub type RingDeg = Vec<(f64, f64)>;

/// Zones with their outlines: a GeoParquet 1.1 file for people, QGIS and DuckDB.
pub const SPEC: Spec = Spec {
    name: "region-outlines",
    version: 1,
    made_by: "region-report",
    about: "a zone with its score and its outline on the globe, as GeoParquet",
    columns: &[
        Column::plain("zone", Kind::Text, "id of the zone"),
        Column::plain("name", Kind::Text, "name as the zones file gives it"),
        Column::measured("coverage_share", "share", "of the area that has a score"),
        Column::measured("score_share", "share", "mean score over the area that has one").or_missing(),
        Column::measured("low_share", "share", "lower end of the bootstrap interval").or_missing(),
        Column::measured("high_share", "share", "upper end of the bootstrap interval").or_missing(),
        Column::plain("rank", Kind::U32, "place among ranked zones, 1 is the highest score").or_missing(),
        Column::plain("group", Kind::U32, "zones not distinguishable from the group's first").or_missing(),
        Column::plain("geometry", Kind::Bytes, "outline, a WKB multipolygon in OGC:CRS84"),
    ],
};

/// Writes the zones with their outlines: polygons of each zone, each an outer ring (counter-clockwise) and its holes.
///
/// # Errors
/// [`crate::Error::Io`] or [`crate::Error::Busy`]; an old file is then untouched.
pub fn write_outlines(
    path: &Path,
    rows: &[Region],
    outlines: &[Vec<Vec<RingDeg>>],
    made: &Made,
) -> Result<()> {
    assert_eq!(rows.len(), outlines.len(), "one outline a zone");
    let geometry = outlines.iter().map(|polygons| Some(wkb(polygons))).collect();
    let columns = vec![
        text(rows, |r| r.zone.clone()),
        text(rows, |r| r.name.clone()),
        f64s(rows, |r| r.coverage_share),
        may_f64s(rows, |r| r.score),
        may_f64s(rows, |r| r.low),
        may_f64s(rows, |r| r.high),
        may_u32s(rows, |r| r.rank),
        may_u32s(rows, |r| r.group),
        Values::Bytes(geometry),
    ];
    let mut file = Joined::begin(path, &SPEC, false)?;
    file.splice(row_group::encode(&SPEC, columns, None))?;
    let mut pairs = made.pairs(&SPEC.tag());
    pairs.push(("geo".into(), geo(outlines)));
    file.finish(pairs)
}

/// Polygons as one little-endian well-known binary multipolygon.
fn wkb(polygons: &[Vec<RingDeg>]) -> Vec<u8> {
    const LITTLE_ENDIAN: u8 = 1;
    const POLYGON: u32 = 3;
    const MULTI_POLYGON: u32 = 6;
    let mut bytes = Vec::new();
    let head = |bytes: &mut Vec<u8>, kind: u32, n: usize| {
        bytes.push(LITTLE_ENDIAN);
        bytes.extend(kind.to_le_bytes());
        bytes.extend((n as u32).to_le_bytes());
    };
    head(&mut bytes, MULTI_POLYGON, polygons.len());
    for polygon in polygons {
        head(&mut bytes, POLYGON, polygon.len());
        for ring in polygon {
            bytes.extend((ring.len() as u32 + 1).to_le_bytes());
            for (lon, lat) in ring.iter().chain(ring.first()) {
                bytes.extend(lon.to_le_bytes());
                bytes.extend(lat.to_le_bytes());
            }
        }
    }
    bytes
}

/// The metadata of GeoParquet 1.1. Without `crs` coordinates are OGC:CRS84: longitude, then latitude.
fn geo(outlines: &[Vec<Vec<RingDeg>>]) -> String {
    let points = || outlines.iter().flatten().flatten().flatten();
    let low = |axis: fn(&(f64, f64)) -> f64| points().map(axis).fold(f64::INFINITY, f64::min);
    let high = |axis: fn(&(f64, f64)) -> f64| points().map(axis).fold(f64::NEG_INFINITY, f64::max);
    let mut geometry = json!({
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon"],
        "orientation": "counterclockwise",
        "edges": "planar",
    });
    if points().next().is_some() {
        geometry["bbox"] = json!([low(|p| p.0), low(|p| p.1), high(|p| p.0), high(|p| p.1)]);
    }
    json!({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_triangle_is_one_polygon_of_one_closed_ring() {
        let bytes = wkb(&[vec![vec![(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)]]]);
        assert_eq!(bytes.len(), 9 + 9 + 4 + 4 * 16);
        assert_eq!(bytes[22..38], bytes[70..86], "it ends where it began");
    }
}
