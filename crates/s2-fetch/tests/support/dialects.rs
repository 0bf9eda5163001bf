//! One scene as each provider's catalogue describes it; files lie beside the item.

use serde_json::{Value, json};

/// A provider's item of the scene, and how its files hold it.
pub struct Dialect {
    pub name: &'static str,
    pub item: Value,
    /// Names that people ask for red, green and blue by, of this provider and of others.
    pub spellings: &'static [[&'static str; 3]],
    pub picture: &'static [&'static str],
    pub classes: &'static [&'static str],
    /// What its red, green and blue carry.
    pub offset_dn: u16,
}

const PRODUCT: &str = "S2B_MSIL2A_20230131T033959_N0511_R061_T48RVV_20230131T055344";

fn feature(id: &str, collection: &str, properties: Value, assets: Value) -> Value {
    json!({"type": "Feature", "stac_version": "1.0.0", "id": id, "collection": collection, "links": [], "properties": properties, "assets": assets})
}

/// All of them: sensed 2023-01-31, 1 % cloud, a quarter without data (where the provider says it).
pub fn dialects() -> Vec<Dialect> {
    vec![
        planetary(),
        earth_search(false),
        earth_search(true),
        collection_one(),
        earth_search_v0(),
        cdse(),
        sentinel_hub_files(),
        earth_engine(true),
        earth_engine(false),
    ]
}

fn planetary() -> Dialect {
    let band = |name: &str, common: &str| json!({"href": format!("./{name}.tif"), "gsd": 10.0, "eo:bands": [{"name": name, "common_name": common, "description": "Band"}]});
    let rgb = json!([{"name": "B04", "common_name": "red"}, {"name": "B03", "common_name": "green"}, {"name": "B02", "common_name": "blue"}]);
    let assets = json!({
        "B04": band("B04", "red"), "B03": band("B03", "green"), "B02": band("B02", "blue"), "B8A": {"href": "./gone.tif", "eo:bands": [{"name": "B8A", "common_name": "rededge"}]},
        "visual": {"href": "./TCI.tif", "eo:bands": rgb}, "SCL": {"href": "./SCL.tif", "gsd": 20.0},
        "rendered_preview": {"href": "./gone.png", "type": "image/png"},
    });
    let properties = json!({"datetime": "2023-01-31T03:39:59.024000Z", "platform": "Sentinel-2B", "s2:mgrs_tile": "48RVV", "eo:cloud_cover": 1.0,
        "s2:nodata_pixel_percentage": 25.0, "s2:processing_baseline": "05.11", "s2:datatake_id": "GS2B_20230131T033959_030829_N05.11",
        "s2:generation_time": "2023-01-31T05:53:44.000000Z"});
    Dialect {
        name: "planetary computer",
        item: feature(
            "S2B_MSIL2A_20230131T033959_R061_T48RVV_20230131T055344",
            "sentinel-2-l2a",
            properties,
            assets,
        ),
        spellings: &[["B04", "B03", "B02"], ["red", "green", "blue"], ["b04", "B3", "blue"]],
        picture: &["visual", "TCI"],
        classes: &["SCL", "scl", "SCL_20m"],
        offset_dn: 1000,
    }
}

fn earth_search(applied: bool) -> Dialect {
    let numbers = json!([{"nodata": 0, "data_type": "uint16", "spatial_resolution": 10, "scale": 0.0001, "offset": -0.1}]);
    let band = |name: &str, common: &str, end: &str| json!({"href": format!("./{name}.{end}"), "eo:bands": [{"name": common, "common_name": common}], "gsd": 10, "raster:bands": numbers});
    let rgb = json!([{"name": "red", "common_name": "red"}, {"name": "green", "common_name": "green"}, {"name": "blue", "common_name": "blue"}]);
    let assets = json!({
        "red": band("B04", "red", "tif"), "green": band("B03", "green", "tif"), "blue": band("B02", "blue", "tif"),
        "red-jp2": band("gone", "red", "jp2"), "green-jp2": band("gone", "green", "jp2"), "blue-jp2": band("gone", "blue", "jp2"),
        "visual": {"href": "./TCI.tif", "eo:bands": rgb}, "visual-jp2": {"href": "./gone.jp2", "eo:bands": rgb},
        "scl": {"href": "./SCL.tif", "raster:bands": [{"data_type": "uint8", "spatial_resolution": 20}]}, "scl-jp2": {"href": "./gone.jp2"},
        "thumbnail": {"href": "./gone.jpg", "type": "image/jpeg"},
    });
    let properties = json!({"datetime": "2023-01-31T03:40:00.000Z", "platform": "sentinel-2b", "mgrs:utm_zone": 48, "mgrs:latitude_band": "R",
        "mgrs:grid_square": "VV", "eo:cloud_cover": 1, "s2:nodata_pixel_percentage": 25, "s2:processing_baseline": "05.11",
        "s2:datatake_id": "GS2B_20230131T033959_030829_N05.11", "earthsearch:boa_offset_applied": applied});
    Dialect {
        name: if applied { "earth search v1, taken off" } else { "earth search v1" },
        item: feature("S2B_48RVV_20230131_0_L2A", "sentinel-2-l2a", properties, assets),
        spellings: &[["red", "green", "blue"], ["B04", "B03", "B02"], ["B04_10m", "B03_10m", "B02_10m"]],
        picture: &["visual", "TCI_10m"],
        classes: &["scl", "SCL"],
        offset_dn: if applied { 0 } else { 1000 },
    }
}

fn collection_one() -> Dialect {
    let numbers = json!([{"nodata": 0, "data_type": "uint16", "spatial_resolution": 10, "scale": 0.0001, "offset": -0.1}]);
    let band = |name: &str, common: &str| json!({"href": format!("./{name}.tif"), "eo:bands": [{"name": name, "common_name": common}], "gsd": 10, "raster:bands": numbers});
    let rgb = json!([{"name": "B04", "common_name": "red"}, {"name": "B03", "common_name": "green"}, {"name": "B02", "common_name": "blue"}]);
    let assets = json!({
        "red": band("B04", "red"), "green": band("B03", "green"), "blue": band("B02", "blue"),
        "visual": {"href": "./TCI.tif", "eo:bands": rgb, "raster:bands": [{"data_type": "uint8"}, {"data_type": "uint8"}, {"data_type": "uint8"}]},
        "preview": {"href": "./L2A_PVI.tif", "eo:bands": rgb}, "scl": {"href": "./SCL.tif"},
    });
    let properties = json!({"datetime": "2023-01-31T03:53:02.036000Z", "platform": "sentinel-2b", "grid:code": "MGRS-48RVV", "eo:cloud_cover": 1.0,
        "s2:nodata_pixel_percentage": 25, "s2:product_uri": format!("{PRODUCT}.SAFE"), "s2:datatake_id": "GS2B_20230131T033959_030829_N05.11"});
    Dialect {
        name: "earth search, collection 1",
        item: feature("S2B_T48RVV_20230131T034000_L2A", "sentinel-2-c1-l2a", properties, assets),
        spellings: &[["red", "green", "blue"], ["B04", "B03", "B02"]],
        picture: &["visual", "TCI"],
        classes: &["scl", "SCL"],
        offset_dn: 1000,
    }
}

fn earth_search_v0() -> Dialect {
    let band = |name: &str, common: &str| json!({"href": format!("./{name}.tif"), "eo:bands": [{"name": name, "common_name": common}], "gsd": 10});
    let rgb = json!([{"name": "B04", "common_name": "red"}, {"name": "B03", "common_name": "green"}, {"name": "B02", "common_name": "blue"}]);
    let assets = json!({
        "B04": band("B04", "red"), "B03": band("B03", "green"), "B02": band("B02", "blue"), "SCL": {"href": "./SCL.tif"},
        "overview": {"href": "./L2A_PVI.tif", "roles": ["overview"], "eo:bands": rgb}, "visual": {"href": "./TCI.tif", "roles": ["overview"], "eo:bands": rgb},
        "info": {"href": "./tileInfo.json"},
    });
    let properties = json!({"datetime": "2023-01-31T03:40:00Z", "platform": "sentinel-2b", "eo:cloud_cover": 1.0, "sentinel:data_coverage": 75.0,
        "sentinel:utm_zone": 48, "sentinel:latitude_band": "R", "sentinel:grid_square": "VV", "sentinel:sequence": "0",
        "sentinel:processing_baseline": "05.11", "sentinel:boa_offset_applied": true, "sentinel:product_id": PRODUCT});
    Dialect {
        name: "earth search v0",
        item: feature("S2B_48RVV_20230131_0_L2A", "sentinel-s2-l2a-cogs", properties, assets),
        spellings: &[["B04", "B03", "B02"], ["red", "green", "blue"]],
        picture: &["visual", "TCI"],
        classes: &["SCL", "scl"],
        offset_dn: 0,
    }
}

fn cdse() -> Dialect {
    let band = |name: &str, common: &str, metres: u32, file: &str| {
        json!({"href": format!("./{file}"), "bands": [{"name": name, "eo:common_name": common, "eo:center_wavelength": 0.6}], "gsd": metres,
            "raster:scale": 0.0001, "raster:offset": -0.1, "data_type": "uint16", "nodata": 0, "proj:code": "EPSG:32648"})
    };
    let rgb = json!([{"name": "B04", "eo:common_name": "red"}, {"name": "B03", "eo:common_name": "green"}, {"name": "B02", "eo:common_name": "blue"}]);
    let picture = |metres: u32, file: &str| json!({"href": format!("./{file}"), "bands": rgb, "gsd": metres, "data_type": "uint8"});
    let assets = json!({
        "B04_10m": band("B04", "red", 10, "B04.tif"), "B03_10m": band("B03", "green", 10, "B03.tif"), "B02_10m": band("B02", "blue", 10, "B02.tif"),
        "B04_20m": band("B04", "red", 20, "gone.tif"), "B03_20m": band("B03", "green", 20, "gone.tif"), "B02_20m": band("B02", "blue", 20, "gone.tif"),
        "TCI_10m": picture(10, "TCI.tif"), "TCI_20m": picture(20, "gone.tif"), "SCL_20m": {"href": "./SCL.tif", "gsd": 20}, "SCL_60m": {"href": "./gone.tif", "gsd": 60},
        "Product": {"href": "./gone.zip"}, "thumbnail": {"href": "./gone.jpg", "data_type": "uint8"},
    });
    let properties = json!({"datetime": "2023-01-31T03:39:59.024Z", "platform": "sentinel-2b", "grid:code": "MGRS-48RVV", "eo:cloud_cover": 1.0,
        "statistics": {"nodata": 25.0, "water": 0.1}, "processing:version": "05.11", "processing:level": "L2", "product:type": "S2MSI2A",
        "eopf:datatake_id": "GS2B_20230131T033959_030829_N05.11", "processing:datetime": "2023-01-31T05:53:44.000000Z"});
    let mut item = feature(PRODUCT, "sentinel-2-l2a", properties, assets);
    item["stac_version"] = json!("1.1.0");
    Dialect {
        name: "copernicus data space",
        item,
        spellings: &[["B04_10m", "B03_10m", "B02_10m"], ["B04", "B03", "B02"], ["red", "green", "blue"]],
        picture: &["TCI_10m", "visual", "TCI"],
        classes: &["SCL_20m", "SCL", "scl"],
        offset_dn: 1000,
    }
}

/// Files that Sentinel Hub or a person put into a catalogue of their own: only the product's name says anything.
fn sentinel_hub_files() -> Dialect {
    let assets = json!({"data_red": {"href": "./B04.tif"}, "data_green": {"href": "./B03.tif"}, "data_blue": {"href": "./B02.tif"},
        "true_color": {"href": "./TCI.tif"}, "classification": {"href": "./SCL.tif"}});
    let properties =
        json!({"datetime": "2023-01-31T03:39:59Z", "platform": "sentinel-2b", "eo:cloud_cover": 1.0});
    Dialect {
        name: "sentinel hub",
        item: feature(&format!("{PRODUCT}.SAFE"), "sentinel-2-l2a", properties, assets),
        spellings: &[
            ["B04", "B03", "B02"],
            ["red", "green", "blue"],
            ["data_red", "data_green", "data_blue"],
        ],
        picture: &["visual", "true_color"],
        classes: &["SCL", "classification"],
        offset_dn: 1000,
    }
}

fn earth_engine(harmonised: bool) -> Dialect {
    let assets = json!({"B4": {"href": "./B04.tif"}, "B3": {"href": "./B03.tif"}, "B2": {"href": "./B02.tif"}, "B8A": {"href": "./gone.tif"},
        "TCI_R": {"href": "./TCI_R.tif"}, "SCL": {"href": "./SCL.tif"}, "visual": {"href": "./TCI.tif"}, "QA60": {"href": "./gone.tif"}});
    let properties = json!({"datetime": "2023-01-31T03:39:59Z", "MGRS_TILE": "48RVV", "CLOUDY_PIXEL_PERCENTAGE": 1.0, "NODATA_PIXEL_PERCENTAGE": 25.0,
        "PROCESSING_BASELINE": "05.11", "DATATAKE_IDENTIFIER": "GS2B_20230131T033959_030829_N05.11"});
    let collection = if harmonised { "COPERNICUS/S2_SR_HARMONIZED" } else { "COPERNICUS/S2_SR" };
    Dialect {
        name: if harmonised { "earth engine, harmonised" } else { "earth engine" },
        item: feature("20230131T033959_20230131T034000_T48RVV", collection, properties, assets),
        spellings: &[["B4", "B3", "B2"], ["B04", "B03", "B02"], ["red", "green", "blue"]],
        picture: &["visual", "TCI"],
        classes: &["SCL"],
        offset_dn: if harmonised { 0 } else { 1000 },
    }
}
