//! A row of tiles in the making: it fills with lines as blocks are decoded, on one rank or on several.

use contract::{Tile, TileId};

use crate::scene::Scene;

/// A row of tiles, some of whose lines are still to come.
#[derive(Debug, Clone, PartialEq)]
pub struct Strip {
    /// Row of tiles from north.
    pub row: usize,
    /// Its lines that are there, as a run counted from its first: several ranks have a run each.
    pub lines: std::ops::Range<usize>,
    /// Its tiles from west.
    pub parts: Vec<Part>,
}

/// What is known of a tile so far. Sums over lines, whoever read them.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Pixels with data.
    pub n_valid: u64,
    /// Pixels under cloud.
    pub n_cloud: u64,
    /// Pixels of a known class.
    pub n_classed: u64,
    /// Rendered, `[band, row, col]`; zero where nothing is yet.
    pub pixels: Vec<u8>,
}

/// Counts before the pixels of a part, in a fragment.
const N_COUNTS: usize = 3;
const COUNT_BYTES: usize = 8;

impl Strip {
    /// A row of tiles without lines.
    pub fn empty(scene: &Scene, row: usize) -> Self {
        // Each made anew and not as a copy: zeros from the system cost nothing until they are written.
        let part =
            |_| Part { n_valid: 0, n_cloud: 0, n_classed: 0, pixels: vec![0; scene.meta.tile_bytes()] };
        Self { row, lines: 0..0, parts: (0..scene.cols.n_tiles).map(part).collect() }
    }

    /// Whether all lines inside the scene are there.
    pub fn is_whole(&self, scene: &Scene) -> bool {
        self.lines.len() == scene.rows.inside(self.row)
    }

    /// The lines that are there, packed to travel: a tile is its counts, then its lines, band after band.
    pub fn to_fragment(&self, tile_px: usize) -> Vec<u8> {
        let plane = tile_px * tile_px;
        let run = self.lines.start * tile_px..self.lines.end * tile_px;
        let n_bands = self.parts.first().map_or(0, |part| part.pixels.len() / plane);
        let part_bytes = N_COUNTS * COUNT_BYTES + n_bands * run.len();
        // Room for the header that follows it.
        let mut bytes = Vec::with_capacity(self.parts.len() * part_bytes + 1024);
        for part in &self.parts {
            for count in [part.n_valid, part.n_cloud, part.n_classed] {
                bytes.extend_from_slice(&count.to_le_bytes());
            }
            part.pixels.chunks_exact(plane).for_each(|band| bytes.extend_from_slice(&band[run.clone()]));
        }
        bytes
    }

    /// Adds lines that [`Strip::to_fragment`] packed; `None` if the bytes are none. Its run then counts lines, and says no more which.
    pub fn add_fragment(
        &mut self,
        lines: std::ops::Range<usize>,
        tile_px: usize,
        bytes: &[u8],
    ) -> Option<()> {
        let (plane, run) = (tile_px * tile_px, lines.start * tile_px..lines.end * tile_px);
        let mut rest = bytes;
        let count = |rest: &mut &[u8]| {
            let (number, after) = rest.split_first_chunk::<COUNT_BYTES>()?;
            *rest = after;
            Some(u64::from_le_bytes(*number))
        };
        for part in &mut self.parts {
            part.n_valid += count(&mut rest)?;
            part.n_cloud += count(&mut rest)?;
            part.n_classed += count(&mut rest)?;
            for band in part.pixels.chunks_exact_mut(plane) {
                let (pixels, after) = rest.split_at_checked(run.len())?;
                band.get_mut(run.clone())?.copy_from_slice(pixels);
                rest = after;
            }
        }
        self.lines = 0..self.lines.len() + lines.len();
        rest.is_empty().then_some(())
    }

    /// The finished tiles of the row.
    ///
    /// # Errors
    /// If the scene's system has no image on the globe here.
    pub fn into_tiles(self, scene: &Scene) -> anyhow::Result<Vec<Tile>> {
        let (lon_deg, lat_deg) = scene.centres(self.row)?;
        let n_pixels = (scene.rows.tile_px * scene.cols.tile_px) as f64;
        let tile = |(col, part): (usize, Part)| {
            let tile = TileId { row: self.row as u32, col: col as u32 };
            let bounds = scene.tile_grid(tile).bounds();
            let valid_share = part.n_valid as f64 / n_pixels;
            let cloud_share = (part.n_classed > 0).then(|| part.n_cloud as f64 / part.n_classed as f64);
            let skipped = reason(scene, valid_share, cloud_share);
            Tile {
                tile,
                west_m: bounds.west,
                south_m: bounds.south,
                east_m: bounds.east,
                north_m: bounds.north,
                lon_deg: lon_deg[col],
                lat_deg: lat_deg[col],
                valid_share,
                cloud_share,
                pixels: skipped.is_none().then_some(part.pixels),
                skipped,
            }
        };
        Ok(self.parts.into_iter().enumerate().map(tile).collect())
    }
}

/// Why a tile gets no pixels, if it does not.
fn reason(scene: &Scene, valid_share: f64, cloud_share: Option<f64>) -> Option<String> {
    if valid_share == 0.0 {
        return Some("no data".to_owned());
    }
    if valid_share < scene.min_valid_share {
        return Some(format!("valid share under {}", scene.min_valid_share));
    }
    let most = scene.max_cloud_share?;
    cloud_share.is_some_and(|share| share > most).then(|| format!("cloud share over {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 4;

    fn strip(lines: std::ops::Range<usize>, of: &Strip) -> Strip {
        let parts = of.parts.iter().map(|part| {
            let kept = |(i, v): (usize, &u8)| if lines.contains(&(i / SIDE % SIDE)) { *v } else { 0 };
            Part { pixels: part.pixels.iter().enumerate().map(kept).collect(), ..part.clone() }
        });
        Strip { row: of.row, lines: lines.clone(), parts: parts.collect() }
    }

    #[test]
    fn a_row_of_tiles_read_in_pieces_is_the_row_read_at_once() {
        let part = |k: u8| Part {
            n_valid: 16,
            n_cloud: 8,
            n_classed: 12,
            pixels: (0..32).map(|i| i * k + 1).collect(),
        };
        let whole = Strip { row: 3, lines: 0..4, parts: vec![part(1), part(3)] };
        for cut in 1..4 {
            let empty = Part { n_valid: 0, n_cloud: 0, n_classed: 0, pixels: vec![0; 32] };
            let mut joined = Strip { row: 3, lines: 0..0, parts: vec![empty; 2] };
            for lines in [cut..4, 0..cut] {
                let mut piece = strip(lines.clone(), &whole);
                let share = |n: u64| n * lines.len() as u64 / 4;
                for part in &mut piece.parts {
                    (part.n_valid, part.n_cloud, part.n_classed) = (share(16), share(8), share(12));
                }
                assert_eq!(joined.add_fragment(lines, SIDE, &piece.to_fragment(SIDE)), Some(()));
            }
            assert_eq!(joined, whole, "cut at line {cut}");
        }
    }

    #[test]
    fn a_fragment_of_another_length_is_none() {
        let part = Part { n_valid: 1, n_cloud: 0, n_classed: 0, pixels: vec![7; 16] };
        let strip = Strip { row: 0, lines: 1..3, parts: vec![part] };
        let bytes = strip.to_fragment(SIDE);
        assert_eq!(strip.clone().add_fragment(1..3, SIDE, &bytes[..bytes.len() - 1]), None);
        assert_eq!(strip.clone().add_fragment(1..4, SIDE, &bytes), None);
    }
}
