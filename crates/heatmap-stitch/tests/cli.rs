//! The program on a small made region, its failures too.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use contract::{Cluster, Made, Metric, PogRow, RaterRow, Record, Score};
use heatmap_stitch::stitch::{grid_around, stitch};
use raster::Source;

struct Region {
    folder: tempfile::TempDir,
}

impl Region {
    fn new() -> Region {
        Region { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write<R: Record>(&self, name: &str, rows: &[R]) -> PathBuf {
        contract::write(&self.path(name), rows, &Made::by("stage3-train")).unwrap();
        self.path(name)
    }

    fn map(&self, scores: &[&Path], out: &str) -> Output {
        self.map_with(scores, out, &[])
    }

    fn map_with(&self, scores: &[&Path], out: &str, flags: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_heatmap-stitch"));
        command.arg("map");
        for path in scores {
            command.arg("--scores").arg(path);
        }
        command.args(["--pixel-m", "10", "--title", "A made region", "--credit", "Made up."]);
        for (flag, ending) in [("--out-png", "png"), ("--out-colour", "colour.tif"), ("--out", "tif")] {
            command.arg(flag).arg(self.path(&format!("{out}.{ending}")));
        }
        command.args(flags);
        command.output().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A granule of 4 x 4 tiles of 320 m; every fifth tile has no score.
fn granule(id: &str, crs: &str, west_m: f64, north_m: f64) -> Vec<Score> {
    let row = |i: u32| {
        let (west_m, north_m) = (west_m + f64::from(i % 4) * 320.0, north_m - f64::from(i / 4) * 320.0);
        let scored = i % 5 != 4;
        Score {
            granule: id.parse().unwrap(),
            tile: format!("r{:03}c{:03}", i / 4, i % 4).parse().unwrap(),
            crs: crs.to_owned(),
            west_m,
            south_m: north_m - 320.0,
            east_m: west_m + 320.0,
            north_m,
            score: scored.then_some(f64::from(i) / 16.0),
            sd: scored.then_some(0.05),
            low: None,
            high: None,
            distance_ratio: None,
            outside: None,
            n_members: 5,
            skipped: (!scored).then(|| "no data".to_owned()),
        }
    };
    (0..16).map(row).collect()
}

#[test]
fn a_map_has_the_scores_its_provenance_and_a_picture() {
    let region = Region::new();
    let west = region.write("west.parquet", &granule("west", "EPSG:32618", 500_000.0, 4_180_000.0));
    let east = region.write("east.parquet", &granule("east", "EPSG:32618", 501_280.0, 4_180_000.0));
    let output = region.map(&[&west, &east], "map");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stderr(&output).contains("32 tiles in, 26 ok, 6 skipped (no data)"), "{}", stderr(&output));

    let map = Source::open(region.path("map.tif")).unwrap();
    assert_eq!((map.grid().height, map.grid().width, map.n_bands()), (128, 256, 4));
    assert_eq!(map.band_names(), ["score_share", "sd_share", "scenes", "outside_share"]);
    assert_eq!((map.nodata(), map.tag("", "CONTRACT").as_deref()), (Some(-9999.0), Some("heatmap/2")));
    assert_eq!(map.tag("", "TILE_SIDE_M").as_deref(), Some("320"));
    let scores = map.read_band::<f32>(1).unwrap();
    assert_eq!((scores[0], scores[255], scores[4 * 32 - 1]), (0.0, 3.0 / 16.0, 3.0 / 16.0));
    assert_eq!(scores[32 * 256], -9999.0, "the fifth tile has no score");

    let colour = Source::open(region.path("map.colour.tif")).unwrap();
    let steps = colour.read_band::<u8>(1).unwrap();
    assert_eq!((steps[0], steps[127], steps[32 * 256], colour.nodata()), (0, 38, 255, Some(255.0)));
    assert!(std::fs::read(region.path("map.png")).unwrap().starts_with(b"\x89PNG"));
}

#[test]
fn a_granule_that_another_program_filled_is_written_as_the_map_of_it_alone() {
    let region = Region::new();
    let scores = region.write("west.parquet", &granule("west", "EPSG:32618", 500_003.0, 4_180_000.0));
    let output = region.map_with(&[&scores], "map", &["--keep-offsets"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let tables = std::slice::from_ref(&scores);
    let granules = heatmap_stitch::read_granules(tables).unwrap();
    let grid = grid_around(&granules[0].patches, 10.0, &granules[0].crs).unwrap();
    let filled = stitch(&granules[0].patches, &grid);
    let bands = [&filled.score_share[..], &filled.sd_share, &filled.scenes, &filled.outside_share];
    heatmap_stitch::write_granule(&region.path("west.tif"), &grid, bands, &granules[0], tables).unwrap();
    let [map, west] = ["map.tif", "west.tif"].map(|name| Source::open(region.path(name)).unwrap());
    assert_eq!((map.grid(), map.band_names()), (west.grid(), west.band_names()));
    for tag in ["CONTRACT", "TILE_SIDE_M"] {
        assert_eq!(map.tag("", tag), west.tag("", tag));
    }
    for band in 1..=4 {
        assert_eq!(map.read_band::<f32>(band).unwrap(), west.read_band::<f32>(band).unwrap(), "band {band}");
    }
}

#[test]
fn granules_of_two_zones_share_a_map_that_any_chosen_system_can_show() {
    let region = Region::new();
    // The edge between zones 17 and 18 at 38 degrees north, seen from both.
    let west = region.write("west.parquet", &granule("west", "EPSG:32617", 762_900.0, 4_209_500.0));
    let east = region.write("east.parquet", &granule("east", "EPSG:32618", 236_600.0, 4_209_500.0));
    let cases: [(&[&str], &str); 2] = [
        (&["--close-gaps-m", "0"], "Lambert_Azimuthal_Equal_Area"),
        (&["--close-gaps-m", "0", "--crs", "EPSG:32618"], "32618"),
    ];
    for (flags, wanted) in cases {
        let output = region.map_with(&[&west, &east], "map", flags);
        assert!(output.status.success(), "{}", stderr(&output));
        let map = Source::open(region.path("map.tif")).unwrap();
        assert!(map.grid().crs.wkt().contains(wanted), "{}", map.grid().crs.wkt());
        let scored = map.read_band::<f32>(1).unwrap().iter().filter(|&&v| v != -9999.0).count();
        let scenes = map.read_band::<f32>(3).unwrap();
        let seen: f32 = scenes.iter().filter(|&&n| n > 0.0).sum();
        // 2 x 13 tiles of 320 m; a zone's edge stretches lengths by less than 0.1 per cent.
        assert!(
            (f64::from(seen) * 100.0 / (26.0 * 320.0 * 320.0) - 1.0).abs() < 0.003,
            "{seen} pixels, each scene once"
        );
        assert!(scored as f32 <= seen && scored > 0);
    }
    let refused = region.map_with(&[&west, &east], "map", &["--crs", "EPSG:4326"]);
    assert!(stderr(&refused).contains("--crs: want a coordinate system in metres"), "{}", stderr(&refused));
}

#[test]
fn scenes_that_disagree_are_brought_together_and_the_report_says_by_how_much() {
    let region = Region::new();
    let west = region.write("west.parquet", &granule("west", "EPSG:32618", 500_000.0, 4_180_000.0));
    let mut brighter = granule("east", "EPSG:32618", 500_640.0, 4_180_000.0);
    brighter.iter_mut().for_each(|row| row.score = row.score.map(|score| 0.5 + score / 4.0));
    let east = region.write("east.parquet", &brighter);
    let path = |name: &str| region.path(name).display().to_string();
    let extra = [path("seams.parquet"), path("map.qml"), path("granules")];
    let flags = ["--seams-out", &extra[0], "--out-qml", &extra[1], "--granules-out", &extra[2]];
    assert!(region.map_with(&[&west, &east], "map", &flags).status.success());
    let rows: Vec<Metric> = contract::read(&region.path("seams.parquet")).unwrap();
    let value = |name: &str| rows.iter().find(|row| row.name == name).and_then(|row| row.value).unwrap();
    assert!(value("overlap_difference_after") < 0.6 * value("overlap_difference_before"), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row.name == "correction").count(), 2);
    assert!(std::fs::read_to_string(region.path("map.qml")).unwrap().contains("singlebandpseudocolor"));
    assert!(region.path("granules/east.png").is_file() && region.path("granules/west.png").is_file());

    let alone = [path("alone.parquet")];
    assert!(region.map_with(&[&west], "alone", &["--seams-out", &alone[0]]).status.success());
    let rows: Vec<Metric> = contract::read(&region.path("alone.parquet")).unwrap();
    assert!(rows.iter().all(|row| row.value.is_none() && row.n == 0), "{rows:?}");
}

#[test]
fn a_published_list_becomes_tables_that_a_map_is_made_of() {
    let region = Region::new();
    std::fs::write(
        region.path("list.csv"),
        "granule,item_id,row,col,score\n48RVV,x,0,0,0.25\n48RVV,x,0,1,0.75\n",
    )
    .unwrap();
    let square = "[[104.0,32.0],[105.0,32.0],[105.0,31.0],[104.0,31.0],[104.0,32.0]]";
    let place = format!(
        "{{\"features\":[{{\"properties\":{{\"Name\":\"48RVV\"}},\"geometry\":{{\"coordinates\":[{square}]}}}}]}}"
    );
    std::fs::write(region.path("places.json"), place).unwrap();
    let run = |list: &str| {
        Command::new(env!("CARGO_BIN_EXE_heatmap-stitch"))
            .args(["published", "--tile-m", "3430", "--table"])
            .arg(region.path(list))
            .arg("--footprints")
            .arg(region.path("places.json"))
            .arg("--out")
            .arg(region.path("scores"))
            .output()
            .unwrap()
    };
    assert!(run("list.csv").status.success(), "{}", stderr(&run("list.csv")));
    let rows: Vec<Score> = contract::read(&region.path("scores/T48RVV.parquet")).unwrap();
    assert_eq!((rows.len(), rows[1].score, rows[1].crs.as_str()), (2, Some(0.75), "EPSG:32648"));
    assert_eq!((rows[1].west_m - rows[0].west_m, rows[0].north_m % 60.0), (3430.0, 0.0));
    let office = "\u{feff}granule;note;row;col;score\r\n48RVV;\"5; \"\"a\"\"\";0;0;0.25\r\n\r\n48RVV;6\" pipe;0;1;0.75\r\n";
    std::fs::write(region.path("office.csv"), office).unwrap();
    assert!(run("office.csv").status.success(), "{}", stderr(&run("office.csv")));
    assert_eq!(contract::read::<Score>(&region.path("scores/T48RVV.parquet")).unwrap(), rows);
    for (text, wanted) in [
        ("granule,row,col,score\n48RVV,0,0,1.5\n", "in line 2"),
        ("granule,row,score\n", "want column col, found granule, row, score"),
        ("granule,row,col,score\n48RVV,0,0,\"0.5\n48RVV,0,1,0.5\n", "line 2: want a quoted field"),
        (
            "granule,row,col,score\n48RVV,0,0,0.5\n48RVV,0,0,0.6\n",
            "want one score a tile, got two for row 0, column 0",
        ),
        ("granule,row,col,score\n48RXX,0,0,0.5\n", "want a footprint of granule 48RXX"),
    ] {
        std::fs::write(region.path("bad.csv"), text).unwrap();
        let output = run("bad.csv");
        assert!(output.status.code() == Some(1) && stderr(&output).contains(wanted), "{}", stderr(&output));
    }
}

#[test]
fn the_order_of_the_tables_does_not_change_a_byte() {
    let region = Region::new();
    let one = region.write("one.parquet", &granule("one", "EPSG:32618", 500_000.0, 4_180_000.0));
    let two = region.write("two.parquet", &granule("two", "EPSG:32618", 500_570.0, 4_179_710.0));
    assert!(region.map(&[&one, &two], "a").status.success());
    assert!(region.map(&[&two, &one], "b").status.success());
    for ending in ["tif", "colour.tif", "png"] {
        let read = |out: &str| std::fs::read(region.path(&format!("{out}.{ending}"))).unwrap();
        assert!(read("a") == read("b"), "{ending} differs");
    }
}

#[test]
fn input_that_makes_no_map_is_refused_in_one_line_and_old_maps_stay() {
    let region = Region::new();
    let good = region.write("good.parquet", &granule("good", "EPSG:32618", 500_000.0, 4_180_000.0));
    let degrees = region.write("degrees.parquet", &granule("degrees", "EPSG:4326", 0.0, 50.0));
    let empty = region.write::<Score>("empty.parquet", &[]);
    let mut rows = granule("dark", "EPSG:32618", 500_000.0, 4_180_000.0);
    rows.iter_mut().for_each(|row| (row.score, row.sd) = (None, None));
    let dark = region.write("dark.parquet", &rows);
    let order = PogRow { cluster: 0, rank: 1.0, rank_low: 1.0, rank_high: 1.0, level: 1 };
    let wrong = region.write("pog.parquet", &[order]);
    let absent = region.path("absent.parquet");
    std::fs::write(region.path("map.tif"), "old").unwrap();

    let cases: [(&[&Path], &str); 6] = [
        (&[&degrees], "want a coordinate system in metres, got EPSG:4326"),
        (&[&empty], "no tile in any --scores table"),
        (&[&dark], "want at least one tile with a score, got 16 tiles without"),
        (&[&wrong], "want table scores/2, got pog/1; make it again with stage3-train"),
        (&[&absent], "absent.parquet: cannot read"),
        (&[&good, &absent], "absent.parquet: cannot read"),
    ];
    for (scores, wanted) in cases {
        let output = region.map(scores, "map");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted), "want `{wanted}` in {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(std::fs::read_to_string(region.path("map.tif")).unwrap(), "old");
    }
}

#[test]
fn wrong_flags_end_with_2() {
    let run = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_heatmap-stitch")).args(args).output().unwrap();
    for args in [&["map", "--pixel-m", "-1"][..], &["map"], &["sumary"], &[], &["summary", "--titel", "x"]] {
        assert_eq!(run(args).status.code(), Some(2), "{args:?}");
    }
}

#[test]
fn a_summary_says_what_was_found_within_80_columns() {
    let region = Region::new();
    let rows = granule("west", "EPSG:32618", 500_000.0, 4_180_000.0);
    let scores = region.write("scores.parquet", &rows);
    let cluster = |row: &Score| {
        let n = row.tile.col % 3;
        let class = if n == 2 { "rural" } else { "urban" };
        Cluster {
            granule: row.granule.clone(),
            tile: row.tile,
            class: class.to_owned(),
            cluster: n,
            distance: 0.1,
        }
    };
    let clusters = region.write("clusters.parquet", &rows.iter().map(cluster).collect::<Vec<_>>());
    let place =
        |(cluster, level)| PogRow { cluster, rank: f64::from(level), rank_low: 1.0, rank_high: 3.0, level };
    let pog = region.write("pog.parquet", &[(0, 2), (1, 1), (2, 2)].map(place));
    let rater = |i: u32| RaterRow {
        rater: format!("local-head-{i}"),
        weight: 0.1,
        distance: 1.0,
        tau: Some(0.9),
        shift_ranks: Some(0.1),
        moved_share: Some(0.0),
        n_votes: 9,
        n_missing: 0,
    };
    let raters = region.write("raters.parquet", &(0..10).map(rater).collect::<Vec<_>>());
    let metric = Metric {
        name: "spearman".to_owned(),
        of: "score, night light".to_owned(),
        value: None,
        low: None,
        high: None,
        unit: "1".to_owned(),
        n: 12,
        note: Some("n too small, not reported: 12 cells, at least 30 wanted".to_owned()),
    };
    let metrics = region.write("corr.parquet", &[metric]);
    let mut ledger = stage::Ledger::of("tiles", 16);
    ledger.ok(13);
    (0..3).for_each(|_| ledger.skip("no data"));
    ledger.report("granule-split-mpi", 1.5).write(&region.path("split.json")).unwrap();

    let output = Command::new(env!("CARGO_BIN_EXE_heatmap-stitch"))
        .args(["summary", "--title", "A made region", "--see", "data/out/made/heatmap.png"])
        .arg("--scores")
        .arg(&scores)
        .arg("--clusters")
        .arg(&clusters)
        .arg("--pog")
        .arg(&pog)
        .arg("--raters")
        .arg(&raters)
        .arg("--metrics")
        .arg(&metrics)
        .arg("--stage-ledger")
        .arg(region.path("split.json"))
        .arg("--out")
        .arg(region.path("summary.txt"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(std::fs::read_to_string(region.path("summary.txt")).unwrap(), page);
    assert!(page.lines().all(|line| line.chars().count() <= 80), "{page}");
    for wanted in [
        "U1 > U0 = R2",
        "13 tiles with a score, 3 without",
        "not reported",
        "granule-split-mpi            1.5     1  13 of 16 tiles ok, 3 skipped (no data)",
        "data/out/made/heatmap.png",
    ] {
        assert!(page.contains(wanted), "want `{wanted}` in\n{page}");
    }
    println!("{page}");
}

#[test]
fn a_summary_of_a_file_that_is_no_ledger_is_refused() {
    let region = Region::new();
    std::fs::write(region.path("broken.json"), "{").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_heatmap-stitch"))
        .args(["summary", "--title", "x", "--stage-ledger"])
        .arg(region.path("broken.json"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("want a stage's ledger"), "{}", stderr(&output));
}
