//! Tiles as pictures for people, named as the study named them: `<item>_visual_<row>_<column>`, both from 1.

use std::path::Path;

use anyhow::{Context, ensure};
use contract::Tile;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use raster::{BandOut, CogOptions, Overviews, write_cog};

use crate::scene::Scene;

/// Bands of a grey and of a coloured picture.
const GREY: usize = 1;
const COLOUR: usize = 3;

/// Writes a tile into the folders that are given. A tile without pixels has no picture.
///
/// # Errors
/// If the bands make no PNG, or a file cannot be written.
pub fn write(scene: &Scene, tile: &Tile, png: Option<&Path>, tif: Option<&Path>) -> anyhow::Result<()> {
    let Some(pixels) = &tile.pixels else { return Ok(()) };
    let name = format!("{}_visual_{}_{}", scene.name, tile.tile.row + 1, tile.tile.col + 1);
    if let Some(folder) = png {
        contract::file::write(&folder.join(format!("{name}.png")), &to_png(scene, pixels)?)?;
    }
    if let Some(folder) = tif {
        write_tif(scene, tile, pixels, &folder.join(format!("{name}.tif")))?;
    }
    Ok(())
}

fn to_png(scene: &Scene, pixels: &[u8]) -> anyhow::Result<Vec<u8>> {
    let n_bands = scene.bands.len();
    ensure!(
        [GREY, COLOUR].contains(&n_bands),
        "want 1 or 3 bands for --png, found {n_bands}; choose some with --bands, or use --tif"
    );
    let n = scene.meta.tile_px;
    let plane = pixels.len() / n_bands;
    let interleaved: Vec<u8> =
        (0..plane).flat_map(|i| (0..n_bands).map(move |band| pixels[band * plane + i])).collect();
    let colour = if n_bands == GREY { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let mut bytes = Vec::new();
    PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&interleaved, n, n, colour)
        .context("packing a tile as PNG")?;
    Ok(bytes)
}

fn write_tif(scene: &Scene, tile: &Tile, pixels: &[u8], path: &Path) -> anyhow::Result<()> {
    let plane = pixels.len() / scene.bands.len();
    let bands: Vec<_> = scene
        .meta
        .bands
        .iter()
        .zip(pixels.chunks_exact(plane))
        .map(|(name, pixels)| BandOut { name, unit: "dn", pixels })
        .collect();
    let options = CogOptions {
        overviews: Overviews::None,
        tags: vec![("granule".into(), scene.meta.granule.clone()), ("tile".into(), tile.tile.to_string())],
        ..CogOptions::default()
    };
    Ok(write_cog(path, &scene.tile_grid(tile.tile), &bands, &options)?)
}
