//! Small scenes, catalogues over them, and a server on loopback that can misbehave.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use raster::{Affine, BandOut, CogOptions, Crs, Grid, write_cog};
use serde_json::{Value, json};

pub const HEIGHT: usize = 40;
pub const WIDTH: usize = 30;

pub fn grid() -> Grid {
    Grid {
        height: HEIGHT,
        width: WIDTH,
        transform: Affine { west: 300_000.0, north: 3_500_000.0, pixel_width: 10.0, pixel_height: 10.0 },
        crs: Crs::from_epsg(32648).unwrap(),
    }
}

/// A band whose numbers tell it from another: `base + row * WIDTH + col`.
pub fn numbers(base: u16) -> Vec<u16> {
    (0..HEIGHT * WIDTH).map(|i| base + i as u16).collect()
}

pub fn write_band(path: &Path, base: u16) {
    let pixels = numbers(base);
    let band = BandOut { name: "", unit: "dn", pixels: &pixels };
    write_cog(path, &grid(), &[band], &CogOptions::default()).unwrap();
}

pub fn write_visual(path: &Path) {
    let pixels: Vec<u8> = numbers(1).iter().map(|v| *v as u8).collect();
    let bands = ["", "", ""].map(|name| BandOut { name, unit: "dn", pixels: &pixels });
    write_cog(path, &grid(), &bands, &CogOptions::default()).unwrap();
}

/// An asset with its length and hash.
pub fn asset(href: &str, file: &Path) -> Value {
    json!({
        "href": href,
        "file:size": std::fs::metadata(file).unwrap().len(),
        "file:checksum": format!("1220{}", contract::sha256_of(file).unwrap()),
    })
}

pub fn item(id: &str, day: &str, cloud_percent: f64, assets: Value) -> Value {
    json!({
        "type": "Feature", "stac_version": "1.0.0", "id": id, "collection": "sentinel-2-l2a", "links": [],
        "properties": {
            "datetime": format!("{day}T03:39:59Z"), "platform": format!("sentinel-2 {id}"), "grid:code": "MGRS-48RVV",
            "eo:cloud_cover": cloud_percent, "s2:nodata_pixel_percentage": 0.0, "s2:processing_baseline": "05.11",
        },
        "assets": assets,
    })
}

pub fn catalogue(folder: &Path, items: &[Value]) -> PathBuf {
    let mut links = vec![json!({"rel": "root", "href": "./catalog.json"})];
    for (n, item) in items.iter().enumerate() {
        std::fs::write(folder.join(format!("item{n}.json")), item.to_string()).unwrap();
        links.push(json!({"rel": "item", "href": format!("./item{n}.json")}));
    }
    let root = folder.join("catalog.json");
    let text = json!({"type": "Catalog", "stac_version": "1.0.0", "id": "test", "description": "test", "links": links});
    std::fs::write(&root, text.to_string()).unwrap();
    root
}

pub fn fetch(catalogue: &str, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2-fetch"));
    command.args([
        "fetch",
        "--catalogue",
        catalogue,
        "--granule",
        "T48RVV",
        "--from",
        "2020-01-01",
        "--to",
        "2024-12-31",
    ]);
    command.arg("--out").arg(out).args(more);
    for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env_remove(proxy);
    }
    command.output().unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn ok(output: Output) {
    assert!(output.status.success(), "{}", stderr(&output));
}

/// The failure's one line; the exit code must be 1.
pub fn refused(output: Output) -> String {
    refused_with(1, output)
}

/// The failure's one line; the exit code must be this one: 3 where no scene fits, 4 where the network gave up.
pub fn refused_with(code: i32, output: Output) -> String {
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let errors: Vec<_> = text.lines().filter(|l| l.contains("s2-fetch: error:")).collect();
    assert_eq!(errors.len(), 1, "{text}");
    errors[0].to_owned()
}

/// What the server saw: method, path with query, body.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub body: String,
}

/// What the server says.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub cut: Option<usize>,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: Vec::new(), body: body.into(), cut: None }
    }

    pub fn status(status: u16, headers: &[(&str, &str)]) -> Self {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { status, headers, body: Vec::new(), cut: None }
    }

    pub fn cut(self, n: usize) -> Self {
        Self { cut: Some(n), ..self }
    }
}

/// A server that answers each request by a function of it and of how many came before it with the same path.
pub struct Server {
    pub address: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::<Request>::new()));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let Some(request) = read_request(&mut stream) else { continue };
                let mut log = log.lock().unwrap();
                let before = log.iter().filter(|r| r.path == request.path).count();
                log.push(request.clone());
                drop(log);
                let _ = send(&mut stream, &answer(&request, before));
            }
        });
        Self { address, seen }
    }

    pub fn n_requests(&self, path: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|r| r.path.split('?').next() == Some(path)).count()
    }
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|l| {
            let (key, value) = l.split_once(':')?;
            key.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            let mut words = head.split_whitespace();
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            return Some(Request { method, path, body: body.to_owned() });
        }
    }
}

fn send(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {} x\r\nconnection: close\r\ncontent-length: {}\r\n",
        reply.status,
        reply.body.len()
    );
    for (key, value) in &reply.headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&reply.body[..reply.cut.unwrap_or(reply.body.len())])
}
