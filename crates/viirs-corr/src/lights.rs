//! Night lights and other rasters on the grid of the comparison, as far as their pixels count.
//!
//! A raster says of itself which pixels are data and how its numbers are scaled; flags go before it. Numbers that are no radiance are left out
//! with a word, and numbers that look like a fill value are refused: five of them in a hundred take a correlation away.

use std::cell::Cell;
use std::path::Path;

use anyhow::{Context as _, anyhow, ensure};
use raster::{Declared, Dtype, Grid, Quantity, RADIANCE, Scaling, Sieve, Source, Window};

use crate::fields::{SLAB_PX, places_of, window_over};
use crate::regrid::{self, Field};

/// Opens a raster of radiance.
///
/// # Errors
/// For a file that cannot be read, or whose pixels are whole numbers without a scale: a rendered picture is no radiance.
pub fn open_lights(path: &Path, declared: &Declared) -> anyhow::Result<Source> {
    let source = declared.open(path)?;
    let (dtype, scaling) = (source.dtype(), source.scaling(1));
    ensure!(
        matches!(dtype, Dtype::F32 | Dtype::F64) || declared.scaling.is_some() || scaling != Scaling::NONE,
        "{}: want radiance in nW cm-2 sr-1 as floats, or whole numbers with a scale, got pixels of {dtype} without one; give --lights-scale \
         (Black Marble: 0.1); a rescaled or rendered picture is no radiance",
        path.display(),
    );
    if scaling != Scaling::NONE {
        let by = if declared.scaling.is_some() { "flags" } else { "file" };
        tracing::info!(
            "{}: radiance is number * {} + {}, by the {by}",
            path.display(),
            scaling.scale,
            scaling.offset
        );
    }
    Ok(source)
}

/// Radiance in nW cm⁻² sr⁻¹ on the target grid: missing and not-a-number pixels are left out, those above
/// `saturation_nw_cm2_sr` count as that much.
///
/// # Errors
/// Where the two do not lie on one globe or do not meet, for a damaged file, and for numbers that look like fill values.
pub fn lights_on(lights: &Source, target: &Grid, saturation_nw_cm2_sr: Option<f64>) -> anyhow::Result<Field> {
    limited_on(lights, target, &Limits { saturation_nw_cm2_sr, ..Limits::of_radiance(false) })
}

/// What of a raster's pixels counts.
#[derive(Default)]
pub struct Limits {
    /// Radiance above this counts as this much.
    pub saturation_nw_cm2_sr: Option<f64>,
    /// How often each pixel was seen without cloud, and the fewest that count.
    pub quality: Option<Quality>,
    /// What the pixels are, if that is known.
    pub quantity: Option<Quantity>,
    /// Whether a user has said which number is no data: then none is suspected.
    pub trusted: bool,
    /// Whether it was said already what is left out.
    pub said: Cell<bool>,
}

impl Limits {
    /// What radiance can be.
    pub fn of_radiance(trusted: bool) -> Limits {
        Limits { quantity: Some(RADIANCE), trusted, ..Limits::default() }
    }
}

/// How often each pixel of the lights was seen, on their own grid.
pub struct Quality {
    /// The count, or any number that is larger where a pixel is better known.
    pub source: Source,
    /// Pixels below this are missing.
    pub least: f64,
}

impl Quality {
    /// Opens the counts of a raster of lights.
    ///
    /// # Errors
    /// For a file that cannot be read or lies on other pixels.
    pub fn open(path: &Path, least: f64, lights: &Source) -> anyhow::Result<Quality> {
        let source = Source::open(path)?;
        ensure!(
            inside(lights.grid(), source.grid()),
            "{}: want the pixels of the night lights, got others; give the coverage that comes with them",
            path.display()
        );
        Ok(Quality { source, least })
    }

    /// Takes away the pixels of a window that are not known well enough.
    fn mask(&self, window: &Grid, pixels: &mut [f64]) -> anyhow::Result<()> {
        let seen = values(&self.source, window).context("the coverage lies on the lights' pixels")?;
        for (pixel, seen) in pixels.iter_mut().zip(seen) {
            if seen.is_nan() || seen < self.least {
                *pixel = f64::NAN;
            }
        }
        Ok(())
    }
}

/// The values of a part of a raster; not a number where there is no data.
fn values(source: &Source, part: &Grid) -> anyhow::Result<Vec<f64>> {
    let (row, column) = source.grid().offset_of(part).context("the window is one of the raster's own")?;
    let window = Window { row: row as usize, col: column as usize, height: part.height, width: part.width };
    let mut values = Vec::new();
    source.read_values(1, window, &mut values)?;
    Ok(values)
}

/// A raster's values on the target grid, as far as they count; [`lights_on`] with more limits.
///
/// # Errors
/// As [`lights_on`].
pub fn limited_on(lights: &Source, target: &Grid, limits: &Limits) -> anyhow::Result<Field> {
    let mut sieve = limits.quantity.map(|quantity| Sieve::new(quantity, lights, 1, limits.trusted));
    let field = if inside(target, lights.grid()) {
        Field::of(target.height, target.width, counted(lights, target, limits, &mut sieve)?)
    } else {
        let window = window_over(target, lights)?;
        let mut sums = Field::unknown(target.height, target.width);
        let slab_height = (SLAB_PX / window.width).max(1);
        for row in (0..window.height).step_by(slab_height) {
            let rows = row..(row + slab_height).min(window.height);
            let slab = window.window(row as i64, 0, rows.len(), window.width);
            let pixels = counted(lights, &slab, limits, &mut sieve)?;
            let field = Field::of(rows.len(), window.width, pixels);
            regrid::add(&field, &places_of(&window, rows, target)?, &mut sums);
        }
        regrid::means(&mut sums);
        sums
    };
    if let Some(sieve) = sieve {
        let path = lights.path().display();
        let left_out = sieve.found().map_err(|found| anyhow!("{path}: {found}"))?;
        if let Some(said) = left_out.filter(|_| !limits.said.replace(true)) {
            tracing::warn!("{path}: {said}; {} says which number is no data", sieve.quantity().flag);
        }
    }
    Ok(field)
}

/// The pixels of a part of a raster that count, not a number for others.
fn counted(
    lights: &Source,
    part: &Grid,
    limits: &Limits,
    sieve: &mut Option<Sieve>,
) -> anyhow::Result<Vec<f64>> {
    let mut pixels = values(lights, part)?;
    if let Some(sieve) = sieve {
        sieve.sift(&mut pixels);
    }
    let top = limits.saturation_nw_cm2_sr.unwrap_or(f64::INFINITY);
    let known = |value: f64| if value.is_finite() { value.min(top) } else { f64::NAN };
    pixels.iter_mut().for_each(|pixel| *pixel = known(*pixel));
    if let Some(quality) = &limits.quality {
        quality.mask(part, &mut pixels)?;
    }
    Ok(pixels)
}

/// Whether the cells of `part` are cells of `whole`.
fn inside(part: &Grid, whole: &Grid) -> bool {
    let fits = |start: i64, n: usize, end: usize| start >= 0 && start as usize + n <= end;
    whole.offset_of(part).is_some_and(|(row, column)| {
        fits(row, part.height, whole.height) && fits(column, part.width, whole.width)
    })
}
