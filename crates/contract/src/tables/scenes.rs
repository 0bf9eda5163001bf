use super::{bools, may_f64s, may_text, text, u32s, u64s};
use crate::{Column, Frame, GranuleId, Kind, Record, Result, Spec, Values};

/// A candidate scene of a granule: the one that was fetched, or a runner-up.
#[derive(Clone, Debug, PartialEq)]
pub struct Scene {
    /// The granule.
    pub granule: GranuleId,
    /// The catalogue's id of the scene.
    pub item: String,
    /// Place in the choice, 0 is the one that was fetched.
    pub place: u32,
    /// Whether this one was fetched.
    pub chosen: bool,
    /// Time of sensing as the catalogue writes it (ISO 8601), if it is known.
    pub sensed: Option<String>,
    /// Processing baseline, such as `05.09`.
    pub baseline: Option<String>,
    /// Share of pixels under cloud.
    pub cloud_share: Option<f64>,
    /// Share of pixels with data.
    pub valid_share: Option<f64>,
    /// Number subtracted from the digital numbers of reflectance bands.
    pub offset: Option<f64>,
    /// Where the pixels came from, without query strings.
    pub source: String,
    /// SHA-256 of the written raster, for the chosen one.
    pub sha256: Option<String>,
    /// Bytes that were fetched.
    pub n_bytes: u64,
}

impl Record for Scene {
    const SPEC: Spec = Spec {
        name: "scenes",
        version: 1,
        made_by: "s2-fetch",
        about: "one candidate scene of a granule, the fetched one first",
        columns: &[
            Column::plain("granule", Kind::Text, "id of the granule"),
            Column::plain("item", Kind::Text, "id of the scene in the catalogue"),
            Column::plain("place", Kind::U32, "place in the choice, 0 was fetched"),
            Column::plain("chosen", Kind::Bool, "whether it was fetched"),
            Column::plain("sensed", Kind::Text, "time of sensing, ISO 8601").or_missing(),
            Column::plain("baseline", Kind::Text, "processing baseline").or_missing(),
            Column::measured("cloud_share", "share", "pixels under cloud").or_missing(),
            Column::measured("valid_share", "share", "pixels with data").or_missing(),
            Column::measured("offset_dn", "dn", "number subtracted from reflectance bands").or_missing(),
            Column::plain("source", Kind::Text, "where the pixels came from"),
            Column::plain("sha256", Kind::Text, "hash of the raster that was written").or_missing(),
            Column::plain("n_bytes", Kind::U64, "bytes fetched"),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.granule.clone()),
            text(rows, |r| r.item.clone()),
            u32s(rows, |r| r.place),
            bools(rows, |r| r.chosen),
            may_text(rows, |r| &r.sensed),
            may_text(rows, |r| &r.baseline),
            may_f64s(rows, |r| r.cloud_share),
            may_f64s(rows, |r| r.valid_share),
            may_f64s(rows, |r| r.offset),
            text(rows, |r| r.source.clone()),
            may_text(rows, |r| &r.sha256),
            u64s(rows, |r| r.n_bytes),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (granule, item) = (f.ids("granule")?, f.text("item")?);
        let (place, chosen) = (f.u32s("place")?, f.bools("chosen")?);
        let (sensed, baseline) = (f.may_text("sensed")?, f.may_text("baseline")?);
        let (cloud, valid) = (f.may_f64s("cloud_share")?, f.may_f64s("valid_share")?);
        let (offset, source) = (f.may_f64s("offset_dn")?, f.text("source")?);
        let (sha256, n_bytes) = (f.may_text("sha256")?, f.u64s("n_bytes")?);
        let row = |(i, granule): (usize, GranuleId)| Self {
            granule,
            item: item[i].clone(),
            place: place[i],
            chosen: chosen[i],
            sensed: sensed[i].clone(),
            baseline: baseline[i].clone(),
            cloud_share: cloud[i],
            valid_share: valid[i],
            offset: offset[i],
            source: source[i].clone(),
            sha256: sha256[i].clone(),
            n_bytes: n_bytes[i],
        };
        Ok(granule.into_iter().enumerate().map(row).collect())
    }
}
