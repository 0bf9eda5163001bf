//! The program against a real HTTP endpoint on loopback that has every fault.
#![allow(clippy::unwrap_used)]

mod scene;

use std::path::Path;
use std::time::{Duration, Instant};

use contract::{Label, Vote};
use scene::{Endpoint, KEY, Reply, SHARES, prompt, said, scene, text, vlm};

const N_IMAGES: usize = 5;
/// `tiny_http` keeps four threads for connections that stay open; a fifth may wait for one of them.
const CONNECTIONS: &str = "3";

/// One quick answer a tile, unless `more` says otherwise.
fn classify(folder: &Path, base: &str, more: &[&str]) -> std::process::Output {
    let prompt = prompt("classes/settlement.en.md");
    let mut flags =
        vec!["classify", "--tiles", "tiles.parquet", "--prompt", &prompt, "--out", "labels.parquet"];
    flags.extend(["--judge", "openai", "--model", "m", "--pause-s", "0.01"]);
    for (flag, value) in [("--repeats", "1"), ("--timeout-s", "5"), ("--concurrency", CONNECTIONS)] {
        if !more.contains(&flag) {
            flags.extend([flag, value]);
        }
    }
    flags.extend(more);
    vlm(folder, base, &flags)
}

fn labels(folder: &Path) -> Vec<Label> {
    contract::read(&folder.join("labels.parquet")).unwrap()
}

#[test]
fn every_tile_with_pixels_gets_a_label_from_its_own_image() {
    let dir = scene();
    let endpoint = Endpoint::start(|_, _| text(SHARES));
    let output = classify(dir.path(), &endpoint.base, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let rows = labels(dir.path());
    assert_eq!(rows.len(), N_IMAGES * 3);
    assert_eq!(rows[1].class, "rural");
    assert!((rows[1].probability.unwrap() - 0.5).abs() < 1e-12);
    assert_eq!(rows[0].judge, "openai:m");
    let calls = endpoint.calls();
    assert_eq!(calls.len(), N_IMAGES);
    for call in &calls {
        assert_eq!((call["url"].as_str(), call["key"].as_bool()), (Some("/v1/chat/completions"), Some(true)));
        assert_eq!(call["body"]["model"], "m");
        let parts = &call["body"]["messages"][0]["content"];
        assert!(parts[0]["text"].as_str().unwrap().contains("satellite image"));
        assert!(parts[1]["image_url"]["url"].as_str().unwrap().starts_with("data:image/png;base64,"));
    }
    assert!(said(&output).contains("1 skipped (no valid pixels)"), "{}", said(&output));
}

#[test]
fn a_429_without_openai_json_is_tried_again_no_sooner_than_it_says() {
    let dir = scene();
    let limited = || Reply::Status(429, Some(("Retry-After", "1")), "<html>slow down</html>".into());
    let endpoint = Endpoint::start(
        move |image, before| if image == 0 && before == 0 { limited() } else { text(SHARES) },
    );
    let begun = Instant::now();
    let output = classify(dir.path(), &endpoint.base, &[]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    assert_eq!(endpoint.calls().len(), N_IMAGES + 1);
}

#[test]
fn faults_that_pass_are_tried_again_within_the_bound() {
    let dir = scene();
    let endpoint = Endpoint::start(|image, before| match (image, before) {
        (0, 0) => Reply::Status(500, None, "oops".into()),
        (1, 0) => Reply::Status(200, None, "<html>gateway</html>".into()),
        (2, 0) => Reply::Status(200, None, "{\"choices\": []}".into()),
        (3, 0) => Reply::Slow(Duration::from_millis(1500), SHARES.into()),
        (4, 0 | 1) => Reply::Status(503, None, String::new()),
        _ => text(SHARES),
    });
    let output = classify(dir.path(), &endpoint.base, &["--timeout-s", "0.5"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(endpoint.calls().len(), N_IMAGES + 6);
}

#[test]
fn a_fault_that_stays_is_missing_by_kind_and_its_calls_are_bounded() {
    let dir = scene();
    let endpoint = Endpoint::start(|image, _| match image {
        0 => Reply::Status(500, None, "oops".into()),
        1 => Reply::Status(200, None, "garbage".into()),
        2 => Reply::Status(400, None, "no".into()),
        3 => Reply::Status(429, Some(("Retry-After", "86400")), "tomorrow".into()),
        _ => text("I see a town. Score: 100"),
    });
    let output = classify(dir.path(), &endpoint.base, &["--tries", "3", "--max-failed", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    let mut reasons: Vec<String> = labels(dir.path()).into_iter().filter_map(|row| row.missing).collect();
    reasons.sort();
    reasons.dedup();
    let want = [
        "no chat completion",
        "not one JSON object",
        "rate limited",
        "rejected by the endpoint",
        "server error",
    ];
    assert_eq!(reasons, want);
    assert!(labels(dir.path()).iter().all(|row| row.probability.is_none()));
    assert_eq!(endpoint.calls().len(), 3 + 3 + 1 + 1 + 1);
}

#[test]
fn an_endpoint_that_hangs_times_out() {
    let dir = scene();
    let endpoint = Endpoint::start(|_, _| Reply::Slow(Duration::from_secs(20), SHARES.into()));
    let begun = Instant::now();
    let flags = ["--timeout-s", "0.3", "--tries", "2", "--max-failed", "1"];
    let output = classify(dir.path(), &endpoint.base, &flags);
    assert!(output.status.success(), "{}", said(&output));
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(labels(dir.path()).iter().all(|row| row.missing.as_deref() == Some("timed out")));
}

#[test]
fn an_outage_above_max_failed_refuses_early_and_leaves_the_old_table() {
    let dir = scene();
    std::fs::write(dir.path().join("labels.parquet"), "old").unwrap();
    let endpoint = Endpoint::start(|_, _| Reply::Status(503, None, String::new()));
    let flags = ["--tries", "1", "--max-failed", "0.3", "--concurrency", "1", "--repeats", "10"];
    let output = classify(dir.path(), &endpoint.base, &flags);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("more than --max-failed allows"), "{}", said(&output));
    assert_eq!(std::fs::read(dir.path().join("labels.parquet")).unwrap(), b"old");
    assert!(endpoint.calls().len() <= 19, "60 answers wanted, 18 may be lost: {}", endpoint.calls().len());
}

#[test]
fn unreadable_answers_above_max_failed_refuse_and_write_nothing() {
    let dir = scene();
    let endpoint = Endpoint::start(|image, _| text(if image == 0 { "hello" } else { SHARES }));
    let output = classify(dir.path(), &endpoint.base, &["--max-failed", "0.1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("not one JSON object"), "{}", said(&output));
    assert!(!dir.path().join("labels.parquet").exists());
    assert!(classify(dir.path(), &endpoint.base, &["--max-failed", "0.2"]).status.success());
}

#[test]
fn a_replay_gives_the_bytes_of_the_run_it_records() {
    let dir = scene();
    let endpoint = Endpoint::start(|image, before| match (image, before) {
        (0, _) => Reply::Status(500, None, "oops".into()),
        (1, 1) => text("no idea"),
        (n, m) => text(&format!("{{\"score\": {}}}", n * 20 + m)),
    });
    let personas = [prompt("personas/expert.en.md"), prompt("personas/resident.zh.md")];
    let run = |base: &str, judge: &[&str], out: &str| {
        let flags =
            ["vote", "--tiles", "tiles.parquet", "--clusters", "clusters.parquet", "--max-failed", "0.6"];
        let prompts = ["--prompt", &personas[0], "--prompt", &personas[1], "--images-per-cluster", "2"];
        let output = vlm(dir.path(), base, &[&flags[..], &prompts, judge, &["--out", out]].concat());
        assert!(output.status.success(), "{}", said(&output));
        std::fs::read(dir.path().join(out)).unwrap()
    };
    let bounds = ["--pause-s", "0.01", "--tries", "2", "--timeout-s", "5", "--concurrency", CONNECTIONS];
    let live = [&["--judge", "openai", "--model", "m", "--record", "tape.jsonl"][..], &bounds].concat();
    let recorded = run(&endpoint.base, &live, "a.parquet");
    let calls = endpoint.calls().len();
    let replay = ["--judge", "replay", "--replay", "tape.jsonl"];
    assert_eq!(run("http://127.0.0.1:9/v1", &replay, "b.parquet"), recorded);
    assert_eq!(endpoint.calls().len(), calls);

    let votes: Vec<Vote> = contract::read(&dir.path().join("a.parquet")).unwrap();
    assert_eq!(votes.len(), 2 * 3 * 2 * 2);
    assert!(votes.iter().any(|vote| vote.rater == "openai:m/resident.zh/2" && vote.score.is_some()));
    assert!(votes.iter().all(|vote| vote.score.is_some() != vote.missing.is_some()));
    assert!(votes.iter().any(|vote| vote.raw.as_deref() == Some("no idea") && vote.score.is_none()));
}

#[test]
fn a_run_taken_up_again_asks_only_what_was_not_answered() {
    let dir = scene();
    let endpoint = Endpoint::start(|image, before| match (image, before) {
        (2, 0) => Reply::Status(401, None, format!("wrong key {KEY}")),
        _ => text(SHARES),
    });
    let flags = ["--record", "tape.jsonl", "--concurrency", "1"];
    let first = classify(dir.path(), &endpoint.base, &flags);
    assert_eq!(first.status.code(), Some(1));
    assert!(said(&first).contains("refuses the key"), "{}", said(&first));
    assert_eq!(endpoint.calls().len(), 3);
    assert!(classify(dir.path(), &endpoint.base, &flags).status.success());
    assert_eq!(endpoint.calls().len(), 3 + 3);
    assert!(classify(dir.path(), &endpoint.base, &flags).status.success());
    assert_eq!(endpoint.calls().len(), 6);
}

#[test]
fn the_budget_of_calls_holds_under_concurrency() {
    let dir = scene();
    let endpoint = Endpoint::start(|_, _| text(SHARES));
    let output = classify(dir.path(), &endpoint.base, &["--max-calls", "7", "--repeats", "4"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("budget"), "{}", said(&output));
    assert!(endpoint.calls().len() <= 7);
}

#[test]
fn no_failure_prints_or_stores_the_key() {
    let dir = scene();
    let echo = format!("{{\"error\": {{\"message\": \"bad key {KEY}\"}}}}");
    let replies = [
        Reply::Status(200, None, echo.clone()),
        Reply::Status(400, None, echo.clone()),
        Reply::Status(401, None, echo.clone()),
        Reply::Status(404, None, echo.clone()),
        Reply::Status(429, None, echo.clone()),
        Reply::Status(500, None, echo),
        Reply::Status(302, Some(("Location", "http://127.0.0.1:9/")), KEY.into()),
    ];
    for reply in replies {
        let kind = reply.clone();
        let endpoint = Endpoint::start(move |_, _| reply.clone());
        let output = classify(dir.path(), &endpoint.base, &["--tries", "2", "--record", "tape.jsonl"]);
        assert_eq!(output.status.code(), Some(1), "{kind:?}");
        assert!(!said(&output).contains(KEY), "{kind:?}: {}", said(&output));
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{kind:?}");
        }
    }
    let output = classify(dir.path(), "http://127.0.0.1:9/v1", &["--tries", "1"]);
    assert!(!said(&output).contains(KEY) && said(&output).contains("unreachable"), "{}", said(&output));
}
