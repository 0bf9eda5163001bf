//! What `fetch` leaves behind: the scene with its provenance, and the table of the choice.

use anyhow::Context;
use contract::{Made, SCENE, Scene};
use raster::{CogOptions, Source};
use url::Url;

use crate::choose::Choice;
use crate::fetch::Fetch;
use crate::guard::shown;
use crate::stac::Item;
use crate::stack::{Piece, Stacked, offset_dn, stack};
use crate::wire::Proven;

/// Stacks the proven files into the scene, and writes it and the table of the choice.
pub(crate) fn write(flags: &Fetch, choice: &Choice, proven: &[Proven]) -> anyhow::Result<()> {
    let item = &choice.ranked[0];
    let mut pieces = Vec::new();
    for (wanted, file) in flags.question.assets.iter().zip(proven) {
        let (_, asset) = item.asset(wanted).context("an asset vanished")?;
        pieces.push(Piece { wanted, asset, source: Source::open(file.path())? });
    }
    let named: Vec<_> = pieces.iter().map(|p| (p.wanted, p.asset)).collect();
    let offset = offset_dn(item, &named)?;
    let (_, stacked) = stack(&pieces, offset)?;
    let options =
        CogOptions { nodata: SCENE.nodata, tags: tags(flags, item, offset), ..CogOptions::default() };
    match stacked {
        Stacked::U8(canvas) => canvas.write_cog(&flags.out, &options)?,
        Stacked::U16(canvas) => canvas.write_cog(&flags.out, &options)?,
    }
    let n_bytes = proven.iter().map(|p| p.n_bytes).sum();
    let rows = scenes(flags, choice, offset, n_bytes)?;
    let scene_out = flags.scene_out.clone().unwrap_or_else(|| flags.out.with_extension("scene.parquet"));
    Ok(contract::write(&scene_out, &rows, &made(flags))?)
}

fn made(flags: &Fetch) -> Made {
    let made = Made::by("s2-fetch").flag("granule", flags.granule.as_str());
    flags.question.made(made).flag("item", &flags.item)
}

fn tags(flags: &Fetch, item: &Item, offset_dn: f64) -> Vec<(String, String)> {
    let mut tags = made(flags).pairs(&SCENE.tag());
    let unknown = || "unknown".to_owned();
    let facts = [
        ("granule", flags.granule.to_string()),
        ("item", item.id.clone()),
        ("sensed", item.sensed().unwrap_or_else(unknown)),
        ("baseline", item.baseline.clone().unwrap_or_else(unknown)),
        ("offset_subtracted_dn", offset_dn.to_string()),
        ("credit", "Contains modified Copernicus Sentinel data".to_owned()),
    ];
    tags.extend(facts.map(|(key, value)| (key.to_owned(), value)));
    tags
}

fn scenes(flags: &Fetch, choice: &Choice, offset_dn: f64, n_bytes: u64) -> anyhow::Result<Vec<Scene>> {
    let sha256 = contract::sha256_of(&flags.out)?;
    let row = |(place, item): (usize, &Item)| {
        let chosen = place == 0;
        let source: Vec<_> = flags
            .question
            .assets
            .iter()
            .filter_map(|wanted| Some(source_of(&item.asset(wanted)?.1.href)))
            .collect();
        Scene {
            granule: flags.granule.clone(),
            item: item.id.clone(),
            place: place as u32,
            chosen,
            sensed: item.sensed(),
            baseline: item.baseline.clone(),
            cloud_share: item.cloud_share,
            valid_share: item.valid_share,
            offset: chosen.then_some(offset_dn),
            source: source.join(" "),
            sha256: chosen.then(|| sha256.clone()),
            n_bytes: if chosen { n_bytes } else { 0 },
        }
    };
    Ok(choice.ranked.iter().enumerate().map(row).collect())
}

/// An asset's address as the catalogue writes it, without what may be secret.
fn source_of(href: &str) -> String {
    match Url::parse(href) {
        Ok(url) if url.scheme() != "file" => shown(&url),
        _ => href
            .split(['?', '#'])
            .next()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default()
            .to_owned(),
    }
}
