//! When a file counts as fetched: length and hash as promised, every block decoded.

use std::path::{Path, PathBuf};

use raster::{Source, Window};
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

/// Holds a whole file to the promise and decodes every block, away from the threads that wait for the network.
///
/// # Errors
/// A passing fault, as another copy may be good.
pub(crate) async fn prove(path: PathBuf, promise: Promise) -> Result<(), Fault> {
    blocking(path, move |path| {
        keeps(path, &promise)?;
        decodes(path, None)
    })
    .await
}

/// Decodes every block of a window, and no other.
///
/// # Errors
/// As [`prove`].
pub(crate) async fn prove_window(path: PathBuf, window: Window) -> Result<(), Fault> {
    blocking(path, move |path| decodes(path, Some(window))).await
}

/// Runs something long on a file, away from the threads that wait for the network.
///
/// # Errors
/// Those of the work, or its panic.
pub(crate) async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&Path) -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(move || work(&path)).await {
        Ok(result) => result,
        Err(_) => Err(Fault::last("the decoder panicked")),
    }
}

/// Holds a file's length and hash to the promise; without a promised hash none is taken.
pub(crate) fn keeps(path: &Path, promise: &Promise) -> Result<(), Fault> {
    let found = std::fs::metadata(path).map_err(|e| Fault::last(format!("cannot be read: {e}")))?;
    check_length(promise.size, found.len())?;
    let Some(wanted) = &promise.sha256 else { return Ok(()) };
    let found = contract::sha256_of(path).map_err(|e| Fault::last(e.to_string()))?;
    if *wanted != found {
        return Err(Fault::passing(format!("want SHA-256 {wanted}, found {found}")));
    }
    Ok(())
}

/// Decodes every block of the file, or of a window.
pub(crate) fn decodes(path: &Path, window: Option<Window>) -> Result<(), Fault> {
    let prove = |source: Source| match window {
        Some(window) => source.prove_window(window),
        None => source.prove(),
    };
    Source::open(path).and_then(prove).map_err(|error| opaque(path, error))
}

/// A raster's fault without the name of the hidden file.
pub(crate) fn opaque(path: &Path, error: raster::Error) -> Fault {
    Fault::passing(error.to_string().replace(&format!("{}: ", path.display()), ""))
}
