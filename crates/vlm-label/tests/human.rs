//! People as judges, through what a real Label Studio imported, annotated and exported (scripts/reference/label_studio.py).
#![allow(clippy::unwrap_used)]

mod scene;

use std::path::Path;

use contract::{Label, Pair, Vote, Winner};
use scene::{said, scene, vlm};
use serde_json::Value;

const NOWHERE: &str = "http://127.0.0.1:9/v1";

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/label_studio/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Writes tasks.json and label.xml as the fixtures were made from.
fn export(folder: &Path, form: &str) {
    let prompt = fixture(&format!("{form}.md"));
    let flags =
        ["human-export", "--tiles", "tiles.parquet", "--prompt", &prompt, "--images-per-cluster", "2"];
    let clusters: &[&str] = if form == "shares" {
        &[]
    } else {
        &["--clusters", "clusters.parquet", "--pairs", "2", "--swap-share", "0.5"]
    };
    let out = ["--config-out", "label.xml", "--out", "tasks.json"];
    let output = vlm(folder, NOWHERE, &[&flags[..], clusters, &out].concat());
    assert!(output.status.success(), "{}", said(&output));
}

fn import(folder: &Path, form: &str, export: &str, more: &[&str]) -> std::process::Output {
    let prompt = fixture(&format!("{form}.md"));
    let flags = ["human-import", "--export", export, "--prompt", &prompt, "--out", "out.parquet"];
    vlm(folder, NOWHERE, &[&flags[..], more].concat())
}

/// Label Studio keeps what we send: the tasks that it exports are the tasks that we make now.
#[test]
fn tasks_went_through_label_studio_unchanged() {
    for (form, n_tasks) in [("score", 4), ("choice", 3), ("shares", 2)] {
        let dir = scene();
        export(dir.path(), form);
        let read =
            |path: &Path| -> Vec<Value> { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
        let ours: Vec<Value> =
            read(&dir.path().join("tasks.json")).iter().map(|task| task["data"].clone()).collect();
        let theirs = read(Path::new(&fixture(&format!("{form}.json"))));
        assert_eq!(ours.len(), n_tasks);
        for task in &theirs {
            assert!(ours.contains(&task["data"]), "{form}: {}", task["data"]);
        }
        assert_eq!(theirs.len(), n_tasks);
    }
}

#[test]
fn annotations_become_votes_comparisons_and_labels_and_a_skipped_task_is_missing() {
    let dir = scene();
    let allow = ["--max-failed", "0.5"];
    let out = dir.path().join("out.parquet");
    let output = import(dir.path(), "score", &fixture("score.json"), &allow);
    assert!(output.status.success(), "{}", said(&output));
    let votes: Vec<Vote> = contract::read(&out).unwrap();
    let found: Vec<(Option<f64>, Option<&str>)> =
        votes.iter().map(|v| (v.score, v.missing.as_deref())).collect();
    assert_eq!(found, [(Some(73.0), None), (Some(12.5), None), (None, Some("skipped"))]);
    assert!(
        votes
            .iter()
            .all(|v| v.rater == "human:1/plain.en/0" && v.judge == "human:1" && v.cluster == v.tile.row)
    );

    let output = import(dir.path(), "choice", &fixture("choice.json"), &allow);
    assert!(output.status.success(), "{}", said(&output));
    let pairs: Vec<Pair> = contract::read(&out).unwrap();
    let found: Vec<Option<Winner>> = pairs.iter().map(|pair| pair.winner).collect();
    assert_eq!(found, [Some(Winner::Left), Some(Winner::Same), None]);
    assert!(pairs.iter().all(|pair| pair.left_cluster != pair.right_cluster));

    let output = import(dir.path(), "shares", &fixture("shares.json"), &allow);
    assert!(output.status.success(), "{}", said(&output));
    let labels: Vec<Label> = contract::read(&out).unwrap();
    let found: Vec<Option<f64>> = labels.iter().map(|label| label.probability).collect();
    assert_eq!(found, [Some(0.75), Some(0.25), None, None]);
}

#[test]
fn an_export_that_is_not_ours_is_one_clear_line_and_no_table() {
    let dir = scene();
    let good: Value = serde_json::from_slice(&std::fs::read(fixture("score.json")).unwrap()).unwrap();
    let change = |pointer: &str, value: Value| {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = value;
        bad.to_string()
    };
    let cases: [(String, &str); 8] = [
        ("rubbish".into(), "want Label Studio's JSON export"),
        ("{}".into(), "want Label Studio's JSON export"),
        ("[]".into(), "want annotations, got none"),
        (
            "[{\"score\": 73, \"annotator\": 1}]".into(),
            "task 1: want `data` (the JSON export) or our own keys (JSON-MIN), got neither",
        ),
        (change("/0/data/prompt_hash", "00".into()), "task 1: want a task of prompt plain.en"),
        (change("/0/data/left_tile", "../x".into()), "want a tile id"),
        (change("/0/annotations/0/result/0/from_name", "rating".into()), "got `rating`"),
        (change("/0/annotations/0/result/0/type", "choices".into()), "want one number or choice"),
    ];
    for (text, want) in cases {
        std::fs::write(dir.path().join("export.json"), text).unwrap();
        let output = import(dir.path(), "score", "export.json", &[]);
        let said = said(&output);
        assert_eq!(output.status.code(), Some(1), "{want}: {said}");
        assert!(
            said.lines().any(|line| line.contains("error: export.json: ") && line.contains(want)),
            "{want}: {said}"
        );
        assert!(!dir.path().join("out.parquet").exists());
    }
    let out_of_range = change("/0/annotations/0/result/0/value/number", 101.into());
    std::fs::write(dir.path().join("export.json"), out_of_range).unwrap();
    assert!(import(dir.path(), "score", "export.json", &["--max-failed", "1"]).status.success());
    let votes: Vec<Vote> = contract::read(&dir.path().join("out.parquet")).unwrap();
    assert_eq!((votes[0].score, votes[0].missing.as_deref()), (None, Some("number out of range")));
}

#[test]
fn a_skipped_task_an_empty_annotation_and_a_deleted_annotator_are_missing_answers_and_end_no_import() {
    let dir = scene();
    let good: Value = serde_json::from_slice(&std::fs::read(fixture("score.json")).unwrap()).unwrap();
    let change = |what: &dyn Fn(&mut Value)| {
        let mut export = good.clone();
        what(&mut export[0]["annotations"][0]);
        // a byte order mark, as Windows writes it
        format!("\u{feff}{export}")
    };
    let cases: [(String, Option<&str>, &str); 8] = [
        (change(&|_| {}), None, "human:1"),
        (
            change(&|made| made["completed_by"] = serde_json::json!({"id": 7, "email": "a@b"})),
            None,
            "human:7",
        ),
        (change(&|made| made["completed_by"] = Value::Null), Some("annotator not known"), "human:unknown"),
        (
            change(&|made| made["completed_by"] = serde_json::json!({})),
            Some("annotator not known"),
            "human:unknown",
        ),
        (
            change(&|made| drop(made.as_object_mut().unwrap().remove("completed_by"))),
            Some("annotator not known"),
            "human:unknown",
        ),
        (change(&|made| made["result"] = serde_json::json!([])), Some("empty answer"), "human:1"),
        (
            change(&|made| (made["was_cancelled"], made["result"]) = (true.into(), Value::Null)),
            Some("skipped"),
            "human:1",
        ),
        (
            change(&|made| drop(made.as_object_mut().unwrap().remove("result"))),
            Some("empty answer"),
            "human:1",
        ),
    ];
    for (text, missing, judge) in cases {
        std::fs::write(dir.path().join("export.json"), &text).unwrap();
        let output = import(dir.path(), "score", "export.json", &[]);
        assert!(output.status.success(), "{missing:?}: {}", said(&output));
        let votes: Vec<Vote> = contract::read(&dir.path().join("out.parquet")).unwrap();
        assert_eq!((votes[0].missing.as_deref(), votes[0].judge.as_str()), (missing, judge));
        assert_eq!(votes[0].score, missing.is_none().then_some(73.0));
        assert!(said(&output).contains("skipped (skipped)"), "{}", said(&output));
    }
}

#[test]
fn json_min_gives_the_votes_of_the_full_export() {
    let dir = scene();
    let full: Vec<Value> = serde_json::from_slice(&std::fs::read(fixture("score.json")).unwrap()).unwrap();
    let mut flat = Vec::new();
    for (number, task) in full.iter().enumerate() {
        for made in task["annotations"].as_array().unwrap() {
            let mut row = task["data"].clone();
            (row["id"], row["annotator"]) = (task["id"].clone(), made["completed_by"].clone());
            row["was_cancelled"] = made["was_cancelled"].clone();
            if let Some(result) = made["result"].get(0) {
                // the forms in which Label Studio's versions write a number
                let bare = result["value"]["number"].clone();
                row["score"] = if number == 0 { bare } else { serde_json::json!([{"number": bare}]) };
            }
            flat.push(row);
        }
    }
    std::fs::write(dir.path().join("min.json"), Value::Array(flat.clone()).to_string()).unwrap();
    let votes = |export: &str| -> Vec<Vote> {
        let output = import(dir.path(), "score", export, &[]);
        assert!(output.status.success(), "{}", said(&output));
        contract::read(&dir.path().join("out.parquet")).unwrap()
    };
    assert_eq!(votes("min.json"), votes(&fixture("score.json")));
    let again = flat[0].clone();
    flat.push(again);
    std::fs::write(dir.path().join("min.json"), Value::Array(flat).to_string()).unwrap();
    let raters: Vec<String> = votes("min.json").into_iter().map(|vote| vote.rater).collect();
    assert_eq!(
        raters.iter().filter(|rater| rater.ends_with("/1")).count(),
        1,
        "a second annotation is a repeat"
    );
}
