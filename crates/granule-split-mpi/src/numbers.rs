//! A scene's numbers as tiles are made of them: 8 bits as they are, 16 bits as they are, any other kind as reflectance in steps of 1e-4.
//! A pixel without data is 0 in all bands, whoever says that it has none: a value, a mask, opacity, not a number.

use raster::{Dtype, Window};

use crate::reflectance::DN_PER_REFLECTANCE;
use crate::render::{Holds, Level};
use crate::scene::Scene;

/// Buffers that are used again for each block.
#[derive(Debug, Default)]
pub struct Reader {
    known: Vec<u8>,
    line: Vec<u8>,
    values: Vec<f32>,
}

impl Reader {
    /// Reads a window of the scene's bands, `[band, height, width]`.
    ///
    /// # Errors
    /// If the scene is damaged.
    pub fn read<T: Level>(
        &mut self,
        scene: &Scene,
        window: Window,
        block: &mut Vec<T>,
    ) -> anyhow::Result<()> {
        block.resize(scene.bands.len() * window.len(), T::default());
        if !scene.source.dtype().fits(Dtype::U16) {
            return self.quantize(scene, window, block);
        }
        let Window { row, col, height, width } = window;
        scene.source.read_bands_into(&scene.bands, (row, col), (height, width), block)?;
        if scene.source.nodata().is_some_and(|nodata| nodata != 0.0) {
            self.blank(Holds::new(scene.source.nodata(), scene.black_max), window, block);
        }
        if scene.source.read_mask(&scene.bands, window, &mut self.known)? {
            hide(block, &self.known);
        }
        Ok(())
    }

    /// Reflectance in steps; below 0 it is the darkest that there is, and 0 itself is black as in 16-bit scenes: no data.
    fn quantize<T: Level>(&mut self, scene: &Scene, window: Window, block: &mut [T]) -> anyhow::Result<()> {
        let planes = block.chunks_exact_mut(window.len().max(1));
        for (plane, &band) in planes.zip(&scene.bands) {
            scene.source.read_values(band, window, &mut self.values)?;
            let dn = |value: f32| {
                let dn = (f64::from(value) * DN_PER_REFLECTANCE).round().clamp(1.0, 65_535.0);
                if value.is_nan() || value == 0.0 { 0.0 } else { dn }
            };
            plane.iter_mut().zip(&self.values).for_each(|(to, value)| *to = T::of_f64(dn(*value)));
        }
        Ok(())
    }

    /// Makes pixels black of which no band holds data.
    fn blank<T: Level>(&mut self, holds: Holds<T>, window: Window, block: &mut [T]) {
        self.line.clear();
        self.line.resize(window.len(), 0);
        block.chunks_exact(window.len().max(1)).for_each(|plane| holds.note(plane, &mut self.line));
        hide(block, &self.line);
    }
}

/// Makes pixels black that are not known.
fn hide<T: Level>(block: &mut [T], known: &[u8]) {
    for plane in block.chunks_exact_mut(known.len().max(1)) {
        plane.iter_mut().zip(known).for_each(|(value, known)| {
            *value = if *known == 0 { T::default() } else { *value };
        });
    }
}
