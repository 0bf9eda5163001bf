//! `stage1-cluster tiles`.

use crate::kmeans::Search;
use crate::sweep::{Sweep, choose};
use crate::{classes, sheets};
use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use contract::{Cluster, GranuleId, Label, Made, Metric, TileId, TileReader};
use ndarray::Array2;
use nn::{Architecture, DeviceChoice, Embedder, Rgb, Whitener};
use stage::{Ledger, Progress};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where the tiles come from and how they are grouped
#[derive(ClapArgs, Debug)]
pub struct ClusterArgs {
    /// Tiles of a granule, from granule-split-mpi; repeat for more granules
    #[arg(long, required = true, value_name = "FILE")]
    tiles: Vec<PathBuf>,
    /// Labels of a granule, from vlm-label classify; repeat for more granules
    #[arg(long, required = true, value_name = "FILE")]
    labels: Vec<PathBuf>,
    /// The backbone: efficientnet-lite0 or resnet18
    #[arg(long, default_value = "efficientnet-lite0", value_name = "NAME")]
    backbone: Architecture,
    /// The backbone's weights: .safetensors, .pth or .pt
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Side of the backbone's input in pixels, a multiple of 32
    #[arg(long, default_value_t = 224, value_name = "PX")]
    input_px: usize,
    /// Principal components that are kept, at most
    #[arg(long, default_value_t = 64, value_name = "N")]
    components: usize,
    /// Fewest clusters in a class
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=500))]
    k_min: u16,
    /// Most clusters in a class
    #[arg(long, default_value_t = 20, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=500))]
    k_max: u16,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Folder for one contact sheet a cluster, PNG
    #[arg(long, value_name = "FOLDER")]
    sheets: Option<PathBuf>,
    /// The silhouette of each K in each class, a metrics table
    #[arg(long, value_name = "FILE")]
    metrics_out: Option<PathBuf>,
    /// The clusters of all granules
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// A tile that takes part: its id, class and features.
struct Seen {
    granule: GranuleId,
    tile: TileId,
    class: String,
    features: Vec<f32>,
}

pub fn run(args: &ClusterArgs) -> anyhow::Result<Ledger> {
    ensure!(args.k_min <= args.k_max, "--k-min {} is above --k-max {}", args.k_min, args.k_max);
    let readers = open_all(&args.tiles)?;
    let class_of = read_classes(&args.labels)?;
    let mut ledger = Ledger::of("tiles", 0);
    let seen = embed(args, &readers, &class_of, &mut ledger)?;
    ensure!(
        !seen.is_empty(),
        "no tile has both pixels and a label; check --tiles and --labels are of the same granules"
    );
    let (rows, sweeps) = group(args, &seen)?;
    let made = made(args)?;
    if let Some(folder) = &args.sheets {
        sheets::write(folder, &readers, &rows).context("drawing the contact sheets")?;
    }
    if let Some(path) = &args.metrics_out {
        contract::write(path, &metrics(&sweeps), &made)?;
    }
    contract::write(&args.out, &rows, &made)?;
    Ok(ledger)
}

fn open_all(paths: &[PathBuf]) -> anyhow::Result<Vec<TileReader>> {
    let mut readers = paths.iter().map(|path| TileReader::open(path)).collect::<Result<Vec<_>, _>>()?;
    readers.sort_by(|a, b| a.granule().cmp(b.granule()));
    for pair in readers.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        ensure!(
            a.granule() != b.granule(),
            "{} and {} are both of granule {}; give each once",
            a.path().display(),
            b.path().display(),
            a.granule()
        );
    }
    Ok(readers)
}

fn read_classes(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<(GranuleId, TileId), String>> {
    let mut labels: Vec<Label> = Vec::new();
    for path in paths {
        labels.extend(contract::read::<Label>(path)?);
    }
    Ok(classes::likeliest(&labels))
}

fn embed(
    args: &ClusterArgs,
    readers: &[TileReader],
    class_of: &BTreeMap<(GranuleId, TileId), String>,
    ledger: &mut Ledger,
) -> anyhow::Result<Vec<Seen>> {
    let embedder = Embedder::load(args.backbone, &args.weights, args.input_px, args.device)?;
    let n_all = readers.iter().map(|r| r.meta().n_rows as usize * r.meta().n_cols as usize).sum();
    let mut progress = Progress::over("tiles", n_all);
    let mut seen = Vec::new();
    for reader in readers {
        let px = reader.meta().tile_px as usize;
        for row in 0..reader.meta().n_rows {
            let tiles = reader.row(row)?;
            ledger.n_in += tiles.len() as u64;
            progress.add(tiles.len());
            let (mut ids, mut pictures) = (Vec::new(), Vec::new());
            for tile in tiles {
                let class = class_of.get(&(reader.granule().clone(), tile.tile));
                match (tile.pixels, class) {
                    (None, _) => ledger.skip(tile.skipped.as_deref().unwrap_or("no pixels")),
                    (_, None) => ledger.skip("no label"),
                    (Some(pixels), Some(class)) => {
                        let picture = Rgb::from_bands(&pixels, px);
                        pictures.push(picture.with_context(|| reader.path().display().to_string())?);
                        ids.push((tile.tile, class.clone()));
                    }
                }
            }
            ledger.ok(ids.len());
            let features = embedder.embed(&pictures)?;
            let granule = reader.granule();
            seen.extend(ids.into_iter().zip(features).map(|((tile, class), features)| Seen {
                granule: granule.clone(),
                tile,
                class,
                features,
            }));
        }
    }
    Ok(seen)
}

/// Clusters inside each class, numbered over all classes, largest cluster of a class first.
fn group(args: &ClusterArgs, seen: &[Seen]) -> anyhow::Result<(Vec<Cluster>, BTreeMap<String, Sweep>)> {
    let features: Vec<Vec<f32>> = seen.iter().map(|s| s.features.clone()).collect();
    let whitener = Whitener::fit(&features, args.components)?;
    let names: BTreeSet<&str> = seen.iter().map(|s| s.class.as_str()).collect();
    let search = Search { n_starts: 8, max_steps: 200, seed: args.seed };
    let (mut rows, mut sweeps, mut n_before) = (Vec::new(), BTreeMap::new(), 0);
    for class in names {
        let members: Vec<&Seen> = seen.iter().filter(|s| s.class == class).collect();
        let white: Vec<f32> = members.iter().flat_map(|s| whitener.apply_unit(&s.features)).collect();
        let white = Array2::from_shape_vec((members.len(), whitener.n_components()), white)
            .expect("every row has one value a component");
        let sweep = choose(white.view(), usize::from(args.k_min)..=usize::from(args.k_max), search);
        let number = by_size(&sweep.grouping.of_row, sweep.k());
        for ((member, &group), &square) in
            members.iter().zip(&sweep.grouping.of_row).zip(&sweep.grouping.squares)
        {
            rows.push(Cluster {
                granule: member.granule.clone(),
                tile: member.tile,
                class: class.to_owned(),
                cluster: (n_before + number[group]) as u32,
                distance: f64::from(square).sqrt(),
            });
        }
        n_before += sweep.k();
        sweeps.insert(class.to_owned(), sweep);
    }
    rows.sort_by(|a, b| (&a.granule, a.tile).cmp(&(&b.granule, b.tile)));
    Ok((rows, sweeps))
}

/// The place of each group when the largest comes first.
fn by_size(of_row: &[usize], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..k).collect();
    let size = |group: usize| of_row.iter().filter(|&&g| g == group).count();
    order.sort_by_key(|&group| (std::cmp::Reverse(size(group)), group));
    let mut place = vec![0; k];
    order.into_iter().enumerate().for_each(|(i, group)| place[group] = i);
    place
}

fn metrics(sweeps: &BTreeMap<String, Sweep>) -> Vec<Metric> {
    let mut rows = Vec::new();
    for (class, sweep) in sweeps {
        let n = sweep.grouping.of_row.len() as u64;
        let row = |name: &str, of: String, value: f64, note: Option<String>| Metric {
            name: name.into(),
            of,
            value: Some(value),
            low: None,
            high: None,
            unit: "1".into(),
            n,
            note,
        };
        let why = sweep.silhouettes.is_empty().then(|| "too few tiles for more than one cluster".to_owned());
        rows.push(row("n_clusters", class.clone(), sweep.k() as f64, why));
        rows.extend(
            sweep.silhouettes.iter().map(|&(k, s)| row("silhouette", format!("{class} k={k}"), s, None)),
        );
    }
    rows
}

fn made(args: &ClusterArgs) -> anyhow::Result<Made> {
    let mut made = Made::by("stage1-cluster")
        .flag("backbone", args.backbone.to_string())
        .flag("input-px", args.input_px)
        .flag("components", args.components)
        .flag("k-min", args.k_min)
        .flag("k-max", args.k_max)
        .seed(args.seed);
    for path in args.tiles.iter().chain(&args.labels).chain([&args.weights]) {
        made = made.input(path)?;
    }
    Ok(made)
}
