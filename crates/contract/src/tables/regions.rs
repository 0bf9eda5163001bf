use super::{bools, f64s, may_f64s, may_text, may_u32s, text, u32s};
use crate::{Column, Frame, Kind, Record, Result, Spec, Values};

/// A zone of the map, such as a county: its score, what it rests on, and its place among the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Region {
    /// Id of the zone, such as an administrative code.
    pub zone: String,
    /// Name as the zones file gives it.
    pub name: String,
    /// Name in English, if there is one.
    pub name_en: Option<String>,
    /// What the zone is a part of, such as a prefecture.
    pub part_of: Option<String>,
    /// Longitude of a point inside.
    pub lon_deg: f64,
    /// Latitude of a point inside.
    pub lat_deg: f64,
    /// Area in the map's plane.
    pub area_km2: f64,
    /// Share of the area that has a score.
    pub coverage_share: f64,
    /// Mean score over the area that has one.
    pub score: Option<f64>,
    /// Lower end of its bootstrap interval.
    pub low: Option<f64>,
    /// Upper end of its bootstrap interval.
    pub high: Option<f64>,
    /// Standard deviation of the score within the zone.
    pub spread: Option<f64>,
    /// Mean of the map's own standard deviation.
    pub model_sd: Option<f64>,
    /// Share of the scored area above the upper cut.
    pub above: Option<f64>,
    /// Share of the scored area below the lower cut.
    pub below: Option<f64>,
    /// Blocks of ground that the bootstrap draws.
    pub n_blocks: u32,
    /// Place among ranked zones, 1 is the highest score.
    pub rank: Option<u32>,
    /// Best place of its interval.
    pub rank_low: Option<u32>,
    /// Worst place of its interval.
    pub rank_high: Option<u32>,
    /// Group of zones that are not distinguishable from the group's first, 1 is the highest.
    pub group: Option<u32>,
    /// Other zones from which it is not distinguishable.
    pub n_alike: Option<u32>,
    /// Probability of being among the lowest fifth.
    pub bottom_fifth: Option<f64>,
    /// People in the zone, if a population raster was given.
    pub population: Option<f64>,
    /// Mean score over the people.
    pub population_score: Option<f64>,
    /// Mean radiance, if night lights were given.
    pub night_light: Option<f64>,
    /// Change since an earlier date, if one was given.
    pub change: Option<f64>,
    /// The minimum detectable change: a smaller one may be chance.
    pub change_detectable: Option<f64>,
    /// The number of the official table.
    pub official: Option<f64>,
    /// Whether the budget reaches it when the lowest scores are served first.
    pub targeted: bool,
    /// Why it has no rank.
    pub skipped: Option<String>,
}

impl Record for Region {
    const SPEC: Spec = Spec {
        name: "regions",
        version: 2,
        made_by: "region-report",
        about: "a zone of the map, such as a county, with its score and its place among the others",
        columns: &[
            Column::plain("zone", Kind::Text, "id of the zone"),
            Column::plain("name", Kind::Text, "name as the zones file gives it"),
            Column::plain("name_en", Kind::Text, "name in English").or_missing(),
            Column::plain("part_of", Kind::Text, "what the zone is a part of").or_missing(),
            Column::measured("lon_deg", "deg", "longitude of a point inside"),
            Column::measured("lat_deg", "deg", "latitude of a point inside"),
            Column::measured("area_km2", "km2", "area in the map's plane"),
            Column::measured("coverage_share", "share", "of the area that has a score"),
            Column::measured("score_share", "share", "mean score over the area that has one").or_missing(),
            Column::measured("low_share", "share", "lower end of the bootstrap interval").or_missing(),
            Column::measured("high_share", "share", "upper end of the bootstrap interval").or_missing(),
            Column::measured("spread_share", "share", "standard deviation within the zone").or_missing(),
            Column::measured("model_sd_share", "share", "mean of the map's standard deviation").or_missing(),
            Column::measured("above_share", "share", "of the scored area above the upper cut").or_missing(),
            Column::measured("below_share", "share", "of the scored area below the lower cut").or_missing(),
            Column::plain("n_blocks", Kind::U32, "blocks of ground that the bootstrap draws"),
            Column::plain("rank", Kind::U32, "place among ranked zones, 1 is the highest score").or_missing(),
            Column::plain("rank_low", Kind::U32, "best place of the interval").or_missing(),
            Column::plain("rank_high", Kind::U32, "worst place of the interval").or_missing(),
            Column::plain("group", Kind::U32, "zones not distinguishable from the group's first")
                .or_missing(),
            Column::plain("n_alike", Kind::U32, "other zones not distinguishable from it").or_missing(),
            Column::measured("bottom_fifth_share", "share", "probability of being in the lowest fifth")
                .or_missing(),
            Column::plain("population", Kind::F64, "people in the zone").or_missing(),
            Column::measured("population_score_share", "share", "mean score over the people").or_missing(),
            Column::measured("night_light_nw_cm2_sr", "nw_cm2_sr", "mean radiance").or_missing(),
            Column::measured("change_share", "share", "mean change of the score since an earlier date")
                .or_missing(),
            Column::measured("change_detectable_share", "share", "a smaller change may be chance")
                .or_missing(),
            Column::plain("official", Kind::F64, "the number of the official table").or_missing(),
            Column::plain("targeted", Kind::Bool, "whether the budget reaches it, lowest scores first"),
            Column::plain("skipped", Kind::Text, "why it has no rank").or_missing(),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.zone.clone()),
            text(rows, |r| r.name.clone()),
            may_text(rows, |r| &r.name_en),
            may_text(rows, |r| &r.part_of),
            f64s(rows, |r| r.lon_deg),
            f64s(rows, |r| r.lat_deg),
            f64s(rows, |r| r.area_km2),
            f64s(rows, |r| r.coverage_share),
            may_f64s(rows, |r| r.score),
            may_f64s(rows, |r| r.low),
            may_f64s(rows, |r| r.high),
            may_f64s(rows, |r| r.spread),
            may_f64s(rows, |r| r.model_sd),
            may_f64s(rows, |r| r.above),
            may_f64s(rows, |r| r.below),
            u32s(rows, |r| r.n_blocks),
            may_u32s(rows, |r| r.rank),
            may_u32s(rows, |r| r.rank_low),
            may_u32s(rows, |r| r.rank_high),
            may_u32s(rows, |r| r.group),
            may_u32s(rows, |r| r.n_alike),
            may_f64s(rows, |r| r.bottom_fifth),
            may_f64s(rows, |r| r.population),
            may_f64s(rows, |r| r.population_score),
            may_f64s(rows, |r| r.night_light),
            may_f64s(rows, |r| r.change),
            may_f64s(rows, |r| r.change_detectable),
            may_f64s(rows, |r| r.official),
            bools(rows, |r| r.targeted),
            may_text(rows, |r| &r.skipped),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (zone, name) = (f.text("zone")?, f.text("name")?);
        let (name_en, part_of) = (f.may_text("name_en")?, f.may_text("part_of")?);
        let (lon_deg, lat_deg, area_km2) = (f.f64s("lon_deg")?, f.f64s("lat_deg")?, f.f64s("area_km2")?);
        let (coverage, score) = (f.f64s("coverage_share")?, f.may_f64s("score_share")?);
        let (low, high) = (f.may_f64s("low_share")?, f.may_f64s("high_share")?);
        let (spread, model_sd) = (f.may_f64s("spread_share")?, f.may_f64s("model_sd_share")?);
        let (above, below) = (f.may_f64s("above_share")?, f.may_f64s("below_share")?);
        let (n_blocks, rank) = (f.u32s("n_blocks")?, f.may_u32s("rank")?);
        let (rank_low, rank_high) = (f.may_u32s("rank_low")?, f.may_u32s("rank_high")?);
        let (group, n_alike) = (f.may_u32s("group")?, f.may_u32s("n_alike")?);
        let (bottom, population) = (f.may_f64s("bottom_fifth_share")?, f.may_f64s("population")?);
        let population_score = f.may_f64s("population_score_share")?;
        let (light, change) = (f.may_f64s("night_light_nw_cm2_sr")?, f.may_f64s("change_share")?);
        let change_detectable = f.may_f64s("change_detectable_share")?;
        let (official, targeted) = (f.may_f64s("official")?, f.bools("targeted")?);
        let skipped = f.may_text("skipped")?;
        let row = |(i, zone): (usize, String)| Self {
            zone,
            name: name[i].clone(),
            name_en: name_en[i].clone(),
            part_of: part_of[i].clone(),
            lon_deg: lon_deg[i],
            lat_deg: lat_deg[i],
            area_km2: area_km2[i],
            coverage_share: coverage[i],
            score: score[i],
            low: low[i],
            high: high[i],
            spread: spread[i],
            model_sd: model_sd[i],
            above: above[i],
            below: below[i],
            n_blocks: n_blocks[i],
            rank: rank[i],
            rank_low: rank_low[i],
            rank_high: rank_high[i],
            group: group[i],
            n_alike: n_alike[i],
            bottom_fifth: bottom[i],
            population: population[i],
            population_score: population_score[i],
            night_light: light[i],
            change: change[i],
            change_detectable: change_detectable[i],
            official: official[i],
            targeted: targeted[i],
            skipped: skipped[i].clone(),
        };
        Ok(zone.into_iter().enumerate().map(row).collect())
    }
}
