//! Batch mode against an endpoint with files and batches on loopback, killed at any moment.
#![allow(clippy::unwrap_used)]

mod scene;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use contract::Label;
use scene::office::{End, Endpoint, Fate, Office};
use scene::{KEY, prompt, said, scene, vlm};
use serde_json::Value;

const N_IMAGES: usize = 5;
const N_REPEATS: usize = 4;
const N_QUESTIONS: usize = N_IMAGES * N_REPEATS;

fn flags<'a>(prompt: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut flags =
        vec!["classify", "--tiles", "tiles.parquet", "--prompt", prompt, "--out", "labels.parquet"];
    flags.extend([
        "--judge",
        "openai",
        "--model",
        "m",
        "--repeats",
        "4",
        "--pause-s",
        "0.01",
        "--record",
        "tape.jsonl",
    ]);
    flags.extend(["--batch", "batches", "--batch-poll-s", "0.01"]);
    flags.extend(more);
    flags
}

fn labels(folder: &Path) -> Vec<Label> {
    contract::read(&folder.join("labels.parquet")).unwrap()
}

fn paid_once(office: &Office) {
    assert_eq!(office.paid.len(), N_QUESTIONS);
    assert!(office.paid.values().all(|n| *n == 1), "{:?}", office.paid.values());
}

#[test]
fn all_questions_go_in_files_of_bounded_length_and_every_answer_is_used_once() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let endpoint = Endpoint::start(|_, _| Fate::Answered, 0);
    let more = ["--batch-requests", "7", "--batch-bytes", "12000"];
    let output = vlm(dir.path(), &endpoint.base, &flags(&prompt, &more));
    assert!(output.status.success(), "{}", said(&output));
    let rows = labels(dir.path());
    assert!(rows.len() == N_IMAGES * 3 && rows.iter().all(|row| row.n_answers == N_REPEATS as u32));
    let office = endpoint.office();
    paid_once(&office);
    assert!(office.uploads.len() >= 3 && office.uploads.iter().all(|n| *n <= 12_000), "{:?}", office.uploads);
    assert!(office.trusted && !said(&output).contains(KEY));
    drop(office);
    let replay = ["--judge", "replay", "--replay", "tape.jsonl"];
    let again = vlm(
        dir.path(),
        "http://127.0.0.1:9/v1",
        &[
            &[
                "classify",
                "--tiles",
                "tiles.parquet",
                "--prompt",
                &prompt,
                "--repeats",
                "4",
                "--out",
                "b.parquet",
            ][..],
            &replay,
        ]
        .concat(),
    );
    assert!(again.status.success(), "{}", said(&again));
    assert_eq!(
        std::fs::read(dir.path().join("b.parquet")).unwrap(),
        std::fs::read(dir.path().join("labels.parquet")).unwrap()
    );
}

#[test]
fn what_expired_or_failed_is_handed_in_again_and_what_was_answered_is_not() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let end: End = |batch, place| match (batch, place) {
        (0, 0..3) => Fate::Answered,
        (0, _) => Fate::Expired,
        (1, 0..4) => Fate::Error(500),
        (1, 4) => Fate::Error(429),
        _ => Fate::Answered,
    };
    let endpoint = Endpoint::start(end, 0);
    let output = vlm(dir.path(), &endpoint.base, &flags(&prompt, &[]));
    assert!(output.status.success(), "{}", said(&output));
    paid_once(&endpoint.office());
    assert_eq!(endpoint.office().batches.len(), 3);
}

#[test]
fn what_stays_lost_is_missing_and_what_is_rejected_is_not_asked_again() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let end: End = |_, place| match place {
        0 => Fate::Error(400),
        1 => Fate::Error(500),
        _ => Fate::Answered,
    };
    let endpoint = Endpoint::start(end, 0);
    let refused = vlm(dir.path(), &endpoint.base, &flags(&prompt, &["--tries", "1"]));
    assert!(!refused.status.success() && said(&refused).contains("--max-failed"), "{}", said(&refused));
    assert!(!dir.path().join("labels.parquet").exists());
    assert_eq!(endpoint.office().paid.len(), N_QUESTIONS - 2);
    let output = vlm(dir.path(), &endpoint.base, &flags(&prompt, &["--tries", "1", "--max-failed", "0.1"]));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(endpoint.office().batches.len(), 2);
    assert!(endpoint.office().paid.values().all(|n| *n == 1));
    assert!(!said(&output).contains(KEY));
}

#[test]
fn a_batch_that_the_money_does_not_cover_is_not_created() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let endpoint = Endpoint::start(|_, _| Fate::Answered, 0);
    let output =
        vlm(dir.path(), &endpoint.base, &flags(&prompt, &["--max-calls", "10", "--batch-requests", "7"]));
    assert!(said(&output).contains("the budget of --max-calls 10 is spent"), "{}", said(&output));
    assert_eq!(endpoint.office().paid.len(), 7);
    assert!(vlm(dir.path(), &endpoint.base, &flags(&prompt, &[])).status.success());
    paid_once(&endpoint.office());
}

/// Four chunks of five questions, and money for two of them at their estimates.
#[test]
fn answers_that_are_not_counted_cost_their_estimates_in_batches_too() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let prices = r#"[{"model": "m", "currency": "EUR", "input_per_million": 1000, "output_per_million": 1000,
        "batch_share": 1.0, "date": "2026-01-01", "source": "http://here"}]"#;
    std::fs::write(dir.path().join("prices.json"), prices).unwrap();
    let endpoint = Endpoint::start(|_, _| Fate::Uncounted, 0);
    let more = ["--prices", "prices.json", "--max-tokens", "50", "--batch-requests", "5"];
    let planned = vlm(dir.path(), &endpoint.base, &[&["plan"], &flags(&prompt, &more)[..]].concat());
    let planned = String::from_utf8(planned.stdout).unwrap();
    let all: f64 = planned.split("about ").nth(2).unwrap().split(' ').next().unwrap().parse().unwrap();
    let cap = format!("{}", all * 0.55);
    let capped = [&more[..], &["--max-cost", &cap]].concat();
    let output = vlm(dir.path(), &endpoint.base, &flags(&prompt, &capped));
    assert!(said(&output).contains("the budget of --max-cost"), "{}", said(&output));
    assert_eq!(endpoint.office().paid.len(), 10);
    // what is recorded is not paid for again, and the rest costs its estimates too
    let output =
        vlm(dir.path(), &endpoint.base, &flags(&prompt, &[&capped[..], &["--ledger", "l.json"]].concat()));
    assert!(output.status.success(), "{}", said(&output));
    let ledger: Value = serde_json::from_slice(&std::fs::read(dir.path().join("l.json")).unwrap()).unwrap();
    assert!((ledger["spent"]["EUR"].as_f64().unwrap() - all / 2.0).abs() < 1e-6, "{ledger} of {all}");
    paid_once(&endpoint.office());
}

#[test]
fn in_batches_too_the_word_for_the_length_changes_and_errors_of_success_are_asked_again() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let end: End = |batch, place| if (batch, place) == (1, 3) { Fate::Failed } else { Fate::NoWord };
    let endpoint = Endpoint::start(end, 0);
    let output = vlm(dir.path(), &endpoint.base, &flags(&prompt, &["--max-tokens", "50"]));
    assert!(output.status.success(), "{}", said(&output));
    paid_once(&endpoint.office());
    assert_eq!(
        endpoint.office().batches.len(),
        3,
        "all with the old word, all with the new one, and one again"
    );
}

#[test]
fn an_account_that_is_used_up_ends_batches_in_the_endpoints_words_and_the_next_run_goes_on() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let end: End = |batch, place| if batch == 0 && place > 4 { Fate::Unpaid } else { Fate::Answered };
    let endpoint = Endpoint::start(end, 0);
    let output = vlm(dir.path(), &endpoint.base, &flags(&prompt, &["--max-failed", "1"]));
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains("quota is used up") && said(&output).contains("none left"),
        "{}",
        said(&output)
    );
    assert_eq!(endpoint.office().batches.len(), 1);
    assert!(vlm(dir.path(), &endpoint.base, &flags(&prompt, &[])).status.success());
    paid_once(&endpoint.office());
}

#[test]
fn a_creation_whose_answer_is_lost_is_found_again_and_not_repeated() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    for fault in [2, 3, 4, 5] {
        let folder = dir.path().join(format!("f{fault}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(dir.path().join("tiles.parquet"), folder.join("tiles.parquet")).unwrap();
        let endpoint = Endpoint::start(|_, _| Fate::Answered, fault);
        let output = vlm(&folder, &endpoint.base, &flags(&prompt, &["--batch-requests", "7"]));
        assert!(output.status.success(), "{fault}: {}", said(&output));
        paid_once(&endpoint.office());
        assert_eq!(endpoint.office().batches.len(), 3, "{fault}");
    }
}

/// Kills after ever more milliseconds, so that every step is hit, and then lets one run come to its end.
#[test]
fn a_run_killed_at_any_step_pays_for_no_question_twice() {
    let (dir, prompt) = (scene(), prompt("classes/settlement.en.md"));
    let end: End = |batch, place| if batch == 1 && place > 2 { Fate::Expired } else { Fate::Answered };
    let mut n_killed = 0;
    for round in 0..3 {
        let folder = dir.path().join(format!("r{round}"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(dir.path().join("tiles.parquet"), folder.join("tiles.parquet")).unwrap();
        let endpoint = Endpoint::start(end, 0);
        for step in 0..25 {
            let mut run = Command::new(env!("CARGO_BIN_EXE_vlm-label"))
                .args(flags(&prompt, &["--batch-requests", "7"]))
                .args(["--canaries", "0"])
                .env("OPENAI_BASE_URL", &endpoint.base)
                .env("OPENAI_API_KEY", KEY)
                .env("RUST_LOG", "error")
                .stderr(Stdio::null())
                .current_dir(&folder)
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(8 + 3 * step + round));
            n_killed += usize::from(run.try_wait().unwrap().is_none());
            run.kill().unwrap();
            run.wait().unwrap();
        }
        let output = vlm(&folder, &endpoint.base, &flags(&prompt, &["--batch-requests", "7"]));
        assert!(output.status.success(), "{}", said(&output));
        paid_once(&endpoint.office());
        assert!(labels(&folder).iter().all(|row| row.n_answers == N_REPEATS as u32));
    }
    assert!(n_killed > 10, "{n_killed} runs were killed under way");
}
