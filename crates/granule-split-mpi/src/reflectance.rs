//! From a scene's numbers to reflectance: the flags say it, else the file (GDAL's scale and offset), else the rule of its type of pixel.
//!
//! | pixels | rule without scale and offset |
//! |---|---|
//! | u16, i16 | number / 10000, as Sentinel-2 and HLS have it |
//! | f32, f64 | the number itself |
//! | u32, i32 | none: refused |
//! | u8 | a picture: it passes unchanged, whatever the file says |
//!
//! A rule must be able to be meant: where even the darkest pixels would be brighter than snow, or the brightest darker than deep water, the
//! scene is refused. What was used stands in the tiles' metadata.

use anyhow::{bail, ensure};
use raster::{Dtype, Scaling, Source, Window};

use crate::flags::Args;
use crate::scene::Scene;

/// Digital numbers a unit of reflectance, in Sentinel-2 and in the steps of what becomes 16 bits here.
pub const DN_PER_REFLECTANCE: f64 = 10_000.0;

/// Even thick cloud and fresh snow leave a darker pixel in a hundred.
const BRIGHTEST_DARK_SHARE: f64 = 0.65;
/// The brightest pixel in a hundred of any land is brighter.
const DARKEST_BRIGHT_SHARE: f64 = 0.002;
/// The share that is left out on either side before a scene's range is judged.
const TAIL_SHARE: f64 = 0.01;
/// Fewer pixels with data prove nothing.
const MIN_JUDGED_PX: usize = 1000;
/// Windows that are looked at, down and across, and their side.
const LOOKS: usize = 2;
const LOOK_PX: usize = 128;

/// How numbers become reflectance.
#[derive(Debug, Clone, PartialEq)]
pub struct Reflectance {
    /// Of each band of the tiles.
    pub of_band: Vec<Scaling>,
    /// Who says so.
    pub said_by: SaidBy,
}

/// Who says how numbers become reflectance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaidBy {
    /// --scale and --offset.
    Flags,
    /// The file's own scale and offset.
    File,
    /// The rule of its type of pixel.
    Rule,
}

impl Reflectance {
    /// Decides for some bands of a scene; none for a picture of 8 bits.
    ///
    /// # Errors
    /// If nothing says it, or it cannot be meant.
    pub fn of(args: &Args, source: &Source, bands: &[usize]) -> anyhow::Result<Option<Self>> {
        let (path, dtype) = (source.path().display(), source.dtype());
        let flagged = args.scale.map(|scale| Scaling { scale, offset: args.offset });
        if dtype == Dtype::U8 {
            ensure!(
                flagged.is_none(),
                "{path}: want 16-bit or float pixels for --scale, found u8, which pass unchanged; leave --scale out"
            );
            return Ok(None);
        }
        let all = |scaling: Scaling| vec![scaling; bands.len()];
        if let Some(scaling) = flagged {
            return Ok(Some(Self { of_band: all(scaling), said_by: SaidBy::Flags }));
        }
        let stated: Vec<Scaling> = bands.iter().map(|band| source.scaling(*band)).collect();
        let n_stated = stated.iter().filter(|scaling| **scaling != Scaling::NONE).count();
        if n_stated > 0 {
            ensure!(
                n_stated == stated.len() && stated.iter().all(|scaling| scaling.scale > 0.0),
                "{path}: want a scale above 0 for all bands, found {}; give --scale and --offset",
                list(&stated)
            );
            ensure!(
                !is_taken_off(source) || stated.iter().all(|scaling| scaling.offset == 0.0),
                "{path}: want one offset, found {} in a file whose offset was taken off (its tag offset_subtracted_dn); \
                 give --scale 0.0001 if that tag is right",
                list(&stated)
            );
            return Ok(Some(Self { of_band: stated, said_by: SaidBy::File }));
        }
        let scaling = match dtype {
            Dtype::U16 | Dtype::I16 => Scaling { scale: 1.0 / DN_PER_REFLECTANCE, offset: 0.0 },
            Dtype::F32 | Dtype::F64 => Scaling::NONE,
            _ => bail!(
                "{path}: want a scale that makes {dtype} pixels reflectance, found none in the file; give --scale and --offset"
            ),
        };
        Ok(Some(Self { of_band: all(scaling), said_by: SaidBy::Rule }))
    }

    /// What was used, for the tiles' metadata.
    pub fn note(&self) -> String {
        let by = match self.said_by {
            SaidBy::Flags => "by --scale and --offset",
            SaidBy::File => "by the file",
            SaidBy::Rule => "by the rule of its pixels",
        };
        format!("{} {by}", list(&self.of_band))
    }
}

/// Whether s2-fetch took an offset off the numbers of a scene.
fn is_taken_off(source: &Source) -> bool {
    let tag = source.tag("", "offset_subtracted_dn").unwrap_or_default();
    tag.split(|c: char| !c.is_ascii_digit()).any(|number| number.parse::<u32>().is_ok_and(|dn| dn > 0))
}

/// Scales and offsets in words, once where they are the same.
fn list(scalings: &[Scaling]) -> String {
    let mut texts: Vec<String> =
        scalings.iter().map(|s| format!("scale {} offset {}", s.scale, s.offset)).collect();
    texts.dedup();
    texts.join(", ")
}

/// Looks at a few windows of a scene whose numbers nobody stood up for.
///
/// # Errors
/// If they cannot be reflectance by the rule that was chosen, and for a damaged scene.
pub fn check(scene: &Scene, args: &Args) -> anyhow::Result<()> {
    let Some(reflectance) = &scene.reflectance else { return Ok(()) };
    let fetched = scene.source.tag("", "offset_rule").is_some();
    let vouched = match reflectance.said_by {
        SaidBy::Flags => true,
        SaidBy::Rule => fetched,
        SaidBy::File => false,
    };
    // A stretch of whole numbers is the same by any scale.
    if vouched || (scene.stretches(args) && scene.source.dtype() == Dtype::U16) {
        return Ok(());
    }
    let (mut darkest, mut brightest, mut least) = (f64::INFINITY, f64::NEG_INFINITY, f64::INFINITY);
    for &band in &scene.bands {
        let mut values = looked_at(scene, band)?;
        if values.len() < MIN_JUDGED_PX {
            return Ok(());
        }
        values.sort_by(f64::total_cmp);
        let last = values.len() - 1;
        let at = |share: f64| values[(share * last as f64).round() as usize];
        (darkest, brightest) = (darkest.min(at(TAIL_SHARE)), brightest.max(at(1.0 - TAIL_SHARE)));
        least = least.min(values[0]);
    }
    let path = scene.source.path().display();
    ensure!(
        darkest <= BRIGHTEST_DARK_SHARE,
        "{path}: want reflectance of 0 to about 1, found nothing darker than {darkest:.2} with {}; give the provider's --scale and --offset \
         (Landsat collection 2: 2.75e-5 and -0.2), or leave out a scene that is all cloud",
        reflectance.note()
    );
    ensure!(
        brightest >= DARKEST_BRIGHT_SHARE,
        "{path}: want reflectance of 0 to about 1, found nothing brighter than {brightest:.2e} with {}; the numbers may be scaled already: \
         give --scale 1, or the provider's",
        reflectance.note()
    );
    let offset_is_on =
        reflectance.said_by == SaidBy::Rule && scene.source.dtype() == Dtype::U16 && least >= 0.1;
    if offset_is_on {
        tracing::warn!(
            "{path}: no pixel looked at is darker than {least:.2}; if these are ESA's numbers since 2022, their offset is still on: \
             give --scale 0.0001 --offset -0.1"
        );
    }
    Ok(())
}

/// Reflectance of a band in windows all over the scene.
fn looked_at(scene: &Scene, band: usize) -> anyhow::Result<Vec<f64>> {
    let grid = scene.source.grid();
    let (height, width) = (grid.height.min(LOOK_PX), grid.width.min(LOOK_PX));
    let place = |i: usize, n: usize, side: usize| (n - side) * (2 * i + 1) / (2 * LOOKS);
    // Black is no data in scenes that declare nothing.
    let black = scene.source.scaling(band).of(0.0);
    let (mut all, mut values) = (Vec::new(), Vec::<f64>::new());
    for look in 0..LOOKS * LOOKS {
        let (row, col) = (place(look / LOOKS, grid.height, height), place(look % LOOKS, grid.width, width));
        scene.source.read_values(band, Window { row, col, height, width }, &mut values)?;
        all.extend(values.iter().filter(|value| value.is_finite() && **value != black));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_is_said_once_where_bands_are_alike() {
        let landsat = Scaling { scale: 2.75e-5, offset: -0.2 };
        let said = Reflectance { of_band: vec![landsat; 3], said_by: SaidBy::File }.note();
        assert_eq!(said, "scale 0.0000275 offset -0.2 by the file");
        let own = Scaling { scale: 1.0 / DN_PER_REFLECTANCE, offset: 0.0 };
        let said = Reflectance { of_band: vec![own, landsat], said_by: SaidBy::Flags }.note();
        assert_eq!(said, "scale 0.0001 offset 0, scale 0.0000275 offset -0.2 by --scale and --offset");
    }
}
