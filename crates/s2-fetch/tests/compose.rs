//! Composites, classifications and audits through the program.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use contract::Scene;
use raster::{BandOut, CogOptions, Grid, Pixel, Source, write_cog};
use serde_json::{Value, json};
use support::*;

/// Half as many pixels of twice the side.
fn coarse() -> Grid {
    let mut grid = grid();
    (grid.height, grid.width) = (HEIGHT / 2, WIDTH / 2);
    grid.transform.pixel_width *= 2.0;
    grid.transform.pixel_height *= 2.0;
    grid
}

fn write<T: Pixel>(path: &Path, grid: &Grid, pixels: &[T]) {
    let band = BandOut { name: "", unit: "dn", pixels };
    write_cog(path, grid, &[band], &CogOptions::default()).unwrap();
}

/// Rows of the classification from `cloudy` on are under cloud for three rows (20 m); the rest is vegetation.
fn classes(cloudy: usize) -> Vec<u8> {
    (0..coarse().len())
        .map(|i| if (cloudy..cloudy + 3).contains(&(i / (WIDTH / 2))) { 9 } else { 4 })
        .collect()
}

/// A scene whose red band holds `dn` everywhere and carries 1000 more from baseline 04.00; the first column has no data.
fn scene(folder: &Path, id: &str, cloud_percent: f64, baseline: &str, dn: u16, cloudy: usize) -> Value {
    let (red, scl) = (folder.join(format!("{id}.tif")), folder.join(format!("{id}_scl.tif")));
    let raised = if baseline >= "04.00" { dn + 1000 } else { dn };
    let pixels: Vec<u16> = (0..grid().len()).map(|i| if i % WIDTH == 0 { 0 } else { raised }).collect();
    write(&red, &grid(), &pixels);
    write(&scl, &coarse(), &classes(cloudy));
    let name = |path: &Path| format!("./{}", path.file_name().unwrap().to_str().unwrap());
    let assets = json!({"B04": asset(&name(&red), &red), "SCL": asset(&name(&scl), &scl)});
    let mut item = item(id, "2022-01-01", cloud_percent, assets);
    item["properties"]["s2:processing_baseline"] = json!(baseline);
    item["properties"]["platform"] = json!(id);
    item
}

fn three(folder: &Path) -> String {
    let items = [
        scene(folder, "best", 1.0, "05.11", 1100, 0),
        scene(folder, "second", 2.0, "02.14", 1500, 2),
        scene(folder, "third", 3.0, "04.00", 1300, 2),
    ];
    catalogue(folder, &items).to_str().unwrap().to_owned()
}

#[test]
fn a_composite_takes_each_scenes_own_offset_off_before_it_combines_and_says_where_pixels_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let root = three(dir.path());
    for (rule, clear, cloudy) in [("median", 1300, 1100), ("best-pixel", 1100, 1100)] {
        let folder = dir.path().join(rule);
        let (out, info) = (folder.join("T48RVV.tif"), folder.join("info.tif"));
        let more = ["--assets", "B04", "--composite", rule, "--scenes", "3", "--composite-info"];
        ok(fetch(&root, &out, &[&more[..], &[info.to_str().unwrap()]].concat()));
        let pixels = Source::open(&out).unwrap().read_band::<u16>(1).unwrap();
        let info = Source::open(&info).unwrap();
        let [n_clear, from] = [1, 2].map(|band| info.read_band::<u8>(band).unwrap());
        let at = |row: usize| (pixels[row * WIDTH + 5], n_clear[row * WIDTH + 5], from[row * WIDTH + 5]);
        let best = u8::from(rule == "best-pixel");
        // Rows 0 to 3: the best is under cloud. 4 and 5: all are. 6 to 9: only the best is clear. Then all are.
        let hidden = if rule == "median" { (1300, 2, 0) } else { (1500, 2, 2) };
        assert_eq!([at(0), at(3)], [hidden; 2], "{rule}");
        assert_eq!([at(4), at(5)], [(1100, 0, 1); 2], "no scene is clear: the best stands in");
        assert_eq!([at(6), at(9)], [(cloudy, 1, best); 2]);
        assert_eq!(at(10), (clear, 3, best));
        assert_eq!((pixels[0], from[0]), (0, 0), "no data stays");
        assert_eq!(info.band_names(), ["clear_scenes", "scene"]);

        let scene = Source::open(&out).unwrap();
        assert_eq!(scene.tag("", "offset_subtracted_dn").as_deref(), Some("0,1000"));
        assert_eq!(scene.tag("", "baseline").as_deref(), Some("02.14,04.00,05.11"));
        let items: Value = serde_json::from_str(&scene.tag("", "items").unwrap()).unwrap();
        assert_eq!(items[1]["item"], "second");
        let rows: Vec<Scene> = contract::read(&out.with_extension("scene.parquet")).unwrap();
        let offsets: Vec<_> = rows.iter().map(|r| (r.chosen, r.offset)).collect();
        assert_eq!(offsets, [(true, Some(1000.0)), (true, Some(0.0)), (true, Some(1000.0))]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3, "nothing else is left");
    }
}

#[test]
fn scenes_that_do_not_go_together_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut odd = scene(dir.path(), "odd", 3.0, "05.11", 1300, 9);
    odd["properties"].as_object_mut().unwrap().remove("s2:processing_baseline");
    let mut bare = scene(dir.path(), "bare", 4.0, "05.11", 1300, 9);
    bare["assets"].as_object_mut().unwrap().remove("SCL");
    let out = dir.path().join("T48RVV.tif");
    let more = ["--assets", "B04", "--composite", "median", "--scenes", "2"];
    for (other, said) in
        [(odd, "item odd: want a processing baseline"), (bare, "item bare: want a scene classification")]
    {
        let root = catalogue(dir.path(), &[scene(dir.path(), "best", 1.0, "05.11", 1100, 0), other]);
        let line = refused(fetch(root.to_str().unwrap(), &out, &more));
        assert!(line.contains(said), "{line}");
        assert!(!out.exists());
    }
}

#[test]
fn numbers_from_which_the_offset_was_taken_off_before_are_refused_whatever_the_catalogue_says() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = scene(dir.path(), "wrong", 1.0, "02.14", 400, 0);
    wrong["properties"]["s2:processing_baseline"] = json!("05.11");
    wrong["properties"]["earthsearch:boa_offset_applied"] = json!(false);
    let root = catalogue(dir.path(), &[wrong]);
    let out = dir.path().join("T48RVV.tif");
    let line = refused(fetch(root.to_str().unwrap(), &out, &["--assets", "B04"]));
    assert!(line.contains("item wrong: want numbers that carry an offset of 1000"), "{line}");
    assert!(!out.exists());
}

#[test]
fn the_classification_is_written_as_it_is_on_its_own_grid() {
    let dir = tempfile::tempdir().unwrap();
    let root = three(dir.path());
    let (out, scl) = (dir.path().join("o/T48RVV.tif"), dir.path().join("o/scl.tif"));
    ok(fetch(&root, &out, &["--assets", "B04", "--scl-out", scl.to_str().unwrap()]));
    let source = Source::open(&scl).unwrap();
    assert_eq!(source.grid(), &coarse());
    assert_eq!(source.read_band::<u8>(1).unwrap(), classes(0));
    assert_eq!((source.band_names(), source.nodata()), (vec!["scl".to_owned()], Some(0.0)));
    assert_eq!(source.tag("", "contract").as_deref(), Some("scl/1"));
    assert_eq!(source.tag("", "item").as_deref(), Some("best"));
}

#[test]
fn an_audit_finds_a_mix_and_a_contradiction_and_passes_what_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo");
    let source = Source::open(demo.join("B04.tif")).unwrap();
    let (height, width) = (source.grid().height, source.grid().width);
    let plain = source.read_band::<u16>(1).unwrap();
    let write_as = |name: &str, tags: &[(&str, &str)], raised: &dyn Fn(usize) -> bool| {
        let pixels: Vec<u16> =
            (0..).zip(&plain).map(|(i, dn)| dn + 1000 * u16::from(raised(i / width))).collect();
        let bands = [BandOut { name: "B04", unit: "1e-4 reflectance", pixels: &pixels }];
        let tags = tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let path = dir.path().join(name);
        write_cog(&path, source.grid(), &bands, &CogOptions { tags, ..CogOptions::default() }).unwrap();
        path
    };
    let tags = [("contract", "scene/1"), ("offset_subtracted_dn", "1000")];
    let whole = write_as("whole.tif", &tags, &|_| false);
    let raised = write_as("raised.tif", &[], &|_| true);
    let tagged = write_as("tagged.tif", &tags, &|_| true);
    let mixed = write_as("mixed.tif", &tags, &|row| row >= height / 2);
    let audit = |scenes: &[&Path]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_s2-fetch"));
        command.args(["audit", "--json"]);
        scenes.iter().for_each(|scene| _ = command.arg("--scene").arg(scene));
        command.output().unwrap()
    };
    let passed = audit(&[&whole]);
    let said: Value = serde_json::from_slice(&passed.stdout).unwrap();
    assert_eq!(said["scenes"][0]["verdict"], "harmonised");
    ok(passed);
    ok(audit(&[&raised]));
    let line = refused(audit(&[&mixed, &whole]));
    assert!(
        line.contains(
            "mixed.tif: want numbers with the offset or without, found both, meeting within rows 768 to"
        ),
        "{line}"
    );
    assert!(refused(audit(&[&tagged])).contains("as its tags say"));
    assert!(refused(audit(&[&raised, &whole])).contains("raised.tif and whole.tif: want one radiometry"));
    write_visual(&dir.path().join("v.tif"));
    assert!(refused(audit(&[&dir.path().join("v.tif")])).contains("want reflectance of 16 bits"));
}
