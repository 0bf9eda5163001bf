//! The table of zones as CSV, GeoJSON, and columns for the page: the same numbers as in the Parquet file, to the last digit.

use contract::outside_text::{csv_quoted, csv_text};
use contract::{Record, Region, RingDeg, Values};
use raster::Ring;
use serde_json::{Map, Value, json};

use crate::ground::signed_area;
use crate::zones::Zone;

/// A record of CSV of cells that are quoted already.
pub fn csv_line(cells: impl IntoIterator<Item = String>) -> String {
    cells.into_iter().collect::<Vec<_>>().join(",") + "\n"
}

/// The table as CSV, missing numbers empty. Names that a spreadsheet would compute begin with an apostrophe: see [`csv_text`].
pub fn csv(rows: &[Region]) -> String {
    let cell = |value: Value| match value {
        Value::Null => String::new(),
        Value::String(text) => csv_text(&text),
        other => csv_quoted(other.to_string()),
    };
    let columns = columns(rows);
    let mut lines = csv_line(Region::SPEC.columns.iter().map(|column| column.name.to_owned()));
    for row in 0..rows.len() {
        lines += &csv_line(columns.iter().map(|column| cell(column[row].clone())));
    }
    lines
}

/// The zones with all their numbers and outlines as GeoJSON (RFC 7946).
pub fn geojson(rows: &[Region], outlines: &[Vec<Vec<RingDeg>>]) -> Value {
    let columns = columns(rows);
    let feature = |row: usize| {
        let names = Region::SPEC.columns.iter().map(|column| column.name.to_owned());
        let properties: Map<String, Value> =
            names.zip(columns.iter().map(|column| column[row].clone())).collect();
        json!({"type": "Feature", "id": row, "properties": properties, "geometry": multi_polygon(&outlines[row])})
    };
    json!({"type": "FeatureCollection", "features": (0..rows.len()).map(feature).collect::<Vec<_>>()})
}

/// The table's values, column after column.
pub fn columns(rows: &[Region]) -> Vec<Vec<Value>> {
    let column = |values: Values| match values {
        Values::Text(v) => v.into_iter().map(Value::from).collect(),
        Values::Bool(v) => v.into_iter().map(Value::from).collect(),
        Values::U32(v) => v.into_iter().map(Value::from).collect(),
        Values::U64(v) => v.into_iter().map(Value::from).collect(),
        Values::F64(v) => v.into_iter().map(Value::from).collect(),
        Values::Bytes(v) => v.iter().map(|_| Value::Null).collect::<Vec<Value>>(),
    };
    Region::to_columns(rows).into_iter().map(column).collect()
}

/// The polygons of a zone: each outer ring with the holes that follow it.
pub fn polygons(zone: &Zone) -> Vec<Vec<RingDeg>> {
    let mut polygons: Vec<Vec<RingDeg>> = Vec::new();
    for ring in &zone.rings_deg {
        match polygons.last_mut() {
            Some(last) if signed_area(ring) < 0.0 => last.push(ring.clone()),
            _ => polygons.push(vec![ring.clone()]),
        }
    }
    polygons
}

/// A GeoJSON geometry. Coordinates keep seven digits, a centimetre.
pub fn multi_polygon(polygons: &[Vec<RingDeg>]) -> Value {
    let place = |&(lon, lat): &(f64, f64)| json!([rounded(lon), rounded(lat)]);
    let ring = |ring: &RingDeg| -> Value { ring.iter().chain(ring.first()).map(place).collect() };
    let polygon = |rings: &Vec<RingDeg>| -> Value { rings.iter().map(ring).collect() };
    json!({"type": "MultiPolygon", "coordinates": polygons.iter().map(polygon).collect::<Vec<_>>()})
}

fn rounded(degrees: f64) -> f64 {
    (degrees * 1e7).round() / 1e7
}

/// A point inside of a zone, in degrees: on the parallel through the middle of its largest ring, in the middle of the widest part.
pub fn point_inside(rings: &[Ring]) -> (f64, f64) {
    let size = |ring: &&Ring| signed_area(ring).abs();
    let Some(largest) = rings.iter().max_by(|a, b| size(a).total_cmp(&size(b))) else { return (0.0, 0.0) };
    let (low, high) =
        largest.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.1), h.max(p.1)));
    let lat = (low + high) / 2.0;
    let mut crossings: Vec<f64> = rings.iter().flat_map(|ring| crossings(ring, lat)).collect();
    crossings.sort_by(f64::total_cmp);
    let width = |pair: &&[f64]| pair[1] - pair[0];
    let widest = crossings.chunks_exact(2).max_by(|a, b| width(a).total_cmp(&width(b)));
    widest.map_or(largest[0], |pair| ((pair[0] + pair[1]) / 2.0, lat))
}

fn crossings(ring: &Ring, lat: f64) -> Vec<f64> {
    let edges = ring.iter().zip(ring.iter().cycle().skip(1));
    let crossing = |(a, b): (&(f64, f64), &(f64, f64))| {
        ((a.1 <= lat) != (b.1 <= lat)).then(|| a.0 + (lat - a.1) / (b.1 - a.1) * (b.0 - a.0))
    };
    edges.filter_map(crossing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_holds_the_digits_of_the_table_and_quotes_what_needs_it() {
        let row = Region { zone: "a,\"b\"".into(), score: Some(0.1 + 0.2), ..Region::default() };
        let text = csv(&[row]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("zone,name,name_en,part_of,lon_deg"));
        assert!(
            lines[1].starts_with("\"a,\"\"b\"\"\",,,,0.0,0.0,0.0,0.0,0.30000000000000004,"),
            "{}",
            lines[1]
        );
    }

    #[test]
    fn names_that_a_spreadsheet_would_compute_are_text_and_numbers_below_zero_are_numbers() {
        let row = Region {
            zone: "=1+1".into(),
            name: "@SUM(A1)".into(),
            part_of: Some("-2+3".into()),
            lon_deg: -75.5,
            ..Region::default()
        };
        let text = csv(&[row]);
        let line = text.lines().nth(1).unwrap_or_default();
        assert!(line.starts_with("'=1+1,'@SUM(A1),,'-2+3,-75.5,"), "{line}");
    }

    #[test]
    fn a_point_inside_avoids_the_hollow_of_a_horseshoe() {
        let shoe = vec![
            (0.0, 0.0),
            (10.0, 0.0),
            (10.0, 10.0),
            (8.0, 10.0),
            (8.0, 2.0),
            (3.0, 2.0),
            (3.0, 10.0),
            (0.0, 10.0),
        ];
        assert_eq!(point_inside(&[shoe]), (1.5, 5.0));
    }
}
