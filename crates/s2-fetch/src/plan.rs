//! The command `plan`: which granules cover an area, what fetching them costs, and, with a catalogue, which scenes they would be.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use contract::GranuleId;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use geo::MultiPolygon;
use serde_json::{Value, json};
use stage::{Ledger, WRONG_FLAGS, coded};
use tracing::info;

use crate::assign::{Part, base};
use crate::cost::{Cost, cost_of, typical};
use crate::fewer::fewer;
use crate::find::{Search, find};
use crate::flags::catalogue_url;
use crate::ground::area_km2;
use crate::question::Question;
use crate::tiling;
use crate::wire::{Limits, Wire};

const SEARCHES_AT_ONCE: usize = 4;
const HEADER: &str = "# granule\titem\n";

/// Flags of `plan`.
#[derive(clap::Args, Debug)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub question: Question,
    /// Area: the granules of this list, a file such as granules.tsv
    #[arg(long, value_name = "FILE", conflicts_with_all = ["area", "bbox", "boundary"])]
    pub granules: Option<PathBuf>,
    /// Also choose the scenes: a static STAC catalogue (path, file: or http address), a table of items (.parquet), or root of a STAC API
    #[arg(long, value_name = "PATH|URL")]
    pub catalogue: Option<String>,
    /// Write the chosen scenes into the list, so that they are fetched whatever comes later
    #[arg(long, requires = "catalogue")]
    pub pin: bool,
    /// Say how long fetching takes at this many megabytes (1,000,000 bytes) a second
    #[arg(long, value_name = "RATE", value_parser = stage::positive)]
    pub at_mb_per_s: Option<f64>,
    /// Print the plan as one JSON object
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub limits: Limits,
    /// The part of the area that each granule is responsible for: a GeoJSON file
    #[arg(long, value_name = "FILE")]
    pub assigned_out: Option<PathBuf>,
    /// The list: a granule a line, after a tab the scene if it is pinned; comment lines at the head of an old list stay
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// A granule of the plan.
#[derive(Debug)]
struct Line {
    granule: GranuleId,
    own: MultiPolygon,
    item: Option<String>,
    cost: Cost,
}

/// Plans, prints, writes.
///
/// # Errors
/// If there is no area, a file cannot be read, or a granule has no scene that fits.
pub(crate) fn run(flags: &Plan) -> anyhow::Result<Ledger> {
    let (parts, n_candidates) = parts(flags)?;
    let mut ledger = Ledger::of("granules", n_candidates);
    (parts.len()..n_candidates).for_each(|_| ledger.skip("covered by others"));
    let lines = match &flags.catalogue {
        Some(catalogue) => chosen(flags, catalogue, parts, &mut ledger)?,
        None => parts.into_iter().map(|part| guessed(flags, part)).collect(),
    };
    ledger.ok(lines.len());
    ensure!(!lines.is_empty(), "want a granule in the plan, found none");
    if let Some(path) = &flags.assigned_out {
        contract::file::write(path, assigned(&lines).as_bytes())?;
    }
    contract::file::write(&flags.out, list(&flags.out, &lines, flags.pin)?.as_bytes())?;
    say(flags, &lines);
    Ok(ledger)
}

/// The granules that stay, each with its part, and how many there were at first.
fn parts(flags: &Plan) -> anyhow::Result<(Vec<Part>, usize)> {
    if let Some(path) = &flags.granules {
        return listed(path);
    }
    let Some(area) = flags.question.area.read()? else {
        return Err(coded(
            WRONG_FLAGS,
            "want an area: --area, --bbox, --boundary with --name, or --granules",
        ));
    };
    let parts = base(&area)?;
    let n_candidates = parts.len();
    Ok((fewer(parts, |_| true)?, n_candidates))
}

/// The granules of a list, responsible for all the ground that they cover together.
fn listed(path: &Path) -> anyhow::Result<(Vec<Part>, usize)> {
    let text = std::fs::read_to_string(path).map_err(contract::Error::io(path, "read"))?;
    let names = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split('\t').next());
    let names: BTreeSet<_> = names.map(str::trim).filter(|n| !n.is_empty()).collect();
    let mut granules = Vec::new();
    for name in &names {
        match tiling::granule(name)? {
            Some(granule) => granules.push(granule),
            None => bail!("{}: {}", path.display(), no_granule(name)?),
        }
    }
    ensure!(!granules.is_empty(), "{}: want granules, found none", path.display());
    let wanted: BTreeSet<_> = granules.iter().map(|granule| granule.square).collect();
    let area = geo::unary_union(&granules.into_iter().map(|granule| granule.footprint).collect::<Vec<_>>());
    // Ground on the rim belongs to squares that are not on the list: those on it take it over.
    let mut parts = fewer(base(&area)?, |part| wanted.contains(&part.square))?;
    parts.retain(|part| wanted.contains(&part.square));
    let n_candidates = wanted.len();
    Ok((parts, n_candidates))
}

/// Why a name is no granule, and which granules cover its square where it has one.
fn no_granule(name: &str) -> anyhow::Result<String> {
    let Some(square) = tiling::square_named(name)? else {
        return Ok(format!("want granules of Sentinel-2's grid such as T48RVV, found {name}"));
    };
    let instead: Vec<_> = base(&square.shape)?.into_iter().map(|part| part.granule.to_string()).collect();
    Ok(format!(
        "want granules of Sentinel-2's grid, found {name}, which ESA does not make; its ground is in {}",
        instead.join(", ")
    ))
}

fn guessed(flags: &Plan, part: Part) -> Line {
    let cost = typical(&flags.question.assets);
    Line { granule: part.granule, own: part.own, item: None, cost }
}

/// Looks for the scene of every granule; each is chosen for its own part of the area.
fn chosen(flags: &Plan, catalogue: &str, parts: Vec<Part>, ledger: &mut Ledger) -> anyhow::Result<Vec<Line>> {
    let wire = &Wire::to(catalogue_url(catalogue)?, &flags.limits)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let searches = parts.into_iter().map(|part| async move {
        let granule = part.granule.clone();
        let search = Search {
            granule: &granule,
            question: &flags.question,
            item: None,
            locked: &[],
            area: Some(&part.own),
            n_used: 1,
            beside: None,
        };
        match find(wire, &search).await {
            Ok((choice, _)) => {
                let best = &choice.ranked[0];
                let cost = cost_of(wire, best, &flags.question.assets, &flags.question.collection).await?;
                Ok((
                    granule,
                    Some(Line { granule: part.granule, own: part.own, item: Some(best.id.clone()), cost }),
                ))
            }
            Err(error) if stage::code(&error) == Some(stage::NOTHING_FITS) => Ok((granule, None)),
            Err(error) => Err(error),
        }
    });
    let found: Vec<(GranuleId, Option<Line>)> =
        runtime.block_on(stream::iter(searches).buffered(SEARCHES_AT_ONCE).try_collect())?;
    let missing: Vec<_> =
        found.iter().filter(|(_, line)| line.is_none()).map(|(g, _)| g.to_string()).collect();
    missing.iter().for_each(|_| ledger.fail("no scene fits"));
    if missing.len() as f64 > stage::max_failed_share() * found.len() as f64 {
        return Err(coded(
            stage::NOTHING_FITS,
            format!(
                "want a scene of every granule, found none of {}; widen the dates or the cloud, or allow it with --max-failed",
                missing.join(", ")
            ),
        ));
    }
    Ok(found.into_iter().filter_map(|(_, line)| line).collect())
}

/// The list as text, under the comments of the one that it replaces.
fn list(out: &Path, lines: &[Line], pin: bool) -> anyhow::Result<String> {
    let old = match std::fs::read_to_string(out) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => bail!(contract::Error::io(out, "read")(error)),
    };
    let head: Vec<_> = old.lines().take_while(|line| line.starts_with('#')).collect();
    let mut text = if head.is_empty() { HEADER.to_owned() } else { head.join("\n") + "\n" };
    let mut lines: Vec<_> = lines.iter().collect();
    lines.sort_by(|a, b| a.granule.cmp(&b.granule));
    for line in lines {
        text += line.granule.as_str();
        if let (true, Some(item)) = (pin, &line.item) {
            // Lists are read by Make, which gives what they say to a shell.
            let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
            ensure!(
                item.chars().all(plain) && !item.starts_with('-'),
                "{}: want ids of letters, digits, '.', '_' and '-' to pin, found item {item:?}; leave out --pin",
                line.granule
            );
            text = text + "\t" + item;
        }
        text += "\n";
    }
    Ok(text)
}

/// The parts as GeoJSON. `--boundary FILE --name GRANULE` reads one back.
fn assigned(lines: &[Line]) -> String {
    let ring = |ring: &geo::LineString| {
        // Ten digits are a hundredth of a millimetre.
        let round = |v: f64| (v * 1e10).round() / 1e10;
        ring.0.iter().map(|c| json!([round(c.x), round(c.y)])).collect::<Value>()
    };
    let polygon =
        |p: &geo::Polygon| std::iter::once(p.exterior()).chain(p.interiors()).map(ring).collect::<Value>();
    let mut text = String::from("{\"type\": \"FeatureCollection\", \"features\": [\n");
    for (n, line) in lines.iter().enumerate() {
        let feature = json!({
            "type": "Feature",
            "properties": {"granule": line.granule.as_str(), "area_km2": (area_km2(&line.own) * 1e4).round() / 1e4},
            "geometry": {"type": "MultiPolygon", "coordinates": line.own.0.iter().map(polygon).collect::<Value>()},
        });
        text += if n > 0 { ",\n" } else { "" };
        text += &feature.to_string();
    }
    text + "\n]}\n"
}

fn say(flags: &Plan, lines: &[Line]) {
    let area_km2: f64 = lines.iter().map(|line| area_km2(&line.own)).sum();
    let cost: Cost = lines.iter().map(|line| line.cost).sum();
    let seconds = flags.at_mb_per_s.map(|rate| cost.n_bytes as f64 / 1e6 / rate);
    if flags.json {
        let granules: Vec<_> = lines
            .iter()
            .map(|l| json!({"granule": l.granule.as_str(), "item": l.item, "n_bytes": l.cost.n_bytes}))
            .collect();
        let plan = json!({
            "n_granules": lines.len(), "area_km2": area_km2, "n_files": cost.n_files, "n_bytes": cost.n_bytes,
            "bytes_known_share": cost.known_share(), "seconds": seconds, "granules": granules,
        });
        println!("{plan}");
        return;
    }
    println!("granules  {}", lines.len());
    println!("area      {area_km2:.1} km²");
    println!("files     {}", cost.n_files);
    println!("bytes     {}", cost.words());
    if let Some(seconds) = seconds {
        println!("time      {seconds:.0} s at {} MB/s", flags.at_mb_per_s.unwrap_or_default());
    }
    info!("{}: the list", flags.out.display());
}
