//! Lines of a scene into rows of tiles: each block is decoded once, and each pixel goes straight to its place in its tile.

use std::collections::BTreeMap;

use raster::{Dtype, Window};

use crate::cloud::LineCounts;
use crate::numbers::Reader;
use crate::render::{Holds, Level, N_LEVELS};
use crate::scene::Scene;
use crate::strip::Strip;

/// Rows of tiles in the making, by their number.
pub type Strips = BTreeMap<usize, Strip>;

/// Buffers that are used again for each block.
#[derive(Debug, Default)]
pub struct Cutter<T> {
    block: Vec<T>,
    held: Vec<u8>,
    reader: Reader,
}

/// A rectangle of the scene that was decoded: `[band, height, width]`.
struct Block<'a, T> {
    top: usize,
    left: usize,
    height: usize,
    width: usize,
    pixels: &'a [T],
}

impl<T: Level> Cutter<T> {
    /// Reads lines `from..to` and adds them to `strips`; `tables` hold the 8-bit value of every number, a band each. Lines must come in order.
    ///
    /// # Errors
    /// If the scene or its classification is damaged.
    pub fn cut(
        &mut self,
        scene: &Scene,
        (from, to): (usize, usize),
        tables: &[Vec<u8>],
        strips: &mut Strips,
    ) -> anyhow::Result<()> {
        let rows: Vec<usize> = crossing(&scene.rows, from, to).collect();
        if rows.is_empty() {
            return Ok(());
        }
        for row in &rows {
            strips.entry(*row).or_insert_with(|| Strip::empty(scene, *row));
        }
        // Other kinds of numbers than these are read with 0 for no data.
        let nodata = scene.source.nodata().filter(|_| scene.source.dtype().fits(Dtype::U16));
        let holds = Holds::new(nodata, scene.black_max);
        for left in (0..scene.cols.scene_px - scene.cols.lost_px()).step_by(scene.block_px) {
            let (height, width) = (to - from, scene.block_px.min(scene.cols.scene_px - left));
            let window = Window { row: from, col: left, height, width };
            self.reader.read(scene, window, &mut self.block)?;
            let block = Block { top: from, left, height, width, pixels: &self.block };
            for row in &rows {
                let strip =
                    strips.get_mut(row).expect("every row that crosses these lines was entered above");
                place(scene, &block, (holds, tables), &mut self.held, strip);
            }
        }
        if let Some(classes) = &scene.classes {
            for (lines, counts) in classes.lines(from, to, scene.cols.scene_px)? {
                for row in &rows {
                    let n_lines = lines.iter().filter(|line| line_of(scene, *row, **line).is_some()).count();
                    let strip =
                        strips.get_mut(row).expect("every row that crosses these lines was entered above");
                    add_clouds(scene, &counts, n_lines as u64, strip);
                }
            }
        }
        for row in rows {
            let strip = strips.get_mut(&row).expect("every row that crosses these lines was entered above");
            let start = scene.rows.start(row);
            let (first, last) = (from.max(start) - start, to.min(start + scene.rows.inside(row)) - start);
            strip.lines = if strip.lines.is_empty() { first..last } else { strip.lines.start..last };
        }
        Ok(())
    }
}

impl Cutter<u16> {
    /// Adds to `counts` (of [`N_LEVELS`] a band) how often each number occurs in lines `from..to`.
    ///
    /// # Errors
    /// If the scene is damaged.
    pub fn count(
        &mut self,
        scene: &Scene,
        (from, to): (usize, usize),
        counts: &mut [u64],
    ) -> anyhow::Result<()> {
        for left in (0..scene.cols.scene_px).step_by(scene.block_px) {
            let (height, width) = (to - from, scene.block_px.min(scene.cols.scene_px - left));
            let window = Window { row: from, col: left, height, width };
            self.reader.read(scene, window, &mut self.block)?;
            let planes = self.block.chunks_exact(height * width);
            for (plane, counts) in planes.zip(counts.chunks_exact_mut(N_LEVELS)) {
                plane.iter().for_each(|dn| counts[usize::from(*dn)] += 1);
            }
        }
        Ok(())
    }
}

/// The tiles of an axis that hold any of the pixels `from..to`. They may overlap, so all are asked from the first that can.
fn crossing(axis: &crate::layout::Axis, from: usize, to: usize) -> impl Iterator<Item = usize> + '_ {
    let first = (from / axis.tile_px).min(axis.n_tiles.saturating_sub(2));
    (first..axis.n_tiles)
        .take_while(move |tile| axis.start(*tile) < to)
        .filter(move |tile| axis.start(*tile) + axis.inside(*tile) > from)
}

/// A line of the scene as a line of a row of tiles.
fn line_of(scene: &Scene, row: usize, line: usize) -> Option<usize> {
    line.checked_sub(scene.rows.start(row)).filter(|line| *line < scene.rows.inside(row))
}

/// Renders what a block holds of a row of tiles into its tiles, and counts its pixels with data.
fn place<T: Level>(
    scene: &Scene,
    block: &Block<'_, T>,
    (holds, tables): (Holds<T>, &[Vec<u8>]),
    held: &mut Vec<u8>,
    strip: &mut Strip,
) {
    let side = scene.rows.tile_px;
    let start = scene.rows.start(strip.row);
    let lines = block.top.max(start)..(block.top + block.height).min(start + scene.rows.inside(strip.row));
    for col in crossing(&scene.cols, block.left, block.left + block.width) {
        let first = scene.cols.start(col);
        let (left, right) =
            (first.max(block.left), (first + scene.cols.inside(col)).min(block.left + block.width));
        let part = &mut strip.parts[col];
        held.clear();
        held.resize(right - left, 0);
        for line in lines.clone() {
            held.fill(0);
            for (band, plane) in part.pixels.chunks_exact_mut(side * side).enumerate() {
                let from = ((band * block.height + line - block.top) * block.width) + left - block.left;
                let from = &block.pixels[from..][..right - left];
                holds.note(from, held);
                let to = &mut plane[(line - start) * side + left - first..][..right - left];
                T::render(tables.get(band).map_or(&[], Vec::as_slice), from, to);
            }
            part.n_valid += u64::from(held.iter().map(|held| u32::from(*held)).sum::<u32>());
        }
    }
}

/// Adds the cloud of a line of classes that stands for `n_lines` lines of the scene.
fn add_clouds(scene: &Scene, counts: &LineCounts, n_lines: u64, strip: &mut Strip) {
    for (col, part) in strip.parts.iter_mut().enumerate() {
        let start = scene.cols.start(col);
        let (n_cloud, n_classed) = counts.between(start, start + scene.cols.inside(col));
        part.n_cloud += n_cloud * n_lines;
        part.n_classed += n_classed * n_lines;
    }
}
