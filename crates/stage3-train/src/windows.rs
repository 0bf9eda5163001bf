//! The windows that are scored: the tiles themselves, or, for a finer map, windows of a tile's size at every stride.
//!
//! A finer table has one row a cell of `stride` pixels, and its score is that of the window around the cell's middle. At the granule's edge,
//! where such a window would leave it, the window is moved inward; where it would touch a tile without pixels it is the cell's own tile.
//! So the finer map covers the same ground as the coarse one, cell by cell, and a stride of a whole tile gives back the coarse one.

use anyhow::{Context, ensure};
use contract::{Tile, TileId, TileReader};
use nn::{Rgb, Tones};
use std::collections::BTreeMap;

/// A part of the granule that gets one score.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Its place among the cells.
    pub id: TileId,
    /// Western, southern, eastern and northern edge in metres.
    pub bounds_m: [f64; 4],
    /// Why it has no score.
    pub skipped: Option<String>,
}

/// The cells of a granule.
pub struct Windows {
    reader: TileReader,
    index: Vec<Tile>,
    stride_px: usize,
    /// Rows of tiles that were read last, by row.
    rows: BTreeMap<u32, Vec<Tile>>,
}

impl Windows {
    /// Opens a tiles table; without a stride a cell is a tile.
    ///
    /// # Errors
    /// If it cannot be read, or the stride does not divide a tile, or tiles overlap and the stride is finer.
    pub fn open(path: &std::path::Path, stride_px: Option<u32>) -> anyhow::Result<Self> {
        let reader = TileReader::open(path)?;
        let tile_px = reader.meta().tile_px;
        let stride_px = stride_px.unwrap_or(tile_px);
        ensure!(
            stride_px > 0 && tile_px.is_multiple_of(stride_px),
            "{}: want a --stride-px that divides a tile's {tile_px} px, got {stride_px}",
            path.display()
        );
        let index = reader.index()?;
        let windows = Self { reader, index, stride_px: stride_px as usize, rows: BTreeMap::new() };
        ensure!(
            stride_px == tile_px || windows.abut(),
            "{}: want tiles that abut for --stride-px, got some that overlap; split the scene with --edge drop or pad",
            path.display()
        );
        Ok(windows)
    }

    /// The table.
    pub fn reader(&self) -> &TileReader {
        &self.reader
    }

    /// Rows of cells.
    pub fn n_rows(&self) -> u32 {
        self.reader.meta().n_rows * self.cells_a_tile() as u32
    }

    fn cells_a_tile(&self) -> usize {
        self.tile_px() / self.stride_px
    }

    fn tile_px(&self) -> usize {
        self.reader.meta().tile_px as usize
    }

    fn n_cols(&self) -> usize {
        self.reader.meta().n_cols as usize
    }

    fn abut(&self) -> bool {
        let gap_m = self.reader.meta().pixel_m / 2.0;
        let n_cols = self.n_cols();
        self.index.iter().enumerate().all(|(i, tile)| {
            let east = self.index.get(i + 1).filter(|_| (i + 1) % n_cols != 0);
            let south = self.index.get(i + n_cols);
            east.is_none_or(|e| (e.west_m - tile.east_m).abs() < gap_m)
                && south.is_none_or(|s| (s.north_m - tile.south_m).abs() < gap_m)
        })
    }

    /// The cells of one row.
    pub fn cells(&self, row: u32) -> Vec<Cell> {
        let (k, n_cols) = (self.cells_a_tile(), self.n_cols());
        let part = |low: f64, high: f64, i: usize| {
            if i == k { high } else { low + (high - low) * i as f64 / k as f64 }
        };
        let cell = |col: usize| {
            let tile = &self.index[row as usize / k * n_cols + col / k];
            let (down, right) = (row as usize % k, col % k);
            let bounds_m = [
                part(tile.west_m, tile.east_m, right),
                part(tile.north_m, tile.south_m, down + 1),
                part(tile.west_m, tile.east_m, right + 1),
                part(tile.north_m, tile.south_m, down),
            ];
            Cell { id: TileId { row, col: col as u32 }, bounds_m, skipped: tile.skipped.clone() }
        };
        (0..n_cols * k).map(cell).collect()
    }

    /// The pictures of the cells of one row that are not skipped, in their order.
    ///
    /// # Errors
    /// If the table cannot be read or has no colour.
    pub fn pictures(&mut self, row: u32) -> anyhow::Result<Vec<Rgb>> {
        let (k, n_cols) = (self.cells_a_tile(), self.n_cols());
        let px = self.tile_px();
        let top = self.start(row as usize, self.reader.meta().n_rows as usize);
        let own = row as usize / k;
        self.load(&[top / px, top.div_ceil(px), own])?;
        let mut pictures = Vec::new();
        for col in 0..n_cols * k {
            if self.index[own * n_cols + col / k].skipped.is_some() {
                continue;
            }
            let left = self.start(col, n_cols);
            let bands = match self.cut(top, left) {
                Some(bands) => bands,
                None => self.cut(own * px, col / k * px).context("pixels of a tile that is not skipped")?,
            };
            let picture = Rgb::from_bands(&bands, px);
            pictures.push(picture.with_context(|| self.reader.path().display().to_string())?);
        }
        Ok(pictures)
    }

    /// Where the window of a cell begins along one side of `n` tiles.
    fn start(&self, cell: usize, n: usize) -> usize {
        let px = self.tile_px();
        let middle = cell * self.stride_px + self.stride_px / 2;
        middle.saturating_sub(px / 2).min((n - 1) * px)
    }

    fn load(&mut self, wanted: &[usize]) -> anyhow::Result<()> {
        self.rows.retain(|row, _| wanted.contains(&(*row as usize)));
        for &row in wanted {
            let row = row as u32;
            if !self.rows.contains_key(&row) {
                self.rows.insert(row, self.reader.row(row)?);
            }
        }
        Ok(())
    }

    /// The pixels of a window, `[band, row, col]`; nothing if one of its tiles has none.
    fn cut(&self, top: usize, left: usize) -> Option<Vec<u8>> {
        let px = self.tile_px();
        let n_bands = self.reader.meta().bands.len();
        let mut out = vec![0; n_bands * px * px];
        for (tile_row, from_row, n_rows, to_row) in parts(top, px) {
            for (tile_col, from_col, n_cols, to_col) in parts(left, px) {
                let pixels = self.rows.get(&(tile_row as u32))?.get(tile_col)?.pixels.as_ref()?;
                for line in 0..n_bands * n_rows {
                    let (band, down) = (line / n_rows, line % n_rows);
                    let from = (band * px + from_row + down) * px + from_col;
                    let to = (band * px + to_row + down) * px + to_col;
                    out[to..to + n_cols].copy_from_slice(&pixels[from..from + n_cols]);
                }
            }
        }
        Some(out)
    }

    /// The colours of the whole granule.
    ///
    /// # Errors
    /// If the table cannot be read.
    pub fn tones(&self) -> anyhow::Result<Tones> {
        let mut rows = Vec::new();
        for row in 0..self.reader.meta().n_rows {
            let pixels = self.reader.row(row)?.into_iter().filter_map(|tile| tile.pixels);
            let tones =
                pixels.map(|p| Rgb::from_bands(&p, self.tile_px()).map(|picture| Tones::of(&picture)));
            rows.push(Tones::together(tones.collect::<Result<Vec<_>, _>>()?.into_iter()));
        }
        Ok(Tones::together(rows.into_iter()))
    }
}

/// The tiles that a window of `px` from `start` on touches along one side: tile, first pixel in it, pixels, first pixel in the window.
fn parts(start: usize, px: usize) -> impl Iterator<Item = (usize, usize, usize, usize)> + Clone {
    let (tile, from) = (start / px, start % px);
    let first = std::iter::once((tile, from, px - from, 0));
    first.chain((from > 0).then_some((tile + 1, 0, from, px - from)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use contract::{Made, TileWriter, TilesMeta};

    const PX: u32 = 8;
    const N: u32 = 3;

    /// A granule whose pixel says where it lies: red the row, green the column. The last tile has no pixels.
    fn granule(dir: &std::path::Path) -> std::path::PathBuf {
        let path = dir.join("tiles.parquet");
        let meta = TilesMeta {
            granule: "made".into(),
            crs: "EPSG:32618".into(),
            tile_px: PX,
            pixel_m: 10.0,
            n_rows: N,
            n_cols: N,
            bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
        };
        let mut writer = TileWriter::begin(&path, &meta, &Made::by("test")).unwrap();
        for row in 0..N {
            let tile = |col: u32| {
                let empty = (row, col) == (N - 1, N - 1);
                let value = |i: u32| match i / (PX * PX) {
                    0 => row * PX + i / PX % PX,
                    1 => col * PX + i % PX,
                    _ => 7,
                } as u8;
                Tile {
                    tile: TileId { row, col },
                    west_m: f64::from(col * PX) * 10.0,
                    south_m: -f64::from((row + 1) * PX) * 10.0,
                    east_m: f64::from((col + 1) * PX) * 10.0,
                    north_m: -f64::from(row * PX) * 10.0,
                    lon_deg: 0.0,
                    lat_deg: 0.0,
                    valid_share: 1.0,
                    cloud_share: None,
                    skipped: empty.then(|| "no data".into()),
                    pixels: (!empty).then(|| (0..3 * PX * PX).map(value).collect()),
                }
            };
            writer.push_row(&(0..N).map(tile).collect::<Vec<_>>()).unwrap();
        }
        writer.finish().unwrap();
        path
    }

    /// The first and the last row and column of a window, as its pixels say.
    fn frame(picture: &Rgb) -> (u8, u8, u8, u8) {
        let p = picture.interleaved();
        (p[0], p[p.len() - 3], p[1], p[p.len() - 2])
    }

    #[test]
    fn a_window_lies_around_its_cell_and_never_leaves_the_granule_or_its_pixels() {
        let dir = tempfile::tempdir().unwrap();
        let mut windows = Windows::open(&granule(dir.path()), Some(2)).unwrap();
        assert_eq!(windows.n_rows(), 12);
        for row in 0..12 {
            let cells = windows.cells(row);
            let pictures = windows.pictures(row).unwrap();
            let seen: Vec<&Cell> = cells.iter().filter(|c| c.skipped.is_none()).collect();
            assert_eq!(seen.len(), pictures.len());
            for (cell, picture) in seen.iter().zip(&pictures) {
                let (top, bottom, left, right) = frame(picture);
                assert_eq!((bottom - top, right - left), (7, 7), "all pixels of one window");
                let (down, across) = (cell.id.row as u8 * 2, cell.id.col as u8 * 2);
                assert!(
                    (top..bottom).contains(&down) && (left..right).contains(&across),
                    "{cell:?} {top} {left}"
                );
                let inside = |at: u8| (3..20).contains(&at);
                if inside(down) && inside(across) && down < 11 {
                    assert_eq!((top, left), (down + 1 - 4, across + 1 - 4), "in the middle");
                }
                assert_eq!(cell.bounds_m[0], f64::from(across) * 10.0);
                assert_eq!(cell.bounds_m[3], -f64::from(down) * 10.0);
            }
        }
    }

    #[test]
    fn a_stride_of_a_whole_tile_gives_the_tiles() {
        let dir = tempfile::tempdir().unwrap();
        let path = granule(dir.path());
        let mut windows = Windows::open(&path, Some(PX)).unwrap();
        for row in 0..N {
            let tiles = windows.reader().row(row).unwrap();
            let wanted: Vec<Rgb> = tiles
                .iter()
                .filter_map(|t| t.pixels.as_ref())
                .map(|p| Rgb::from_bands(p, 8).unwrap())
                .collect();
            assert_eq!(windows.pictures(row).unwrap(), wanted);
            let cells = windows.cells(row);
            assert!(
                cells
                    .iter()
                    .zip(&tiles)
                    .all(|(c, t)| c.id == t.tile && c.bounds_m == [t.west_m, t.south_m, t.east_m, t.north_m])
            );
        }
        assert!(Windows::open(&path, Some(3)).is_err(), "3 does not divide 8");
    }
}
