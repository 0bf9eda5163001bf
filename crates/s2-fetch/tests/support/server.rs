//! A server on loopback that speaks HTTP/1.1 by hand, with ranges and kept connections, and misbehaves to order.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server saw: method, path with query (or the whole address, from a client that takes it for a proxy), headers, body.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The one range that is asked of a file of this length.
    pub fn range(&self, length: usize) -> Option<Range<usize>> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        if first.is_empty() {
            return Some(length.saturating_sub(last.parse().ok()?)..length);
        }
        let end = last.parse().map_or(length, |last: usize| (last + 1).min(length));
        Some(first.parse().ok()?..end)
    }
}

/// What the server says.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub cut: Option<usize>,
    /// Close by a reset and not by an end.
    pub reset: bool,
    /// Wait before the first byte.
    pub delay: Duration,
    /// At most so many bytes at once, and a wait after each.
    pub pace: Option<(usize, Duration)>,
    /// A length to announce that need not be the body's.
    pub announced: Option<usize>,
}

impl Reply {
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            headers: Vec::new(),
            body: body.into(),
            cut: None,
            reset: false,
            delay: Duration::ZERO,
            pace: None,
            announced: None,
        }
    }

    pub fn status(status: u16, headers: &[(&str, &str)]) -> Self {
        let reply = Self { status, ..Self::ok("") };
        headers.iter().fold(reply, |reply, (key, value)| reply.with(key, value))
    }

    /// A file as a good server gives it: the range that is asked for, with its place, length and tag.
    pub fn file(request: &Request, bytes: &[u8], etag: &str) -> Self {
        if request.header("if-match").is_some_and(|tag| tag != etag && tag != "*") {
            return Self::status(412, &[]);
        }
        let same = request.header("if-range").is_none_or(|tag| tag == etag);
        let reply = match request.range(bytes.len()).filter(|_| same) {
            Some(range) if range.start >= bytes.len() => {
                Self::status(416, &[]).with("content-range", &format!("bytes */{}", bytes.len()))
            }
            Some(range) => {
                let place = format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len());
                Self { status: 206, ..Self::ok(&bytes[range]) }.with("content-range", &place)
            }
            None => Self::ok(bytes),
        };
        reply.with("etag", etag).with("accept-ranges", "bytes")
    }

    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(key));
        self.headers.push((key.to_owned(), value.to_owned()));
        self
    }

    pub fn cut(self, n: usize) -> Self {
        Self { cut: Some(n), ..self }
    }

    pub fn reset(self, n: usize) -> Self {
        Self { reset: true, ..self.cut(n) }
    }

    pub fn late(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub fn slow(self, n_bytes: usize, pause: Duration) -> Self {
        Self { pace: Some((n_bytes, pause)), ..self }
    }
}

type Answer = Mutex<dyn FnMut(&Request, usize) -> Reply + Send>;

/// A server that answers each request by a function of it and of how many came before it with the same path.
pub struct Server {
    pub address: String,
    pub seen: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub fn start(answer: impl FnMut(&Request, usize) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::<Request>::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (log, end, answer) = (Arc::clone(&seen), Arc::clone(&stopped), Arc::new(Mutex::new(answer)));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let _ = serve(stream, &log, &*answer);
                });
            }
        });
        Self { address, seen, stopped }
    }

    pub fn requests(&self, path: &str) -> Vec<Request> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|r| r.path.split('?').next() == Some(path)).cloned().collect()
    }

    pub fn n_requests(&self, path: &str) -> usize {
        self.requests(path).len()
    }
}

impl Drop for Server {
    /// Frees the port: the listener ends with the next connection, which is this one.
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address.trim_start_matches("http://"));
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &Answer) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    while let Some(request) = read_request(&mut stream) {
        let before = {
            let mut log = log.lock().unwrap();
            let before = log.iter().filter(|r| r.path == request.path).count();
            log.push(request.clone());
            before
        };
        let reply = (answer.lock().unwrap())(&request, before);
        send(&mut stream, &reply, request.method == "HEAD")?;
        let untrue = reply.announced.is_some_and(|n| n != reply.body.len());
        if (reply.cut.is_some() || untrue) && request.method != "HEAD" {
            return close(&stream, reply.reset);
        }
    }
    Ok(())
}

/// Ends a connection in the middle of a body.
fn close(stream: &TcpStream, reset: bool) -> std::io::Result<()> {
    if reset {
        return socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
    }
    stream.shutdown(Shutdown::Both)
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&buffer[..n]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let headers: Vec<(String, String)> = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.to_owned(), value.trim().to_owned()))
            .collect();
        let mut words = head.split_whitespace();
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let request = Request { method, path, headers, body: body.to_owned() };
        let length = request.header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        if request.body.len() >= length {
            return Some(request);
        }
    }
}

fn send(stream: &mut TcpStream, reply: &Reply, head_only: bool) -> std::io::Result<()> {
    std::thread::sleep(reply.delay);
    let length = reply.announced.unwrap_or(reply.body.len());
    let mut head = format!("HTTP/1.1 {} x\r\ncontent-length: {length}\r\n", reply.status);
    for (key, value) in &reply.headers {
        head.push_str(&format!("{key}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    if head_only {
        return Ok(());
    }
    let body = &reply.body[..reply.cut.unwrap_or(reply.body.len()).min(reply.body.len())];
    let Some((n_bytes, pause)) = reply.pace else { return stream.write_all(body) };
    body.chunks(n_bytes).try_for_each(|chunk| {
        stream.write_all(chunk)?;
        std::thread::sleep(pause);
        Ok(())
    })
}
