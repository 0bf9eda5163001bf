use super::{f64s, may_f64s, may_text, text, u32s};
use crate::row_group::{self, Joined, RowGroup};
use crate::table::read_frame;
use crate::{Column, Error, Frame, GranuleId, Kind, Made, Result, Spec, TileId, Values};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// One tile of a granule. The pixels are 8-bit, `[band, row, col]`, `tile_px` on a side.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// The tile.
    pub tile: TileId,
    /// Western edge in the granule's coordinate system.
    pub west_m: f64,
    /// Southern edge.
    pub south_m: f64,
    /// Eastern edge.
    pub east_m: f64,
    /// Northern edge.
    pub north_m: f64,
    /// Longitude of the centre, WGS 84.
    pub lon_deg: f64,
    /// Latitude of the centre, WGS 84.
    pub lat_deg: f64,
    /// Share of pixels with data.
    pub valid_share: f64,
    /// Share of cloud and cloud shadow among the pixels that a scene classification knows; missing without one.
    pub cloud_share: Option<f64>,
    /// Why the tile has no pixels here.
    pub skipped: Option<String>,
    /// `bands x tile_px x tile_px` bytes; missing if skipped, or if only the index was read.
    pub pixels: Option<Vec<u8>>,
}

/// What all tiles of a file share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TilesMeta {
    /// The granule's id.
    pub granule: String,
    /// Coordinate system of the bounds, as `EPSG:n` or WKT.
    pub crs: String,
    /// Pixels on a tile's side.
    pub tile_px: u32,
    /// Metres on a pixel's side.
    pub pixel_m: f64,
    /// Rows of tiles.
    pub n_rows: u32,
    /// Columns of tiles.
    pub n_cols: u32,
    /// Names of the bands, in pixel order.
    pub bands: Vec<String>,
}

impl TilesMeta {
    /// Bytes of one tile's pixels.
    pub fn tile_bytes(&self) -> usize {
        self.bands.len() * (self.tile_px as usize).pow(2)
    }
}

/// The tiles table. Written and read row of tiles by row of tiles, see [`TileWriter`] and [`TileReader`].
pub const SPEC: Spec = Spec {
    name: "tiles",
    version: 2,
    made_by: "granule-split-mpi",
    about: "one tile of a granule; a row group is a row of tiles",
    columns: &[
        Column::plain("tile", Kind::Text, "id of the tile"),
        Column::plain("row", Kind::U32, "row of tiles from north"),
        Column::plain("col", Kind::U32, "column of tiles from west"),
        Column::measured("west_m", "m", "western edge"),
        Column::measured("south_m", "m", "southern edge"),
        Column::measured("east_m", "m", "eastern edge"),
        Column::measured("north_m", "m", "northern edge"),
        Column::measured("lon_deg", "deg", "longitude of the centre"),
        Column::measured("lat_deg", "deg", "latitude of the centre"),
        Column::measured("valid_share", "share", "pixels with data"),
        Column::measured("cloud_share", "share", "cloud and its shadow among classified pixels").or_missing(),
        Column::plain("skipped", Kind::Text, "why the tile has no pixels").or_missing(),
        Column::plain("pixels", Kind::Bytes, "8-bit pixels [band, row, col]").or_missing(),
    ],
};

const META_KEY: &str = "tiles";

/// Encodes a row of tiles as the row group that [`TileWriter::splice`] appends.
///
/// # Panics
/// If a tile's pixels are not of the size that the meta data promise.
pub fn encode_row(tiles: Vec<Tile>, meta: &TilesMeta) -> RowGroup {
    let wanted = meta.tile_bytes();
    for pixels in tiles.iter().filter_map(|t| t.pixels.as_ref()) {
        assert_eq!(pixels.len(), wanted, "a tile's pixels must fill it");
    }
    row_group::encode(&SPEC, columns(tiles), None)
}

/// Writes a tiles table, one row of tiles at a time, in constant memory.
pub struct TileWriter {
    file: Joined,
    meta: TilesMeta,
    pairs: Vec<(String, String)>,
}

impl TileWriter {
    /// Begins the file.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Busy`].
    pub fn begin(path: &Path, meta: &TilesMeta, made: &Made) -> Result<Self> {
        Ok(Self { pairs: pairs(meta, made), ..Self::begin_unsigned(path, meta)? })
    }

    /// Begins a file whose provenance is given at its end, to [`TileWriter::finish_signed`]: hashes take time.
    ///
    /// # Errors
    /// As [`TileWriter::begin`].
    pub fn begin_unsigned(path: &Path, meta: &TilesMeta) -> Result<Self> {
        Ok(Self { file: Joined::begin(path, &SPEC, false)?, meta: meta.clone(), pairs: Vec::new() })
    }

    /// Writes the next row of tiles as one row group.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    ///
    /// # Panics
    /// As [`encode_row`].
    pub fn push_row(&mut self, tiles: &[Tile]) -> Result<()> {
        self.splice(encode_row(tiles.to_vec(), &self.meta))
    }

    /// Appends the next row of tiles, encoded elsewhere by [`encode_row`].
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk, or bytes that are no row of tiles.
    pub fn splice(&mut self, row: RowGroup) -> Result<()> {
        self.file.splice(row)
    }

    /// Ends the file and gives it its name.
    ///
    /// # Errors
    /// [`Error::Io`]; an old file under the name is then untouched.
    pub fn finish(mut self) -> Result<()> {
        let pairs = std::mem::take(&mut self.pairs);
        self.finish_signed(pairs)
    }

    /// Ends the file with the metadata of [`pairs`] and gives it its name.
    ///
    /// # Errors
    /// As [`TileWriter::finish`].
    pub fn finish_signed(self, pairs: Vec<(String, String)>) -> Result<()> {
        self.file.finish(pairs)
    }
}

/// The metadata of a finished tiles table: files of equal metadata are equal.
pub fn pairs(meta: &TilesMeta, made: &Made) -> Vec<(String, String)> {
    let mut pairs = made.pairs(&SPEC.tag());
    pairs.push((META_KEY.into(), serde_json::to_string(meta).expect("plain data is always JSON")));
    pairs
}

/// Reads a tiles table, in parts of constant memory.
pub struct TileReader {
    path: PathBuf,
    meta: TilesMeta,
    granule: GranuleId,
}

impl TileReader {
    /// Opens the file and checks its tag.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Damaged`], [`Error::Tag`] or [`Error::Column`].
    pub fn open(path: &Path) -> Result<Self> {
        let (_, pairs) = read_frame(path, &SPEC, Some(vec!["tile".into()]), Some((0, 0)))?;
        let damaged = |reason: String| Error::Damaged { path: path.into(), reason, maker: SPEC.made_by };
        let text = pairs.iter().find(|(key, _)| key == META_KEY).map(|(_, text)| text.as_str());
        let meta: TilesMeta = serde_json::from_str(text.unwrap_or_default())
            .map_err(|_| damaged("no readable `tiles` entry in its metadata".into()))?;
        let granule = meta.granule.parse().map_err(|e: Error| damaged(e.to_string()))?;
        Ok(Self { path: path.into(), meta, granule })
    }

    /// What all tiles share.
    pub fn meta(&self) -> &TilesMeta {
        &self.meta
    }

    /// The granule.
    pub fn granule(&self) -> &GranuleId {
        &self.granule
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All tiles without their pixels, in row order.
    ///
    /// # Errors
    /// As [`TileReader::open`].
    pub fn index(&self) -> Result<Vec<Tile>> {
        let names = SPEC.columns.iter().map(|c| c.name.to_owned()).filter(|n| n != "pixels").collect();
        let (frame, _) = read_frame(&self.path, &SPEC, Some(names), None)?;
        self.rows(&frame, false)
    }

    /// The tiles of one row of tiles, with pixels.
    ///
    /// # Errors
    /// As [`TileReader::open`].
    pub fn row(&self, row: u32) -> Result<Vec<Tile>> {
        let (first, count) = (row as usize * self.meta.n_cols as usize, self.meta.n_cols as usize);
        let (frame, _) = read_frame(&self.path, &SPEC, None, Some((first, count)))?;
        self.rows(&frame, true)
    }

    /// All tiles with pixels, one row of tiles in memory at a time.
    pub fn tiles(&self) -> impl Iterator<Item = Result<Tile>> + '_ {
        (0..self.meta.n_rows).flat_map(|row| match self.row(row) {
            Ok(tiles) => tiles.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    }

    fn rows(&self, f: &Frame, with_pixels: bool) -> Result<Vec<Tile>> {
        let (ids, skipped) = (f.ids::<TileId>("tile")?, f.may_text("skipped")?);
        let (west_m, south_m) = (f.f64s("west_m")?, f.f64s("south_m")?);
        let (east_m, north_m) = (f.f64s("east_m")?, f.f64s("north_m")?);
        let (lon_deg, lat_deg) = (f.f64s("lon_deg")?, f.f64s("lat_deg")?);
        let (valid, cloud) = (f.f64s("valid_share")?, f.may_f64s("cloud_share")?);
        let mut pixels = if with_pixels { f.may_bytes("pixels")? } else { vec![None; ids.len()] };
        let wanted = self.meta.tile_bytes();
        if let Some(odd) = pixels.iter().flatten().find(|p| p.len() != wanted) {
            return Err(f.bad("pixels", &format!("of {wanted} bytes"), format!("{} bytes", odd.len())));
        }
        let row = |(i, tile): (usize, TileId)| Tile {
            tile,
            west_m: west_m[i],
            south_m: south_m[i],
            east_m: east_m[i],
            north_m: north_m[i],
            lon_deg: lon_deg[i],
            lat_deg: lat_deg[i],
            valid_share: valid[i],
            cloud_share: cloud[i],
            skipped: skipped[i].clone(),
            pixels: pixels[i].take(),
        };
        Ok(ids.into_iter().enumerate().map(row).collect())
    }
}

fn columns(mut tiles: Vec<Tile>) -> Vec<Values> {
    let pixels = tiles.iter_mut().map(|t| t.pixels.take()).collect();
    let tiles = &tiles[..];
    vec![
        text(tiles, |t| t.tile),
        u32s(tiles, |t| t.tile.row),
        u32s(tiles, |t| t.tile.col),
        f64s(tiles, |t| t.west_m),
        f64s(tiles, |t| t.south_m),
        f64s(tiles, |t| t.east_m),
        f64s(tiles, |t| t.north_m),
        f64s(tiles, |t| t.lon_deg),
        f64s(tiles, |t| t.lat_deg),
        f64s(tiles, |t| t.valid_share),
        may_f64s(tiles, |t| t.cloud_share),
        may_text(tiles, |t| &t.skipped),
        Values::Bytes(pixels),
    ]
}
