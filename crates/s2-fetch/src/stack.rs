//! One scene's files as one raster: bands in the order asked for, the offset of newer processings taken off, read tile by tile.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use contract::SCL;
use raster::{Dtype, Grid, Pixel, Source, Window};

use crate::radiometry::{Darkness, Radiometry, radiometry, without_offset};
use crate::scl;
use crate::stac::{Asset, Item, is_reflectance};
use crate::wire::Proven;

/// A proven file of a scene.
#[derive(Debug, Clone)]
pub(crate) struct File {
    path: PathBuf,
    /// The only pixels that may be read.
    window: Option<Window>,
}

impl File {
    /// Of what was fetched.
    pub fn of(proven: &Proven) -> Self {
        Self { path: proven.path().to_owned(), window: proven.window }
    }

    fn open(&self) -> anyhow::Result<(Source, Window)> {
        let source = Source::open(&self.path)?;
        let window = self.window.unwrap_or(Window::of(source.grid()));
        Ok((source, window))
    }
}

/// A proven file and the name it was asked for by.
#[derive(Debug)]
pub(crate) struct Piece<'a> {
    /// `B04`, `visual`.
    pub wanted: &'a str,
    /// What the catalogue says of it.
    pub asset: &'a Asset,
    /// The file.
    pub file: File,
}

/// A band of the output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Band {
    /// `B04`, `red`.
    pub name: String,
    /// The unit of its numbers.
    pub unit: &'static str,
    /// Whether it holds reflectance, which may carry an offset.
    pub reflectance: bool,
}

/// What the files of a scene hold together.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    /// The grid of the pixels that may be read.
    pub grid: Grid,
    /// The type of a pixel.
    pub dtype: Dtype,
    /// The bands.
    pub bands: Vec<Band>,
}

/// The files of one scene, found to fit each other.
#[derive(Debug)]
pub(crate) struct Layer<'a> {
    /// The scene.
    pub item: &'a Item,
    /// What is subtracted.
    pub radiometry: Radiometry,
    /// What the files hold.
    pub shape: Shape,
    files: Vec<File>,
    scl: Option<File>,
    darkness: Darkness,
}

impl<'a> Layer<'a> {
    /// Puts files that lie on one grid together; `scl` is the scene's classification, where it is needed.
    ///
    /// # Errors
    /// If they differ in place, resolution or pixel type (nothing resamples in silence), or the scene's radiometry is not known.
    pub fn of(item: &'a Item, pieces: &[Piece<'_>], scl: Option<File>) -> anyhow::Result<Self> {
        let named: Vec<_> = pieces.iter().map(|p| (p.wanted, p.asset)).collect();
        let radiometry = radiometry(item, &named)?;
        let shape = shape(pieces)?;
        let carries = radiometry.offset_dn > 0 && shape.bands.iter().any(|b| b.reflectance);
        ensure!(
            !carries || shape.dtype == Dtype::U16,
            "item {}: want reflectance of 16 bits, found {}; ask for other assets",
            item.id,
            shape.dtype
        );
        let darkness = Darkness::new(radiometry.offset_dn, shape.bands.len());
        let files = pieces.iter().map(|p| p.file.clone()).collect();
        Ok(Self { item, radiometry, shape, files, scl, darkness })
    }

    /// Opens the files, for one thread.
    ///
    /// # Errors
    /// If one cannot be opened.
    pub fn open(&self) -> anyhow::Result<Open<'_>> {
        let mut bands = Vec::new();
        let files: Vec<_> = self.files.iter().map(File::open).collect::<anyhow::Result<_>>()?;
        for (index, (source, _)) in files.iter().enumerate() {
            bands.extend((1..=source.n_bands()).map(|band| (index, band)));
        }
        let codes = self.scl.as_ref().map(|file| Codes::open(file, &self.shape.grid)).transpose()?;
        Ok(Open { layer: self, files, bands, codes })
    }

    /// Holds what was read to the radiometry; to be asked once all is read.
    ///
    /// # Errors
    /// If the numbers cannot carry the offset that was taken off.
    pub fn check(&self) -> anyhow::Result<()> {
        self.darkness.check(&self.item.id, &self.radiometry.rule)
    }
}

/// The open files of a scene.
#[derive(Debug)]
pub(crate) struct Open<'a> {
    layer: &'a Layer<'a>,
    files: Vec<(Source, Window)>,
    // Of each band of the output: the file, and the band in it.
    bands: Vec<(usize, usize)>,
    codes: Option<Codes>,
}

impl Open<'_> {
    /// A tile of a band (from 0), the offset taken off: `[height, width]`.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read<T: Number>(&self, band: usize, tile: Window) -> anyhow::Result<Vec<T>> {
        let (file, band_in) = self.bands[band];
        let (source, window) = &self.files[file];
        let (row, col) = (window.row + tile.row, window.col + tile.col);
        let mut pixels: Vec<T> = source.read_window(band_in, row, col, tile.height, tile.width)?;
        let layer = self.layer;
        if layer.shape.bands[band].reflectance && layer.radiometry.offset_dn > 0 {
            layer.darkness.count(band, pixels.iter().map(|p| p.dn()));
            pixels.iter_mut().for_each(|p| *p = p.without_offset(layer.radiometry.offset_dn));
        }
        Ok(pixels)
    }

    /// Which pixels of a tile show the ground: `[height, width]`.
    ///
    /// # Errors
    /// If there is no classification, or it cannot be read.
    pub fn clear(&self, tile: Window) -> anyhow::Result<Vec<bool>> {
        let wanted = || format!("item {}: want a scene classification (SCL), found none", self.layer.item.id);
        self.codes.as_ref().with_context(wanted)?.clear(tile)
    }
}

/// A pixel whose offset can be taken off.
pub(crate) trait Number: Pixel + Ord {
    /// Its number.
    fn dn(self) -> u16;
    /// See [`without_offset`].
    fn without_offset(self, offset_dn: u16) -> Self;
}

impl Number for u16 {
    fn dn(self) -> u16 {
        self
    }

    fn without_offset(self, offset_dn: u16) -> Self {
        without_offset(self, offset_dn)
    }
}

impl Number for u8 {
    fn dn(self) -> u16 {
        self.into()
    }

    /// Pictures carry none; [`Layer::of`] refuses reflectance of 8 bits that does.
    fn without_offset(self, _: u16) -> Self {
        self
    }
}

/// An open classification, as the scene's own, finer grid sees it.
#[derive(Debug)]
struct Codes {
    source: Source,
    window: Window,
    /// Pixels of the scene along a side of a pixel of the classification.
    ratio: usize,
    /// Row and column of the scene's corner in the classification, counted in pixels of the scene.
    corner: (usize, usize),
}

impl Codes {
    fn open(file: &File, grid: &Grid) -> anyhow::Result<Self> {
        let (source, window) = file.open()?;
        scl::check(&source)?;
        let own = window.grid(source.grid());
        let ratio = (own.transform.pixel_width / grid.transform.pixel_width).round().max(1.0) as usize;
        let mut fine = own.clone();
        fine.transform.pixel_width /= ratio as f64;
        fine.transform.pixel_height /= ratio as f64;
        (fine.height, fine.width) = (own.height * ratio, own.width * ratio);
        let inside =
            |(row, col): &(usize, usize)| row + grid.height <= fine.height && col + grid.width <= fine.width;
        let corner =
            fine.offset_of(grid).and_then(|(row, col)| Some((row.try_into().ok()?, col.try_into().ok()?)));
        let Some(corner) = corner.filter(inside) else {
            bail!(
                "{}: want a scene classification that covers the scene's pixels whole, found {} x {} pixels of {} m elsewhere; \
                 check the catalogue's SCL asset",
                source.path().display(),
                own.height,
                own.width,
                own.transform.pixel_width
            );
        };
        Ok(Self { source, window, ratio, corner })
    }

    fn clear(&self, tile: Window) -> anyhow::Result<Vec<bool>> {
        let ratio = self.ratio;
        let (row, col) = (self.corner.0 + tile.row, self.corner.1 + tile.col);
        let (first_row, first_col) = (row / ratio, col / ratio);
        let height = (row + tile.height).div_ceil(ratio) - first_row;
        let width = (col + tile.width).div_ceil(ratio) - first_col;
        let (top, left) = (self.window.row + first_row, self.window.col + first_col);
        let codes = self.source.read_window::<u8>(1, top, left, height, width)?;
        let mut clear = Vec::with_capacity(tile.len());
        for row in row..row + tile.height {
            let line = &codes[(row / ratio - first_row) * width..][..width];
            clear.extend((col..col + tile.width).map(|col| scl::is_clear(line[col / ratio - first_col])));
        }
        Ok(clear)
    }
}

fn shape(pieces: &[Piece<'_>]) -> anyhow::Result<Shape> {
    let mut first: Option<(&str, Shape)> = None;
    for piece in pieces {
        let (source, window) = piece.file.open()?;
        let (grid, dtype) = (window.grid(source.grid()), source.dtype());
        let reflectance = is_reflectance(piece.wanted);
        let unit = match piece.wanted {
            _ if reflectance => "1e-4 reflectance",
            wanted if wanted.eq_ignore_ascii_case(SCL.name) => "code",
            _ => "dn",
        };
        let bands = names(piece, source.n_bands()).into_iter().map(|name| Band { name, unit, reflectance });
        let Some((other, shape)) = &mut first else {
            ensure!(
                matches!(dtype, Dtype::U8 | Dtype::U16),
                "asset {}: want pixels of u8 or u16, found {dtype}",
                piece.wanted
            );
            first = Some((piece.wanted, Shape { grid, dtype, bands: bands.collect() }));
            continue;
        };
        ensure!(
            same_pixels(&shape.grid, &grid) && dtype == shape.dtype,
            "asset {}: want {} x {} pixels of {} on the grid of asset {other}, found {} x {} of {dtype}; ask for assets of one resolution and type",
            piece.wanted,
            shape.grid.height,
            shape.grid.width,
            shape.dtype,
            grid.height,
            grid.width
        );
        shape.bands.extend(bands);
    }
    Ok(first.context("no assets were asked for")?.1)
}

/// Whether two grids are the same pixels.
pub(crate) fn same_pixels(a: &Grid, b: &Grid) -> bool {
    a.offset_of(b) == Some((0, 0)) && (a.height, a.width) == (b.height, b.width)
}

/// The names of a file's bands: of a single band what it was asked for by, of a picture its colours.
fn names(piece: &Piece<'_>, n: usize) -> Vec<String> {
    match n {
        1 => vec![piece.wanted.to_owned()],
        3 if piece.wanted == "visual" => ["red", "green", "blue"].map(str::to_owned).to_vec(),
        _ if piece.asset.bands.len() == n => piece.asset.bands.clone(),
        _ => (1..=n).map(|band| format!("{}_{band}", piece.wanted)).collect(),
    }
}
