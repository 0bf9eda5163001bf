//! A server on loopback that gives ranges and tags, and misbehaves as it is told.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use url::Url;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub path: String,
    pub query: String,
    pub range: Option<Range<u64>>,
    pub if_match: Option<String>,
}

/// What is said.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close after so many bytes of the body.
    pub cut: Option<usize>,
    /// Wait so long after each hundred bytes.
    pub drip: Option<Duration>,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.retain(|(n, _)| n != name);
        self.headers.push((name.into(), value.to_string()));
        self
    }
}

/// A file as an honest server gives it.
pub fn honest(request: &Request, bytes: &[u8], etag: &str) -> Reply {
    if request.if_match.as_ref().is_some_and(|tag| tag != etag) {
        return Reply::status(412);
    }
    let whole = Reply { body: bytes.to_vec(), ..Reply::status(200) }.header("etag", etag);
    let Some(range) = &request.range else { return whole };
    let total = bytes.len() as u64;
    if range.start >= total {
        return Reply::status(416).header("content-range", format!("bytes */{total}"));
    }
    let end = range.end.min(total);
    Reply { status: 206, body: bytes[range.start as usize..end as usize].to_vec(), ..whole }
        .header("content-range", format!("bytes {}-{}/{total}", range.start, end - 1))
}

/// The server; it ends with the test's process.
pub struct Server {
    pub address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// Answers each request by a function of it and of how many came before.
    pub fn start(answer: impl Fn(&Request, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || serve(stream, &log, answer.as_ref()));
            }
        });
        Self { address, seen }
    }

    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.address)).unwrap()
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    pub fn forget(&self) {
        self.seen.lock().unwrap().clear();
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &impl Fn(&Request, usize) -> Reply) {
    let Some(request) = read(&mut stream) else { return };
    let before = {
        let mut log = log.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    let _ = send(&mut stream, &answer(&request, before));
}

fn read(stream: &mut TcpStream) -> Option<Request> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while !bytes.windows(4).any(|w| w == b"\r\n\r\n") {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
    }
    let text = String::from_utf8(bytes).ok()?;
    let target = text.split_whitespace().nth(1)?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |name: &str| {
        text.lines().find_map(|l| {
            let (key, value) = l.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    };
    let range = header("range").and_then(|text| {
        let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
        Some(first.parse().ok()?..last.parse::<u64>().ok()? + 1)
    });
    Some(Request { path: path.into(), query: query.into(), range, if_match: header("if-match") })
}

fn send(stream: &mut TcpStream, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} x\r\nconnection: close\r\n", reply.status);
    let told = |name: &str| reply.headers.iter().any(|(n, _)| n == name);
    if !told("content-length") {
        head.push_str(&format!("content-length: {}\r\n", reply.body.len()));
    }
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    let Some(pause) = reply.drip else { return stream.write_all(body) };
    for chunk in body.chunks(100) {
        stream.write_all(chunk)?;
        std::thread::sleep(pause);
    }
    Ok(())
}
