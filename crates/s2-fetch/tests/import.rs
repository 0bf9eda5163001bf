//! A person's own scene, taken in by the program.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use contract::Scene;
use raster::{Affine, BandOut, CogOptions, Crs, Dtype, Grid, Pixel, Source, write_cog};
use serde_json::json;
use support::*;

const PRODUCT: &str = "S2B_MSIL2A_20230131T033959_N0511_R061_T48RVV_20230131T055344.SAFE";

fn import(files: &[&Path], out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_s2-fetch"));
    command.arg("import").args(files).args(more).arg("--out").arg(out).output().unwrap()
}

/// A file of bands over the small grid.
fn write<T: Pixel>(path: &Path, names: &[&str], bands: &[Vec<T>], nodata: Option<f64>) {
    write_on(&grid(), path, names, bands, nodata);
}

fn write_on<T: Pixel>(grid: &Grid, path: &Path, names: &[&str], bands: &[Vec<T>], nodata: Option<f64>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let bands: Vec<_> =
        names.iter().zip(bands).map(|(name, pixels)| BandOut { name, unit: "", pixels }).collect();
    write_cog(path, grid, &bands, &CogOptions { nodata, ..CogOptions::default() }).unwrap();
}

fn number(path: &Path, band: usize) -> Vec<u16> {
    Source::open(path).unwrap().read_band::<u16>(band).unwrap()
}

fn row(out: &Path) -> Scene {
    let rows: Vec<Scene> = contract::read(&out.with_extension("scene.parquet")).unwrap();
    assert_eq!(rows.len(), 1);
    rows[0].clone()
}

#[test]
fn band_files_become_what_fetch_makes_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let files = [("B04", 1500), ("B03", 2500), ("B02", 3500)].map(|(name, base)| {
        let path = dir.path().join(format!("{name}.tif"));
        write_band(&path, base);
        path
    });
    let assets = ["B04", "B03", "B02"].map(|name| (name.to_owned(), json!({"href": format!("{name}.tif")})));
    let item = item("one", "2022-01-01", 1.0, assets.into_iter().collect());
    let root = catalogue(dir.path(), &[item]);
    let (fetched, imported) = (dir.path().join("a/T48RVV.tif"), dir.path().join("b/T48RVV.tif"));
    ok(fetch(root.to_str().unwrap(), &fetched, &["--assets", "B04,B03,B02"]));
    let files = [files[0].as_path(), &files[1], &files[2]];
    ok(import(&files, &imported, &["--granule", "T48RVV", "--offset", "-0.1", "--date", "2022-01-01"]));
    let [a, b] = [&fetched, &imported].map(|path| Source::open(path).unwrap());
    assert_eq!(
        (a.band_names(), a.grid(), a.nodata(), a.dtype()),
        (b.band_names(), b.grid(), b.nodata(), b.dtype())
    );
    for band in 1..=3 {
        assert_eq!(number(&fetched, band), number(&imported, band));
        assert_eq!(a.band_tag(band, "", "unit"), b.band_tag(band, "", "unit"));
    }
    for key in ["contract", "granule", "offset_subtracted_dn"] {
        assert_eq!(a.tag("", key), b.tag("", key), "{key}");
    }
    assert_eq!(b.tag("", "offset_rule").unwrap(), "--offset -0.1");
    let row = row(&imported);
    assert_eq!(
        (row.granule.as_str(), row.offset, row.chosen, row.valid_share),
        ("T48RVV", Some(1000.0), true, Some(1.0))
    );
    assert_eq!((row.sensed.as_deref(), row.source.as_str()), (Some("2022-01-01"), "B04.tif B03.tif B02.tif"));
    assert_eq!(row.sha256.unwrap(), contract::sha256_of(&imported).unwrap());
    assert_eq!(fs::read_dir(dir.path().join("b")).unwrap().count(), 2, "nothing else is left");
    let again = dir.path().join("c/T48RVV.tif");
    ok(import(&[&imported], &again, &["--granule", "T48RVV"]));
    assert_eq!(number(&again, 1), number(&imported, 1), "what was made here is taken as it is");
}

#[test]
fn a_product_folder_says_its_bands_its_baseline_its_day_and_its_granule() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join(PRODUCT).join("GRANULE/L2A_T48RVV_A030829_20230131T034000/IMG_DATA");
    let file = |folder: &str, code: &str, metres: u32| {
        images.join(folder).join(format!("T48RVV_20230131T033959_{code}_{metres}m.tif"))
    };
    for (code, base) in [("B04", 1500), ("B03", 2500), ("B02", 3500), ("B08", 4500)] {
        write(&file("R10m", code, 10), &[""], &[numbers(base)], None);
        write(&file("R20m", code, 20), &[""], &[numbers(9000)], None);
    }
    write(&file("R10m", "TCI", 10), &["", "", ""], &vec![vec![9u8; HEIGHT * WIDTH]; 3], None);
    let mut coarse = Grid { height: HEIGHT / 2, width: WIDTH / 2, ..grid() };
    (coarse.transform.pixel_width, coarse.transform.pixel_height) = (20.0, 20.0);
    let codes: Vec<u8> = (0..300).map(|i| if i < 30 { 9 } else { 4 }).collect();
    write_on(&coarse, &file("R20m", "SCL", 20), &[""], std::slice::from_ref(&codes), None);
    let (out, scl) = (dir.path().join("raw/x.tif"), dir.path().join("raw/x.scl.tif"));
    ok(import(&[&dir.path().join(PRODUCT)], &out, &["--scl-out", scl.to_str().unwrap()]));
    let scene = Source::open(&out).unwrap();
    assert_eq!(scene.band_names(), ["B04", "B03", "B02"]);
    assert_eq!((number(&out, 1), number(&out, 3)), (numbers(500), numbers(2500)));
    assert_eq!(
        scene.tag("", "offset_rule").unwrap(),
        "processing baseline 05.11 in the name: offset of 1000"
    );
    let row = row(&out);
    assert_eq!((row.granule.as_str(), row.sensed.as_deref()), ("T48RVV", Some("2023-01-31T03:39:59Z")));
    assert_eq!((row.baseline.as_deref(), row.cloud_share), (Some("05.11"), Some(0.1)));
    assert_eq!(row.item, PRODUCT.trim_end_matches(".SAFE"));
    assert_eq!(Source::open(&scl).unwrap().read_band::<u8>(1).unwrap(), codes);

    ok(import(&[&dir.path().join(PRODUCT)], &out, &["--bands", "B08,red"]));
    assert_eq!(Source::open(&out).unwrap().band_names(), ["B08", "B04"]);
    let line = refused(import(&[&dir.path().join(PRODUCT)], &out, &["--bands", "B11"]));
    assert!(line.contains("want a file of band B11, found T48RVV_20230131T033959_B02_10m.tif"), "{line}");
}

#[test]
fn floats_are_reflectance_and_what_is_missing_is_zero() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("crop.tif");
    let mut bands: Vec<Vec<f32>> =
        [0.05, 0.1, 0.2].map(|base| (0..HEIGHT * WIDTH).map(|i| base + i as f32 * 1e-4).collect()).to_vec();
    for band in &mut bands {
        band[0] = f32::NAN;
        band[1] = -9999.0;
        band[2] = 0.0;
    }
    bands[0][3] = 0.0;
    bands[1][4] = -0.02;
    write(&path, &["blue", "green", "red"], &bands, Some(-9999.0));
    let out = dir.path().join("T48RVV.tif");
    ok(import(&[&path], &out, &["--granule", "my-field_1"]));
    assert_eq!(Source::open(&out).unwrap().band_names(), ["red", "green", "blue"]);
    let (red, green, blue) = (number(&out, 1), number(&out, 2), number(&out, 3));
    assert_eq!(
        (&red[..5], &green[..5]),
        (&[0, 0, 1, 2003, 2004][..], &[0, 0, 1, 1003, 1][..]),
        "a declared value alone is missing"
    );
    assert_eq!((blue[3], blue[5], red[1199]), (1, 505, 3199));
    assert_eq!(row(&out).granule.as_str(), "my-field_1");
    write(
        &path,
        &["blue", "green", "red"],
        &bands
            .iter()
            .map(|b| b.iter().map(|v| if *v == -9999.0 { 0.0 } else { *v }).collect())
            .collect::<Vec<Vec<f32>>>(),
        None,
    );
    ok(import(&[&path], &out, &["--granule", "my-field_1"]));
    assert_eq!(
        (&number(&out, 1)[..4], &number(&out, 3)[..4]),
        (&[0, 0, 0, 2003][..], &[0, 0, 0, 1][..]),
        "zeros of all bands are missing"
    );
}

#[test]
fn whole_numbers_that_may_carry_an_offset_are_proven_not_to_or_refused_with_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("crop.tif"), dir.path().join("T48RVV.tif"));
    let names = ["B04", "B03", "B02"];
    write(&path, &names, &[1200, 1300, 1400].map(numbers), None);
    let line = refused(import(&[&path], &out, &[]));
    assert!(line.contains("--offset -0.1") && line.contains("as if they did") && !out.exists(), "{line}");
    ok(import(&[&path], &out, &["--offset", "-0.1"]));
    assert_eq!(number(&out, 1), numbers(200));
    ok(import(&[&path], &out, &["--offset", "0"]));
    assert_eq!(number(&out, 1), numbers(1200));
    write(&path, &names, &[200, 300, 400].map(numbers), None);
    ok(import(&[&path], &out, &[]));
    assert_eq!((number(&out, 1), row(&out).offset), (numbers(200), Some(0.0)));
    assert_eq!(
        Source::open(&out).unwrap().tag("", "offset_rule").unwrap(),
        "dark ground below 900: no offset"
    );
    let line = refused(import(&[&path], &out, &["--offset", "-0.1"]));
    assert!(line.contains("want numbers that carry an offset of 1000"), "{line}");
    assert_eq!(number(&out, 1), numbers(200), "the old scene stays");
}

#[test]
fn bands_are_named_by_number_and_never_guessed_from_five() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("stack.tif"), dir.path().join("T48RVV.tif"));
    write(&path, &[""; 5], &[200, 300, 400, 500, 600].map(numbers), None);
    let line = refused(import(&[&path], &out, &[]));
    assert!(line.contains("found 1 (no name), 2 (no name)") && line.contains("--bands 3,2,1"), "{line}");
    ok(import(&[&path], &out, &["--bands", "3,2,1"]));
    assert_eq!(Source::open(&out).unwrap().band_names(), ["red", "green", "blue"]);
    assert_eq!((number(&out, 1), number(&out, 3)), (numbers(400), numbers(200)));
    for wrong in ["6", "0", "", "B04"] {
        assert!(
            refused(import(&[&path], &out, &["--bands", wrong])).contains("found 1 (no name)"),
            "{wrong}"
        );
    }
    write(&path, &[""; 3], &[200, 300, 400].map(numbers), None);
    let output = import(&[&path], &out, &[]);
    assert!(stderr(&output).contains("taken as red, green, blue"), "{}", stderr(&output));
    ok(output);
    assert_eq!(number(&out, 1), numbers(200));
}

/// The number of a pixel.
type Number = fn(usize) -> f32;

#[test]
fn numbers_that_make_no_reflectance_are_refused_with_the_flag() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("odd.tif"), dir.path().join("T48RVV.tif"));
    let floats = |f: &dyn Fn(usize) -> f32| vec![(0..HEIGHT * WIDTH).map(f).collect::<Vec<f32>>(); 3];
    let names = ["red", "green", "blue"];
    let cases: [(Number, &str); 4] = [
        (|i| 300.0 + i as f32, "--scale 0.0001 for numbers up to 10000"),
        (|i| 5.0 + (i % 80) as f32, "0.01 for per cent"),
        (|i| if i % 10 == 0 { -9999.0 } else { 0.1 }, "10.0 % of them are -9999: say --nodata -9999"),
        (|_| f32::NAN, "want pixels with data, found none"),
    ];
    for (make, said) in &cases {
        write(&path, &names, &floats(make), None);
        let line = refused(import(&[&path], &out, &[]));
        assert!(line.contains(said) && !out.exists(), "{line}");
    }
    write(&path, &names, &floats(&cases[0].0), None);
    ok(import(&[&path], &out, &["--scale", "0.0001"]));
    assert_eq!(number(&out, 1)[..3], [300, 301, 302]);
    write(&path, &names, &floats(&cases[2].0), None);
    ok(import(&[&path], &out, &["--nodata", "-9999"]));
    assert_eq!(number(&out, 1)[..3], [0, 1000, 1000]);
    write(&path, &names, &vec![(0..1200).map(|i| 20 + i % 200).collect::<Vec<u16>>(); 3], None);
    assert!(refused(import(&[&path], &out, &[])).contains("almost black"));
}

#[test]
fn a_scene_in_degrees_is_told_the_command_that_helps_and_two_grids_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let (path, out) = (dir.path().join("deg.tif"), dir.path().join("x.tif"));
    let transform = Affine { west: 104.0, north: 30.7, pixel_width: 0.00009, pixel_height: 0.00009 };
    let degrees = Grid { transform, crs: Crs::from_epsg(4326).unwrap(), ..grid() };
    write_on(&degrees, &path, &["red", "green", "blue"], &[200, 300, 400].map(numbers), None);
    let line = refused(import(&[&path], &out, &["--granule", "a"]));
    assert!(
        line.contains("gdalwarp -t_srs EPSG:32648 -tr 10 10 -r cubic") && line.contains("deg-utm.tif"),
        "{line}"
    );
    write_band(&dir.path().join("B04.tif"), 200);
    let moved = Grid { transform: Affine { west: 300_010.0, ..grid().transform }, ..grid() };
    write_on(&moved, &dir.path().join("B03.tif"), &[""], &[numbers(200)], None);
    let files = [dir.path().join("B04.tif"), dir.path().join("B03.tif")];
    let line = refused(import(&[&files[0], &files[1]], &out, &["--bands", "B04,B03"]));
    assert!(line.contains("B03.tif: want the 40 x 30 pixels of 10 m of B04.tif"), "{line}");
}

#[test]
fn a_classification_of_the_whole_granule_is_cut_to_the_scene() {
    let dir = tempfile::tempdir().unwrap();
    let (path, whole) = (dir.path().join("crop.tif"), dir.path().join("scl20.tif"));
    let (out, scl) = (dir.path().join("x.tif"), dir.path().join("x.scl.tif"));
    let transform = Affine { west: 299_900.0, north: 3_500_100.0, pixel_width: 20.0, pixel_height: 20.0 };
    let coarse = Grid { height: 60, width: 50, transform, crs: grid().crs };
    let codes: Vec<u16> = (0..60 * 50).map(|i| ((i / 50) % 12) as u16).collect();
    write_on(&coarse, &whole, &[""], std::slice::from_ref(&codes), None);
    let more = ["--granule", "a", "--scl", whole.to_str().unwrap(), "--scl-out", scl.to_str().unwrap()];
    for (west, pixel_m) in [(300_000.0, 20.0), (300_010.0, 10.0)] {
        let moved = Grid { transform: Affine { west, ..grid().transform }, ..grid() };
        write_on(&moved, &path, &["B04", "B03", "B02"], &[200, 300, 400].map(numbers), None);
        ok(import(&[&path], &out, &more));
        let cut = Source::open(&scl).unwrap();
        assert_eq!(
            (cut.grid().transform.west, cut.grid().transform.pixel_width, cut.dtype()),
            (west, pixel_m, Dtype::U8)
        );
        let first = cut.read_band::<u8>(1).unwrap()[0];
        assert_eq!(first, 5, "the crop begins 100 m below the corner");
        let seen = (0..HEIGHT).map(|row| (5 + row / 2) % 12);
        let (cloud, data) = seen.fold((0, 0), |(c, d), code| {
            (c + usize::from([3, 8, 9, 10].contains(&code)), d + usize::from(code != 0))
        });
        assert_eq!(row(&out).cloud_share, Some(cloud as f64 / data as f64));
    }
    let cover = vec![50u8; 60 * 50];
    write_on(&coarse, &whole, &[""], std::slice::from_ref(&cover), None);
    let line = refused(import(&[&path], &out, &more));
    assert!(line.contains("codes 0 to 11, found 50"), "a map of land cover is no classification: {line}");
    write_on(&coarse, &whole, &[""], std::slice::from_ref(&cover), Some(50.0));
    ok(import(&[&path], &out, &more));
    let far = Grid { transform: Affine { west: 310_000.0, ..grid().transform }, ..grid() };
    write_on(&far, &path, &["B04", "B03", "B02"], &[200, 300, 400].map(numbers), None);
    assert!(refused(import(&[&path], &out, &more)).contains("covers the scene's pixels whole"));
    let line = refused(import(&[&path], &out, &["--granule", "a", "--scl-out", scl.to_str().unwrap()]));
    assert!(line.contains("give one with --scl"), "{line}");
}

/// Writes the crops of 900 x 700 pixels that foreign processors make, and beside each what it means: numbers of 1/10000, or a picture's.
const FOREIGN: &str = r#"
import sys, numpy as np, rasterio
from rasterio.transform import from_origin
folder = sys.argv[1]
rng = np.random.default_rng(7)
dn = rng.integers(150, 6000, (3, 700, 900))
dn[:, :50, :60] = 0
common = dict(driver='GTiff', height=700, width=900, crs='EPSG:32648', transform=from_origin(401235, 3400115, 10, 10), tiled=True, compress='deflate')
def write(name, data, wanted, scale=None, offset=None, names=('B04', 'B03', 'B02'), mask=None, **more):
    with rasterio.open(f'{folder}/{name}.tif', 'w', count=len(data), dtype=data.dtype, **{**common, **more}) as f:
        f.write(data)
        if scale: f.scales = [scale] * len(data)
        if offset: f.offsets = [offset] * len(data)
        for i, text in enumerate(names): f.set_band_description(i + 1, text)
        if mask is not None: f.write_mask(mask)
    wanted.astype('<u2').tofile(f'{folder}/{name}.bin')
write('float32', np.where(dn > 0, dn / 10000, np.nan).astype('float32'), dn, nodata=float('nan'))
write('tagged', np.where(dn > 0, dn + 1000, 0).astype('uint16'), dn, 1e-4, -0.1, nodata=0)
landsat = np.where(dn > 0, np.round((dn / 10000 + .2) / 2.75e-5), 0).astype('uint16')
write('landsat', landsat, np.where(dn > 0, np.maximum(np.round((landsat * 2.75e-5 - .2) * 10000), 1), 0), 2.75e-5, -0.2, nodata=0)
write('int16', np.where(dn > 0, dn, -9999).astype('int16'), dn, 1e-4, nodata=-9999)
rgb = (dn // 24).clip(0, 255).astype('uint8')
write('rgb', rgb, rgb, names=())
alpha = np.concatenate([rgb, np.where(dn[:1] > 0, 255, 0).astype('uint8')])
write('rgba', alpha, rgb * (dn > 0), names=(), photometric='RGB', alpha='YES')
hidden = dn.copy(); hidden[:, :50, :60] = 3000
write('masked', (hidden / 10000).astype('float32'), dn, mask=dn[0] > 0)
"#;

#[test]
fn crops_of_foreign_processors_are_taken_in_by_one_command() {
    let Some(python) = std::env::var_os("TEST_PYTHON") else {
        println!("skipped: TEST_PYTHON is not set");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new(python).args(["-c", FOREIGN]).arg(dir.path()).output().unwrap();
    assert!(made.status.success(), "{}", stderr(&made));
    let names = ["float32", "tagged", "landsat", "int16", "rgb", "rgba", "masked"];
    for name in names {
        let out = dir.path().join("out").join(format!("{name}.tif"));
        let output = import(&[&dir.path().join(format!("{name}.tif"))], &out, &["--granule", "chengdu"]);
        assert!(stderr(&output).contains("TILE_PX = 75"), "{}", stderr(&output));
        ok(output);
        let scene = Source::open(&out).unwrap();
        assert!(["B04", "red"].contains(&scene.band_names()[0].as_str()), "{name}: {:?}", scene.band_names());
        assert_eq!(scene.n_bands(), 3);
        let bytes = fs::read(dir.path().join(format!("{name}.bin"))).unwrap();
        let wanted: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        for (band, wanted) in (1..).zip(wanted.chunks_exact(700 * 900)) {
            assert_eq!(scene.read_band::<u16>(band).unwrap(), wanted, "{name}, band {band}");
        }
        let rule = scene.tag("", "offset_rule").unwrap();
        let said = match name {
            "tagged" => "the file's scale 0.0001 and offset -0.1",
            "landsat" => "the file's scale 0.0000275 and offset -0.2",
            "int16" => "the file's scale 0.0001 and offset 0",
            "rgb" | "rgba" => "a picture of 8 bits, unchanged",
            _ => "floats between 0 and 1: reflectance",
        };
        assert_eq!(rule, said);
    }
}

#[test]
fn what_is_no_scene_is_one_line_and_old_outputs_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (empty, text, out) = (dir.path().join("empty"), dir.path().join("a.tif"), dir.path().join("x.tif"));
    fs::create_dir(&empty).unwrap();
    fs::write(&text, "no image").unwrap();
    fs::write(&out, "old").unwrap();
    let gone = dir.path().join("gone.tif");
    for (path, said) in [(&empty, "found none"), (&text, "want a GeoTIFF"), (&gone, "gone.tif")] {
        let line = refused(import(&[path], &out, &["--granule", "a"]));
        assert!(line.contains(said), "{line}");
    }
    assert_eq!(fs::read(&out).unwrap(), b"old");
    for flags in [["--granule", "../x"], ["--scale", "0"], ["--date", "yesterday"], ["--nonsense", "1"]] {
        assert_eq!(import(&[&text], &out, &flags).status.code(), Some(2), "{flags:?}");
    }
}
