//! One scene's files as one raster: bands in the order asked for, the offset of newer processings taken off, read tile by tile.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use contract::SCL;
use raster::{Dtype, Grid, Pixel, Scaling, Source, Window};

use crate::asset::Asset;
use crate::bands::{Content, are_plain};
use crate::codes::Codes;
use crate::radiometry::{Darkness, Radiometry, offset_of_baseline, radiometry, without_offset};
use crate::scl;
use crate::stac::Item;
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
    /// Puts files that lie on one grid together; `scl` is the scene's classification, where it is needed; `said` is the offset that a person
    /// says, in reflectance.
    ///
    /// # Errors
    /// If they differ in place, resolution or pixel type (nothing resamples in silence), or the scene's radiometry is not known.
    pub fn of(
        item: &'a Item,
        pieces: &[Piece<'_>],
        scl: Option<File>,
        said: Option<f64>,
    ) -> anyhow::Result<Self> {
        let assets: Vec<Asset> =
            pieces.iter().map(|piece| with_own_words(item, piece, said)).collect::<anyhow::Result<_>>()?;
        let named: Vec<_> = pieces.iter().zip(&assets).map(|(piece, asset)| (piece.wanted, asset)).collect();
        let shape = shape(pieces, &assets)?;
        if shape.dtype != Dtype::U8
            && let Some((wanted, _)) = named.iter().find(|(_, asset)| is_unknown(asset))
        {
            bail!(
                "item {}, asset {wanted}: want to know what its 16-bit numbers are (eo:bands or bands of the asset), found nothing that says it; \
                 say --offset -0.1 for reflectance that carries 1000, or --offset 0, or ask for other assets",
                item.id
            );
        }
        let radiometry = radiometry(item, &named, said)?;
        let carries = radiometry.offset_dn > 0 && shape.bands.iter().any(|b| b.reflectance);
        ensure!(
            !carries || shape.dtype == Dtype::U16,
            "item {}: want reflectance of 16 bits, found {}; ask for other assets, or say --offset 0",
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
            bands.extend(bands_of(source).into_iter().map(|band| (index, band)));
        }
        let codes = self
            .scl
            .as_ref()
            .map(|file| {
                file.open().and_then(|(source, window)| Codes::open(source, window, &self.shape.grid))
            })
            .transpose()?;
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
        hide(source, band_in, Window { row, col, ..tile }, &mut pixels)?;
        if layer.shape.bands[band].reflectance && layer.radiometry.offset_dn > 0 {
            layer.darkness.count(band, pixels.iter().map(|p| p.dn()));
            pixels.iter_mut().for_each(|p| *p = p.without_offset(layer.radiometry.offset_dn));
        }
        Ok(pixels)
    }

    /// A tile of a classification's codes: `[height, width]`.
    ///
    /// # Errors
    /// If the file holds no codes, or cannot be read.
    pub fn codes(&self, tile: Window) -> anyhow::Result<Vec<u8>> {
        let (source, window) = &self.files[0];
        scl::check(source)?;
        scl::codes(source, Window { row: window.row + tile.row, col: window.col + tile.col, ..tile })
    }

    /// Which pixels of a tile show the ground: `[height, width]`.
    ///
    /// # Errors
    /// If there is no classification, or it cannot be read.
    pub fn clear(&self, tile: Window) -> anyhow::Result<Vec<bool>> {
        let wanted = || format!("item {}: want a scene classification (SCL), found none", self.layer.item.id);
        Ok(self.codes.as_ref().with_context(wanted)?.read(tile)?.into_iter().map(scl::is_clear).collect())
    }
}

/// Makes 0 of the pixels that a file's mask hides, and of 16-bit numbers that have another value for "no data": in a picture one band may have it.
fn hide<T: Number>(source: &Source, band: usize, window: Window, pixels: &mut [T]) -> anyhow::Result<()> {
    if let Some(nodata) = source.nodata().filter(|nodata| *nodata != 0.0 && T::DTYPE == Dtype::U16) {
        pixels
            .iter_mut()
            .filter(|pixel| f64::from(pixel.dn()) == nodata)
            .for_each(|pixel| *pixel = T::default());
    }
    let mut known = Vec::new();
    if source.is_masked() && source.read_mask(&[band], window, &mut known)? {
        let hidden = pixels.iter_mut().zip(&known).filter(|(_, known)| **known == 0);
        hidden.for_each(|(pixel, _)| *pixel = T::default());
    }
    Ok(())
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

impl Band {
    fn of(name: String, content: Option<Content>, asset: &Asset) -> Self {
        let (unit, reflectance) = match content {
            Some(Content::Band(_)) => (REFLECTANCE, true),
            Some(Content::Classes) => (SCL.bands[0].unit, false),
            None | Some(Content::Picture) if asset.numbers => (REFLECTANCE, true),
            _ => ("dn", false),
        };
        Self { name, unit, reflectance }
    }
}

/// The unit of reflectance bands.
pub(crate) const REFLECTANCE: &str = "1e-4 reflectance";

/// Whether nothing says what a file of 16 bits holds: no name, or one of a picture.
fn is_unknown(asset: &Asset) -> bool {
    !asset.numbers && (asset.holds.is_empty() || asset.holds == [Content::Picture])
}

/// What the catalogue says of a file, with what the file itself says of its numbers where the catalogue does not.
fn with_own_words(item: &Item, piece: &Piece<'_>, said: Option<f64>) -> anyhow::Result<Asset> {
    let mut asset = piece.asset.clone();
    let (source, _) = piece.file.open()?;
    let own: Vec<Scaling> = bands_of(&source).into_iter().map(|band| source.scaling(band)).collect();
    // A file of Sentinel-2's scale alone does not deny an offset that the baseline says.
    let denies = own.iter().all(|own| own.offset == 0.0)
        && item.baseline.as_deref().and_then(offset_of_baseline).is_some();
    if asset.stated.is_empty() && own.iter().all(|own| *own != Scaling::NONE) && !denies {
        asset.stated = own.iter().map(|own| (own.scale, own.offset)).collect();
        asset.stated_by = "the file's";
    }
    asset.numbers =
        source.dtype() != Dtype::U8 && is_unknown(&asset) && (said.is_some() || !asset.stated.is_empty());
    Ok(asset)
}

fn shape(pieces: &[Piece<'_>], assets: &[Asset]) -> anyhow::Result<Shape> {
    let mut first: Option<(&str, Shape)> = None;
    let bands = pieces.iter().filter(|piece| matches!(piece.asset.holds[..], [Content::Band(_)]));
    // Names that later stages know are kept as they were asked for.
    let plain = are_plain(bands.map(|piece| piece.wanted));
    for (piece, asset) in pieces.iter().zip(assets) {
        let (source, window) = piece.file.open()?;
        let (grid, dtype) = (window.grid(source.grid()), source.dtype());
        let own = source.band_names();
        let own: Vec<_> = bands_of(&source).into_iter().map(|band| own[band - 1].clone()).collect();
        let contents = contents(piece, own.len());
        let names = names(piece, &contents, own, plain);
        let bands = names.into_iter().zip(contents).map(|(name, content)| Band::of(name, content, asset));
        let Some((other, shape)) = &mut first else {
            ensure!(
                matches!(dtype, Dtype::U8 | Dtype::U16),
                "asset {}: want pixels of u8 or u16, found {dtype}; fetch the file by other means and take it in with s2-fetch import",
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
    let shape = first.context("no assets were asked for")?.1;
    let names: std::collections::BTreeSet<_> = shape.bands.iter().map(|band| &band.name).collect();
    ensure!(
        names.len() == shape.bands.len(),
        "want each band once, found {}; ask for each by one name",
        shape.bands.iter().map(|band| band.name.as_str()).collect::<Vec<_>>().join(",")
    );
    Ok(shape)
}

/// Whether two grids are the same pixels.
pub(crate) fn same_pixels(a: &Grid, b: &Grid) -> bool {
    a.offset_of(b) == Some((0, 0)) && (a.height, a.width) == (b.height, b.width)
}

/// The bands of a file without its opacity, which is a mask.
fn bands_of(source: &Source) -> Vec<usize> {
    (1..=source.n_bands()).filter(|band| source.alpha() != Some(*band)).collect()
}

/// What each band of a file holds.
fn contents(piece: &Piece<'_>, n: usize) -> Vec<Option<Content>> {
    match piece.asset.holds[..] {
        [one] if n == 1 => vec![Some(one)],
        ref all if all.len() == n => all.iter().copied().map(Some).collect(),
        _ => vec![None; n],
    }
}

/// The names of a file's bands: of a single band what it was asked for by, or ESA's name where that is no plain one; of a picture its
/// colours; else those that the catalogue or the file gives.
fn names(piece: &Piece<'_>, contents: &[Option<Content>], own: Vec<String>, plain: bool) -> Vec<String> {
    let n = contents.len();
    let distinct = |names: &[String]| names.iter().collect::<std::collections::BTreeSet<_>>().len() == n;
    match contents {
        [Some(Content::Band(esa))] if !plain => vec![(*esa).to_owned()],
        [Some(Content::Colour(colour))] => vec![(*colour).to_owned()],
        [_] => vec![piece.wanted.to_owned()],
        [_, _, _] if piece.asset.holds == [Content::Picture] => {
            ["red", "green", "blue"].map(str::to_owned).to_vec()
        }
        _ if piece.asset.bands.len() == n => piece.asset.bands.clone(),
        _ if own.iter().all(|name| !name.is_empty()) && distinct(&own) => own,
        _ => (1..=n).map(|band| format!("{}_{band}", piece.wanted)).collect(),
    }
}
