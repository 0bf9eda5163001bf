//! What an endpoint answers around and beside an answer: read where its meaning is plain, missing with a reason where it is not, kept as
//! it came, and never paid for in vain.
#![allow(clippy::unwrap_used)]

mod scene;

use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use contract::{Label, Vote};
use scene::rough::{Deed, Rough};
use scene::{Endpoint, KEY, Reply, SHARES, prompt, said, scene, text, vlm};
use serde_json::{Value, json};

const SCORE: &str = "{\"score\": 47}";
const N_VOTES: usize = 4;
const N_TILES: usize = 5;

fn flags<'a>(job: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    let judge = ["--judge", "openai", "--model", "m", "--pause-s", "0.01", "--record", "tape.jsonl"];
    let mut flags = [job, &judge, more].concat();
    for (flag, value) in [("--repeats", "1"), ("--concurrency", "3"), ("--timeout-s", "5")] {
        if !more.contains(&flag) {
            flags.extend([flag, value]);
        }
    }
    flags
}

fn vote(folder: &Path, base: &str, more: &[&str]) -> Output {
    let prompt = prompt("personas/expert.en.md");
    let job = ["vote", "--tiles", "tiles.parquet", "--clusters", "clusters.parquet", "--prompt", &prompt];
    let job = [&job[..], &["--images-per-cluster", "2", "--out", "votes.parquet"]].concat();
    vlm(folder, base, &flags(&job, more))
}

fn classify(folder: &Path, base: &str, more: &[&str]) -> Output {
    let prompt = prompt("classes/settlement.en.md");
    let job = ["classify", "--tiles", "tiles.parquet", "--prompt", &prompt, "--out", "labels.parquet"];
    vlm(folder, base, &flags(&job, more))
}

fn votes(folder: &Path) -> Vec<Vote> {
    contract::read(&folder.join("votes.parquet")).unwrap()
}

fn recorded(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("tape.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn chat(message: Value, finish: &str) -> Value {
    json!({"choices": [{"index": 0, "message": message, "finish_reason": finish}]})
}

fn endless(body: String) -> Endpoint {
    Endpoint::start(move |_, _| Reply::Status(200, None, body.clone()))
}

#[test]
fn an_envelope_that_is_no_answer_is_missing_with_its_reason_and_its_number_is_not_taken() {
    let tool = json!([{"id": "1", "type": "function", "function": {"name": "a", "arguments": SCORE}}]);
    let answer = || json!({"role": "assistant", "content": SCORE});
    let several = json!({"choices": [{"message": answer()}, {"message": {"content": "{\"score\": 9}"}}]});
    let mut beside = chat(answer(), "stop");
    beside["error"] = json!({"message": "sk-SECRET insufficient_quota"});
    let twice = r#"{"choices": [{"message": {"content": "{\"score\": 1}", "content": "{\"score\": 90}"}}]}"#;
    let cases = [
        (json!({"error": {"message": "loading", "code": 502}}).to_string(), "error instead of an answer"),
        (beside.to_string(), "error instead of an answer"),
        (chat(answer(), "error").to_string(), "error instead of an answer"),
        (chat(answer(), "content_filter").to_string(), "refused"),
        (chat(answer(), "length").to_string(), "answer cut off"),
        (chat(answer(), "tool_calls").to_string(), "tool call"),
        (chat(json!({"content": SCORE, "tool_calls": tool}), "stop").to_string(), "tool call"),
        (
            chat(json!({"role": "user", "content": SCORE}), "stop").to_string(),
            "message of another role than assistant",
        ),
        (several.to_string(), "several answers that differ"),
        (twice.to_owned(), "body with doubled keys"),
        (
            chat(json!({"content": null, "reasoning": SCORE}), "stop").to_string(),
            "reasoning without an answer",
        ),
        (chat(json!({"content": {"score": 47}}), "stop").to_string(), "answer is no text"),
        (scene::chat("{\"score\": 0.9}"), "fraction of one, want 0 to 100"),
    ];
    for (body, reason) in cases {
        let dir = scene();
        let endpoint = endless(body.clone());
        let output = vote(dir.path(), &endpoint.base, &["--max-failed", "1", "--tries", "2"]);
        assert!(output.status.success(), "{body}: {}", said(&output));
        let votes = votes(dir.path());
        assert_eq!(votes.len(), N_VOTES);
        assert!(
            votes.iter().all(|vote| vote.score.is_none() && vote.missing.as_deref() == Some(reason)),
            "{body}: {votes:?}"
        );
        let refused = vote(dir.path(), &endpoint.base, &["--tries", "1"]);
        assert_eq!(refused.status.code(), Some(1), "{body}");
        assert!(!said(&refused).contains("sk-SECRET"), "{}", said(&refused));
    }
}

#[test]
fn answers_behind_a_thought_in_parts_and_beside_reasoning_are_read_and_replayed() {
    let part = |kind: &str, text: &str| json!({"type": kind, kind: text});
    let contents = [
        json!(format!("The roads are narrow. {{\"score\": 3}}?\n</think>\n\n{SCORE}")),
        json!([part("thinking", "roads"), part("text", SCORE)]),
        json!([part("text", "{\"score\""), part("text", ": 47}")]),
        json!(SCORE),
    ];
    for content in contents {
        let dir = scene();
        let message = json!({"role": "assistant", "content": content, "reasoning_content": "{\"score\": 3}"});
        let endpoint = endless(chat(message, "stop").to_string());
        let output = vote(dir.path(), &endpoint.base, &[]);
        assert!(output.status.success(), "{content}: {}", said(&output));
        assert!(votes(dir.path()).iter().all(|vote| vote.score == Some(47.0)), "{content}");
        let first = std::fs::read(dir.path().join("votes.parquet")).unwrap();
        let again = vote(dir.path(), "http://127.0.0.1:9/v1", &[]);
        assert!(again.status.success(), "all is recorded: {}", said(&again));
        assert_eq!(std::fs::read(dir.path().join("votes.parquet")).unwrap(), first);
    }
}

/// A form of answer that nobody can read yet is on the disk all the same, and once it can be read it is.
#[test]
fn an_answer_of_an_unknown_form_is_recorded_as_it_came_and_not_paid_for_again() {
    let dir = scene();
    let content = json!([{"type": "hologram", "light": 7}, {"type": "text", "text": SCORE}]);
    let endpoint = endless(chat(json!({"content": content}), "stop").to_string());
    let output = vote(dir.path(), &endpoint.base, &["--max-failed", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    assert!(votes(dir.path()).iter().all(|vote| vote.missing.as_deref() == Some("answer is no text")));
    assert!(recorded(dir.path()).iter().all(|line| line["raw"] == content));
    assert!(vote(dir.path(), &endpoint.base, &["--max-failed", "1"]).status.success());
    assert_eq!(endpoint.calls().len(), N_VOTES);
    let path = dir.path().join("tape.jsonl");
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("hologram", "reasoning")).unwrap();
    assert!(vote(dir.path(), "http://127.0.0.1:9/v1", &[]).status.success());
    assert!(votes(dir.path()).iter().all(|vote| vote.score == Some(47.0)));
}

#[test]
fn answers_that_nobody_can_read_end_the_run_early_with_an_example_and_doom_the_next_one_unasked() {
    let dir = scene();
    let endpoint = Endpoint::start(|_, _| text(&format!("I\u{1b}[2J would say\r\n 47 {KEY}")));
    let wanted = 5 * 40;
    let run = || classify(dir.path(), &endpoint.base, &["--repeats", "40", "--max-failed", "0.05"]);
    let output = run();
    assert_eq!(output.status.code(), Some(1));
    let last = said(&output).lines().last().unwrap().to_owned();
    for part in ["more than --max-failed allows", "not one JSON object", "“I [2J would say 47 [hidden]”"]
    {
        assert!(last.contains(part), "{last}");
    }
    let n_paid = endpoint.calls().len();
    assert!((11..20).contains(&n_paid), "{n_paid} of {wanted}: one more than ten, and what was under way");
    assert_eq!(recorded(dir.path()).len(), n_paid);
    assert_eq!(run().status.code(), Some(1));
    assert_eq!(endpoint.calls().len(), n_paid, "what is recorded dooms the run already");
    assert!(!said(&output).contains(KEY));
}

#[test]
fn canaries_that_cannot_be_read_end_no_run() {
    let dir = scene();
    let endpoint = Endpoint::start(|image, _| text(if image < N_TILES { SHARES } else { "a black square" }));
    let output = classify(dir.path(), &endpoint.base, &["--canaries", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(endpoint.calls().len(), N_TILES + 5);
}

#[test]
fn all_tiles_of_one_class_are_said_at_once_with_the_likely_causes() {
    let dir = scene();
    let endpoint = Endpoint::start(|_, _| text(SHARES));
    let output = classify(dir.path(), &endpoint.base, &[]);
    assert!(output.status.success(), "{}", said(&output));
    let warning =
        said(&output).lines().find(|line| line.contains("all 5 labelled tiles: rural")).unwrap().to_owned();
    assert!(warning.contains("tiles of 40 m") && warning.contains("--tile-px"), "{warning}");
    let varied = r#"{"uninhabited": 0.1, "rural": 0.3, "urban": 0.6}"#;
    let endpoint = Endpoint::start(move |image, _| text(if image == 0 { varied } else { SHARES }));
    std::fs::remove_file(dir.path().join("tape.jsonl")).unwrap();
    let output = classify(dir.path(), &endpoint.base, &[]);
    assert!(output.status.success() && !said(&output).contains("labelled tiles:"), "{}", said(&output));
}

#[test]
fn an_error_is_said_with_its_code_its_parameter_and_its_message() {
    let cases = [
        (
            200,
            json!({"error": {"message": "Provider returned error: loading", "code": 502}}),
            vec!["502", "Provider returned"],
        ),
        (
            400,
            json!({"error": {"message": "image too large", "code": "bad_image", "param": "messages"}}),
            vec!["bad_image", "parameter messages"],
        ),
        (
            500,
            json!({"error": {"message": "worker died", "type": "internal"}}),
            vec!["server error", "internal", "worker died"],
        ),
        (
            404,
            json!({"error": {"message": "no model m", "code": "model_not_found"}}),
            vec!["HTTP 404", "model_not_found", "--model"],
        ),
        (400, json!({"detail": "\u{1b}[31mred\r\nline"}), vec!["[31mred line"]),
    ];
    for (status, body, parts) in cases {
        let dir = scene();
        let reply = Reply::Status(status, None, body.to_string());
        let endpoint = Endpoint::start(move |_, _| reply.clone());
        let output = classify(dir.path(), &endpoint.base, &["--tries", "1"]);
        assert_eq!(output.status.code(), Some(1), "{body}");
        let last = said(&output).lines().last().unwrap().to_owned();
        assert!(parts.iter().all(|part| last.contains(part)), "{body}: {last}");
        assert!(!last.contains('\u{1b}'));
    }
}

#[test]
fn an_account_that_is_used_up_ends_the_run_at_once_in_the_endpoints_words() {
    let error = |code: &str, message: &str| json!({"error": {"code": code, "message": message}}).to_string();
    let cases = [
        (402, "Insufficient Balance for sk-SECRET".to_owned(), "Insufficient Balance for [hidden]"),
        (
            403,
            error("AllocationQuota.FreeTierOnly", "The free tier is exhausted."),
            "AllocationQuota.FreeTierOnly",
        ),
        (429, error("insufficient_quota", "You exceeded your current quota"), "insufficient_quota"),
        (400, error("billing_hard_limit_reached", "Billing hard limit"), "billing_hard_limit_reached"),
        (429, error("credit_exhausted", "no credits left"), "no credits left"),
    ];
    for (status, body, want) in cases {
        let dir = scene();
        let reply = Reply::Status(
            status,
            Some(("Retry-After", "0")),
            body.replace("exhausted.", &format!("exhausted. {KEY}")),
        );
        let endpoint = Endpoint::start(move |_, _| reply.clone());
        let output = classify(dir.path(), &endpoint.base, &["--max-failed", "1", "--repeats", "20"]);
        assert_eq!(output.status.code(), Some(1), "{body}");
        let last = said(&output).lines().last().unwrap().to_owned();
        assert!(
            last.contains("quota is used up") && last.contains(want) && last.contains(&status.to_string()),
            "{last}"
        );
        assert!(!said(&output).contains(KEY) && !said(&output).contains("sk-SECRET"), "{}", said(&output));
        assert!(endpoint.calls().len() <= 3, "{body}: {} calls", endpoint.calls().len());
    }
}

#[test]
fn the_word_for_the_length_changes_once_a_run_and_answers_stay_those_of_the_same_question() {
    let dir = scene();
    let endpoint = Rough::start(|_, _| Deed::NoWord("max_tokens"));
    let more = ["--max-tokens", "50", "--concurrency", "1", "--repeats", "2", "--answer-seed", "0"];
    let output = classify(dir.path(), &endpoint.base, &more);
    assert!(output.status.success(), "{}", said(&output));
    let n_with = |word: &str| endpoint.book().bodies.iter().filter(|body| body[word] == 50).count();
    assert_eq!((n_with("max_tokens"), n_with("max_completion_tokens")), (1, 2 * N_TILES));
    assert!(recorded(dir.path()).iter().all(|line| line["parameters"]["max_tokens"] == 50));
    let other = Rough::start(|_, _| Deed::NoWord("max_completion_tokens"));
    assert!(classify(dir.path(), &other.base, &more).status.success());
    assert!(other.book().bodies.is_empty(), "all is recorded");
    let stubborn =
        Rough::start(|_, before| Deed::NoWord(["max_tokens", "max_completion_tokens"][before % 2]));
    std::fs::remove_file(dir.path().join("tape.jsonl")).unwrap();
    let output = classify(dir.path(), &stubborn.base, &more);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).lines().last().unwrap().contains("parameter max_completion_tokens"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_temperature_that_the_model_does_not_take_is_one_line_that_names_the_flag() {
    let dir = scene();
    let endpoint = Rough::start(|_, _| Deed::NoWord("temperature"));
    let output = classify(dir.path(), &endpoint.base, &["--temperature", "0.2", "--max-failed", "1"]);
    assert_eq!(output.status.code(), Some(1));
    let last = said(&output).lines().last().unwrap().to_owned();
    assert!(last.contains("does not take --temperature") && last.contains("leave the flag out"), "{last}");
    assert!(classify(dir.path(), &endpoint.base, &[]).status.success());
}

#[test]
fn an_endpoint_that_counts_nothing_does_not_make_the_cap_of_cost_endless() {
    let prices = r#"[{"model": "m", "currency": "EUR", "input_per_million": 1000, "output_per_million": 1000,
        "date": "2026-01-01", "source": "http://here"}]"#;
    let usages = [
        r#"{"prompt_tokens": 0, "completion_tokens": 0}"#,
        "null",
        "{}",
        r#"{"prompt_tokens": -5, "completion_tokens": -5}"#,
        r#"{"prompt_tokens": "900", "completion_tokens": 1e40}"#,
        r#"{"prompt_tokens": 9223372036854775808, "completion_tokens": 9223372036854775808}"#,
        r#"{"prompt_tokens": 900, "completion_tokens": 0}"#,
    ];
    for usage in usages {
        let dir = scene();
        std::fs::write(dir.path().join("prices.json"), prices).unwrap();
        let endpoint = Rough::start(move |_, _| Deed::Usage(usage));
        let capped = ["--prices", "prices.json", "--max-tokens", "50", "--max-cost", "2"];
        let more = [&capped[..], &["--repeats", "20", "--answer-seed", "0", "--concurrency", "32"]].concat();
        let output = classify(dir.path(), &endpoint.base, &more);
        assert_eq!(output.status.code(), Some(1), "{usage}");
        assert!(
            said(&output).contains("the budget of --max-cost 2.000000 is spent"),
            "{usage}: {}",
            said(&output)
        );
        // the question alone takes more than 100 tokens, and 50 are set aside for its answer
        let n_paid = endpoint.book().bodies.len();
        assert!((1..=13).contains(&n_paid), "{usage}: {n_paid} calls");
    }
}

#[test]
fn waits_in_milliseconds_and_in_fractions_are_kept_and_one_without_end_is_given_up_at_once() {
    for (name, value, least_s) in
        [("retry-after-ms", "1300", 1.3), ("Retry-After", "1.2", 1.2), ("x-ratelimit-reset", "1.1", 1.1)]
    {
        let dir = scene();
        let endpoint = Rough::start(move |_, before| match before {
            0 => Deed::Status(429, Some((name, value.into())), String::new()),
            _ => Deed::Answer,
        });
        let begun = Instant::now();
        let output = classify(dir.path(), &endpoint.base, &[]);
        assert!(output.status.success(), "{name}: {}", said(&output));
        assert!(begun.elapsed() >= Duration::from_secs_f64(least_s), "{name}: {:?}", begun.elapsed());
    }
    for value in ["99999999999999999999999999", "86400"] {
        let dir = scene();
        let endpoint =
            Rough::start(move |_, _| Deed::Status(429, Some(("Retry-After", value.into())), String::new()));
        let output = classify(dir.path(), &endpoint.base, &["--max-failed", "1"]);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(endpoint.book().bodies.len(), N_TILES, "{value}: none is asked again");
        assert_eq!(
            said(&output).matches("a call is given up: rate limited; the server asks for").count(),
            1,
            "{}",
            said(&output)
        );
        let labels: Vec<Label> = contract::read(&dir.path().join("labels.parquet")).unwrap();
        assert!(labels.iter().all(|row| row.missing.as_deref() == Some("rate limited")));
    }
}
