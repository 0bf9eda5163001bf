//! Zones from a file: which features are zones, what they are called, where they lie.
//!
//! Every feature counts: without an attribute for the id it is the place in the file, and features without an area are listed with the reason.
//! What was mended on the way, or read by a guess, is said in the log with examples.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, bail, ensure};
use raster::{Crs, Ring, Shape, Shapes, Way, read_layer};
use rayon::prelude::*;

pub use crate::gcj02::{gcj02_of_wgs84, wgs84_of_gcj02};
use crate::ground::outward;
pub use crate::ground::signed_area;

/// The coordinates that a zones file is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZonesCrs {
    /// As the file says.
    File,
    /// GCJ-02, whatever the file says.
    Gcj02,
    /// The system of an EPSG code, whatever the file says.
    Epsg(u32),
}

impl FromStr for ZonesCrs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        match (lower.as_str(), lower.strip_prefix("epsg:").map(str::parse)) {
            ("file", _) => Ok(Self::File),
            ("gcj02", _) => Ok(Self::Gcj02),
            (_, Some(Ok(code))) => Ok(Self::Epsg(code)),
            _ => Err("want file, gcj02 or EPSG:<code>".to_owned()),
        }
    }
}

impl std::fmt::Display for ZonesCrs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Gcj02 => f.write_str("gcj02"),
            Self::Epsg(code) => write!(f, "epsg:{code}"),
        }
    }
}

/// Flags that say where zones are read.
#[derive(clap::Args, Clone, Debug)]
pub struct ZonesArgs {
    /// Zones: GeoJSON (also .gz), GeoPackage, FlatGeobuf, shapefile, KML or MapInfo
    #[arg(long = "zones", value_name = "FILE")]
    pub path: PathBuf,
    /// Layer of the zones file; needed where several may hold areas
    #[arg(long = "zones-layer", value_name = "NAME")]
    pub layer: Option<String>,
    /// Coordinates of the zones: as the file says, gcj02, or EPSG:<code> whatever the file says
    #[arg(long = "zones-crs", value_name = "CRS", default_value = "file")]
    pub crs: ZonesCrs,
    /// Attribute that identifies a zone; without it its place in the file does
    #[arg(long = "zone-id", value_name = "ATTRIBUTE")]
    pub id: Option<String>,
}

/// Which attributes name a zone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Naming<'a> {
    /// Attribute with its name; the id where there is none.
    pub name: Option<&'a str>,
    /// Attribute with its name in English.
    pub name_en: Option<&'a str>,
    /// Attribute with what it is a part of.
    pub part_of: Option<&'a str>,
}

/// A zone: its names and its outline in degrees, WGS 84.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Id, unique in the file.
    pub id: String,
    /// Name.
    pub name: String,
    /// Name in English.
    pub name_en: Option<String>,
    /// What it is a part of.
    pub part_of: Option<String>,
    /// Outline as longitude and latitude: outer rings counter-clockwise, each followed by its holes. Longitudes of a zone over the antimeridian go on
    /// beyond 180°.
    pub rings_deg: Vec<Ring>,
    /// The outline as the file has it, in its own system.
    pub(crate) rings: Vec<Ring>,
}

/// The zones of a file.
#[derive(Clone, Debug)]
pub struct Zones {
    /// The zones in the file's order.
    pub zones: Vec<Zone>,
    /// Places of the features that are no zones, counted from 1, and why.
    pub left_out: Vec<(usize, &'static str)>,
    /// The file.
    pub(crate) path: PathBuf,
    /// The system of [`Zone::rings`].
    pub(crate) crs: Crs,
}

/// Examples that a message names.
const N_EXAMPLES: usize = 5;
/// Degrees by which a corner may pass the poles, or the second turn around the globe: rounding.
const ROUNDING_DEG: f64 = 1e-6;
/// No projection of the Earth has coordinates this far out, in any unit.
const FARTHEST: f64 = 1e9;

/// Reads zones.
///
/// # Errors
/// For a file that cannot be read, an attribute that is not there or not readable, ids that repeat, and corners that are not on the globe.
pub fn read_zones(args: &ZonesArgs, naming: &Naming<'_>) -> anyhow::Result<Zones> {
    let path = args.path.as_path();
    let wgs84 = Crs::wgs84()?;
    let given = match args.crs {
        ZonesCrs::File => None,
        ZonesCrs::Gcj02 => Some(wgs84.clone()),
        ZonesCrs::Epsg(code) => Some(Crs::from_epsg(code).context("--zones-crs")?),
    };
    let read = read_layer(path, args.layer.as_deref(), given.as_ref())?;
    tell(path, &read);
    let mut zones = Vec::with_capacity(read.shapes.len());
    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    for shape in read.shapes {
        let zone = zone(path, shape.place, shape, args, naming)?;
        on_the_globe(path, &zone.1, &read.crs)?;
        if let Some(earlier) = ids.insert(zone.1.id.clone(), zone.0) {
            bail!(
                "{}: want zones of different ids, found {} twice, at features {earlier} and {}; choose another attribute with --zone-id",
                path.display(),
                zone.1.id,
                zone.0
            );
        }
        zones.push(zone.1);
    }
    if naming.name.is_some() {
        tell_of_names(path, &zones);
    }
    let mut zones = Zones { zones, left_out: read.left_out, path: path.to_owned(), crs: read.crs };
    zones.take_to_degrees(&wgs84)?;
    Ok(zones)
}

/// A zone with its place in the file.
fn zone(
    path: &Path,
    place: usize,
    shape: Shape,
    args: &ZonesArgs,
    naming: &Naming<'_>,
) -> anyhow::Result<(usize, Zone)> {
    let text = |attribute: Option<&str>| attribute.map(|name| wanted(path, &shape, name)).transpose();
    let id = text(args.id.as_deref())?.unwrap_or_else(|| place.to_string());
    let (name, part_of) = (text(naming.name)?.unwrap_or_else(|| id.clone()), text(naming.part_of)?);
    let name_en = naming.name_en.and_then(|name| shape.field(name)).map(str::to_owned);
    let mut rings = shape.rings;
    if args.crs == ZonesCrs::Gcj02 {
        rings.iter_mut().flatten().for_each(|point| *point = wgs84_of_gcj02(*point));
    }
    Ok((place, Zone { id, name, name_en, part_of, rings_deg: rings.clone(), rings }))
}

fn wanted(path: &Path, shape: &Shape, name: &str) -> anyhow::Result<String> {
    let place = shape.place;
    let Some(found) = shape.field(name) else {
        let known = shape.fields.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        let found = if known.contains(&name) { "no value".to_owned() } else { known.join(", ") };
        bail!("{}: want attribute {name} of zone {place}, found {found}", path.display());
    };
    ensure!(
        !found.contains('\u{fffd}'),
        "{}: want text in UTF-8 in attribute {name} of zone {place}, found bytes in another encoding; convert a GeoJSON with iconv, and name the \
         encoding of a shapefile in a .cpg file beside it (GBK, say)",
        path.display()
    );
    Ok(found.to_owned())
}

/// Refuses coordinates that are no place on Earth.
fn on_the_globe(path: &Path, zone: &Zone, crs: &Crs) -> anyhow::Result<()> {
    let [west, south, east, north] = bounds(&zone.rings);
    let refuse = |wanted: &str, found: String, cure: &str| {
        bail!("{}: want {wanted}, found zone {} {found}; {cure}", path.display(), zone.id)
    };
    if !crs.is_geographic() {
        if [west, south, east, north].iter().all(|v| v.abs() < FARTHEST) {
            return Ok(());
        }
        let found = format!("at {west} to {east} and {south} to {north}");
        return refuse(
            "zones on the globe",
            found,
            "make the file again, or name its system with --zones-crs EPSG:<code>",
        );
    }
    let turn = 360.0 + ROUNDING_DEG;
    if south >= -90.0 - ROUNDING_DEG && north <= 90.0 + ROUNDING_DEG && west >= -turn && east <= turn {
        return Ok(());
    }
    let found = format!("at longitudes {west} to {east} and latitudes {south} to {north}");
    let swapped = west >= -90.0 && east <= 90.0 && south >= -180.0 && north <= 180.0;
    refuse(
        "longitude and latitude in degrees",
        found,
        if swapped {
            "latitude seems to stand first: write longitude first (in QGIS, swap X and Y coordinates)"
        } else {
            "if these are metres name their system with --zones-crs EPSG:<code>"
        },
    )
}

/// West, south, east and north of rings.
pub(crate) fn bounds(rings: &[Ring]) -> [f64; 4] {
    let none = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    rings.iter().flatten().fold(none, |[w, s, e, n], (x, y)| [w.min(*x), s.min(*y), e.max(*x), n.max(*y)])
}

/// Says what was left out, mended and guessed.
fn tell(path: &Path, read: &Shapes) {
    let (path, n) = (path.display(), read.shapes.len() + read.left_out.len());
    if let Some(encoding) = read.encoding.filter(|name| *name != "UTF-8") {
        tracing::warn!(
            "{path}: text that is not UTF-8 is read as {encoding}; convert it with iconv if names look wrong"
        );
    }
    let say = |places: Vec<usize>, what: &str| {
        if !places.is_empty() {
            tracing::warn!("{path}: {} of {n} features {what} ({})", places.len(), examples(&places));
        }
    };
    let mut reasons: Vec<&str> = read.left_out.iter().map(|(_, reason)| *reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        let places =
            read.left_out.iter().filter(|(_, why)| *why == reason).map(|(place, _)| *place).collect();
        say(places, &format!("are left out: {reason}"));
    }
    let of = |is: fn(&Shape) -> bool| read.shapes.iter().filter(|s| is(s)).map(|shape| shape.place).collect();
    say(
        of(|shape| shape.mended),
        "are not valid (they cross themselves, or parts or holes overlap) and are taken as the ground that they go around, once, without their holes",
    );
    say(of(|shape| shape.over_antimeridian), "jump over the antimeridian and are taken the short way");
}

fn tell_of_names(path: &Path, zones: &[Zone]) {
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    zones.iter().for_each(|zone| by_name.entry(&zone.name).or_default().push(&zone.id));
    let shared: Vec<_> = by_name.into_iter().filter(|(_, ids)| ids.len() > 1).collect();
    let Some((name, ids)) = shared.first() else { return };
    tracing::warn!(
        "{}: {} names belong to several zones, such as {name} to {}; tables tell them apart by id",
        path.display(),
        shared.len(),
        ids[..ids.len().min(N_EXAMPLES)].join(", ")
    );
}

/// The first places, and how many more there are.
fn examples(places: &[usize]) -> String {
    let first: Vec<String> = places.iter().take(N_EXAMPLES).map(usize::to_string).collect();
    let word = if places.len() == 1 { "feature" } else { "features" };
    match places.len().saturating_sub(N_EXAMPLES) {
        0 => format!("{word} {}", first.join(", ")),
        more => format!("{word} {} and {more} more", first.join(", ")),
    }
}

impl Zones {
    /// A ledger of all features, with those that are no zones entered.
    pub fn ledger(&self) -> stage::Ledger {
        let mut ledger = stage::Ledger::of("zones", self.zones.len() + self.left_out.len());
        self.left_out.iter().for_each(|(_, reason)| ledger.skip(reason));
        ledger
    }

    /// Where the zones lie, in words.
    pub fn extent(&self) -> String {
        let all = self.zones.iter().map(|zone| bounds(&zone.rings_deg));
        let [w, s, e, n] =
            all.fold(bounds(&[]), |a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
        format!("longitudes {w:.3} to {e:.3} and latitudes {s:.3} to {n:.3}")
    }

    fn take_to_degrees(&mut self, wgs84: &Crs) -> anyhow::Result<()> {
        if self.crs.same_as(wgs84) {
            return Ok(());
        }
        let (path, crs) = (&self.path, &self.crs);
        let n = self.zones.len().div_ceil(rayon::current_num_threads()).max(1);
        self.zones.par_chunks_mut(n).try_for_each(|zones| {
            let way = Way::new(crs, wgs84)?;
            zones.iter_mut().try_for_each(|zone| {
                zone.rings_deg = outward(&zone.rings, Some(&way)).with_context(|| {
                    let [west, south, east, north] = bounds(&zone.rings);
                    format!(
                        "{}: want zones on the globe, found zone {} at {west} to {east} and {south} to {north} in {}; name the file's system with \
                         --zones-crs EPSG:<code>",
                        path.display(),
                        zone.id,
                        crs.to_text()
                    )
                })?;
                raster::go_the_short_way(&mut zone.rings_deg);
                Ok(())
            })
        })
    }
}
