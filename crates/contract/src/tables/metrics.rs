use super::{may_f64s, may_text, text, u64s};
use crate::{Column, Frame, Kind, Record, Result, Spec, Values};

/// One number of a report, with its interval, or the reason why it is not reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// What it is, such as `spearman` or `heldout_kendall`.
    pub name: String,
    /// What it is of, such as `pooled` or a granule.
    pub of: String,
    /// The number; missing if it must not be reported.
    pub value: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// The unit in words; `1` for a pure number.
    pub unit: String,
    /// On how many independent or counted things it rests.
    pub n: u64,
    /// Why it is missing, or what to know about it.
    pub note: Option<String>,
}

impl Record for Metric {
    const SPEC: Spec = Spec {
        name: "metrics",
        version: 1,
        made_by: "viirs-corr",
        about: "one number of a report; also made by stage1-cluster, stage3-train, vlm-label and region-report",
        columns: &[
            Column::plain("name", Kind::Text, "what it is"),
            Column::plain("of", Kind::Text, "what it is of"),
            Column::plain("value", Kind::F64, "the number").or_missing(),
            Column::plain("low", Kind::F64, "lower end of its interval").or_missing(),
            Column::plain("high", Kind::F64, "upper end of its interval").or_missing(),
            Column::plain("unit", Kind::Text, "the unit in words"),
            Column::plain("n", Kind::U64, "on how many things it rests"),
            Column::plain("note", Kind::Text, "why it is missing, or what to know").or_missing(),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.name.clone()),
            text(rows, |r| r.of.clone()),
            may_f64s(rows, |r| r.value),
            may_f64s(rows, |r| r.low),
            may_f64s(rows, |r| r.high),
            text(rows, |r| r.unit.clone()),
            u64s(rows, |r| r.n),
            may_text(rows, |r| &r.note),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (name, of, unit) = (f.text("name")?, f.text("of")?, f.text("unit")?);
        let (value, low, high) = (f.may_f64s("value")?, f.may_f64s("low")?, f.may_f64s("high")?);
        let (n, note) = (f.u64s("n")?, f.may_text("note")?);
        let row = |(i, name): (usize, String)| Self {
            name,
            of: of[i].clone(),
            value: value[i],
            low: low[i],
            high: high[i],
            unit: unit[i].clone(),
            n: n[i],
            note: note[i].clone(),
        };
        Ok(name.into_iter().enumerate().map(row).collect())
    }
}
