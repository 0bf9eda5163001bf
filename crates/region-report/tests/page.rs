//! The page in a real browser: headless Chromium, driven by Playwright (`page.mjs`), from disk and without a network.
//!
//! `scripts/page-tools --test` fetches the tools, `scripts/install --test` Chromium; `make test` runs both and names the folder of the
//! tools in `PAGE_TOOLS`, and then a missing one fails the test. Without them the test says that it is skipped.
#![allow(clippy::unwrap_used)]

mod scene;

use std::path::{Path, PathBuf};
use std::process::Command;

use contract::{Region, Score};
use scene::{Scene, stderr};

struct Tools {
    folder: PathBuf,
    chromium: PathBuf,
    node: PathBuf,
}

fn tools() -> Option<Tools> {
    let wanted = std::env::var_os("PAGE_TOOLS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cache")));
    let cache = cache?.join("prosperity-atlas");
    let folder = wanted.clone().unwrap_or_else(|| cache.join("page-tools"));
    let found = (|| {
        folder.join("playwright-core/package.json").is_file().then_some(())?;
        let chromium = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
        let chromium = chromium.into_iter().map(PathBuf::from).find(|path| path.is_file())?;
        let nodes = [PathBuf::from("node"), cache.join("test-servers/bin/node")];
        let runs =
            |node: &PathBuf| Command::new(node).arg("--version").output().is_ok_and(|o| o.status.success());
        Some(Tools { folder: folder.clone(), chromium, node: nodes.into_iter().find(runs)? })
    })();
    assert!(
        found.is_some() || wanted.is_none(),
        "{}: want playwright-core there, and chromium and node",
        folder.display()
    );
    if found.is_none() {
        println!(
            "skipped: no Chromium, node or playwright-core; run scripts/install --test and scripts/page-tools --test"
        );
    }
    found
}

/// Tiles over the whole made map, so that a click finds one.
fn write_scores(scene: &Scene) {
    let score = |i: u32| Score {
        granule: "T48RVV".parse().unwrap(),
        tile: format!("{:02}-{:02}", i / 15, i % 15)
            .parse()
            .unwrap_or(contract::TileId { row: i / 15, col: i % 15 }),
        crs: "EPSG:32648".into(),
        west_m: 420_000.0 + 800.0 * f64::from(i % 15),
        south_m: 3_450_000.0 - 800.0 * f64::from(i / 15 + 1),
        east_m: 420_000.0 + 800.0 * f64::from(i % 15 + 1),
        north_m: 3_450_000.0 - 800.0 * f64::from(i / 15),
        score: Some(0.5),
        sd: Some(0.02),
        low: None,
        high: None,
        distance_ratio: None,
        outside: Some(false),
        n_members: 1,
        skipped: None,
    };
    let rows: Vec<Score> = (0..225).map(score).collect();
    contract::write(&scene.path("scores.parquet"), &rows, &contract::Made::by("test")).unwrap();
}

#[test]
fn the_page_opens_from_disk_sorts_filters_swipes_speaks_two_languages_and_saves_the_table() {
    let Some(tools) = tools() else { return };
    let scene = Scene::new();
    write_scores(&scene);
    scene.change("change.tif", 5, 0.1, "change/1");
    scene.write("official.csv", &scene::official());
    let maplibre = tools.folder.join("maplibre-gl/dist").display().to_string();
    let output = scene.report(&[
        "--maplibre",
        &maplibre,
        "--title",
        "Made region",
        "--credit",
        "Made for a test",
        "--night-lights",
        &scene.text("lights.tif"),
        "--official",
        &scene.text("official.csv"),
        "--official-key",
        "code",
        "--official-value",
        "gdp",
        "--scores",
        &scene.text("scores.parquet"),
        "--change",
        &scene.text("change.tif"),
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    let pictures = std::env::var_os("FIGURE_OUT").unwrap_or_default();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/page.mjs");
    let output = Command::new(&tools.node)
        .arg(script)
        .args([&tools.folder, &tools.chromium, &scene.path("page")])
        .arg(pictures)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let table: Vec<Region> = contract::read(&scene.path("regions.parquet")).unwrap();
    let beside: Vec<Region> = contract::read(&scene.path("page/regions.parquet")).unwrap();
    assert_eq!(table, beside);
    let csv = std::fs::read_to_string(scene.path("page/regions.csv")).unwrap();
    for (line, row) in csv.lines().skip(1).zip(&table) {
        assert_eq!(line.split(',').nth(8).unwrap().parse::<f64>().unwrap(), row.score.unwrap());
    }
}
