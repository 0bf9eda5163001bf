//! One raster from the files of a scene: bands in the order asked for, the offset of newer processings taken off.

use anyhow::{bail, ensure};
use raster::{Canvas, Dtype, Grid, Pixel, Source};

use crate::stac::{Asset, Item, is_reflectance};

/// The first processing baseline whose digital numbers carry an offset.
const FIRST_BASELINE_WITH_OFFSET: (u32, u32) = (4, 0);

/// That offset, in digital numbers.
const BASELINE_OFFSET_DN: f64 = 1000.0;

/// A proven file of the scene and the name it was asked for by.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// `B04`, `visual`.
    pub wanted: &'a str,
    /// What the catalogue says of it.
    pub asset: &'a Asset,
    /// The file.
    pub source: Source,
}

/// The stacked bands, one kind of pixel for all.
#[derive(Debug)]
pub(crate) enum Stacked {
    /// 8-bit pictures.
    U8(Canvas<u8>),
    /// 16-bit digital numbers.
    U16(Canvas<u16>),
}

/// The number to subtract from the reflectance bands of a scene; decided by the processing baseline, never by the date.
///
/// # Errors
/// If reflectance is asked for and neither baseline nor the asset's own offset is stated.
pub(crate) fn offset_dn(item: &Item, pieces: &[(&str, &Asset)]) -> anyhow::Result<f64> {
    let Some((_, asset)) = pieces.iter().find(|(wanted, _)| is_reflectance(wanted)) else {
        return Ok(0.0);
    };
    if item.offset_applied {
        return Ok(0.0);
    }
    if let Some(baseline) = item.baseline.as_deref().and_then(parse_baseline) {
        return Ok(if baseline >= FIRST_BASELINE_WITH_OFFSET { BASELINE_OFFSET_DN } else { 0.0 });
    }
    match (asset.scale, asset.offset) {
        (Some(scale), Some(offset)) if scale > 0.0 => Ok((0.0 - offset / scale).round()),
        _ => bail!(
            "item {}: want a processing baseline (s2:processing_baseline) or raster:bands scale and offset, found neither; \
             ask for another item with --item",
            item.id
        ),
    }
}

fn parse_baseline(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Stacks files that lie on one grid.
///
/// # Errors
/// If they differ in place, resolution or pixel type: nothing resamples in silence.
pub(crate) fn stack(pieces: &[Piece<'_>], offset_dn: f64) -> anyhow::Result<(Grid, Stacked)> {
    let Some(first) = pieces.first() else { bail!("no assets were asked for") };
    let (grid, dtype) = (first.source.grid().clone(), first.source.dtype());
    for piece in pieces {
        let other = piece.source.grid();
        let same =
            grid.offset_of(other) == Some((0, 0)) && (other.height, other.width) == (grid.height, grid.width);
        ensure!(
            same && piece.source.dtype() == dtype,
            "asset {}: want {} x {} pixels of {dtype} on the grid of asset {}, found {} x {} of {}; ask for assets of one resolution and type",
            piece.wanted,
            grid.height,
            grid.width,
            first.wanted,
            other.height,
            other.width,
            piece.source.dtype()
        );
    }
    let stacked = match dtype {
        Dtype::U8 => Stacked::U8(fill(pieces, &grid, |pixel, _| pixel)?),
        Dtype::U16 => {
            let offset = offset_dn as u16;
            let shift = |pixel: u16, reflectance: bool| {
                if reflectance { without_offset(pixel, offset) } else { pixel }
            };
            Stacked::U16(fill(pieces, &grid, shift)?)
        }
        other => bail!("asset {}: want pixels of u8 or u16, found {other}", first.wanted),
    };
    Ok((grid, stacked))
}

/// Takes the offset off a digital number. 0 means "no data" and stays; a darker number than the offset becomes 1, the darkest with data.
fn without_offset(pixel: u16, offset: u16) -> u16 {
    if pixel == 0 || offset == 0 { pixel } else { pixel.saturating_sub(offset).max(1) }
}

fn fill<T: Pixel>(
    pieces: &[Piece<'_>],
    grid: &Grid,
    shift: impl Fn(T, bool) -> T,
) -> anyhow::Result<Canvas<T>> {
    let mut canvas = Canvas::new(grid, pieces.iter().map(|p| p.source.n_bands()).sum())?;
    let mut band_out = 0;
    for piece in pieces {
        let reflectance = is_reflectance(piece.wanted);
        for (band_in, name) in (1..).zip(names(piece)) {
            band_out += 1;
            let mut pixels = piece.source.read_band::<T>(band_in)?;
            for pixel in &mut pixels {
                *pixel = shift(*pixel, reflectance);
            }
            canvas.name(band_out, &name, if reflectance { "1e-4 reflectance" } else { "dn" })?;
            canvas.put(band_out, 0, 0, grid.height, grid.width, &pixels)?;
        }
    }
    Ok(canvas)
}

/// The names of a file's bands: of a single band what it was asked for by, of a picture its colours.
fn names(piece: &Piece<'_>) -> Vec<String> {
    let n = piece.source.n_bands();
    match n {
        1 => vec![piece.wanted.to_owned()],
        3 if piece.wanted == "visual" => ["red", "green", "blue"].map(str::to_owned).to_vec(),
        _ if piece.asset.bands.len() == n => piece.asset.bands.clone(),
        _ => (1..=n).map(|band| format!("{}_{band}", piece.wanted)).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::stac::tests::item;
    use serde_json::json;

    fn scene(properties: serde_json::Value) -> Item {
        item(json!({"id": "a", "properties": properties, "assets": {
            "B04": {"href": "x", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]}, "visual": {"href": "v"}, "bare": {"href": "y"}}}))
    }

    fn offset(item: &Item, wanted: &str) -> anyhow::Result<f64> {
        let (_, asset) = item.asset(wanted).unwrap();
        offset_dn(item, &[(wanted, asset)])
    }

    #[test]
    fn the_offset_follows_the_baseline_and_never_the_date() {
        for (baseline, wanted) in
            [("02.04", 0.0), ("03.01", 0.0), ("04.00", 1000.0), ("05.11", 1000.0), ("10.00", 1000.0)]
        {
            let old_date =
                scene(json!({"s2:processing_baseline": baseline, "datetime": "2016-01-01T00:00:00Z"}));
            assert_eq!(offset(&old_date, "B04").unwrap(), wanted, "{baseline}");
        }
        let harmonised =
            scene(json!({"s2:processing_baseline": "05.11", "earthsearch:boa_offset_applied": true}));
        assert_eq!(offset(&harmonised, "B04").unwrap(), 0.0);
    }

    #[test]
    fn without_a_baseline_the_asset_must_state_its_offset() {
        let unknown = scene(json!({}));
        assert_eq!(offset(&unknown, "B04").unwrap(), 1000.0);
        assert_eq!(offset(&unknown, "visual").unwrap(), 0.0, "a picture has no offset");
        let (_, bare) = unknown.asset("bare").unwrap();
        assert!(offset_dn(&unknown, &[("B02", bare)]).is_err());
    }

    #[test]
    fn no_data_stays_and_data_never_becomes_no_data() {
        assert_eq!([0, 1, 999, 1000, 1001, 1300].map(|dn| without_offset(dn, 1000)), [0, 1, 1, 1, 1, 300]);
        assert_eq!([0, 1, 65535].map(|dn| without_offset(dn, 0)), [0, 1, 65535]);
    }
}
