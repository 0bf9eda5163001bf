use super::{f64s, may_bools, may_f64s, may_text, text, u32s};
use crate::{Column, Frame, GranuleId, Kind, Record, Result, Spec, TileId, Values};

/// The development score of a tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The granule.
    pub granule: GranuleId,
    /// The tile.
    pub tile: TileId,
    /// Coordinate system of the bounds, as `EPSG:n` or WKT.
    pub crs: String,
    /// Western edge.
    pub west_m: f64,
    /// Southern edge.
    pub south_m: f64,
    /// Eastern edge.
    pub east_m: f64,
    /// Northern edge.
    pub north_m: f64,
    /// Mean score of the ensemble from 0 to 1; missing for a tile without pixels.
    pub score: Option<f64>,
    /// Standard deviation over the ensemble.
    pub sd: Option<f64>,
    /// Lower end of the score's conformal interval; missing if the model has none.
    pub low: Option<f64>,
    /// Upper end of it.
    pub high: Option<f64>,
    /// Distance to the training tiles in feature space over the limit that nearly all held-out ones keep.
    pub distance_ratio: Option<f64>,
    /// Whether the tile lies beyond that limit: its score has no support.
    pub outside: Option<bool>,
    /// Members of the ensemble.
    pub n_members: u32,
    /// Why there is no score.
    pub skipped: Option<String>,
}

impl Record for Score {
    const SPEC: Spec = Spec {
        name: "scores",
        version: 2,
        made_by: "stage3-train",
        about: "the development score of a tile",
        columns: &[
            Column::plain("granule", Kind::Text, "id of the granule"),
            Column::plain("tile", Kind::Text, "id of the tile"),
            Column::plain("crs", Kind::Text, "coordinate system of the bounds"),
            Column::measured("west_m", "m", "western edge"),
            Column::measured("south_m", "m", "southern edge"),
            Column::measured("east_m", "m", "eastern edge"),
            Column::measured("north_m", "m", "northern edge"),
            Column::measured("score_share", "share", "mean score of the ensemble, 1 is most developed")
                .or_missing(),
            Column::measured("sd_share", "share", "standard deviation over the ensemble").or_missing(),
            Column::measured("low_share", "share", "lower end of the conformal interval").or_missing(),
            Column::measured("high_share", "share", "upper end of the conformal interval").or_missing(),
            Column::plain("distance_ratio", Kind::F64, "distance to the training tiles over the limit")
                .or_missing(),
            Column::plain("outside", Kind::Bool, "beyond the limit: unlike all training tiles").or_missing(),
            Column::plain("n_members", Kind::U32, "members of the ensemble"),
            Column::plain("skipped", Kind::Text, "why there is no score").or_missing(),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.granule.clone()),
            text(rows, |r| r.tile),
            text(rows, |r| r.crs.clone()),
            f64s(rows, |r| r.west_m),
            f64s(rows, |r| r.south_m),
            f64s(rows, |r| r.east_m),
            f64s(rows, |r| r.north_m),
            may_f64s(rows, |r| r.score),
            may_f64s(rows, |r| r.sd),
            may_f64s(rows, |r| r.low),
            may_f64s(rows, |r| r.high),
            may_f64s(rows, |r| r.distance_ratio),
            may_bools(rows, |r| r.outside),
            u32s(rows, |r| r.n_members),
            may_text(rows, |r| &r.skipped),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (granule, tile, crs) = (f.ids("granule")?, f.ids("tile")?, f.text("crs")?);
        let (west_m, south_m) = (f.f64s("west_m")?, f.f64s("south_m")?);
        let (east_m, north_m) = (f.f64s("east_m")?, f.f64s("north_m")?);
        let (score, sd) = (f.may_f64s("score_share")?, f.may_f64s("sd_share")?);
        let (low, high) = (f.may_f64s("low_share")?, f.may_f64s("high_share")?);
        let (distance_ratio, outside) = (f.may_f64s("distance_ratio")?, f.may_bools("outside")?);
        let (n_members, skipped) = (f.u32s("n_members")?, f.may_text("skipped")?);
        let row = |(i, granule): (usize, GranuleId)| Self {
            granule,
            tile: tile[i],
            crs: crs[i].clone(),
            west_m: west_m[i],
            south_m: south_m[i],
            east_m: east_m[i],
            north_m: north_m[i],
            score: score[i],
            sd: sd[i],
            low: low[i],
            high: high[i],
            distance_ratio: distance_ratio[i],
            outside: outside[i],
            n_members: n_members[i],
            skipped: skipped[i].clone(),
        };
        Ok(granule.into_iter().enumerate().map(row).collect())
    }
}
