//! The command `import`: a scene that a person already has, as a GeoTIFF or as band files, made into what `fetch` makes: one Cloud Optimized
//! GeoTIFF of proven pixels, its classification, and the table of the choice, so that a map needs no catalogue.
//!
//! Numbers become reflectance in units of 1/10000, without offset, 0 for no data; a picture of 8 bits stays as it is. How is decided by flags, else by what
//! the file says, else by what its name or its numbers prove, else refused: see `numbers.rs`. Pixels that the file's masks hide are no data.
//!
//! Left out: resampling and reprojection (a scene in degrees is refused with the command that helps), composites of several scenes.

mod classes;
mod files;
mod numbers;
mod place;
mod write;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use contract::{GranuleId, Made, SCENE, SCL, Scene};
use raster::{Grid, Source};
use stage::Ledger;
use tracing::info;

use crate::flags::sensed;
use crate::stack::same_pixels;
use crate::suited;
use classes::Classes;
use files::{Files, Pick};
use numbers::{Meaning, Said};

/// Memory for decoded blocks, in megabytes: each is used twice, close in time.
const CACHE_MB: usize = 64;

/// Flags of `import`.
#[derive(clap::Args, Debug)]
pub(crate) struct Import {
    /// The scene: a GeoTIFF of several bands, files of a band each, or a folder of band files (a .SAFE product, B04.tif, *_B04_10m.jp2)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Granule: any name of letters, digits, - and _ [default: the one of Sentinel-2's grid in the files' names, or under the scene's centre]
    #[arg(long, value_name = "ID")]
    granule: Option<GranuleId>,
    /// Bands in order, by name or number: B04,B03,B02 or 3,2,1; three numbers are red, green and blue [default: red, green and blue]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    bands: Vec<String>,
    /// Reflectance is SCALE x number + OFFSET [default: as the file says; 1 for floats, 0.0001 for whole numbers]
    #[arg(long, value_name = "SCALE", value_parser = stage::positive)]
    scale: Option<f64>,
    /// See --scale: -0.1 for Sentinel-2's numbers that carry 1000, else 0 [default: as the file, its name or its numbers say]
    #[arg(long, value_name = "OFFSET", allow_negative_numbers = true)]
    offset: Option<f64>,
    /// The number that stands for no data [default: as the file says; 0 for whole numbers, and where all bands are 0]
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    nodata: Option<f64>,
    /// Scene classification of Sentinel-2 (SCL, codes 0 to 11) over the scene [default: the one in the folder, for --scl-out]
    #[arg(long, value_name = "FILE")]
    scl: Option<PathBuf>,
    /// Day or time of sensing, as 2020-01-31 or 2020-01-31T03:39:59Z [default: the one in the files' names]
    #[arg(long, value_name = "DATE", value_parser = sensed)]
    date: Option<String>,
    /// The scene's classification, cut to the scene, for a share of cloud a tile
    #[arg(long, value_name = "FILE")]
    scl_out: Option<PathBuf>,
    /// A table of the scene, as fetch makes [default: OUT with .scene.parquet]
    #[arg(long, value_name = "FILE")]
    scene_out: Option<PathBuf>,
    /// The scene: one Cloud Optimized GeoTIFF
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Reads, proves, converts, writes.
///
/// # Errors
/// If the files are no scene, nothing says what their numbers mean, or an output cannot be written.
pub(crate) fn run(flags: &Import) -> anyhow::Result<Ledger> {
    raster::limit_cache(CACHE_MB);
    let files = Files::of(&flags.files, &flags.bands)?;
    let grid = one_grid(&files)?;
    for path in files.used() {
        Source::open(path)?.prove()?;
    }
    let said = Said { scale: flags.scale, offset: flags.offset, nodata: flags.nodata };
    let meaning = numbers::decide(&files, &grid, &said)?;
    let granule = match &flags.granule {
        Some(granule) => granule.clone(),
        None => place::granule(&files, &grid)?,
    };
    let classes = classes_of(flags, &files, &grid)?;
    let names: Vec<&str> = files.picks.iter().map(|pick| pick.name.as_str()).collect();
    info!("granule {granule}, bands {}: {}", names.join(","), meaning.rule);
    let made = made(flags, &granule, &files, &meaning)?;
    if let (Some(classes), Some(out)) = (&classes, &flags.scl_out) {
        classes.write(out, tags(&made, &SCL.tag(), &granule, &files, flags, &meaning))?;
    }
    suited::advise(&grid, &names);
    let facts = tags(&made, &SCENE.tag(), &granule, &files, flags, &meaning);
    let valid_share = write::scene(&files, &grid, &meaning, &flags.out, facts)?;
    let cloud_share = classes.map(|classes| classes.cloud_share()).transpose()?;
    let row = Scene {
        granule,
        item: files.item.clone(),
        place: 0,
        chosen: true,
        sensed: sensed_of(flags, &files),
        baseline: files.baseline.clone(),
        cloud_share,
        valid_share: Some(valid_share),
        offset: Some(meaning.offset_dn().into()),
        source: files.used().map(file_name).collect::<Vec<_>>().join(" "),
        sha256: Some(contract::sha256_of(&flags.out)?),
        n_bytes: files.n_bytes()?,
    };
    let scene_out = flags.scene_out.clone().unwrap_or_else(|| flags.out.with_extension("scene.parquet"));
    contract::write(&scene_out, &[row], &made)?;
    let mut ledger = Ledger::of("files", files.used().count());
    ledger.ok(files.used().count());
    Ok(ledger)
}

/// The classification that is named, or the one beside the bands where it is wanted.
fn classes_of(flags: &Import, files: &Files, grid: &Grid) -> anyhow::Result<Option<Classes>> {
    let beside = files.scl.as_deref().filter(|_| flags.scl_out.is_some());
    let found = flags.scl.as_deref().or(beside).map(|path| classes::open(path, grid)).transpose()?;
    ensure!(
        flags.scl_out.is_none() || found.is_some(),
        "want a scene classification for --scl-out, found none beside the bands; give one with --scl, or leave --scl-out (CLOUDS in settings.mk) out"
    );
    Ok(found)
}

fn made(flags: &Import, granule: &GranuleId, files: &Files, meaning: &Meaning) -> anyhow::Result<Made> {
    let names: Vec<&str> = files.picks.iter().map(|pick| pick.name.as_str()).collect();
    let made = Made::by("s2-fetch").flag("granule", granule.as_str()).flag("bands", names);
    let made = made.flag("scale", meaning.scale()).flag("offset", meaning.offset());
    let mut made = made.flag("nodata", flags.nodata).flag("date", &flags.date);
    for path in files.used() {
        made = made.input(path)?;
    }
    Ok(made)
}

fn sensed_of(flags: &Import, files: &Files) -> Option<String> {
    flags.date.clone().or_else(|| files.sensed.clone())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The grid that all bands lie on, in square metres.
fn one_grid(files: &Files) -> anyhow::Result<Grid> {
    let mut first: Option<(&Pick, Grid)> = None;
    for pick in &files.picks {
        let grid = Source::open(&pick.path)?.grid().clone();
        match &first {
            Some((other, all)) if !same_pixels(all, &grid) => bail!(
                "{}: want the {} x {} pixels of {} m of {}, found {} x {} of {} m; give bands of one resolution and place, or resample with gdalwarp -tr",
                pick.path.display(),
                all.height,
                all.width,
                all.transform.pixel_width,
                file_name(&other.path),
                grid.height,
                grid.width,
                grid.transform.pixel_width
            ),
            Some(_) => {}
            None => first = Some((pick, grid)),
        }
    }
    let (pick, grid) = first.context("no bands were picked")?;
    match suited::place(&grid, &pick.path.to_string_lossy()) {
        Some(text) => bail!("{}: {text}, and import its output", pick.path.display()),
        None => Ok(grid),
    }
}

/// The provenance of a raster, in the form of `fetch`.
fn tags(
    made: &Made,
    contract: &str,
    granule: &GranuleId,
    files: &Files,
    flags: &Import,
    meaning: &Meaning,
) -> Vec<(String, String)> {
    let unknown = || "unknown".to_owned();
    let facts = [
        ("granule", granule.to_string()),
        ("item", files.item.clone()),
        ("sensed", sensed_of(flags, files).unwrap_or_else(unknown)),
        ("baseline", files.baseline.clone().unwrap_or_else(unknown)),
        ("offset_subtracted_dn", meaning.offset_dn().to_string()),
        ("offset_rule", meaning.rule.clone()),
    ];
    let mut tags = made.pairs(contract);
    tags.extend(facts.map(|(key, value)| (key.to_owned(), value)));
    tags
}
