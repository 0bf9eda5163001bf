use super::{f64s, text, u32s};
use crate::{Column, Frame, GranuleId, Kind, Record, Result, Spec, TileId, Values};

/// The class and the cluster of a tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Cluster {
    /// The granule.
    pub granule: GranuleId,
    /// The tile.
    pub tile: TileId,
    /// The tile's class.
    pub class: String,
    /// The cluster, numbered over all classes from 0.
    pub cluster: u32,
    /// Euclidean distance to the cluster's centre in the whitened, unit-length feature space.
    pub distance: f64,
}

impl Record for Cluster {
    const SPEC: Spec = Spec {
        name: "clusters",
        version: 1,
        made_by: "stage1-cluster",
        about: "the class and the cluster of a tile",
        columns: &[
            Column::plain("granule", Kind::Text, "id of the granule"),
            Column::plain("tile", Kind::Text, "id of the tile"),
            Column::plain("class", Kind::Text, "the tile's class"),
            Column::plain("cluster", Kind::U32, "cluster, numbered over all classes from 0"),
            Column::plain("distance", Kind::F64, "distance to the cluster's centre in feature space"),
        ],
    };

    fn to_columns(rows: &[Self]) -> Vec<Values> {
        vec![
            text(rows, |r| r.granule.clone()),
            text(rows, |r| r.tile),
            text(rows, |r| r.class.clone()),
            u32s(rows, |r| r.cluster),
            f64s(rows, |r| r.distance),
        ]
    }

    fn from_frame(f: &Frame) -> Result<Vec<Self>> {
        let (granule, tile) = (f.ids("granule")?, f.ids("tile")?);
        let (class, cluster, distance) = (f.text("class")?, f.u32s("cluster")?, f.f64s("distance")?);
        let row = |(i, granule): (usize, GranuleId)| Self {
            granule,
            tile: tile[i],
            class: class[i].clone(),
            cluster: cluster[i],
            distance: distance[i],
        };
        Ok(granule.into_iter().enumerate().map(row).collect())
    }
}
