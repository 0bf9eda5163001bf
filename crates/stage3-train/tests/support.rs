//! What a model says of ground that it does not know, and of an order or tiles that teach nothing.
#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "other tests use the rest")]
mod made;

use contract::{Cluster, Made, Metric, PogRow, Score, Tile, TileId, TileReader, TileWriter};
use made::{N, PX, Scene, run, succeeds, weights};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Writes tiles with pixels of their own at the places of a scene's.
fn paint(scene: &Scene, name: &str, mut pixels: impl FnMut(u32, u32) -> Vec<u8>) {
    let reader = TileReader::open(&scene.path("tiles.parquet")).unwrap();
    let meta = reader.meta().clone();
    let mut writer = TileWriter::begin(&scene.path(name), &meta, &Made::by("test")).unwrap();
    for row in 0..N {
        let tiles = reader.row(row).unwrap();
        let painted = tiles.into_iter().enumerate().map(|(col, tile)| Tile {
            skipped: None,
            pixels: Some(pixels(row, col as u32)),
            ..tile
        });
        writer.push_row(&painted.collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
}

/// Ground that changes slowly from place to place: its colour, how coarse its fields are and how much they differ.
fn ground(row: u32, col: u32, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let wave = |a: f64, b: f64| (f64::from(row) / a + f64::from(col) / b).sin();
    let (light, contrast) = (110.0 + 40.0 * wave(3.0, 5.0), 12.0 + 10.0 * wave(4.0, 2.5));
    let side = 2 + ((wave(5.0, 3.5) + 1.0) * 3.0) as usize;
    let px = PX as usize;
    let fields: Vec<f64> = (0..3 * px * px).map(|_| rng.random::<f64>() - 0.5).collect();
    let value = |i: usize| {
        let (band, r, c) = (i / (px * px), i / px % px, i % px);
        let field = fields[r / side * px + c / side] * 2.0 + 0.4 * fields[i];
        light + contrast * field + 12.0 * band as f64 * wave(6.0, 4.0)
    };
    (0..3 * px * px).map(|i| value(i).clamp(0.0, 255.0) as u8).collect()
}

/// The share of tiles that a model flags.
fn flagged(scene: &Scene, tiles: &str) -> f64 {
    let file = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let [tiles, model, out] = [tiles, "model.safetensors", "scores.parquet"].map(file);
    let weights = weights().to_str().unwrap().to_owned();
    let args = ["score", "--tiles", &tiles, "--model", &model, "--weights", &weights, "--out", &out];
    succeeds(&args.map(str::to_owned));
    let rows: Vec<Score> = contract::read(&scene.path("scores.parquet")).unwrap();
    let told: Vec<bool> = rows.iter().filter_map(|row| row.outside).collect();
    assert_eq!(told.len(), (N * N) as usize);
    told.iter().filter(|&&outside| outside).count() as f64 / told.len() as f64
}

#[test]
fn own_tiles_are_flagged_as_unlike_training_no_more_often_than_stated_and_foreign_ones_are() {
    let scene = Scene::make();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    paint(&scene, "tiles.parquet.new", |row, col| ground(row, col, &mut rng));
    std::fs::rename(scene.path("tiles.parquet.new"), scene.path("tiles.parquet")).unwrap();
    // Every tile is in the order, by its light.
    let level = |row: u32, col: u32| {
        let wave = (f64::from(row) / 3.0 + f64::from(col) / 5.0).sin();
        if wave < -0.5 { 0 } else { 1 + u32::from(wave > 0.5) }
    };
    let clusters: Vec<Cluster> = contract::read::<Cluster>(&scene.path("clusters.parquet"))
        .unwrap()
        .into_iter()
        .map(|row| Cluster { cluster: level(row.tile.row, row.tile.col), ..row })
        .collect();
    contract::write(&scene.path("clusters.parquet"), &clusters, &Made::by("test")).unwrap();
    let metrics = scene.path("metrics.parquet").to_str().unwrap().to_owned();
    let settings = ["--steps", "20", "--members", "1", "--folds", "0", "--features", "stages"];
    let share = ["--outside-share", "0.02", "--metrics-out", &metrics];
    succeeds(&scene.train_args("model.safetensors", &[&settings[..], &share].concat()));

    let own = flagged(&scene, "tiles.parquet");
    assert!(own <= 0.03, "{own} of the own tiles, 0.02 stated");
    let told = contract::read::<Metric>(&scene.path("metrics.parquet")).unwrap();
    assert_eq!(told.iter().find(|m| m.name == "outside_share").unwrap().value, Some(own));
    // The same ground, drawn anew: the flag is for other ground.
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    paint(&scene, "again.parquet", |row, col| ground(row, col, &mut rng));
    let again = flagged(&scene, "again.parquet");
    assert!(again <= 0.1, "{again} of new tiles of the same ground, 0.02 stated");
    let px = (PX * PX) as usize;
    let mut noise = ChaCha8Rng::seed_from_u64(3);
    paint(&scene, "noise.parquet", |_, _| (0..3 * px).map(|_| noise.random::<u8>()).collect());
    paint(&scene, "blank.parquet", |_, _| vec![250; 3 * px]);
    let foreign = ["noise.parquet", "blank.parquet"].map(|name| (name, flagged(&scene, name)));
    assert!(foreign.iter().all(|(_, share)| *share > 0.9), "{foreign:?}");
}

#[test]
fn an_order_or_tiles_that_teach_nothing_are_refused_with_the_likely_cause_and_the_old_model_stays() {
    let scene = Scene::make();
    std::fs::write(scene.path("old.safetensors"), "old").unwrap();
    let pog: Vec<PogRow> = contract::read(&scene.path("pog.parquet")).unwrap();
    let clusters: Vec<Cluster> = contract::read(&scene.path("clusters.parquet")).unwrap();
    let made = Made::by("test");
    let tied: Vec<PogRow> = pog.iter().map(|row| PogRow { level: 1, rank: 2.0, ..row.clone() }).collect();
    contract::write(&scene.path("tied.parquet"), &tied, &made).unwrap();
    contract::write::<PogRow>(&scene.path("none.parquet"), &[], &made).unwrap();
    let elsewhere = clusters.iter().map(|row| Cluster { granule: "other".parse().unwrap(), ..row.clone() });
    contract::write(&scene.path("elsewhere.parquet"), &elsewhere.collect::<Vec<_>>(), &made).unwrap();
    paint(&scene, "same.parquet", |_, _| vec![90; 3 * (PX * PX) as usize]);
    // Two pictures, either as often on every level.
    paint(&scene, "told-nothing.parquet", |row, _| {
        vec![if row / 2 % 2 == 0 { 60 } else { 180 }; 3 * (PX * PX) as usize]
    });
    let swap = |mut args: Vec<String>, place: usize, name: &str| {
        args[place] = scene.path(name).to_str().unwrap().to_owned();
        args
    };
    let args = |more: &[&str]| scene.train_args("old.safetensors", more);
    let ridge = args(&["--recipe", "ridge", "--features", "colour", "--folds", "0", "--weight-decay", "1e9"]);
    for (args, wanted) in [
        (
            swap(args(&[]), 6, "tied.parquet"),
            "tied.parquet: want an order of at least 2 levels, got 1: all 3 clusters are tied",
        ),
        (swap(args(&[]), 6, "none.parquet"), "none.parquet"),
        (swap(args(&[]), 4, "elsewhere.parquet"), "elsewhere.parquet: want tiles whose clusters are in"),
        (swap(args(&[]), 2, "same.parquet"), "want images that differ"),
        (swap(ridge, 2, "told-nothing.parquet"), "want scores that differ, but all"),
    ] {
        let output = run(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{wanted}: {text}");
        assert!(text.contains(wanted), "{text}");
        assert_eq!(std::fs::read(scene.path("old.safetensors")).unwrap(), b"old");
    }
}

#[test]
fn tiles_that_all_get_one_score_are_told_of_where_they_are_scored() {
    let scene = Scene::make();
    succeeds(
        &scene
            .train_args("model.safetensors", &["--recipe", "ridge", "--features", "colour", "--folds", "0"]),
    );
    paint(&scene, "same.parquet", |_, _| vec![90; 3 * (PX * PX) as usize]);
    let file = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let score = |tiles: &str| {
        let model = file("model.safetensors");
        let args = ["score", "--tiles", &file(tiles), "--model", &model, "--out", &file("s.parquet")];
        succeeds(&args.map(str::to_owned))
    };
    let log = score("same.parquet");
    assert!(log.contains("granule made: all 256 tiles get the score 0."), "{log}");
    assert!(!score("tiles.parquet").contains("get the score"));
    let one = TileId { row: 0, col: 0 };
    assert!(contract::read::<Score>(&scene.path("s.parquet")).unwrap().iter().any(|row| row.tile == one));
}
