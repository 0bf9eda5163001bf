use super::*;
use crate::shapes::outline::doubled_area;

const SQUARE_WITH_A_HOLE: &str = r#"{"type":"FeatureCollection","features":[
  {"type":"Feature","properties":{"adcode":510104,"name":"锦江区","empty":null,"list":[]},"geometry":{"type":"MultiPolygon","coordinates":
    [[[[0,0],[0,4],[4,4],[4,0],[0,0]],[[1,1],[2,1],[2,2],[1,2],[1,1]]]]}},
  {"type":"Feature","properties":{"name":"a point"},"geometry":{"type":"Point","coordinates":[1,1]}}]}"#;

fn read_bytes(bytes: &[u8], name: &str) -> Result<Shapes> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read_layer(&path, None, None)
}

fn read(text: &str, name: &str) -> Result<Shapes> {
    read_bytes(text.as_bytes(), name)
}

fn area(shape: &Shape) -> f64 {
    shape.rings.iter().map(|ring| doubled_area(ring) / 2.0).sum()
}

#[test]
fn rings_turn_so_that_holes_take_from_the_area_whatever_way_the_file_turned_them() {
    let found = read(SQUARE_WITH_A_HOLE, "zones.geojson").unwrap();
    assert_eq!((found.shapes.len(), found.crs.epsg()), (1, Some(4326)), "a point is no zone");
    assert_eq!(found.left_out, [(2, "lines or points, no area")]);
    let shape = &found.shapes[0];
    assert_eq!((area(shape), shape.place, shape.mended), (15.0, 1, false));
    assert_eq!(shape.field("adcode"), Some("510104"));
    assert_eq!(shape.field("name"), Some("锦江区"));
    assert_eq!(shape.field("empty"), None);
}

#[test]
fn a_file_without_polygons_is_refused_by_name() {
    for text in [r#"{"type":"FeatureCollection","features":[]}"#, "no json", ""] {
        let error = read(text, "zones.geojson").unwrap_err().to_string();
        assert!(error.contains("zones.geojson: want polygons"), "{error}");
    }
}

#[test]
fn features_without_an_area_are_listed_and_places_do_not_shift() {
    let square = r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}"#;
    let line = r#"{"type":"Polygon","coordinates":[[[0,0],[1,1],[0,0]]]}"#;
    let geometries = ["null", square, r#"{"type":"Polygon","coordinates":[]}"#, line, square];
    let feature = |g: &&str| format!(r#"{{"type":"Feature","properties":{{}},"geometry":{g}}}"#);
    let features = geometries.iter().map(feature).collect::<Vec<_>>().join(",");
    let found =
        read(&format!(r#"{{"type":"FeatureCollection","features":[{features}]}}"#), "z.geojson").unwrap();
    assert_eq!(found.shapes.iter().map(|s| s.place).collect::<Vec<_>>(), [2, 5]);
    assert_eq!(found.left_out.iter().map(|l| l.0).collect::<Vec<_>>(), [1, 3, 4]);
}

#[test]
fn a_geojson_in_gbk_or_utf_16_keeps_its_names_and_one_in_no_known_encoding_is_refused() {
    let encoded = |label: &str| {
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
        encoding.encode(SQUARE_WITH_A_HOLE).0.into_owned()
    };
    let wide =
        |order: fn(u16) -> [u8; 2]| SQUARE_WITH_A_HOLE.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let marked = |mark: &[u8], bytes: Vec<u8>| [mark.to_vec(), bytes].concat();
    for (bytes, encoding) in [
        (marked(&[0xEF, 0xBB, 0xBF], encoded("utf-8")), None),
        (encoded("gbk"), Some("gb18030")),
        (encoded("gb18030"), Some("gb18030")),
        (wide(u16::to_le_bytes), Some("UTF-16LE")),
        (marked(&[0xFE, 0xFF], wide(u16::to_be_bytes)), Some("UTF-16BE")),
    ] {
        let found = read_bytes(&bytes, "zones.geojson").unwrap();
        assert_eq!((found.shapes[0].field("name"), found.encoding), (Some("锦江区"), encoding));
    }
    let western = SQUARE_WITH_A_HOLE.replace("锦江区", "Orl\u{e9}ans");
    let western: Vec<u8> = western.chars().map(|c| c as u8).collect();
    let error = read_bytes(&western, "zones.geojson").unwrap_err().to_string();
    assert!(error.contains("UTF-8") && error.contains("iconv"), "{error}");
}

#[test]
fn a_text_cut_at_any_length_by_a_chunk_is_still_utf_8() {
    let many = "锦".repeat(700_000);
    for spaces in 0..3 {
        let text = SQUARE_WITH_A_HOLE.replace("锦江区", &(" ".repeat(spaces) + &many));
        let found = read(&text, "zones.geojson").unwrap();
        assert!(found.encoding.is_none() && found.shapes[0].field("name").unwrap().ends_with('锦'));
    }
}

#[test]
fn a_packed_bomb_is_refused_before_it_is_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zones.geojson.gz");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packer, b"{").unwrap();
    let spaces = vec![b' '; 1 << 20];
    (0..200).for_each(|_| std::io::Write::write_all(&mut packer, &spaces).unwrap());
    std::fs::write(&path, packer.finish().unwrap()).unwrap();
    let error = read_layer(&path, None, None).unwrap_err().to_string();
    assert!(error.contains("when unpacked") && error.contains("zones.geojson.gz"), "{error}");
}

/// A GeoPackage written with GDAL's own hands: a layer a name.
fn geopackage(path: &Path, layers: &[(&str, &str)]) {
    use gdal::vector::{Feature, Geometry, LayerOptions, OGRwkbGeometryType};
    crate::set_up();
    let driver = gdal::DriverManager::get_driver_by_name("GPKG").unwrap();
    let mut dataset = driver.create_vector_only(path).unwrap();
    for (name, wkt) in layers {
        let system = crate::Crs::from_epsg(32_648).unwrap().spatial_ref().unwrap();
        let geometry = Geometry::from_wkt(wkt).unwrap();
        let options = LayerOptions {
            name,
            srs: Some(&system),
            ty: if wkt.starts_with("POINT") {
                OGRwkbGeometryType::wkbPoint
            } else {
                OGRwkbGeometryType::wkbUnknown
            },
            options: None,
        };
        let layer = dataset.create_layer(options).unwrap();
        let mut feature = Feature::new(layer.defn()).unwrap();
        feature.set_geometry(geometry).unwrap();
        feature.create(&layer).unwrap();
    }
}

#[test]
fn of_several_layers_one_is_named_or_all_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (many, one) = (folder.path().join("many.gpkg"), folder.path().join("one.gpkg"));
    let (square, triangle) = ("POLYGON((0 0,2 0,2 2,0 2,0 0))", "POLYGON((0 0,1 0,1 1,0 0))");
    geopackage(&many, &[("ADM_0", square), ("ADM_1", triangle), ("capitals", "POINT(1 1)")]);
    geopackage(&one, &[("capitals", "POINT(1 1)"), ("ADM_1", triangle)]);
    let error = read_layer(&many, None, None).unwrap_err().to_string();
    assert!(error.contains("2 layers: ADM_0, ADM_1") && error.contains("--zones-layer"), "{error}");
    let error = read_layer(&many, Some("ADM_2"), None).unwrap_err().to_string();
    assert!(error.contains("no layer ADM_2") && error.contains("ADM_0, ADM_1, capitals"), "{error}");
    assert_eq!(area(&read_layer(&many, Some("ADM_1"), None).unwrap().shapes[0]), 0.5);
    assert_eq!(area(&read_shapes(&one).unwrap().0[0]), 0.5, "points hold no areas");
}

#[test]
fn curves_collections_and_crossings_of_a_geopackage_have_their_areas() {
    let folder = tempfile::tempdir().unwrap();
    for (i, (wkt, wanted)) in [
        ("CURVEPOLYGON(CIRCULARSTRING(0 0,200 0,0 0))", 1e4 * std::f64::consts::PI),
        ("MULTISURFACE(((0 0,1 0,1 1,0 1,0 0)),CURVEPOLYGON((2 0,4 0,4 2,2 2,2 0)))", 5.0),
        (
            "CURVEPOLYGON(COMPOUNDCURVE((0 0,4 0),CIRCULARSTRING(4 0,6 2,4 4),(4 4,0 4,0 0)))",
            16.0 + 2.0 * std::f64::consts::PI,
        ),
        ("POLYGON ZM((0 0 1 2,4 4 1 2,4 0 1 2,0 4 1 2,0 0 1 2))", 8.0),
    ]
    .into_iter()
    .enumerate()
    {
        let path = folder.path().join(format!("{i}.gpkg"));
        geopackage(&path, &[("zones", wkt)]);
        let found = area(&read_shapes(&path).unwrap().0[0]);
        assert!((found - wanted).abs() < 1e-4 * wanted, "{wkt}: {found}, want {wanted}");
    }
}

#[test]
fn a_file_that_ends_early_is_refused_and_not_read_as_far_as_it_goes() {
    use gdal::vector::{Feature, Geometry, LayerOptions, OGRwkbGeometryType};
    crate::set_up();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("zones.fgb");
    let driver = gdal::DriverManager::get_driver_by_name("FlatGeobuf").unwrap();
    let mut dataset = driver.create_vector_only(&path).unwrap();
    let system = Crs::from_epsg(32_648).unwrap().spatial_ref().unwrap();
    let (srs, ty) = (Some(&system), OGRwkbGeometryType::wkbPolygon);
    let layer = dataset.create_layer(LayerOptions { name: "zones", srs, ty, options: None }).unwrap();
    for _ in 0..50 {
        let mut feature = Feature::new(layer.defn()).unwrap();
        feature.set_geometry(Geometry::from_wkt("POLYGON((0 0,2 0,2 2,0 2,0 0))").unwrap()).unwrap();
        feature.create(&layer).unwrap();
    }
    dataset.close().unwrap();
    let whole = std::fs::read(&path).unwrap();
    assert_eq!(read_bytes(&whole, "zones.fgb").unwrap().shapes.len(), 50);
    let error = read_bytes(&whole[..whole.len() - 1000], "zones.fgb").unwrap_err().to_string();
    assert!(error.contains("of 50, the rest unreadable") && error.contains("damaged"), "{error}");
}

/// The bytes of a shapefile of one square with a name, without `.cpg`; `driver` is the header's byte for the language driver.
fn shapefile(folder: &Path, name: &[u8], driver: u8) -> std::path::PathBuf {
    let path = folder.join("zones.shp");
    let ring = [(0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)];
    let mut record = Vec::new();
    record.extend(5_i32.to_le_bytes());
    record.extend([0.0, 0.0, 1.0, 1.0].map(f64::to_le_bytes).concat());
    record.extend([1, 5, 0].map(i32::to_le_bytes).concat());
    for (x, y) in ring {
        let (x, y): (f64, f64) = (x, y);
        record.extend(x.to_le_bytes());
        record.extend(y.to_le_bytes());
    }
    let words = record.len() as i32 / 2;
    let head = |n_words: i32| {
        let mut head = [9994, 0, 0, 0, 0, 0, n_words].map(i32::to_be_bytes).concat();
        head.extend([1000, 5].map(i32::to_le_bytes).concat());
        head.extend([0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0].map(f64::to_le_bytes).concat());
        head
    };
    let numbers = |numbers: [i32; 2]| numbers.map(i32::to_be_bytes).concat();
    std::fs::write(&path, [head(50 + 4 + words), numbers([1, words]), record].concat()).unwrap();
    std::fs::write(path.with_extension("shx"), [head(54), numbers([50, words])].concat()).unwrap();
    std::fs::write(path.with_extension("prj"), Crs::wgs84().unwrap().wkt()).unwrap();
    const WIDTH: u8 = 20;
    let mut table = vec![3, 120, 1, 1, 1, 0, 0, 0, 65, 0, WIDTH + 1, 0];
    table.resize(32, 0);
    table[29] = driver;
    table.extend(b"name\0\0\0\0\0\0\0C\0\0\0\0");
    table.push(WIDTH);
    table.resize(64, 0);
    table.extend([0x0D, b' ']);
    table.extend(name);
    table.resize(66 + usize::from(WIDTH), b' ');
    table.push(0x1A);
    std::fs::write(path.with_extension("dbf"), table).unwrap();
    path
}

#[test]
fn names_of_a_shapefile_are_read_by_its_code_page_its_header_or_what_they_look_like() {
    let in_gbk = encoding_rs::GBK.encode("锦江区").0.into_owned();
    let western = encoding_rs::WINDOWS_1252.encode("Orléans").0.into_owned();
    let cut = &"锦江区青羊区金".as_bytes()[..20];
    for (bytes, driver, code_page, wanted, guessed) in [
        (in_gbk.as_slice(), 0x57, None, "锦江区", Some("gb18030")),
        (&in_gbk, 0x4D, None, "锦江区", None),
        (&in_gbk, 0, Some("GBK"), "锦江区", None),
        (&in_gbk, 0, Some("UTF-8"), "锦江区", Some("gb18030")),
        ("锦江区".as_bytes(), 0x57, None, "锦江区", Some("UTF-8")),
        (cut, 0, Some("UTF-8"), "锦江区青羊区", None),
        (&western, 0x57, Some("1252"), "Orléans", None),
        (&western, 0x03, None, "Orléans", None),
        (&western, 0x57, None, "Orl\u{fffd}ans", None),
        (b"plain", 0x57, None, "plain", None),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = shapefile(folder.path(), bytes, driver);
        if let Some(text) = code_page {
            std::fs::write(path.with_extension("cpg"), text).unwrap();
        }
        let found = read_layer(&path, None, None).unwrap();
        assert_eq!(
            (found.shapes[0].field("name"), found.encoding),
            (Some(wanted), guessed),
            "{driver:x} {code_page:?}"
        );
        assert_eq!(area(&found.shapes[0]), 1.0);
    }
}

#[test]
fn a_missing_coordinate_system_can_be_given() {
    let folder = tempfile::tempdir().unwrap();
    let path = shapefile(folder.path(), b"a", 0);
    std::fs::remove_file(path.with_extension("prj")).unwrap();
    let error = read_layer(&path, None, None).unwrap_err().to_string();
    assert!(error.contains("no coordinate system") && error.contains("zones.shp"), "{error}");
    let given = Crs::from_epsg(4490).unwrap();
    assert!(read_layer(&path, None, Some(&given)).unwrap().crs.same_as(&given));
}

#[test]
fn a_file_with_bytes_changed_or_cut_is_read_or_refused_and_never_kills() {
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("zones.gpkg");
    geopackage(
        &package,
        &[("zones", "MULTISURFACE(CURVEPOLYGON(CIRCULARSTRING(0 0,2 0,0 0)),((0 0,1 0,1 1,0 0)))")],
    );
    let seeds =
        [(SQUARE_WITH_A_HOLE.as_bytes().to_vec(), "m.geojson"), (std::fs::read(&package).unwrap(), "m.gpkg")];
    let (mut state, mut n_read, mut n_refused) = (1_u64, 0, 0);
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for (seed, name) in &seeds {
        for _ in 0..300 {
            let mut bytes = seed.clone();
            (0..=random(8)).for_each(|_| {
                let at = random(bytes.len());
                bytes[at] = random(256) as u8;
            });
            if random(4) == 0 {
                bytes.truncate(random(bytes.len()));
            }
            match read_bytes(&bytes, name) {
                Ok(found) => {
                    assert!(found.shapes.iter().all(|shape| area(shape) > 0.0));
                    n_read += 1;
                }
                Err(error) => {
                    assert!(
                        error.to_string().contains(name) && !error.to_string().contains("Some("),
                        "{error}"
                    );
                    n_refused += 1;
                }
            }
        }
    }
    assert!(n_read > 100 && n_refused > 100, "{n_read} read, {n_refused} refused");
}
