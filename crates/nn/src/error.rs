use std::path::PathBuf;

/// What can go wrong with weights, pictures and what is computed of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file does not hold what was wanted: weights, pictures, labels.
    #[error("{path}: want {want}, got {got}", path = .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was wanted.
        want: String,
        /// What was found and what to do.
        got: String,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] contract::Error),
    /// What was given does not fit the computation: too few rows, another size, another network.
    #[error("{0}")]
    Unfit(String),
}
