//! A file exists whole or not at all: write beside, fsync, rename, fsync the folder.
//!
//! What survives: a killed process or a power cut leaves the old file or the new one under the final name, never a part.
//! A second writer of the same file is refused while the first one runs; a part file left by a killed run is taken over, emptied
//! or, by [`Whole::resume`], as it is. A symbolic link stays: the file that it names is replaced, whole. A device, a pipe or a socket
//! cannot be written whole, and is refused.

use crate::{Error, Result};
use std::fs::{self, File, FileType, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
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
    /// [`Error::Io`] if the folder cannot be made or written, [`Error::NotAFile`] if the name is a device, a pipe or a socket,
    /// [`Error::Busy`] if another process holds the part file.
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
        let name = target(name)?;
        let folder = folder_of(&name);
        fs::create_dir_all(folder).map_err(Error::io(folder, "make the folder"))?;
        let stem = name.file_name().unwrap_or_default().to_string_lossy();
        let part = folder.join(format!(".{stem}.part"));
        let file = locked(&name, &part)?;
        Ok(Self { name, part, file, leave: false })
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

/// Links that are followed before a name counts as a circle, as the kernel counts.
const MAX_LINKS: usize = 40;

/// The regular file, present or future, that a name stands for: links are followed, also to a file that is not there yet.
fn target(name: &Path) -> Result<PathBuf> {
    let mut path = name.to_path_buf();
    for _ in 0..MAX_LINKS {
        let Ok(found) = fs::symlink_metadata(&path) else { return Ok(path) };
        let kind = found.file_type();
        if kind.is_file() {
            return Ok(path);
        }
        if !kind.is_symlink() {
            return Err(no_file(name, kind));
        }
        // Links of /proc name no path: what they lead to is asked first.
        if let Some(kind) = fs::metadata(&path).ok().map(|end| end.file_type()).filter(|kind| !kind.is_file())
        {
            return Err(no_file(name, kind));
        }
        let to = fs::read_link(&path).map_err(Error::io(name, "follow the link"))?;
        path = folder_of(&path).join(to);
    }
    let source = std::io::Error::other("a circle of symbolic links");
    Err(Error::Io { path: name.into(), action: "write", source })
}

fn no_file(name: &Path, kind: FileType) -> Error {
    if kind.is_dir() {
        let source = std::io::Error::from(ErrorKind::IsADirectory);
        return Error::Io { path: name.into(), action: "write a file here", source };
    }
    let got = match kind {
        kind if kind.is_fifo() => "a pipe",
        kind if kind.is_socket() => "a socket",
        _ => "a device",
    };
    Error::NotAFile { path: name.into(), got }
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
#[path = "file_tests.rs"]
mod tests;
