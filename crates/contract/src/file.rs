//! A file exists whole or not at all: write beside, fsync, rename, fsync the folder.
//!
//! What survives: a killed process or a power cut leaves the old file or the new one under the final name, never a part.
//! A second writer of the same file is refused while the first one runs; a part file left by a killed run is taken over, emptied
//! or, by [`Whole::resume`], as it is.

use crate::{Error, Result};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file in the making. Dropped without [`Whole::commit`], it leaves nothing behind, unless [`Whole::keep`] said so.
#[derive(Debug)]
pub struct Whole {
    name: PathBuf,
    part: PathBuf,
    file: File,
    leave: bool,
}

impl Whole {
    /// Opens `.NAME.part` beside `name`, making the folders on the way, and locks it.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be made or written, [`Error::Busy`] if another process holds the part file.
    pub fn begin(name: &Path) -> Result<Self> {
        let whole = Self::resume(name)?;
        whole.file.set_len(0).map_err(Error::io(name, "write"))?;
        Ok(whole)
    }

    /// As [`Whole::begin`], with what an earlier run left in the part file still in it. Whether it is worth anything, the caller
    /// must know from elsewhere.
    ///
    /// # Errors
    /// As [`Whole::begin`].
    pub fn resume(name: &Path) -> Result<Self> {
        let folder = folder_of(name);
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        if name.is_dir() {
            let source = std::io::Error::from(std::io::ErrorKind::IsADirectory);
            return Err(Error::Io { path: name.into(), action: "write a file here", source });
        }
        let stem = name.file_name().unwrap_or_default().to_string_lossy();
        let part = folder.join(format!(".{stem}.part"));
        let file = locked(name, &part)?;
        Ok(Self { name: name.into(), part, file, leave: false })
    }

    /// Whether the part file stays for a later [`Whole::resume`] when this is dropped.
    pub fn keep(&mut self, keep: bool) {
        self.leave = keep;
    }

    /// Whether it does; see [`Whole::keep`].
    pub fn is_kept(&self) -> bool {
        self.leave
    }

    /// The name to write under until [`Whole::commit`], for writers that open files themselves.
    pub fn part(&self) -> &Path {
        &self.part
    }

    /// The open part file.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives the file its name, once every byte is on the disk.
    ///
    /// # Errors
    /// [`Error::Io`]; the old file under the final name is then untouched.
    pub fn commit(mut self) -> Result<()> {
        let sync = || File::open(&self.part)?.sync_all();
        sync().map_err(Error::io(&self.name, "write to disk"))?;
        fs::rename(&self.part, &self.name).map_err(Error::io(&self.name, "rename into place"))?;
        self.leave = true;
        let folder = folder_of(&self.name);
        File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder, "write to disk"))
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !self.leave {
            // Nothing useful can be done when this fails: the part file is hidden and is taken over by the next run.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Writes `bytes` as the whole file `name`.
///
/// # Errors
/// As [`Whole::begin`] and [`Whole::commit`].
pub fn write(name: &Path, bytes: &[u8]) -> Result<()> {
    let mut whole = Whole::begin(name)?;
    whole.file().write_all(bytes).map_err(Error::io(name, "write"))?;
    whole.commit()
}

/// Opens the part file and locks it. Between the two its last holder may have renamed or removed it; what is locked then is the
/// finished file, or nobody's, and the part file is opened anew.
fn locked(name: &Path, part: &Path) -> Result<File> {
    loop {
        let open = || OpenOptions::new().create(true).truncate(false).write(true).open(part);
        let file = open().map_err(Error::io(name, "write"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Busy { path: name.into() }),
            Err(TryLockError::Error(source)) => {
                return Err(Error::Io { path: name.into(), action: "lock", source });
            }
        }
        let held = file.metadata().map_err(Error::io(name, "lock"))?;
        if fs::metadata(part).is_ok_and(|found| (found.dev(), found.ino()) == (held.dev(), held.ino())) {
            return Ok(file);
        }
    }
}

fn folder_of(name: &Path) -> &Path {
    match name.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_abandoned_write_leaves_the_old_file_and_no_part() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("a/table.parquet");
        write(&name, b"old").unwrap();
        let mut whole = Whole::begin(&name).unwrap();
        whole.file().write_all(b"new, half").unwrap();
        drop(whole);
        assert_eq!(fs::read(&name).unwrap(), b"old");
        assert_eq!(fs::read_dir(name.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn two_writers_of_one_file_are_one_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("table.parquet");
        let first = Whole::begin(&name).unwrap();
        assert!(matches!(Whole::begin(&name), Err(Error::Busy { .. })));
        drop(first);
        write(&name, b"x").unwrap();
    }

    #[test]
    fn a_part_left_by_a_killed_run_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".t.parquet.part"), b"rubbish that is longer than the new text").unwrap();
        let name = dir.path().join("t.parquet");
        write(&name, b"short").unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"short");
    }

    #[test]
    fn what_is_kept_is_there_for_the_next_run_and_only_for_one_that_asks() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("t.tif");
        for keep in [true, false] {
            let mut whole = Whole::resume(&name).unwrap();
            whole.keep(keep);
            whole.file().write_all(b"half").unwrap();
            assert!(matches!(Whole::resume(&name), Err(Error::Busy { .. })));
            drop(whole);
            assert_eq!(dir.path().join(".t.tif.part").exists(), keep);
        }
        let mut whole = Whole::resume(&name).unwrap();
        whole.file().write_all(b"half").unwrap();
        whole.keep(true);
        drop(whole);
        assert_eq!(fs::read(Whole::resume(&name).unwrap().part()).unwrap(), b"half");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "not kept, it goes");
    }

    #[test]
    fn many_writers_of_one_file_never_lock_or_empty_a_finished_one() {
        let dir = tempfile::tempdir().unwrap();
        let name = dir.path().join("t.bin");
        let n_done: usize = std::thread::scope(|scope| {
            let one = |n: u8| {
                let name = &name;
                move || (0..200).filter(|_| write(name, &[n; 1000]).is_ok()).count()
            };
            let runs: Vec<_> = (0..4).map(|n| scope.spawn(one(n))).collect();
            let reader = || (0..2000).filter_map(|_| fs::read(&name).ok()).all(|bytes| bytes.len() == 1000);
            assert!(reader(), "a reader saw less than a whole file");
            runs.into_iter().map(|run| run.join().unwrap()).sum()
        });
        // How many are refused because another one writes is chance.
        assert!(n_done > 0, "no write got through");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
