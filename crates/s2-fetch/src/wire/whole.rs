//! A whole file in parts: several ranges at once, each tried again from where it broke off, the parts of a killed run taken over.
//!
//! Where the server gives no ranges, or nothing ties the parts together, the file comes in one stream. Nothing is kept in memory.

use std::cell::Cell;
use std::ops::Range;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use tracing::info;

use crate::fault::{Fault, Kind};
use crate::guard::shown;
use crate::proof::{Promise, check_length, prove, within};
use crate::wire::answer::Validator;
use crate::wire::body::Reply;
use crate::wire::part::{Head, Part};
use crate::wire::peer::{Peer, Remote};
use crate::wire::retry::{TRIES, pause, retrying};

/// The longest file that is fetched.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 30;

/// A file to fetch.
pub(crate) struct Job<'a> {
    /// The way to it.
    pub peer: &'a Peer,
    /// Where it is.
    pub remote: Remote<'a>,
    /// What the catalogue promises.
    pub promise: &'a Promise,
    /// Bytes that came over the network so far.
    pub travelled_bytes: AtomicU64,
}

/// What is asked first tells how the file comes.
enum First<'a> {
    Stream(Reply<'a>),
    Parts(Head, Reply<'a>),
}

impl<'a> Job<'a> {
    /// A job not begun.
    pub fn of(peer: &'a Peer, remote: Remote<'a>, promise: &'a Promise) -> Self {
        Self { peer, remote, promise, travelled_bytes: AtomicU64::new(0) }
    }

    /// The address as it may be shown.
    pub fn name(&self) -> String {
        shown(self.remote.url)
    }

    /// Fetches the file and proves it.
    ///
    /// # Errors
    /// The last reason. Parts that are on the disk stay there for the next run, unless they were whole and proven wrong.
    pub async fn fetch(&self, beside: &Path) -> anyhow::Result<Part> {
        let mut part = Part::open(beside, |head| self.resumes(head))?;
        if let Some(head) = part.head() {
            let (n_parts, n_missing) = (head.n_parts(), part.missing().len());
            info!("{}: going on with {n_missing} of {n_parts} parts", self.name());
        }
        let mut in_parts = true;
        for n_try in 1.. {
            let fault = match self.attempt(&mut part, in_parts).await {
                Ok(()) => return Ok(part),
                Err(fault) => fault,
            };
            if matches!(fault.kind, Kind::Last | Kind::GaveUp | Kind::Denied) {
                return Err(fault.named(&self.name()));
            }
            part.reset()?;
            // A server that says so twice may be one whose tags change by themselves.
            in_parts &= fault.kind != Kind::NoParts && (fault.kind != Kind::Changed || n_try < 2);
            if fault.kind == Kind::NoParts && n_try < TRIES {
                continue;
            }
            // What was fetched whole and proven wrong so often is wrong at its source.
            let wrong = fault.kind == Kind::Passing;
            let paused = pause(&self.name(), self.peer.caps.max_wait, n_try, fault.again()).await;
            paused.map_err(|f| if wrong { f.at_last() } else { f }.named(&self.name()))?;
        }
        unreachable!("the last try ends the loop")
    }

    /// Whether parts of an earlier run are of this file, as far as can be told here; the server is asked with each request.
    fn resumes(&self, head: &Head) -> bool {
        head.url == self.name()
            && head.ties_parts()
            && head.sha256 == self.promise.sha256
            && self.promise.size.is_none_or(|size| size == head.length_bytes)
            && head.length_bytes <= MAX_FILE_BYTES
    }

    async fn attempt(&self, part: &mut Part, in_parts: bool) -> Result<(), Fault> {
        if !in_parts {
            self.stream(part, None).await?;
        } else if part.head().is_some() {
            self.parts(part, None).await?;
        } else {
            match retrying(&self.name(), self.peer.caps.max_wait, async || self.first().await).await? {
                First::Stream(reply) => self.stream(part, Some(reply)).await?,
                First::Parts(head, reply) => {
                    part.begin(head).map_err(Fault::disk)?;
                    self.parts(part, Some(reply)).await?;
                }
            }
        }
        prove(part.path().to_owned(), self.promise.clone()).await
    }

    /// Asks for the first part; a server that gives no parts sends the whole.
    async fn first(&self) -> Result<First<'a>, Fault> {
        let part_bytes = self.peer.caps.part_bytes;
        let reply = self.peer.ask(self.remote, Some(0..part_bytes), None).await?;
        self.check_total(&reply)?;
        if reply.extent.whole {
            return Ok(First::Stream(reply));
        }
        let length_bytes = reply.extent.total.unwrap_or_default();
        let head = self.head(length_bytes, reply.validator.clone(), part_bytes);
        if head.n_parts() > 1 && !head.ties_parts() {
            return Err(Fault::of(
                Kind::NoParts,
                "want an entity tag that ties the parts together, found none",
            ));
        }
        Ok(First::Parts(head, reply))
    }

    /// Fetches what is missing, several parts at once. `first` is the answer for part 0.
    async fn parts(&self, part: &Part, first: Option<Reply<'a>>) -> Result<(), Fault> {
        let Some(head) = part.head() else { return Ok(()) };
        let missing = part.missing();
        if missing.is_empty() {
            return self.still_there(head).await;
        }
        let first = Mutex::new(first);
        let fetches = missing.into_iter().map(|n| {
            let ready = if n == 0 { first.lock().unwrap_or_else(|e| e.into_inner()).take() } else { None };
            async move {
                self.range(part, head, head.range(n), ready).await?;
                part.done(n).await
            }
        });
        stream::iter(fetches).buffer_unordered(self.peer.caps.n_connections()).try_collect().await
    }

    /// All parts were there already: is the server's file still the same? A published hash says so better.
    async fn still_there(&self, head: &Head) -> Result<(), Fault> {
        if head.sha256.is_some() {
            return Ok(());
        }
        retrying(&self.name(), self.peer.caps.max_wait, async || {
            let reply = self.peer.ask(self.remote, Some(0..1), head.validator.as_ref()).await?;
            check_length(Some(head.length_bytes), reply.extent.total.unwrap_or_default())
                .map_err(|f| Fault { kind: Kind::Changed, ..f })
        })
        .await
    }

    /// Fetches one range into its place. What came before a break is kept, and the next try asks for the rest.
    pub async fn range(
        &self,
        part: &Part,
        head: &Head,
        range: Range<u64>,
        ready: Option<Reply<'a>>,
    ) -> Result<(), Fault> {
        let (at, ready) = (Cell::new(range.start), Cell::new(ready));
        retrying(&self.name(), self.peer.caps.max_wait, async || {
            if at.get() >= range.end {
                return Ok(());
            }
            let reply = match ready.take() {
                Some(reply) => reply,
                None => {
                    self.peer.ask(self.remote, Some(at.get()..range.end), head.validator.as_ref()).await?
                }
            };
            if reply.extent.whole {
                return Err(Fault::of(Kind::NoParts, "want a part of the file, found the whole of it"));
            }
            if reply.extent.total != Some(head.length_bytes) || reply.extent.end != Some(range.end) {
                return Err(Fault::of(Kind::Changed, "the file's length has changed since it was begun"));
            }
            let keep = |chunk: &[u8]| {
                part.write(at.get(), chunk)?;
                at.set(at.get() + chunk.len() as u64);
                self.count(chunk);
                Ok(())
            };
            reply.pour(&self.peer.caps, keep).await
        })
        .await
    }

    /// Fetches the whole file from its start, however often it breaks.
    async fn stream(&self, part: &mut Part, ready: Option<Reply<'a>>) -> Result<(), Fault> {
        let ready = Cell::new(ready);
        let limit = self.promise.size.unwrap_or(MAX_FILE_BYTES);
        let (length_bytes, validator) = retrying(&self.name(), self.peer.caps.max_wait, async || {
            part.reset().map_err(Fault::disk)?;
            let reply = match ready.take() {
                Some(reply) => reply,
                None => self.peer.ask(self.remote, None, None).await?,
            };
            self.check_total(&reply)?;
            let validator = reply.validator.clone();
            let mut at = 0;
            let keep = |chunk: &[u8]| {
                within(at + chunk.len() as u64, limit)?;
                part.write(at, chunk)?;
                at += chunk.len() as u64;
                self.count(chunk);
                Ok(())
            };
            reply.pour(&self.peer.caps, keep).await?;
            Ok((at, validator))
        })
        .await?;
        // One part, so that a later run need not fetch it again.
        let head = self.head(length_bytes, validator, length_bytes.max(1));
        if !head.ties_parts() {
            return Ok(());
        }
        part.adopt(head).map_err(Fault::disk)?;
        part.done(0).await
    }

    fn check_total(&self, reply: &Reply<'_>) -> Result<(), Fault> {
        let Some(total) = reply.extent.total else { return Ok(()) };
        within(total, MAX_FILE_BYTES).map_err(Fault::at_last)?;
        check_length(self.promise.size, total)
    }

    fn head(&self, length_bytes: u64, validator: Option<Validator>, part_bytes: u64) -> Head {
        let sha256 = self.promise.sha256.clone();
        Head { url: self.name(), length_bytes, validator, sha256, part_bytes }
    }

    fn count(&self, chunk: &[u8]) {
        self.travelled_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    }
}
