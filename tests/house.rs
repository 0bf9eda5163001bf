//! The repository, its programs, and folders of its own for a run of Make.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

pub const STAGES: [&str; 8] = [
    "s2-fetch",
    "granule-split-mpi",
    "vlm-label",
    "stage1-cluster",
    "pog-aggregate",
    "stage3-train",
    "heatmap-stitch",
    "viirs-corr",
];

/// The demo's area cut coarsely: 49 tiles and short training, the same path in seconds.
pub const COARSE: [&str; 6] = ["TILE_PX=256", "INPUT_PX=64", "K_MIN=2", "K_MAX=3", "MEMBERS=2", "STEPS=200"];

/// The folder of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The folder of the built programs, beside this test's own.
pub fn bin() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let bin = this.ancestors().nth(2).unwrap().to_path_buf();
    for stage in STAGES {
        assert!(bin.join(stage).is_file(), "want {stage} in {}; make build", bin.display());
    }
    bin
}

/// One of the programs, silent but for errors.
pub fn program(stage: &str) -> Command {
    let mut command = Command::new(bin().join(stage));
    command.env("RUST_LOG", "error").current_dir(root());
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Tests that keep all cores busy take turns, so that delays mean what they say.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Folders for raw, work and out, and the knobs that point Make there.
pub struct Place {
    folder: TempDir,
    knobs: Vec<String>,
}

impl Place {
    pub fn new(knobs: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| format!("{name}={}", folder.path().join(name.to_lowercase()).display());
        let mut all =
            vec![at("RAW"), at("WORK"), at("OUT"), "BUILD=".into(), format!("BIN={}", bin().display())];
        all.extend(knobs.iter().map(|knob| (*knob).to_owned()));
        Self { folder, knobs: all }
    }

    pub fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    /// Make in the repository, with this place's knobs and neither the caller's Make nor its jobs.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("make");
        command.current_dir(root()).args(&self.knobs).args(arguments);
        for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES"] {
            command.env_remove(variable);
        }
        command
    }

    pub fn make(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs Make, which must succeed, and returns what it printed.
    pub fn made(&self, arguments: &[&str]) -> String {
        let output = self.make(arguments);
        assert!(output.status.success(), "make {arguments:?}\n{}\n{}", stdout(&output), stderr(&output));
        stdout(&output)
    }

    /// The SHA-256 of every result, by name: tables, rasters, pictures, models; not what holds times or helps to go on.
    pub fn hashes(&self) -> BTreeMap<String, String> {
        let mut hashes = BTreeMap::new();
        collect(self.folder.path(), self.folder.path(), &mut hashes);
        hashes
    }
}

fn collect(top: &Path, folder: &Path, hashes: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["ledger", "flags", "checkpoints", "answers"].contains(&name.as_str()) {
                collect(top, &path, hashes);
            }
        } else if !name.starts_with('.') && name != "summary.txt" {
            let relative = path.strip_prefix(top).unwrap().to_string_lossy().into_owned();
            hashes.insert(relative, contract::sha256_of(&path).unwrap());
        }
    }
}
