//! `kill -9` in the middle of a stage, then Make again: the same bytes.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::house::{COARSE, Place, alone};

const KILLS_A_STAGE: u64 = 3;
/// A stage's target below `work/accomack`, and the ledger that says how long it takes.
const STAGES: [(&str, &str); 5] = [
    ("tiles/T18SVG.parquet", "split-T18SVG"),
    ("labels/T18SVG.parquet", "classify-T18SVG"),
    ("clusters.parquet", "cluster"),
    ("model.safetensors", "train"),
    ("scores/T18SVG.parquet", "score-T18SVG"),
];

#[test]
fn a_run_killed_again_and_again_ends_with_the_bytes_of_an_undisturbed_run() {
    let _turn = alone();
    let place = Place::new(&COARSE);
    place.made(&["heatmap-accomack"]);
    let undisturbed = place.hashes();
    assert!(undisturbed.len() > 12, "{undisturbed:?}");
    let mut chance = Chance(20_230_131);
    let mut n_killed = 0;
    for (target, ledger) in STAGES {
        let seconds = seconds_of(&place, ledger);
        for _ in 0..KILLS_A_STAGE {
            let file = place.path(&format!("work/accomack/{target}"));
            let _ = std::fs::remove_file(&file);
            let delay = Duration::from_secs_f64(0.02 + chance.share() * seconds);
            n_killed += u64::from(killed(&place, &file.display().to_string(), delay));
            let whole = !file.exists()
                || contract::sha256_of(&file).unwrap() == undisturbed[&format!("work/accomack/{target}")];
            assert!(whole, "{target} was half written after {delay:?}");
        }
    }
    place.made(&["heatmap-accomack"]);
    assert_eq!(place.hashes(), undisturbed);
    let n_tried = KILLS_A_STAGE * STAGES.len() as u64;
    println!("{n_killed} of {n_tried} kills met a running stage");
    assert!(n_killed * 2 > n_tried, "only {n_killed} of {n_tried} kills met a running stage");
}

/// Starts Make on a target in a process group of its own and kills the group. Whether it was still running.
fn killed(place: &Place, target: &str, delay: Duration) -> bool {
    let mut command = place.command(&["AOI=accomack", target]);
    let mut make = command.process_group(0).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(delay);
    let running = make.try_wait().unwrap().is_none();
    let group = format!("-{}", make.id());
    let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().unwrap();
    make.wait().unwrap();
    running
}

fn seconds_of(place: &Place, ledger: &str) -> f64 {
    let text = std::fs::read_to_string(place.path(&format!("work/accomack/ledger/{ledger}.json"))).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["seconds"].as_f64().unwrap()
}

/// A small generator of shares (xorshift), so that delays are the same in every run.
struct Chance(u64);

impl Chance {
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
