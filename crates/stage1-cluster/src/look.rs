//! From tables of tiles to what clustering sees: the tiles that take part, their facts and their features.

use crate::audit::{Facts, Ground};
use crate::classes;
use crate::radiometry::{Levels, Normalise, levelled};
use anyhow::{Context, ensure};
use contract::{GranuleId, Label, Tile, TileId, TileReader};
use nn::{Embedder, Rgb};
use stage::{Ledger, Progress};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The class of every tile where no labels are given.
const ONE_CLASS: &str = "all";

/// A tile that takes part.
pub struct Seen {
    /// Its granule.
    pub granule: GranuleId,
    /// Its place.
    pub tile: TileId,
    /// Its class.
    pub class: String,
    /// What is known beside what it shows; colours as they were before normalisation.
    pub facts: Facts,
}

/// Classes by tile; none where no labels were given, and then all tiles are of one class.
pub struct Classes(Option<BTreeMap<Ground, String>>);

impl Classes {
    /// The likeliest class of every tile in the tables of labels.
    ///
    /// # Errors
    /// If a table cannot be read.
    pub fn read(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut labels: Vec<Label> = Vec::new();
        for path in paths {
            labels.extend(contract::read::<Label>(path)?);
        }
        Ok(Self((!paths.is_empty()).then(|| classes::likeliest(&labels))))
    }

    /// No labels: all tiles are of one class.
    pub fn none() -> Self {
        Self(None)
    }

    fn of(&self, ground: &Ground) -> Option<&str> {
        self.0.as_ref().map_or(Some(ONE_CLASS), |of| of.get(ground).map(String::as_str))
    }
}

/// Opens tables of tiles, granule by granule in the order of their names.
///
/// # Errors
/// If one cannot be read, or two are of one granule.
pub fn open_all(paths: &[PathBuf]) -> anyhow::Result<Vec<TileReader>> {
    let mut readers = paths.iter().map(|path| TileReader::open(path)).collect::<Result<Vec<_>, _>>()?;
    readers.sort_by(|a, b| a.granule().cmp(b.granule()));
    for pair in readers.windows(2) {
        let (a, b) = (&pair[0], &pair[1]);
        ensure!(
            a.granule() != b.granule(),
            "{} and {} are both of granule {}; give each once",
            a.path().display(),
            b.path().display(),
            a.granule()
        );
    }
    Ok(readers)
}

/// Goes through all tiles, a row of a granule at a time, and hands over those that take part with their pictures.
///
/// # Errors
/// If tiles cannot be read, have fewer than three bands, or `take` fails.
pub fn each_row(
    readers: &[TileReader],
    classes: &Classes,
    normalise: Normalise,
    ledger: &mut Ledger,
    mut take: impl FnMut(Vec<Seen>, Vec<Rgb>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let n_all = readers.iter().map(|r| r.meta().n_rows as usize * r.meta().n_cols as usize).sum();
    let mut progress = Progress::over("tiles", n_all);
    for (granule, reader) in readers.iter().enumerate() {
        let scene = Levels::of_scene(reader, normalise)?;
        for row in 0..reader.meta().n_rows {
            let tiles = reader.row(row)?;
            ledger.n_in += tiles.len() as u64;
            progress.add(tiles.len());
            let (mut seen, mut pictures) = (Vec::new(), Vec::new());
            for tile in tiles {
                let ground = (reader.granule().clone(), tile.tile);
                let Some(pixels) = &tile.pixels else {
                    ledger.skip(tile.skipped.as_deref().unwrap_or("no pixels"));
                    continue;
                };
                let Some(class) = classes.of(&ground) else {
                    ledger.skip("no label");
                    continue;
                };
                let levels = levelled(pixels, reader, scene.as_ref());
                pictures.push(picture(&levels, reader)?);
                seen.push(of_tile(granule, &tile, ground, class, &picture(pixels, reader)?));
            }
            ledger.ok(seen.len());
            take(seen, pictures)?;
        }
    }
    Ok(())
}

fn picture(pixels: &[u8], reader: &TileReader) -> anyhow::Result<Rgb> {
    let picture = Rgb::from_bands(pixels, reader.meta().tile_px as usize);
    picture.with_context(|| reader.path().display().to_string())
}

fn of_tile(granule: usize, tile: &Tile, ground: Ground, class: &str, picture: &Rgb) -> Seen {
    let facts = Facts::of(granule, tile.tile, [tile.west_m, tile.south_m], picture);
    Seen { granule: ground.0, tile: ground.1, class: class.to_owned(), facts }
}

/// The tiles that take part and their features. `[tile][feature]`
///
/// # Errors
/// As [`each_row`]; if no tile takes part.
pub fn embed(
    readers: &[TileReader],
    classes: &Classes,
    normalise: Normalise,
    embedder: &Embedder,
    ledger: &mut Ledger,
) -> anyhow::Result<(Vec<Seen>, Vec<Vec<f32>>)> {
    let (mut all, mut features) = (Vec::new(), Vec::new());
    each_row(readers, classes, normalise, ledger, |seen, pictures| {
        features.extend(embedder.embed(&pictures)?);
        all.extend(seen);
        Ok(())
    })?;
    ensure!(
        !all.is_empty(),
        "no tile has both pixels and a label; check --tiles and --labels are of the same granules"
    );
    Ok((all, features))
}
