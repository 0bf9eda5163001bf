//! Bad inputs and flags, and the prompts that ship.
#![allow(clippy::unwrap_used)]

mod scene;

use contract::Made;
use scene::{prompt, said, scene, vlm};
use vlm_label::prompt::{Form, Prompt};

const NOWHERE: &str = "http://127.0.0.1:9/v1";

#[test]
fn bad_input_is_one_clear_line_exit_code_1_and_the_old_output_stays() {
    let dir = scene();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write("old.parquet", "old");
    write("cut.parquet", "PAR1 rubbish");
    write("bare.md", "Look.");
    write("tape.jsonl", "rubbish\n");
    contract::write::<contract::Cluster>(&dir.path().join("wrong.parquet"), &[], &Made::by("x")).unwrap();
    let (shares, score) = (prompt("classes/settlement.en.md"), prompt("personas/expert.en.md"));
    let openai = ["--judge", "openai", "--model", "m", "--out", "old.parquet"];
    let classify = |tiles: &'static str| ["classify", "--tiles", tiles, "--prompt"];
    let cases: [(Vec<&str>, &str); 7] = [
        ([&classify("absent.parquet")[..], &[&shares], &openai].concat(), "absent.parquet"),
        ([&classify("cut.parquet")[..], &[&shares], &openai].concat(), "cut.parquet"),
        (
            [&classify("wrong.parquet")[..], &[&shares], &openai].concat(),
            "want table tiles/2, got clusters/1",
        ),
        ([&classify("tiles.parquet")[..], &["bare.md"], &openai].concat(), "bare.md: want a prompt file"),
        ([&classify("tiles.parquet")[..], &[&score], &openai].concat(), "want `answer: shares`"),
        (
            [&classify("tiles.parquet")[..], &[&shares, "--tiles", "tiles.parquet"], &openai].concat(),
            "granule T18SVG is given twice",
        ),
        (
            [&classify("tiles.parquet")[..], &[&shares, "--judge", "replay", "--replay", "tape.jsonl"]]
                .concat(),
            "tape.jsonl: line 1",
        ),
    ];
    for (mut flags, want) in cases {
        if !flags.contains(&"--out") {
            flags.extend(["--out", "old.parquet"]);
        }
        let output = vlm(dir.path(), NOWHERE, &flags);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{flags:?}: {text}");
        assert!(text.contains(want) && text.trim_end().lines().count() == 1, "{flags:?}: {text}");
        assert_eq!(std::fs::read(dir.path().join("old.parquet")).unwrap(), b"old");
    }
    let output =
        vlm(dir.path(), "ftp://key@host", &[&classify("tiles.parquet")[..], &[&shares], &openai].concat());
    assert!(
        said(&output).contains("OPENAI_BASE_URL") && !said(&output).contains("key@host"),
        "{}",
        said(&output)
    );
}

#[test]
fn wrong_flags_are_exit_code_2() {
    let dir = scene();
    let cases: [&[&str]; 5] = [
        &[],
        &["classify"],
        &["classify", "--tiles", "t", "--prompt", "p", "--judge", "openai", "--out", "o"],
        &["classify", "--tiles", "t", "--prompt", "p", "--judge", "replay", "--out", "o"],
        &["vote", "--tiles", "t", "--prompt", "p", "--judge", "sage", "--out", "o"],
    ];
    for flags in cases {
        assert_eq!(vlm(dir.path(), NOWHERE, flags).status.code(), Some(2), "{flags:?}");
    }
}

/// A prompt in two languages asks the same, and no persona is told what a score should go with.
#[test]
fn the_prompts_that_ship_are_read_come_in_two_languages_and_are_blind() {
    let mut count = 0;
    for kind in ["classes", "personas"] {
        for entry in std::fs::read_dir(prompt(kind)).unwrap() {
            let path = entry.unwrap().path();
            let read = Prompt::read(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(name, format!("{}.md", read.id));
            let twin = if name.contains(".en.") {
                name.replace(".en.", ".zh.")
            } else {
                name.replace(".zh.", ".en.")
            };
            assert_eq!(Prompt::read(&path.with_file_name(twin)).unwrap().form, read.form, "{name}");
            let numbers: Vec<&str> =
                read.body.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).collect();
            let ends: &[&str] = if read.form == Form::Score { &["0", "100"] } else { &["0", "1"] };
            assert!(numbers.iter().all(|number| ends.contains(number)), "{name}: {numbers:?}");
            if let Form::Shares(classes) = &read.form {
                assert!(classes.iter().all(|class| read.body.matches(class.as_str()).count() >= 2), "{name}");
            }
            count += 1;
        }
    }
    assert_eq!(count, 12);
}
