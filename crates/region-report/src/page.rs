//! The page: `index.html`, what it looks like and does, and one file of data, in a folder that opens from disk without a network.
//!
//! Browsers let a page on disk read no file, so the data are a script, and pictures are inside of it. MapLibre GL comes from a folder
//! (`--maplibre`, as `scripts/maplibre` fetches it); without it the page draws a plain picture of the zones instead.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use contract::{Made, Record, Region, RingDeg};
use figure::{Rgb, Scale};
use raster::Declared;
use serde_json::{Value, json};

use crate::export;
use crate::layers::{Layer, change_layer, image_layer, light_layer, map_layers};
use crate::packed::packed_outlines;
use crate::story;
use crate::table::Tables;

/// Flags of the page.
#[derive(clap::Args, Debug)]
pub struct PageArgs {
    /// Make the page in this folder
    #[arg(long, value_name = "DIR")]
    pub(crate) page: Option<PathBuf>,
    /// Folder with maplibre-gl.js, maplibre-gl.css and LICENSE.txt
    #[arg(long, value_name = "DIR")]
    maplibre: Option<PathBuf>,
    /// Title of the page
    #[arg(long, default_value = "Development score")]
    pub(crate) title: String,
    /// Source and licence of images, lights and borders, as the page names them
    #[arg(long, default_value = "")]
    credit: String,
    /// A scene to show, as s2-fetch writes it
    #[arg(long, value_name = "TIF")]
    imagery: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) story: story::StoryArgs,
}

/// What the page shows.
pub struct Contents<'a> {
    /// The tables.
    pub tables: &'a Tables,
    /// Outlines of the zones.
    pub outlines: &'a [Vec<Vec<RingDeg>>],
    /// What the official number is.
    pub official: Option<&'a str>,
    /// The heat map, and its bands of score and standard deviation.
    pub heatmap: (&'a Path, (usize, Option<usize>)),
    /// Night lights.
    pub night_lights: Option<(&'a Path, Declared)>,
    /// The change since an earlier date.
    pub change: Option<&'a Path>,
    /// How the tables were made.
    pub made: &'a Made,
}

/// The page's own files.
const FILES: [(&str, &str); 6] = [
    ("index.html", include_str!("../page/index.html")),
    ("style.css", include_str!("../page/style.css")),
    ("words.js", include_str!("../page/words.js")),
    ("unpack.js", include_str!("../page/unpack.js")),
    ("map.js", include_str!("../page/map.js")),
    ("app.js", include_str!("../page/app.js")),
];
const MAPLIBRE_FILES: [&str; 3] = ["maplibre-gl.js", "maplibre-gl.css", "LICENSE.txt"];
/// Colours of a scale that the page knows.
const N_COLOURS: usize = 64;

/// Writes the page, the file that opens it last.
///
/// # Errors
/// For rasters and tables that cannot be read, and files that cannot be written.
pub fn write_page(folder: &Path, args: &PageArgs, contents: &Contents<'_>) -> anyhow::Result<()> {
    for name in MAPLIBRE_FILES {
        let to = folder.join("maplibre").join(name);
        match &args.maplibre {
            Some(from) => copy(&from.join(name), &to)?,
            // The page names them: an empty file is quieter than a missing one, and the page draws without.
            None => contract::file::write(&to, b"")?,
        }
    }
    let sheets = args.story.copy_sheets(folder)?;
    let data = format!("window.ATLAS = {};\n", data(args, contents, &sheets)?);
    contract::file::write(&folder.join("data.js"), data.as_bytes())?;
    for (name, text) in FILES.iter().rev() {
        contract::file::write(&folder.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Copies a file whole.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes =
        std::fs::read(from).with_context(|| format!("{}: want this file for the page", from.display()))?;
    Ok(contract::file::write(to, &bytes)?)
}

fn data(args: &PageArgs, contents: &Contents<'_>, sheets: &story::Sheets) -> anyhow::Result<Value> {
    let (heatmap, bands) = contents.heatmap;
    let mut layers = map_layers(heatmap, bands)?;
    if let Some(lights) = contents.night_lights {
        layers.push(light_layer(heatmap, lights)?);
    }
    if let Some(change) = contents.change {
        layers.push(change_layer(heatmap, change)?);
    }
    if let Some(scene) = &args.imagery {
        layers.push(image_layer(scene)?);
    }
    let pairs = contents.made.pairs(&Region::SPEC.tag());
    let made = |key: &str| pairs.iter().find(|(name, _)| name == key).map_or("null", |(_, text)| text);
    let parsed = |key: &str| serde_json::from_str::<Value>(made(key)).unwrap_or(Value::Null);
    let tables = contents.tables;
    let bounds = bounds(contents.outlines);
    let columns: Vec<Value> = Region::SPEC
        .columns
        .iter()
        .map(|column| json!({"name": column.name, "unit": column.unit, "meaning": column.meaning}))
        .collect();
    Ok(json!({
        "title": args.title,
        "credit": args.credit,
        "official": contents.official,
        "bounds": bounds,
        "columns": columns,
        "values": export::columns(&tables.regions),
        "outlines": packed_outlines(contents.outlines, bounds),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
        "palette": {
            "score": hex(Scale::Score), "light": hex(Scale::Light), "sd": hex(Scale::Doubt),
            "none": css(Rgb::NODATA),
        },
        "metrics": tables.metrics.iter().map(metric).collect::<Vec<_>>(),
        "targeting": tables.targeting.iter().map(targeting).collect::<Vec<_>>(),
        "tiles": args.story.tiles()?,
        "clusters": args.story.clusters(sheets)?,
        "made": {"by": made("made_by"), "seed": parsed("seed"), "flags": parsed("flags"), "inputs": parsed("inputs")},
        "csv": export::csv(&tables.regions),
    }))
}

fn layer(layer: &Layer) -> Value {
    json!({
        "id": layer.id,
        "bounds": layer.bounds_deg,
        "range": layer.range,
        "image": format!("data:{};base64,{}", layer.media_type, STANDARD.encode(&layer.file)),
    })
}

fn metric(metric: &contract::Metric) -> Value {
    let contract::Metric { name, of, value, low, high, unit, n, note } = metric;
    json!({"name": name, "of": of, "value": value, "low": low, "high": high, "unit": unit, "n": n, "note": note})
}

fn targeting(row: &contract::Targeting) -> Value {
    json!({
        "rule": row.rule, "truth": row.truth, "n_chosen": row.n_chosen, "n_zones": row.n_zones,
        "exclusion_share": row.exclusion, "inclusion_share": row.inclusion,
    })
}

/// West, south, east and north of all zones.
fn bounds(outlines: &[Vec<Vec<RingDeg>>]) -> [f64; 4] {
    let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    outlines
        .iter()
        .flatten()
        .flatten()
        .flatten()
        .fold(start, |b, (lon, lat)| [b[0].min(*lon), b[1].min(*lat), b[2].max(*lon), b[3].max(*lat)])
}

fn hex(scale: Scale) -> Vec<String> {
    scale.table(N_COLOURS).into_iter().map(css).collect()
}

fn css(Rgb(r, g, b): Rgb) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}
