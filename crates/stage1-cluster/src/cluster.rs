//! `stage1-cluster tiles`.

use crate::audit::{Audited, audit};
use crate::kmeans::Search;
use crate::look::{Classes, Seen, embed, open_all};
use crate::radiometry::Normalise;
use crate::residual::{Shortcut, without};
use crate::rows::Rows;
use crate::sweep::{Choice, Sweep, choose, given};
use crate::{pictures, poor, report, sheets};
use anyhow::{Context, ensure};
use clap::Args as ClapArgs;
use contract::{Cluster, Made};
use ndarray::Array2;
use nn::{Architecture, DeviceChoice, Embedder, Whitener};
use stage::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// Where the tiles come from and how they are grouped
#[derive(ClapArgs, Debug)]
pub struct ClusterArgs {
    /// Tiles of a granule, from granule-split-mpi; repeat for more granules
    #[arg(long, required = true, value_name = "FILE")]
    tiles: Vec<PathBuf>,
    /// Labels of a granule, from vlm-label classify; repeat for more granules; without, all tiles are of one class
    #[arg(long, value_name = "FILE")]
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
    /// Principal components that are kept, at most: few, since whitening blows up those that hold chance, and clusters in many are not stable
    #[arg(long, default_value_t = 8, value_name = "N")]
    components: usize,
    /// Fewest clusters in a class
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=500))]
    k_min: u16,
    /// Most clusters in a class
    #[arg(long, default_value_t = 20, value_name = "K", value_parser = clap::value_parser!(u16).range(2..=500))]
    k_max: u16,
    /// The number of clusters of a class instead, such as urban=3; repeat for more classes
    #[arg(long, value_name = "CLASS=K", value_parser = class_and_k)]
    k: Vec<(String, usize)>,
    /// Bootstrap resamples that each K is tried on; 0 tries none and asks for no stability
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u16).range(0..=1000))]
    resamples: u16,
    /// Mean adjusted Rand index of the resamples from which a K counts as stable; a class without one stays whole
    #[arg(long, default_value_t = 0.5, value_name = "X", value_parser = stage::share)]
    min_stability: f64,
    /// What is brought to one level of brightness, contrast and colour before embedding
    #[arg(long, value_enum, default_value = "none")]
    normalise: Normalise,
    /// Shortcuts whose linear part is taken off the features
    #[arg(long, value_enum, value_name = "SHORTCUT", value_delimiter = ',')]
    without: Vec<Shortcut>,
    /// Seed of all draws
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to compute: cpu
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Folder for pictures, PNG: a contact sheet a cluster, the choice of K, the clusters by feature and by place
    #[arg(long, value_name = "FOLDER")]
    sheets: Option<PathBuf>,
    /// Silhouette and stability of each K in each class, and the audit of shortcuts, a metrics table
    #[arg(long, value_name = "FILE")]
    metrics_out: Option<PathBuf>,
    /// The clusters of all granules
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub fn run(args: &ClusterArgs) -> anyhow::Result<Ledger> {
    ensure!(args.k_min <= args.k_max, "--k-min {} is above --k-max {}", args.k_min, args.k_max);
    for (i, (class, k)) in args.k.iter().enumerate() {
        let before = args.k[..i].iter().find(|(other, _)| other == class);
        ensure!(before.is_none(), "--k {class}={k}: want one number a class, got a second; leave one out");
    }
    let readers = open_all(&args.tiles)?;
    let classes = Classes::read(&args.labels)?;
    let mut ledger = Ledger::of("tiles", 0);
    let embedder = Embedder::load(args.backbone, &args.weights, args.input_px, args.device)?
        .normalising(args.normalise.of_network());
    let (seen, mut features) = embed(&readers, &classes, args.normalise, &embedder, &mut ledger)?;
    let facts: Vec<_> = seen.iter().map(|s| s.facts.clone()).collect();
    without(&mut features, &facts, &args.without);
    let grouped = group(args, &seen, &features)?;
    poor::warn(&grouped.sweeps, !args.labels.is_empty());
    poor::refuse_one_cluster(&grouped.sweeps, args.min_stability)?;
    let made = made(args)?;
    if let Some(folder) = &args.sheets {
        sheets::write(folder, &readers, &grouped.rows).context("drawing the contact sheets")?;
        pictures::write(folder, &grouped.view(&seen, &readers)).context("drawing the clusters")?;
    }
    let audit = audit(&audited(&seen, &grouped.rows), args.seed);
    report::log(&grouped.sweeps, &audit);
    if let Some(path) = &args.metrics_out {
        let rows = report::table(&grouped.sweeps, args.min_stability, audit);
        contract::write(path, &rows, &made)?;
    }
    contract::write(&args.out, &grouped.rows, &made)?;
    Ok(ledger)
}

fn class_and_k(text: &str) -> Result<(String, usize), String> {
    let (class, k) = text.split_once('=').ok_or("want CLASS=K, such as urban=3")?;
    match k.parse() {
        Ok(k) if k > 0 => Ok((class.to_owned(), k)),
        _ => Err(format!("want a number from 1 after {class}=, got {k}")),
    }
}

/// The clusters, in the order of the tiles that were seen.
struct Grouped {
    rows: Vec<Cluster>,
    sweeps: BTreeMap<String, Sweep>,
    /// The first two whitened components of each tile.
    plane: Vec<[f64; 2]>,
}

impl Grouped {
    fn view<'a>(&'a self, seen: &'a [Seen], readers: &'a [contract::TileReader]) -> pictures::View<'a> {
        pictures::View { seen, rows: &self.rows, sweeps: &self.sweeps, plane: &self.plane, readers }
    }
}

/// Clusters inside each class, numbered over all classes, largest cluster of a class first.
fn group(args: &ClusterArgs, seen: &[Seen], features: &[Vec<f32>]) -> anyhow::Result<Grouped> {
    let whitener = Whitener::fit(features, args.components)?;
    let names: BTreeSet<&str> = seen.iter().map(|s| s.class.as_str()).collect();
    for (class, _) in &args.k {
        let known = names.iter().copied().collect::<Vec<_>>().join(", ");
        ensure!(
            names.contains(class.as_str()),
            "--k {class}=…: no tile is of this class; there are: {known}"
        );
    }
    let choice = Choice {
        ks: usize::from(args.k_min)..=usize::from(args.k_max),
        search: Search { n_starts: 8, max_steps: 200, seed: args.seed },
        n_resamples: usize::from(args.resamples),
        min_stability: args.min_stability,
    };
    let (mut found, mut sweeps, mut n_before) = (Vec::new(), BTreeMap::new(), 0);
    for class in names {
        let members: Vec<usize> = (0..seen.len()).filter(|&i| seen[i].class == class).collect();
        let white: Vec<f32> = members.iter().flat_map(|&i| whitener.apply_unit(&features[i])).collect();
        let white = Array2::from_shape_vec((members.len(), whitener.n_components()), white)
            .expect("every row has one value a component");
        let rows = Rows::of(white.view());
        let fixed = args.k.iter().find(|(name, _)| name == class);
        let sweep = fixed.map_or_else(|| choose(&rows, &choice), |&(_, k)| given(&rows, k, &choice));
        let number = by_size(&sweep.grouping.of_row, sweep.k());
        for ((&i, &group), &square) in members.iter().zip(&sweep.grouping.of_row).zip(&sweep.grouping.squares)
        {
            found.push((i, (n_before + number[group]) as u32, f64::from(square).sqrt()));
        }
        n_before += sweep.k();
        sweeps.insert(class.to_owned(), sweep);
    }
    found.sort_by_key(|&(i, _, _)| i);
    let row = |(i, cluster, distance): (usize, u32, f64)| Cluster {
        granule: seen[i].granule.clone(),
        tile: seen[i].tile,
        class: seen[i].class.clone(),
        cluster,
        distance,
    };
    let plane = features.iter().map(|f| whitener.apply(f));
    let plane = plane.map(|x| [0, 1].map(|c| x.get(c).copied().map_or(0.0, f64::from))).collect();
    Ok(Grouped { rows: found.into_iter().map(row).collect(), sweeps, plane })
}

fn audited(seen: &[Seen], rows: &[Cluster]) -> Vec<Audited> {
    let one = |(seen, row): (&Seen, &Cluster)| Audited {
        facts: seen.facts.clone(),
        class: seen.class.clone(),
        cluster: row.cluster as usize,
    };
    seen.iter().zip(rows).map(one).collect()
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

fn made(args: &ClusterArgs) -> anyhow::Result<Made> {
    let mut made = Made::by("stage1-cluster")
        .flag("backbone", args.backbone.to_string())
        .flag("input-px", args.input_px)
        .flag("components", args.components)
        .flag("k-min", args.k_min)
        .flag("k-max", args.k_max)
        .flag("k", args.k.iter().map(|(class, k)| format!("{class}={k}")).collect::<Vec<_>>().join(","))
        .flag("resamples", args.resamples)
        .flag("min-stability", args.min_stability)
        .flag("normalise", format!("{:?}", args.normalise).to_lowercase())
        .flag("without", format!("{:?}", args.without).to_lowercase())
        .seed(args.seed);
    for path in args.tiles.iter().chain(&args.labels).chain([&args.weights]) {
        made = made.input(path)?;
    }
    Ok(made)
}
