use std::ops::RangeInclusive;

/// One band of a raster that passes between stages.
#[derive(Clone, Debug)]
pub struct BandSpec {
    /// The band's description in the file.
    pub name: &'static str,
    /// The unit, as in column names.
    pub unit: &'static str,
    /// The values it may take.
    pub range: RangeInclusive<f64>,
}

/// A raster that passes between stages, always a Cloud Optimized GeoTIFF.
#[derive(Clone, Debug)]
pub struct RasterSpec {
    /// The raster's name.
    pub name: &'static str,
    /// Raised when the meaning changes.
    pub version: u32,
    /// The stage that makes it.
    pub made_by: &'static str,
    /// GDAL's name of the data type, or more than one if it follows the source.
    pub dtypes: &'static [&'static str],
    /// The value that means "no data", if the raster has one.
    pub nodata: Option<f64>,
    /// The bands; empty where they are a setting.
    pub bands: &'static [BandSpec],
}

impl RasterSpec {
    /// The tag in the file, such as `heatmap/2`, under the key [`RasterSpec::TAG`].
    pub fn tag(&self) -> String {
        format!("{}/{}", self.name, self.version)
    }

    /// The key of the contract tag in a raster's metadata.
    pub const TAG: &'static str = "CONTRACT";
}

/// A fetched scene: bands as the provider's assets, in the order asked for.
pub const SCENE: RasterSpec = RasterSpec {
    name: "scene",
    version: 1,
    made_by: "s2-fetch",
    dtypes: &["Byte", "UInt16"],
    nodata: Some(0.0),
    bands: &[],
};

/// The scene classification of a fetched scene, as level 2A carries it, on its own grid (20 m).
pub const SCL: RasterSpec = RasterSpec {
    name: "scl",
    version: 1,
    made_by: "s2-fetch",
    dtypes: &["Byte"],
    nodata: Some(0.0),
    bands: &[BandSpec { name: "scl", unit: "code", range: 0.0..=11.0 }],
};

/// Where the pixels of a composite come from. `scene` is 1 + place in the table of scenes; 0 where there is no data, or where several scenes are
/// combined. A pixel with no clear scene that has data is taken from the best scene with data: `clear_scenes` is 0 and `scene` is not.
pub const COMPOSITE_INFO: RasterSpec = RasterSpec {
    name: "composite-info",
    version: 1,
    made_by: "s2-fetch",
    dtypes: &["Byte"],
    nodata: None,
    bands: &[
        BandSpec { name: "clear_scenes", unit: "count", range: 0.0..=32.0 },
        BandSpec { name: "scene", unit: "code", range: 0.0..=32.0 },
    ],
};

/// The heat map of a region. `scenes` counts the granules that a pixel combines; `outside_share` is the weight of tiles unlike all that the score was
/// learnt from.
pub const HEATMAP: RasterSpec = RasterSpec {
    name: "heatmap",
    version: 2,
    made_by: "heatmap-stitch",
    dtypes: &["Float32"],
    nodata: Some(-9999.0),
    bands: &[
        BandSpec { name: "score_share", unit: "share", range: 0.0..=1.0 },
        BandSpec { name: "sd_share", unit: "share", range: 0.0..=1.0 },
        BandSpec { name: "scenes", unit: "count", range: 0.0..=1024.0 },
        BandSpec { name: "outside_share", unit: "share", range: 0.0..=1.0 },
    ],
};

/// The heat map as a picture for GIS programs: the score in steps of 1/200 with a colour table.
pub const HEATMAP_COLOUR: RasterSpec = RasterSpec {
    name: "heatmap-colour",
    version: 1,
    made_by: "heatmap-stitch",
    dtypes: &["Byte"],
    nodata: Some(255.0),
    bands: &[BandSpec { name: "score_step", unit: "step", range: 0.0..=200.0 }],
};

/// What two heat maps of one ground differ by. `detectable` is 1 or -1 where the score rose or fell by more than chance, else 0.
pub const CHANGE: RasterSpec = RasterSpec {
    name: "change",
    version: 1,
    made_by: "heatmap-stitch",
    dtypes: &["Float32"],
    nodata: Some(-9999.0),
    bands: &[
        BandSpec { name: "change_share", unit: "share", range: -2.0..=2.0 },
        BandSpec { name: "detectable", unit: "code", range: -1.0..=1.0 },
    ],
};

/// All rasters, for tests and documentation.
pub const RASTERS: &[&RasterSpec] = &[&SCENE, &SCL, &COMPOSITE_INFO, &HEATMAP, &HEATMAP_COLOUR, &CHANGE];
