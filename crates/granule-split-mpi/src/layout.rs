//! Where the tiles of a scene lie: pure arithmetic on one axis at a time.

/// What happens to the pixels that do not fill a last tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Edge {
    /// They are lost, on the south and east sides: 4 px of 10,980 for tiles of 343
    Drop,
    /// The last tile moves back to end at the edge, and overlaps its neighbour
    Shift,
    /// The last tile reaches over the edge, where it has no data
    Pad,
}

/// The tiles along one axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Pixels of the scene.
    pub scene_px: usize,
    /// Pixels of a tile.
    pub tile_px: usize,
    /// Number of tiles.
    pub n_tiles: usize,
    edge: Edge,
}

impl Axis {
    /// Lays tiles along an axis. There are none where the scene is shorter than a tile, unless tiles are padded.
    pub fn lay(scene_px: usize, tile_px: usize, edge: Edge) -> Self {
        let n_tiles = match edge {
            Edge::Pad => scene_px.div_ceil(tile_px),
            Edge::Shift if scene_px >= tile_px => scene_px.div_ceil(tile_px),
            Edge::Drop | Edge::Shift => scene_px / tile_px,
        };
        Self { scene_px, tile_px, n_tiles, edge }
    }

    /// The first pixel of a tile.
    pub fn start(&self, tile: usize) -> usize {
        match self.edge {
            Edge::Shift => (tile * self.tile_px).min(self.scene_px - self.tile_px),
            Edge::Drop | Edge::Pad => tile * self.tile_px,
        }
    }

    /// How many of a tile's pixels lie inside the scene.
    pub fn inside(&self, tile: usize) -> usize {
        self.tile_px.min(self.scene_px - self.start(tile))
    }

    /// How many of the scene's pixels are in no tile.
    pub fn lost_px(&self) -> usize {
        match self.edge {
            Edge::Drop => self.scene_px - self.n_tiles * self.tile_px,
            Edge::Shift | Edge::Pad => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covered(axis: &Axis) -> Vec<usize> {
        let mut n_over = vec![0; axis.scene_px];
        for tile in 0..axis.n_tiles {
            let start = axis.start(tile);
            n_over[start..start + axis.inside(tile)].iter_mut().for_each(|n| *n += 1);
        }
        n_over
    }

    #[test]
    fn dropped_edges_leave_disjoint_full_tiles_and_say_what_is_lost() {
        for (scene_px, tile_px) in [(10_980, 343), (100, 7), (49, 7), (6, 7)] {
            let axis = Axis::lay(scene_px, tile_px, Edge::Drop);
            let n_over = covered(&axis);
            assert!(n_over.iter().all(|n| *n <= 1));
            assert_eq!(n_over.iter().filter(|n| **n == 0).count(), axis.lost_px());
            assert!((0..axis.n_tiles).all(|t| axis.inside(t) == tile_px));
        }
        let study = Axis::lay(10_980, 343, Edge::Drop);
        assert_eq!((study.n_tiles, study.lost_px()), (32, 4));
    }

    #[test]
    fn shifted_and_padded_tiles_cover_every_pixel() {
        for (scene_px, tile_px) in [(10_980, 343), (100, 7), (49, 7), (7, 7)] {
            let shift = Axis::lay(scene_px, tile_px, Edge::Shift);
            assert!(covered(&shift).iter().all(|n| *n >= 1));
            assert!((0..shift.n_tiles).all(|t| shift.inside(t) == tile_px), "a shifted tile is full");
            let pad = Axis::lay(scene_px, tile_px, Edge::Pad);
            assert!(covered(&pad).iter().all(|n| *n == 1), "padded tiles do not overlap");
            assert_eq!((shift.lost_px(), pad.lost_px()), (0, 0));
        }
    }

    #[test]
    fn a_scene_shorter_than_a_tile_has_one_tile_only_if_padded() {
        let n = |edge| Axis::lay(6, 7, edge).n_tiles;
        assert_eq!((n(Edge::Drop), n(Edge::Shift), n(Edge::Pad)), (0, 0, 1));
    }
}
