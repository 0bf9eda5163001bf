//! The folder of a run in batch mode: request files, the questions behind them, and how far each batch has come.
//!
//! `NAME.jsonl` has the requests as they are uploaded, `NAME.keys.json` the question of each, `NAME.json` the state. NAME is made of
//! the questions and the attempt, and travels with the batch as metadata, so that a batch is found again whatever was lost here.
//! Files are split by bytes and by count. What was not yet handed to the endpoint is made anew by the next run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use contract::file::Whole;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::super::price::Tokens;
use crate::tape::Key;

/// How much one request file may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Requests in it.
    pub requests: usize,
}

/// One request file and its batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chunk {
    /// Its files' name, and the batch's metadata.
    pub name: String,
    /// Who is asked.
    pub judge: String,
    /// What shapes the requests, as JSON.
    pub shape: String,
    /// How often its questions were handed in before.
    pub attempt: u32,
    /// Its requests.
    pub n_requests: u64,
    /// What they are expected to take at most.
    pub expected: Tokens,
    /// The batch at the endpoint; without one it may still be there, found by its name.
    pub batch: Option<String>,
    /// Whether its answers are on the tape.
    pub done: bool,
}

impl Chunk {
    /// What each request is expected to take at most.
    pub fn expected_each(&self) -> Tokens {
        let share = |n: u64| n / self.n_requests.max(1);
        Tokens { n_in: share(self.expected.n_in), n_out: share(self.expected.n_out) }
    }
}

/// The folder, held by one run.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Opens or makes the folder.
    ///
    /// # Errors
    /// It cannot be made, or another run holds it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).map_err(contract::Error::io(path, "make the folder"))?;
        let lock = path.join("lock");
        let lock = File::create(&lock).map_err(contract::Error::io(&lock, "write"))?;
        if lock.try_lock().is_err() {
            bail!("{}: another process uses this folder; wait for it or stop it", path.display());
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// The chunks that an earlier run handed in, or was about to, and that are not done.
    ///
    /// # Errors
    /// A file of the folder cannot be read, or is about other questions.
    pub fn begun(&self, judge: &str, shape: &str) -> anyhow::Result<Vec<Chunk>> {
        let entries = std::fs::read_dir(&self.path).map_err(contract::Error::io(&self.path, "read"))?;
        let mut chunks = Vec::new();
        for entry in entries {
            let path = entry.map_err(contract::Error::io(&self.path, "read"))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".json") && !name.ends_with(".keys.json") && !name.starts_with('.') {
                let chunk: Chunk = read(&path)?;
                if chunk.done {
                    continue;
                }
                if (chunk.judge.as_str(), chunk.shape.as_str()) != (judge, shape) {
                    bail!(
                        "{}: want batches of {judge} with {shape}, found one of {} with {} that is not done; name another folder",
                        self.path.display(),
                        chunk.judge,
                        chunk.shape
                    );
                }
                chunks.push(chunk);
            }
        }
        chunks.sort_by(|a: &Chunk, b| a.name.cmp(&b.name));
        Ok(chunks)
    }

    /// Keeps the state of a chunk, before the next step is taken.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn keep(&self, chunk: &Chunk) -> anyhow::Result<()> {
        Ok(contract::file::write(&self.file(&chunk.name, "json"), &serde_json::to_vec_pretty(chunk)?)?)
    }

    /// A chunk is done, or was never handed in: its requests are not needed any more.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn finish(&self, chunk: &mut Chunk) -> anyhow::Result<()> {
        chunk.done = true;
        self.keep(chunk)?;
        for kind in ["jsonl", "keys.json"] {
            // a file that stays is only disk space
            let _ = std::fs::remove_file(self.file(&chunk.name, kind));
        }
        Ok(())
    }

    /// The request file of a chunk.
    pub fn requests(&self, chunk: &Chunk) -> PathBuf {
        self.file(&chunk.name, "jsonl")
    }

    /// The questions of a chunk by the ids of its requests.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn keys(&self, chunk: &Chunk) -> anyhow::Result<BTreeMap<String, Key>> {
        read(&self.file(&chunk.name, "keys.json"))
    }

    /// The requests of a chunk that `wanted` keeps, for another attempt.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn lines(
        &self,
        chunk: &Chunk,
        mut wanted: impl FnMut(&str) -> bool,
    ) -> anyhow::Result<Vec<(String, Value)>> {
        let path = self.requests(chunk);
        let file = File::open(&path).map_err(contract::Error::io(&path, "read"))?;
        let mut kept = Vec::new();
        for line in BufReader::new(file).lines() {
            let line: Value = serde_json::from_str(&line.map_err(contract::Error::io(&path, "read"))?)
                .with_context(|| format!("{}: want requests", path.display()))?;
            let id = line["custom_id"].as_str().unwrap_or_default().to_owned();
            if wanted(&id) {
                kept.push((id, line["body"].clone()));
            }
        }
        Ok(kept)
    }

    fn file(&self, name: &str, kind: &str) -> PathBuf {
        self.path.join(format!("{name}.{kind}"))
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).map_err(contract::Error::io(path, "read"))?;
    serde_json::from_slice(&bytes).with_context(|| {
        format!("{}: want the state of a batch; remove it if it cannot be repaired", path.display())
    })
}

/// The id of a question in request files: of what tells it from others, and nothing else.
pub fn id_of(key: &Key, shape: &str) -> String {
    hash(&[&key.prompt, &key.image, &key.repeat.to_string(), shape])
}

fn hash(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(format!("{part}\n")));
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// Requests on their way into files.
#[derive(Debug)]
pub struct Splitter {
    limits: Limits,
    attempt: u32,
    judge: String,
    shape: String,
    file: Option<Whole>,
    n_bytes: u64,
    expected: Tokens,
    keys: BTreeMap<String, Key>,
    chunks: Vec<Chunk>,
}

impl Splitter {
    /// No requests yet.
    pub fn new(limits: Limits, attempt: u32, judge: &str, shape: &str) -> Self {
        let (keys, chunks) = (BTreeMap::new(), Vec::new());
        let (judge, shape) = (judge.to_owned(), shape.to_owned());
        Self {
            limits,
            attempt,
            judge,
            shape,
            file: None,
            n_bytes: 0,
            expected: Tokens::default(),
            keys,
            chunks,
        }
    }

    /// Adds a request; begins another file if it does not fit into this one.
    ///
    /// # Errors
    /// It is too long for any file, or the disk is full.
    pub fn push(
        &mut self,
        folder: &Folder,
        id: String,
        key: Key,
        body: &Value,
        expected: Tokens,
    ) -> anyhow::Result<()> {
        let line = serde_json::json!({"custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body});
        let line = format!("{line}\n");
        let n_bytes = line.len() as u64;
        if n_bytes > self.limits.bytes {
            bail!(
                "want a request of at most {} bytes, got one of {n_bytes}; use smaller tiles",
                self.limits.bytes
            );
        }
        if self.n_bytes + n_bytes > self.limits.bytes || self.keys.len() >= self.limits.requests {
            self.close(folder)?;
        }
        let path = folder.file("gathering", "jsonl");
        let whole = match &mut self.file {
            Some(whole) => whole,
            none => none.insert(Whole::begin(&path)?),
        };
        whole.file().write_all(line.as_bytes()).map_err(contract::Error::io(&path, "write"))?;
        self.n_bytes += n_bytes;
        self.expected = self.expected + expected;
        self.keys.insert(id, key);
        Ok(())
    }

    /// The chunks, their files whole.
    ///
    /// # Errors
    /// The disk is full.
    pub fn finish(mut self, folder: &Folder) -> anyhow::Result<Vec<Chunk>> {
        self.close(folder)?;
        Ok(self.chunks)
    }

    fn close(&mut self, folder: &Folder) -> anyhow::Result<()> {
        let Some(whole) = self.file.take() else { return Ok(()) };
        whole.commit()?;
        let ids: Vec<&str> = self.keys.keys().map(String::as_str).collect();
        let name = hash(&[&self.judge, &ids.join(" "), &self.attempt.to_string()]);
        let (from, to) = (folder.file("gathering", "jsonl"), folder.file(&name, "jsonl"));
        std::fs::rename(&from, &to).map_err(contract::Error::io(&to, "rename into place"))?;
        contract::file::write(&folder.file(&name, "keys.json"), &serde_json::to_vec(&self.keys)?)?;
        let n_requests = self.keys.len() as u64;
        let (attempt, expected) = (self.attempt, self.expected);
        let (judge, shape) = (self.judge.clone(), self.shape.clone());
        self.chunks.push(Chunk {
            name,
            judge,
            shape,
            attempt,
            n_requests,
            expected,
            batch: None,
            done: false,
        });
        (self.n_bytes, self.expected) = (0, Tokens::default());
        self.keys.clear();
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key(repeat: u32) -> Key {
        Key { prompt: "p".into(), image: "i".into(), repeat }
    }

    #[test]
    fn files_are_split_by_bytes_and_by_count_and_hold_every_request_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert!(Folder::open(dir.path()).unwrap_err().to_string().contains("another process"));
        for (limits, most) in
            [(Limits { bytes: 1 << 20, requests: 7 }, 7), (Limits { bytes: 600, requests: 99 }, 5)]
        {
            let mut splitter = Splitter::new(limits, 0, "judge", "{}");
            for repeat in 0..20 {
                let (key, body) = (key(repeat), serde_json::json!({"n": repeat}));
                splitter.push(&folder, id_of(&key, "{}"), key, &body, Tokens { n_in: 3, n_out: 1 }).unwrap();
            }
            let chunks = splitter.finish(&folder).unwrap();
            assert!(chunks.len() >= 3);
            let mut seen = Vec::new();
            for chunk in &chunks {
                assert!(chunk.n_requests <= most && chunk.expected.n_in == 3 * chunk.n_requests);
                assert!(std::fs::metadata(folder.requests(chunk)).unwrap().len() <= limits.bytes);
                let keys = folder.keys(chunk).unwrap();
                for (id, body) in folder.lines(chunk, |_| true).unwrap() {
                    assert_eq!(body["n"], keys[&id].repeat);
                    seen.push(keys[&id].repeat);
                }
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..20).collect::<Vec<_>>());
            assert!(folder.begun("judge", "{}").unwrap().is_empty(), "nothing was handed in");
        }
    }

    #[test]
    fn a_chunk_that_was_handed_in_is_found_again_until_it_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let mut splitter = Splitter::new(Limits { bytes: 1 << 20, requests: 9 }, 1, "judge", "{}");
        splitter.push(&folder, "x".into(), key(0), &Value::Null, Tokens::default()).unwrap();
        let mut chunk = splitter.finish(&folder).unwrap().remove(0);
        folder.keep(&chunk).unwrap();
        chunk.batch = Some("batch_1".into());
        folder.keep(&chunk).unwrap();
        assert_eq!(folder.begun("judge", "{}").unwrap(), [chunk.clone()]);
        folder.finish(&mut chunk).unwrap();
        assert!(folder.begun("judge", "{}").unwrap().is_empty());
    }
}
