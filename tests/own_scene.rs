//! A scene that a person already has: one settings file of five lines, one make, no catalogue and no network.

use std::fs;
use std::path::{Path, PathBuf};

use raster::{BandOut, CogOptions, Source, write_cog};
use tempfile::TempDir;

use crate::house::{Place, alone, root, stderr, stdout};

const HEIGHT: usize = 700;
const WIDTH: usize = 900;

/// A crop of the demo's scene as another processor would give it: reflectance in f32, bands by colour, NaN for no data.
fn crop(path: &Path) {
    let band = |name: &str| {
        let source = Source::open(root().join(format!("data/demo/{name}.tif"))).unwrap();
        let numbers = source.read_window::<u16>(1, 600, 500, HEIGHT, WIDTH).unwrap();
        let reflectance = |n: u16| if n == 0 { f32::NAN } else { f32::from(n) / 10_000.0 };
        (
            source.grid().window(600, 500, HEIGHT, WIDTH),
            numbers.into_iter().map(reflectance).collect::<Vec<f32>>(),
        )
    };
    let [(grid, red), (_, green), (_, blue)] = ["B04", "B03", "B02"].map(band);
    let planes = [("red", &red), ("green", &green), ("blue", &blue)];
    let bands = planes.map(|(name, pixels)| BandOut { name, unit: "reflectance", pixels: &pixels[..] });
    write_cog(path, &grid, &bands, &CogOptions { nodata: Some(f64::NAN), ..CogOptions::default() }).unwrap();
}

/// A folder of areas with one in it, `mine`, of these settings.
fn area(settings: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let scene = folder.path().join("it's my crop.tif".replace(' ', "_"));
    crop(&scene);
    fs::create_dir(folder.path().join("mine")).unwrap();
    let settings = settings.replace("SCENE", &format!("SCENE_FILES = {}", scene.display()));
    fs::write(folder.path().join("mine/settings.mk"), settings).unwrap();
    (folder, scene)
}

#[test]
fn one_make_and_five_lines_map_a_crop_that_a_person_has() {
    let _turn = alone();
    let (areas, scene) = area("SCENE\nTILE_PX = 64\nPIXEL_M = 40\nSTEPS = 100\nTITLE = My crop\n");
    let place = Place::new(&[&format!("AREAS={}", areas.path().display()), "INPUT_PX=64"]);
    let printed = place.made(&["heatmap-mine"]);
    assert!(!printed.contains("--catalogue"), "{printed}");
    for file in ["heatmap.tif", "heatmap.png", "summary.txt"] {
        assert!(fs::metadata(place.path(&format!("out/mine/{file}"))).unwrap().len() > 300, "{file}");
    }
    let tiles = contract::TileReader::open(&place.path("work/mine/tiles/mine.parquet")).unwrap();
    assert_eq!(tiles.index().unwrap().len(), (HEIGHT / 64) * (WIDTH / 64));
    assert!(place.made(&["heatmap-mine"]).contains("Nothing to be done for 'made'"));
    // A newer file is a newer scene.
    fs::File::open(&scene).unwrap().set_modified(std::time::SystemTime::now()).unwrap();
    assert!(stdout(&place.make(&["-n", "heatmap-mine"])).contains("s2-fetch import "));
    fs::remove_file(&scene).unwrap();
    let text = stderr(&place.make(&["heatmap-mine"]));
    assert!(text.contains("crop.tif: want this file, found none"), "{text}");
}

#[test]
fn a_scene_of_few_tiles_is_told_which_side_would_give_enough() {
    let (areas, _) = area("SCENE\nTITLE = My crop\n");
    let place = Place::new(&[&format!("AREAS={}", areas.path().display())]);
    let output = place.make(&["AOI=mine", &place.path("work/mine/tiles/mine.parquet").display().to_string()]);
    let text = stderr(&output);
    assert!(
        output.status.success() && text.contains("mine: 4 tiles of 343 px") && text.contains("TILE_PX=75"),
        "{text}"
    );
}
