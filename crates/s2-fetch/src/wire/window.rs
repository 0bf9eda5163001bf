//! Reading a part of a large image: of a tiled TIFF only the header and the blocks of the window travel.
//!
//! They are put at their places in a file of the full length, of which nothing else may be read. A published hash is of the whole file
//! and cannot be checked then: the server's entity tag ties the ranges together, and every block of the window is decoded.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use raster::{Crs, Grid, Source, Window, transform_points};
use tracing::info;

use crate::fault::{Fault, Kind};
use crate::proof::{blocking, check_length, opaque, prove_window, within};
use crate::wire::header::layout;
use crate::wire::part::{Head, Part};
use crate::wire::retry::{pause, retrying};
use crate::wire::whole::{Job, MAX_FILE_BYTES};

/// A piece of header; most files have all of theirs in the first.
const PAGE_BYTES: u64 = 64 << 10;
/// Blocks closer than this travel in one request: a request costs more than these bytes.
const GAP_BYTES: u64 = 64 << 10;
/// Above this share of the file's bytes or pixels all of it travels, and its hash can be checked.
const WHOLE_SHARE: f64 = 0.8;
/// Windows end on multiples of this from the raster's corner, so that bands of 10, 20 and 60 m agree.
const SNAP_M: f64 = 60.0;
const EDGE_POINTS: usize = 21;

/// A window that is on the disk.
pub(crate) struct Cut {
    /// Where.
    pub part: Part,
    /// The pixels that may be read.
    pub window: Window,
    /// Bytes of the header and the blocks.
    pub n_bytes: u64,
}

/// Fetches the blocks of a window (west, south, east, north in degrees), and proves them; `None` if the whole file should be fetched instead.
///
/// # Errors
/// The last reason.
pub(crate) async fn fetch(job: &Job<'_>, beside: &Path, degrees: [f64; 4]) -> anyhow::Result<Option<Cut>> {
    let max_wait = job.peer.caps.max_wait;
    // A name of its own: the parts of a whole file may lie beside it.
    let name = beside.file_name().unwrap_or_default().to_string_lossy();
    let beside = beside.with_file_name(format!("{name}.window"));
    for n_try in 1.. {
        let mut part = Part::open(&beside, |_| false)?;
        let fault = match attempt(job, &mut part, degrees).await {
            Ok(Some((window, n_bytes))) => return Ok(Some(Cut { part, window, n_bytes })),
            Ok(None) => return Ok(None),
            Err(fault) if fault.kind == Kind::NoParts => return Ok(None),
            Err(fault) => fault,
        };
        let kind = if fault.kind == Kind::Changed { Kind::Passing } else { fault.kind };
        pause(&job.name(), max_wait, n_try, Fault { kind, ..fault })
            .await
            .map_err(|f| f.named(&job.name()))?;
    }
    unreachable!("the last try ends the loop")
}

async fn attempt(job: &Job<'_>, part: &mut Part, degrees: [f64; 4]) -> Result<Option<(Window, u64)>, Fault> {
    let Some(head) = begin(job).await? else { return Ok(None) };
    part.begin(head.clone()).map_err(Fault::disk)?;
    let mut pages = Pages { job, part, head: &head, have: BTreeSet::new() };
    let Some(layout) = layout(async |offset, n| pages.bytes(offset, n).await).await? else { return Ok(None) };
    let mut n_bytes = pages.n_bytes();
    let grid = grid_of(part).await?;
    let window = pixels(&grid, degrees)?;
    let ranges = layout.ranges(window, head.length_bytes, GAP_BYTES)?;
    n_bytes += ranges.iter().map(|r| r.end - r.start).sum::<u64>();
    let shares = [n_bytes as f64 / head.length_bytes as f64, window.len() as f64 / grid.len() as f64];
    if shares.iter().any(|share| *share > WHOLE_SHARE) {
        return Ok(None);
    }
    let part_bytes = head.part_bytes;
    let pieces = ranges.into_iter().flat_map(|range| {
        (range.start..range.end)
            .step_by(part_bytes as usize)
            .map(move |at| at..(at + part_bytes).min(range.end))
    });
    let (shared, head) = (&*part, &head);
    let fetches = pieces.map(|range| job.range(shared, head, range, None));
    stream::iter(fetches).buffer_unordered(job.peer.caps.n_connections()).try_collect::<()>().await?;
    prove_window(part.path().to_owned(), window).await?;
    let unchecked =
        if job.promise.sha256.is_some() { "; its hash is of the whole file and is not checked" } else { "" };
    info!("{}: {n_bytes} of {} bytes are of the window{unchecked}", job.name(), head.length_bytes);
    Ok(Some((window, n_bytes)))
}

/// What the file is, if the server gives parts of it and a tag that ties them together.
async fn begin(job: &Job<'_>) -> Result<Option<Head>, Fault> {
    retrying(&job.name(), job.peer.caps.max_wait, async || {
        let reply = job.peer.ask(job.remote, Some(0..1), None).await?;
        let length_bytes = reply.extent.total.unwrap_or_default();
        if reply.extent.whole || reply.validator.is_none() || length_bytes <= PAGE_BYTES {
            return Ok(None);
        }
        within(length_bytes, MAX_FILE_BYTES).map_err(Fault::at_last)?;
        check_length(job.promise.size, length_bytes)?;
        Ok(Some(Head {
            url: job.name(),
            length_bytes,
            validator: reply.validator.clone(),
            sha256: None,
            part_bytes: job.peer.caps.part_bytes,
        }))
    })
    .await
}

/// The pages of a file's header that are on the disk.
struct Pages<'a, 'b> {
    job: &'a Job<'b>,
    part: &'a Part,
    head: &'a Head,
    have: BTreeSet<u64>,
}

impl Pages<'_, '_> {
    async fn bytes(&mut self, offset: u64, n: u64) -> Result<Vec<u8>, Fault> {
        let end = offset.checked_add(n).filter(|end| *end <= self.head.length_bytes);
        let end = end.ok_or_else(|| Fault::passing("want a sound TIFF, found an address beyond its end"))?;
        for page in offset / PAGE_BYTES..end.div_ceil(PAGE_BYTES) {
            if !self.have.contains(&page) {
                self.job.range(self.part, self.head, self.range(page), None).await?;
                self.have.insert(page);
            }
        }
        let mut bytes = vec![0; n as usize];
        let file = File::open(self.part.path()).map_err(Fault::disk)?;
        file.read_exact_at(&mut bytes, offset).map_err(Fault::disk)?;
        Ok(bytes)
    }

    fn range(&self, page: u64) -> std::ops::Range<u64> {
        page * PAGE_BYTES..((page + 1) * PAGE_BYTES).min(self.head.length_bytes)
    }

    fn n_bytes(&self) -> u64 {
        self.have.iter().map(|page| self.range(*page)).map(|r| r.end - r.start).sum()
    }
}

async fn grid_of(part: &Part) -> Result<Grid, Fault> {
    blocking(part.path().to_owned(), |path| {
        let source = Source::open(path).map_err(|error| opaque(path, error))?;
        Ok(source.grid().clone())
    })
    .await
}

/// The pixels of a raster that a rectangle in degrees touches, out to whole multiples of [`SNAP_M`] from its corner.
///
/// # Errors
/// If they do not meet.
pub(crate) fn pixels(grid: &Grid, [west, south, east, north]: [f64; 4]) -> Result<Window, Fault> {
    let (mut x, mut y) = (Vec::new(), Vec::new());
    for n in 0..EDGE_POINTS {
        let share = n as f64 / (EDGE_POINTS - 1) as f64;
        let (lon, lat) = (west + share * (east - west), south + share * (north - south));
        x.extend([lon, lon, west, east]);
        y.extend([south, north, lat, lat]);
    }
    let moved = Crs::wgs84().and_then(|degrees| transform_points(&degrees, &grid.crs, &mut x, &mut y));
    moved.map_err(|error| Fault::last(error.to_string()))?;
    let least = |v: &[f64]| v.iter().copied().fold(f64::INFINITY, f64::min);
    let most = |v: &[f64]| v.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let bounds = grid.bounds();
    let cut = |from: f64, to: f64, pixel: f64, n: usize| {
        let step_px = (SNAP_M / pixel).round();
        let whole = step_px >= 1.0 && (SNAP_M / pixel - step_px).abs() < 1e-6 && !grid.crs.is_geographic();
        let step_px = if whole { step_px } else { 1.0 };
        let step = step_px * pixel;
        let first = ((from / step).floor() * step_px).clamp(0.0, n as f64) as usize;
        let last = ((to / step).ceil() * step_px).clamp(0.0, n as f64) as usize;
        (first, last.saturating_sub(first))
    };
    let (row, height) =
        cut(bounds.north - most(&y), bounds.north - least(&y), grid.transform.pixel_height, grid.height);
    let (col, width) =
        cut(least(&x) - bounds.west, most(&x) - bounds.west, grid.transform.pixel_width, grid.width);
    if height == 0 || width == 0 {
        return Err(Fault::last(
            "want a window that meets the raster, found one outside of it; check the area",
        ));
    }
    Ok(Window { row, col, height, width })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use raster::{Affine, bounds_deg};

    fn grid(pixel_m: f64) -> Grid {
        let side = (109_800.0 / pixel_m) as usize;
        let transform =
            Affine { west: 300_000.0, north: 3_500_040.0, pixel_width: pixel_m, pixel_height: pixel_m };
        Grid { height: side, width: side, transform, crs: Crs::from_epsg(32648).unwrap() }
    }

    #[test]
    fn the_windows_of_10_20_and_60_m_bands_are_the_same_ground_and_hold_the_area() {
        for (row, col, n) in [(0, 0, 60), (1234, 4321, 777), (10_000, 10_000, 980)] {
            let wanted = grid(10.0).window(row, col, n, n);
            let b = bounds_deg(&wanted).unwrap();
            let cut = |pixel| {
                let grid = grid(pixel);
                pixels(&grid, [b.west, b.south, b.east, b.north]).unwrap().grid(&grid).bounds()
            };
            let ten = cut(10.0);
            assert_eq!((ten, ten), (cut(20.0), cut(60.0)));
            let inner = wanted.bounds();
            assert!(ten.west <= inner.west && ten.east >= inner.east, "{ten:?} {inner:?}");
            assert!(ten.south <= inner.south && ten.north >= inner.north, "{ten:?} {inner:?}");
            assert!(
                ten.east - ten.west < n as f64 * 10.0 * 1.2 + 2.0 * SNAP_M,
                "not much more than the area"
            );
        }
    }

    #[test]
    fn a_window_is_clipped_to_the_raster_and_one_outside_is_refused() {
        let all = bounds_deg(&grid(10.0)).unwrap();
        let wide = [all.west - 0.5, all.south - 0.5, all.east + 0.5, all.north + 0.5];
        assert_eq!(pixels(&grid(10.0), wide).unwrap(), Window::of(&grid(10.0)));
        let beside = [all.east + 0.1, all.south, all.east + 0.2, all.north];
        assert!(pixels(&grid(10.0), beside).is_err());
    }
}
