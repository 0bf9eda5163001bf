//! Advice where a scene gives few tiles: the stages that follow group, compare and learn tiles, and want many.

use raster::Source;
use tracing::warn;

use crate::flags::{Args, Job};

/// Fewer tiles than this are said: with 3 to 20 clusters in each of several classes, a cluster would have one or two.
const FEW_TILES: usize = 100;

/// A shorter side shows too little ground to judge.
const SHORTEST_PX: usize = 16;

/// Says which side of a tile would give enough tiles, where there are fewer.
///
/// # Errors
/// If the scene cannot be opened any more.
pub fn give(args: &Args, job: &Job, n_tiles: usize) -> anyhow::Result<()> {
    if n_tiles >= FEW_TILES {
        return Ok(());
    }
    let source = Source::open(&job.scene)?;
    let (height, width) = (source.grid().height, source.grid().width);
    let found = format!(
        "{}: {n_tiles} tiles of {} px in {height} x {width} px, and stages after this want {FEW_TILES} or more",
        job.granule, args.tile_px
    );
    match enough(height, width) {
        Some(px) if px < args.tile_px as usize => {
            let n = (height / px) * (width / px);
            warn!("{found}; --tile-px {px} (make: TILE_PX={px}) gives {n}");
        }
        _ => warn!("{found}; take more ground"),
    }
    Ok(())
}

/// The longest side of which there are enough.
fn enough(height: usize, width: usize) -> Option<usize> {
    (SHORTEST_PX..=height.min(width)).rev().find(|px| (height / px) * (width / px) >= FEW_TILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_side_that_gives_enough_tiles_is_advised() {
        for (height, width) in [(700, 900), (900, 700), (10_980, 10_980), (160, 160), (5_000, 170)] {
            let px = enough(height, width).unwrap_or(0);
            assert!((height / px) * (width / px) >= FEW_TILES, "{height} x {width}: {px}");
            assert!((height / (px + 1)) * (width / (px + 1)) < FEW_TILES, "{height} x {width}: {px}");
        }
        assert_eq!(enough(700, 900), Some(75));
        assert_eq!(enough(100, 100), None, "too little ground for any");
    }
}
