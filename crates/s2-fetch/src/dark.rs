//! What the numbers of a scene say of its offset, tags aside: by dark pixels, and by steps between neighbours.
//!
//! Water, shadow and forest are dark in some band: reflectance below 0.05. With an offset of 1000 hardly a number lies below 900; without it, those of dark
//! ground do. And where numbers with the offset meet numbers without it, all bands step by 1000 at once from one pixel to the next, which ground
//! does not do: its steps are of all sizes, so that as many lie a little below and a little above.
//!
//! Left out: scenes that are bright everywhere (snow, desert, cloud): they are undecided.

use raster::Window;

use crate::radiometry::{BASELINE_OFFSET_DN, SLACK_DN};

/// Side of a tile.
pub(crate) const TILE_PX: usize = 256;

/// Fewer pixels with data say nothing.
const FEWEST_PX: usize = 400;

/// The dark end of a tile: one pixel in so many is darker.
const DARK_ONE_IN: usize = 100;

/// Dark ground with the offset lies below this: reflectance under 0.06.
const FLOOR_TOP_DN: u16 = BASELINE_OFFSET_DN + 600;

/// How much a step between neighbours may differ from the offset, in each band.
const STEP_SLACK_DN: i32 = 150;

/// Steps of this width on either side are what the ground makes of itself.
const FLANK_DN: i32 = 300;

/// Steps of the offset's size above what the ground makes, in one tile: a quarter of a seam through it.
const FEWEST_STEPS: usize = TILE_PX / 4;

/// So many times as many steps of the offset's size as of its neighbours' sizes.
const STEP_EXCESS: usize = 3;

/// What a tile says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    /// Too few pixels.
    Nothing,
    /// Numbers so dark that they carry no offset.
    NoOffset,
    /// Numbers like dark ground with an offset, or bright ground without.
    Floor,
    /// Bright ground.
    Bright,
}

/// What was seen in a tile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    /// By its dark end.
    pub says: Says,
    /// Whether a seam between numbers with and without the offset runs through it.
    pub seam: bool,
    /// Numbers of data, and those that are 1: the darkest that subtraction leaves.
    pub n_data: u64,
    /// See `n_data`.
    pub n_ones: u64,
}

/// A tile with the pixels that border it below and on its right, where there are any: `[band][height, width]`.
#[derive(Debug)]
pub(crate) struct Tile<'a> {
    /// Of the pixels.
    pub bands: &'a [Vec<u16>],
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The window of a tile with its border.
pub(crate) fn with_border(tile: Window, whole: Window) -> Window {
    let grow = |start: usize, n: usize, end: usize| (n + 1).min(end - start);
    Window {
        height: grow(tile.row, tile.height, whole.row + whole.height),
        width: grow(tile.col, tile.width, whole.col + whole.width),
        ..tile
    }
}

/// Looks at a tile.
pub(crate) fn look(tile: &Tile<'_>) -> Seen {
    let ends: Vec<_> = tile.bands.iter().map(|band| dark_end(band)).collect();
    let says = match ends.iter().flatten().min() {
        None => Says::Nothing,
        Some(dn) if *dn < BASELINE_OFFSET_DN - SLACK_DN => Says::NoOffset,
        Some(dn) if *dn < FLOOR_TOP_DN => Says::Floor,
        Some(_) => Says::Bright,
    };
    let count = |fits: fn(&&u16) -> bool| tile.bands.iter().flatten().filter(fits).count() as u64;
    Seen { says, seam: has_seam(tile), n_data: count(|dn| **dn != 0), n_ones: count(|dn| **dn == 1) }
}

/// The dark end of a band's numbers, data only.
fn dark_end(band: &[u16]) -> Option<u16> {
    let mut data: Vec<u16> = band.iter().copied().filter(|dn| *dn != 0).collect();
    if data.len() < FEWEST_PX {
        return None;
    }
    let place = data.len() / DARK_ONE_IN;
    Some(*data.select_nth_unstable(place).1)
}

fn has_seam(tile: &Tile<'_>) -> bool {
    let (mut n_steps, mut n_flanks) = (0, 0);
    for row in 0..tile.height {
        for col in 0..tile.width {
            let here = row * tile.width + col;
            let right = (col + 1 < tile.width).then_some(here + 1);
            let below = (row + 1 < tile.height).then_some(here + tile.width);
            for there in [right, below].into_iter().flatten() {
                match step(tile.bands, here, there) {
                    Some(Step::Offset) => n_steps += 1,
                    Some(Step::Flank) => n_flanks += 1,
                    None => {}
                }
            }
        }
    }
    // The two flanks together are twice as wide as the step.
    let by_ground = n_flanks / 2;
    n_steps >= FEWEST_STEPS + by_ground && n_steps >= STEP_EXCESS * by_ground
}

/// A step that all bands make together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Of the offset's size.
    Offset,
    /// A little smaller, or a little larger.
    Flank,
}

/// The step from one pixel to another, if both have data and all bands step alike.
fn step(bands: &[Vec<u16>], here: usize, there: usize) -> Option<Step> {
    let first = i32::from(bands[0][there]) - i32::from(bands[0][here]);
    let sign = first.signum();
    let kind = kind(first * sign)?;
    for band in bands {
        let (a, b) = (band[here], band[there]);
        let size = (i32::from(b) - i32::from(a)) * sign;
        if a == 0 || b == 0 || self::kind(size) != Some(kind) {
            return None;
        }
    }
    Some(kind)
}

fn kind(size_dn: i32) -> Option<Step> {
    match (size_dn - i32::from(BASELINE_OFFSET_DN)).abs() {
        0..=STEP_SLACK_DN => Some(Step::Offset),
        off if off <= STEP_SLACK_DN + FLANK_DN => Some(Step::Flank),
        _ => None,
    }
}
