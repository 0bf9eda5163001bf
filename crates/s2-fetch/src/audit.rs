//! The command `audit`: finds scenes, and parts of a scene, that carry the offset of newer processings among those that do not, by their numbers alone, and holds
//! the tags to the numbers.

use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use contract::{RasterSpec, SCENE};
use raster::{Dtype, Source, Window};
use serde::Serialize;
use stage::Ledger;

use crate::dark::{Says, Seen, TILE_PX, Tile, look, with_border};
use crate::paint::paint;

/// So many of a scene's tiles must be too dark for an offset to say that it has none: in a scene with it, few are.
const NO_OFFSET_SHARE: f64 = 0.05;

/// So many of a scene's tiles must look like dark ground with an offset to say that it has one.
const FLOOR_SHARE: f64 = 0.25;

/// More numbers than this that are 1, and an offset was taken off that was not there.
const ONES_SHARE: f64 = 0.1;

/// Flags of `audit`.
#[derive(clap::Args, Debug)]
pub(crate) struct Audit {
    /// A scene of 16-bit reflectance; may be repeated
    #[arg(long = "scene", value_name = "FILE", required = true)]
    pub scenes: Vec<PathBuf>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What a scene's numbers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// No offset.
    Harmonised,
    /// The offset is in the numbers.
    Offset,
    /// In some of them.
    Mixed,
    /// An offset was taken off where none was.
    TakenOffTwice,
    /// Too few dark pixels.
    Undecided,
}

impl Verdict {
    fn name(self) -> &'static str {
        match self {
            Self::Harmonised => "harmonised",
            Self::Offset => "offset",
            Self::Mixed => "mixed",
            Self::TakenOffTwice => "taken off twice",
            Self::Undecided => "undecided",
        }
    }
}

/// What was found in one scene.
#[derive(Debug, Serialize)]
struct Report {
    scene: String,
    verdict: Verdict,
    /// What the file's tags say was subtracted; none where the file was not made by `fetch`.
    recorded_subtracted_dn: Option<String>,
    n_tiles: usize,
    n_no_offset: usize,
    n_floor: usize,
    n_bright: usize,
    /// Tiles through which a seam runs, and the smallest window that holds them.
    n_seam: usize,
    seam: Option<Place>,
}

/// A window of pixels, and its edges in the scene's coordinate system.
#[derive(Debug, Serialize)]
struct Place {
    row: usize,
    col: usize,
    height_px: usize,
    width_px: usize,
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

/// Audits scenes; a mix or a contradiction is an error.
///
/// # Errors
/// If a scene cannot be read or holds no reflectance, or if scenes or parts of one do not go together.
pub(crate) fn run(flags: &Audit) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::of("scenes", flags.scenes.len());
    let reports: Vec<_> = flags.scenes.iter().map(|path| audit(path)).collect::<anyhow::Result<_>>()?;
    if flags.json {
        println!("{}", serde_json::json!({ "scenes": reports }));
    } else {
        print(&reports);
    }
    if let Some(trouble) = trouble(&reports) {
        bail!("{trouble}");
    }
    ledger.ok(reports.len());
    Ok(ledger)
}

fn audit(path: &Path) -> anyhow::Result<Report> {
    let source = Source::open(path)?;
    let bands = reflectance(&source);
    ensure!(
        source.dtype() == Dtype::U16 && !bands.is_empty(),
        "{}: want reflectance of 16 bits, found {} bands of {}; a picture carries no offset to audit",
        path.display(),
        source.n_bands(),
        source.dtype()
    );
    let whole = Window::of(source.grid());
    let pixels = |source: &Source, tile: Window| {
        let w = with_border(tile, whole);
        let read = |band: &usize| source.read_window(*band, w.row, w.col, w.height, w.width);
        let pixels: Vec<Vec<u16>> = bands.iter().map(read).collect::<raster::Result<_>>()?;
        Ok(look(&Tile { bands: &pixels, height: w.height, width: w.width }))
    };
    let mut seen = Vec::new();
    let put = |tile, saw| {
        seen.push((tile, saw));
        Ok(())
    };
    paint(whole, TILE_PX, || Ok(Source::open(path)?), pixels, put)?;
    Ok(report(path, &source, &seen))
}

/// The bands of reflectance, counted from 1: those that say so, and those that say nothing.
fn reflectance(source: &Source) -> Vec<usize> {
    let fits =
        |band: &usize| source.band_tag(*band, "", "unit").is_none_or(|unit| unit.contains("reflectance"));
    (1..=source.n_bands()).filter(fits).collect()
}

fn report(path: &Path, source: &Source, seen: &[(Window, Seen)]) -> Report {
    let n_that = |says| seen.iter().filter(|(_, s)| s.says == says).count();
    let seams: Vec<_> = seen.iter().filter(|(_, s)| s.seam).map(|(tile, _)| *tile).collect();
    let made_here = source.tag("", &RasterSpec::TAG.to_lowercase()).is_some_and(|tag| tag == SCENE.tag());
    Report {
        scene: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        verdict: verdict(seen.iter().map(|(_, seen)| seen)),
        recorded_subtracted_dn: source.tag("", "offset_subtracted_dn").filter(|_| made_here),
        n_tiles: seen.len(),
        n_no_offset: n_that(Says::NoOffset),
        n_floor: n_that(Says::Floor),
        n_bright: n_that(Says::Bright),
        n_seam: seams.len(),
        seam: around(&seams).map(|w| place(w, source)),
    }
}

/// What the tiles of a scene say together.
pub(crate) fn verdict<'a>(seen: impl Iterator<Item = &'a Seen> + Clone) -> Verdict {
    let n_that = |says| seen.clone().filter(|s| s.says == says).count() as f64;
    let (no_offset, floor, bright) = (n_that(Says::NoOffset), n_that(Says::Floor), n_that(Says::Bright));
    let n_decided = no_offset + floor + bright;
    let n_data: u64 = seen.clone().map(|s| s.n_data).sum();
    let n_ones: u64 = seen.clone().map(|s| s.n_ones).sum();
    if seen.clone().any(|s| s.seam) {
        Verdict::Mixed
    } else if n_ones as f64 > ONES_SHARE * n_data as f64 {
        Verdict::TakenOffTwice
    } else if no_offset > 0.0 && no_offset >= NO_OFFSET_SHARE * n_decided {
        Verdict::Harmonised
    } else if no_offset == 0.0 && floor > 0.0 && floor >= FLOOR_SHARE * n_decided {
        Verdict::Offset
    } else {
        Verdict::Undecided
    }
}

fn around(windows: &[Window]) -> Option<Window> {
    let row = windows.iter().map(|w| w.row).min()?;
    let col = windows.iter().map(|w| w.col).min()?;
    let bottom = windows.iter().map(|w| w.row + w.height).max()?;
    let right = windows.iter().map(|w| w.col + w.width).max()?;
    Some(Window { row, col, height: bottom - row, width: right - col })
}

fn place(w: Window, source: &Source) -> Place {
    let b = w.grid(source.grid()).bounds();
    Place {
        row: w.row,
        col: w.col,
        height_px: w.height,
        width_px: w.width,
        west: b.west,
        south: b.south,
        east: b.east,
        north: b.north,
    }
}

fn print(reports: &[Report]) {
    println!("tiles\tno_offset\tfloor\tbright\tseam\tverdict\trecorded_subtracted_dn\tscene");
    for r in reports {
        println!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            r.n_tiles,
            r.n_no_offset,
            r.n_floor,
            r.n_bright,
            r.n_seam,
            r.verdict.name(),
            r.recorded_subtracted_dn.as_deref().unwrap_or("-"),
            r.scene
        );
    }
}

/// What does not go together: inside a scene, between numbers and tags, between scenes.
fn trouble(reports: &[Report]) -> Option<String> {
    let of = |verdict| reports.iter().find(|r| r.verdict == verdict);
    if let Some((r, place)) = of(Verdict::Mixed).and_then(|r| Some((r, r.seam.as_ref()?))) {
        return Some(format!(
            "{}: want numbers with the offset or without, found both, meeting within rows {} to {}, columns {} to {}; fetch the scenes again",
            r.scene,
            place.row,
            place.row + place.height_px,
            place.col,
            place.col + place.width_px
        ));
    }
    if let Some(r) = of(Verdict::TakenOffTwice) {
        return Some(format!(
            "{}: want dark ground, found it cut off at 1: an offset was taken off that was not there; fetch the scene from another catalogue",
            r.scene
        ));
    }
    let offset = of(Verdict::Offset)?;
    if let Some(recorded) = &offset.recorded_subtracted_dn {
        return Some(format!(
            "{}: want numbers without an offset, as its tags say (subtracted: {recorded}), found no number as dark as that; fetch it again",
            offset.scene
        ));
    }
    of(Verdict::Harmonised).map(|other| {
        format!(
            "{} and {}: want one radiometry, found the offset in the first and not in the second; fetch both with s2-fetch",
            offset.scene, other.scene
        )
    })
}

#[cfg(test)]
mod tests;
