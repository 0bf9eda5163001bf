//! Files on this machine, where they lie. They do not change by waiting: no fault is worth another try.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use raster::{Source, Window};
use url::Url;

use crate::fault::Fault;
use crate::proof::{Promise, blocking, decodes, keeps, opaque, within};
use crate::wire::Proven;
use crate::wire::window::pixels;

/// Reads a document of bounded length.
///
/// # Errors
/// If it cannot be read or is longer.
pub(crate) fn bytes(url: &Url, limit: u64) -> Result<Vec<u8>, Fault> {
    let unreadable = |e: std::io::Error| Fault::last(format!("cannot be read: {e}"));
    let file = File::open(path_of(url)?).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    within(bytes.len() as u64, limit)?;
    Ok(bytes)
}

/// The length of a file.
pub(crate) fn length(url: &Url) -> Option<u64> {
    Some(std::fs::metadata(path_of(url).ok()?).ok()?.len())
}

/// Proves a raster: all of it, or the window.
///
/// # Errors
/// If it breaks the promise or does not decode.
pub(crate) async fn raster(url: &Url, promise: &Promise, degrees: Option<[f64; 4]>) -> Result<Proven, Fault> {
    let promise = promise.clone();
    blocking(path_of(url)?, move |path| {
        keeps(path, &promise)?;
        let window = degrees.map(|degrees| window_of(path, degrees)).transpose()?;
        decodes(path, window)?;
        let length_bytes = path.metadata().map_err(|e| Fault::last(format!("cannot be read: {e}")))?.len();
        Ok(Proven {
            path: path.to_owned(),
            n_bytes: length_bytes,
            travelled_bytes: 0,
            length_bytes,
            window,
            download: None,
        })
    })
    .await
}

/// The pixels of a raster that a rectangle in degrees touches.
///
/// # Errors
/// If they do not meet.
pub(crate) async fn window(path: &Path, degrees: [f64; 4]) -> Result<Window, Fault> {
    blocking(path.to_owned(), move |path| window_of(path, degrees)).await
}

fn window_of(path: &Path, degrees: [f64; 4]) -> Result<Window, Fault> {
    let source = Source::open(path).map_err(|error| opaque(path, error))?;
    pixels(source.grid(), degrees)
}

fn path_of(url: &Url) -> Result<PathBuf, Fault> {
    url.to_file_path().map_err(|()| Fault::last("want the address of a file on this machine"))
}
