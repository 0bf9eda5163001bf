use super::{f64s, may_f64s, may_text, text, u32s};
use crate::row_group::{self, Joined};
use crate::{Column, GranuleId, Kind, Made, Result, Spec, TileId, Values};
use serde_json::json;
use std::path::Path;

/// Where a tile lies on the globe, and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Footprint {
    /// The granule.
    pub granule: GranuleId,
    /// The tile.
    pub tile: TileId,
    /// Share of pixels with data.
    pub valid_share: f64,
    /// Share of cloud and cloud shadow among classified pixels.
    pub cloud_share: Option<f64>,
    /// Why the tile has no pixels.
    pub skipped: Option<String>,
    /// Longitude of the centre, WGS 84.
    pub lon_deg: f64,
    /// Latitude of the centre, WGS 84.
    pub lat_deg: f64,
    /// Longitude and latitude of the corners: south-west, south-east, north-east, north-west.
    pub corners_deg: [(f64, f64); 4],
}

/// The index of tiles: a GeoParquet 1.1 file for people, QGIS and DuckDB.
pub const SPEC: Spec = Spec {
    name: "footprints",
    version: 1,
    made_by: "granule-split-mpi",
    about: "one tile with its outline on the globe, as GeoParquet; a row group is a granule",
    columns: &[
        Column::plain("granule", Kind::Text, "id of the granule"),
        Column::plain("tile", Kind::Text, "id of the tile"),
        Column::plain("row", Kind::U32, "row of tiles from north"),
        Column::plain("col", Kind::U32, "column of tiles from west"),
        Column::measured("valid_share", "share", "pixels with data"),
        Column::measured("cloud_share", "share", "cloud and its shadow among classified pixels").or_missing(),
        Column::plain("skipped", Kind::Text, "why the tile has no pixels").or_missing(),
        Column::measured("lon_deg", "deg", "longitude of the centre"),
        Column::measured("lat_deg", "deg", "latitude of the centre"),
        Column::plain("geometry", Kind::Bytes, "outline, a WKB polygon in OGC:CRS84, counter-clockwise"),
    ],
};

/// Degrees of longitude around the globe.
const ROUND_DEG: f64 = 360.0;

impl Footprint {
    /// The corners as a ring that does not jump across the 180th meridian: beyond it longitudes go on past 180.
    fn ring(&self) -> [(f64, f64); 4] {
        let [west, _, east, _] = bounds(&self.corners_deg);
        if east - west <= ROUND_DEG / 2.0 {
            return self.corners_deg;
        }
        self.corners_deg.map(|(lon, lat)| (if lon < 0.0 { lon + ROUND_DEG } else { lon }, lat))
    }
}

/// West, south, east and north of some points.
fn bounds(points: &[(f64, f64)]) -> [f64; 4] {
    points.iter().fold([f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY], |b, (x, y)| {
        [b[0].min(*x), b[1].min(*y), b[2].max(*x), b[3].max(*y)]
    })
}

/// A polygon of one closed ring as little-endian well-known binary.
fn wkb(ring: &[(f64, f64); 4]) -> Vec<u8> {
    const LITTLE_ENDIAN: u8 = 1;
    const POLYGON: u32 = 3;
    let mut bytes = vec![LITTLE_ENDIAN];
    for number in [POLYGON, 1, ring.len() as u32 + 1] {
        bytes.extend(number.to_le_bytes());
    }
    for (lon, lat) in ring.iter().chain(&ring[..1]) {
        bytes.extend(lon.to_le_bytes());
        bytes.extend(lat.to_le_bytes());
    }
    bytes
}

/// Writes the index, a granule at a time, in constant memory.
pub struct FootprintWriter {
    file: Joined,
    bounds: Option<[f64; 4]>,
    made: Made,
}

impl FootprintWriter {
    /// Begins the file.
    ///
    /// # Errors
    /// [`crate::Error::Io`] or [`crate::Error::Busy`].
    pub fn begin(path: &Path, made: &Made) -> Result<Self> {
        Ok(Self { file: Joined::begin(path, &SPEC, true)?, bounds: None, made: made.clone() })
    }

    /// Appends the tiles of a granule as one row group.
    ///
    /// # Errors
    /// [`crate::Error::Io`], such as a full disk.
    pub fn push(&mut self, rows: &[Footprint]) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let rings: Vec<_> = rows.iter().map(Footprint::ring).collect();
        let boxes: Vec<_> = rings.iter().map(|ring| bounds(ring)).collect();
        for [west, south, east, north] in boxes.iter().copied() {
            let all = self.bounds.unwrap_or([west, south, east, north]);
            self.bounds = Some([all[0].min(west), all[1].min(south), all[2].max(east), all[3].max(north)]);
        }
        let side = |i: usize| boxes.iter().map(|b| b[i]).collect::<Vec<f64>>();
        let bbox = [side(0), side(1), side(2), side(3)];
        self.file.splice(row_group::encode(&SPEC, columns(rows, &rings), Some(bbox)))
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; an old file under the name is then untouched.
    pub fn finish(self) -> Result<()> {
        let mut pairs = self.made.pairs(&SPEC.tag());
        pairs.push(("geo".into(), geo(self.bounds)));
        self.file.finish(pairs)
    }
}

/// The metadata of GeoParquet 1.1. Without `crs` coordinates are OGC:CRS84: longitude, then latitude.
fn geo(bounds: Option<[f64; 4]>) -> String {
    let side = |name: &str| json!(["bbox", name]);
    let mut geometry = json!({
        "encoding": "WKB",
        "geometry_types": ["Polygon"],
        "orientation": "counterclockwise",
        "edges": "planar",
        "covering": {"bbox": {"xmin": side("xmin"), "ymin": side("ymin"), "xmax": side("xmax"), "ymax": side("ymax")}},
    });
    if let Some(bounds) = bounds {
        geometry["bbox"] = json!(bounds);
    }
    json!({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}).to_string()
}

fn columns(rows: &[Footprint], rings: &[[(f64, f64); 4]]) -> Vec<Values> {
    vec![
        text(rows, |r| r.granule.clone()),
        text(rows, |r| r.tile),
        u32s(rows, |r| r.tile.row),
        u32s(rows, |r| r.tile.col),
        f64s(rows, |r| r.valid_share),
        may_f64s(rows, |r| r.cloud_share),
        may_text(rows, |r| &r.skipped),
        f64s(rows, |r| r.lon_deg),
        f64s(rows, |r| r.lat_deg),
        Values::Bytes(rings.iter().map(|ring| Some(wkb(ring))).collect()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tile(west: f64, east: f64) -> Footprint {
        Footprint {
            granule: "T01WCV".parse().unwrap_or_else(|_| unreachable!("a granule id")),
            tile: TileId { row: 0, col: 0 },
            valid_share: 1.0,
            cloud_share: None,
            skipped: None,
            lon_deg: west,
            lat_deg: 0.5,
            corners_deg: [(west, 0.0), (east, 0.0), (east, 1.0), (west, 1.0)],
        }
    }

    /// Twice the area of a ring: positive where it runs counter-clockwise.
    fn turn(ring: &[(f64, f64)]) -> f64 {
        (0..ring.len())
            .map(|i| (ring[i], ring[(i + 1) % ring.len()]))
            .map(|(a, b)| a.0 * b.1 - b.0 * a.1)
            .sum()
    }

    #[test]
    fn an_outline_runs_counter_clockwise_also_across_the_180th_meridian() {
        for tile in [tile(10.0, 11.0), tile(179.9, -179.9)] {
            assert!(turn(&tile.ring()) > 0.0);
            let [west, _, east, _] = bounds(&tile.ring());
            assert!(east - west < 2.0, "an outline does not span the globe");
        }
    }

    #[test]
    fn a_polygon_is_93_bytes_and_ends_where_it_began() {
        let bytes = wkb(&tile(10.0, 11.0).ring());
        assert_eq!(bytes.len(), 1 + 3 * 4 + 5 * 16);
        assert_eq!(bytes[13..29], bytes[77..93]);
    }
}
