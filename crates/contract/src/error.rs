use std::io::ErrorKind;
use std::path::PathBuf;

/// What can go wrong with a file that passes between stages. Each message names the file, what was wanted, what was
/// found, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error("{path}: cannot {action}{advice}: {source}", path = .path.display(), advice = advice(.source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done, as an infinitive.
        action: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The name of an output is a device, a pipe or a socket.
    #[error("{path}: want the name of a file, got {got}; give another name", path = .path.display())]
    NotAFile {
        /// The name.
        path: PathBuf,
        /// What stands there.
        got: &'static str,
    },
    /// Somebody else is writing this file now.
    #[error("{path}: another process is writing this file; wait for it or stop it", path = .path.display())]
    Busy {
        /// The final name.
        path: PathBuf,
    },
    /// The file is no Parquet file, or a damaged one.
    #[error("{path}: want a Parquet file, got one that cannot be decoded ({reason}); make it again with {maker}", path = .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The decoder's reason, one line.
        reason: String,
        /// The stage that makes this file.
        maker: &'static str,
    },
    /// The file is a table of another kind or version.
    #[error("{path}: want table {want}, got {got}; make it again with {maker}", path = .path.display())]
    Tag {
        /// The file.
        path: PathBuf,
        /// `name/version` that was asked for.
        want: String,
        /// `name/version` that was found, or "no contract tag".
        got: String,
        /// The stage that makes the wanted table.
        maker: &'static str,
    },
    /// A column is missing, of another type, or empty where a value is needed.
    #[error("{path}: want column {column} {want}, got {got}; make it again with {maker}", path = .path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// The column's name.
        column: String,
        /// What was wanted of it.
        want: String,
        /// What was found.
        got: String,
        /// The stage that makes this table.
        maker: &'static str,
    },
    /// An id that could leave its folder or does not have the form.
    #[error("want {want}, got `{got}`")]
    Id {
        /// The form of the id in words.
        want: &'static str,
        /// What was given, cut to 80 characters.
        got: String,
    },
}

impl Error {
    /// An [`Error::Io`] as a closure for `map_err`.
    pub fn io(path: &std::path::Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io { path, action, source }
    }
}

/// What a person can do about it, where the system's reason alone does not say.
fn advice(source: &std::io::Error) -> &'static str {
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => " (free space there, or give another folder)",
        ErrorKind::FileTooLarge => {
            " (raise the limit on the size of files, ulimit -f, or give another folder)"
        }
        ErrorKind::ReadOnlyFilesystem => " (give another folder)",
        _ => "",
    }
}
