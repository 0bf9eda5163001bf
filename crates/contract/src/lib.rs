//! The words that stages share: ids, tables, raster kinds, provenance, and files that exist whole or not at all.
//!
//! A stage writes a table through its [`Record`] type and the next stage reads it through the same type, so a stage
//! cannot write what the next cannot read. This crate is the only place that spells a column name.
//! It leaves out everything about pixels on disk (crate `raster`) and about how a value is computed (the stages).

mod checked;
mod decode;
pub mod delimited_text;
mod error;
pub mod file;
mod frame;
mod id;
mod made;
pub mod outside_text;
mod pages;
mod rasters;
mod row_group;
mod seal;
mod spec;
mod table;
mod tables;

pub use decode::caught;
pub use error::Error;
pub use frame::{Frame, Values};
pub use id::{GranuleId, TileId};
pub use made::{Made, sha256_of};
pub use rasters::{
    BandSpec, CHANGE, COMPOSITE_INFO, HEATMAP, HEATMAP_COLOUR, RASTERS, RasterSpec, SCENE, SCL,
};
pub use row_group::RowGroup;
pub use spec::{Column, Kind, Spec};
pub use table::{Record, read, tags, write};
pub use tables::answers::AnswerRow;
pub use tables::clusters::Cluster;
pub use tables::footprints::{Footprint, FootprintWriter};
pub use tables::labels::Label;
pub use tables::metrics::Metric;
pub use tables::outlines::{RingDeg, write_outlines};
pub use tables::pairs::{Pair, Winner};
pub use tables::pog::{PogRow, RaterRow};
pub use tables::regions::Region;
pub use tables::scenes::Scene;
pub use tables::scores::Score;
pub use tables::targeting::Targeting;
pub use tables::tiles::{Tile, TileReader, TileWriter, TilesMeta, encode_row, pairs as tile_pairs};
pub use tables::votes::Vote;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// All tables, for tests and documentation.
pub const TABLES: &[Spec] = &[
    Scene::SPEC,
    tables::tiles::SPEC,
    tables::footprints::SPEC,
    Label::SPEC,
    Cluster::SPEC,
    Vote::SPEC,
    Pair::SPEC,
    AnswerRow::SPEC,
    PogRow::SPEC,
    RaterRow::SPEC,
    Score::SPEC,
    Metric::SPEC,
    Region::SPEC,
    tables::outlines::SPEC,
    Targeting::SPEC,
];
