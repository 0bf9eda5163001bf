//! The order of stages and what holds after a failure, with programs that only write their names: quick, and they fail where they are told to.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::house::{Place, stderr, stdout};

/// Writes its name to every output that its flags name, its ledger last, and its words to a file of its own. The file `fail` holds which
/// program is to fail, and whether before it writes or after its first output; the file `pause`, how long each takes.
const FAKE: &str = r#"#!/bin/bash
here=$(dirname "$0") name="$(basename "$0") $1"
printf '%s\0' "$@" > "$here/words.${name// /.}"
echo "$name" >> "$here/ran"
fail=$(cat "$here/fail" 2> /dev/null) pause=$(cat "$here/pause" 2> /dev/null)
sleep "${pause:-0}"
[ "$fail" != "$name before" ] || { echo "$name: error: told to fail" >&2; exit 1; }
ledger= outputs=()
while [ $# -gt 0 ]; do
    case "$1" in
        --ledger) ledger=$2; shift ;;
        --page) [[ "$name" == region* ]] && outputs+=("$2/index.html") || outputs+=("$2"); shift ;;
        --out | --*-out | --out-*) outputs+=("$2"); shift ;;
    esac
    shift
done
for output in "${outputs[@]}"; do
    mkdir -p "$(dirname "$output")" && echo "$name" > "$output"
    [ "$fail" != "$name half" ] || { echo "$name: error: told to fail half way" >&2; exit 1; }
done
[ -z "$ledger" ] || { mkdir -p "$(dirname "$ledger")" && echo '{}' > "$ledger"; }
"#;

const PROGRAMS: [&str; 9] = [
    "s2-fetch",
    "granule-split-mpi",
    "vlm-label",
    "stage1-cluster",
    "pog-aggregate",
    "stage3-train",
    "heatmap-stitch",
    "viirs-corr",
    "region-report",
];

/// A folder of such programs.
pub struct Fakes(TempDir);

impl Fakes {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for program in PROGRAMS {
            let path = folder.path().join(program);
            fs::write(&path, FAKE).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self(folder)
    }

    /// The knob that makes Make use them.
    pub fn knob(&self) -> String {
        format!("BIN={}", self.0.path().display())
    }

    /// The words of a program's last command, such as `s2-fetch fetch`.
    pub fn words(&self, program: &str) -> Vec<String> {
        let name = format!("words.{}", program.replace(' ', "."));
        let words = fs::read_to_string(self.0.path().join(name)).unwrap();
        words.split_terminator('\0').map(str::to_owned).collect()
    }

    /// The programs that ran since this was asked last.
    fn ran(&self) -> Vec<String> {
        let path = self.0.path().join("ran");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    fn tell(&self, file: &str, text: &str) {
        fs::write(self.0.path().join(file), text).unwrap();
    }
}

/// The stages of the demo, in order.
const STAGES: [&str; 12] = [
    "s2-fetch fetch",
    "granule-split-mpi --scene",
    "vlm-label classify",
    "stage1-cluster tiles",
    "vlm-label vote",
    "pog-aggregate --votes",
    "stage3-train train",
    "stage3-train score",
    "heatmap-stitch map",
    "vlm-label quality",
    "region-report report",
    "heatmap-stitch summary",
];

#[test]
fn a_stage_that_stopped_half_way_is_made_again_before_anything_reads_what_it_left() {
    let fakes = Fakes::new();
    let place = Place::new(&[&fakes.knob()]);
    place.made(&["heatmap-accomack"]);
    let all = fakes.ran();
    assert!(STAGES.iter().all(|stage| all.iter().any(|ran| ran == stage)), "{all:?}");
    let whole = place.hashes();
    let half = STAGES[..11].iter().map(|stage| (*stage, "half"));
    let mut n_runs = 1;
    for (stage, how) in half.chain([("stage3-train train", "before")]) {
        n_runs += 1;
        fakes.tell("fail", &format!("{stage} {how}"));
        // Everything is to be made anew, and so everything before the stage is.
        let seed = format!("SEED={n_runs}");
        let flags = ["heatmap-accomack", &seed, &format!("MAX_CLOUD_SHARE=.{n_runs}")];
        for _ in 0..2 {
            let output = place.make(&flags);
            assert!(!output.status.success() && stderr(&output).contains("told to fail"), "{stage} {how}");
            assert_eq!(fakes.ran().last().map(String::as_str), Some(stage), "{how}: it is tried again");
            assert_eq!(place.hashes(), whole, "{stage} {how}: an old result is gone");
        }
        fakes.tell("fail", "");
        place.made(&flags);
        let ran = fakes.ran();
        let first = ran.first().map(String::as_str);
        assert_eq!(first, Some(stage), "{how}: {ran:?}");
        assert_eq!(ran.iter().filter(|ran| *ran == stage).count(), 1, "{stage} {how}: {ran:?}");
        assert!(place.made(&flags).contains("Nothing to be done for 'made'"), "{stage} {how}");
        assert_eq!(fakes.ran().len(), 0, "{stage} {how}");
    }
    assert_eq!(n_runs, 13);
}

#[test]
fn two_makes_of_one_area_take_turns_and_a_plan_waits_for_none() {
    let fakes = Fakes::new();
    fakes.tell("pause", "0.1");
    let place = Place::new(&[&fakes.knob()]);
    let piped = || {
        let mut command = place.command(&["heatmap-accomack"]);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.spawn().unwrap()
    };
    let first = piped();
    std::thread::sleep(Duration::from_millis(400));
    let second = piped();
    let begun = Instant::now();
    assert!(place.make(&["-n", "heatmap-accomack"]).status.success());
    assert!(begun.elapsed() < Duration::from_secs(3), "a plan waited");
    let outputs = [first, second].map(|make| make.wait_with_output().unwrap());
    for output in &outputs {
        assert!(output.status.success(), "{}", stderr(output));
    }
    let ran = fakes.ran();
    assert!(STAGES.iter().all(|stage| ran.iter().filter(|ran| ran == stage).count() == 1), "{ran:?}");
    let said = stderr(&outputs[1]);
    assert!(said.contains("work/accomack: another make is at work here; this one waits for it"), "{said}");
    assert!(stdout(&outputs[1]).contains("Nothing to be done for 'made'"));
}

#[test]
fn jobs_at_once_make_what_one_after_the_other_makes() {
    let fakes = Fakes::new();
    let place = Place::new(&[&fakes.knob()]);
    place.made(&["-j4", "heatmap-accomack"]);
    let mut ran = fakes.ran();
    ran.sort_unstable();
    let mut wanted = STAGES.map(str::to_owned).to_vec();
    wanted.sort_unstable();
    assert_eq!(ran, wanted);
    assert!(place.made(&["-j4", "heatmap-accomack"]).contains("Nothing to be done for 'made'"));
}
