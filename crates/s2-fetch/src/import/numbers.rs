//! How the numbers of an imported file become reflectance: by flags, else by what the file says, else by what its name or its numbers prove, else
//! not at all.
//!
//! | the file | taken as |
//! |---|---|
//! | GDAL's scale and offset (`Scale`, `Offset` of gdalinfo) | number x scale + offset |
//! | bands in the unit `1e-4 reflectance`, as `fetch` writes | number x 0.0001 |
//! | 8 bits | a picture, unchanged |
//! | floats | reflectance, if they lie where reflectance does |
//! | whole numbers, baseline in the product's name (`N0511`) | number x 0.0001, less 0.1 from baseline 04.00 |
//! | whole numbers, dark ground below 900 | number x 0.0001: numbers that carry 1000 are not so dark |
//!
//! Left out: radiance, temperatures, indices: nothing makes reflectance of them.

use anyhow::{bail, ensure};
use raster::{Dtype, Grid, Scaling, Source, Window};
use tracing::warn;

use crate::audit::{Verdict, verdict};
use crate::dark::{self, Tile};
use crate::import::files::{Files, Pick};
use crate::radiometry::{BASELINE_OFFSET_DN, DN_PER_REFLECTANCE, offset_of_baseline};
use crate::stack::REFLECTANCE;

/// Reflectance beyond these ends is a fill value, or the scale is another.
pub(super) const PLAUSIBLE: std::ops::RangeInclusive<f64> = -0.3..=4.0;
/// More pixels beyond, and it is not a few defects.
const MOST_BEYOND_SHARE: f64 = 0.01;
/// A scene is brighter than this somewhere: 99 of 100 pixels are darker nowhere on land.
const DARKEST_SCENE: f64 = 0.03;
/// Windows that are looked at, evenly over the scene.
const WINDOWS: usize = 64;

/// What a person says.
#[derive(Debug, Clone, Copy)]
pub(super) struct Said {
    /// Reflectance a number.
    pub scale: Option<f64>,
    /// Reflectance of number 0.
    pub offset: Option<f64>,
    /// The number of pixels without data.
    pub nodata: Option<f64>,
}

/// What the numbers mean.
#[derive(Debug, Clone)]
pub(super) struct Meaning {
    /// Why, in words for the file's tags.
    pub rule: String,
    /// Of each band; `None` where all are a picture of 8 bits.
    scalings: Option<Vec<Scaling>>,
    nodata: Option<f64>,
}

impl Meaning {
    /// Whether the numbers are a picture's and stay as they are.
    pub fn is_picture(&self) -> bool {
        self.scalings.is_none()
    }

    /// Of the first band.
    pub fn scale(&self) -> Option<f64> {
        self.scalings.as_ref().map(|all| all[0].scale)
    }

    /// Of the first band.
    pub fn offset(&self) -> Option<f64> {
        self.scalings.as_ref().map(|all| all[0].offset)
    }

    /// What was subtracted from Sentinel-2's digital numbers; 0 for numbers of another scale.
    pub fn offset_dn(&self) -> u16 {
        let of = |s: &Scaling| {
            if is_sentinel(s.scale) { (-s.offset / s.scale).round().clamp(0.0, 10_000.0) as u16 } else { 0 }
        };
        self.scalings.as_ref().map_or(0, |all| of(&all[0]))
    }

    /// Opens a band's file so that its values are reflectance, or a picture's numbers.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(&self, place: usize, pick: &Pick) -> anyhow::Result<Source> {
        let source = open(pick, self.nodata)?;
        Ok(source.with_scaling(self.scalings.as_ref().map_or(Scaling::NONE, |all| all[place])))
    }

    /// What number 0 becomes, where it is no data because nothing else is.
    pub fn empty(&self, place: usize, source: &Source) -> Option<f64> {
        let zero = self.scalings.as_ref().map_or(0.0, |all| all[place].offset);
        (source.nodata().is_none() && !source.is_masked()).then_some(zero)
    }
}

fn is_sentinel(scale: f64) -> bool {
    (scale * DN_PER_REFLECTANCE - 1.0).abs() < 1e-6
}

fn is_float(dtype: Dtype) -> bool {
    matches!(dtype, Dtype::F32 | Dtype::F64)
}

fn open(pick: &Pick, nodata: Option<f64>) -> anyhow::Result<Source> {
    let source = Source::open(&pick.path)?;
    Ok(match nodata {
        Some(nodata) => source.with_nodata(nodata),
        None => source,
    })
}

/// Decides for all bands.
///
/// # Errors
/// If nothing says it, or what says it makes no reflectance of the numbers.
pub(super) fn decide(files: &Files, grid: &Grid, said: &Said) -> anyhow::Result<Meaning> {
    let sources: Vec<Source> =
        files.picks.iter().map(|pick| open(pick, said.nodata)).collect::<anyhow::Result<_>>()?;
    let own: Vec<Scaling> =
        files.picks.iter().zip(&sources).map(|(pick, source)| source.scaling(pick.band)).collect();
    let is = |scalings: Vec<Scaling>, rule: String| Meaning {
        rule,
        scalings: Some(scalings),
        nodata: said.nodata,
    };
    let all = |scale: f64, offset: f64, rule: String| is(vec![Scaling { scale, offset }; own.len()], rule);
    let units = files
        .picks
        .iter()
        .zip(&sources)
        .all(|(pick, source)| source.band_tag(pick.band, "", "unit").is_some_and(|u| u == REFLECTANCE));
    let scaled = own.iter().filter(|own| **own != Scaling::NONE).count();
    let path = files.picks[0].path.display();
    let meaning = if said.scale.is_some() || said.offset.is_some() {
        let scalings: Vec<_> =
            own.iter().zip(&sources).map(|(own, source)| of_flags(*own, source.dtype(), said)).collect();
        let words = [("--scale", said.scale), ("--offset", said.offset)];
        let words: Vec<_> =
            words.iter().filter_map(|(flag, value)| Some(format!("{flag} {}", (*value)?))).collect();
        is(scalings, words.join(" "))
    } else if scaled == own.len() {
        let words = if own.windows(2).all(|pair| pair[0] == pair[1]) {
            format!("the file's scale {} and offset {}", own[0].scale, own[0].offset)
        } else {
            "the file's scale and offset of each band".to_owned()
        };
        is(own.clone(), words)
    } else if scaled > 0 {
        bail!(
            "{path}: want a scale of all bands, found {scaled} of {} with one; say --scale and --offset",
            own.len()
        );
    } else if units {
        all(1.0 / DN_PER_REFLECTANCE, 0.0, format!("the bands' unit {REFLECTANCE}"))
    } else if sources.iter().all(|source| source.dtype() == Dtype::U8) {
        return Ok(Meaning {
            rule: "a picture of 8 bits, unchanged".to_owned(),
            scalings: None,
            nodata: said.nodata,
        });
    } else if sources.iter().all(|source| is_float(source.dtype())) {
        all(1.0, 0.0, "floats between 0 and 1: reflectance".to_owned())
    } else if sources.iter().any(|source| is_float(source.dtype()) || source.dtype() == Dtype::U8) {
        bail!(
            "{path}: want bands of one type, found {} and others; convert them with gdal_translate -ot",
            sources[0].dtype()
        );
    } else if let Some((text, offset_dn)) =
        files.baseline.as_deref().and_then(|text| Some((text, offset_of_baseline(text)?)))
    {
        let offset = -f64::from(offset_dn) / DN_PER_REFLECTANCE;
        all(
            1.0 / DN_PER_REFLECTANCE,
            offset,
            format!("processing baseline {text} in the name: offset of {offset_dn}"),
        )
    } else {
        by_darkness(files, grid, &sources)?;
        all(1.0 / DN_PER_REFLECTANCE, 0.0, "dark ground below 900: no offset".to_owned())
    };
    check(files, grid, &meaning, said)?;
    Ok(meaning)
}

/// What flags say, completed by the file, else by its type.
fn of_flags(own: Scaling, dtype: Dtype, said: &Said) -> Scaling {
    let usual = match own {
        Scaling::NONE if is_float(dtype) => Scaling::NONE,
        Scaling::NONE => Scaling { scale: 1.0 / DN_PER_REFLECTANCE, offset: 0.0 },
        own => own,
    };
    Scaling { scale: said.scale.unwrap_or(usual.scale), offset: said.offset.unwrap_or(usual.offset) }
}

/// Proves by dark ground that whole numbers carry no offset.
fn by_darkness(files: &Files, grid: &Grid, sources: &[Source]) -> anyhow::Result<()> {
    let mut seen = Vec::new();
    for window in windows(grid) {
        let mut bands = Vec::new();
        for (pick, source) in files.picks.iter().zip(sources) {
            let mut values: Vec<f64> = Vec::new();
            source.read_values(pick.band, window, &mut values)?;
            bands.push(
                values
                    .into_iter()
                    .map(|v| if v.is_nan() { 0 } else { v.clamp(0.0, 65_535.0) as u16 })
                    .collect(),
            );
        }
        seen.push(dark::look(&Tile { bands: &bands, height: window.height, width: window.width }));
    }
    let found = match verdict(seen.iter()) {
        Verdict::Harmonised | Verdict::TakenOffTwice => return Ok(()),
        Verdict::Offset => "none that is so dark, as if they did",
        Verdict::Mixed => "parts that do and parts that do not",
        Verdict::Undecided => "ground too bright to tell",
    };
    bail!(
        "{}: want to know whether its whole numbers carry Sentinel-2's offset of {BASELINE_OFFSET_DN}, found no scale and offset in the file, no \
         baseline (N0511) in its name, and {found}; say --offset -0.1 if it was processed by baseline 04.00 (January 2022) or later and not \
         harmonised, else --offset 0; for another sensor say --scale and --offset",
        files.picks[0].path.display()
    )
}

/// Holds the numbers to what reflectance can be.
fn check(files: &Files, grid: &Grid, meaning: &Meaning, said: &Said) -> anyhow::Result<()> {
    let mut reflectance = Vec::new();
    for (place, pick) in files.picks.iter().enumerate() {
        let source = meaning.open(place, pick)?;
        let empty = meaning.empty(place, &source);
        let mut values: Vec<f64> = Vec::new();
        for window in windows(grid) {
            source.read_values(pick.band, window, &mut values)?;
            reflectance.extend(values.iter().copied().filter(|v| v.is_finite() && Some(*v) != empty));
        }
    }
    let path = files.picks[0].path.display();
    ensure!(
        !reflectance.is_empty(),
        "{path}: want pixels with data, found none; check the file, or say --nodata"
    );
    reflectance.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| reflectance[((reflectance.len() - 1) as f64 * share) as usize];
    let beyond: Vec<f64> = reflectance.iter().copied().filter(|v| !PLAUSIBLE.contains(v)).collect();
    let beyond_share = beyond.len() as f64 / reflectance.len() as f64;
    let scaling = meaning.scalings.as_ref().map_or(Scaling::NONE, |all| all[0]);
    let (low, high) = (scaling.undo(at(0.01)), scaling.undo(at(0.99)));
    if beyond_share > MOST_BEYOND_SHARE {
        let (n, most) = commonest(&beyond);
        let (percent, fill) = (100.0 * n as f64 / reflectance.len() as f64, rounded(scaling.undo(most)));
        let fill = if 2 * n > beyond.len() && PLAUSIBLE.contains(&at(0.5)) {
            format!("; {percent:.1} % of them are {fill}: say --nodata {fill} if that means no data")
        } else {
            String::new()
        };
        bail!(
            "{path}: want reflectance, mostly 0 to 1, found numbers from {} to {} (the middle 98 %) by {}{fill}; say what makes reflectance of \
             them: --scale 0.0001 for numbers up to 10000, 0.01 for per cent, and --offset",
            rounded(low),
            rounded(high),
            meaning.rule
        );
    }
    if at(0.99) < DARKEST_SCENE && said.scale.is_none() {
        bail!(
            "{path}: want reflectance, mostly 0 to 1, found numbers from {} to {} (the middle 98 %), almost black by {}; say --scale, such as {} if \
             the brightest are white",
            rounded(low),
            rounded(high),
            meaning.rule,
            rounded(1.0 / high.max(f64::MIN_POSITIVE))
        );
    }
    let looks_offset =
        meaning.offset() == Some(0.0) && meaning.scale().is_some_and(is_sentinel) && at(0.005) >= 0.1;
    if looks_offset && !is_float(Source::open(&files.picks[0].path)?.dtype()) {
        warn!(
            "{path}: hardly a pixel is darker than reflectance 0.1, as if the numbers carried an offset of 1000; if so, say --offset -0.1"
        );
    }
    Ok(())
}

/// The commonest of sorted numbers, and how many they are.
fn commonest(sorted: &[f64]) -> (usize, f64) {
    sorted.chunk_by(|a, b| a == b).map(|run| (run.len(), run[0])).max_by_key(|(n, _)| *n).unwrap_or((0, 0.0))
}

/// Six digits of a number, enough to be recognised.
fn rounded(number: f64) -> f64 {
    format!("{number:.5e}").parse().unwrap_or(number)
}

/// Windows evenly over a grid.
fn windows(grid: &Grid) -> Vec<Window> {
    let all: Vec<_> = Window::of(grid).tiles(dark::TILE_PX).collect();
    let step = all.len().div_ceil(WINDOWS).max(1);
    all.into_iter().step_by(step).collect()
}
