//! Heads: what they learn from, a training on any part of it, and the trainings that give the figures.

use crate::cache::Cache;
use crate::course::Course;
use crate::data::Samples;
use crate::draw::{Pool, generator};
use crate::evaluate::{Agreement, agreement, midranks, pearson};
use crate::flags::TrainArgs;
use crate::head::{self, Head, Learnt, Lesson, Plan, Stitch};
use crate::loose;
use crate::recipe::{Recipe, TOLERANCE};
use crate::ridge::ridge;
use crate::scale::Scale;
use crate::sight::{Eye, Sight, colours};
use burn::tensor::Device;
use contract::Made;
use nn::{Rgb, Whitener};
use rand::RngExt;
use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::Serialize;
use stage::Progress;
use std::collections::{BTreeMap, BTreeSet};

/// Stitched pictures that are made once, for all heads to draw from.
const N_STITCHES: usize = 256;
/// The name of the training that leaves blocks out.
pub const KEPT: &str = "kept";

/// What heads learn from.
pub struct Material {
    /// Raw features of all samples. `[look][sample][feature]`
    pub features: Vec<Vec<Vec<f32>>>,
    /// Stitched pictures, raw features too. `[look][stitch]`
    pub stitches: Vec<Vec<Stitch>>,
    /// What was seen of the pictures.
    pub sight: Sight,
}

impl Material {
    /// Looks at all pictures once.
    ///
    /// # Errors
    /// If weights or pictures cannot be read.
    pub fn gather(args: &TrainArgs, samples: &Samples, made: &Made) -> anyhow::Result<Self> {
        let (granules, reference) = colours(samples, args.normalise)?;
        let sight = args.sight(reference);
        let eye = Eye::load(sight.clone(), args.backbone, &args.weights, args.device)?;
        let n_looks = eye.n_looks();
        let cache =
            args.features_cache.as_ref().map(|folder| Cache::at(folder, &description(args, &sight, made)));
        let features = match cache.as_ref().and_then(|c| c.read(n_looks, samples.n_pictures())) {
            Some(features) => features,
            None => look_at_all(samples, &eye, &granules)?,
        };
        if let Some(cache) = cache {
            cache.write(&features)?;
        }
        let mut material = Self { features, stitches: vec![Vec::new(); n_looks], sight };
        if args.stitch_weight != 0.0 && args.recipe != Recipe::Ridge {
            material.stitches = stitches(args, samples, &eye, &granules)?;
        }
        Ok(material)
    }
}

/// All that shapes the features.
fn description(args: &TrainArgs, sight: &Sight, made: &Made) -> String {
    let inputs = made.pairs("features").into_iter().find(|(key, _)| key == "inputs");
    format!("{} {} {sight:?} {inputs:?}", env!("CARGO_PKG_VERSION"), args.backbone)
}

/// `[look][sample][feature]`
fn look_at_all(samples: &Samples, eye: &Eye, granules: &[nn::Tones]) -> anyhow::Result<Vec<Vec<Vec<f32>>>> {
    let mut features = vec![vec![Vec::new(); samples.n_pictures()]; eye.n_looks()];
    let mut progress = Progress::over("pictures", samples.n_pictures());
    samples.each(&(0..samples.n_pictures()).collect::<Vec<_>>(), |pictures| {
        let Some(&(first, _)) = pictures.first() else { return Ok(()) };
        let (places, pictures): (Vec<usize>, Vec<Rgb>) = pictures.into_iter().unzip();
        progress.add(pictures.len());
        let seen = eye.look(&pictures, &granules[samples.tile(first).0])?;
        for (i, of_looks) in places.into_iter().zip(seen) {
            of_looks.into_iter().enumerate().for_each(|(look, row)| features[look][i] = row);
        }
        Ok(())
    })?;
    Ok(features)
}

fn stitches(
    args: &TrainArgs,
    samples: &Samples,
    eye: &Eye,
    granules: &[nn::Tones],
) -> anyhow::Result<Vec<Vec<Stitch>>> {
    let everything: Vec<usize> = (0..samples.all.len()).collect();
    let Some(pool) = pool(args.recipe, samples, &everything) else {
        return Ok(vec![Vec::new(); eye.n_looks()]);
    };
    let mut rng = generator(args.seed, 0, head::BEFORE_ANY_STEP - 2);
    let pairs: Vec<_> = (0..N_STITCHES).map(|_| pool.pair(&mut rng)).collect();
    let parents: BTreeSet<usize> = pairs.iter().flat_map(|p| [p.0, p.1]).collect();
    let mut pictures: BTreeMap<usize, Rgb> = BTreeMap::new();
    samples.each(&parents.into_iter().collect::<Vec<_>>(), |some| {
        pictures.extend(some);
        Ok(())
    })?;
    let same_size = |&(a, b, _): &(usize, usize, f64)| pictures[&a].dims() == pictures[&b].dims();
    let pairs: Vec<_> = pairs.into_iter().filter(same_size).collect();
    let in_look = |at| {
        let light = eye.light(at);
        let prepare =
            |i: &usize| eye.sight().prepare(&pictures[i], &granules[samples.all[*i].granule], light);
        let stitch = |(a, b, share): &(usize, usize, f64)| prepare(a).stitched(&prepare(b), *share);
        let stitched: Vec<Rgb> = pairs.par_iter().map(stitch).collect();
        let of = |(&(upper, lower, share), features)| Stitch { features, upper, lower, share };
        Ok(pairs.iter().zip(eye.see(&stitched, at)?).map(of).collect())
    };
    (0..eye.n_looks()).map(in_look).collect()
}

/// Samples that a recipe draws from, by level and cluster.
pub fn pool(recipe: Recipe, samples: &Samples, chosen: &[usize]) -> Option<Pool> {
    let chain = (recipe == Recipe::DevMeasure).then(|| samples.main_chain());
    let learnt =
        chosen.iter().filter(|&&i| chain.as_ref().is_none_or(|c| c.contains(&samples.all[i].cluster)));
    Pool::of(learnt.map(|&i| (i, samples.all[i].level, samples.all[i].cluster)))
}

/// A trained ensemble on raw features, each member with its scale. Member m has look m modulo their number.
pub struct Fitted {
    /// Heads for raw features.
    pub heads: Vec<Head>,
    /// The scale of each.
    pub scales: Vec<Scale>,
    /// The principal components that were found, of each look.
    pub whiteners: Vec<Whitener>,
    /// How the loss of each member went.
    pub courses: Vec<Course>,
}

impl Fitted {
    /// The mean score of each of some samples.
    pub fn means(&self, material: &Material, chosen: &[usize]) -> Vec<f64> {
        let (device, n_looks) = (Device::flex(), self.whiteners.len());
        let mean = |&i: &usize| {
            let of =
                |m: usize| self.scales[m].of(self.heads[m].raw(&material.features[m % n_looks][i], &device));
            (0..self.heads.len()).map(of).sum::<f64>() / self.heads.len() as f64
        };
        chosen.par_iter().map(mean).collect()
    }
}

/// Trains an ensemble on some samples; nothing if they are of fewer than two levels.
///
/// # Errors
/// If the features do not vary, or a checkpoint cannot be written.
pub fn fit(
    (args, samples, material): (&TrainArgs, &Samples, &Material),
    chosen: &[usize],
    (name, made): (&str, &Made),
    done: &(dyn Fn(usize) + Sync),
) -> anyhow::Result<Option<Fitted>> {
    let Some(pool) = pool(args.recipe, samples, chosen) else { return Ok(None) };
    let loose = loose::rows(samples, chosen, name == KEPT);
    let views = material.features.iter().zip(&material.stitches);
    let weights = row_weights(args, &pool, &loose);
    let view = |(raw, stitches): (&Vec<Vec<f32>>, &Vec<Stitch>)| match args.recipe {
        Recipe::Ridge => View::weighted(raw, &weights, args.components),
        _ => View::of(raw, stitches, chosen, args.components),
    };
    let views: Vec<View> = views.map(view).collect::<anyhow::Result<_>>()?;
    let (device, n_looks) = (Device::flex(), views.len());
    let levels: Vec<usize> = chosen.iter().map(|&i| samples.all[i].level).collect();
    let member = |m: usize| {
        let view = &views[m % n_looks];
        let mut rng = generator(args.seed, m as u64, head::BEFORE_ANY_STEP - 1);
        let pool = pool.bootstrap(&mut rng);
        let learnt = if args.recipe == Recipe::Ridge {
            done(args.steps as usize);
            let loose: Vec<_> = (0..loose.len()).map(|_| loose[rng.random_range(0..loose.len())]).collect();
            Learnt { model: ridge_head(args, samples, view, (&pool, &loose)), history: Vec::new() }
        } else {
            let lesson = Lesson { features: &view.white, stitches: &view.stitches, pool };
            head::train(&lesson, &plan(args, made, name, m as u64), done)?
        };
        let course = Course { run: name.to_owned(), member: m, losses: learnt.history };
        let head = learnt.model.unwhitened(&view.whitener, &device);
        let raw = |&i: &usize| head.raw(&material.features[m % n_looks][i], &device);
        let scale = match args.recipe {
            Recipe::DevMeasure => Scale::Logistic,
            _ => Scale::fit(&chosen.iter().map(raw).collect::<Vec<_>>(), &levels, samples.n_levels),
        };
        Ok((head, scale, course))
    };
    let members: Vec<_> =
        (0..usize::from(args.members)).into_par_iter().map(member).collect::<anyhow::Result<_>>()?;
    let whiteners = views.into_iter().map(|v| v.whitener).collect();
    let mut fitted = Fitted { heads: Vec::new(), scales: Vec::new(), whiteners, courses: Vec::new() };
    for (head, scale, course) in members {
        fitted.heads.push(head);
        fitted.scales.push(scale);
        fitted.courses.push(course);
    }
    Ok(Some(fitted))
}

/// What members of one light learn from: features whitened by some samples, empty for the others.
struct View {
    whitener: Whitener,
    /// How wide each component was, as a share of the widest; where they do not matter, all are 1.
    widths: Vec<f64>,
    white: Vec<Vec<f32>>,
    stitches: Vec<Stitch>,
}

impl View {
    fn of(
        raw: &[Vec<f32>],
        stitches: &[Stitch],
        chosen: &[usize],
        n_components: usize,
    ) -> anyhow::Result<Self> {
        let rows: Vec<Vec<f32>> = chosen.iter().map(|&i| raw[i].clone()).collect();
        let whitener = Whitener::fit(&rows, n_components)?;
        let mut white = vec![Vec::new(); raw.len()];
        chosen.iter().for_each(|&i| white[i] = whitener.apply(&raw[i]));
        let known = |s: &&Stitch| !white[s.upper].is_empty() && !white[s.lower].is_empty();
        let whitened = |s: &Stitch| Stitch { features: whitener.apply(&s.features), ..s.clone() };
        let stitches = stitches.iter().filter(known).map(whitened).collect();
        Ok(Self { widths: vec![1.0; whitener.n_components()], whitener, white, stitches })
    }

    /// Whitened as pictures weigh.
    fn weighted(
        raw: &[Vec<f32>],
        weights: &BTreeMap<usize, f64>,
        n_components: usize,
    ) -> anyhow::Result<Self> {
        let rows: Vec<Vec<f32>> = weights.keys().map(|&i| raw[i].clone()).collect();
        let each: Vec<f64> = weights.values().copied().collect();
        let (whitener, widths) = Whitener::fit_weighted(&rows, &each, n_components)?;
        let mut white = vec![Vec::new(); raw.len()];
        weights.keys().for_each(|&i| white[i] = whitener.apply(&raw[i]));
        Ok(Self { whitener, widths, white, stitches: Vec::new() })
    }
}

/// What each picture weighs in a ridge. One of a cluster weighs 1/√(size of its cluster), so that a large cluster counts for more than a
/// small one, but not by its size. Pictures in no cluster weigh alike, and all together `--labels-weight` times as much as the clusters.
fn row_weights(args: &TrainArgs, pool: &Pool, loose: &[(usize, f64)]) -> BTreeMap<usize, f64> {
    let mut weights = BTreeMap::new();
    for cluster in pool.clusters() {
        cluster.iter().for_each(|&i| *weights.entry(i).or_default() += 1.0 / (cluster.len() as f64).sqrt());
    }
    let each = args.labels_weight * weights.values().sum::<f64>() / loose.len().max(1) as f64;
    loose.iter().for_each(|&(i, _)| *weights.entry(i).or_default() += each);
    weights
}

/// The places of clusters, and of pictures in no cluster, on components of which the narrow ones are pulled harder: by the widest's width
/// over their own, half way between a ridge on plain features and one on whitened ones.
fn ridge_head(
    args: &TrainArgs,
    samples: &Samples,
    view: &View,
    (pool, loose): (&Pool, &[(usize, f64)]),
) -> Head {
    let place_of_loose: BTreeMap<usize, f64> = loose.iter().copied().collect();
    let place = |i: &usize| {
        place_of_loose.get(i).copied().unwrap_or_else(|| samples.place_of(samples.all[*i].cluster))
    };
    let weights = row_weights(args, pool, loose);
    let rows: Vec<&[f32]> = weights.keys().map(|&i| view.white[i].as_slice()).collect();
    let targets: Vec<f64> = weights.keys().map(place).collect();
    let weights: Vec<f64> = weights.into_values().collect();
    let penalties: Vec<f64> = view.widths.iter().map(|width| args.weight_decay / width).collect();
    let (w, b) = ridge(&rows, &targets, &weights, &penalties);
    Head::of(&w, b, &Device::flex())
}

/// How one member of a run is trained.
pub fn plan(args: &TrainArgs, made: &Made, name: &str, member: u64) -> Plan {
    let checkpoint = args.checkpoints.as_ref().map(|folder| {
        let run = format!("{name} {:?}", made.pairs("checkpoint"));
        (folder.join(format!("{name}-{member}.ckpt")), run)
    });
    Plan {
        recipe: args.recipe,
        hidden: args.hidden,
        steps: u64::from(args.steps),
        learning_rate: args.learning_rate,
        weight_decay: args.weight_decay as f32,
        stitch_weight: args.stitch_weight,
        seed: args.seed,
        member,
        checkpoint,
    }
}

/// Whole clusters in `n` folds: those of a level are dealt out in turn, in a drawn order, so that folds hold all sorts of levels.
/// A cluster that is alone on the lowest or the highest level is in none: without it the order has no end to learn.
pub fn folds(samples: &Samples, n: usize, seed: u64) -> Vec<BTreeSet<u32>> {
    let mut levels: BTreeMap<usize, BTreeSet<u32>> = BTreeMap::new();
    samples.all.iter().for_each(|s| {
        levels.entry(s.level).or_default().insert(s.cluster);
    });
    let mut folds = vec![BTreeSet::new(); n];
    let (mut rng, mut next) = (generator(seed, 0, head::BEFORE_ANY_STEP - 3), 0);
    let top = samples.n_levels - 1;
    for (level, clusters) in levels {
        if clusters.len() == 1 && (level == 0 || level == top) {
            continue;
        }
        let mut clusters: Vec<u32> = clusters.into_iter().collect();
        clusters.shuffle(&mut rng);
        for cluster in clusters {
            folds[next % n].insert(cluster);
            next += 1;
        }
    }
    folds.retain(|fold| !fold.is_empty());
    folds
}

/// What is found on samples that a training did not see.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// Agreement with the levels of single tiles.
    #[serde(flatten)]
    pub agreement: Agreement,
    /// Spearman's correlation of tiles' scores with their clusters' consensus ranks.
    pub ranks_spearman: Option<f64>,
    /// Spearman's correlation of the clusters' mean scores with their ranks.
    pub clusters_spearman: Option<f64>,
    /// How many clusters.
    pub n_clusters: usize,
    /// Share of tiles whose score is nearer than 1/14 to their level's place: the study's accuracy.
    pub within_tolerance: f64,
}

/// The figures of scores on samples; nothing if levels or scores do not vary.
pub fn found(samples: &Samples, recipe: Recipe, chosen: &[usize], scores: &[f64]) -> Option<Found> {
    let levels: Vec<usize> = chosen.iter().map(|&i| samples.all[i].level).collect();
    let agreement = agreement(scores, &levels)?;
    let mut clusters: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for (&i, score) in chosen.iter().zip(scores) {
        let (sum, n) = clusters.entry(samples.all[i].cluster).or_default();
        (*sum, *n) = (*sum + score, *n + 1.0);
    }
    let tile_ranks: Vec<f64> = chosen.iter().map(|&i| -samples.rank_of[&samples.all[i].cluster]).collect();
    let means: Vec<f64> = clusters.values().map(|(sum, n)| sum / n).collect();
    let ranks: Vec<f64> = clusters.keys().map(|c| -samples.rank_of[c]).collect();
    let near =
        |(&level, score): (&usize, &f64)| (score - recipe.place(level, samples.n_levels)).abs() < TOLERANCE;
    let within = levels.iter().zip(scores).filter(|&pair| near(pair)).count();
    Some(Found {
        agreement,
        ranks_spearman: pearson(&midranks(scores), &midranks(&tile_ranks)),
        clusters_spearman: pearson(&midranks(&means), &midranks(&ranks)),
        n_clusters: clusters.len(),
        within_tolerance: within as f64 / levels.len() as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Sample;
    use contract::TileId;

    #[test]
    fn every_cluster_but_a_lone_end_is_left_out_once_and_folds_mix_levels() {
        let sample = |cluster: u32| Sample {
            granule: 0,
            tile: TileId { row: 0, col: cluster },
            cluster,
            level: cluster as usize / 3,
            held: false,
        };
        let samples =
            Samples::of((0..21).map(sample).collect(), 7, (0..21).map(|c| (c, f64::from(c))).collect());
        let folds = folds(&samples, 5, 1);
        let all: Vec<u32> = folds.iter().flatten().copied().collect();
        assert_eq!((all.len(), all.iter().collect::<BTreeSet<_>>().len()), (21, 21));
        for fold in &folds {
            let levels: BTreeSet<u32> = fold.iter().map(|c| c / 3).collect();
            assert!(levels.len() == fold.len(), "three clusters of a level lie in three folds");
        }
    }
}
