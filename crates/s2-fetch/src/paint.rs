//! Fills a canvas tile by tile over threads, each with its own open files, in memory that depends on the tiles and not on the raster.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

use raster::{Canvas, Pixel, Window};

/// More threads would wait for the one that writes.
const MOST_THREADS: usize = 4;

/// A group of tiles is done by one thread: it is so large that neighbours share few blocks of a file with it.
const GROUP_PX: usize = 1024;

/// The largest tile: the side of most files' blocks.
const LARGEST_TILE_PX: usize = 512;

/// The smallest tile: below it, blocks of files are decoded too often.
const SMALLEST_TILE_PX: usize = 128;

/// Memory for the pixels of all threads.
const BYTES_AT_ONCE: usize = 32 << 20;

/// How many threads paint.
pub(crate) fn n_threads() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MOST_THREADS)
}

/// The side of a tile, if a thread holds so many bytes for each of its pixels.
pub(crate) fn tile_px(bytes_a_pixel: usize) -> usize {
    let fits = |side: usize| n_threads() * side * side * bytes_a_pixel <= BYTES_AT_ONCE;
    let mut side = LARGEST_TILE_PX;
    while side > SMALLEST_TILE_PX && !fits(side) {
        side /= 2;
    }
    side
}

/// Paints all of `window` (from row and column 0) in tiles. `open` is called once a thread; `pixels` gives the bands of a tile. `put` takes a
/// tile and its bands, on this thread, in no fixed order: what is put must not depend on it.
///
/// # Errors
/// The first one of any thread.
pub(crate) fn paint<S, B: Send>(
    window: Window,
    side_px: usize,
    open: impl Fn() -> anyhow::Result<S> + Sync,
    pixels: impl Fn(&S, Window) -> anyhow::Result<B> + Sync,
    mut put: impl FnMut(Window, B) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let groups: Vec<_> = window.tiles(GROUP_PX).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (send, received) = sync_channel(1);
        for _ in 0..n_threads().min(groups.len()) {
            let (send, groups, next, open, pixels) = (send.clone(), &groups, &next, &open, &pixels);
            scope.spawn(move || {
                let work = || -> anyhow::Result<()> {
                    let files = open()?;
                    while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                        for tile in group.tiles(LARGEST_TILE_PX).flat_map(|block| block.tiles(side_px)) {
                            if send.send(Ok((tile, pixels(&files, tile)?))).is_err() {
                                return Ok(());
                            }
                        }
                    }
                    Ok(())
                };
                if let Err(error) = work() {
                    // Nobody listens once another thread failed.
                    let _ = send.send(Err(error));
                }
            });
        }
        drop(send);
        // An early return drops the receiver, and the threads stop at their next tile.
        for message in received {
            let (tile, bands) = message?;
            put(tile, bands)?;
        }
        Ok(())
    })
}

/// Puts the bands of a tile into a canvas.
pub(crate) fn put_bands<T: Pixel>(
    canvas: &mut Canvas<T>,
    tile: Window,
    bands: &[Vec<T>],
) -> anyhow::Result<()> {
    for (band, pixels) in (1..).zip(bands) {
        canvas.put(band, tile.row, tile.col, tile.height, tile.width, pixels)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_painted_once_and_an_error_of_a_thread_is_the_error() {
        let window = Window { row: 0, col: 0, height: 2500, width: 1300 };
        let mut n_px = 0;
        paint(
            window,
            256,
            || Ok(()),
            |(), tile| Ok(tile.len()),
            |_, n| {
                n_px += n;
                Ok(())
            },
        )
        .unwrap();
        assert_eq!(n_px, window.len());
        let failing = |(): &(), tile: Window| {
            anyhow::ensure!(tile.row < 1024, "row {}", tile.row);
            Ok(())
        };
        let error = paint(window, 256, || Ok(()), failing, |_, ()| Ok(())).unwrap_err();
        assert!(error.to_string().starts_with("row "));
        assert!(paint(window, 256, || Ok(()), |(), _| Ok(()), |_, ()| anyhow::bail!("full")).is_err());
        assert!(paint(window, 256, || anyhow::bail!("gone"), |(): &(), _| Ok(()), |_, ()| Ok(())).is_err());
    }

    #[test]
    fn tiles_get_smaller_as_pixels_get_heavier() {
        assert_eq!(tile_px(8), LARGEST_TILE_PX);
        assert_eq!(tile_px(1 << 20), SMALLEST_TILE_PX);
        assert!(n_threads() * tile_px(80).pow(2) * 80 <= BYTES_AT_ONCE);
    }
}
