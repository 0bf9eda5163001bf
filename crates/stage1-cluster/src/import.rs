//! `stage1-cluster import`: pictures that a person put into folders, one folder a cluster, as tables.

use anyhow::{Context, bail, ensure};
use clap::Args as ClapArgs;
use contract::{Cluster, Made, Tile, TileId, TileWriter, TilesMeta};
use nn::{LabelledPictures, Rgb};
use stage::Ledger;
use std::collections::BTreeMap;
use std::fs;
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

pub fn run(args: &ImportArgs) -> anyhow::Result<Ledger> {
    let mut clusters = folders(&args.images)?;
    if let Some(csv) = &args.labelled {
        add_labelled(args, csv, &mut clusters)?;
    }
    let px = side(&clusters)?;
    let pictures: Vec<(u32, &PathBuf)> =
        clusters.iter().flat_map(|(&cluster, files)| files.iter().map(move |file| (cluster, file))).collect();
    let meta = TilesMeta {
        granule: args.granule.to_string(),
        crs: String::new(),
        tile_px: px as u32,
        pixel_m: 1.0,
        n_rows: pictures.len().div_ceil(PICTURES_A_ROW) as u32,
        n_cols: PICTURES_A_ROW as u32,
        bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
    };
    let mut made = Made::by("stage1-cluster").flag("images", file_names(&clusters));
    if let Some(csv) = &args.labelled {
        made = made.flag("labelled-min-share", args.labelled_min_share).input(csv)?;
    }
    let mut writer = TileWriter::begin(&args.tiles_out, &meta, &made)?;
    let mut rows = Vec::new();
    for (row, part) in pictures.chunks(PICTURES_A_ROW).enumerate() {
        let mut tiles = Vec::new();
        for col in 0..PICTURES_A_ROW {
            let tile = TileId { row: row as u32, col: col as u32 };
            let pixels = part.get(col).map(|(_, file)| bands(file, px)).transpose()?;
            tiles.push(placeless(tile, pixels));
            let Some(&(cluster, _)) = part.get(col) else { continue };
            let (granule, class) = (args.granule.clone(), String::new());
            rows.push(Cluster { granule, tile, class, cluster, distance: 0.0 });
        }
        writer.push_row(&tiles)?;
    }
    writer.finish()?;
    contract::write(&args.out, &rows, &made)?;
    let mut ledger = Ledger::of("pictures", pictures.len());
    ledger.ok(pictures.len());
    Ok(ledger)
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

fn add_labelled(
    args: &ImportArgs,
    csv: &Path,
    clusters: &mut BTreeMap<u32, Vec<PathBuf>>,
) -> anyhow::Result<()> {
    let (Some(folder), Some(class), Some(cluster)) =
        (&args.labelled_images, &args.labelled_class, args.labelled_cluster)
    else {
        bail!("--labelled needs --labelled-images, --labelled-class and --labelled-cluster");
    };
    ensure!(
        !clusters.contains_key(&cluster),
        "--labelled-cluster {cluster} is also a folder of {}",
        args.images.display()
    );
    let table = LabelledPictures::read(csv, folder)?;
    let at = table.class(class)?;
    let chosen = table.rows.into_iter().filter(|row| f64::from(row.shares[at]) >= args.labelled_min_share);
    let pictures: Vec<PathBuf> = chosen.map(|row| row.path).collect();
    ensure!(
        !pictures.is_empty(),
        "{}: no picture has a share of {class} of {} or more",
        csv.display(),
        args.labelled_min_share
    );
    clusters.insert(cluster, pictures);
    Ok(())
}

fn side(clusters: &BTreeMap<u32, Vec<PathBuf>>) -> anyhow::Result<usize> {
    let first = clusters.values().flatten().next().context("no pictures")?;
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

fn file_names(clusters: &BTreeMap<u32, Vec<PathBuf>>) -> BTreeMap<u32, usize> {
    clusters.iter().map(|(&cluster, files)| (cluster, files.len())).collect()
}
