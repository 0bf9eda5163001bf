//! Cloud in a tile, from Sentinel-2's scene classification (SCL), which is coarser than the scene by a whole number.

use std::path::Path;

use anyhow::ensure;
use raster::{Dtype, Grid, Source, Window};

/// Classes that hide the ground: cloud shadow, cloud of medium and high probability, thin cirrus.
const CLOUD: [u8; 4] = [3, 8, 9, 10];

/// The class of no data.
const NO_DATA: u8 = 0;

/// How far corners and sizes of pixels may differ, in pixels of the scene: rounding, and no shift that could be seen.
const TOLERANCE_PX: f64 = 1e-3;

/// A scene classification that lies on a scene.
#[derive(Debug)]
pub struct Classes {
    source: Source,
    /// Pixels of the scene on a side of a pixel of the classification.
    ratio: usize,
}

/// Cloud and classified pixels before each column of a line, in pixels of the scene: entry `x` counts columns `0..x`.
#[derive(Debug, Default)]
pub struct LineCounts {
    n_cloud: Vec<u32>,
    n_classed: Vec<u32>,
}

impl LineCounts {
    /// Cloud and classified pixels in columns `from..to`.
    pub fn between(&self, from: usize, to: usize) -> (u64, u64) {
        let count = |sums: &[u32]| u64::from(sums[to] - sums[from]);
        (count(&self.n_cloud), count(&self.n_classed))
    }
}

impl Classes {
    /// Opens the classification of a scene on `grid`.
    ///
    /// # Errors
    /// If it is no raster of 8 or 16 bits, or does not cover the scene from the same corner with pixels a whole number as large.
    pub fn open(path: &Path, grid: &Grid) -> anyhow::Result<Self> {
        let source = Source::open(path)?;
        let (own, path) = (source.grid(), path.display());
        ensure!(
            matches!(source.dtype(), Dtype::U8 | Dtype::U16 | Dtype::I16),
            "{path}: want classes of u8 or 16 bits, found {}; give the SCL band",
            source.dtype()
        );
        let (a, b) = (grid.transform, own.transform);
        let ratio = (b.pixel_width / a.pixel_width).round().max(1.0);
        let close = |difference: f64| difference.abs() <= TOLERANCE_PX * a.pixel_width;
        let whole = close((b.pixel_width - ratio * a.pixel_width) * own.width as f64)
            && close((b.pixel_height - ratio * a.pixel_height) * own.height as f64);
        ensure!(
            own.crs.same_as(&grid.crs) && close(a.west - b.west) && close(a.north - b.north) && whole,
            "{path}: want classes from the corner {}, {} of the scene with pixels of a whole number of {} m, found {}, {} and {} m in {}; \
             cut or resample them with gdalwarp",
            a.west,
            a.north,
            a.pixel_width,
            b.west,
            b.north,
            b.pixel_width,
            own.crs.to_text()
        );
        let ratio = ratio as usize;
        ensure!(
            own.height * ratio >= grid.height && own.width * ratio >= grid.width,
            "{path}: want classes for {} x {} pixels, found {} x {} times {ratio}; fetch them whole",
            grid.height,
            grid.width,
            own.height,
            own.width
        );
        Ok(Self { source, ratio })
    }

    /// Counts for lines `from..to` of the scene: a line of the classification each, with the number of lines of the scene that it stands for.
    ///
    /// # Errors
    /// If the file is damaged.
    pub fn lines(
        &self,
        from: usize,
        to: usize,
        width: usize,
    ) -> anyhow::Result<Vec<(Vec<usize>, LineCounts)>> {
        let (top, bottom) = (from / self.ratio, to.div_ceil(self.ratio));
        let own_width = width.div_ceil(self.ratio);
        let window = Window { row: top, col: 0, height: bottom - top, width: own_width };
        let classes = self.classes(window)?;
        let counted = classes.chunks_exact(own_width).enumerate().map(|(i, line)| {
            let first = (top + i) * self.ratio;
            let scene_lines = (first.max(from)..(first + self.ratio).min(to)).collect();
            (scene_lines, count(line, self.ratio, width))
        });
        Ok(counted.collect())
    }

    fn classes(&self, window: Window) -> raster::Result<Vec<u8>> {
        let Window { row, col, height, width } = window;
        if self.source.dtype() == Dtype::U8 && !self.source.is_masked() {
            return self.source.read_window(1, row, col, height, width);
        }
        let mut values = Vec::<f32>::new();
        self.source.read_values(1, window, &mut values)?;
        Ok(values.into_iter().map(code).collect())
    }
}

/// Codes of a class have no more than 8 bits; what a mask hides has no class.
fn code(value: f32) -> u8 {
    if value.is_nan() || !(0.0..=255.0).contains(&value) { NO_DATA } else { value as u8 }
}

fn count(line: &[u8], ratio: usize, width: usize) -> LineCounts {
    let mut counts = LineCounts { n_cloud: vec![0; width + 1], n_classed: vec![0; width + 1] };
    let (mut n_cloud, mut n_classed) = (0, 0);
    for x in 0..width {
        let class = line[x / ratio];
        n_cloud += u32::from(CLOUD.contains(&class));
        n_classed += u32::from(class != NO_DATA);
        (counts.n_cloud[x + 1], counts.n_classed[x + 1]) = (n_cloud, n_classed);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarse_pixel_counts_for_the_pixels_of_the_scene_under_it() {
        let counts = count(&[3, 4, 0, 9], 2, 7);
        assert_eq!(counts.between(0, 7), (3, 5), "the last column of class 9 lies outside");
        assert_eq!(counts.between(1, 3), (1, 2));
        assert_eq!(counts.between(4, 6), (0, 0), "no data is no cloud");
    }
}
