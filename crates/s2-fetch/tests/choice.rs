//! Plans, locks, dry runs and choices inside an area, through the program.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use raster::{BandOut, CogOptions, write_cog};
use serde_json::{Value, json};
use support::*;

/// The granule that the small scenes of `support` lie in.
const GRANULE: &str = "T48RUV";
/// A rectangle inside them: its pixels are rows 10 to 29, columns 8 to 21 or so.
const AREA: &str = "102.8924,31.6152,102.8938,31.6168";

fn s2_fetch(flags: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_s2-fetch")).args(flags).output().unwrap()
}

fn scene(id: &str, day: &str, cloud_percent: f64, assets: Value) -> Value {
    let mut scene = item(id, day, cloud_percent, assets);
    scene["properties"]["grid:code"] = json!("MGRS-48RUV");
    scene
}

fn band(dir: &Path) -> Value {
    write_band(&dir.join("red.tif"), 2000);
    asset("./red.tif", &dir.join("red.tif"))
}

fn fetch_red(root: &Path, out: &Path, more: &[&str]) -> Output {
    let (root, out) = (root.to_str().unwrap(), out.to_str().unwrap());
    let flags = ["fetch", "--catalogue", root, "--granule", GRANULE, "--assets", "B04", "--out", out];
    let days =
        if more.contains(&"--dates") { vec![] } else { vec!["--from", "2020-01-01", "--to", "2024-12-31"] };
    s2_fetch(&[&flags[..], &days, more].concat())
}

fn fetched_item(out: &Path) -> String {
    raster::Source::open(out).unwrap().tag("", "item").unwrap()
}

#[test]
fn a_locked_scene_comes_again_though_the_catalogue_has_a_better_one() {
    let dir = tempfile::tempdir().unwrap();
    let red = band(dir.path());
    let old = scene("old", "2021-01-01", 20.0, json!({"B04": red}));
    let better = scene("better", "2022-01-01", 1.0, json!({"B04": red}));
    let newer_processing = {
        let mut item = scene("old-again", "2021-01-01", 20.0, json!({"B04": red}));
        item["properties"]["platform"] = old["properties"]["platform"].clone();
        item["properties"]["created"] = json!("2025-01-01T00:00:00Z");
        item
    };
    let out = dir.path().join("raw/T48RUV.tif");
    let lock = dir.path().join("raw/scenes.lock");
    let with_lock = ["--lock", lock.to_str().unwrap()];
    ok(fetch_red(&catalogue(dir.path(), std::slice::from_ref(&old)), &out, &with_lock));
    assert_eq!(fetched_item(&out), "old");
    let first = fs::read_to_string(&lock).unwrap();
    assert!(
        first.starts_with("# granule\titems\tcollection\tquestion\nT48RUV\told\tsentinel-2-l2a\t"),
        "{first}"
    );

    let root = catalogue(dir.path(), &[old, better, newer_processing.clone()]);
    ok(fetch_red(&root, &out, &with_lock));
    assert_eq!((fetched_item(&out).as_str(), fs::read_to_string(&lock).unwrap()), ("old", first.clone()));
    ok(fetch_red(&root, &out, &[&with_lock[..], &["--refresh"]].concat()));
    assert_eq!(fetched_item(&out), "better");
    let second = fs::read_to_string(&lock).unwrap();
    assert!(second.contains("T48RUV\tbetter\t"), "{second}");

    // Another question is asked on purpose: it is answered anew.
    let output = fetch_red(&root, &out, &[&with_lock[..], &["--dates", "2020-06-01/2021-06-01"]].concat());
    assert!(stderr(&output).contains("the question is another one"), "{}", stderr(&output));
    ok(output);
    assert_eq!(fetched_item(&out), "old-again", "the newest processing of the one sensing");

    let gone = catalogue(dir.path(), &[scene("other", "2021-02-01", 1.0, json!({"B04": red}))]);
    let again = [&with_lock[..], &["--dates", "2020-06-01/2021-06-01"]].concat();
    let line = refused_with(3, fetch_red(&gone, &out, &again));
    assert!(line.contains("want the locked scene old-again") && line.contains("--refresh"), "{line}");
    assert_eq!(fetched_item(&out), "old-again");
}

#[test]
fn a_dry_run_says_what_it_would_cost_and_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let red = band(dir.path());
    let n_bytes = red["file:size"].as_u64().unwrap();
    let root = catalogue(dir.path(), &[scene("one", "2021-01-01", 20.0, json!({"B04": red}))]);
    let (out, lock) = (dir.path().join("raw/T48RUV.tif"), dir.path().join("raw/scenes.lock"));
    let dry = ["--dry-run", "--at-mb-per-s", "0.001", "--lock", lock.to_str().unwrap()];
    let output = fetch_red(&root, &out, &dry);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    ok(output);
    assert!(text.contains("items    one\n") && text.contains(&format!("bytes    {n_bytes} (")), "{text}");
    assert!(text.contains(&format!("time     {:.0} s", n_bytes as f64 / 1e3)), "{text}");
    assert!(!dir.path().join("raw").exists());
    let output = fetch_red(&root, &out, &[&dry[..], &["--json"]].concat());
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&summary["items"], &summary["n_bytes"]), (&json!(["one"]), &json!(n_bytes)));
}

#[test]
fn the_json_summary_says_what_was_written_and_nothing_secret() {
    let dir = tempfile::tempdir().unwrap();
    let mut red = band(dir.path());
    red["href"] = json!("./red.tif?sig=SECRET");
    let root = catalogue(dir.path(), &[scene("one", "2021-01-01", 20.0, json!({"B04": red}))]);
    let out = dir.path().join("T48RUV.tif");
    let output = fetch_red(&root, &out, &["--json"]);
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["sha256"], contract::sha256_of(&out).unwrap().as_str());
    assert_eq!((summary["granule"].as_str(), summary["item"].as_str()), (Some(GRANULE), Some("one")));
    assert_eq!((&summary["n_files"], &summary["bytes_of_files"]), (&json!(1), &red["file:size"]));
    assert!(!summary.to_string().contains("SECRET"));
    ok(output);
}

/// A classification of the small scenes: clear (4) but for the rows from `first` on, which are cloud (9).
fn classes(path: &Path, first: usize) -> Value {
    let pixels: Vec<u8> = (0..HEIGHT * WIDTH).map(|i| if i / WIDTH >= first { 9 } else { 4 }).collect();
    let band = BandOut { name: "scl", unit: "class", pixels: &pixels };
    write_cog(path, &grid(), &[band], &CogOptions::default()).unwrap();
    asset(&format!("./{}", path.file_name().unwrap().to_str().unwrap()), path)
}

#[test]
fn inside_an_area_the_scene_that_is_clear_there_is_chosen() {
    let dir = tempfile::tempdir().unwrap();
    let red = band(dir.path());
    // Little cloud in the catalogue, but all over the area; and the other way round.
    let cloudy_here = json!({"B04": red, "scl": classes(&dir.path().join("a.tif"), 5)});
    let clear_here = json!({"B04": red, "SCL": classes(&dir.path().join("b.tif"), 36)});
    let scenes = [
        scene("clear-elsewhere", "2021-01-01", 5.0, cloudy_here),
        scene("clear-here", "2021-02-01", 60.0, clear_here),
    ];
    let root = catalogue(dir.path(), &scenes);
    let out = dir.path().join("T48RUV.tif");
    ok(fetch_red(&root, &out, &[]));
    assert_eq!(fetched_item(&out), "clear-elsewhere", "the catalogue's figures decide without an area");
    let area = format!("--bbox={AREA}");
    ok(fetch_red(&root, &out, &[&area]));
    assert_eq!(fetched_item(&out), "clear-here");
    let flags = raster::Source::open(&out).unwrap().tag("", "flags").unwrap();
    assert!(
        flags.contains(&format!("\"area\":\"{AREA}\"")) && flags.contains("\"scl-candidates\":3"),
        "{flags}"
    );
    ok(fetch_red(&root, &out, &[&area, "--scl-candidates", "0"]));
    assert_eq!(fetched_item(&out), "clear-elsewhere");
    let ledger = dir.path().join("ledger.json");
    ok(fetch_red(&root, &out, &[&area, "--max-cloud-share", "0.7", "--ledger", ledger.to_str().unwrap()]));
    let ledger: Value = serde_json::from_slice(&fs::read(ledger).unwrap()).unwrap();
    assert_eq!((&ledger["n_in"], &ledger["n_ok"]), (&json!(2), &json!(1)));
    assert_eq!(ledger["skipped"]["too much cloud or no data in the area (SCL)"], 1, "{ledger}");
    let line = refused(fetch_red(&root, &out, &["--bbox=10,10,11,11"]));
    assert!(line.contains("want an area that granule T48RUV meets"), "{line}");
}

#[test]
fn seasons_and_several_ranges_of_days_are_kept_to() {
    let dir = tempfile::tempdir().unwrap();
    let red = band(dir.path());
    let days = ["2020-02-01", "2021-07-01", "2022-12-24", "2023-08-01"];
    let scenes: Vec<_> = days.iter().map(|day| scene(day, day, 1.0, json!({"B04": red}))).collect();
    let root = catalogue(dir.path(), &scenes);
    let out = dir.path().join("T48RUV.tif");
    for (flags, want) in [
        (vec!["--months", "5-9"], "2023-08-01"),
        (vec!["--months", "11-2"], "2022-12-24"),
        (vec!["--dates", "2020-01-01/2020-12-31", "--dates", "2021-01-01/2021-12-31"], "2021-07-01"),
        (vec!["--months", "1-3", "--dates", "2020-01-01/2021-12-31"], "2020-02-01"),
    ] {
        ok(fetch_red(&root, &out, &flags));
        assert_eq!(fetched_item(&out), want, "{flags:?}");
    }
    let line = refused_with(3, fetch_red(&root, &out, &["--months", "4"]));
    assert!(line.contains("4 outside the months"), "{line}");
}

#[test]
fn a_plan_lists_granules_with_their_scenes_and_keeps_the_heads_comments() {
    let dir = tempfile::tempdir().unwrap();
    let red = band(dir.path());
    let root = catalogue(dir.path(), &[scene("one", "2021-01-01", 20.0, json!({"B04": red}))]);
    let out = dir.path().join("granules.tsv");
    fs::write(&out, "# made by hand\n# granule\titem\nT01ABC\n").unwrap();
    let (list, parts) = (out.to_str().unwrap(), dir.path().join("parts.geojson"));
    let area = format!("--bbox={AREA}");
    let flags =
        ["plan", &area, "--assets", "B04", "--out", list, "--from", "2020-01-01", "--to", "2022-01-01"];
    let more =
        ["--catalogue", root.to_str().unwrap(), "--pin", "--json", "--assigned-out", parts.to_str().unwrap()];
    let output = s2_fetch(&[&flags[..], &more].concat());
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    ok(output);
    assert_eq!(fs::read_to_string(&out).unwrap(), "# made by hand\n# granule\titem\nT48RUV\tone\n");
    assert_eq!((&plan["n_granules"], &plan["n_bytes"]), (&json!(1), &red["file:size"]));

    // The parts are an area again, by the granule's name.
    let named =
        ["plan", "--boundary", parts.to_str().unwrap(), "--name", GRANULE, "--assets", "B04", "--out", list];
    let output = s2_fetch(&named);
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    ok(output);
    assert!(text.contains("an estimate: 1 of 1 files"), "{text}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "# made by hand\n# granule\titem\nT48RUV\n");

    // Two granules, and a scene for one only.
    let wide = "--bbox=102.8,31.5,104.5,31.6";
    let flags =
        ["plan", wide, "--assets", "B04", "--out", list, "--from", "2020-01-01", "--to", "2022-01-01"];
    let line = refused_with(3, s2_fetch(&[&flags[..], &more[..2]].concat()));
    assert!(line.contains("want a scene of every granule, found none of T48RTV, T48RVV"), "{line}");
    assert_eq!(
        fs::read_to_string(&out).unwrap(),
        "# made by hand\n# granule\titem\nT48RUV\n",
        "the old list stays"
    );
    let line = refused_with(2, s2_fetch(&["plan", "--assets", "B04", "--out", list]));
    assert!(line.contains("want an area"), "{line}");
}

#[test]
fn a_plan_of_listed_granules_gives_all_their_ground_once() {
    let dir = tempfile::tempdir().unwrap();
    let (list, out) = (dir.path().join("in.tsv"), dir.path().join("out.tsv"));
    fs::write(&list, "# granule\titem\nT48RVV\nT48RUV\tpinned\n").unwrap();
    let flags = ["plan", "--granules", list.to_str().unwrap(), "--assets", "visual", "--json"];
    let output = s2_fetch(&[&flags[..], &["--out", out.to_str().unwrap()]].concat());
    let plan: Value = serde_json::from_slice(&output.stdout).unwrap();
    ok(output);
    // Two footprints of 109.8 km that share 9.78 km, in the plane; the ellipsoid differs by the scale of the projection.
    let (plane_km2, area_km2) = ((109.8 + 100.02) * 109.8, plan["area_km2"].as_f64().unwrap());
    assert!((area_km2 / plane_km2 - 1.0).abs() < 2e-3, "{area_km2} against {plane_km2}");
    assert_eq!(plan["n_granules"], 2);
    assert_eq!(fs::read_to_string(&out).unwrap(), "# granule\titem\nT48RUV\nT48RVV\n");
}

fn reference(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/reference");
    let folder = std::env::var_os("REFERENCE_DATA").map_or(beside, PathBuf::from);
    Some(folder.join(name)).filter(|path| path.exists())
}

#[test]
fn a_real_page_of_items_is_ranked_and_costed() {
    let Some(path) = reference("stac/item-collection.json") else {
        println!("skipped: no reference data; set REFERENCE_DATA");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (ledger, out) = (dir.path().join("ledger.json"), dir.path().join("T13TDE.tif"));
    let flags =
        ["fetch", "--catalogue", path.to_str().unwrap(), "--granule", "T13TDE", "--assets", "B04,SCL"];
    let days = ["--from", "2015-01-01", "--to", "2025-01-01", "--out", out.to_str().unwrap()];
    let dry = ["--dry-run", "--json", "--ledger", ledger.to_str().unwrap()];
    let output = s2_fetch(&[&flags[..], &days, &dry].concat());
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    ok(output);
    // The page states all lengths, so that nobody outside is asked.
    assert_eq!((&summary["n_files"], &summary["bytes_known_share"]), (&json!(2), &json!(1.0)));
    let ledger: Value = serde_json::from_slice(&fs::read(ledger).unwrap()).unwrap();
    assert_eq!((&ledger["n_in"], &ledger["n_ok"]), (&json!(10), &json!(1)), "{ledger}");
}

/// An API on loopback over two scenes, one of a neighbour, that answers a search as `answer` says.
fn api(dir: &Path, answer: impl Fn(&Value, Vec<Value>) -> Reply + Send + 'static) -> Server {
    let red = band(dir);
    let bytes = fs::read(dir.join("red.tif")).unwrap();
    let mut promised = red.clone();
    promised["href"] = json!("/files/red.tif");
    let scenes = vec![
        scene("ours", "2021-01-01", 20.0, json!({"B04": promised})),
        item("neighbour", "2021-01-01", 1.0, json!({"B04": promised})),
    ];
    Server::start(move |request, _| match (request.method.as_str(), request.path.split('?').next()) {
        ("GET", Some("/api")) => Reply::ok(
            json!({"type": "Catalog", "links": [{"rel": "search", "href": "/api/search", "method": "POST"}]})
                .to_string(),
        ),
        ("POST", Some("/api/search")) => {
            answer(&serde_json::from_str(&request.body).unwrap(), scenes.clone())
        }
        _ => Reply::ok(bytes.clone()),
    })
}

fn page(items: &[Value]) -> Reply {
    Reply::ok(json!({"type": "FeatureCollection", "features": items}).to_string())
}

#[test]
fn an_api_that_ignores_or_refuses_properties_is_searched_by_place() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("T48RUV.tif");
    let ignoring = api(dir.path(), |_, scenes| page(&scenes));
    let refusing = api(dir.path(), |question, scenes| match question.get("query") {
        Some(_) => Reply::status(400, &[]),
        None => page(&scenes),
    });
    let silent = api(dir.path(), |question, scenes| match question.get("query") {
        Some(_) => page(&[]),
        None => page(&scenes),
    });
    for (server, n_searches) in [(ignoring, 1), (refusing, 3), (silent, 3)] {
        ok(fetch_red(Path::new(&format!("{}/api", server.address)), &out, &[]));
        assert_eq!(fetched_item(&out), "ours");
        assert_eq!(server.n_requests("/api/search"), n_searches);
        fs::remove_file(&out).unwrap();
        for request in server.seen.lock().unwrap().iter().filter(|r| r.path == "/api/search") {
            let asked: Value = serde_json::from_str(&request.body).unwrap();
            let bbox: Vec<f64> =
                asked["bbox"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            assert!(bbox[0] < 102.9 && bbox[1] < 31.6 && bbox[2] > 102.9 && bbox[3] > 31.6, "{bbox:?}");
        }
    }
}
