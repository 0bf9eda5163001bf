//! Kills, full disks and two runs at once: the scene is the old one or the new one, whole.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::*;

const BAND: [&str; 2] = ["--assets", "B04"];
/// 3 MB of noise.
const SIDE_PX: usize = 1200;

/// Two catalogues over different scenes: the old one and the new one.
fn old_and_new(dir: &Path) -> [String; 2] {
    [("old", 1), ("new", 2)].map(|(name, seed)| {
        let file = dir.join(format!("{name}.tif"));
        write_noise(&file, SIDE_PX, seed);
        catalogue_of(dir, name, file.to_str().unwrap(), &file)
    })
}

#[test]
fn a_reader_sees_the_old_scene_or_the_new_one_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let catalogues = old_and_new(dir.path());
    let out = dir.path().join("raw/T48RVV.tif");
    let hashes = [0, 1].map(|n: usize| {
        ok(fetch(&catalogues[n], &out, &BAND));
        contract::sha256_of(&out).unwrap()
    });
    let done = AtomicBool::new(false);
    let mut n_seen = 0;
    std::thread::scope(|scope| {
        let (done, out, catalogues) = (&done, &out, &catalogues);
        scope.spawn(move || {
            (0..4).for_each(|n: usize| ok(fetch(&catalogues[n % 2], out, &BAND)));
            done.store(true, Ordering::Relaxed);
        });
        while !done.load(Ordering::Relaxed) {
            let hash = contract::sha256_of(out).unwrap();
            assert!(hashes.contains(&hash), "neither the old scene nor the new one");
            n_seen += 1;
        }
    });
    assert!(n_seen > 10, "only {n_seen} looks");
}

#[test]
fn a_full_disk_ends_in_one_line_and_the_old_scene_stays() {
    let dir = tempfile::tempdir().unwrap();
    let [old, new] = old_and_new(dir.path());
    let served = fs::read(dir.path().join("new.tif")).unwrap();
    let server = Server::start(move |request, _| Reply::file(request, &served, "\"1\""));
    let remote = catalogue_of(
        dir.path(),
        "remote",
        &format!("{}/new.tif", server.address),
        &dir.path().join("new.tif"),
    );
    let out = dir.path().join("raw/T48RVV.tif");
    ok(fetch(&old, &out, &BAND));
    let before = contract::sha256_of(&out).unwrap();
    let mut n_refused = 0;
    for catalogue in [&new, &remote] {
        for limit_kib in [1, 64, 700, 1_500, 2_600] {
            let output = within(limit_kib, catalogue, &out);
            if output.status.success() {
                continue;
            }
            refused(output);
            n_refused += 1;
            assert_eq!(contract::sha256_of(&out).unwrap(), before, "{limit_kib} KiB");
        }
    }
    assert!(n_refused >= 8, "only {n_refused} of 10 runs met the limit");
    ok(fetch(&remote, &out, &BAND));
    assert_ne!(contract::sha256_of(&out).unwrap(), before);
    assert_eq!(visible(&dir.path().join("raw")), ["T48RVV.scene.parquet", "T48RVV.tif"]);
}

/// Fetches with a limit on the length of a file, which is a full disk for one process.
fn within(limit_kib: usize, catalogue: &str, out: &Path) -> Output {
    let plain = fetching(catalogue, out, &BAND);
    let mut command = Command::new("bash");
    command.args(["-c", &format!("trap '' XFSZ; ulimit -f {limit_kib}; exec \"$0\" \"$@\"")]);
    command.arg(plain.get_program()).args(plain.get_args()).output().unwrap()
}

fn visible(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with('.')).collect();
    names.sort();
    names
}

#[test]
fn a_folder_that_cannot_be_written_is_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let [old, _] = old_and_new(dir.path());
    fs::write(dir.path().join("file"), "").unwrap();
    for out in ["file/T48RVV.tif", "old/catalog.json/T48RVV.tif"] {
        let line = refused(fetch(&old, &dir.path().join(out), &BAND));
        assert!(line.contains("T48RVV.tif") || line.contains(out.split_once("/T48").unwrap().0), "{line}");
    }
}

#[test]
fn of_two_runs_for_one_scene_one_refuses_and_the_other_is_undisturbed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("red.tif");
    write_band(&file, 2000);
    let bytes = fs::read(&file).unwrap();
    let server =
        Server::start(move |request, _| Reply::file(request, &bytes, "\"1\"").late(Duration::from_secs(2)));
    let root = catalogue_of(dir.path(), "c", &format!("{}/red.tif", server.address), &file);
    let out = dir.path().join("raw/T48RVV.tif");
    let first = fetching(&root, &out, &BAND).stderr(Stdio::piped()).spawn().unwrap();
    while !out.parent().unwrap().is_dir() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(200));
    let line = refused(fetch(&root, &out, &BAND));
    assert!(line.contains("T48RVV") && line.contains("another"), "{line}");
    ok(first.wait_with_output().unwrap());
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 2);
}
