//! Score tables as granules that fit on one map.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use contract::Score;
use raster::Crs;

use crate::layer::{Layer, Patch};
use crate::overlap::Granule;

/// What the score tables hold, checked to fit on one map.
pub struct Input {
    /// All rows, by granule and tile.
    pub rows: Vec<Score>,
    /// The granules with at least one tile, by name.
    pub granules: Vec<Granule>,
    /// Name and hash of every model file behind the scores.
    pub models: BTreeSet<String>,
}

impl Input {
    /// Reads the tables.
    pub fn read(paths: &[PathBuf]) -> anyhow::Result<Input> {
        let mut rows: Vec<(Score, Crs)> = Vec::new();
        let mut first: Option<(&Path, BTreeSet<String>)> = None;
        for path in paths {
            let table: Vec<Score> = contract::read(path)?;
            let models = models(path)?;
            let Some(crs) = one_crs(path, &table)? else { continue };
            match &first {
                None => first = Some((path, models)),
                Some((first_path, wanted)) => agree((first_path, wanted), (path, &models))?,
            }
            rows.extend(table.into_iter().map(|row| (row, crs.clone())));
        }
        let (_, models) =
            first.context("no tile in any --scores table; run stage3-train score on tiles with pixels")?;
        ensure!(
            rows.iter().any(|(row, _)| row.score.is_some()),
            "{}: want at least one tile with a score, got {} tiles without; look at the ledger of stage3-train",
            paths[0].display(),
            rows.len()
        );
        rows.sort_by(|(a, _), (b, _)| (&a.granule, a.tile).cmp(&(&b.granule, b.tile)));
        let granules = granules(&rows)?;
        Ok(Input { rows: rows.into_iter().map(|(row, _)| row).collect(), granules, models })
    }

    /// The scores that there are.
    pub fn scores(&self) -> Vec<f64> {
        self.rows.iter().filter_map(|row| row.score).collect()
    }

    /// Side of a tile in metres: the median of all.
    pub fn tile_side_m(&self) -> f64 {
        let patches = self.granules.iter().flat_map(|granule| &granule.patches);
        let mut sides: Vec<f64> = patches.map(|patch| patch.east_m - patch.west_m).collect();
        sides.sort_by(f64::total_cmp);
        sides[sides.len() / 2]
    }

    /// The coordinate system of all granules, if they have one in common.
    pub fn common_crs(&self) -> Option<&Crs> {
        let first = &self.granules[0].crs;
        self.granules.iter().all(|granule| granule.crs.same_as(first)).then_some(first)
    }
}

/// Rows as granules; the same granule in two coordinate systems is two of them.
fn granules(rows: &[(Score, Crs)]) -> anyhow::Result<Vec<Granule>> {
    let mut groups: BTreeMap<(String, String), (Crs, Vec<Patch>)> = BTreeMap::new();
    for (row, crs) in rows {
        let group = groups.entry((row.granule.as_str().to_owned(), row.crs.clone()));
        group.or_insert_with(|| (crs.clone(), Vec::new())).1.push(patch(row)?);
    }
    let granule = |((name, _), (crs, patches)): ((String, String), (Crs, Vec<Patch>))| {
        let layer = Layer::of(&patches);
        Granule { name, crs, patches, layer }
    };
    Ok(groups.into_iter().map(granule).collect())
}

/// The coordinate system of a table, if it has rows.
fn one_crs(path: &Path, table: &[Score]) -> anyhow::Result<Option<Crs>> {
    let texts: BTreeSet<&str> = table.iter().map(|row| row.crs.as_str()).collect();
    let mut texts = texts.into_iter();
    let Some(text) = texts.next() else { return Ok(None) };
    if let Some(other) = texts.next() {
        bail!(
            "{}: want one coordinate system, got {text} and {other}; make it again with stage3-train",
            path.display()
        );
    }
    let crs =
        Crs::from_text(text).with_context(|| format!("{}: reading its coordinate system", path.display()))?;
    ensure!(
        !crs.is_geographic(),
        "{}: want a coordinate system in metres, got {text}; tile the scene in a projected system",
        path.display()
    );
    Ok(Some(crs))
}

/// The model files among the inputs that a score table names, as `name sha256`.
fn models(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let tags = contract::tags(path)?;
    let inputs = tags.iter().find(|(key, _)| key == "inputs").map_or("[]", |(_, text)| text);
    let inputs: Vec<serde_json::Value> = serde_json::from_str(inputs).unwrap_or_default();
    let text = |input: &serde_json::Value, key: &str| input[key].as_str().unwrap_or_default().to_owned();
    let named = inputs.iter().map(|input| (text(input, "name"), text(input, "sha256")));
    Ok(named
        .filter(|(name, _)| name.starts_with("model"))
        .map(|(name, hash)| format!("{name} {hash}"))
        .collect())
}

fn agree(
    (path, models): (&Path, &BTreeSet<String>),
    (other_path, other_models): (&PathBuf, &BTreeSet<String>),
) -> anyhow::Result<()> {
    ensure!(
        models == other_models,
        "{}: want scores of the model of {}, got those of another model; score all granules with one model",
        other_path.display(),
        path.display()
    );
    Ok(())
}

fn patch(row: &Score) -> anyhow::Result<Patch> {
    let place = || format!("granule {} tile {}", row.granule, row.tile);
    let edges = [row.west_m, row.south_m, row.east_m, row.north_m];
    let upright =
        edges.iter().all(|edge| edge.is_finite()) && row.west_m < row.east_m && row.south_m < row.north_m;
    ensure!(
        upright,
        "{}: want west < east and south < north in metres, got {edges:?}; make the scores again",
        place()
    );
    for share in [row.score, row.sd].into_iter().flatten() {
        ensure!(
            (0.0..=1.0).contains(&share),
            "{}: want shares from 0 to 1, got {share}; make the scores again",
            place()
        );
    }
    Ok(Patch {
        west_m: row.west_m,
        south_m: row.south_m,
        east_m: row.east_m,
        north_m: row.north_m,
        score_share: row.score,
        sd_share: row.sd,
        outside: row.outside,
    })
}
