//! A download in the making: the hidden part file and the journal beside it that says which parts of it are on the disk.
//!
//! `.NAME.part` has the length of the whole file from the start; `.NAME.parts` holds JSON lines: first what the file is (address without
//! query, length, entity tag, promised hash, length of the parts), then one line for each part. A line is written only after the part's
//! bytes are on the disk, so what survives a kill or a power cut is true; a torn last line is ignored. The journal holds no secret.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use contract::file::Whole;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::wire::answer::Validator;

/// The longest journal that is read: far more than the parts of the longest file need.
const MAX_JOURNAL_BYTES: u64 = 64 << 20;

/// What a file is: parts of two files that differ in any of it are never mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// Address without what may be secret.
    pub url: String,
    /// Length of the whole file.
    pub length_bytes: u64,
    /// What the server knows it by.
    pub validator: Option<Validator>,
    /// What the catalogue knows it by.
    pub sha256: Option<String>,
    /// Length of a part; the last one may be shorter.
    pub part_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Done {
    done: u64,
}

impl Head {
    /// Number of parts.
    pub fn n_parts(&self) -> u64 {
        self.length_bytes.div_ceil(self.part_bytes)
    }

    /// The bytes of a part.
    pub fn range(&self, part: u64) -> Range<u64> {
        let start = part * self.part_bytes;
        start..(start + self.part_bytes).min(self.length_bytes)
    }

    /// Whether something proves that the parts belong together.
    pub fn ties_parts(&self) -> bool {
        self.validator.is_some() || self.sha256.is_some()
    }
}

/// The part file, its journal, and what they say.
#[derive(Debug)]
pub(crate) struct Part {
    whole: Whole,
    file: Arc<File>,
    journal_path: PathBuf,
    journal: Mutex<Option<File>>,
    head: Option<Head>,
    done: Mutex<BTreeSet<u64>>,
}

impl Part {
    /// Opens the part file of `name`, with what an earlier run left if it is of the file wanted.
    ///
    /// # Errors
    /// If it cannot be made, or another process holds it.
    pub fn open(name: &Path, wanted: impl Fn(&Head) -> bool) -> anyhow::Result<Self> {
        let mut whole = Whole::resume(name)?;
        let file = Arc::new(whole.file().try_clone()?);
        let journal_path = whole.part().with_extension("parts");
        let mut part =
            Self { whole, file, journal_path, journal: Mutex::new(None), head: None, done: Mutex::default() };
        match part.left().filter(|(head, _)| wanted(head)) {
            Some((head, done)) => {
                let journal = OpenOptions::new().append(true).open(&part.journal_path)?;
                *part.journal.get_mut().unwrap_or_else(|e| e.into_inner()) = Some(journal);
                part.whole.keep(!done.is_empty());
                (part.head, *part.done.get_mut().unwrap_or_else(|e| e.into_inner())) = (Some(head), done);
            }
            None => part.reset()?,
        }
        Ok(part)
    }

    /// Where the bytes are.
    pub fn path(&self) -> &Path {
        self.whole.part()
    }

    /// What the file is, once that is known.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Parts that are not on the disk yet.
    pub fn missing(&self) -> Vec<u64> {
        let n_parts = self.head.as_ref().map_or(0, Head::n_parts);
        let done = self.done.lock().unwrap_or_else(|e| e.into_inner());
        (0..n_parts).filter(|n| !done.contains(n)).collect()
    }

    /// Throws away what is there.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn reset(&mut self) -> std::io::Result<()> {
        self.whole.keep(false);
        self.head = None;
        self.done.get_mut().unwrap_or_else(|e| e.into_inner()).clear();
        *self.journal.get_mut().unwrap_or_else(|e| e.into_inner()) = None;
        // First the journal: without it the part file says nothing.
        match std::fs::remove_file(&self.journal_path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.file.set_len(0)
    }

    /// Begins a file of known length, in parts.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn begin(&mut self, head: Head) -> std::io::Result<()> {
        self.reset()?;
        self.adopt(head)
    }

    /// As [`Part::begin`], of a file whose bytes are there already.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub fn adopt(&mut self, head: Head) -> std::io::Result<()> {
        self.file.set_len(head.length_bytes)?;
        let mut journal = File::create(&self.journal_path)?;
        journal.write_all(&line(&head))?;
        *self.journal.get_mut().unwrap_or_else(|e| e.into_inner()) = Some(journal);
        self.head = Some(head);
        self.whole.keep(true);
        Ok(())
    }

    /// Puts bytes in their place.
    ///
    /// # Errors
    /// If the disk does not take them.
    pub fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Fault> {
        self.file.write_all_at(bytes, offset).map_err(Fault::disk)
    }

    /// Says that a part is whole, once the disk has it.
    ///
    /// # Errors
    /// If the disk does not take it.
    pub async fn done(&self, part: u64) -> Result<(), Fault> {
        let file = Arc::clone(&self.file);
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced.map_err(Fault::disk)?.map_err(Fault::disk)?;
        let mut journal = self.journal.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(journal) = journal.as_mut() {
            journal.write_all(&line(&Done { done: part })).map_err(Fault::disk)?;
        }
        self.done.lock().unwrap_or_else(|e| e.into_inner()).insert(part);
        Ok(())
    }

    /// Lets both files go with this value, whatever they hold.
    pub fn discard(mut self) {
        self.whole.keep(false);
    }

    /// What an earlier run left, if it makes sense.
    fn left(&self) -> Option<(Head, BTreeSet<u64>)> {
        let journal = File::open(&self.journal_path).ok()?.take(MAX_JOURNAL_BYTES);
        let mut lines = BufReader::new(journal).split(b'\n').map_while(Result::ok);
        let head: Head = serde_json::from_slice(&lines.next()?).ok()?;
        if head.part_bytes == 0 || self.file.metadata().ok()?.len() != head.length_bytes {
            return None;
        }
        let done = lines.map_while(|line| serde_json::from_slice::<Done>(&line).ok());
        let done = done.map(|line| line.done).filter(|n| *n < head.n_parts()).collect();
        Some((head, done))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let nothing = self.done.get_mut().unwrap_or_else(|e| e.into_inner()).is_empty();
        if nothing {
            self.whole.keep(false);
        }
        if !self.whole.is_kept() {
            // A journal without its part file is refused by its length.
            let _ = std::fs::remove_file(&self.journal_path);
        }
    }
}

fn line(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("text and numbers are valid JSON");
    line.push(b'\n');
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            url: "https://example.org/a.tif".into(),
            length_bytes: 25,
            validator: Some(Validator::Etag("\"x\"".into())),
            sha256: None,
            part_bytes: 10,
        }
    }

    fn begun(name: &Path) -> Part {
        let mut part = Part::open(name, |_| true).unwrap();
        part.begin(head()).unwrap();
        part
    }

    #[tokio::test]
    async fn what_the_journal_says_is_there_and_nothing_else_counts() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("a.tif");
        let part = begun(&name);
        assert_eq!((0..3).map(|n| head().range(n)).collect::<Vec<_>>(), [0..10, 10..20, 20..25]);
        part.write(10, b"0123456789").unwrap();
        part.done(1).await.unwrap();
        drop(part);
        // A line torn by a power cut.
        let journal = dir.path().join(".a.tif.parts");
        OpenOptions::new().append(true).open(&journal).unwrap().write_all(b"{\"done\":").unwrap();
        let part = Part::open(&name, |found| *found == head()).unwrap();
        assert_eq!(part.missing(), [0, 2]);
        assert_eq!(&std::fs::read(part.path()).unwrap()[10..20], b"0123456789");
        part.discard();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn another_file_or_a_damaged_journal_starts_from_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("a.tif");
        let journal = dir.path().join(".a.tif.parts");
        for damage in [0, 1, 2, 3] {
            let part = begun(&name);
            part.done(0).await.unwrap();
            drop(part);
            match damage {
                0 => std::fs::write(&journal, "rubbish\n").unwrap(),
                1 => std::fs::write(dir.path().join(".a.tif.part"), "short").unwrap(),
                2 => std::fs::write(&journal, [0xff; 1000]).unwrap(),
                _ => {}
            }
            let part = Part::open(&name, |found| damage != 3 && *found == head()).unwrap();
            assert!(part.head().is_none() && std::fs::read(part.path()).unwrap().is_empty(), "{damage}");
            drop(part);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "{damage}");
        }
    }
}
