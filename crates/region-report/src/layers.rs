//! Rasters as pictures for the page: warped to the Web Mercator plane in which browsers draw maps, coloured, as PNG.
//!
//! Each pixel of a picture takes the raster's pixel under its centre: tiles keep their edges, and no value is made up. A picture is at
//! most [`MAX_SIDE_PX`] a side and has a byte a pixel, or is a JPEG where it is a photograph, so that a page stays small; the rasters themselves
//! hold all there is.

use std::f64::consts::PI;
use std::path::Path;

use anyhow::Context as _;
use figure::Scale;
use image::{ExtendedColorType, ImageEncoder as _, codecs::jpeg::JpegEncoder};
use raster::{Bounds, Crs, Declared, Grid, Source, Window, transform_points};
use rayon::prelude::*;

/// Longest side of a picture.
const MAX_SIDE_PX: f64 = 1600.0;
/// Pixels of a raster that are read at a time.
const PART_PX: usize = 1 << 24;
/// Rows that are transformed at a time.
const ROWS: usize = 32;
/// Share of the pixels that the brightest colours leave out at either end of an image or a light.
const STRETCH_SHARE: f64 = 0.005;

/// Colours of a picture of values; the last byte is for none.
const N_COLOURS: usize = 255;
/// The colour under all layers of the page (`map.js`): a JPEG cannot be seen through where a scene has no data.
const GROUND: [u8; 3] = [0xe9, 0xed, 0xf1];
/// Of the picture of a scene, from 0 to 100.
const JPEG_QUALITY: u8 = 85;

/// A picture on the globe.
pub struct Layer {
    /// What it shows: `score`, `sd`, `night_light`, `change`, `imagery`.
    pub id: &'static str,
    /// The file.
    pub file: Vec<u8>,
    /// Its media type.
    pub media_type: &'static str,
    /// West, south, east and north in degrees.
    pub bounds_deg: [f64; 4],
    /// Values of the first and the last colour.
    pub range: [f64; 2],
}

/// The plane of a picture: rows from north, columns from west.
#[derive(Clone, Copy)]
struct Plane {
    bounds: Bounds,
    height: usize,
    width: usize,
}

fn mercator_y(lat_deg: f64) -> f64 {
    (PI / 4.0 + lat_deg.to_radians() / 2.0).tan().ln()
}

fn lat_deg(mercator_y: f64) -> f64 {
    (2.0 * mercator_y.exp().atan() - PI / 2.0).to_degrees()
}

impl Plane {
    fn of(bounds: Bounds) -> Self {
        let across = (bounds.east - bounds.west).to_radians();
        let down = mercator_y(bounds.north) - mercator_y(bounds.south);
        let scale = MAX_SIDE_PX / across.max(down);
        let px = |length: f64| (length * scale).round().max(1.0) as usize;
        Self { bounds, height: px(down), width: px(across) }
    }

    /// Longitudes and latitudes of the centres of some rows.
    fn centres(&self, rows: std::ops::Range<usize>) -> (Vec<f64>, Vec<f64>) {
        let (top, bottom) = (mercator_y(self.bounds.north), mercator_y(self.bounds.south));
        let lat = |row: usize| lat_deg(top + (row as f64 + 0.5) / self.height as f64 * (bottom - top));
        let lon = |col: usize| {
            self.bounds.west + (col as f64 + 0.5) / self.width as f64 * (self.bounds.east - self.bounds.west)
        };
        rows.flat_map(|row| (0..self.width).map(move |col| (lon(col), lat(row)))).unzip()
    }

    /// The pixel of a grid under each pixel of the plane, if there is one.
    fn places(&self, grid: &Grid) -> anyhow::Result<Vec<Option<usize>>> {
        let wgs84 = Crs::wgs84()?;
        let starts: Vec<usize> = (0..self.height).step_by(ROWS).collect();
        let part = |start: &usize| -> anyhow::Result<Vec<Option<usize>>> {
            let (mut x, mut y) = self.centres(*start..(start + ROWS).min(self.height));
            if !grid.crs.same_as(&wgs84) {
                transform_points(&wgs84, &grid.crs, &mut x, &mut y)?;
            }
            let place = |(x, y): (&f64, &f64)| {
                let (row, col) = grid.transform.to_pixel(*x, *y);
                let inside = row >= 0.0 && col >= 0.0 && row < grid.height as f64 && col < grid.width as f64;
                inside.then(|| row as usize * grid.width + col as usize)
            };
            Ok(x.iter().zip(&y).map(place).collect())
        };
        let parts: Vec<_> = starts.par_iter().map(part).collect::<anyhow::Result<_>>()?;
        Ok(parts.concat())
    }

    /// A picture whose bytes are places in a table of colours, [`N_COLOURS`] for none.
    fn paletted(
        &self,
        id: &'static str,
        pixels: &[u8],
        scale: Scale,
        range: [f64; 2],
    ) -> anyhow::Result<Layer> {
        let mut palette: Vec<u8> = scale.table(N_COLOURS).iter().flat_map(|c| [c.0, c.1, c.2]).collect();
        palette.extend([0, 0, 0]);
        let mut alpha = vec![255; N_COLOURS];
        alpha.push(0);
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width as u32, self.height as u32);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(palette);
        encoder.set_trns(alpha);
        encoder.set_compression(png::Compression::High);
        // Places in a table are no amounts: what a filter would predict from a neighbour means nothing.
        encoder.set_filter(png::Filter::NoFilter);
        let drawn = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(pixels)?;
            writer.finish()
        });
        drawn.with_context(|| format!("drawing the layer {id}"))?;
        Ok(self.layer(id, file, "image/png", range))
    }

    fn layer(&self, id: &'static str, file: Vec<u8>, media_type: &'static str, range: [f64; 2]) -> Layer {
        let b = self.bounds;
        Layer { id, file, media_type, bounds_deg: [b.west, b.south, b.east, b.north], range }
    }
}

/// Which values the first and the last colour stand for.
#[derive(Clone, Copy)]
enum Range {
    /// These.
    Given(f64, f64),
    /// 0 and nearly the highest.
    FromZero,
    /// Nearly the largest, less and more than 0.
    AroundZero,
}

impl Range {
    fn of(self, values: &[f32]) -> [f64; 2] {
        let (lowest, highest) = stretch(values);
        let most = lowest.abs().max(highest.abs()).max(f64::MIN_POSITIVE);
        match self {
            Range::Given(low, high) => [low, high],
            Range::FromZero => [0.0, highest.max(f64::MIN_POSITIVE)],
            Range::AroundZero => [-most, most],
        }
    }
}

/// A band as a picture.
fn painted(
    (path, band): (&Path, usize),
    id: &'static str,
    bounds: Bounds,
    scale: Scale,
    range: Range,
    shape: fn(f64) -> f64,
) -> anyhow::Result<Layer> {
    painted_from(&Source::open(path)?, band, id, bounds, scale, range, shape)
}

/// As [`painted`], of an open raster.
fn painted_from(
    source: &Source,
    band: usize,
    id: &'static str,
    bounds: Bounds,
    scale: Scale,
    range: Range,
    shape: fn(f64) -> f64,
) -> anyhow::Result<Layer> {
    let plane = Plane::of(bounds);
    let values = warped(source, band, &plane)?;
    let range = range.of(&values);
    let [low, high] = range.map(shape);
    let colour = |value: &f32| {
        let share = (shape(f64::from(*value)) - low) / (high - low);
        if share.is_nan() {
            return N_COLOURS as u8;
        }
        (share.clamp(0.0, 1.0) * (N_COLOURS - 1) as f64).round() as u8
    };
    plane.paletted(id, &values.iter().map(colour).collect::<Vec<_>>(), scale, range)
}

/// Values of a band under the plane's pixels, not a number where there is none. The band is read in parts, those with such a pixel.
fn warped(source: &Source, band: usize, plane: &Plane) -> anyhow::Result<Vec<f32>> {
    let grid = source.grid();
    let places = plane.places(grid)?;
    let mut values = vec![f32::NAN; places.len()];
    let (mut rows, mut cols) = source.block_shape()?;
    (rows, cols) = (rows.max(1), cols.max(1));
    // As many whole blocks as fit; of a large block only some rows.
    cols = (PART_PX / rows / cols).max(1).saturating_mul(cols).min(grid.width);
    rows = (PART_PX / cols / rows).max(1).saturating_mul(rows).min((PART_PX / cols).max(1)).min(grid.height);
    let n_across = grid.width.div_ceil(cols);
    let part_of = |place: usize| place / grid.width / rows * n_across + place % grid.width / cols;
    let mut asked: Vec<(usize, usize, usize)> = places
        .iter()
        .enumerate()
        .filter_map(|(pixel, place)| place.map(|place| (part_of(place), place, pixel)))
        .collect();
    drop(places);
    asked.sort_unstable();
    let mut pixels = Vec::<f32>::new();
    for asked in asked.chunk_by(|a, b| a.0 == b.0) {
        let (row, col) = (asked[0].0 / n_across * rows, asked[0].0 % n_across * cols);
        let (height, width) = (rows.min(grid.height - row), cols.min(grid.width - col));
        source.read_values(band, Window { row, col, height, width }, &mut pixels)?;
        for &(_, place, pixel) in asked {
            values[pixel] = pixels[(place / grid.width - row) * width + place % grid.width - col];
        }
    }
    Ok(values)
}

/// The values between which nearly all others lie.
fn stretch(values: &[f32]) -> (f64, f64) {
    let mut known: Vec<f32> = values.iter().copied().filter(|value| value.is_finite()).collect();
    if known.is_empty() {
        return (0.0, 1.0);
    }
    known.sort_by(f32::total_cmp);
    let last = (known.len() - 1) as f64;
    let at = |share: f64| f64::from(known[(share * last).round() as usize]);
    (at(STRETCH_SHARE), at(1.0 - STRETCH_SHARE))
}

/// The layers of score and, if there is one, standard deviation, over the whole map.
///
/// # Errors
/// For a map that cannot be read.
pub fn map_layers(heatmap: &Path, bands: (usize, Option<usize>)) -> anyhow::Result<Vec<Layer>> {
    let bounds = raster::bounds_deg(Source::open(heatmap)?.grid())?;
    let same = |value: f64| value;
    let mut layers =
        vec![painted((heatmap, bands.0), "score", bounds, Scale::Score, Range::Given(0.0, 1.0), same)?];
    if let Some(band) = bands.1 {
        layers.push(painted((heatmap, band), "sd", bounds, Scale::Doubt, Range::FromZero, same)?);
    }
    Ok(layers)
}

/// The layer of night light over the map, its colours by log(1 + radiance).
///
/// # Errors
/// For rasters that cannot be read.
pub fn light_layer(heatmap: &Path, (lights, declared): (&Path, Declared)) -> anyhow::Result<Layer> {
    let bounds = raster::bounds_deg(Source::open(heatmap)?.grid())?;
    let log = |radiance: f64| radiance.max(0.0).ln_1p();
    painted_from(&declared.open(lights)?, 1, "night_light", bounds, Scale::Light, Range::FromZero, log)
}

/// The layer of the change between two dates, over the map.
///
/// # Errors
/// For rasters that cannot be read.
pub fn change_layer(heatmap: &Path, change: &Path) -> anyhow::Result<Layer> {
    let bounds = raster::bounds_deg(Source::open(heatmap)?.grid())?;
    painted((change, 1), "change", bounds, Scale::Score, Range::AroundZero, |value| value)
}

/// The layer of a scene in natural colours: its bands named red, green and blue, or B04, B03 and B02, or the first three.
///
/// # Errors
/// For a scene that cannot be read or has fewer than three bands.
pub fn image_layer(path: &Path) -> anyhow::Result<Layer> {
    let source = Source::open(path)?;
    let names: Vec<String> = source.band_names().iter().map(|name| name.to_lowercase()).collect();
    let bands = [["red", "b04"], ["green", "b03"], ["blue", "b02"]]
        .map(|wanted| names.iter().position(|name| wanted.contains(&name.as_str())).map(|place| place + 1));
    let bands =
        if bands.iter().all(Option::is_some) { bands.map(Option::unwrap_or_default) } else { [1, 2, 3] };
    anyhow::ensure!(
        source.n_bands() >= 3,
        "{}: want a scene of at least three bands, found {}",
        path.display(),
        source.n_bands()
    );
    let plane = Plane::of(raster::bounds_deg(source.grid())?);
    let [red, green, blue] = bands.map(|band| channel(&source, band, &plane));
    let (red, green, blue) = (red?, green?, blue?);
    let pixel = |i: usize| match (red[i], green[i], blue[i]) {
        (Some(r), Some(g), Some(b)) => [r, g, b],
        _ => GROUND,
    };
    let pixels: Vec<[u8; 3]> = (0..red.len()).map(pixel).collect();
    let mut file = Vec::new();
    JpegEncoder::new_with_quality(&mut file, JPEG_QUALITY)
        .write_image(pixels.as_flattened(), plane.width as u32, plane.height as u32, ExtendedColorType::Rgb8)
        .context("drawing the layer imagery")?;
    Ok(plane.layer("imagery", file, "image/jpeg", [0.0, 1.0]))
}

/// A band as bytes, stretched over nearly all its values.
fn channel(source: &Source, band: usize, plane: &Plane) -> anyhow::Result<Vec<Option<u8>>> {
    let values = warped(source, band, plane)?;
    let (low, high) = stretch(&values);
    let span = (high - low).max(f64::MIN_POSITIVE);
    let byte = |value: &f32| {
        let share = (f64::from(*value) - low) / span;
        (!share.is_nan()).then(|| (share.clamp(0.0, 1.0) * 255.0).round() as u8)
    };
    Ok(values.iter().map(byte).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use raster::Affine;

    #[test]
    fn mercator_is_undone() {
        for lat in [-60.0, 0.0, 30.5, 84.0] {
            assert!((lat_deg(mercator_y(lat)) - lat).abs() < 1e-10);
        }
    }

    #[test]
    fn a_picture_of_values_is_a_byte_a_pixel_and_what_is_missing_can_be_seen_through() {
        let bounds = Bounds { west: 0.0, south: 0.0, east: 2.0, north: 1.0 };
        let plane = Plane { bounds, height: 1, width: 3 };
        let layer = plane.paletted("score", &[0, 254, 255], Scale::Score, [0.0, 1.0]).unwrap();
        let pixels = image::load_from_memory(&layer.file).unwrap().to_rgba8().into_raw();
        let [low, high] = [0.0, 1.0].map(|share| Scale::Score.at(share));
        assert_eq!(pixels, [low.0, low.1, low.2, 255, high.0, high.1, high.2, 255, 0, 0, 0, 0]);
    }

    #[test]
    fn a_range_around_zero_has_as_much_on_either_side() {
        assert_eq!(
            Range::AroundZero.of(&[0.1; 5].map(|v: f32| -v)),
            [f64::from(-0.1_f32), f64::from(0.1_f32)]
        );
        assert_eq!(Range::FromZero.of(&[f32::NAN]), [0.0, 1.0]);
    }

    #[test]
    fn a_raster_read_in_parts_shows_what_it_shows_in_one_piece() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.tif");
        let transform = Affine { west: 100.0, north: 31.0, pixel_width: 0.001, pixel_height: 0.001 };
        // More pixels than are read at a time, in both directions.
        let grid = Grid { height: 4500, width: 5000, transform, crs: Crs::wgs84().unwrap() };
        let pixels: Vec<f32> = (0..grid.len()).map(|i| (i % 9973) as f32).collect();
        let bands = [raster::BandOut { name: "v", unit: "1", pixels: &pixels }];
        let options = raster::CogOptions { nodata: Some(7.0), ..raster::CogOptions::default() };
        raster::write_cog(&path, &grid, &bands, &options).unwrap();
        assert!(grid.len() > PART_PX);
        let bounds = Bounds { west: 99.5, south: 26.0, east: 105.5, north: 31.2 };
        let plane = Plane { bounds, height: 300, width: 350 };
        let found = warped(&Source::open(&path).unwrap(), 1, &plane).unwrap();
        let wanted = plane.places(&grid).unwrap();
        for (found, place) in found.iter().zip(&wanted) {
            match place.map(|place| pixels[place]).filter(|value| *value != 7.0) {
                Some(value) => assert_eq!(*found, value),
                None => assert!(found.is_nan()),
            }
        }
        assert!(wanted.iter().filter(|place| place.is_some()).count() > 50_000);
    }

    #[test]
    fn a_plane_over_a_grid_in_degrees_finds_the_pixel_under_each_centre() {
        let transform = Affine { west: 100.0, north: 31.0, pixel_width: 0.5, pixel_height: 0.5 };
        let grid = Grid { height: 2, width: 4, transform, crs: Crs::wgs84().unwrap() };
        let plane = Plane { bounds: grid.bounds(), height: 4, width: 8 };
        let places = plane.places(&grid).unwrap();
        let row = |row: usize| places[row * 8..(row + 1) * 8].iter().map(|p| p.unwrap()).collect::<Vec<_>>();
        assert_eq!(row(0), [0, 0, 1, 1, 2, 2, 3, 3]);
        assert_eq!(row(3), [4, 4, 5, 5, 6, 6, 7, 7]);
    }
}
