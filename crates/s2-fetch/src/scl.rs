//! The scene classification (SCL) that level 2A carries: what it says of each pixel, and what share of an area has data or cloud.

use anyhow::{bail, ensure};
use geo::MultiPolygon;
use raster::{Dtype, Source, Window};

use crate::cover::Cover;

/// What the classification says of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// 0: outside the swath.
    NoData,
    /// 1.
    SaturatedOrDefective,
    /// 2: dark ground or the shadow of a hill.
    Dark,
    /// 3.
    CloudShadow,
    /// 4.
    Vegetation,
    /// 5.
    Bare,
    /// 6.
    Water,
    /// 7.
    Unclassified,
    /// 8: of medium probability.
    CloudMedium,
    /// 9: of high probability.
    CloudHigh,
    /// 10.
    ThinCirrus,
    /// 11.
    Snow,
}

impl Class {
    /// The class of a code; other codes do not exist and say nothing.
    pub fn of(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::NoData,
            1 => Self::SaturatedOrDefective,
            2 => Self::Dark,
            3 => Self::CloudShadow,
            4 => Self::Vegetation,
            5 => Self::Bare,
            6 => Self::Water,
            7 => Self::Unclassified,
            8 => Self::CloudMedium,
            9 => Self::CloudHigh,
            10 => Self::ThinCirrus,
            11 => Self::Snow,
            _ => return None,
        })
    }

    /// Whether cloud, or its shadow, hides the ground.
    pub fn is_cloud(self) -> bool {
        matches!(self, Self::CloudShadow | Self::CloudMedium | Self::CloudHigh | Self::ThinCirrus)
    }

    /// Whether the ground is seen as it is.
    pub fn is_clear(self) -> bool {
        !self.is_cloud() && !matches!(self, Self::NoData | Self::SaturatedOrDefective)
    }
}

/// Whether a pixel of this code shows the ground.
pub(crate) fn is_clear(code: u8) -> bool {
    Class::of(code).is_some_and(Class::is_clear)
}

/// What share of an area a scene shows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// Pixels with data, of the area's pixels within the window.
    pub valid_share: f64,
    /// Pixels under cloud or its shadow, of those with data; 0 where none has data.
    pub cloud_share: f64,
    /// The area's pixels within the window; shares of no pixels are 0.
    pub n_px: u64,
}

/// Counts data and cloud in a window of a classification, within an area in degrees (WGS 84) if one is given. Reads a row of blocks at a time.
///
/// # Errors
/// If the file holds no codes of 8 bits or cannot be read.
pub(crate) fn shares(
    source: &Source,
    window: Option<Window>,
    area: Option<&MultiPolygon<f64>>,
) -> anyhow::Result<Shares> {
    check(source)?;
    let window = window.unwrap_or(Window::of(source.grid()));
    let grid = window.grid(source.grid());
    let cover = match area {
        Some(area) => Cover::of(&grid, area)?,
        None => Cover::whole(&grid),
    };
    let (block_height, _) = source.block_shape()?;
    let mut n_of = [0u64; 256];
    for row in (0..window.height).step_by(block_height) {
        let height = block_height.min(window.height - row);
        let part = Window { row: window.row + row, col: window.col, height, width: window.width };
        let codes = codes(source, part)?;
        for (i, line) in codes.chunks_exact(window.width).enumerate() {
            count(line, cover.row(row + i), &mut n_of);
        }
    }
    Ok(of_counts(&n_of))
}

/// Refuses what cannot be a scene classification.
pub(crate) fn check(source: &Source) -> anyhow::Result<()> {
    ensure!(
        source.n_bands() == 1 && !matches!(source.dtype(), Dtype::F32 | Dtype::F64),
        "{}: want a scene classification (SCL), one band of whole numbers 0 to 11, found {} of {}; give another file, or convert it with gdal_translate -ot Byte",
        source.path().display(),
        source.n_bands(),
        source.dtype()
    );
    Ok(())
}

/// The codes of a window, whatever whole numbers the file keeps them in; its no-data value is code 0.
///
/// # Errors
/// If it cannot be read, or a wider number than 8 bits is no code.
pub(crate) fn codes(source: &Source, window: Window) -> anyhow::Result<Vec<u8>> {
    let Window { row, col, height, width } = window;
    let nodata = source.nodata();
    if source.dtype() == Dtype::U8 {
        let mut codes: Vec<u8> = source.read_window(1, row, col, height, width)?;
        if let Some(nodata) = nodata.filter(|nodata| *nodata != 0.0) {
            codes.iter_mut().filter(|code| f64::from(**code) == nodata).for_each(|code| *code = 0);
        }
        return Ok(codes);
    }
    let code = |number: f64| match number {
        _ if nodata == Some(number) => Ok(0),
        _ if (0.0..=11.0).contains(&number) => Ok(number as u8),
        _ => bail!(
            "{}: want a scene classification (SCL), codes 0 to 11, found {number}; give another file",
            source.path().display()
        ),
    };
    source.read_window::<f64>(1, row, col, height, width)?.into_iter().map(code).collect()
}

/// Counts data and cloud in codes.
pub(crate) fn shares_of(codes: &[u8]) -> Shares {
    let mut n_of = [0u64; 256];
    codes.iter().for_each(|code| n_of[usize::from(*code)] += 1);
    of_counts(&n_of)
}

fn count(line: &[u8], spans: &[(u32, u32)], n_of: &mut [u64; 256]) {
    for (start, end) in spans {
        line[*start as usize..*end as usize].iter().for_each(|code| n_of[usize::from(*code)] += 1);
    }
}

fn of_counts(n_of: &[u64; 256]) -> Shares {
    let n_where = |fits: &dyn Fn(Option<Class>) -> bool| -> u64 {
        (0..=u8::MAX).filter(|code| fits(Class::of(*code))).map(|code| n_of[usize::from(code)]).sum()
    };
    let n_px = n_of.iter().sum();
    let n_valid = n_where(&|class| class.is_some_and(|c| c != Class::NoData));
    let n_cloud = n_where(&|class| class.is_some_and(Class::is_cloud));
    let share = |n: u64, of: u64| if of == 0 { 0.0 } else { n as f64 / of as f64 };
    Shares { valid_share: share(n_valid, n_px), cloud_share: share(n_cloud, n_valid), n_px }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use raster::{Affine, BandOut, CogOptions, Crs, Grid, transform_points, write_cog};

    #[test]
    fn cloud_is_a_share_of_what_has_data_and_codes_that_do_not_exist_are_no_data() {
        let mut n_of = [0; 256];
        for (code, n) in [(0, 50), (3, 5), (8, 5), (9, 5), (10, 5), (1, 4), (4, 16), (200, 10)] {
            n_of[code] = n;
        }
        let shares = of_counts(&n_of);
        assert_eq!(shares, Shares { valid_share: 0.4, cloud_share: 0.5, n_px: 100 });
        assert_eq!(of_counts(&[0; 256]), Shares { valid_share: 0.0, cloud_share: 0.0, n_px: 0 });
    }

    #[test]
    fn what_is_masked_is_cloud_its_shadow_defects_and_nothing() {
        let clear: Vec<u8> = (0..=u8::MAX).filter(|code| is_clear(*code)).collect();
        assert_eq!(clear, [2, 4, 5, 6, 7, 11]);
    }

    #[test]
    fn codes_of_sixteen_bits_are_read_where_they_are_codes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scl.tif");
        let transform = Affine { west: 435_720.0, north: 4_179_420.0, pixel_width: 20.0, pixel_height: 20.0 };
        let grid = Grid { height: 2, width: 3, transform, crs: Crs::from_epsg(32618).unwrap() };
        let write = |codes: [u16; 6], nodata| {
            let band = BandOut { name: "scl", unit: "code", pixels: &codes };
            write_cog(&path, &grid, &[band], &CogOptions { nodata, ..CogOptions::default() }).unwrap();
            Source::open(&path).unwrap()
        };
        let read = |source: &Source| codes(source, Window::of(source.grid()));
        let source = write([0, 4, 11, 9, 4, 65_535], Some(65_535.0));
        check(&source).unwrap();
        assert_eq!(read(&source).unwrap(), [0, 4, 11, 9, 4, 0]);
        assert_eq!(shares(&source, None, None).unwrap().valid_share, 4.0 / 6.0);
        let line = read(&write([0, 4, 11, 9, 4, 500], None)).unwrap_err().to_string();
        assert!(line.contains("scl.tif") && line.contains("found 500"), "{line}");
    }

    #[test]
    fn shares_of_a_window_and_an_area_are_those_of_their_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("scl.tif");
        let grid = Grid {
            height: 600,
            width: 80,
            transform: Affine { west: 435_720.0, north: 4_179_420.0, pixel_width: 20.0, pixel_height: 20.0 },
            crs: Crs::from_epsg(32618).unwrap(),
        };
        // Rows from 0: nothing; from 100: cloud; from 300: vegetation.
        let code = |i: usize| [0, 9, 9, 4, 4, 4][i / 80 / 100];
        let codes: Vec<u8> = (0..600 * 80).map(code).collect();
        let band = BandOut { name: "scl", unit: "code", pixels: &codes };
        write_cog(&path, &grid, &[band], &CogOptions::default()).unwrap();
        let source = Source::open(&path).unwrap();
        let all = shares(&source, None, None).unwrap();
        assert_eq!(all, Shares { valid_share: 5.0 / 6.0, cloud_share: 0.4, n_px: 48_000 });
        let window = Window { row: 50, col: 10, height: 100, width: 20 };
        let part = shares(&source, Some(window), None).unwrap();
        assert_eq!(part, Shares { valid_share: 0.5, cloud_share: 1.0, n_px: 2000 });

        let corners = [(250.0, 20.0), (250.0, 60.0), (350.0, 60.0), (350.0, 20.0)];
        let (mut x, mut y): (Vec<_>, Vec<_>) =
            corners.iter().map(|(row, col)| grid.transform.to_world(*row, *col)).unzip();
        transform_points(&grid.crs, &Crs::wgs84().unwrap(), &mut x, &mut y).unwrap();
        let ring: Vec<(f64, f64)> = x.into_iter().zip(y).collect();
        let area = MultiPolygon(vec![geo::Polygon::new(ring.into(), vec![])]);
        let inside = shares(&source, None, Some(&area)).unwrap();
        assert_eq!(inside, Shares { valid_share: 1.0, cloud_share: 0.5, n_px: 4000 });
        let both = shares(&source, Some(window), Some(&area)).unwrap();
        assert_eq!(both.n_px, 0);
    }
}
