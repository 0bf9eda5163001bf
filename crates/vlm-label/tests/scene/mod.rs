//! A granule of 2 x 3 tiles, its two clusters, and an endpoint on loopback that answers as told.
#![allow(clippy::unwrap_used, dead_code)]

pub mod office;
pub mod rough;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::{Cluster, Made, Tile, TileId, TileWriter, TilesMeta};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const KEY: &str = "sk-loopback-secret-0123456789";
pub const SHARES: &str = r#"{"uninhabited": 0.2, "rural": 0.5, "urban": 0.3}"#;

/// Tile r001c002 has no pixels; the other five differ.
pub fn scene() -> TempDir {
    let dir = TempDir::new().unwrap();
    let meta = TilesMeta {
        granule: "T18SVG".into(),
        crs: "EPSG:32618".into(),
        tile_px: 4,
        pixel_m: 10.0,
        n_rows: 2,
        n_cols: 3,
        bands: vec!["red".into(), "green".into(), "blue".into()],
    };
    let path = dir.path().join("tiles.parquet");
    let made = Made::by("granule-split-mpi");
    let mut writer = TileWriter::begin(&path, &meta, &made).unwrap();
    for row in 0..2 {
        writer.push_row(&(0..3).map(|col| tile(row, col)).collect::<Vec<_>>()).unwrap();
    }
    writer.finish().unwrap();
    let cluster = |(row, col): (u32, u32)| Cluster {
        granule: "T18SVG".parse().unwrap(),
        tile: TileId { row, col },
        class: "rural".into(),
        cluster: row,
        distance: f64::from(col),
    };
    let clusters: Vec<Cluster> = [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1)].into_iter().map(cluster).collect();
    contract::write(&dir.path().join("clusters.parquet"), &clusters, &Made::by("stage1-cluster")).unwrap();
    dir
}

fn tile(row: u32, col: u32) -> Tile {
    let skipped = (row, col) == (1, 2);
    Tile {
        tile: TileId { row, col },
        west_m: 0.0,
        south_m: 0.0,
        east_m: 40.0,
        north_m: 40.0,
        lon_deg: -75.6,
        lat_deg: 37.7,
        valid_share: if skipped { 0.0 } else { 1.0 },
        cloud_share: None,
        skipped: skipped.then(|| "no valid pixels".into()),
        pixels: (!skipped).then(|| (0..48).map(|at| (at * 5 + row * 40 + col * 9) as u8).collect()),
    }
}

pub fn prompt(name: &str) -> String {
    format!("{}/../../prompts/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Runs `vlm-label` in `folder` against the endpoint at `base`; without canaries, which add calls, unless flags say how many.
pub fn vlm(folder: &Path, base: &str, flags: &[&str]) -> Output {
    let asks = flags.iter().take(2).any(|job| ["classify", "vote", "pair"].contains(job));
    let none = asks && !flags.contains(&"--canaries");
    Command::new(env!("CARGO_BIN_EXE_vlm-label"))
        .args(flags)
        .args(if none { &["--canaries", "0"][..] } else { &[] })
        .env("OPENAI_BASE_URL", base)
        .env("OPENAI_API_KEY", KEY)
        .env("RUST_LOG", "debug")
        .current_dir(folder)
        .output()
        .unwrap()
}

pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What the endpoint does with one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A chat completion with this text.
    Text(String),
    /// A status, a header, a body that is no OpenAI JSON.
    Status(u16, Option<(&'static str, &'static str)>, String),
    /// A chat completion after this long.
    Slow(Duration, String),
}

pub fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

/// An endpoint that answers by a function of (image, how often it was asked about this image before).
pub struct Endpoint {
    pub base: String,
    calls: Arc<Mutex<Vec<Value>>>,
}

impl Endpoint {
    pub fn start(answer: impl Fn(usize, usize) -> Reply + Send + Sync + 'static) -> Self {
        let server = Arc::new(tiny_http::Server::http("127.0.0.1:0").unwrap());
        let base = format!("http://{}/v1", server.server_addr().to_ip().unwrap());
        let calls: Arc<Mutex<Vec<Value>>> = Arc::default();
        let answer = Arc::new(answer);
        let images: Arc<Mutex<BTreeMap<String, (usize, usize)>>> = Arc::default();
        for _ in 0..4 {
            let (server, calls, answer, images) =
                (server.clone(), calls.clone(), answer.clone(), images.clone());
            std::thread::spawn(move || {
                while let Ok(mut request) = server.recv() {
                    let body: Value = serde_json::from_reader(request.as_reader()).unwrap_or_default();
                    let image = body["messages"][0]["content"][1]["image_url"]["url"].to_string();
                    let (number, before) = {
                        let mut images = images.lock().unwrap();
                        let next = images.len();
                        let seen = images.entry(image).or_insert((next, 0));
                        seen.1 += 1;
                        (seen.0, seen.1 - 1)
                    };
                    calls
                        .lock()
                        .unwrap()
                        .push(json!({"url": request.url(), "body": body, "key": has_key(&request)}));
                    respond(request, answer(number, before));
                }
            });
        }
        Self { base, calls }
    }

    pub fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }
}

fn has_key(request: &tiny_http::Request) -> bool {
    request.headers().iter().any(|header| header.value.as_str() == format!("Bearer {KEY}"))
}

fn respond(request: tiny_http::Request, reply: Reply) {
    let (status, header, body) = match reply {
        Reply::Status(status, header, body) => (status, header, body),
        Reply::Text(text) => (200, None, chat(&text)),
        Reply::Slow(pause, text) => {
            std::thread::sleep(pause);
            (200, None, chat(&text))
        }
    };
    let mut response = tiny_http::Response::from_string(body).with_status_code(status);
    if let Some((name, value)) = header {
        response.add_header(tiny_http::Header::from_bytes(name, value).unwrap());
    }
    // a client that gave up has hung up
    let _ = request.respond(response);
}

pub fn chat(text: &str) -> String {
    let message = json!({"role": "assistant", "content": text});
    json!({"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
        .to_string()
}
