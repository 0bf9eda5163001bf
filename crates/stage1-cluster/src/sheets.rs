//! A contact sheet a cluster, for a person to look at: the tiles nearest to its centre, then tiles out to its rim.

use contract::{Cluster, GranuleId, TileId, TileReader};
use figure::{ContactSheet, ImageRgb, SheetRow, Thumbnail, Words, contact_sheet};
use image::imageops::{FilterType, resize};
use nn::Rgb;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const N_NEAREST: usize = 12;
const N_SPREAD: usize = 12;
const THUMBNAIL_PX: u32 = 128;

type Ground = (GranuleId, TileId);

/// Writes `cluster-000.png` and so on.
pub fn write(folder: &Path, readers: &[TileReader], rows: &[Cluster]) -> anyhow::Result<()> {
    let mut clusters: BTreeMap<u32, Vec<&Cluster>> = BTreeMap::new();
    rows.iter().for_each(|row| clusters.entry(row.cluster).or_default().push(row));
    let picks: BTreeMap<u32, (Vec<&Cluster>, Vec<&Cluster>)> =
        clusters.iter().map(|(&cluster, members)| (cluster, pick(members))).collect();
    let wanted =
        picks.values().flat_map(|(a, b)| a.iter().chain(b)).map(|c| (c.granule.clone(), c.tile)).collect();
    let pictures = thumbnails(readers, &wanted)?;
    for (cluster, (nearest, spread)) in &picks {
        let members = &clusters[cluster];
        let row = |title: &str, tiles: &[&Cluster]| SheetRow {
            title: title.into(),
            note: String::new(),
            thumbnails: tiles.iter().filter_map(|c| thumbnail(c, &pictures)).collect(),
        };
        let mut sheet_rows = vec![row("Nearest to the centre", nearest)];
        if !spread.is_empty() {
            sheet_rows.push(row("From the centre to the rim, in even steps", spread));
        }
        let words = Words {
            title: format!("Cluster {cluster}: {}", members[0].class),
            subtitle: format!("{} tiles", members.len()),
            credit: String::new(),
        };
        let png = contact_sheet(&ContactSheet { words, columns: 6, rows: sheet_rows })?;
        contract::file::write(&folder.join(format!("cluster-{cluster:03}.png")), &png)?;
    }
    Ok(())
}

/// The nearest members, and members at even steps of distance among the rest.
fn pick<'a>(members: &[&'a Cluster]) -> (Vec<&'a Cluster>, Vec<&'a Cluster>) {
    let mut sorted = members.to_vec();
    sorted.sort_by(|a, b| {
        a.distance.total_cmp(&b.distance).then_with(|| (&a.granule, a.tile).cmp(&(&b.granule, b.tile)))
    });
    let rest = sorted.split_off(N_NEAREST.min(sorted.len()));
    let n = N_SPREAD.min(rest.len());
    let spread = (0..n).map(|i| rest[i * (rest.len() - 1) / (n - 1).max(1)]).collect();
    (sorted, spread)
}

fn thumbnail(cluster: &Cluster, pictures: &BTreeMap<Ground, ImageRgb>) -> Option<Thumbnail> {
    let image = pictures.get(&(cluster.granule.clone(), cluster.tile))?.clone();
    Some(Thumbnail { image, caption: format!("{} {}", cluster.granule, cluster.tile) })
}

fn thumbnails(
    readers: &[TileReader],
    wanted: &BTreeSet<Ground>,
) -> anyhow::Result<BTreeMap<Ground, ImageRgb>> {
    let mut pictures = BTreeMap::new();
    for reader in readers {
        let rows: BTreeSet<u32> =
            wanted.iter().filter(|(g, _)| g == reader.granule()).map(|(_, t)| t.row).collect();
        for row in rows {
            for tile in reader.row(row)? {
                let key = (reader.granule().clone(), tile.tile);
                let Some(pixels) = tile.pixels.filter(|_| wanted.contains(&key)) else { continue };
                pictures.insert(key, shrink(&Rgb::from_bands(&pixels, reader.meta().tile_px as usize)?)?);
            }
        }
    }
    Ok(pictures)
}

fn shrink(picture: &Rgb) -> anyhow::Result<ImageRgb> {
    let (height, width) = picture.dims();
    let full = image::RgbImage::from_raw(width as u32, height as u32, picture.interleaved().to_vec())
        .expect("a picture fills its size");
    let small = resize(&full, THUMBNAIL_PX, THUMBNAIL_PX, FilterType::Triangle);
    Ok(ImageRgb::new(THUMBNAIL_PX as usize, THUMBNAIL_PX as usize, small.into_raw())?)
}
