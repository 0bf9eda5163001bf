//! The binary on small made granules: training, resuming, scoring, and its failures.
#![allow(clippy::unwrap_used)]

mod made;

use contract::{Cluster, Label, Made, Metric, Score, TileId};
use made::{N, Scene, cluster, kill_after, run, score, score_args, succeeds, weights};
use std::process::Command;

/// Mean score of each ranked cluster.
fn means(rows: &[Score]) -> [f64; 3] {
    [0, 1, 2].map(|kind| {
        let of: Vec<f64> =
            rows.iter().filter(|r| cluster(r.tile.row, r.tile.col) == kind).filter_map(|r| r.score).collect();
        of.iter().sum::<f64>() / of.len() as f64
    })
}

#[test]
fn heads_learn_the_order_and_score_every_tile_that_has_pixels() {
    let scene = Scene::make();
    let metrics = scene.path("metrics.parquet").to_str().unwrap().to_owned();
    let [losses, curves] =
        ["losses.jsonl", "curves.png"].map(|name| scene.path(name).to_str().unwrap().to_owned());
    let told = ["--metrics-out", &metrics, "--losses-out", &losses, "--curves-out", &curves];
    let settings = [&["--steps", "200", "--members", "3"][..], &told].concat();
    let log = succeeds(&scene.train_args("model.safetensors", &settings));
    let lines = std::fs::read_to_string(&losses).unwrap();
    assert!(
        lines.lines().count() > 300 && lines.contains("\"run\": \"kept\""),
        "a hundred of every training"
    );
    assert!(std::fs::read(&curves).unwrap().starts_with(b"\x89PNG"));
    assert!(log.contains("(no data)") && log.contains("not in the order"), "{log}");
    let rows = score(&scene, "model.safetensors", "scores.parquet");
    assert_eq!(rows.len(), (N * N) as usize);
    let empty = rows.iter().find(|r| r.tile == TileId { row: 4, col: 4 }).unwrap();
    assert_eq!((empty.score, empty.skipped.as_deref()), (None, Some("no data")));
    assert!(rows.iter().filter(|r| r.score.is_some()).all(|r| r.sd.is_some() && r.n_members == 3));
    let [low, middle, high] = means(&rows);
    assert!(low + 0.1 < middle && middle + 0.1 < high, "{low} {middle} {high}");
    let figures = contract::read::<Metric>(&scene.path("metrics.parquet")).unwrap();
    assert!(
        figures.iter().any(|m| m.name == "pairwise" && m.value.is_some_and(|v| v > 0.75)),
        "chance is 0.5: {figures:?}"
    );
}

#[test]
fn scores_are_the_same_bytes_for_any_batch_list_and_number_of_ranks_and_a_finer_map_covers_the_same_ground() {
    let scene = Scene::make();
    let settings = ["--recipe", "ridge", "--features", "colour", "--folds", "0", "--interval-share", "0.5"];
    succeeds(&scene.train_args("model.safetensors", &settings));
    let bytes = |name: &str| std::fs::read(scene.path(name)).unwrap();
    succeeds(&score_args(&scene, "model.safetensors", "one.parquet", &["--batch", "1"]));
    succeeds(&score_args(&scene, "model.safetensors", "many.parquet", &["--batch", "100"]));
    assert_eq!(bytes("one.parquet"), bytes("many.parquet"));

    let list = scene.path("list.tsv");
    let line =
        |out: &str| format!("{}\t{}\n", scene.path("tiles.parquet").display(), scene.path(out).display());
    std::fs::write(
        &list,
        format!("# tiles\tout\n{}{}missing\tnever\n", line("a.parquet"), line("b.parquet")),
    )
    .unwrap();
    let model = scene.path("model.safetensors");
    let args = [
        "score",
        "--list",
        list.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
        "--max-failed",
        "0.5",
    ];
    let weights = ["--weights", weights().to_str().unwrap()].map(str::to_owned);
    let args: Vec<String> = args.iter().map(|&s| s.to_owned()).chain(weights).collect();
    let ranks = Command::new("mpirun")
        .args(["--oversubscribe", "-np", "3", env!("CARGO_BIN_EXE_stage3-train")])
        .args(&args)
        .envs([("OMPI_ALLOW_RUN_AS_ROOT", "1"), ("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")])
        .output()
        .unwrap();
    let text = String::from_utf8(ranks.stderr).unwrap();
    assert!(ranks.status.success() && text.contains("3 granules in, 2 ok, 1 failed"), "{text}");
    assert_eq!(bytes("a.parquet"), bytes("one.parquet"));
    assert_eq!(bytes("b.parquet"), bytes("one.parquet"));
    assert!(succeeds(&args).contains("2 skipped (made already)"), "what is made is not made again");

    succeeds(&score_args(&scene, "model.safetensors", "fine.parquet", &["--stride-px", "8"]));
    let coarse: Vec<Score> = contract::read(&scene.path("one.parquet")).unwrap();
    let fine: Vec<Score> = contract::read(&scene.path("fine.parquet")).unwrap();
    assert_eq!(fine.len(), 16 * coarse.len());
    let area = |rows: &[Score]| {
        let scored = rows.iter().filter(|r| r.score.is_some());
        scored.map(|r| (r.east_m - r.west_m) * (r.north_m - r.south_m)).sum::<f64>()
    };
    assert_eq!(area(&fine), area(&coarse));
    let kept = fine.iter().filter_map(|r| Some(r.low? <= r.score? && r.score? <= r.high?));
    assert!(
        kept.clone().count() > 0 && kept.into_iter().all(|inside| inside),
        "the interval is around the score"
    );
    assert!(
        coarse
            .iter()
            .filter(|r| r.score.is_some())
            .all(|r| r.outside.is_some() && r.distance_ratio.is_some())
    );
}

#[test]
fn the_study_s_recipe_learns_evenly_spaced_places_in_grey() {
    let scene = Scene::make();
    let metrics = scene.path("metrics.parquet").to_str().unwrap().to_owned();
    let settings = ["--recipe", "dev-measure", "--members", "1", "--steps", "500", "--learning-rate", "0.01"];
    succeeds(&scene.train_args("model.safetensors", &[&settings[..], &["--metrics-out", &metrics]].concat()));
    let [low, middle, high] = means(&score(&scene, "model.safetensors", "scores.parquet"));
    // Pseudo-labels 0, 1/2 and 1.
    assert!(low < 0.25 && (0.25..0.75).contains(&middle) && high > 0.75, "{low} {middle} {high}");
    let card = std::fs::read_to_string(scene.path("model.json")).unwrap();
    assert!(card.contains("\"grey\": true") && card.contains("\"recipe\": \"dev-measure\""), "{card}");
    let figures = contract::read::<Metric>(&scene.path("metrics.parquet")).unwrap();
    let of =
        |name: &str, of: &str| figures.iter().find(|m| m.name == name && m.of == of).and_then(|m| m.value);
    assert!(of("within_tolerance", "held-out blocks").is_some_and(|share| share > 0.3));
}

#[test]
fn a_training_that_is_killed_goes_on_to_the_same_bytes() {
    let scene = Scene::make();
    let settings = ["--steps", "600", "--members", "2"];
    succeeds(&scene.train_args("unbroken.safetensors", &settings));
    let checkpoints = scene.path("ckpt").to_str().unwrap().to_owned();
    let args =
        scene.train_args("killed.safetensors", &[&settings[..], &["--checkpoints", &checkpoints]].concat());
    kill_after(&args, &scene.path("ckpt/kept-0.ckpt"));
    assert!(!scene.path("killed.safetensors").exists(), "the model was there before its training ended");
    succeeds(&args);
    let bytes = |name: &str| std::fs::read(scene.path(name)).unwrap();
    assert_eq!(bytes("killed.safetensors"), bytes("unbroken.safetensors"));
    // The last checkpoint of a training is at its end; with it damaged, the one before is gone on from.
    std::fs::remove_file(scene.path("killed.safetensors")).unwrap();
    assert!(scene.path("ckpt/all-1.ckpt.previous").exists());
    std::fs::write(scene.path("ckpt/all-1.ckpt"), "torn").unwrap();
    succeeds(&args);
    assert_eq!(bytes("killed.safetensors"), bytes("unbroken.safetensors"));
}

#[test]
fn a_whole_network_that_is_killed_goes_on_to_the_same_bytes() {
    let scene = Scene::make();
    let file = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let settings = ["--train", "whole", "--members", "1", "--steps", "26", "--learning-rate", "0.0003"];
    let training = |name: &str| {
        let (losses, curves) = (file(&format!("{name}.jsonl")), file(&format!("{name}.png")));
        let more = ["--losses-out", &losses, "--curves-out", &curves, "--checkpoints", &file(name)];
        scene.train_args(&format!("{name}.safetensors"), &[&settings[..], &more].concat())
    };
    succeeds(&training("unbroken"));
    let args = training("killed");
    let checkpoint = scene.path("killed/whole-0.ckpt");
    kill_after(&args, &checkpoint);
    assert!(!scene.path("killed.safetensors").exists(), "the model was there before its training ended");
    succeeds(&args);
    let bytes = |name: &str, ending: &str| std::fs::read(scene.path(&format!("{name}.{ending}"))).unwrap();
    for ending in ["safetensors", "json", "jsonl", "png"] {
        assert!(bytes("killed", ending) == bytes("unbroken", ending), "{ending}");
    }
}

#[test]
fn the_whole_network_can_be_trained_and_scores() {
    let scene = Scene::make();
    succeeds(&scene.train_args(
        "whole.safetensors",
        &["--train", "whole", "--members", "1", "--steps", "6", "--learning-rate", "0.0003"],
    ));
    let rows = score(&scene, "whole.safetensors", "scores.parquet");
    let scores: Vec<f64> = rows.iter().filter_map(|r| r.score).collect();
    assert_eq!(scores.len(), (N * N) as usize - 1);
    assert!(scores.iter().all(|s| (0.0..=1.0).contains(s)));
    let (low, high) = scores.iter().fold((1.0_f64, 0.0_f64), |(a, b), &s| (a.min(s), b.max(s)));
    assert!(high > low, "all scores are {low}");
    succeeds(&score_args(&scene, "whole.safetensors", "ones.parquet", &["--batch", "1"]));
    let bytes = |name: &str| std::fs::read(scene.path(name)).unwrap();
    assert_eq!(bytes("ones.parquet"), bytes("scores.parquet"), "neighbours in a batch matter");
}

#[test]
fn labels_of_tiles_in_no_cluster_pull_them_to_the_place_of_their_classes() {
    let scene = Scene::make();
    let file = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let ranked: Vec<Cluster> = contract::read::<Cluster>(&scene.path("clusters.parquet"))
        .unwrap()
        .into_iter()
        .filter(|row| row.cluster < 3)
        .map(|row| Cluster { class: ["empty", "empty", "town"][row.cluster as usize].into(), ..row })
        .collect();
    contract::write(&scene.path("clusters.parquet"), &ranked, &Made::by("test")).unwrap();
    let loose = (0..N * N).map(|i| TileId { row: i / N, col: i % N }).filter(|t| cluster(t.row, t.col) == 3);
    let label = |tile| Label {
        granule: "made".parse().unwrap(),
        tile,
        class: "empty".into(),
        probability: Some(1.0),
        sd: None,
        n_answers: 1,
        n_missing: 0,
        judge: "test".into(),
        prompt_hash: String::new(),
        missing: None,
    };
    let labels: Vec<Label> = loose.map(label).collect();
    contract::write(&scene.path("labels.parquet"), &labels, &Made::by("test")).unwrap();
    let ridge = ["--recipe", "ridge", "--features", "colour", "--folds", "0"];
    succeeds(&scene.train_args("without.safetensors", &ridge));
    let given = file("labels.parquet");
    succeeds(&scene.train_args("with.safetensors", &[&ridge[..], &["--labels", &given]].concat()));
    let brightest = |model: &str| {
        let rows = score(&scene, model, "scores.parquet");
        let of = rows.iter().filter(|r| cluster(r.tile.row, r.tile.col) == 3).filter_map(|r| r.score);
        of.sum::<f64>() / labels.len() as f64
    };
    // The bright tiles of no cluster look like more than a town, and are labelled as empty.
    let (without, with) = (brightest("without.safetensors"), brightest("with.safetensors"));
    assert!(without > 0.8 && with < without - 0.1, "{without} {with}");

    contract::write(&scene.path("none.parquet"), &Vec::<Label>::new(), &Made::by("test")).unwrap();
    let none = file("none.parquet");
    let output = run(&scene.train_args("other.safetensors", &[&ridge[..], &["--labels", &none]].concat()));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("none.parquet: want labels of tiles"), "{text}");

    let output = run(&scene.train_args("other.safetensors", &["--labels", &given]));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && text.contains("--labels joins --recipe ridge only"), "{text}");
}

#[test]
fn members_see_through_each_file_of_weights_and_a_model_wants_all_of_them_in_any_order() {
    let scene = Scene::make();
    let mut other = std::fs::read(weights()).unwrap();
    // The exponents of some weights near the end, halved or doubled.
    let end = other.len() - 400_000;
    other[end..end + 40_000].iter_mut().skip(2).step_by(4).for_each(|byte| *byte ^= 0x80);
    std::fs::write(scene.path("other.safetensors"), other).unwrap();
    let other = scene.path("other.safetensors").to_str().unwrap().to_owned();
    let settings = ["--recipe", "ridge", "--features", "both", "--folds", "0", "--members", "2"];
    succeeds(&scene.train_args("model.safetensors", &[&settings[..], &["--weights", &other]].concat()));
    let missing = run(&score_args(&scene, "model.safetensors", "none.parquet", &[]));
    let text = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(missing.status.code(), Some(1));
    assert!(text.contains("model.safetensors: want the weights that it was trained on (SHA-256"), "{text}");
    let scores = |out: &str, more: &[&str]| {
        succeeds(&score_args(&scene, "model.safetensors", out, more));
        contract::read::<Score>(&scene.path(out)).unwrap()
    };
    let both = scores("both.parquet", &["--weights", &other]);
    let mut swapped = score_args(&scene, "model.safetensors", "swapped.parquet", &["--weights"]);
    let first = std::mem::replace(&mut swapped[6], other);
    swapped.push(first);
    succeeds(&swapped);
    assert_eq!(contract::read::<Score>(&scene.path("swapped.parquet")).unwrap(), both);
    assert!(both.iter().filter_map(|row| row.sd).any(|sd| sd > 0.0), "two networks see two things");
}

#[test]
fn wrong_inputs_end_with_one_line_and_leave_the_old_model() {
    let scene = Scene::make();
    std::fs::write(scene.path("old.safetensors"), "old").unwrap();
    let file = |name: &str| scene.path(name).to_str().unwrap().to_owned();
    let mut swapped = scene.train_args("old.safetensors", &[]);
    swapped[6] = file("clusters.parquet");
    let mut no_weights = scene.train_args("old.safetensors", &[]);
    no_weights[8] = file("pog.parquet");
    let no_card = [
        "score",
        "--tiles",
        &file("tiles.parquet"),
        "--model",
        &file("none.safetensors"),
        "--weights",
        "w",
        "--out",
        "o",
    ]
    .map(str::to_owned);
    for (args, words) in [
        (swapped, "clusters.parquet: want table pog/1, got clusters/1; make it again with pog-aggregate"),
        (no_weights, "pog.parquet: want weights as .safetensors, .pth or .pt"),
        (no_card.to_vec(), "none.json: cannot read"),
    ] {
        let output = run(&args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(words), "{text}");
    }
    assert_eq!(run(&["train".into(), "--epochs".into()]).status.code(), Some(2));
    assert_eq!(std::fs::read(scene.path("old.safetensors")).unwrap(), b"old");
}
