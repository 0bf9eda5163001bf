use std::path::PathBuf;

/// What can go wrong with weights and devices.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The weights file cannot be read as what its name says.
    #[error("{path}: want {want}, got {got}", path = .path.display())]
    Weights {
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
    /// The device is not in this build or not on this machine.
    #[error("{0}")]
    Device(String),
    /// Too little data for the computation.
    #[error("{0}")]
    TooFew(String),
}
