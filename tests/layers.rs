//! The house stays the shape that DESIGN.md draws: who may depend on whom, and where each library may be known.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{STAGES, root};

/// Shared crates, and what of ours each may use.
const SHARED: [(&str, &[&str]); 7] = [
    ("contract", &[]),
    ("figure", &[]),
    ("ranks", &[]),
    ("retry", &[]),
    ("raster", &["contract"]),
    ("nn", &["contract"]),
    ("stage", &["contract"]),
];

/// Libraries that only some crates may know, tests included.
const FENCES: [(&str, &[&str]); 15] = [
    ("gdal", &["raster"]),
    ("gdal-sys", &["raster"]),
    ("mpi", &["ranks"]),
    ("linfa", &["stage1-cluster"]),
    ("linfa-clustering", &["stage1-cluster"]),
    ("ndarray", &["stage1-cluster"]),
    ("burn", &["nn", "vlm-label", "stage1-cluster", "stage3-train"]),
    ("tracing-subscriber", &["stage"]),
    ("indicatif", &["stage"]),
    ("resvg", &["figure"]),
    ("polars", &["contract"]),
    ("reqwest", &["s2-fetch", "vlm-label"]),
    ("async-openai", &["vlm-label"]),
    ("cust", &["heatmap-stitch"]),
    ("ort", &[]),
];

const FORBIDDEN: [&str; 12] = [
    "utils",
    "common",
    "core",
    "types",
    "errors",
    "config",
    "io",
    "logging",
    "prelude",
    "pipeline",
    "test-utils",
    "xtask",
];

/// What a program may read from its environment; MPI's own variables are for `ranks` alone.
const VARIABLES: [&str; 4] = ["RUST_LOG", "OPENAI_", "AWS_", "AZURE_"];
const MAX_LINES: usize = 400;

struct Package {
    name: String,
    dependencies: BTreeSet<String>,
    /// Without those for tests.
    shipped: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let package = |package: &serde_json::Value| {
        let names = |with_dev: bool| {
            let all = package["dependencies"].as_array().unwrap().iter();
            let wanted = all.filter(|d| with_dev || d["kind"] != "dev");
            wanted.map(|d| d["name"].as_str().unwrap().to_owned()).collect()
        };
        Package {
            name: package["name"].as_str().unwrap().to_owned(),
            dependencies: names(true),
            shipped: names(false),
        }
    };
    metadata["packages"].as_array().unwrap().iter().map(package).collect()
}

#[test]
fn the_crates_are_the_shared_ones_the_stages_and_this_one() {
    let found: BTreeSet<String> = packages().into_iter().map(|p| p.name).collect();
    let shared = SHARED.iter().map(|(name, _)| *name);
    let wanted: BTreeSet<String> =
        shared.chain(STAGES).chain(["region-report", "e2e"]).map(str::to_owned).collect();
    assert_eq!(found, wanted);
    for name in FORBIDDEN {
        assert!(!found.contains(name), "crate {name} has no subject");
    }
}

#[test]
fn shared_crates_use_what_they_may_and_stages_never_use_each_other() {
    let packages = packages();
    let ours: BTreeSet<String> = packages.iter().map(|p| p.name.clone()).collect();
    let shared: BTreeMap<&str, &[&str]> = SHARED.into_iter().collect();
    let any_shared: Vec<&str> = shared.keys().copied().collect();
    let mut n_edges = 0;
    for package in packages.iter().filter(|p| p.name != "e2e") {
        let allowed = shared.get(package.name.as_str()).copied().unwrap_or(&any_shared);
        for used in package.dependencies.intersection(&ours) {
            assert!(
                allowed.contains(&used.as_str()),
                "{} uses {used}, and may use {allowed:?}",
                package.name
            );
            n_edges += 1;
        }
    }
    assert!(n_edges > 20, "saw {n_edges} edges");
}

#[test]
fn each_fenced_library_is_known_where_it_may_be_and_nowhere_else() {
    for package in packages() {
        for (library, crates) in FENCES {
            let known = package.dependencies.contains(library);
            assert!(!known || crates.contains(&package.name.as_str()), "{} knows {library}", package.name);
        }
        let linfa = package.shipped.iter().any(|name| name.starts_with("linfa-"));
        assert!(!linfa || package.name == "stage1-cluster", "{} ships linfa", package.name);
    }
}

#[test]
fn a_source_file_has_at_most_400_lines() {
    let files = tracked(&["rs"]);
    for file in &files {
        let n_lines = std::fs::read_to_string(file).unwrap().lines().count();
        assert!(n_lines <= MAX_LINES, "{}: {n_lines} lines", file.display());
    }
    assert!(files.len() > 50, "saw {} files", files.len());
}

#[test]
fn programs_read_no_other_variable_of_the_environment() {
    let mut n_reads = 0;
    for file in tracked(&["rs"]).iter().filter(|file| file.components().any(|part| part.as_os_str() == "src"))
    {
        let text = std::fs::read_to_string(file).unwrap();
        let shipped = text.split("#[cfg(test)]").next().unwrap();
        for call in ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("] {
            for argument in shipped.split(call).skip(1) {
                let in_ranks = file.starts_with(root().join("crates/ranks"));
                let named = argument
                    .strip_prefix('"')
                    .is_some_and(|name| VARIABLES.iter().any(|v| name.starts_with(v)));
                assert!(in_ranks || named, "{}: reads {}", file.display(), argument.lines().next().unwrap());
                n_reads += 1;
            }
        }
    }
    assert!(n_reads >= 3, "saw {n_reads} reads");
}

#[test]
fn no_text_of_the_repository_names_a_folder_of_a_developer() {
    let private = ["/home/", "/root/", "/Users/", "/work/main", "/work/shared"];
    let mut n_files = 0;
    for file in tracked(&["rs", "toml", "md", "mk", "tsv", "json", "geojson", "py", ""]) {
        if file.ends_with("tests/layers.rs") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for path in private {
            assert!(!text.contains(path), "{}: names {path}", file.display());
        }
        n_files += 1;
    }
    assert!(n_files > 80, "saw {n_files} files");
}

/// Files of the repository with one of these extensions: all but what Git ignores and keeps for itself.
fn tracked(extensions: &[&str]) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let tops = ["Cargo.toml", "Makefile", "README.md", "README.zh-CN.md", "CHANGELOG.md", "DESIGN.md"];
    files.extend(tops.iter().map(|name| root().join(name)).filter(|path| path.is_file()));
    for folder in [".ci", "crates", "data", "kernels", "prompts", "scripts", "tests"] {
        walk(&root().join(folder), &mut files);
    }
    let fits = |path: &PathBuf| {
        let extension = path.extension().map_or(String::new(), |e| e.to_string_lossy().into_owned());
        extensions.contains(&extension.as_str())
    };
    files.into_iter().filter(fits).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let ignored = ["raw", "work", "out"].map(|name| root().join("data").join(name));
    if ignored.iter().any(|path| path == folder) {
        return;
    }
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}
