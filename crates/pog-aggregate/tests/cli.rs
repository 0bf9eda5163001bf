//! The program on small evidence, its failures too.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use contract::{Made, Metric, Pair, PogRow, RaterRow, TileId, Vote, Winner};
use tempfile::TempDir;

fn pog(flags: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pog-aggregate")).args(flags).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Votes of `raters` raters on four clusters, three images each; every seventh score is missing.
fn votes(folder: &Path, raters: u32) -> PathBuf {
    let mut rows = Vec::new();
    for (rater, cluster, image) in
        (0..raters).flat_map(|r| (0..4).flat_map(move |c| (0..3).map(move |i| (r, c, i))))
    {
        let lost = rows.len() % 7 == 6;
        rows.push(Vote {
            rater: format!("test/expert/{rater}"),
            judge: "test".into(),
            persona: "expert".into(),
            repeat: rater,
            cluster,
            granule: "T18SVG".parse().unwrap(),
            tile: TileId { row: cluster, col: image },
            score: (!lost).then(|| f64::from(90 - 25 * cluster + image + rater % 3)),
            missing: lost.then(|| "refused".into()),
            raw: None,
            prompt_hash: "00".into(),
        });
    }
    let path = folder.join("votes.parquet");
    contract::write(&path, &rows, &Made::by("vlm-label")).unwrap();
    path
}

#[test]
fn votes_become_an_order_with_intervals_and_weights() {
    let dir = TempDir::new().unwrap();
    votes(dir.path(), 5);
    let flags = [
        "--votes",
        "votes.parquet",
        "--lowest",
        "9",
        "--replicates",
        "200",
        "--raters-out",
        "raters.parquet",
    ];
    let output =
        pog(&[&flags[..], &["--order-out", "order.txt", "--out", "pog.parquet"]].concat(), dir.path());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(dir.path().join("order.txt")).unwrap(), "0>1>2>3>9\n");
    let rows: Vec<PogRow> = contract::read(&dir.path().join("pog.parquet")).unwrap();
    assert_eq!(rows.iter().map(|row| row.cluster).collect::<Vec<_>>(), [0, 1, 2, 3, 9]);
    assert!(rows.iter().all(|row| row.rank_low <= row.rank && row.rank <= row.rank_high));
    let raters: Vec<RaterRow> = contract::read(&dir.path().join("raters.parquet")).unwrap();
    assert!((raters.iter().map(|rater| rater.weight).sum::<f64>() - 1.0).abs() < 1e-12);
    assert_eq!(raters.iter().map(|rater| rater.n_votes + rater.n_missing).sum::<u32>(), 60);
    assert!(said(&output).contains("8 skipped (missing score)"), "{}", said(&output));
}

#[test]
fn the_same_flags_give_the_same_bytes_for_any_number_of_threads() {
    let dir = TempDir::new().unwrap();
    votes(dir.path(), 7);
    let bytes = |threads: &str, out: &str| {
        let flags = ["--votes", "votes.parquet", "--replicates", "300", "--seed", "5", "--out", out];
        let status = Command::new(env!("CARGO_BIN_EXE_pog-aggregate"))
            .args(flags)
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(dir.path())
            .status()
            .unwrap();
        assert!(status.success());
        std::fs::read(dir.path().join(out)).unwrap()
    };
    assert_eq!(bytes("1", "a.parquet"), bytes("4", "b.parquet"));
}

#[test]
fn a_rater_can_be_overruled() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("orders.txt"), "1>2>3\n1>2>3\n3>2>1\n").unwrap();
    std::fs::write(dir.path().join("names.txt"), "ann\nbo\ncy\n").unwrap();
    let flags =
        ["--orders", "orders.txt", "--raters", "names.txt", "--levels", "3", "--order-out", "order.txt"];
    let overruled = ["--rater-weight", "ann=0", "--rater-weight", "bo=0", "--out", "pog.parquet"];
    let output = pog(&[&flags[..], &overruled].concat(), dir.path());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(dir.path().join("order.txt")).unwrap(), "3>2>1\n");
}

#[test]
fn bad_evidence_is_one_clear_line_exit_code_1_and_the_old_output_stays() {
    let dir = TempDir::new().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    votes(dir.path(), 2);
    let made = Made::by("pog-aggregate");
    contract::write::<PogRow>(&dir.path().join("wrong.parquet"), &[], &made).unwrap();
    write("cut.parquet", "PAR1 rubbish");
    write("bad.txt", "1>2\n1>>2\n");
    write("empty.txt", "\n");
    write("good.txt", "1>2\n1=2\n");
    write("one.txt", "ann\n");
    write("old.parquet", "old");
    let cases: [(&[&str], &str); 9] = [
        (&["--votes", "absent.parquet"], "absent.parquet"),
        (&["--votes", "wrong.parquet"], "want table votes/1, got pog/1"),
        (&["--votes", "cut.parquet"], "cut.parquet"),
        (&["--orders", "bad.txt"], "bad.txt: line 2: want a cluster number at character 3"),
        (&["--orders", "empty.txt"], "at least one rater"),
        (&["--orders", "good.txt", "--raters", "one.txt"], "one.txt: want one distinct name an order"),
        (&["--orders", "good.txt", "--levels", "9"], "got 9"),
        (&["--orders", "good.txt", "--rater-weight", "zed=2"], "zed"),
        (
            &["--votes", "votes.parquet", "--lowest", "0", "--lowest", "1", "--lowest", "2", "--lowest", "3"],
            "rater",
        ),
    ];
    for (flags, want) in cases {
        let output = pog(&[flags, &["--out", "old.parquet"]].concat(), dir.path());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {text}");
        assert!(text.contains(want) && text.trim_end().lines().count() == 1, "{flags:?}: {text}");
        assert_eq!(std::fs::read(dir.path().join("old.parquet")).unwrap(), b"old");
    }
}

#[test]
fn wrong_flags_are_exit_code_2() {
    let dir = TempDir::new().unwrap();
    let cases: [&[&str]; 5] = [
        &["--out", "x"],
        &["--orders", "b", "--method", "borda", "--out", "x"],
        &["--orders", "b", "--tie-score", "-3", "--out", "x"],
        &["--orders", "b", "--rater-weight", "ann=-1", "--out", "x"],
        &["--orders", "b", "--no-such-flag", "--out", "x"],
    ];
    for flags in cases {
        assert_eq!(pog(flags, dir.path()).status.code(), Some(2), "{flags:?}");
    }
}

/// Three raters on five clusters, every pair once, the lower number always the more developed; every ninth answer is missing.
fn pairs(folder: &Path) {
    let mut rows = Vec::new();
    let asked =
        (0..3u32).flat_map(|rater| (0..5u32).flat_map(move |a| (a + 1..5).map(move |b| (rater, a, b))));
    for (rater, a, b) in asked {
        let turned = (rater + a + b) % 2 == 1;
        let (left, right) = if turned { (b, a) } else { (a, b) };
        let lost = rows.len() % 9 == 8;
        let image = |cluster| TileId { row: cluster, col: 0 };
        rows.push(Pair {
            rater: format!("test/expert/{rater}"),
            judge: "test".into(),
            persona: "expert".into(),
            repeat: rater,
            round: 0,
            left_cluster: left,
            right_cluster: right,
            left_granule: "T18SVG".parse().unwrap(),
            left_tile: image(left),
            right_granule: "T18SVG".parse().unwrap(),
            right_tile: image(right),
            winner: (!lost).then_some(if turned { Winner::Right } else { Winner::Left }),
            missing: lost.then(|| "refused".into()),
            raw: None,
            prompt_hash: "00".into(),
        });
    }
    contract::write(&folder.join("pairs.parquet"), &rows, &Made::by("vlm-label")).unwrap();
}

#[test]
fn pairs_become_an_order_by_every_method_and_the_health_table_says_that_they_connect() {
    let dir = TempDir::new().unwrap();
    pairs(dir.path());
    for method in ["bradley-terry", "kemeny", "welsch", "mean", "study"] {
        let flags = ["--pairs", "pairs.parquet", "--method", method, "--levels", "5", "--replicates", "50"];
        let outs =
            ["--health-out", "h.parquet", "--dot-out", "o.dot", "--order-out", "o.txt", "--out", "p.parquet"];
        let output = pog(&[&flags[..], &outs].concat(), dir.path());
        assert!(output.status.success(), "{method}: {}", said(&output));
        assert_eq!(std::fs::read_to_string(dir.path().join("o.txt")).unwrap(), "0>1>2>3>4\n", "{method}");
        let health: Vec<Metric> = contract::read(&dir.path().join("h.parquet")).unwrap();
        let value = |name: &str| health.iter().find(|check| check.name == name).unwrap().value;
        assert_eq!((value("components"), value("ring_share")), (Some(1.0), Some(0.0)), "{method}");
        assert_eq!(value("undefeated"), Some(1.0));
        assert!(std::fs::read_to_string(dir.path().join("o.dot")).unwrap().starts_with("digraph"));
        assert!(said(&output).contains("3 skipped (missing winner)"), "{}", said(&output));
    }
}

#[test]
fn evidence_that_puts_no_cluster_above_another_is_refused_with_its_likely_cause_and_nothing_is_written() {
    let dir = TempDir::new().unwrap();
    votes(dir.path(), 5);
    let all: Vec<Vote> = contract::read(&dir.path().join("votes.parquet")).unwrap();
    let write = |name: &str, rows: Vec<Vote>| {
        contract::write(&dir.path().join(name), &rows, &Made::by("vlm-label")).unwrap();
    };
    let alike = |vote: &Vote| Vote { score: vote.score.map(|_| 50.0), ..vote.clone() };
    write("alike.parquet", all.iter().map(alike).collect());
    write("one.parquet", all.iter().filter(|vote| vote.cluster == 2).cloned().collect());
    write("none.parquet", Vec::new());
    std::fs::write(dir.path().join("tied.txt"), "1=2=3\n3=2=1\n").unwrap();
    std::fs::write(dir.path().join("old.parquet"), "old").unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["--votes", "alike.parquet"], "all 4 are tied by their raters: nothing to order; likely each tile"),
        (&["--votes", "alike.parquet", "--levels", "3"], "all 4 are tied"),
        (&["--votes", "one.parquet"], "one.parquet: want evidence on at least 2 clusters, got 1"),
        (&["--votes", "none.parquet"], "none.parquet"),
        (&["--orders", "tied.txt"], "all 3 are tied"),
    ];
    for (flags, want) in cases {
        let output =
            pog(&[flags, &["--raters-out", "r.parquet", "--out", "old.parquet"]].concat(), dir.path());
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {text}");
        assert!(text.contains(want) && text.trim_end().lines().count() == 1, "{flags:?}: {text}");
        assert_eq!(std::fs::read(dir.path().join("old.parquet")).unwrap(), b"old");
        assert!(!dir.path().join("r.parquet").exists());
    }
    let lowest = ["--votes", "alike.parquet", "--lowest", "9", "--order-out", "o.txt", "--out", "p.parquet"];
    let output = pog(&lowest, dir.path());
    assert!(output.status.success() && said(&output).contains("share one level"), "{}", said(&output));
    assert_eq!(std::fs::read_to_string(dir.path().join("o.txt")).unwrap(), "0=1=2=3>9\n");
}

#[test]
fn votes_orders_and_pairs_are_heard_together_and_each_rater_has_an_effect() {
    let dir = TempDir::new().unwrap();
    votes(dir.path(), 3);
    pairs(dir.path());
    std::fs::write(dir.path().join("orders.txt"), "0>1>2>3>4\n4>3>2>1>0\n").unwrap();
    let flags = [
        "--votes",
        "votes.parquet",
        "--orders",
        "orders.txt",
        "--pairs",
        "pairs.parquet",
        "--replicates",
        "50",
    ];
    let output =
        pog(&[&flags[..], &["--raters-out", "raters.parquet", "--out", "pog.parquet"]].concat(), dir.path());
    assert!(output.status.success(), "{}", said(&output));
    let raters: Vec<RaterRow> = contract::read(&dir.path().join("raters.parquet")).unwrap();
    assert_eq!(raters.len(), 8);
    assert!(raters.iter().all(|rater| rater.shift_ranks.is_some() && rater.moved_share.is_some()));
    let reversed = raters.iter().find(|rater| rater.rater == "order-2").unwrap();
    assert!(reversed.weight < 0.05 && reversed.tau == Some(-1.0), "{reversed:?}");
    assert!(raters.iter().any(|rater| rater.rater == "test/expert/0 (pairs)"));
}

#[test]
fn compare_prints_a_row_a_panel_and_writes_it() {
    let dir = TempDir::new().unwrap();
    let output = pog(&["compare", "--trials", "4", "--out", "t1.parquet"], dir.path());
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 6);
    let metrics: Vec<Metric> = contract::read(&dir.path().join("t1.parquet")).unwrap();
    assert_eq!(metrics.len(), 20);
    assert!(metrics.iter().all(|metric| metric.low < metric.value && metric.value < metric.high));
}
