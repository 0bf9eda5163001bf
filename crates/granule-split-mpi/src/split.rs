//! One row of tiles from a scene: read once, cut, counted, rendered.

use raster::{Dtype, Pixel, Source};
use rayon::prelude::*;

use crate::layout::Axis;
use crate::render::n_valid;

/// What is read, and how it is cut and rendered.
#[derive(Debug)]
pub struct Plan {
    /// Tiles from north to south.
    pub rows: Axis,
    /// Tiles from west to east.
    pub cols: Axis,
    /// Bands of the scene in the order of the tiles, counted from 1.
    pub bands: Vec<usize>,
    /// For 16-bit scenes, the 8-bit value of every number, a band each.
    pub tables: Vec<Vec<u8>>,
    /// The scene's no-data value.
    pub nodata: Option<f64>,
    /// Numbers up to this one count as no data where all bands are that dark.
    pub black_max: f64,
    /// A tile with less data than this gets no pixels.
    pub min_valid_share: f64,
}

/// A tile as it travels between ranks.
#[derive(Debug, Clone, PartialEq)]
pub struct Cut {
    /// Share of pixels with data.
    pub valid_share: f64,
    /// `[band, row, col]`, or nothing below the least share.
    pub pixels: Option<Vec<u8>>,
}

/// Reads and cuts a row of tiles.
///
/// # Errors
/// If the scene is damaged.
pub fn cut_row(scene: &Source, plan: &Plan, row: usize) -> raster::Result<Vec<Cut>> {
    match scene.dtype() {
        Dtype::U8 => cut_row_of::<u8>(scene, plan, row, |_, value| value),
        _ => cut_row_of::<u16>(scene, plan, row, |band, value| plan.tables[band][usize::from(value)]),
    }
}

fn cut_row_of<T: Pixel + Into<f64>>(
    scene: &Source,
    plan: &Plan,
    row: usize,
    render: impl Fn(usize, T) -> u8 + Sync,
) -> raster::Result<Vec<Cut>> {
    let (height, width) = (plan.rows.inside(row), plan.cols.scene_px);
    let strips: Vec<Vec<T>> = plan
        .bands
        .iter()
        .map(|&band| scene.read_window(band, plan.rows.start(row), 0, height, width))
        .collect::<raster::Result<_>>()?;
    Ok((0..plan.cols.n_tiles).into_par_iter().map(|col| cut(&strips, plan, height, col, &render)).collect())
}

fn cut<T: Pixel + Into<f64>>(
    strips: &[Vec<T>],
    plan: &Plan,
    height: usize,
    col: usize,
    render: &impl Fn(usize, T) -> u8,
) -> Cut {
    let (start, inside, side) = (plan.cols.start(col), plan.cols.inside(col), plan.cols.tile_px);
    let line = |strip: usize, row: usize| &strips[strip][row * plan.cols.scene_px + start..][..inside];
    let n_with_data: usize = (0..height)
        .map(|row| {
            let lines: Vec<&[T]> = (0..strips.len()).map(|strip| line(strip, row)).collect();
            n_valid(&lines, plan.nodata, plan.black_max)
        })
        .sum();
    let valid_share = n_with_data as f64 / (side * side) as f64;
    if n_with_data == 0 || valid_share < plan.min_valid_share {
        return Cut { valid_share, pixels: None };
    }
    let mut pixels = vec![0; strips.len() * side * side];
    for (band, plane) in pixels.chunks_exact_mut(side * side).enumerate() {
        for row in 0..height {
            let target = &mut plane[row * side..][..inside];
            target.iter_mut().zip(line(band, row)).for_each(|(to, from)| *to = render(band, *from));
        }
    }
    Cut { valid_share, pixels: Some(pixels) }
}

/// A row of tiles as bytes, to travel between ranks: a tile is its share, then 1 and its pixels, or 0.
pub fn to_bytes(cuts: &[Cut]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for cut in cuts {
        bytes.extend_from_slice(&cut.valid_share.to_le_bytes());
        bytes.push(u8::from(cut.pixels.is_some()));
        bytes.extend_from_slice(cut.pixels.as_deref().unwrap_or_default());
    }
    bytes
}

/// The row of tiles that [`to_bytes`] packed, of `n_pixels` bytes a tile; `None` if the bytes are none.
pub fn from_bytes(mut bytes: &[u8], n_pixels: usize) -> Option<Vec<Cut>> {
    let mut cuts = Vec::new();
    while !bytes.is_empty() {
        let (share, rest) = bytes.split_first_chunk()?;
        let (&full, rest) = rest.split_first()?;
        let (pixels, rest) = rest.split_at_checked(if full == 1 { n_pixels } else { 0 })?;
        cuts.push(Cut {
            valid_share: f64::from_le_bytes(*share),
            pixels: (full == 1).then(|| pixels.to_vec()),
        });
        bytes = rest;
    }
    Some(cuts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_tiles_survives_its_journey() {
        let row = vec![
            Cut { valid_share: 0.75, pixels: Some(vec![1, 2, 3, 4]) },
            Cut { valid_share: 0.0, pixels: None },
            Cut { valid_share: 1.0, pixels: Some(vec![9; 4]) },
        ];
        let bytes = to_bytes(&row);
        assert_eq!(from_bytes(&bytes, 4), Some(row));
        assert_eq!(from_bytes(&bytes[..bytes.len() - 1], 4), None);
    }
}
