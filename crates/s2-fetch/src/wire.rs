//! Reading documents and files from disk, over HTTP, or from object stores: bounded tries, bounded waits, nothing kept that is not proven.
//!
//! All fetches of a run share one set of [`Limits`]. A long file comes in parts, several at once, each written to its place in a
//! hidden file as it comes; what a killed run left is taken over. Of a large image with a small window only the window's blocks travel.

mod answer;
mod body;
mod caps;
mod header;
mod limits;
mod local;
mod part;
mod peer;
mod retry;
mod store;
mod whole;
mod window;

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use raster::Window;
use serde_json::Value;
use url::Url;

use crate::clock::timeout_at;
use crate::fault::{Fault, Kind};
use crate::guard::{Guard, shown};
use crate::proof::Promise;
use crate::sign::Signing;

use caps::Caps;
pub(crate) use limits::Limits;
use part::Part;
use peer::{Peer, Remote};
use retry::retrying;
use whole::Job;

const MAX_JSON_BYTES: u64 = 64 << 20;
/// A table of items; it is read into memory.
const MAX_TABLE_BYTES: u64 = 512 << 20;

/// The way to a catalogue and to what it names.
#[derive(Debug)]
pub(crate) struct Wire {
    peer: Peer,
    guard: Guard,
    catalogue: Url,
}

/// A file that is proven: of the promised length and hash, every block decoded; or, where a window was asked for, a file of
/// which every block of the window is there and decodes, and nothing else may be read.
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
    download: Option<Part>,
}

impl Proven {
    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes what was downloaded, once it is used. A result that is dropped stays on the disk for the next run.
    pub fn discard(self) {
        if let Some(part) = self.download {
            part.discard();
        }
    }
}

impl Wire {
    /// A way that obeys the [`Guard`] of the catalogue, on redirects and name look-ups too, and the limits.
    pub fn to(catalogue: Url, limits: &Limits) -> anyhow::Result<Self> {
        let guard = Guard::of(&catalogue);
        Self::with(catalogue, guard, limits)
    }

    fn with(catalogue: Url, guard: Guard, limits: &Limits) -> anyhow::Result<Self> {
        let signing = Signing::of(&catalogue, limits.sas_token_url.as_deref())?;
        let peer = Peer::of(&guard, signing, Caps::of(limits))?;
        Ok(Self { peer, guard, catalogue })
    }

    /// Where the catalogue lies.
    pub fn catalogue(&self) -> &Url {
        &self.catalogue
    }

    /// How many files to begin at once: enough that a connection is never idle while another file is proven.
    pub fn files_at_once(&self) -> usize {
        self.peer.caps.n_connections() * 2
    }

    /// Reads a document of a catalogue; with a body, by POST.
    ///
    /// # Errors
    /// Names the address and the last reason.
    pub async fn document(&self, url: &Url, body: Option<&Value>) -> anyhow::Result<Vec<u8>> {
        self.read(url, body, MAX_JSON_BYTES).await
    }

    /// Reads a document of bounded length into memory.
    ///
    /// # Errors
    /// Names the address and the last reason.
    pub async fn bytes(&self, url: &Url) -> anyhow::Result<Vec<u8>> {
        self.read(url, None, MAX_TABLE_BYTES).await
    }

    /// The length of a file, asked for without fetching it; `None` where that cannot be told.
    pub async fn length(&self, url: &Url, collection: &str) -> Option<u64> {
        self.admit(url).await.ok()?;
        if url.scheme() == "file" {
            return local::length(url);
        }
        let max_wait = self.peer.caps.max_wait;
        let name = shown(url);
        let asked = retrying(&name, max_wait, async || {
            Ok(self.peer.ask(Remote { url, collection }, Some(0..1), None).await?.extent.total)
        });
        timeout_at(self.peer.caps.deadline, asked).await.ok()?.ok()?
    }

    /// Fetches a raster and proves it. A file on this machine is proven where it lies; one from elsewhere lies beside `beside`, hidden.
    /// With a window (west, south, east, north in degrees), only that window is proven and may be read.
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
        self.admit(url).await?;
        if url.scheme() == "file" {
            return local::raster(url, promise, window).await.map_err(|f| f.named(&shown(url)));
        }
        self.in_time(url, async {
            let job = Job::of(&self.peer, Remote { url, collection }, promise);
            let cut = match window {
                Some(degrees) => window::fetch(&job, beside, degrees).await?,
                None => None,
            };
            match cut {
                Some(cut) => Ok(Proven {
                    n_bytes: cut.n_bytes,
                    window: Some(cut.window),
                    ..downloaded(&job, cut.part)?
                }),
                None => {
                    let file = downloaded(&job, job.fetch(beside).await?)?;
                    let window = match window {
                        Some(degrees) => {
                            Some(local::window(&file.path, degrees).await.map_err(|f| f.named(&shown(url)))?)
                        }
                        None => None,
                    };
                    Ok(Proven { window, ..file })
                }
            }
        })
        .await
    }

    /// Holds an address to the guard, and the addresses that its name leads to.
    async fn admit(&self, url: &Url) -> anyhow::Result<()> {
        let (guard, url) = (self.guard.clone(), url.clone());
        let checked = tokio::task::spawn_blocking(move || guard.check_found(&url)).await?;
        checked.map_err(anyhow::Error::msg)
    }

    async fn read(&self, url: &Url, body: Option<&Value>, limit: u64) -> anyhow::Result<Vec<u8>> {
        self.admit(url).await?;
        if url.scheme() == "file" {
            return local::bytes(url, limit).map_err(|f| f.named(&shown(url)));
        }
        let asked = async {
            let max_wait = self.peer.caps.max_wait;
            let name = shown(url);
            let read = retrying(&name, max_wait, async || self.peer.document(url, body, limit).await);
            read.await.map_err(|f| f.named(&shown(url)))
        };
        self.in_time(url, asked).await
    }

    async fn in_time<T>(
        &self,
        url: &Url,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let caps = &self.peer.caps;
        let late = |_| {
            let text = format!(
                "want it within {} s (--deadline-s), found it unfinished; run again to go on from here",
                caps.deadline_s
            );
            Fault::of(Kind::GaveUp, text).named(&shown(url))
        };
        timeout_at(caps.deadline, work).await.map_err(late)?
    }
}

fn downloaded(job: &Job<'_>, part: Part) -> anyhow::Result<Proven> {
    let length_bytes = std::fs::metadata(part.path())?.len();
    Ok(Proven {
        path: part.path().to_owned(),
        n_bytes: length_bytes,
        travelled_bytes: job.travelled_bytes.load(Ordering::Relaxed),
        length_bytes,
        window: None,
        download: Some(part),
    })
}
