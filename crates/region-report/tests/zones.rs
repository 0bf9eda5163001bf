//! Zones files as other people have them.
#![allow(clippy::unwrap_used)]

mod folder;

use std::path::Path;
use std::process::Command;

use folder::{Folder, Line, refused, square, stderr};
use raster::{Affine, Crs, Grid};
use serde_json::{Value, json};

#[test]
fn a_zone_without_an_id_is_its_place_in_the_file_and_what_has_no_area_is_counted() {
    let folder = Folder::new();
    folder.degrees("map.tif", 10.0, 20.0, 1.0, (10, 10));
    let nothing = json!({});
    let zones = [
        (nothing.clone(), Value::Null),
        (nothing.clone(), square(10.0, 12.0, 1.0)),
        (nothing.clone(), json!({"type": "Point", "coordinates": [11, 11]})),
        (nothing.clone(), json!({"type": "GeometryCollection", "geometries": [square(13.0, 12.0, 2.0)]})),
    ];
    folder.features("zones.geojson", &zones);
    let output = folder.zonal("map.tif", "zones.geojson", &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(folder.lines(), [("2".to_owned(), 1.0, Some(1.0)), ("4".to_owned(), 4.0, Some(4.5))]);
    let ledger: Value = serde_json::from_slice(&std::fs::read(folder.path("ledger.json")).unwrap()).unwrap();
    assert_eq!((ledger["n_in"].as_u64(), ledger["n_ok"].as_u64()), (Some(4), Some(2)));
    assert_eq!(ledger["skipped"], json!({"no geometry": 1, "lines or points, no area": 1}));
    let said = stderr(&output);
    assert!(said.contains("1 of 4 features are left out: no geometry (feature 1)"), "{said}");
}

#[test]
fn layers_are_named_by_a_flag_or_listed() {
    let folder = Folder::new();
    folder.degrees("map.tif", 10.0, 20.0, 1.0, (10, 10));
    folder.features("country.geojson", &[(json!({"id": "all"}), square(10.0, 10.0, 8.0))]);
    folder.features(
        "counties.geojson",
        &[(json!({"id": "a"}), square(10.0, 10.0, 2.0)), (json!({"id": "b"}), square(12.0, 10.0, 2.0))],
    );
    let update: [(&str, &[&str]); 2] = [("country", &[]), ("counties", &["-update"])];
    for (layer, flags) in update {
        let made = Command::new("ogr2ogr")
            .args(["-f", "GPKG"])
            .args(flags)
            .arg(folder.path("both.gpkg"))
            .arg(folder.path(&format!("{layer}.geojson")))
            .args(["-nln", layer])
            .status()
            .unwrap();
        assert!(made.success(), "want ogr2ogr of gdal-bin");
    }
    refused(
        &folder.zonal("map.tif", "both.gpkg", &[]),
        &["both.gpkg", "2 layers: country, counties", "--zones-layer"],
    );
    refused(
        &folder.zonal("map.tif", "both.gpkg", &["--zones-layer", "towns"]),
        &["no layer towns", "country, counties"],
    );
    let output = folder.zonal("map.tif", "both.gpkg", &["--zones-layer", "counties", "--zone-id", "id"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(folder.lines(), [("a".to_owned(), 4.0, Some(1.5)), ("b".to_owned(), 4.0, Some(3.5))]);
}

#[test]
fn slips_with_coordinates_and_names_are_one_line_with_file_zone_and_cure() {
    let folder = Folder::new();
    folder.degrees("map.tif", 100.0, 40.0, 1.0, (20, 20));
    let utm = Affine { west: 400_000.0, north: 3_500_000.0, pixel_width: 1000.0, pixel_height: 1000.0 };
    folder.raster(
        "utm.tif",
        Grid { height: 50, width: 50, transform: utm, crs: Crs::from_epsg(32_648).unwrap() },
    );
    let id = |text: &str| json!({"id": text, "name": "x"});
    folder.features("swapped.geojson", &[(id("a"), square(30.0, 104.0, 1.0))]);
    folder.features("swapped_low.geojson", &[(id("a"), square(30.0, 80.0, 1.0))]);
    folder.features("metres.geojson", &[(id("a"), square(410_000.0, 3_480_000.0, 9000.0))]);
    folder
        .features("far.geojson", &[(id("a"), square(105.0, 30.0, 1.0)), (id("b"), square(-1e9, -1e9, 2e9))]);
    folder.features(
        "twice.geojson",
        &[(id("a"), square(105.0, 30.0, 1.0)), (id("c"), Value::Null), (id("a"), square(107.0, 30.0, 1.0))],
    );
    folder.features("broken.geojson", &[(id("\u{fffd}\u{fffd}"), square(105.0, 30.0, 1.0))]);
    folder.features(
        "none.geojson",
        &[(json!({"id": "a"}), square(105.0, 30.0, 1.0)), (json!({"id": null}), square(107.0, 30.0, 1.0))],
    );
    for raster in ["map.tif", "utm.tif"] {
        let zonal = |zones: &str| folder.zonal(raster, zones, &["--zone-id", "id"]);
        refused(&zonal("swapped.geojson"), &["swapped.geojson", "zone a", "latitude seems to stand first"]);
        refused(
            &zonal("swapped_low.geojson"),
            &["swapped_low.geojson", "found none of 1 there", "--zones-crs"],
        );
        refused(&zonal("metres.geojson"), &["metres.geojson", "zone a", "--zones-crs EPSG:<code>"]);
        refused(&zonal("far.geojson"), &["far.geojson", "zone b", "longitude and latitude in degrees"]);
        refused(&zonal("twice.geojson"), &["twice.geojson", "a twice, at features 1 and 3", "--zone-id"]);
        refused(
            &zonal("broken.geojson"),
            &["broken.geojson", "want text in UTF-8 in attribute id of zone 1", "iconv"],
        );
        refused(&zonal("none.geojson"), &["none.geojson", "attribute id of zone 2, found no value"]);
    }
    let output = folder.zonal("utm.tif", "metres.geojson", &["--zones-crs", "EPSG:32648"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(folder.lines(), [("1".to_owned(), 81.0, Some(15.0))]);
    let output = folder.zonal("utm.tif", "metres.geojson", &["--zones-crs", "EPSG"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
}

/// Fiji as files have it: a ring that jumps, one cut at 180°, longitudes that go on, and all of them less a turn.
fn over_the_antimeridian() -> [Value; 4] {
    let ring = |places: [[f64; 2]; 4]| {
        let mut ring: Vec<[f64; 2]> = places.to_vec();
        ring.push(places[0]);
        json!(ring)
    };
    let east_half = ring([[178.0, -18.0], [180.0, -18.0], [180.0, -16.0], [178.0, -16.0]]);
    let west_half = ring([[-180.0, -18.0], [-178.5, -18.0], [-178.5, -16.0], [-180.0, -16.0]]);
    [
        json!({"type": "Polygon", "coordinates": [ring([[178.0, -18.0], [-178.5, -18.0], [-178.5, -16.0], [178.0, -16.0]])]}),
        json!({"type": "MultiPolygon", "coordinates": [[east_half], [west_half]]}),
        json!({"type": "Polygon", "coordinates": [ring([[178.0, -18.0], [181.5, -18.0], [181.5, -16.0], [178.0, -16.0]])]}),
        json!({"type": "Polygon", "coordinates": [ring([[-182.0, -18.0], [-178.5, -18.0], [-178.5, -16.0], [-182.0, -16.0]])]}),
    ]
}

#[test]
fn zones_over_the_antimeridian_cover_the_same_ground_however_the_file_says_it() {
    let folder = Folder::new();
    folder.degrees("globe.tif", -180.0, 0.0, 0.5, (60, 720));
    folder.degrees("from_zero.tif", 0.0, 0.0, 0.5, (60, 720));
    folder.degrees("east_of_180.tif", 175.0, 0.0, 0.5, (60, 30));
    let fiji: Vec<_> = over_the_antimeridian().into_iter().map(|geometry| (json!({}), geometry)).collect();
    folder.features("fiji.geojson", &fiji);
    // Columns of half a degree: 717 to 720 and 1 to 3 of the globe, 357 to 363 from zero, 7 to 13 from 175°.
    let globe = 4.0 * ((717 + 718 + 719 + 720) + (1 + 2 + 3)) as f64 / 28.0;
    for (raster, mean) in [("globe.tif", globe), ("from_zero.tif", 360.0), ("east_of_180.tif", 10.0)] {
        let output = folder.zonal(raster, "fiji.geojson", &[]);
        assert!(output.status.success(), "{raster}: {}", stderr(&output));
        assert!(
            stderr(&output).contains("1 of 4 features jump over the antimeridian"),
            "{}",
            stderr(&output)
        );
        for (zone, n_px, found) in folder.lines() {
            assert!(
                (n_px - 28.0).abs() < 1e-9 && (found.unwrap() - mean).abs() < 1e-9,
                "{raster}, {zone}: {n_px} {found:?}"
            );
        }
    }
    // UTM 60 S shows both sides, the plane of web maps one.
    let utm = Affine { west: 500_000.0, north: 8_400_000.0, pixel_width: 10_000.0, pixel_height: 10_000.0 };
    folder.raster(
        "utm.tif",
        Grid { height: 60, width: 80, transform: utm, crs: Crs::from_epsg(32_760).unwrap() },
    );
    let plane = Affine { west: 19_037_508.0, north: 0.0, pixel_width: 10_000.0, pixel_height: 10_000.0 };
    folder.raster(
        "plane.tif",
        Grid { height: 300, width: 100, transform: plane, crs: Crs::from_epsg(3857).unwrap() },
    );
    for (raster, wanted) in [("utm.tif", 371.0 * 221.0 / 100.0), ("plane.tif", 222.6 * 232.9 / 100.0)] {
        let output = folder.zonal(raster, "fiji.geojson", &[]);
        assert!(output.status.success(), "{raster}: {}", stderr(&output));
        let lines = folder.lines();
        for (zone, n_px, mean) in &lines {
            assert!((n_px / wanted - 1.0).abs() < 0.02, "{raster}, {zone}: {n_px}, want about {wanted}");
            assert!(
                (n_px - lines[0].1).abs() < 1e-3 && (mean.unwrap() - lines[0].2.unwrap()).abs() < 1e-3,
                "{raster}, {zone}"
            );
        }
    }
}

#[test]
fn zones_on_the_far_side_of_the_globe_do_not_stop_a_map_in_metres() {
    let folder = Folder::new();
    let utm = Affine { west: 400_000.0, north: 3_500_000.0, pixel_width: 1000.0, pixel_height: 1000.0 };
    folder.raster(
        "utm.tif",
        Grid { height: 50, width: 50, transform: utm, crs: Crs::from_epsg(32_648).unwrap() },
    );
    let world = json!({"type": "Polygon", "coordinates": [[[-180, -90], [180, -90], [180, 90], [-180, 90], [-180, -90]]]});
    let overseas = json!({"type": "MultiPolygon", "coordinates": [square(104.2, 31.3, 0.1)["coordinates"], square(-75.0, -30.0, 1.0)["coordinates"]]});
    let zones = [
        (json!({"id": "here"}), square(104.2, 31.3, 0.1)),
        (json!({"id": "antipodes"}), square(-75.0, -32.0, 1.0)),
        (json!({"id": "pole"}), square(-75.0, 89.0, 1.0)),
        (json!({"id": "world"}), world),
        (json!({"id": "overseas"}), overseas),
    ];
    folder.features("zones.geojson", &zones);
    let output = folder.zonal("utm.tif", "zones.geojson", &["--zone-id", "id"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = folder.lines();
    assert!((100.0..110.0).contains(&lines[0].1), "{lines:?}");
    assert_eq!((lines[1].1, lines[2].1), (0.0, 0.0));
    assert!((lines[3].1 - 2500.0).abs() < 1e-6 && (lines[3].2.unwrap() - 25.5).abs() < 1e-6, "{lines:?}");
    assert!((lines[4].1 - lines[0].1).abs() < 1e-3, "{lines:?}");
}

#[test]
fn a_shapefile_a_kml_and_a_mapinfo_file_give_the_means_of_the_geojson() {
    let folder = Folder::new();
    folder.degrees("map.tif", 100.0, 40.0, 1.0, (20, 20));
    let zones = [
        (json!({"Name": "锦江区"}), square(105.0, 30.0, 2.0)),
        (json!({"Name": "青羊区"}), square(107.5, 30.0, 1.0)),
    ];
    folder.features("zones.geojson", &zones);
    assert!(folder.zonal("map.tif", "zones.geojson", &["--zone-id", "Name"]).status.success());
    let wanted = folder.lines();
    assert_eq!(wanted, [("锦江区".to_owned(), 4.0, Some(6.5)), ("青羊区".to_owned(), 1.0, Some(8.5))]);
    let cases: [(&str, &str, &[&str]); 4] = [
        ("zones.shp", "ESRI Shapefile", &["-lco", "ENCODING=GBK"]),
        ("zones.kml", "KML", &[]),
        ("zones.tab", "MapInfo File", &["-lco", "ENCODING=CP936"]),
        ("zones.geojsons", "GeoJSONSeq", &[]),
    ];
    for (name, driver, flags) in cases {
        convert(&folder, name, driver, flags);
        for without_code_page in [false, true] {
            if without_code_page && std::fs::remove_file(folder.path(name).with_extension("cpg")).is_err() {
                continue;
            }
            let output = folder.zonal("map.tif", name, &["--zone-id", "Name"]);
            assert!(output.status.success(), "{name}: {}", stderr(&output));
            let near = |(a, b): (&Line, &Line)| {
                a.0 == b.0 && (a.1 - b.1).abs() < 1e-4 && (a.2.unwrap() - b.2.unwrap()).abs() < 1e-4
            };
            let found = folder.lines();
            assert!(found.len() == 2 && found.iter().zip(&wanted).all(near), "{name}: {found:?}");
        }
    }
}

fn convert(folder: &Folder, name: &str, driver: &str, flags: &[&str]) {
    let made = Command::new("ogr2ogr")
        .args(["-f", driver])
        .args(flags)
        .arg(folder.path(name))
        .arg(folder.path("zones.geojson"))
        .status()
        .unwrap();
    assert!(made.success(), "want ogr2ogr of gdal-bin to write {name}");
}

/// Kilobytes of memory that a program took at most, and its exit.
fn peak_kb(command: &mut Command, log: &Path) -> (u64, Option<i32>) {
    let program = command.get_program().to_owned();
    let flags: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let status = Command::new("/usr/bin/time")
        .args(["-f", "%M", "-o"])
        .arg(log)
        .arg(program)
        .args(flags)
        .status()
        .unwrap();
    let text = std::fs::read_to_string(log).unwrap();
    (text.trim().lines().last().unwrap().parse().unwrap(), status.code())
}

#[test]
fn many_high_zones_on_a_large_empty_raster_take_bounded_memory() {
    const MOST_KB: u64 = 1_000_000;
    if !Path::new("/usr/bin/time").exists() {
        println!("skipped: /usr/bin/time is not there");
        return;
    }
    let folder = Folder::new();
    let made = Command::new("gdal_create")
        .args([
            "-q",
            "-of",
            "GTiff",
            "-outsize",
            "2000",
            "20000",
            "-ot",
            "Byte",
            "-a_srs",
            "EPSG:32648",
            "-a_ullr",
        ])
        .args([
            "400000",
            "3500000",
            "420000",
            "3300000",
            "-co",
            "SPARSE_OK=TRUE",
            "-co",
            "TILED=YES",
            "-co",
            "COMPRESS=DEFLATE",
        ])
        .arg(folder.path("sparse.tif"))
        .status()
        .unwrap();
    assert!(made.success(), "want gdal_create of gdal-bin");
    // Strips as high as the raster, of two pixels' width and a bit: three runs a row each.
    let strip = |i: usize| {
        let (west, east) = (400_003.0 + 9.0 * i as f64, 400_025.0 + 9.0 * i as f64);
        json!({"type": "Polygon", "coordinates": [[[west, 3_300_000], [east, 3_300_000], [east, 3_500_000], [west, 3_500_000], [west, 3_300_000]]]})
    };
    let zones: Vec<_> = (0..1000).map(|i| (json!({}), strip(i))).collect();
    folder.features("zones.geojson", &zones);
    let mut command = Command::new(env!("CARGO_BIN_EXE_region-report"));
    command.args(["zonal", "--raster"]).arg(folder.path("sparse.tif"));
    command
        .args(["--zones-crs", "EPSG:32648", "--zones"])
        .arg(folder.path("zones.geojson"))
        .arg("--out")
        .arg(folder.path("means.csv"));
    let (kb, code) = peak_kb(&mut command, &folder.path("peak"));
    assert_eq!(code, Some(0));
    assert!(kb < MOST_KB, "{kb} kB");
    assert_eq!(folder.lines().len(), 1000);
}
