use super::{may_f64s, may_text, text, u32s};
use crate::{Column, Frame, GranuleId, Kind, Record, Result, Spec, TileId, Values};

/// What a judge says of one class of one tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The granule.
    pub granule: GranuleId,
    /// The tile.
    pub tile: TileId,
    /// The class, as the prompt names it.
    pub class: String,
    /// Mean probability over the answers; missing if no answer could be read.
    pub probability: Option<f64>,
    /// Standard deviation over the answers; missing below two.
    pub sd: Option<f64>,
    /// Answers that were read.
    pub n_answers: u32,
    /// Answers that were missing.
    pub n_missing: u32,
    /// Who answered.
    pub judge: String,
    /// SHA-256 of the prompt.
    pub prompt_hash: String,
    /// Why answers are missing, if some are.
    pub missing: Option<String>,
}

impl Record for Label {
    const SPEC: Spec = Spec {
        name: "labels",
        version: 1,
        made_by: "vlm-label",
        about: "the probability of one class for one tile; the classes of a tile sum to one",
        columns: &[
            Column::plain("granule", Kind::Text, "id of the granule"),
            Column::plain("tile", Kind::Text, "id of the tile"),
            Column::plain("class", Kind::Text, "class as the prompt names it"),
            Column::measured("probability_share", "share", "mean probability over the answers").or_missing(),
            Column::measured("sd_share", "share", "standard deviation over the answers").or_missing(),
            Column::plain("n_answers", Kind::U32, "answers read"),
            Column::plain("n_missing", Kind::U32, "answers missing"),
            Column::plain("judge", Kind::Text, "who answered"),
            Column::plain("prompt_hash", Kind::Text, "SHA-256 of the prompt"),
            Column::plain("missing", Kind::Text, "why answers are missing").or_missing(),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.granule.clone()),
            text(rows, |r| r.tile),
            text(rows, |r| r.class.clone()),
            may_f64s(rows, |r| r.probability),
            may_f64s(rows, |r| r.sd),
            u32s(rows, |r| r.n_answers),
            u32s(rows, |r| r.n_missing),
            text(rows, |r| r.judge.clone()),
            text(rows, |r| r.prompt_hash.clone()),
            may_text(rows, |r| &r.missing),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (granule, tile) = (f.ids("granule")?, f.ids("tile")?);
        let (class, judge) = (f.text("class")?, f.text("judge")?);
        let (probability, sd) = (f.may_f64s("probability_share")?, f.may_f64s("sd_share")?);
        let (n_answers, n_missing) = (f.u32s("n_answers")?, f.u32s("n_missing")?);
        let (prompt_hash, missing) = (f.text("prompt_hash")?, f.may_text("missing")?);
        let row = |(i, granule): (usize, GranuleId)| Self {
            granule,
            tile: tile[i],
            class: class[i].clone(),
            probability: probability[i],
            sd: sd[i],
            n_answers: n_answers[i],
            n_missing: n_missing[i],
            judge: judge[i].clone(),
            prompt_hash: prompt_hash[i].clone(),
            missing: missing[i].clone(),
        };
        Ok(granule.into_iter().enumerate().map(row).collect())
    }
}
