//! Writes that failed inside GDAL, on any thread (`Write error`, `_tiffWriteProc: No space`, `TIFFRewriteDirectory`).
//!
//! GDAL can lose a failed write of a helper thread and still report success, so a writer compares this count before and after. A write
//! that fails elsewhere in the process at the same time counts too: better refused twice than lost once.

use std::sync::{Mutex, MutexGuard, PoisonError};

static LOST: Mutex<(usize, String)> = Mutex::new((0, String::new()));

/// A panic of another holder leaves a number and a text, which are still right.
fn lost() -> MutexGuard<'static, (usize, String)> {
    LOST.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts one, and keeps what GDAL said.
pub(crate) fn note(message: &str) {
    let mut lost = lost();
    *lost = (lost.0 + 1, message.replace('\n', " "));
}

/// How many there were so far.
pub(crate) fn count() -> usize {
    lost().0
}

/// What GDAL said of the last one, if there were more than `before`.
pub(crate) fn since(before: usize) -> Option<String> {
    let lost = lost();
    (lost.0 > before).then(|| lost.1.clone())
}
