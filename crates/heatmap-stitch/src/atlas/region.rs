//! The coordinate system and grid of a map of several granules.

use anyhow::Context as _;
use raster::{Bounds, Crs, Grid};

use crate::overlap::Granule;
use crate::place::image_of;
use crate::stitch::{MAX_PIXELS, grid_over};

/// The grid over all granules in a coordinate system.
pub fn grid(granules: &[Granule], pixel_m: f64, crs: &Crs) -> anyhow::Result<Grid> {
    grid_over(&around(granules, crs)?, pixel_m, crs).with_context(|| {
        format!("--pixel-m {pixel_m}: want a map of at most {MAX_PIXELS} pixels, choose a larger pixel")
    })
}

/// An equal-area system for granules of several zones: Lambert azimuthal, centred on the whole degree next to the middle of all granules.
pub fn equal_area(granules: &[Granule]) -> anyhow::Result<Crs> {
    let globe = around(granules, &Crs::wgs84()?)?;
    let (lon_deg, lat_deg) =
        (((globe.west + globe.east) / 2.0).round(), ((globe.south + globe.north) / 2.0).round());
    let text = format!(
        "PROJCS[\"Equal area around {lat_deg} N {lon_deg} E\",GEOGCS[\"WGS 84\",DATUM[\"WGS_1984\",SPHEROID[\"WGS 84\",6378137,298.257223563,\
         AUTHORITY[\"EPSG\",\"7030\"]],AUTHORITY[\"EPSG\",\"6326\"]],PRIMEM[\"Greenwich\",0],UNIT[\"degree\",0.0174532925199433],\
         AUTHORITY[\"EPSG\",\"4326\"]],PROJECTION[\"Lambert_Azimuthal_Equal_Area\"],PARAMETER[\"latitude_of_center\",{lat_deg}],\
         PARAMETER[\"longitude_of_center\",{lon_deg}],PARAMETER[\"false_easting\",0],PARAMETER[\"false_northing\",0],UNIT[\"metre\",1],\
         AXIS[\"Easting\",EAST],AXIS[\"Northing\",NORTH]]"
    );
    Ok(Crs::from_text(&text)?)
}

fn around(granules: &[Granule], crs: &Crs) -> anyhow::Result<Bounds> {
    let mut all = Bounds {
        west: f64::INFINITY,
        south: f64::INFINITY,
        east: f64::NEG_INFINITY,
        north: f64::NEG_INFINITY,
    };
    for granule in granules {
        let b = image_of(&granule.layer.bounds(), &granule.crs, crs)
            .with_context(|| format!("placing granule {} on the map", granule.name))?;
        all = Bounds {
            west: all.west.min(b.west),
            south: all.south.min(b.south),
            east: all.east.max(b.east),
            north: all.north.max(b.north),
        };
    }
    Ok(all)
}
