//! The program on made rasters, its failures too.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use contract::{Metric, Score, TileId};
use raster::{Affine, BandOut, CogOptions, Crs, Grid, Pixel, write_cog};

struct Region {
    folder: tempfile::TempDir,
}

const TILE_M: f64 = 640.0;
const PIXEL_M: f64 = 20.0;

impl Region {
    fn new() -> Region {
        Region { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A heat map of `rows` x `columns` tiles whose score is a share of the tile's place; NaN has none.
    fn heatmap(
        &self,
        name: &str,
        (rows, columns): (usize, usize),
        score: impl Fn(usize, usize) -> f32,
        tag: &str,
    ) -> PathBuf {
        let side = (TILE_M / PIXEL_M) as usize;
        let grid = utm_grid(rows * side, columns * side);
        let pixel = |i: usize| score(i / grid.width / side, i % grid.width / side);
        let pixels: Vec<f32> =
            (0..grid.len()).map(pixel).map(|v| if v.is_nan() { -9999.0 } else { v }).collect();
        let tags =
            vec![("CONTRACT".to_owned(), tag.to_owned()), ("TILE_SIDE_M".to_owned(), TILE_M.to_string())];
        let bands = [("score_share", &pixels), ("sd_share", &pixels)];
        self.raster(
            name,
            &grid,
            &bands.map(|(name, pixels)| BandOut { name, unit: "share", pixels }),
            Some(-9999.0),
            tags,
        )
    }

    /// Lights in pixels of 15 arc seconds over the heat maps and a little more.
    fn lights<T: Pixel>(&self, name: &str, west_deg: f64, radiance: impl Fn(usize, usize) -> T) -> PathBuf {
        let transform =
            Affine { west: west_deg, north: 38.0, pixel_width: 1.0 / 240.0, pixel_height: 1.0 / 240.0 };
        let grid = Grid { height: 120, width: 120, transform, crs: Crs::wgs84().unwrap() };
        let pixels: Vec<T> = (0..grid.len()).map(|i| radiance(i / grid.width, i % grid.width)).collect();
        self.raster(
            name,
            &grid,
            &[BandOut { name: "radiance", unit: "nW cm-2 sr-1", pixels: &pixels }],
            None,
            Vec::new(),
        )
    }

    fn raster<T: Pixel>(
        &self,
        name: &str,
        grid: &Grid,
        bands: &[BandOut<'_, T>],
        nodata: Option<f64>,
        tags: Vec<(String, String)>,
    ) -> PathBuf {
        write_cog(&self.path(name), grid, bands, &CogOptions { nodata, tags, ..CogOptions::default() })
            .unwrap();
        self.path(name)
    }

    fn compare(&self, heatmap: &Path, lights: &Path, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viirs-corr"));
        command.arg("--heatmap").arg(heatmap).arg("--night-lights").arg(lights).args(more);
        command.arg("--out-png").arg(self.path("viirs.png")).arg("--out").arg(self.path("corr.parquet"));
        command.output().unwrap()
    }

    fn metrics(&self) -> Vec<Metric> {
        contract::read(&self.path("corr.parquet")).unwrap()
    }
}

fn utm_grid(height: usize, width: usize) -> Grid {
    let transform =
        Affine { west: 420_000.0, north: 4_200_000.0, pixel_width: PIXEL_M, pixel_height: PIXEL_M };
    Grid { height, width, transform, crs: Crs::from_epsg(32_618).unwrap() }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// West-east ramps: the score of a tile, and the radiance of a pixel, which brightens eastward too.
fn ramp(_: usize, column: usize) -> f32 {
    column as f32 / 30.0
}

fn light_ramp(_: usize, column: usize) -> f32 {
    (column as f32 / 20.0).exp() - 1.2
}

#[test]
fn lights_that_rise_with_the_score_correlate_and_the_table_says_how_much() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), ramp, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let output = region.compare(&map, &lights, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = region.metrics();
    assert_eq!(
        rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(),
        ["spearman", "pearson_log1p", "pearson"]
    );
    assert!(rows.iter().all(|row| row.n == 600), "all tiles count: {rows:?}");
    let [spearman, log, raw] = [0, 1, 2].map(|i| rows[i].value.unwrap());
    assert!(spearman > 0.99 && log > 0.97 && raw < log, "{spearman} {log} {raw}");
    assert!(std::fs::read(region.path("viirs.png")).unwrap().starts_with(b"\x89PNG"));
    if let Some(folder) = std::env::var_os("FIGURE_OUT") {
        std::fs::copy(region.path("viirs.png"), Path::new(&folder).join("viirs.png")).unwrap();
    }
}

#[test]
fn a_map_of_one_score_has_a_reason_and_no_number_in_every_table() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), |_, _| 0.4, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let details = region.path("details.parquet");
    let output = region.compare(&map, &lights, &["--details-out", details.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = region.metrics();
    assert!(rows.len() == 3 && rows.iter().all(|row| (row.value, row.low, row.high) == (None, None, None)));
    assert!(rows.iter().all(|row| row.note.as_deref().unwrap().contains("does not vary")), "{rows:?}");
    for row in contract::read::<Metric>(&details).unwrap() {
        let numbers = [row.value, row.low, row.high].into_iter().flatten();
        assert!(numbers.into_iter().all(f64::is_finite), "{row:?}");
        assert!(row.value.is_some() || row.note.is_some(), "{row:?}");
    }
}

#[test]
fn a_cell_without_a_score_or_a_radiance_is_left_out_and_counted() {
    let region = Region::new();
    let gap = |row: usize, column: usize| if row < 5 { f32::NAN } else { ramp(row, column) };
    let map = region.heatmap("heatmap.tif", (20, 30), gap, "heatmap/2");
    let dark = |row: usize, column: usize| if column < 50 { f32::NAN } else { light_ramp(row, column) };
    let lights = region.lights("lights.tif", -76.0, dark);
    let output = region.compare(&map, &lights, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let n = region.metrics()[0].n;
    assert!(0 < n && n < 450, "{n} cells");
    let said = stderr(&output);
    for wanted in [
        format!("600 cells in, {n} ok"),
        "150 skipped (less than half has a score)".to_owned(),
        format!("{} skipped (less than half has a radiance)", 450 - n),
    ] {
        assert!(said.contains(&wanted), "want `{wanted}` in {said}");
    }
}

#[test]
fn too_few_cells_are_not_reported() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (3, 3), ramp, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let output = region.compare(&map, &lights, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    for row in region.metrics() {
        assert_eq!((row.value, row.n), (None, 9));
        assert_eq!(row.note.as_deref(), Some("n too small, not reported: 9 cells, at least 30 wanted"));
    }
    assert!(region.compare(&map, &lights, &["--min-n", "5"]).status.success());
    assert!(region.metrics().iter().all(|row| row.value.is_some()));
}

#[test]
fn a_saturated_sensor_is_cut_as_told() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), ramp, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    region.compare(&map, &lights, &[]);
    let open = region.metrics()[0].value.unwrap();
    region.compare(&map, &lights, &["--saturation-nw-cm2-sr", "5"]);
    let rows = region.metrics();
    assert!(rows[0].value.unwrap() < open);
    assert!(rows[0].note.as_deref().unwrap().contains("radiance above 5 counts as 5"));
}

#[test]
fn input_that_cannot_be_compared_is_refused_in_one_line() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (4, 4), ramp, "heatmap/2");
    let other = region.heatmap("other.tif", (4, 4), ramp, "heatmap/0");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let picture = region.lights("picture.tif", -76.0, |_, column| column as u8);
    let far = region.lights("far.tif", 100.0, light_ramp);
    let absent = region.path("absent.tif");
    let cases = [
        (&other, &lights, "want raster heatmap/2, got heatmap/0; make it again with heatmap-stitch"),
        (&lights, &lights, "want raster heatmap/2, got no contract tag"),
        (&map, &picture, "a rescaled or rendered picture is no radiance"),
        (&map, &far, "got a raster that does not meet it"),
        (&map, &absent, "absent.tif"),
    ];
    for (map, lights, wanted) in cases {
        let output = region.compare(map, lights, &[]);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted), "want `{wanted}` in {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(!region.path("corr.parquet").exists());
    assert_eq!(region.compare(&map, &lights, &["--saturation-nw-cm2-sr", "0"]).status.code(), Some(2));
}

#[test]
fn equal_runs_give_equal_bytes() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), ramp, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let run = || {
        region.compare(&map, &lights, &[]);
        ["viirs.png", "corr.parquet"].map(|name| std::fs::read(region.path(name)).unwrap())
    };
    assert!(run() == run());
}

/// The tiles of a made map as a table of scores.
fn tiles(granule: &str, (rows, columns): (u32, u32)) -> Vec<Score> {
    let tile = |i: u32| {
        let (row, col) = (i / columns, i % columns);
        let (west_m, north_m) = (420_000.0 + f64::from(col) * TILE_M, 4_200_000.0 - f64::from(row) * TILE_M);
        Score {
            granule: granule.parse().unwrap(),
            tile: TileId { row, col },
            crs: "EPSG:32618".to_owned(),
            west_m,
            south_m: north_m - TILE_M,
            east_m: west_m + TILE_M,
            north_m,
            score: Some(f64::from(ramp(0, col as usize))),
            sd: None,
            low: None,
            high: None,
            distance_ratio: None,
            outside: None,
            n_members: 1,
            skipped: None,
        }
    };
    (0..rows * columns).map(tile).collect()
}

#[test]
fn details_say_what_the_numbers_are_worth_and_every_granule_has_its_line() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), ramp, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let path = |name: &str| region.path(name).display().to_string();
    for (name, shape) in [("all", (20, 30)), ("few", (4, 5))] {
        let made = contract::Made::by("stage3-train");
        contract::write(&region.path(&format!("{name}.parquet")), &tiles(name, shape), &made).unwrap();
    }
    let (all, few, details, table) =
        (path("all.parquet"), path("few.parquet"), path("details.parquet"), path("table.md"));
    let flags = [
        "--scores",
        &all,
        "--scores",
        &few,
        "--details-out",
        &details,
        "--table-out",
        &table,
        "--draws",
        "19",
    ];
    let output = region.compare(&map, &lights, &flags);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Metric> = contract::read(&region.path("details.parquet")).unwrap();
    let find =
        |name: &str, of: &str| rows.iter().find(|row| row.name == name && row.of.starts_with(of)).unwrap();
    let effective_n = find("spearman_effective_n", "independent").value.unwrap();
    assert!(effective_n < 60.0, "a ramp is far from 600 independent cells, got {effective_n}");
    assert!(find("spearman_p_phases", "no correlation").value.unwrap() > 0.04, "20 draws cannot show less");
    assert!(find("pearson_log1p_best_shift", "light moved").value.unwrap() > 0.9);
    assert!(find("spearman", "all").value.unwrap() > 0.9);
    assert_eq!((find("spearman", "few").value, find("spearman", "few").n), (None, 20));
    assert_eq!(find("spearman", "tiles of 2 granules").n, 620);
    let table = std::fs::read_to_string(region.path("table.md")).unwrap();
    assert_eq!(table.lines().count(), 2 + 3, "{table}");
    assert!(table.contains("| few | 20 | not reported |"), "{table}");
    let refused = region.compare(&map, &lights, &["--table-out", &path("t.md")]);
    assert_eq!(refused.status.code(), Some(2), "a table of granules wants --scores");
}

#[test]
fn pixels_seen_too_seldom_are_missing_and_coverage_on_other_pixels_is_refused() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), ramp, "heatmap/2");
    // The east is wrong, and was seen once.
    let lights =
        region.lights("lights.tif", -76.0, |_, column| if column < 30 { light_ramp(0, column) } else { 0.5 });
    let seen = region.lights("seen.tif", -76.0, |_, column| if column < 30 { 9_u16 } else { 1 });
    let other = region.lights("other.tif", -75.9, |_, _| 9_u16);
    let number = |flags: &[&str]| {
        let output = region.compare(&map, &lights, flags);
        assert!(output.status.success(), "{}", stderr(&output));
        let row = region.metrics().swap_remove(0);
        (row.value.unwrap(), row.n)
    };
    let seen = seen.display().to_string();
    let (all, n_all) = number(&[]);
    assert_eq!(number(&["--quality", &seen]), (all, n_all), "all pixels were seen once");
    let (known, n_known) = number(&["--quality", &seen, "--min-quality", "2"]);
    assert!(known > all + 0.05 && n_known < n_all, "{known} of {n_known}, {all} of {n_all}");
    let refused = region.compare(&map, &lights, &["--quality", &other.display().to_string()]);
    let said = stderr(&refused);
    assert_eq!((refused.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("want the pixels of the night lights"), "{said}");
}

#[test]
fn a_rival_is_held_against_the_score_and_taken_out_of_it() {
    let region = Region::new();
    let map = region.heatmap("heatmap.tif", (20, 30), ramp, "heatmap/2");
    let lights = region.lights("lights.tif", -76.0, light_ramp);
    let height = region.lights("height.tif", -76.0, |row, column| (3 * column + row % 5) as i16);
    let (details, rival) =
        (region.path("details.parquet").display().to_string(), format!("elevation={}", height.display()));
    let itself = format!("light={}", lights.display());
    let flags = ["--details-out", &details, "--draws", "19", "--baseline", &rival, "--baseline", &itself];
    let output = region.compare(&map, &lights, &flags);
    assert!(output.status.success(), "{}", stderr(&output));
    let rows: Vec<Metric> = contract::read(Path::new(&details)).unwrap();
    let find = |name: &str, of: &str| rows.iter().find(|row| row.name == name && row.of == of).unwrap().value;
    assert!(find("spearman_baseline", "elevation").unwrap() > 0.95);
    assert!(find("spearman_partial", "score, given elevation").is_some());
    assert_eq!(find("spearman_baseline", "light"), Some(1.0));
    assert_eq!(find("spearman_partial", "score, given light"), None, "nothing is left of the light");
    assert!(rows.iter().any(|row| row.of == "score, given position, elevation, light"));
    assert!(rows.iter().any(|row| row.name == "spearman_without_blooming"));
    for (flag, said) in [("elevation", "want NAME=TIF"), ("elevation=missing.tif", "missing.tif")] {
        let refused = region.compare(&map, &lights, &["--details-out", &details, "--baseline", flag]);
        assert!(!refused.status.success() && stderr(&refused).contains(said), "{}", stderr(&refused));
    }
}
