//! When a file counts as fetched: length and hash as promised, every block decoded.

use std::path::PathBuf;

use raster::Source;
use sha2::{Digest, Sha256};

use crate::fault::Fault;

/// What the catalogue promises of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Promise {
    /// Length in bytes.
    pub size: Option<u64>,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: Option<String>,
}

impl Promise {
    /// Holds a file's length and hash to the promise.
    pub fn check(&self, n_bytes: u64, sha256: &str) -> Result<(), Fault> {
        check_length(self.size, n_bytes)?;
        match &self.sha256 {
            Some(wanted) if wanted != sha256 => {
                Err(Fault::passing(format!("want SHA-256 {wanted}, found {sha256}")))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses more bytes than a limit.
pub(crate) fn within(n_bytes: u64, limit: u64) -> Result<(), Fault> {
    if n_bytes <= limit {
        return Ok(());
    }
    Err(Fault::passing(format!("want at most {limit} bytes, found more")))
}

/// Refuses another length than the one announced.
pub(crate) fn check_length(wanted: Option<u64>, found: u64) -> Result<(), Fault> {
    match wanted {
        Some(wanted) if wanted != found => Err(Fault::passing(format!("want {wanted} bytes, found {found}"))),
        _ => Ok(()),
    }
}

/// A finished hash in lower-case hexadecimal.
pub(crate) fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes every block, away from the threads that wait for the network.
pub(crate) async fn decode(path: PathBuf) -> Result<(), Fault> {
    let own_name = format!("{}: ", path.display());
    let decoded = tokio::task::spawn_blocking(move || Source::open(&path).and_then(|s| s.prove())).await;
    match decoded {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Fault::passing(error.to_string().replace(&own_name, ""))),
        Err(_) => Err(Fault::last("the decoder panicked")),
    }
}
