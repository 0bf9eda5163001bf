use gdal::spatial_ref::{AxisMappingStrategy, CoordTransform, SpatialRef};

use crate::error::said;
use crate::{Bounds, Error, Grid, Result};

/// Points an edge when a rectangle is transformed: its edges become curves.
const DENSIFY_POINTS: i32 = 21;

/// A coordinate reference system, kept as WKT. Axes are always `x` = east or longitude, `y` = north or latitude.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crs(String);

impl Crs {
    /// The system of an EPSG code, as 32618 for UTM zone 18 N.
    ///
    /// # Errors
    /// [`Error::Crs`] where the code is unknown.
    pub fn from_epsg(code: u32) -> Result<Self> {
        Self::from_text(&format!("EPSG:{code}"))
    }

    /// The system written as `EPSG:<code>` or as WKT.
    ///
    /// # Errors
    /// [`Error::Crs`] where the text is neither.
    pub fn from_text(text: &str) -> Result<Self> {
        crate::set_up();
        let unknown = |found: String| Error::Crs { wanted: "a coordinate system".to_owned(), found };
        let excerpt: String = text.chars().take(80).collect();
        let text = text.trim();
        let code = text.get(..5).filter(|p| p.eq_ignore_ascii_case("epsg:"));
        let parsed = match code {
            Some(prefix) => {
                let code = text[prefix.len()..].parse().map_err(|_| unknown(format!("{excerpt:?}")))?;
                SpatialRef::from_epsg(code)
            }
            None => SpatialRef::from_wkt(text),
        };
        let wkt = parsed.and_then(|s| s.to_wkt()).map_err(|_| unknown(format!("{excerpt:?}")))?;
        if wkt.is_empty() {
            return Err(unknown(format!("{excerpt:?}")));
        }
        Ok(Self(wkt))
    }

    /// Longitude and latitude in degrees on WGS 84.
    ///
    /// # Errors
    /// [`Error::Crs`] where GDAL's own tables are missing.
    pub fn wgs84() -> Result<Self> {
        Self::from_epsg(4326)
    }

    /// The system as WKT.
    pub fn wkt(&self) -> &str {
        &self.0
    }

    /// The shortest text that [`Crs::from_text`] reads back: `EPSG:<code>` where there is a code, else WKT.
    pub fn to_text(&self) -> String {
        match self.epsg() {
            Some(code) => format!("EPSG:{code}"),
            None => self.0.clone(),
        }
    }

    /// The EPSG code that the system carries, if it does.
    pub fn epsg(&self) -> Option<u32> {
        let mut system = self.spatial_ref().ok()?;
        if system.auth_name().is_none() {
            system.auto_identify_epsg().ok()?;
        }
        if system.auth_name()? != "EPSG" {
            return None;
        }
        u32::try_from(system.auth_code().ok()?).ok()
    }

    /// Whether two systems place points alike, however they are written.
    pub fn same_as(&self, other: &Self) -> bool {
        if self == other {
            return true;
        }
        match (self.spatial_ref(), other.spatial_ref()) {
            (Ok(a), Ok(b)) => a == b,
            _ => false,
        }
    }

    /// Whether coordinates are degrees rather than metres.
    pub fn is_geographic(&self) -> bool {
        self.spatial_ref().is_ok_and(|s| s.is_geographic())
    }

    pub(crate) fn spatial_ref(&self) -> Result<SpatialRef> {
        crate::set_up();
        let mut system = SpatialRef::from_wkt(&self.0)
            .map_err(|e| Error::Crs { wanted: "a coordinate system in WKT".to_owned(), found: said(e) })?;
        system.set_axis_mapping_strategy(AxisMappingStrategy::TraditionalGisOrder);
        Ok(system)
    }
}

fn transform(from: &Crs, to: &Crs) -> Result<CoordTransform> {
    CoordTransform::new(&from.spatial_ref()?, &to.spatial_ref()?).map_err(|e| Error::Crs {
        wanted: format!("a way from {} to {}", from.to_text(), to.to_text()),
        found: said(e),
    })
}

/// A way from one system to another, for many sets of points: finding it takes longer than going it. One thread's.
pub struct Way {
    transform: CoordTransform,
    wanted: String,
}

impl Way {
    /// The way between two systems.
    ///
    /// # Errors
    /// [`Error::Crs`] where there is none.
    pub fn new(from: &Crs, to: &Crs) -> Result<Self> {
        let wanted = format!("points of {} that {} can show", from.to_text(), to.to_text());
        Ok(Self { transform: transform(from, to)?, wanted })
    }

    /// Moves points, in place; `x` is east or longitude, `y` is north or latitude.
    ///
    /// # Errors
    /// [`Error::Crs`] where a point has no image; the slices are then to be thrown away.
    ///
    /// # Panics
    /// If the slices differ in length.
    pub fn points(&self, x: &mut [f64], y: &mut [f64]) -> Result<()> {
        assert_eq!(x.len(), y.len(), "one x a y");
        if x.is_empty() {
            return Ok(());
        }
        let none = |found: String| Error::Crs { wanted: self.wanted.clone(), found };
        self.transform.transform_coords(x, y, &mut []).map_err(|e| none(said(e)))?;
        if x.iter().chain(y.iter()).all(|v| v.is_finite()) {
            return Ok(());
        }
        Err(none("a point with no image".to_owned()))
    }
}

/// Moves points from one system to another, in place; `x` is east or longitude, `y` is north or latitude.
///
/// # Errors
/// [`Error::Crs`] where a point has no image; the slices are then to be thrown away.
///
/// # Panics
/// If the slices differ in length.
pub fn transform_points(from: &Crs, to: &Crs, x: &mut [f64], y: &mut [f64]) -> Result<()> {
    Way::new(from, to)?.points(x, y)
}

/// The smallest rectangle in degrees (WGS 84) that holds a grid, its curved edges included.
///
/// # Errors
/// [`Error::Crs`] where the grid has no image on the globe.
pub fn bounds_deg(grid: &Grid) -> Result<Bounds> {
    let b = grid.bounds();
    let [west, south, east, north] = transform(&grid.crs, &Crs::wgs84()?)?
        .transform_bounds(&[b.west, b.south, b.east, b.north], DENSIFY_POINTS)
        .map_err(|e| Error::Crs {
            wanted: format!("a rectangle of {} on the globe", grid.crs.to_text()),
            found: said(e),
        })?;
    Ok(Bounds { west, south, east, north })
}
