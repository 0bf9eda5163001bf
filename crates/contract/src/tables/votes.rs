use super::{may_f64s, may_text, text, u32s};
use crate::{Column, Frame, GranuleId, Kind, Record, Result, Spec, TileId, Values};

/// One rater's score of one image of one cluster.
#[derive(Clone, Debug, PartialEq)]
pub struct Vote {
    /// The rater: judge, persona and repeat as one name.
    pub rater: String,
    /// Who answered.
    pub judge: String,
    /// In whose role.
    pub persona: String,
    /// Which repeat, from 0.
    pub repeat: u32,
    /// The cluster that the image stands for.
    pub cluster: u32,
    /// The granule of the image.
    pub granule: GranuleId,
    /// The image.
    pub tile: TileId,
    /// Development from 0 to 100; missing if no answer could be read.
    pub score: Option<f64>,
    /// Why the score is missing.
    pub missing: Option<String>,
    /// The answer as it came.
    pub raw: Option<String>,
    /// SHA-256 of the prompt.
    pub prompt_hash: String,
}

impl Record for Vote {
    const SPEC: Spec = Spec {
        name: "votes",
        version: 1,
        made_by: "vlm-label",
        about: "one rater's score of one image of one cluster",
        columns: &[
            Column::plain("rater", Kind::Text, "judge, persona and repeat as one name"),
            Column::plain("judge", Kind::Text, "who answered"),
            Column::plain("persona", Kind::Text, "in whose role"),
            Column::plain("repeat", Kind::U32, "which repeat, from 0"),
            Column::plain("cluster", Kind::U32, "cluster that the image stands for"),
            Column::plain("granule", Kind::Text, "granule of the image"),
            Column::plain("tile", Kind::Text, "id of the image"),
            Column::measured("score_points", "points", "development from 0 to 100").or_missing(),
            Column::plain("missing", Kind::Text, "why the score is missing").or_missing(),
            Column::plain("raw", Kind::Text, "the answer as it came").or_missing(),
            Column::plain("prompt_hash", Kind::Text, "SHA-256 of the prompt"),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.rater.clone()),
            text(rows, |r| r.judge.clone()),
            text(rows, |r| r.persona.clone()),
            u32s(rows, |r| r.repeat),
            u32s(rows, |r| r.cluster),
            text(rows, |r| r.granule.clone()),
            text(rows, |r| r.tile),
            may_f64s(rows, |r| r.score),
            may_text(rows, |r| &r.missing),
            may_text(rows, |r| &r.raw),
            text(rows, |r| r.prompt_hash.clone()),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (rater, judge, persona) = (f.text("rater")?, f.text("judge")?, f.text("persona")?);
        let (repeat, cluster) = (f.u32s("repeat")?, f.u32s("cluster")?);
        let (granule, tile) = (f.ids("granule")?, f.ids("tile")?);
        let (score, missing) = (f.may_f64s("score_points")?, f.may_text("missing")?);
        let (raw, prompt_hash) = (f.may_text("raw")?, f.text("prompt_hash")?);
        let row = |(i, granule): (usize, GranuleId)| Self {
            rater: rater[i].clone(),
            judge: judge[i].clone(),
            persona: persona[i].clone(),
            repeat: repeat[i],
            cluster: cluster[i],
            granule,
            tile: tile[i],
            score: score[i],
            missing: missing[i].clone(),
            raw: raw[i].clone(),
            prompt_hash: prompt_hash[i].clone(),
        };
        Ok(granule.into_iter().enumerate().map(row).collect())
    }
}
