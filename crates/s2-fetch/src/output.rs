//! What `fetch` leaves behind: the scene or composite with its provenance, its classification, and the table of the choice.

use std::path::PathBuf;

use anyhow::Context;
use contract::{Made, RasterSpec, SCENE, SCL, Scene};
use serde_json::json;
use url::Url;

use crate::asset::Asset;
use crate::choose::Choice;
use crate::compose::{Rule, write_classes, write_composite, write_scene};
use crate::fetch::Fetch;
use crate::guard::shown;
use crate::stac::Item;
use crate::stack::{File, Layer, Piece};
use crate::suited::advise;
use crate::wire::Proven;

/// Flags of what is made of the fetched files.
#[derive(clap::Args, Debug, Clone)]
pub(crate) struct Outputs {
    /// Make one scene of the best several, cloud masked by their classification (SCL)
    #[arg(long, value_name = "RULE")]
    pub composite: Option<Rule>,
    /// Scenes of a composite
    #[arg(long, value_name = "N", default_value_t = 3, requires = "composite",
          value_parser = clap::value_parser!(u32).range(1..=crate::compose::MOST_SCENES as i64))]
    pub scenes: u32,
    /// Where the pixels of a composite come from: number of clear scenes, and the scene
    #[arg(long, value_name = "FILE", requires = "composite")]
    pub composite_info: Option<PathBuf>,
    /// The scene's classification (SCL) on its own grid, for a share of cloud a tile
    #[arg(long, value_name = "FILE", conflicts_with = "composite")]
    pub scl_out: Option<PathBuf>,
}

impl Outputs {
    /// How many of the best scenes are fetched.
    pub fn n_scenes(&self) -> usize {
        if self.composite.is_some() { self.scenes as usize } else { 1 }
    }

    /// Whether the scenes' classifications are fetched too.
    pub fn needs_scl(&self) -> bool {
        self.composite.is_some() || self.scl_out.is_some()
    }

    fn made(&self, made: Made) -> Made {
        match self.composite {
            Some(rule) => made.flag("composite", rule.name()).flag("scenes", self.scenes),
            None => made,
        }
    }
}

/// A scene's files, fetched and proven.
#[derive(Debug)]
pub(crate) struct Fetched<'a> {
    /// The scene.
    pub item: &'a Item,
    /// The files asked for, in their order.
    pub files: Vec<Proven>,
    /// The classification, where it is needed.
    pub scl: Option<Proven>,
}

impl Fetched<'_> {
    fn n_bytes(&self) -> u64 {
        self.files.iter().chain(&self.scl).map(|file| file.n_bytes).sum()
    }
}

/// The classification's asset, by any provider's name for it.
pub(crate) fn scl_asset(item: &Item) -> Option<&Asset> {
    item.asset(SCL.name).map(|(_, asset)| asset)
}

/// Writes everything of one run: of the fetched scenes, best first, and the table of the choice.
pub(crate) fn write(flags: &Fetch, choice: &Choice, fetched: &[Fetched<'_>]) -> anyhow::Result<()> {
    let layers: Vec<_> = fetched.iter().map(|f| layer(flags, f)).collect::<anyhow::Result<_>>()?;
    let outputs = &flags.outputs;
    let shape = &layers[0].shape;
    advise(&shape.grid, &shape.bands.iter().map(|band| band.name.as_str()).collect::<Vec<_>>());
    if let (Some(path), Some(scl)) = (&outputs.scl_out, &fetched[0].scl) {
        let item = fetched[0].item;
        let asset = scl_asset(item).context("an asset vanished")?;
        let piece = Piece { wanted: SCL.bands[0].name, asset, file: File::of(scl) };
        let classes = Layer::of(item, &[piece], None, None)?;
        write_classes(&classes, path, tags(flags, &SCL, &[&classes]))?;
    }
    let tags = tags(flags, &SCENE, &layers.iter().collect::<Vec<_>>());
    match outputs.composite {
        None => write_scene(&layers[0], &flags.out, tags)?,
        Some(rule) => {
            write_composite(rule, &layers, (&flags.out, outputs.composite_info.as_deref()), tags)?;
        }
    }
    let rows = scenes(flags, choice, fetched, &layers)?;
    let scene_out = flags.scene_out.clone().unwrap_or_else(|| flags.out.with_extension("scene.parquet"));
    Ok(contract::write(&scene_out, &rows, &made(flags))?)
}

fn layer<'a>(flags: &Fetch, fetched: &Fetched<'a>) -> anyhow::Result<Layer<'a>> {
    let mut pieces = Vec::new();
    for (wanted, file) in flags.question.assets.iter().zip(&fetched.files) {
        let (_, asset) = fetched.item.asset(wanted).context("an asset vanished")?;
        pieces.push(Piece { wanted, asset, file: File::of(file) });
    }
    Layer::of(fetched.item, &pieces, fetched.scl.as_ref().map(File::of), flags.offset)
}

fn made(flags: &Fetch) -> Made {
    let made = Made::by("s2-fetch").flag("granule", flags.granule.as_str());
    let made = flags.outputs.made(flags.question.made(made).flag("item", &flags.item));
    match flags.offset {
        Some(offset) => made.flag("offset", offset),
        None => made,
    }
}

/// The provenance of a raster. Of a composite each fact is a list without repetitions, and `items` has all of each scene.
fn tags(flags: &Fetch, spec: &RasterSpec, layers: &[&Layer<'_>]) -> Vec<(String, String)> {
    let unknown = || "unknown".to_owned();
    let sensed = |item: &Item| item.sensed().unwrap_or_else(unknown);
    let baseline = |item: &Item| item.baseline.clone().unwrap_or_else(unknown);
    let list = |fact: &dyn Fn(&Layer<'_>) -> String| {
        let mut facts: Vec<_> = layers.iter().map(|layer| fact(layer)).collect();
        facts.sort();
        facts.dedup();
        facts.join(",")
    };
    let name = match flags.outputs.composite {
        Some(rule) => format!("{}_{}_{}", flags.granule, rule.name(), layers.len()),
        None => layers[0].item.id.clone(),
    };
    let facts = [
        ("granule", flags.granule.to_string()),
        ("item", name),
        ("sensed", list(&|layer| sensed(layer.item))),
        ("baseline", list(&|layer| baseline(layer.item))),
        ("offset_subtracted_dn", list(&|layer| layer.radiometry.offset_dn.to_string())),
        ("offset_rule", list(&|layer| layer.radiometry.rule.clone())),
        ("credit", "Contains modified Copernicus Sentinel data".to_owned()),
    ];
    let mut tags = made(flags).pairs(&spec.tag());
    tags.extend(facts.map(|(key, value)| (key.to_owned(), value)));
    if flags.outputs.composite.is_some() {
        let of_layer = |layer: &&Layer<'_>| {
            json!({"item": layer.item.id, "sensed": sensed(layer.item), "baseline": baseline(layer.item),
                "offset_subtracted_dn": layer.radiometry.offset_dn})
        };
        let items: Vec<_> = layers.iter().map(of_layer).collect();
        tags.push(("items".to_owned(), json!(items).to_string()));
    }
    tags
}

fn scenes(
    flags: &Fetch,
    choice: &Choice,
    fetched: &[Fetched<'_>],
    layers: &[Layer<'_>],
) -> anyhow::Result<Vec<Scene>> {
    let sha256 = contract::sha256_of(&flags.out)?;
    let row = |(place, item): (usize, &Item)| {
        let used = fetched.get(place).zip(layers.get(place));
        let source = flags.question.assets.iter().filter_map(|wanted| item.asset(wanted));
        let source: Vec<_> = source.map(|(_, asset)| source_of(&asset.href)).collect();
        Scene {
            granule: flags.granule.clone(),
            item: item.id.clone(),
            place: place as u32,
            chosen: used.is_some(),
            sensed: item.sensed(),
            baseline: item.baseline.clone(),
            cloud_share: item.cloud_share,
            valid_share: item.valid_share,
            offset: used.map(|(_, layer)| layer.radiometry.offset_dn.into()),
            source: source.join(" "),
            sha256: used.map(|_| sha256.clone()),
            n_bytes: used.map_or(0, |(fetched, _)| fetched.n_bytes()),
        }
    };
    Ok(choice.ranked.iter().enumerate().map(row).collect())
}

/// An asset's address as the catalogue writes it, without what may be secret.
fn source_of(href: &str) -> String {
    match Url::parse(href) {
        Ok(url) if url.scheme() != "file" => shown(&url),
        _ => {
            let path = href.split(['?', '#']).next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default().to_owned()
        }
    }
}
