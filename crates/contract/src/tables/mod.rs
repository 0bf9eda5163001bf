//! The tables, one file each: the spec, the row, and the way between them.

pub mod answers;
pub mod clusters;
pub mod footprints;
pub mod labels;
pub mod metrics;
pub mod outlines;
pub mod pairs;
pub mod pog;
pub mod regions;
pub mod scenes;
pub mod scores;
pub mod targeting;
pub mod tiles;
pub mod votes;

use crate::Values;

pub(crate) fn text<R, T: ToString>(rows: &[R], get: impl Fn(&R) -> T) -> Values {
    Values::Text(rows.iter().map(|r| Some(get(r).to_string())).collect())
}

pub(crate) fn may_text<R>(rows: &[R], get: impl Fn(&R) -> &Option<String>) -> Values {
    Values::Text(rows.iter().map(|r| get(r).clone()).collect())
}

pub(crate) fn bools<R>(rows: &[R], get: impl Fn(&R) -> bool) -> Values {
    Values::Bool(rows.iter().map(|r| Some(get(r))).collect())
}

pub(crate) fn may_bools<R>(rows: &[R], get: impl Fn(&R) -> Option<bool>) -> Values {
    Values::Bool(rows.iter().map(get).collect())
}

pub(crate) fn u32s<R>(rows: &[R], get: impl Fn(&R) -> u32) -> Values {
    Values::U32(rows.iter().map(|r| Some(get(r))).collect())
}

pub(crate) fn may_u32s<R>(rows: &[R], get: impl Fn(&R) -> Option<u32>) -> Values {
    Values::U32(rows.iter().map(get).collect())
}

pub(crate) fn u64s<R>(rows: &[R], get: impl Fn(&R) -> u64) -> Values {
    Values::U64(rows.iter().map(|r| Some(get(r))).collect())
}

pub(crate) fn f64s<R>(rows: &[R], get: impl Fn(&R) -> f64) -> Values {
    Values::F64(rows.iter().map(|r| Some(get(r))).collect())
}

pub(crate) fn may_f64s<R>(rows: &[R], get: impl Fn(&R) -> Option<f64>) -> Values {
    Values::F64(rows.iter().map(get).collect())
}
