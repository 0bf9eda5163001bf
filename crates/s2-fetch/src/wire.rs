//! Reading JSON and files from disk or over HTTP: bounded tries, bounded waits, nothing kept that is not proven.

use std::future::Future;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use contract::file::Whole;
use raster::Window;
use reqwest::header::{CONTENT_LENGTH, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::warn;
use url::Url;

use crate::fault::Fault;
use crate::guard::{Guard, shown};
use crate::proof::{Promise, check_length, decode, hexadecimal, within};
use crate::sign;

const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(120);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Silence after which a connection counts as lost.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest that one try for one file may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(3600);
const MAX_REDIRECTS: usize = 5;
const MAX_JSON_BYTES: u64 = 64 << 20;
/// A table of items; it is read into memory.
const MAX_TABLE_BYTES: u64 = 512 << 20;
const MAX_FILE_BYTES: u64 = 16 << 30;

mod limits;

pub(crate) use limits::Limits;

/// The way to a catalogue and to what it names.
#[derive(Debug)]
pub(crate) struct Wire {
    client: Client,
    guard: Guard,
    catalogue: Url,
}

/// A file that is proven: of the promised length and hash, every block decoded; or, where a window was asked for, a file of
/// which every block of the window is there and decodes, and nothing else may be read.
#[allow(dead_code, reason = "plans, dry runs and window reads come with their commands")]
#[derive(Debug)]
pub(crate) struct Proven {
    path: PathBuf,
    /// The bytes that the fetch needs: of the whole file, or of the window and the header. The same in every run.
    pub n_bytes: u64,
    /// The bytes that came over the network in this run, repetitions included, earlier runs not.
    pub travelled_bytes: u64,
    /// Length of the whole file.
    pub length_bytes: u64,
    /// The only pixels that may be read, if a window was asked for.
    pub window: Option<Window>,
    // Holds a downloaded file until the scene is written; dropping it removes the file.
    _download: Option<Whole>,
}

impl Proven {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what was downloaded, once it is used. A result that is dropped stays on the disk for the next run.
    pub fn discard(self) {}
}

#[allow(dead_code, reason = "plans and tables of items come with their commands")]
impl Wire {
    /// A way that obeys the [`Guard`] of the catalogue, on redirects and name look-ups too.
    pub fn to(catalogue: Url, limits: &Limits) -> anyhow::Result<Self> {
        let _ = limits;
        let guard = Guard::of(&catalogue);
        Self::with(catalogue, guard)
    }

    fn with(catalogue: Url, guard: Guard) -> anyhow::Result<Self> {
        let on_redirect = guard.clone();
        let policy = redirect::Policy::custom(move |attempt| {
            if attempt.previous().len() > MAX_REDIRECTS {
                return attempt.error("too many redirects");
            }
            let file = attempt.url().scheme() == "file";
            match on_redirect.check(attempt.url()) {
                Ok(()) if !file => attempt.follow(),
                Ok(()) => attempt.error("a redirect to a file"),
                Err(refusal) => attempt.error(refusal),
            }
        });
        let client = Client::builder()
            .user_agent(concat!("prosperity-atlas/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .referer(false)
            .redirect(policy)
            .dns_resolver(guard.resolver())
            .build()?;
        Ok(Self { client, guard, catalogue })
    }

    /// Where the catalogue lies.
    pub fn catalogue(&self) -> &Url {
        &self.catalogue
    }

    /// Reads a JSON document; with a body, by POST.
    ///
    /// # Errors
    /// Names the address and the last reason.
    pub async fn json(&self, url: &Url, body: Option<&Value>) -> anyhow::Result<Value> {
        self.guard.check(url).map_err(anyhow::Error::msg)?;
        retrying(url, || async {
            let bytes = self.once(url, body, MAX_JSON_BYTES).await?;
            serde_json::from_slice(&bytes)
                .map_err(|e| Fault::last(format!("want JSON, found something else: {e}")))
        })
        .await
    }

    /// Reads a document of bounded length into memory.
    ///
    /// # Errors
    /// Names the address and the last reason.
    pub async fn bytes(&self, url: &Url) -> anyhow::Result<Vec<u8>> {
        self.guard.check(url).map_err(anyhow::Error::msg)?;
        retrying(url, || self.once(url, None, MAX_TABLE_BYTES)).await
    }

    /// The length of a file, asked for without fetching it; `None` where that cannot be told.
    pub async fn length(&self, url: &Url, collection: &str) -> Option<u64> {
        self.guard.check(url).ok()?;
        if url.scheme() == "file" {
            return std::fs::metadata(path_of(url).ok()?).ok().map(|m| m.len());
        }
        let signed = self.signed(url, collection).await.ok()?;
        let response = accepted(self.client.head(signed)).await.ok()?;
        response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
    }

    async fn once(&self, url: &Url, body: Option<&Value>, limit: u64) -> Result<Vec<u8>, Fault> {
        if url.scheme() == "file" {
            return local_bytes(url, limit);
        }
        let method = if body.is_some() { Method::POST } else { Method::GET };
        let mut request = self.client.request(method, url.clone());
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = accepted(request).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            bytes.extend_from_slice(&chunk);
            within(bytes.len() as u64, limit)?;
        }
        Ok(bytes)
    }

    /// Fetches a raster and proves it. A file on this machine is proven where it lies; one from the web lies beside `beside`, hidden, until
    /// the result is dropped.
    ///
    /// # Errors
    /// Names the address and the last reason.
    pub async fn raster(
        &self,
        url: &Url,
        beside: &Path,
        promise: &Promise,
        collection: &str,
        window: Option<[f64; 4]>,
    ) -> anyhow::Result<Proven> {
        let _ = window;
        self.guard.check(url).map_err(anyhow::Error::msg)?;
        if url.scheme() == "file" {
            return retrying(url, || async { local_raster(url, promise).await }).await;
        }
        let mut download = Whole::begin(beside)?;
        let part = download.part().to_owned();
        let n_bytes = {
            let file = download.file();
            let file = tokio::sync::Mutex::new(file);
            retrying(url, || async {
                let mut file = file.lock().await;
                let n_bytes = self.download(url, &mut file, promise, collection).await?;
                decode(part.clone()).await?;
                Ok(n_bytes)
            })
            .await?
        };
        Ok(Proven {
            path: part,
            n_bytes,
            travelled_bytes: n_bytes,
            length_bytes: n_bytes,
            window: None,
            _download: Some(download),
        })
    }

    async fn download(
        &self,
        url: &Url,
        file: &mut std::fs::File,
        promise: &Promise,
        collection: &str,
    ) -> Result<u64, Fault> {
        let disk = |e: std::io::Error| Fault::last(format!("cannot keep the file: {e}"));
        file.set_len(0).map_err(disk)?;
        file.rewind().map_err(disk)?;
        let signed = self.signed(url, collection).await?;
        let mut response = accepted(self.client.get(signed).timeout(TRY_TIMEOUT)).await?;
        let announced = response.content_length();
        within(announced.unwrap_or(0), MAX_FILE_BYTES)?;
        let (mut hash, mut n_bytes) = (Sha256::new(), 0u64);
        while let Some(chunk) = response.chunk().await? {
            n_bytes += chunk.len() as u64;
            within(n_bytes, promise.size.unwrap_or(MAX_FILE_BYTES))?;
            hash.update(&chunk);
            file.write_all(&chunk).map_err(disk)?;
        }
        file.flush().map_err(disk)?;
        check_length(announced, n_bytes)?;
        promise.check(n_bytes, &hexadecimal(hash))?;
        Ok(n_bytes)
    }

    async fn signed(&self, url: &Url, collection: &str) -> Result<Url, Fault> {
        let Some(token_url) = sign::token_url(&self.catalogue, url, collection) else {
            return Ok(url.clone());
        };
        let answer = accepted(self.client.get(token_url)).await?.bytes().await?;
        sign::with_token(url, &answer).ok_or_else(|| Fault::passing("the signing service gave no token"))
    }
}

/// Tries until it works, a try is hopeless, or [`TRIES`] are spent; waits longer each time, or as long as the server asks.
async fn retrying<T, F>(url: &Url, mut attempt: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Result<T, Fault>>,
{
    let mut wait = FIRST_WAIT;
    for n_try in 1.. {
        let fault = match attempt().await {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        let pause = fault.wait.unwrap_or(wait);
        if !fault.again {
            anyhow::bail!("{}: {fault}", shown(url));
        }
        if n_try >= TRIES {
            anyhow::bail!("{}: {fault}; gave up after {TRIES} tries", shown(url));
        }
        if pause > LONGEST_WAIT {
            anyhow::bail!(
                "{}: {fault}; the server asks for {} s, try again later",
                shown(url),
                pause.as_secs()
            );
        }
        warn!("{}: {fault}; trying again in {} s", shown(url), pause.as_secs_f64());
        tokio::time::sleep(pause).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
    unreachable!("the loop ends by returning")
}

async fn accepted(request: RequestBuilder) -> Result<Response, Fault> {
    let response = request.send().await?;
    let status = response.status();
    if status.is_success() && status != StatusCode::PARTIAL_CONTENT {
        return Ok(response);
    }
    let passing = status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::FORBIDDEN
        );
    let wait = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()?.trim().parse().ok());
    Err(Fault {
        text: format!("the server answers {status}"),
        again: passing,
        wait: wait.map(Duration::from_secs),
    })
}

fn path_of(url: &Url) -> Result<PathBuf, Fault> {
    url.to_file_path().map_err(|()| Fault::last("want the address of a file on this machine"))
}

fn local_bytes(url: &Url, limit: u64) -> Result<Vec<u8>, Fault> {
    let unreadable = |e: std::io::Error| Fault::last(format!("cannot be read: {e}"));
    let file = std::fs::File::open(path_of(url)?).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    within(bytes.len() as u64, limit).map_err(|fault| Fault::last(fault.text))?;
    Ok(bytes)
}

/// A file here does not change by waiting: no fault is worth another try.
async fn local_raster(url: &Url, promise: &Promise) -> Result<Proven, Fault> {
    let path = path_of(url)?;
    let at_once = |fault: Fault| Fault::last(fault.text);
    let n_bytes = std::fs::metadata(&path).map_err(|e| Fault::last(format!("cannot be read: {e}")))?.len();
    let sha256 = match promise.sha256 {
        Some(_) => contract::sha256_of(&path).map_err(|e| Fault::last(e.to_string()))?,
        None => String::new(),
    };
    promise.check(n_bytes, &sha256).map_err(at_once)?;
    decode(path.clone()).await.map_err(at_once)?;
    Ok(Proven { path, n_bytes, travelled_bytes: 0, length_bytes: n_bytes, window: None, _download: None })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers every request with a redirect.
    fn redirecting(location: &'static str) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/item.json", listener.local_addr().unwrap())).unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 302 x\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(head.as_bytes());
            }
        });
        url
    }

    #[tokio::test]
    async fn a_redirect_to_a_private_host_or_a_file_is_refused_at_once() {
        for location in [
            "http://10.0.0.1/x?sig=SECRET",
            "http://169.254.169.254/latest",
            "http://localhost:1/x",
            "file:///etc/passwd",
        ] {
            let url = redirecting(location);
            let wire = Wire::with(url.clone(), Guard::of_web("127.0.0.1")).unwrap();
            let error = wire.json(&url, None).await.unwrap_err().to_string();
            assert!(error.contains("a private one") || error.contains("answers 302"), "{location}: {error}");
            assert!(!error.contains("SECRET") && !error.contains("tries"), "{location}: {error}");
        }
    }
}
