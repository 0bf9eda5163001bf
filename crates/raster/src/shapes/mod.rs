//! Polygons of vector files, as rings whose signed areas add up.
//!
//! Read are GeoJSON (also packed, `.geojson.gz`, as a sequence, as TopoJSON), GeoPackage, FlatGeobuf, shapefiles, KML and MapInfo. Every feature is
//! counted: a shape knows its place in the file, and what has no area is listed with the reason. Curves become edges of a degree of arc; polygons are
//! found however they are nested; what is not valid is made valid; a ring in degrees that jumps over the antimeridian goes the short way. Text is
//! UTF-8, or UTF-16 or GBK where that is certain enough; a shapefile's is what its `.cpg` or header says.
//!
//! Left out: heights and measures; several geometries a feature but the first; files with a server or another file behind them.

mod columns;
mod curve;
mod encoding;
mod file;
mod outline;
mod seam;
mod texts;

use std::path::Path;

use gdal::vector::LayerAccess;
use rayon::prelude::*;

use crate::error::said;
use crate::{Crs, Result};
use columns::Row;
use file::refuse;
use outline::Area;

pub use seam::go_the_short_way;

/// A closed line of `(x, y)`; the first point is not repeated at the end.
pub type Ring = Vec<(f64, f64)>;

/// One feature of a vector file: its attributes as text and its area as rings.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// Place in the file, counted from 1 over all features.
    pub place: usize,
    /// Attributes by name, in the file's order; an absent value is `None`.
    pub fields: Vec<(String, Option<String>)>,
    /// Outer rings counter-clockwise, holes clockwise (`y` to the north), so that their signed areas add up to the shape's.
    pub rings: Vec<Ring>,
    /// It was not valid: it crossed itself, or its parts or holes overlapped or touched along an edge.
    pub mended: bool,
    /// It jumped over the antimeridian; its longitudes now go on beyond 180°.
    pub over_antimeridian: bool,
}

impl Shape {
    /// An attribute's text.
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name)?;
        found.1.as_deref()
    }
}

/// The shapes of a layer.
#[derive(Debug, Clone)]
pub struct Shapes {
    /// Features with an area, in the file's order.
    pub shapes: Vec<Shape>,
    /// Places of the features without one, counted from 1, and why.
    pub left_out: Vec<(usize, &'static str)>,
    /// Their coordinate system.
    pub crs: Crs,
    /// The encoding that texts were in, where it is neither UTF-8 nor named by the file.
    pub encoding: Option<&'static str>,
}

/// Reads the polygons of the only layer of a file that may hold some, and their coordinate system. Features without an area are left out.
///
/// # Errors
/// As [`read_layer`].
pub fn read_shapes(path: &Path) -> Result<(Vec<Shape>, Crs)> {
    read_layer(path, None, None).map(|found| (found.shapes, found.crs))
}

/// Reads the polygons of a layer: the one named, else the only one that may hold some. A coordinate system that is given counts, else the file's.
///
/// # Errors
/// [`crate::Error::Shapes`] for a file of another kind, too large, damaged, with several layers and none named, or without a polygon or a
/// coordinate system.
pub fn read_layer(path: &Path, layer: Option<&str>, crs: Option<&Crs>) -> Result<Shapes> {
    crate::set_up();
    let opened = file::open(path)?;
    let place = file::layer(path, &opened.dataset, layer)?;
    let mut layer = opened.dataset.layer(place).map_err(|e| refuse(path, said(e), file::CONVERT))?;
    let crs = match crs {
        Some(crs) => crs.clone(),
        None => crs_of(path, &layer)?,
    };
    let mut columns = columns::Columns::of(&layer);
    let n_said = layer.try_feature_count();
    let mut rows: Vec<Row> = layer.features().map(|feature| columns.row(&feature)).collect();
    if n_said.is_some_and(|n| (rows.len() as u64) < n) {
        let found = format!("{} features of {}, the rest unreadable", rows.len(), n_said.unwrap_or(0));
        return Err(refuse(path, found, "the file is damaged, fetch or make it again"));
    }
    let encoding =
        if opened.texts_are_bytes { texts::decode(path, &mut columns, &mut rows) } else { opened.encoding };
    let degrees = crs.is_geographic();
    let shape = |(i, row): (usize, Row)| -> Result<std::result::Result<Shape, &'static str>> {
        let place = i + 1;
        shape(place, row, &columns, degrees)
            .map_err(|found| refuse(path, format!("feature {place}: {found}"), MEND))
    };
    let read = rows.into_par_iter().enumerate().map(shape).collect::<Result<Vec<_>>>()?;
    let mut found = Shapes { shapes: Vec::with_capacity(read.len()), left_out: Vec::new(), crs, encoding };
    for (i, read) in read.into_iter().enumerate() {
        match read {
            Ok(shape) => found.shapes.push(shape),
            Err(reason) => found.left_out.push((i + 1, reason)),
        }
    }
    if found.shapes.is_empty() {
        let why = found.left_out.first().map_or(String::new(), |(place, reason)| {
            format!(" in {} features (feature {place}: {reason})", found.left_out.len())
        });
        return Err(refuse(path, format!("no polygon{why}"), file::CONVERT));
    }
    Ok(found)
}

/// What to do with a feature that cannot be used.
const MEND: &str = "mend it with ogr2ogr -makevalid, or leave it out";

/// The shape of a feature, or why it has no area.
fn shape(
    place: usize,
    row: Row,
    columns: &columns::Columns,
    degrees: bool,
) -> std::result::Result<std::result::Result<Shape, &'static str>, String> {
    let Some(mut outline) = row.outline else { return Ok(Err("no geometry")) };
    if !outline.is_finite() {
        return Err("a corner that is no number".to_owned());
    }
    let mut over_antimeridian = false;
    if degrees {
        outline.polygons.iter_mut().for_each(|rings| over_antimeridian |= seam::polygon(rings));
    }
    Ok(match outline.area()? {
        Area::No(reason) => Err(reason),
        Area::Is { rings, mended } => {
            let fields = columns.named(row.values);
            Ok(Shape { place, fields, rings, mended, over_antimeridian })
        }
    })
}

fn crs_of(path: &Path, layer: &gdal::vector::Layer<'_>) -> Result<Crs> {
    const NAME: &str = "name it, as ogr2ogr -a_srs EPSG:4326 does for degrees";
    let system = layer.spatial_ref().ok_or_else(|| refuse(path, "no coordinate system", NAME))?;
    let wkt = system.to_wkt().map_err(|e| refuse(path, said(e), NAME))?;
    Crs::from_text(&wkt).map_err(|_| refuse(path, "a coordinate system that is not understood", NAME))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
