//! Ranks that stop, and two runs over one list, under a real `mpirun`.
#![allow(clippy::unwrap_used)]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use program::{ok, program};
use raster::{Affine, BandOut, CogOptions, Crs, Grid, write_cog};

const SIDE: usize = 40;
const N_GRANULES: usize = 12;

/// Generous for a loaded machine, and far below "forever".
const BOUND: Duration = Duration::from_secs(90);

/// Twelve granules of one scene that takes a while, and their table.
fn list(folder: &Path, height: usize) -> PathBuf {
    let width = 1000;
    let scene = folder.join("scene.tif");
    let transform = Affine { west: 300_000.0, north: 3_500_000.0, pixel_width: 10.0, pixel_height: 10.0 };
    let grid = Grid { height, width, transform, crs: Crs::from_epsg(32648).unwrap() };
    let pixels: Vec<u8> = (0..height * width).map(|i| (1 + (i * i / 7) % 255) as u8).collect();
    let bands = ["red", "green", "blue"].map(|name| BandOut { name, unit: "dn", pixels: &pixels[..] });
    write_cog(&scene, &grid, &bands, &CogOptions::default()).unwrap();
    let lines = (0..N_GRANULES).map(|n| format!("G{n}\t{}\t{}\n", scene.display(), out(folder, n).display()));
    let table = folder.join("scenes.tsv");
    fs::write(&table, lines.collect::<String>()).unwrap();
    table
}

fn out(folder: &Path, n: usize) -> PathBuf {
    folder.join(format!("out/G{n}.parquet"))
}

fn command(np: usize, table: &Path, more: &[&str]) -> Command {
    let mut command = program(Some(np));
    command.args(["--tile-px", &SIDE.to_string(), "--threads", "1", "--scenes"]).arg(table).args(more);
    command
}

fn start(np: usize, table: &Path, more: &[&str]) -> Child {
    command(np, table, more).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What a run said, once it has ended by itself; it must within the bound.
fn ended(mut run: Child) -> (bool, String) {
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = run.try_wait().unwrap() {
            break status;
        }
        if begun.elapsed() > BOUND {
            let _ = run.kill();
            panic!("the run goes on after {BOUND:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let mut said = String::new();
    run.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.success(), said)
}

fn hashes(folder: &Path) -> BTreeMap<usize, String> {
    let there = (0..N_GRANULES).filter(|n| out(folder, *n).exists());
    there.map(|n| (n, contract::sha256_of(&out(folder, n)).unwrap())).collect()
}

fn children(parent: u32) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    children.split_whitespace().map(str::to_owned).collect()
}

fn signal(name: &str, process: &str) {
    assert!(Command::new("kill").args([name, process]).status().unwrap().success());
}

/// Waits until some file has its name, so that others are in the making.
fn under_way(folder: &Path) {
    let begun = Instant::now();
    while hashes(folder).is_empty() && begun.elapsed() < BOUND {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn two_runs_over_one_list_at_once_both_end_well_with_the_bytes_of_one() {
    let dir = tempfile::tempdir().unwrap();
    let (table, index) = (list(dir.path(), 1500), dir.path().join("index.parquet"));
    let more = ["--index-out", index.to_str().unwrap()];
    ok(&command(2, &table, &more).output().unwrap());
    let (alone, alone_index) = (hashes(dir.path()), fs::read(&index).unwrap());
    assert_eq!(alone.len(), N_GRANULES);
    for pause_ms in [0, 300] {
        fs::remove_dir_all(dir.path().join("out")).unwrap();
        fs::remove_file(&index).unwrap();
        let first = start(2, &table, &more);
        std::thread::sleep(Duration::from_millis(pause_ms));
        for (well, said) in [ended(start(3, &table, &more)), ended(first)] {
            assert!(well, "{pause_ms} ms: {said}");
        }
        assert_eq!(hashes(dir.path()), alone);
        assert!(fs::read(&index).unwrap() == alone_index);
        let files = fs::read_dir(dir.path().join("out")).unwrap().count();
        assert_eq!(files, N_GRANULES, "no part file is left");
    }
}

#[test]
fn a_run_makes_what_another_left_that_was_killed_while_the_first_waited_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let table = list(dir.path(), 4000);
    let mut killed = start(1, &table, &[]);
    under_way(dir.path());
    let ranks = children(killed.id());
    ranks.iter().for_each(|rank| signal("-STOP", rank));
    let waiting = start(2, &table, &[]);
    let begun = Instant::now();
    while hashes(dir.path()).len() < N_GRANULES - 1 && begun.elapsed() < BOUND {
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(Duration::from_millis(1500));
    ranks.iter().for_each(|rank| signal("-KILL", rank));
    let _ = killed.wait().unwrap();
    let (well, said) = ended(waiting);
    assert!(well && said.contains("another run is making it"), "{said}");
    assert_eq!(hashes(dir.path()).len(), N_GRANULES);
}

#[test]
fn a_rank_that_is_stopped_ends_the_world_in_bounded_time_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let table = list(dir.path(), 4000);
    for stopped in [2, 0] {
        let _ = fs::remove_dir_all(dir.path().join("out"));
        let run = start(4, &table, &["--rank-timeout-s", "4"]);
        under_way(dir.path());
        signal("-STOP", &children(run.id())[stopped]);
        let (well, said) = ended(run);
        assert!(!well, "{said}");
        let line = format!("error: want a sign of life from rank {stopped} every 4 s");
        assert_eq!(said.matches(&line).count(), 1, "{said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    }
    // The next run makes what is missing.
    ok(&command(2, &table, &[]).output().unwrap());
    assert_eq!(hashes(dir.path()).len(), N_GRANULES);
}
