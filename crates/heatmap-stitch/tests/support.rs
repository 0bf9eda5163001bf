//! What maps and pages say of scores that have little behind them.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use contract::{Made, Score, TileId};

fn stitch(args: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_heatmap-stitch")).args(args).current_dir(folder).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A granule of 4 x 4 tiles of 320 m, the last without a score; those of the first column are unlike all of training.
fn write(path: &Path, score: impl Fn(u32) -> f64) {
    let row = |i: u32| {
        let (row, col) = (i / 4, i % 4);
        let (west_m, north_m) = (500_000.0 + f64::from(col) * 320.0, 4_180_000.0 - f64::from(row) * 320.0);
        Score {
            granule: "made".parse().unwrap(),
            tile: TileId { row, col },
            crs: "EPSG:32618".into(),
            west_m,
            south_m: north_m - 320.0,
            east_m: west_m + 320.0,
            north_m,
            score: (i < 15).then(|| score(i)),
            sd: None,
            low: None,
            high: None,
            distance_ratio: None,
            outside: (i < 15).then_some(col == 0),
            n_members: 1,
            skipped: (i == 15).then(|| "no data".to_owned()),
        }
    };
    contract::write(path, &(0..16).map(row).collect::<Vec<_>>(), &Made::by("stage3-train")).unwrap();
}

#[test]
fn a_map_and_a_page_of_equal_scores_say_so_and_what_is_unlike_training_and_what_the_judge_knows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("flat.parquet"), |_| 0.25);
    write(&folder.join("hilly.parquet"), |i| f64::from(i) / 16.0);
    let card = r#"{"about": "A guess.", "training": {"source": "90 pictures of Atlantis"}}"#;
    std::fs::write(folder.join("heads.json"), card).unwrap();
    let map = |scores: &str, out: &str, more: &[&str]| {
        let outs = ["tif", "png", "colour.tif"].map(|ending| format!("{out}.{ending}"));
        let words = ["map", "--scores", scores, "--pixel-m", "10", "--title", "Made", "--credit", "Made up."];
        let files = ["--out", &outs[0], "--out-png", &outs[1], "--out-colour", &outs[2]];
        stitch(&[&words[..], &files, more].concat(), folder)
    };
    let told = map("flat.parquet", "told", &["--judge", "heads.json"]);
    assert!(told.status.success(), "{}", stderr(&told));
    let warned = "all 15 tiles with a score have the same: there is no order to see";
    assert!(stderr(&told).contains(warned), "{}", stderr(&told));
    assert!(map("flat.parquet", "plain", &[]).status.success());
    let bytes = |name: &str| std::fs::read(folder.join(name)).unwrap();
    assert!(bytes("told.tif") == bytes("plain.tif"), "a judge's card changes no score");
    assert!(bytes("told.png") != bytes("plain.png"), "the picture says what the judge was trained on");
    let hilly = map("hilly.parquet", "hilly", &[]);
    assert!(hilly.status.success() && !stderr(&hilly).contains("have the same"), "{}", stderr(&hilly));
    let refused = map("flat.parquet", "told", &["--judge", "flat.parquet"]);
    assert_eq!(refused.status.code(), Some(1), "{}", stderr(&refused));

    let page = |scores: &str| {
        let output =
            stitch(&["summary", "--title", "Made", "--judge", "heads.json", "--scores", scores], folder);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let flat = page("flat.parquet");
    for wanted in [
        "all 15 tiles have the score 0.250: there is no order to see",
        "4 of them (26.7 %) are unlike all tiles that the score was learnt from",
        "local, trained on 90 pictures of Atlantis",
    ] {
        assert!(flat.contains(wanted), "want `{wanted}` in\n{flat}");
    }
    assert!(!page("hilly.parquet").contains("have the score"));
}
