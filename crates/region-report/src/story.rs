//! What the page tells of a tile: its score, its cluster and what judges said of that, the scene that it was cut from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use contract::{Cluster, GranuleId, PogRow, Scene, Score, TileId, Vote};
use raster::{Crs, transform_points};
use serde_json::{Map, Value, json};

use crate::packed::{NONE, between, packed, thousandths};
use crate::page::copy;

/// Flags of the stories; a table that is not given is not told of.
#[derive(clap::Args, Debug)]
pub struct StoryArgs {
    /// A table of scores; repeat for more granules
    #[arg(long, value_name = "PARQUET")]
    scores: Vec<PathBuf>,
    /// The table of classes and clusters
    #[arg(long, value_name = "PARQUET")]
    clusters: Option<PathBuf>,
    /// The order of the clusters
    #[arg(long, value_name = "PARQUET")]
    pog: Option<PathBuf>,
    /// The votes on the clusters
    #[arg(long, value_name = "PARQUET")]
    votes: Option<PathBuf>,
    /// A table of scenes; repeat for more granules
    #[arg(long, value_name = "PARQUET")]
    scenes: Vec<PathBuf>,
    /// Folder with a contact sheet of each cluster, cluster-000.png and so on
    #[arg(long, value_name = "DIR")]
    sheets: Option<PathBuf>,
}

/// The pictures of clusters that lie beside the page, by cluster.
pub type Sheets = BTreeMap<u32, String>;

impl StoryArgs {
    /// Copies the contact sheets of the clusters into the page's folder.
    pub(crate) fn copy_sheets(&self, folder: &Path) -> anyhow::Result<Sheets> {
        let mut sheets = Sheets::new();
        let (Some(from), Some(clusters)) = (&self.sheets, &self.clusters) else { return Ok(sheets) };
        for row in contract::read::<Cluster>(clusters)? {
            let name = format!("cluster-{:03}.png", row.cluster);
            if !sheets.contains_key(&row.cluster) && from.join(&name).is_file() {
                copy(&from.join(&name), &folder.join("clusters").join(&name))?;
                sheets.insert(row.cluster, format!("clusters/{name}"));
            }
        }
        Ok(sheets)
    }

    /// The tiles that have a score, a granule after the other, as columns of packed numbers, and the granules that they are of.
    pub(crate) fn tiles(&self) -> anyhow::Result<Value> {
        let mut scores = Vec::new();
        for path in &self.scores {
            scores.extend(contract::read::<Score>(path)?);
        }
        scores.retain(|row| row.score.is_some());
        scores.sort_by(|a, b| (&a.granule, a.tile).cmp(&(&b.granule, b.tile)));
        let mut granules: Vec<&GranuleId> = scores.iter().map(|row| &row.granule).collect();
        granules.dedup();
        let place: BTreeMap<&GranuleId, usize> =
            granules.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let centres = centres(&scores, &place)?;
        let clusters = self.cluster_of()?;
        let cluster = |row: &Score| clusters.get(&(row.granule.clone(), row.tile)).copied();
        let small = |number: u32| u16::try_from(number).unwrap_or(NONE);
        let ends = |values: &[f64]| {
            [
                values.iter().copied().fold(f64::INFINITY, f64::min),
                values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            ]
        };
        let (lon_ends, lat_ends) = (ends(&centres.lon_deg), ends(&centres.lat_deg));
        let if_any =
            |any: bool, column: &dyn Fn(&Score) -> u16| any.then(|| packed(scores.iter().map(column)));
        let n_of = |id: &&GranuleId| scores.iter().filter(|row| row.granule == **id).count();
        Ok(json!({
            "n_of_granule": granules.iter().map(n_of).collect::<Vec<_>>(),
            "row": packed(scores.iter().map(|row| small(row.tile.row))),
            "col": packed(scores.iter().map(|row| small(row.tile.col))),
            "lon": packed(centres.lon_deg.iter().map(|&lon| between(lon, lon_ends))),
            "lat": packed(centres.lat_deg.iter().map(|&lat| between(lat, lat_ends))),
            "lon_ends": lon_ends, "lat_ends": lat_ends,
            "score": packed(scores.iter().map(|row| thousandths(row.score))),
            "sd": if_any(scores.iter().any(|row| row.sd.is_some()), &|row| thousandths(row.sd)),
            "outside": scores.iter().enumerate().filter(|(_, row)| row.outside == Some(true)).map(|(i, _)| i).collect::<Vec<_>>(),
            "cluster": if_any(!clusters.is_empty(), &|row| cluster(row).map_or(NONE, small)),
            "frames": self.frames(&granules, &centres.halves_deg)?,
        }))
    }

    fn cluster_of(&self) -> anyhow::Result<BTreeMap<(GranuleId, TileId), u32>> {
        let rows = self.clusters.as_deref().map(contract::read::<Cluster>).transpose()?.unwrap_or_default();
        Ok(rows.into_iter().map(|row| ((row.granule, row.tile), row.cluster)).collect())
    }

    fn frames(&self, granules: &[&GranuleId], halves: &[(f64, f64)]) -> anyhow::Result<Vec<Value>> {
        let mut scenes = Vec::new();
        for path in &self.scenes {
            scenes.extend(contract::read::<Scene>(path)?.into_iter().filter(|scene| scene.chosen));
        }
        let frame = |(granule, half): (&&GranuleId, &(f64, f64))| {
            let scene = scenes.iter().find(|scene| scene.granule == **granule);
            let date = scene.and_then(|scene| scene.sensed.as_deref()?.get(..10));
            json!({
                "name": granule.as_str(), "half_lon_deg": half.0, "half_lat_deg": half.1,
                "scene": scene.map(|scene| &scene.item), "date": date,
            })
        };
        Ok(granules.iter().zip(halves).map(frame).collect())
    }

    /// What is known of each cluster.
    pub(crate) fn clusters(&self, sheets: &Sheets) -> anyhow::Result<Value> {
        let mut known: BTreeMap<u32, Map<String, Value>> = BTreeMap::new();
        for row in self.clusters.as_deref().map(contract::read::<Cluster>).transpose()?.unwrap_or_default() {
            known.entry(row.cluster).or_default().insert("class".into(), json!(row.class));
        }
        for row in self.pog.as_deref().map(contract::read::<PogRow>).transpose()?.unwrap_or_default() {
            let about = known.entry(row.cluster).or_default();
            about.insert("rank".into(), json!(row.rank));
            about.insert("rank_low".into(), json!(row.rank_low));
            about.insert("rank_high".into(), json!(row.rank_high));
        }
        let mut votes: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for row in self.votes.as_deref().map(contract::read::<Vote>).transpose()?.unwrap_or_default() {
            votes.entry(row.cluster).or_default().extend(row.score);
        }
        for (cluster, scores) in votes {
            let about = known.entry(cluster).or_default();
            about.insert("n_votes".into(), json!(scores.len()));
            let mean = (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64);
            about.insert("mean_vote".into(), json!(mean));
        }
        for (cluster, sheet) in sheets {
            known.entry(*cluster).or_default().insert("sheet".into(), json!(sheet));
        }
        let by_number = known.into_iter().map(|(cluster, about)| (cluster.to_string(), Value::Object(about)));
        Ok(Value::Object(by_number.collect()))
    }
}

/// Where tiles lie.
struct Centres {
    lon_deg: Vec<f64>,
    lat_deg: Vec<f64>,
    /// Half the extent of the largest tile of each granule, east and north.
    halves_deg: Vec<(f64, f64)>,
}

/// The centres of tiles in degrees.
fn centres(scores: &[Score], place: &BTreeMap<&GranuleId, usize>) -> anyhow::Result<Centres> {
    let wgs84 = Crs::wgs84()?;
    let (mut lon, mut lat) = (vec![0.0; scores.len()], vec![0.0; scores.len()]);
    let mut halves = vec![(0.0_f64, 0.0_f64); place.len()];
    let mut by_crs: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, row) in scores.iter().enumerate() {
        by_crs.entry(&row.crs).or_default().push(i);
    }
    for (crs, rows) in by_crs {
        let middle = |a: f64, b: f64| (a + b) / 2.0;
        // The centre, the middle of the eastern edge, the middle of the northern edge.
        let points = |i: &usize| {
            let row = &scores[*i];
            let (x, y) = (middle(row.west_m, row.east_m), middle(row.south_m, row.north_m));
            [(x, y), (row.east_m, y), (x, row.north_m)]
        };
        let (mut x, mut y): (Vec<f64>, Vec<f64>) = rows.iter().flat_map(points).unzip();
        transform_points(&Crs::from_text(crs)?, &wgs84, &mut x, &mut y)?;
        for (k, &i) in rows.iter().enumerate() {
            (lon[i], lat[i]) = (x[3 * k], y[3 * k]);
            let half = &mut halves[place[&scores[i].granule]];
            *half = (half.0.max(x[3 * k + 1] - x[3 * k]), half.1.max(y[3 * k + 2] - y[3 * k]));
        }
    }
    Ok(Centres { lon_deg: lon, lat_deg: lat, halves_deg: halves })
}
