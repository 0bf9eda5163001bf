use super::{f64s, text, u32s};
use crate::{Column, Frame, Kind, Record, Result, Spec, Values};

/// What a rule of choosing zones gets wrong at one budget.
#[derive(Clone, Debug, PartialEq)]
pub struct Targeting {
    /// The rule: `score`, `night_light` or `random`.
    pub rule: String,
    /// What counts as the truth: `official` or `night_light`.
    pub truth: String,
    /// Zones that the budget reaches.
    pub n_chosen: u32,
    /// Zones that could be chosen.
    pub n_zones: u32,
    /// Share of the truly lowest that are not chosen (of people, if they are known).
    pub exclusion: f64,
    /// Share of the chosen that are not among the truly lowest.
    pub inclusion: f64,
}

impl Record for Targeting {
    const SPEC: Spec = Spec {
        name: "targeting",
        version: 1,
        made_by: "region-report",
        about: "what a rule of choosing the lowest zones gets wrong at one budget",
        columns: &[
            Column::plain("rule", Kind::Text, "how zones are chosen: score, night_light, random"),
            Column::plain("truth", Kind::Text, "what counts as the truth: official, night_light"),
            Column::plain("n_chosen", Kind::U32, "zones that the budget reaches"),
            Column::plain("n_zones", Kind::U32, "zones that could be chosen"),
            Column::measured("exclusion_share", "share", "of the truly lowest that are not chosen"),
            Column::measured("inclusion_share", "share", "of the chosen that are not among the truly lowest"),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.rule.clone()),
            text(rows, |r| r.truth.clone()),
            u32s(rows, |r| r.n_chosen),
            u32s(rows, |r| r.n_zones),
            f64s(rows, |r| r.exclusion),
            f64s(rows, |r| r.inclusion),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (rule, truth) = (f.text("rule")?, f.text("truth")?);
        let (n_chosen, n_zones) = (f.u32s("n_chosen")?, f.u32s("n_zones")?);
        let (exclusion, inclusion) = (f.f64s("exclusion_share")?, f.f64s("inclusion_share")?);
        let row = |(i, rule): (usize, String)| Self {
            rule,
            truth: truth[i].clone(),
            n_chosen: n_chosen[i],
            n_zones: n_zones[i],
            exclusion: exclusion[i],
            inclusion: inclusion[i],
        };
        Ok(rule.into_iter().enumerate().map(row).collect())
    }
}
