//! Laws of the tables: specs are well named, rows read back as themselves, wrong files are refused by name.
#![allow(clippy::unwrap_used)]

use contract::*;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::Path;

const CRATES: &[&str] = &[
    "s2-fetch",
    "granule-split-mpi",
    "vlm-label",
    "stage1-cluster",
    "pog-aggregate",
    "stage3-train",
    "heatmap-stitch",
    "viirs-corr",
    "region-report",
];

#[test]
fn every_column_name_ends_in_its_unit_and_is_unique() {
    let mut n_columns = 0;
    for spec in TABLES {
        let names: BTreeSet<_> = spec.columns.iter().map(|c| c.name).collect();
        assert_eq!(names.len(), spec.columns.len(), "{} repeats a column name", spec.name);
        assert!(CRATES.contains(&spec.made_by), "{} is made by no stage", spec.name);
        for column in spec.columns {
            n_columns += 1;
            let Some(unit) = column.unit else { continue };
            assert!(
                column.name.ends_with(&format!("_{unit}")),
                "{}.{} hides its unit",
                spec.name,
                column.name
            );
        }
    }
    let tables: BTreeSet<_> = TABLES.iter().map(|s| s.name).collect();
    assert_eq!(tables.len(), 15);
    assert!(n_columns > 60);
    assert!(RASTERS.iter().all(|r| CRATES.contains(&r.made_by)));
}

fn reads_back<R: Record + PartialEq + Debug>(dir: &Path, rows: Vec<R>) {
    let path = dir.join(R::SPEC.name);
    write(&path, &rows, &Made::by("test").seed(7).flag("k", 3)).unwrap();
    assert_eq!(read::<R>(&path).unwrap(), rows);
    write::<R>(&path, &[], &Made::by("test")).unwrap();
    assert_eq!(read::<R>(&path).unwrap(), vec![], "an empty {} table", R::SPEC.name);
}

fn granule() -> GranuleId {
    "T48RVV".parse().unwrap()
}

fn score(score: Option<f64>) -> Score {
    let tile = TileId { row: 1, col: 2 };
    let (skipped, sd) = (score.is_none().then(|| "no data".to_owned()), score.map(|_| 0.1));
    Score {
        granule: granule(),
        tile,
        crs: "EPSG:32648".into(),
        west_m: 0.0,
        south_m: -1.5,
        east_m: 3430.0,
        north_m: 9e6,
        score,
        sd,
        low: score.map(|s| s - 0.2),
        high: score.map(|s| s + 0.2),
        distance_ratio: score.map(|_| 1.25),
        outside: score.map(|_| true),
        n_members: 5,
        skipped,
    }
}

#[test]
fn rows_of_every_table_read_back_as_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let tile = TileId { row: 31, col: 0 };
    reads_back(dir.path(), vec![score(Some(0.25)), score(None)]);
    reads_back(
        dir.path(),
        vec![Cluster { granule: granule(), tile, class: "urban".into(), cluster: 3, distance: 0.5 }],
    );
    reads_back(dir.path(), vec![PogRow { cluster: 0, rank: 1.5, rank_low: 1.0, rank_high: 2.5, level: 1 }]);
    let rater = "local/h0".to_owned();
    reads_back(
        dir.path(),
        vec![RaterRow {
            rater: rater.clone(),
            weight: 0.1,
            distance: 2.0,
            tau: Some(-0.5),
            shift_ranks: None,
            moved_share: Some(0.25),
            n_votes: 9,
            n_missing: 1,
        }],
    );
    let vote = Vote {
        rater,
        judge: "local".into(),
        persona: "expert".into(),
        repeat: 0,
        cluster: 4,
        granule: granule(),
        tile,
        score: None,
        missing: Some("refused".into()),
        raw: Some("I cannot\n…".into()),
        prompt_hash: "ab".into(),
    };
    reads_back(dir.path(), vec![vote.clone(), Vote { score: Some(55.0), missing: None, raw: None, ..vote }]);
    reads_back(
        dir.path(),
        vec![Label {
            granule: granule(),
            tile,
            class: "rural".into(),
            probability: Some(1.0),
            sd: None,
            n_answers: 1,
            n_missing: 2,
            judge: "replay".into(),
            prompt_hash: "cd".into(),
            missing: None,
        }],
    );
    reads_back(
        dir.path(),
        vec![Scene {
            granule: granule(),
            item: "S2A".into(),
            place: 0,
            chosen: true,
            sensed: None,
            baseline: Some("04.00".into()),
            cloud_share: Some(0.01),
            valid_share: None,
            offset: Some(1000.0),
            source: "file.tif".into(),
            sha256: None,
            n_bytes: 1 << 40,
        }],
    );
    reads_back(
        dir.path(),
        vec![Metric {
            name: "spearman".into(),
            of: "pooled".into(),
            value: None,
            low: None,
            high: None,
            unit: "1".into(),
            n: 4,
            note: Some("n too small, not reported".into()),
        }],
    );
}

#[test]
fn zones_and_targeting_read_back_as_themselves() {
    let dir = tempfile::tempdir().unwrap();
    let full = Region {
        zone: "510104".into(),
        name: "锦江区".into(),
        part_of: Some("成都市".into()),
        lon_deg: 104.1,
        score: Some(0.9),
        rank: Some(1),
        rank_low: Some(1),
        rank_high: Some(4),
        targeted: true,
        ..Region::default()
    };
    let empty = Region { zone: "x".into(), skipped: Some("less than half".into()), ..Region::default() };
    reads_back(dir.path(), vec![full, empty]);
    reads_back(
        dir.path(),
        vec![Targeting {
            rule: "score".into(),
            truth: "official".into(),
            n_chosen: 9,
            n_zones: 90,
            exclusion: 0.25,
            inclusion: 0.25,
        }],
    );
}

#[test]
fn what_judges_said_reads_back_as_itself() {
    let dir = tempfile::tempdir().unwrap();
    let tile = TileId { row: 31, col: 0 };
    let pair = Pair {
        rater: "openai:m/expert.en/0".into(),
        judge: "openai:m".into(),
        persona: "expert.en".into(),
        repeat: 0,
        round: 2,
        left_cluster: 4,
        right_cluster: 1,
        left_granule: granule(),
        left_tile: tile,
        right_granule: granule(),
        right_tile: TileId { row: 0, col: 7 },
        winner: None,
        missing: Some("refused".into()),
        raw: None,
        prompt_hash: "ab".into(),
    };
    let won = |winner| Pair { winner: Some(winner), missing: None, ..pair.clone() };
    reads_back(dir.path(), [vec![pair.clone()], Winner::ALL.map(won).to_vec()].concat());
    let answer = AnswerRow {
        judge: "openai:m".into(),
        model: Some("m-2026".into()),
        prompt: "expert.en".into(),
        prompt_hash: "ab".into(),
        granule: granule(),
        tile,
        right: None,
        repeat: 3,
        parameters: "{}".into(),
        raw: Some("{\"score\": 3}".into()),
        missing: None,
        n_tokens_in: Some(900),
        n_tokens_out: None,
        latency_s: Some(0.75),
    };
    reads_back(dir.path(), vec![AnswerRow { right: Some((granule(), tile)), ..answer.clone() }, answer]);
}

#[test]
fn a_judgement_swapped_twice_is_itself_and_words_are_read_exactly() {
    for winner in Winner::ALL {
        assert_eq!(winner.swapped().swapped(), winner);
        assert_eq!(Winner::of_word(winner.word()), Some(winner));
        assert_eq!(Winner::of_word(&winner.word().to_uppercase()), None);
    }
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..2000).map(|i| score(Some(f64::from(i) / 2000.0))).collect();
    let hashes: BTreeSet<_> = ["a", "b", "c"]
        .iter()
        .map(|name| {
            let path = dir.path().join(name);
            write(&path, &rows, &Made::by("test")).unwrap();
            sha256_of(&path).unwrap()
        })
        .collect();
    assert_eq!(hashes.len(), 1);
}

#[test]
fn a_table_of_another_stage_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.parquet");
    write(&path, &[score(None)], &Made::by("test")).unwrap();
    let error = read::<PogRow>(&path).unwrap_err().to_string();
    assert!(
        error.contains("scores.parquet: want table pog/1, got scores/2; make it again with pog-aggregate"),
        "{error}"
    );
}

#[test]
fn a_damaged_file_is_refused_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("scores.parquet");
    let rows: Vec<_> = (0..500).map(|i| score(Some(f64::from(i) / 500.0))).collect();
    write(&path, &rows, &Made::by("test")).unwrap();
    let good = std::fs::read(&path).unwrap();
    let mut n_refused = 0;
    for cut in [0, 3, 8, good.len() / 3, good.len() / 2, good.len() - 9, good.len() - 1] {
        std::fs::write(&path, &good[..cut]).unwrap();
        let error = read::<Score>(&path).unwrap_err();
        assert!(error.to_string().starts_with(&path.display().to_string()), "{error}");
        n_refused += 1;
    }
    assert_eq!(n_refused, 7);
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 0x55;
        std::fs::write(&path, &bad).unwrap();
        let _ = read::<Score>(&path); // an error or rows, never a panic
    }
}

#[test]
fn tiles_are_read_row_by_row_as_they_were_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tiles.parquet");
    let meta = TilesMeta {
        granule: "T48RVV".into(),
        crs: "EPSG:32648".into(),
        tile_px: 2,
        pixel_m: 10.0,
        n_rows: 3,
        n_cols: 2,
        bands: vec!["red".into(), "green".into()],
    };
    let tile = |row: u32, col: u32| {
        let skipped = (row == 1 && col == 1).then(|| "valid share 0.1".to_owned());
        let pixels = skipped.is_none().then(|| (0..8).map(|k| (row * 100 + col * 10 + k) as u8).collect());
        Tile {
            tile: TileId { row, col },
            west_m: f64::from(col) * 20.0,
            south_m: 0.0,
            east_m: 1.0,
            north_m: 2.0,
            lon_deg: 104.0,
            lat_deg: 30.0,
            valid_share: 1.0,
            cloud_share: (col == 1).then_some(0.25),
            skipped,
            pixels,
        }
    };
    let mut writer = TileWriter::begin(&path, &meta, &Made::by("test")).unwrap();
    for row in 0..3 {
        writer.push_row(&[tile(row, 0), tile(row, 1)]).unwrap();
    }
    assert!(!path.exists(), "the name must not exist before the file is whole");
    writer.finish().unwrap();
    let reader = TileReader::open(&path).unwrap();
    assert_eq!(reader.meta(), &meta);
    assert_eq!(reader.row(2).unwrap(), vec![tile(2, 0), tile(2, 1)]);
    let all: Vec<_> = reader.tiles().map(Result::unwrap).collect();
    assert_eq!(all.len(), 6);
    assert_eq!(all[3], tile(1, 1));
    let index = reader.index().unwrap();
    assert_eq!(index.len(), 6);
    assert!(index.iter().all(|t| t.pixels.is_none()));
}
