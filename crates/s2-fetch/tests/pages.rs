//! Search APIs whose pages do not come to an end, and one that is asked about the antimeridian.
#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::*;

const BAND: [&str; 2] = ["--assets", "B04"];
/// Address space of the program while an API goes on for ever.
const MEMORY_CAP_KIB: usize = 3 << 20;

fn root(method: &str) -> Reply {
    let links = json!([{"rel": "search", "href": "/search", "method": method}]);
    Reply::ok(json!({"type": "Catalog", "id": "c", "links": links}).to_string())
}

/// A page of items with a link to one with a higher number.
fn page(items: Vec<Value>, request: &Request) -> Reply {
    let query = request.path.split("n=").nth(1).and_then(|n| n.parse().ok());
    let body = serde_json::from_str::<Value>(&request.body).ok().and_then(|body| body["n"].as_u64());
    let n = query.or(body).unwrap_or(0) + 1;
    let next = match request.method.as_str() {
        "POST" => {
            json!({"rel": "next", "href": "/search", "method": "POST", "merge": true, "body": {"n": n}})
        }
        _ => json!({"rel": "next", "href": format!("/search?n={n}")}),
    };
    Reply::ok(json!({"type": "FeatureCollection", "features": items, "links": [next]}).to_string())
}

fn plain(id: &str) -> Value {
    item(id, "2022-01-01", 1.0, json!({"B04": {"href": "red.tif"}}))
}

#[test]
fn a_page_that_comes_again_under_a_growing_number_ends_the_search_at_once() {
    for method in ["GET", "POST"] {
        let server = Server::start(move |request, _| match request.path.split('?').next().unwrap() {
            "/" => root(method),
            _ => page(vec![plain("one"), plain("two")], request),
        });
        let dir = tempfile::tempdir().unwrap();
        let line = refused(fetch(&format!("{}/", server.address), &dir.path().join("o.tif"), &BAND));
        assert!(
            line.contains("want pages that come to an end, found the items of an earlier page"),
            "{line}"
        );
        assert_eq!(server.n_requests("/search"), 2, "{method}");
    }
}

#[test]
fn pages_without_an_item_are_followed_for_a_while() {
    let with_scene = |from: usize| {
        move |request: &Request, _| match request.path.split('?').next().unwrap() {
            "/" => root("GET"),
            "/red.tif" => Reply::status(404, &[]),
            _ if request.path.ends_with(&format!("n={from}")) => {
                Reply::ok(json!({"type": "FeatureCollection", "features": [plain("late")]}).to_string())
            }
            _ => page(vec![], request),
        }
    };
    let dir = tempfile::tempdir().unwrap();
    let found = Server::start(with_scene(5));
    let line = refused(fetch(&format!("{}/", found.address), &dir.path().join("o.tif"), &BAND));
    assert!(line.contains("red.tif"), "the scene is found and its file asked for: {line}");
    let endless = Server::start(with_scene(1_000_000));
    let line = refused(fetch(&format!("{}/", endless.address), &dir.path().join("o.tif"), &BAND));
    assert!(line.contains("more than 10 without an item"), "{line}");
    assert_eq!(endless.n_requests("/search"), 11);
}

#[test]
fn an_api_of_endless_pages_of_new_items_is_given_up_within_memory() {
    let mut n = 0;
    let server = Server::start(move |request, _| match request.path.split('?').next().unwrap() {
        "/" => root("GET"),
        _ => {
            n += 1;
            page((0..5_000).map(|i| plain(&format!("S2_{n}_{i}"))).collect(), request)
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let command = fetching(&format!("{}/", server.address), &dir.path().join("o.tif"), &BAND);
    let mut capped = Command::new("sh");
    capped.args(["-c", &format!("ulimit -v {MEMORY_CAP_KIB}; exec \"$0\" \"$@\"")]);
    let output = capped.arg(command.get_program()).args(command.get_args()).env_remove("http_proxy").output();
    let line = refused(output.unwrap());
    assert!(line.contains("found more; narrow the dates"), "{line}");
    assert_eq!(server.n_requests("/search"), 11);
}

#[test]
fn a_granule_on_the_antimeridian_is_searched_on_both_sides_of_it() {
    let server = Server::start(|request, _| match request.path.split('?').next().unwrap() {
        "/" => root("POST"),
        _ => Reply::ok(json!({"type": "FeatureCollection", "features": []}).to_string()),
    });
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2-fetch"));
    command.args([
        "fetch",
        "--granule",
        "T01KAB",
        "--assets",
        "B04",
        "--from",
        "2022-01-01",
        "--to",
        "2022-12-31",
    ]);
    command.arg("--catalogue").arg(format!("{}/", server.address)).arg("--out").arg(dir.path().join("o.tif"));
    refused_with(3, command.env_remove("http_proxy").env_remove("HTTP_PROXY").output().unwrap());
    let mut boxes: Vec<Vec<f64>> = server
        .requests("/search")
        .iter()
        .map(|request| serde_json::from_str::<Value>(&request.body).unwrap()["bbox"].clone())
        .map(|bbox| serde_json::from_value(bbox).unwrap())
        .collect();
    boxes.dedup();
    assert_eq!(boxes.len(), 6, "three questions on two sides");
    for bbox in boxes {
        assert!(bbox[0] >= -180.0 && bbox[2] <= 180.0 && bbox[2] - bbox[0] < 2.0, "{bbox:?}");
    }
}
