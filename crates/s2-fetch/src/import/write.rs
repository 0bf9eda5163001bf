//! The pixels of an imported scene, converted tile by tile in memory that does not grow with the scene.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::SCENE;
use raster::{Canvas, CogOptions, Dtype, Grid, Source, Window};

use crate::import::files::{Files, Pick};
use crate::import::numbers::{Meaning, PLAUSIBLE};
use crate::paint::{paint, put_bands, tile_px};
use crate::radiometry::{DN_PER_REFLECTANCE, Darkness};
use crate::stack::{Number, REFLECTANCE};

/// Writes the scene and gives the share of its pixels that hold data.
///
/// # Errors
/// If a file cannot be read, its numbers are too dark for their offset, or the output cannot be written.
pub(super) fn scene(
    files: &Files,
    grid: &Grid,
    meaning: &Meaning,
    out: &Path,
    tags: Vec<(String, String)>,
) -> anyhow::Result<f64> {
    let (picks, item) = (&files.picks, &files.item);
    let options = CogOptions { nodata: SCENE.nodata, tags, ..CogOptions::default() };
    if meaning.is_picture() {
        return painted::<u8>(
            picks,
            grid,
            meaning,
            out,
            &options,
            |sources, bands| picture(sources, &bands),
            || Ok(()),
        );
    }
    let darkness = Darkness::new(meaning.offset_dn(), picks.len());
    let convert = |sources: &[Source], bands| reflectance(sources, bands, meaning, &darkness);
    let valid_share =
        painted::<u16>(picks, grid, meaning, out, &options, convert, || darkness.check(item, &meaning.rule))?;
    Ok(valid_share)
}

fn painted<T: Number>(
    picks: &[Pick],
    grid: &Grid,
    meaning: &Meaning,
    out: &Path,
    options: &CogOptions,
    convert: impl Fn(&[Source], Vec<Vec<f64>>) -> Vec<Vec<T>> + Sync,
    check: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<f64> {
    let mut canvas = Canvas::<T>::beside(out, grid, picks.len())?;
    let unit = if meaning.is_picture() { "dn" } else { REFLECTANCE };
    for (index, pick) in (1..).zip(picks) {
        canvas.name(index, &pick.name, unit)?;
    }
    let open = || {
        picks
            .iter()
            .enumerate()
            .map(|(place, pick)| meaning.open(place, pick))
            .collect::<anyhow::Result<Vec<_>>>()
    };
    let n_valid = AtomicU64::new(0);
    let pixels = |sources: &Vec<Source>, tile: Window| {
        let read = |(pick, source): (&Pick, &Source)| {
            let mut values = Vec::new();
            source.read_values(pick.band, tile, &mut values).map(|()| values)
        };
        let bands = picks.iter().zip(sources).map(read).collect::<raster::Result<_>>()?;
        let bands = convert(sources, bands);
        let valid =
            (0..tile.len()).filter(|px| bands.iter().any(|band: &Vec<T>| band[*px].dn() != 0)).count();
        n_valid.fetch_add(valid as u64, Ordering::Relaxed);
        Ok(bands)
    };
    let put = |tile, bands: Vec<Vec<T>>| put_bands(&mut canvas, tile, &bands);
    let side_px = tile_px(2 * picks.len() * (T::DTYPE.bytes() + size_of::<f64>()));
    paint(Window::of(grid), side_px, open, pixels, put)?;
    check()?;
    canvas.write_cog(out, options)?;
    Ok(n_valid.into_inner() as f64 / grid.len() as f64)
}

/// A picture's own numbers. A pixel without data is 0 in all bands; one that is black with data is 1, as later stages take 0 for no data.
fn picture(sources: &[Source], bands: &[Vec<f64>]) -> Vec<Vec<u8>> {
    let nodata: Vec<u8> =
        sources.iter().map(|source| source.nodata().map_or(0, |number| number as u8)).collect();
    let black_is_data = sources
        .iter()
        .any(|source| source.is_masked() || source.nodata().is_some_and(|number| number != 0.0));
    let mut numbers = vec![vec![0u8; bands[0].len()]; bands.len()];
    for px in 0..bands[0].len() {
        if bands.iter().all(|band| band[px].is_nan()) {
            continue;
        }
        let number =
            |(band, nodata): (&Vec<f64>, &u8)| if band[px].is_nan() { *nodata } else { band[px] as u8 };
        numbers.iter_mut().zip(bands.iter().zip(&nodata)).for_each(|(to, from)| to[px] = number(from));
        if black_is_data && numbers.iter().all(|band| band[px] == 0) {
            numbers.iter_mut().for_each(|band| band[px] = 1);
        }
    }
    numbers
}

/// Reflectance in units of 1/10000, from 1; 0 without data.
fn reflectance(
    sources: &[Source],
    mut bands: Vec<Vec<f64>>,
    meaning: &Meaning,
    darkness: &Darkness,
) -> Vec<Vec<u16>> {
    let empty: Vec<Option<f64>> =
        sources.iter().enumerate().map(|(place, source)| meaning.empty(place, source)).collect();
    let is_float = sources.iter().any(|source| matches!(source.dtype(), Dtype::F32 | Dtype::F64));
    for px in 0..bands[0].len() {
        let is_empty =
            |(band, empty): (&Vec<f64>, &Option<f64>)| band[px].is_nan() || Some(band[px]) == *empty;
        // A measured float may be exactly 0 in one band, and in all of them where nothing was measured.
        if is_float && bands.iter().zip(&empty).all(is_empty) {
            bands.iter_mut().for_each(|band| band[px] = f64::NAN);
        }
    }
    let empty = |place: usize| empty[place].filter(|_| !is_float);
    let offset_dn = f64::from(meaning.offset_dn());
    let convert = |(place, band): (usize, Vec<f64>)| {
        let data = band.iter().filter(|v| v.is_finite() && Some(**v) != empty(place));
        darkness.count(
            place,
            data.map(|v| (v * DN_PER_REFLECTANCE + offset_dn).round().clamp(1.0, 65_535.0) as u16),
        );
        band.iter().map(|v| if Some(*v) == empty(place) { 0 } else { number(*v) }).collect()
    };
    bands.into_iter().enumerate().map(convert).collect()
}

/// The number of a reflectance; 0 where there is none, or none that can be.
fn number(reflectance: f64) -> u16 {
    if PLAUSIBLE.contains(&reflectance) {
        (reflectance * DN_PER_REFLECTANCE).round().clamp(1.0, 65_535.0) as u16
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reflectance_becomes_the_nearest_number_and_never_no_data() {
        assert_eq!([0.0603, 0.060_349, 0.060_35, 1.0, 0.0, -0.05].map(number), [603, 603, 604, 10_000, 1, 1]);
        assert_eq!([f64::NAN, f64::INFINITY, -9999.0, 6.5535].map(number), [0; 4]);
        for dn in 1..=u16::MAX {
            let reflectance = f64::from(dn) * 1e-4 - 0.1;
            let wanted = if reflectance > 4.0 { 0 } else { dn.saturating_sub(1000).max(1) };
            assert_eq!(number(reflectance), wanted, "as fetch takes the offset off");
        }
    }
}
