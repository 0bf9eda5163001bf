//! The program against a server on loopback: a STAC API with pages, and a network that fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use raster::Source;
use serde_json::{Value, json};
use support::*;

const BAND: [&str; 2] = ["--assets", "B04"];

/// A catalogue file in `dir` whose one asset lies on a server.
fn remote(dir: &std::path::Path, asset: Value) -> String {
    let root = catalogue(dir, &[item("one", "2022-01-01", 1.0, json!({"B04": asset}))]);
    root.to_str().unwrap().to_owned()
}

#[test]
fn an_api_is_searched_page_by_page_and_its_best_scene_fetched() {
    let dir = tempfile::tempdir().unwrap();
    let red = dir.path().join("red.tif");
    write_band(&red, 2000);
    let (bytes, promised) = (fs::read(&red).unwrap(), asset("/files/red.tif", &red));
    let server = Server::start(move |request, _| {
        let reply = |value: Value| Reply::ok(value.to_string());
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/api") => reply(json!({"type": "Catalog", "links": [
                {"rel": "search", "href": "/api/search", "method": "GET"}, {"rel": "search", "href": "/api/search", "method": "POST"}]})),
            ("POST", "/api/search") => {
                let asked: Value = serde_json::from_str(&request.body).unwrap();
                // Earth Search's dialect: the other one finds nothing.
                if asked["query"]["grid:code"]["eq"] != "MGRS-48RVV" {
                    return reply(json!({"type": "FeatureCollection", "features": []}));
                }
                assert_eq!(asked["datetime"], "2020-01-01T00:00:00Z/2024-12-31T23:59:59Z");
                let page = asked.get("page").and_then(Value::as_u64).unwrap_or(1);
                let next = json!({"rel": "next", "href": "/api/search", "method": "POST", "merge": true, "body": {"page": page + 1}});
                let feature = match page {
                    1 => item("cloudy", "2021-01-01", 60.0, json!({})),
                    2 => item("clear", "2021-02-01", 2.0, json!({"red": promised.clone()})),
                    _ => item("hazy", "2021-03-01", 20.0, json!({})),
                };
                let links = if page < 3 { vec![next] } else { vec![] };
                reply(json!({"type": "FeatureCollection", "features": [feature], "links": links}))
            }
            ("GET", "/files/red.tif") => Reply::ok(bytes.clone()),
            _ => Reply::status(404, &[]),
        }
    });
    let out = dir.path().join("raw/T48RVV.tif");
    ok(fetch(&format!("{}/api", server.address), &out, &BAND));
    assert_eq!(Source::open(&out).unwrap().read_band::<u16>(1).unwrap(), numbers(1000));
    let rows: Vec<contract::Scene> = contract::read(&out.with_extension("scene.parquet")).unwrap();
    let order: Vec<_> = rows.iter().map(|r| r.item.as_str()).collect();
    assert_eq!(order, ["clear", "hazy", "cloudy"]);
    assert_eq!(server.n_requests("/api/search"), 4);
}

#[test]
fn a_network_that_fails_for_a_while_is_outlasted_and_nothing_false_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let red = dir.path().join("red.tif");
    write_band(&red, 2000);
    let bytes = fs::read(&red).unwrap();
    let mut altered = bytes.clone();
    altered[bytes.len() / 2] ^= 1;
    let good = bytes.clone();
    let server = Server::start(move |_, before| match before {
        0 => Reply::status(503, &[("retry-after", "0")]),
        1 => Reply::ok(good.clone()).cut(good.len() / 2),
        2 => Reply::ok(altered.clone()),
        _ => Reply::ok(good.clone()),
    });
    let out = dir.path().join("raw/T48RVV.tif");
    let catalogue = remote(dir.path(), asset(&format!("{}/red.tif", server.address), &red));
    let output = fetch(&catalogue, &out, &BAND);
    let text = stderr(&output);
    ok(output);
    assert_eq!(server.n_requests("/red.tif"), 4);
    for said in ["503", "want SHA-256", "trying again"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    assert_eq!(Source::open(&out).unwrap().read_band::<u16>(1).unwrap(), numbers(1000));
}

#[test]
fn a_file_that_never_matches_its_hash_is_refused_and_the_old_scene_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (red, other) = (dir.path().join("red.tif"), dir.path().join("other.tif"));
    write_band(&red, 2000);
    write_band(&other, 4000);
    let mut promised = asset("", &red);
    promised.as_object_mut().unwrap().remove("file:size");
    let bytes = fs::read(&other).unwrap();
    let server = Server::start(move |_, _| Reply { headers: vec![], ..Reply::ok(bytes.clone()) });
    promised["href"] = json!(format!("{}/red.tif", server.address));
    let out = dir.path().join("raw/T48RVV.tif");
    fs::create_dir(out.parent().unwrap()).unwrap();
    fs::write(&out, "old").unwrap();
    let line = refused(fetch(&remote(dir.path(), promised), &out, &BAND));
    assert!(line.contains("want SHA-256") && line.contains("gave up after 5 tries"), "{line}");
    assert_eq!(server.n_requests("/red.tif"), 5, "tries are bounded");
    assert_eq!(fs::read(&out).unwrap(), b"old");
    assert_eq!(fs::read_dir(out.parent().unwrap()).unwrap().count(), 1, "no part is left");
}

#[test]
fn a_server_that_asks_for_too_long_a_wait_is_not_waited_for() {
    let cases = [
        ("retry-after", "86400", "the server asks for 86400 s"),
        ("retry-after", "99999999999999999999999999", "the server asks for a wait of decades"),
        ("retry-after-ms", "1e300", "the server asks for a wait of decades"),
        ("x-ratelimit-reset", "7200", "the server asks for 7200 s"),
    ];
    for (name, value, want) in cases {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(move |_, _| Reply::status(429, &[(name, value)]));
        let asset = json!({"href": format!("{}/red.tif", server.address)});
        let line = refused_with(4, fetch(&remote(dir.path(), asset), &dir.path().join("T48RVV.tif"), &BAND));
        assert!(line.contains(want) && line.contains("try again later"), "{line}");
        assert_eq!(server.n_requests("/red.tif"), 1, "{name}: {value}");
    }
}

#[test]
fn waits_in_fractions_and_milliseconds_are_kept() {
    for (name, value) in [("retry-after", "1.1"), ("retry-after-ms", "1100")] {
        let dir = tempfile::tempdir().unwrap();
        let red = dir.path().join("red.tif");
        write_band(&red, 2000);
        let bytes = fs::read(&red).unwrap();
        let server = Server::start(move |_, before| match before {
            0 => Reply::status(503, &[(name, value)]),
            _ => Reply::ok(bytes.clone()),
        });
        let href = format!("{}/red.tif", server.address);
        let mut promised = asset("", &red);
        promised["href"] = json!(href);
        let begun = std::time::Instant::now();
        let output = fetch(&remote(dir.path(), promised), &dir.path().join("T48RVV.tif"), &BAND);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(begun.elapsed().as_secs_f64() >= 1.1, "{name}: {:?}", begun.elapsed());
    }
}

#[test]
fn no_secret_of_an_address_is_ever_said() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|request, before| match (request.path.split('?').next(), before) {
        (Some("/moved.tif"), _) => Reply::status(302, &[("location", "/gone.tif?sig=SECRET")]),
        (_, 0) => Reply::status(500, &[("retry-after", "0")]),
        _ => Reply::status(404, &[]),
    });
    for path in ["gone.tif", "moved.tif"] {
        let asset = json!({"href": format!("{}/{path}?sig=SECRET&se=2024", server.address)});
        let output = fetch(&remote(dir.path(), asset), &dir.path().join("T48RVV.tif"), &BAND);
        assert!(!stderr(&output).contains("SECRET"), "{}", stderr(&output));
        refused(output);
    }
    let dead = json!({"href": "http://127.0.0.1:9/a.tif?sig=SECRET"});
    let output = fetch(&remote(dir.path(), dead), &dir.path().join("T48RVV.tif"), &BAND);
    assert!(!stderr(&output).contains("SECRET"));
    refused_with(4, output);
}

#[test]
fn pages_that_go_in_a_circle_and_answers_that_are_no_stac_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("T48RVV.tif");
    let server = Server::start(|request, _| {
        match request.path.split('?').next() {
        Some("/api") => Reply::ok(json!({"type": "Catalog", "links": [{"rel": "search", "href": "/search"}]}).to_string()),
        Some("/html") => Reply::ok("<html>not STAC</html>"),
        _ => Reply::ok(
            json!({"type": "FeatureCollection", "features": [], "links": [{"rel": "next", "href": "/search?page=2"}]}).to_string(),
        ),
    }
    });
    let line = refused(fetch(&format!("{}/api", server.address), &out, &BAND));
    assert!(line.contains("found a circle"), "{line}");
    let line = refused(fetch(&format!("{}/html", server.address), &out, &BAND));
    assert!(line.contains("want JSON"), "{line}");
}
