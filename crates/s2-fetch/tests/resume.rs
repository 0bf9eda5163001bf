//! A fetch that is killed goes on where it stopped, with a file server that nobody here wrote.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use support::*;

/// 3 MB of noise.
const SIDE_PX: usize = 1200;
/// Seconds after which runs are killed. A whole one takes at least 3.5 at this server's pace, all of these together less: none ends on its own.
const KILLS_S: [f64; 5] = [0.2, 0.7, 0.4, 0.8, 0.4];
const PACE: &str = "limit_rate 1m;";

#[test]
fn a_fetch_killed_again_and_again_goes_on_where_it_stopped() {
    let Some(programs) = test_servers() else { return };
    let dir = tempfile::tempdir().unwrap();
    let served = dir.path().join("served");
    fs::create_dir(&served).unwrap();
    let file = served.join("red.tif");
    write_noise(&file, SIDE_PX, 3);
    let files = nginx(&programs, &served, PACE);
    let root = catalogue_of(dir.path(), "c", &format!("{}/red.tif", files.address), &file);
    let flags = ["--assets", "B04", "--part-kib", "256", "--connections", "1"];
    let unbroken = dir.path().join("unbroken/T48RVV.tif");
    ok(fetch(&root, &unbroken, &flags));
    let n_before = bytes_served(&files);
    let out: PathBuf = dir.path().join("raw/T48RVV.tif");
    let mut n_killed = 0;
    for seconds in KILLS_S {
        let mut run = fetching(&root, &out, &flags).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        n_killed += usize::from(run.try_wait().unwrap().is_none());
        run.kill().unwrap();
        run.wait().unwrap();
        assert!(!out.exists() || n_killed < KILLS_S.len(), "no scene before a run has ended");
    }
    ok(fetch(&root, &out, &flags));
    assert_eq!(fs::read(&out).unwrap(), fs::read(&unbroken).unwrap());
    let table = |tif: &Path| fs::read(tif.with_extension("scene.parquet")).unwrap();
    assert!(table(&out) == table(&unbroken));
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 2, "nothing else is left");
    let (again, whole) = (bytes_served(&files) - n_before, fs::metadata(&file).unwrap().len());
    tell(&format!("{n_killed} kills: {again} bytes served for a file of {whole}"));
    assert!(n_killed >= 3, "only {n_killed} kills met a running fetch");
    // Each kill loses at most the parts on their way and what waits in buffers between nginx and us.
    assert!(again < whole * 8 / 5, "{again} bytes for a file of {whole}");
}

/// Bytes of bodies by nginx's own account. A line is written when a request ends.
fn bytes_served(files: &Peer) -> u64 {
    std::thread::sleep(Duration::from_millis(300));
    files.file("access.log").lines().filter_map(|line| line.split(' ').nth(3)?.parse::<u64>().ok()).sum()
}
