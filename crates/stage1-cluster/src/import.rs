//! `stage1-cluster import`: pictures that a person put into folders, one folder a cluster, as tables.

use anyhow::{Context, bail, ensure};
use clap::Args as ClapArgs;
use contract::{Cluster, Label, Made, Tile, TileId, TileWriter, TilesMeta};
use nn::{LabelledPictures, Rgb};
use stage::Ledger;
use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Pictures side by side in the tiles table; the place says nothing about the ground.
const PICTURES_A_ROW: usize = 32;

/// Folders of pictures, one a cluster
#[derive(ClapArgs, Debug)]
pub struct ImportArgs {
    /// Folder with one folder of pictures a cluster, named by its number
    #[arg(long, value_name = "FOLDER")]
    images: PathBuf,
    /// One cluster more from labelled pictures: CSV with `image_id` and one share a class
    #[arg(long, value_name = "FILE", requires_all = ["labelled_images", "labelled_class", "labelled_cluster"])]
    labelled: Option<PathBuf>,
    /// Folder of the labelled pictures, named `<image_id>.jpg` or `.png`
    #[arg(long, value_name = "FOLDER")]
    labelled_images: Option<PathBuf>,
    /// Class whose pictures make the cluster
    #[arg(long, value_name = "NAME")]
    labelled_class: Option<String>,
    /// Share of the class from which a picture counts
    #[arg(long, default_value_t = 0.75, value_name = "SHARE", value_parser = stage::share)]
    labelled_min_share: f64,
    /// Number of the cluster that they make
    #[arg(long, value_name = "K")]
    labelled_cluster: Option<u32>,
    /// The class of some clusters, as urban=0-10; repeat for more
    #[arg(long = "class", value_name = "NAME=K[-K]", value_parser = clusters_of_class)]
    classes: Vec<(String, RangeInclusive<u32>)>,
    /// The shares of all labelled pictures, a labels table; those that make no cluster join the tiles too
    #[arg(long, value_name = "FILE", requires = "labelled")]
    labels_out: Option<PathBuf>,
    /// Name that stands for the granule in the tables
    #[arg(long, default_value = "imported", value_name = "ID")]
    granule: contract::GranuleId,
    /// The pictures as a tiles table, cluster by cluster
    #[arg(long, value_name = "FILE")]
    tiles_out: PathBuf,
    /// The clusters
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A picture that is to become a tile.
struct Picture {
    file: PathBuf,
    cluster: Option<u32>,
    /// The shares of the table's classes, if it is labelled.
    shares: Option<Vec<f32>>,
}

pub fn run(args: &ImportArgs) -> anyhow::Result<Ledger> {
    let folders = folders(&args.images)?;
    let table = args.labelled.as_ref().zip(args.labelled_images.as_ref());
    let table = table.map(|(csv, folder)| LabelledPictures::read(csv, folder)).transpose()?;
    let pictures = pictures(args, folders, table.as_ref())?;
    let px = side(&pictures)?;
    let meta = TilesMeta {
        granule: args.granule.to_string(),
        crs: String::new(),
        tile_px: px as u32,
        pixel_m: 1.0,
        n_rows: pictures.len().div_ceil(PICTURES_A_ROW) as u32,
        n_cols: PICTURES_A_ROW as u32,
        bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
    };
    let made = made(args, &pictures)?;
    let mut writer = TileWriter::begin(&args.tiles_out, &meta, &made)?;
    for (row, part) in pictures.chunks(PICTURES_A_ROW).enumerate() {
        let tile = |col| -> anyhow::Result<Tile> {
            let pixels = part.get(col).map(|picture: &Picture| bands(&picture.file, px)).transpose()?;
            Ok(placeless(TileId { row: row as u32, col: col as u32 }, pixels))
        };
        writer.push_row(&(0..PICTURES_A_ROW).map(tile).collect::<anyhow::Result<Vec<_>>>()?)?;
    }
    writer.finish()?;
    contract::write(&args.out, &clusters(args, &pictures), &made)?;
    if let (Some(path), Some(table)) = (&args.labels_out, &table) {
        contract::write(path, &labels(args, &pictures, &table.classes)?, &made)?;
    }
    let mut ledger = Ledger::of("pictures", pictures.len());
    ledger.ok(pictures.len());
    Ok(ledger)
}

fn made(args: &ImportArgs, pictures: &[Picture]) -> anyhow::Result<Made> {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    pictures.iter().filter_map(|p| p.cluster).for_each(|k| *counts.entry(k).or_default() += 1);
    let classes: BTreeMap<u32, &str> = counts.keys().map(|&k| (k, class_of(args, k))).collect();
    let made = Made::by("stage1-cluster").flag("images", counts).flag("classes", classes);
    let Some(csv) = &args.labelled else { return Ok(made) };
    Ok(made
        .flag("labelled-min-share", args.labelled_min_share)
        .flag("labels", args.labels_out.is_some())
        .input(csv)?)
}

/// The pictures of folders, then those of the labelled cluster, then the other labelled ones if they are asked for.
fn pictures(
    args: &ImportArgs,
    folders: BTreeMap<u32, Vec<PathBuf>>,
    table: Option<&LabelledPictures>,
) -> anyhow::Result<Vec<Picture>> {
    let mut own: BTreeMap<u32, Vec<Picture>> = BTreeMap::new();
    for (cluster, files) in folders {
        let picture = |file| Picture { file, cluster: Some(cluster), shares: None };
        own.insert(cluster, files.into_iter().map(picture).collect());
    }
    let mut others = Vec::new();
    if let Some(table) = table {
        let (number, pictures, rest) = labelled(args, table)?;
        ensure!(
            own.insert(number, pictures).is_none(),
            "--labelled-cluster {number} is also a folder of {}",
            args.images.display()
        );
        others = rest;
    }
    let clusters = own.into_values().flatten();
    Ok(clusters.chain(others.into_iter().filter(|_| args.labels_out.is_some())).collect())
}

/// The labelled pictures: the number of the cluster that some of them make, these, and the others.
fn labelled(
    args: &ImportArgs,
    table: &LabelledPictures,
) -> anyhow::Result<(u32, Vec<Picture>, Vec<Picture>)> {
    let (Some(class), Some(cluster)) = (&args.labelled_class, args.labelled_cluster) else {
        bail!("--labelled needs --labelled-images, --labelled-class and --labelled-cluster");
    };
    let at = table.class(class)?;
    let (inside, outside): (Vec<_>, Vec<_>) =
        table.rows.iter().partition(|row| f64::from(row.shares[at]) >= args.labelled_min_share);
    ensure!(
        !inside.is_empty(),
        "no labelled picture has a share of {class} of {} or more",
        args.labelled_min_share
    );
    let pictures = |rows: Vec<&nn::Labelled>, cluster| {
        let picture = |row: &nn::Labelled| Picture {
            file: row.path.clone(),
            cluster,
            shares: Some(row.shares.clone()),
        };
        rows.into_iter().map(picture).collect()
    };
    Ok((cluster, pictures(inside, Some(cluster)), pictures(outside, None)))
}

fn place(i: usize) -> TileId {
    TileId { row: (i / PICTURES_A_ROW) as u32, col: (i % PICTURES_A_ROW) as u32 }
}

fn clusters(args: &ImportArgs, pictures: &[Picture]) -> Vec<Cluster> {
    let row = |(i, picture): (usize, &Picture)| {
        let cluster = picture.cluster?;
        let (granule, class) = (args.granule.clone(), class_of(args, cluster).to_owned());
        Some(Cluster { granule, tile: place(i), class, cluster, distance: 0.0 })
    };
    pictures.iter().enumerate().filter_map(row).collect()
}

/// The class of a cluster; none is said of those that no flag names.
fn class_of(args: &ImportArgs, cluster: u32) -> &str {
    let named = args.classes.iter().find(|(_, range)| range.contains(&cluster)).map(|(class, _)| class);
    let labelled = args.labelled_class.as_ref().filter(|_| args.labelled_cluster == Some(cluster));
    named.or(labelled).map_or("", String::as_str)
}

fn labels(args: &ImportArgs, pictures: &[Picture], classes: &[String]) -> anyhow::Result<Vec<Label>> {
    let csv = args.labelled.as_ref().context("--labels-out needs --labelled")?;
    let (judge, prompt_hash) = ("annotators".to_owned(), contract::sha256_of(csv)?);
    let mut rows = Vec::new();
    for (i, picture) in pictures.iter().enumerate() {
        let Some(shares) = &picture.shares else { continue };
        rows.extend(classes.iter().zip(shares).map(|(class, &share)| Label {
            granule: args.granule.clone(),
            tile: place(i),
            class: class.clone(),
            probability: Some(f64::from(share)),
            sd: None,
            n_answers: 1,
            n_missing: 0,
            judge: judge.clone(),
            prompt_hash: prompt_hash.clone(),
            missing: None,
        }));
    }
    Ok(rows)
}

/// `NAME=K` or `NAME=K-K`.
fn clusters_of_class(text: &str) -> Result<(String, RangeInclusive<u32>), String> {
    let want = || format!("want a class and its clusters, as urban=0-10, got `{text}`");
    let (name, range) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(want)?;
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last): (u32, u32) = first.parse().ok().zip(last.parse().ok()).ok_or_else(want)?;
    if first > last {
        return Err(want());
    }
    Ok((name.to_owned(), first..=last))
}

fn folders(root: &Path) -> anyhow::Result<BTreeMap<u32, Vec<PathBuf>>> {
    let mut clusters = BTreeMap::new();
    for folder in sorted(root)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(cluster) = name.parse::<u32>() else {
            bail!(
                "{}: want one folder a cluster, named by its number, got `{name}`; move it away",
                root.display()
            );
        };
        let pictures: Vec<PathBuf> = sorted(&folder)?.into_iter().filter(|f| is_picture(f)).collect();
        ensure!(!pictures.is_empty(), "{}: want JPEG or PNG pictures, got none", folder.display());
        clusters.insert(cluster, pictures);
    }
    ensure!(!clusters.is_empty(), "{}: want one folder a cluster, got an empty folder", root.display());
    Ok(clusters)
}

fn sorted(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let list = fs::read_dir(folder).map_err(contract::Error::io(folder, "read"))?;
    let mut paths = list
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<_>>>()
        .with_context(|| folder.display().to_string())?;
    paths.sort();
    Ok(paths)
}

fn is_picture(path: &Path) -> bool {
    path.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ["jpg", "jpeg", "png"].contains(&e.to_lowercase().as_str()))
}

fn side(pictures: &[Picture]) -> anyhow::Result<usize> {
    let first = &pictures.first().context("no pictures")?.file;
    let (height, width) = Rgb::open(first)?.dims();
    ensure!(height == width, "{}: want square pictures, got {height} x {width} px", first.display());
    Ok(height)
}

fn bands(file: &Path, px: usize) -> anyhow::Result<Vec<u8>> {
    let picture = Rgb::open(file)?;
    ensure!(
        picture.dims() == (px, px),
        "{}: want {px} x {px} px as the first picture, got {:?}",
        file.display(),
        picture.dims()
    );
    Ok(picture.bands())
}

/// A tile without a place on the ground: pictures in folders do not say where they were taken.
fn placeless(tile: TileId, pixels: Option<Vec<u8>>) -> Tile {
    let skipped = pixels.is_none().then(|| "no picture".to_owned());
    let valid_share = if pixels.is_some() { 1.0 } else { 0.0 };
    Tile {
        tile,
        west_m: 0.0,
        south_m: 0.0,
        east_m: 0.0,
        north_m: 0.0,
        lon_deg: 0.0,
        lat_deg: 0.0,
        valid_share,
        cloud_share: None,
        skipped,
        pixels,
    }
}
