//! The binary on small made granules, its failures too.
#![allow(clippy::unwrap_used)]

use contract::{Cluster, Label, Made, Metric, Tile, TileId, TileReader, TileWriter, TilesMeta};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn weights() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/weights/efficientnet_lite0_imagenet.safetensors")
}

fn stage1(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stage1-cluster")).args(args).output().unwrap()
}

/// A texture of one of six looks, so that k-means has something to find.
fn pixels(look: usize, px: usize) -> Vec<u8> {
    let value = |band: usize, row: usize, col: usize| match look {
        0 => 40 + 60 * band,
        1 => (row / 4 + col / 4) % 2 * 200,
        2 => row * 255 / px,
        3 => (col / 3) % 2 * 180 + band * 20,
        4 => (row * 7 + col * 13) % 97 * 2,
        _ => 220 - 50 * band,
    };
    let at = |i: usize| value(i / (px * px), i / px % px, i % px) as u8;
    (0..3 * px * px).map(at).collect()
}

fn granule(dir: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (tiles, labels) =
        (dir.join(format!("{name}.tiles.parquet")), dir.join(format!("{name}.labels.parquet")));
    let (n, px) = (6, 32);
    let meta = TilesMeta {
        granule: name.into(),
        crs: "EPSG:32618".into(),
        tile_px: px,
        pixel_m: 10.0,
        n_rows: n,
        n_cols: n,
        bands: ["red", "green", "blue"].map(str::to_owned).to_vec(),
    };
    let mut writer = TileWriter::begin(&tiles, &meta, &Made::by("test")).unwrap();
    let mut rows = Vec::new();
    for row in 0..n {
        let tile = |col: u32| {
            let empty = row == 0 && col == 0;
            let mut pixels = pixels(((row + col) % 6) as usize, px as usize);
            pixels[0] = (row * 8 + col) as u8;
            Tile {
                tile: TileId { row, col },
                west_m: 0.0,
                south_m: 0.0,
                east_m: 320.0,
                north_m: 320.0,
                lon_deg: 0.0,
                lat_deg: 0.0,
                valid_share: 1.0,
                cloud_share: None,
                skipped: empty.then(|| "no data".into()),
                pixels: (!empty).then_some(pixels),
            }
        };
        writer.push_row(&(0..n).map(tile).collect::<Vec<_>>()).unwrap();
        for col in 0..n {
            let urban = (row + col) % 6 < 3;
            for (class, is) in [("rural", !urban), ("urban", urban)] {
                rows.push(Label {
                    granule: name.parse().unwrap(),
                    tile: TileId { row, col },
                    class: class.into(),
                    probability: (row != 5 || col != 5).then_some(if is { 0.8 } else { 0.2 }),
                    sd: None,
                    n_answers: 1,
                    n_missing: 0,
                    judge: "test".into(),
                    prompt_hash: String::new(),
                    missing: None,
                });
            }
        }
    }
    writer.finish().unwrap();
    contract::write(&labels, &rows, &Made::by("test")).unwrap();
    (tiles, labels)
}

#[test]
fn tiles_become_clusters_inside_classes_with_sheets_and_a_table_of_k() {
    let dir = tempfile::tempdir().unwrap();
    let (tiles, labels) = granule(dir.path(), "made");
    let (out, metrics, sheets) =
        (dir.path().join("c.parquet"), dir.path().join("m.parquet"), dir.path().join("sheets"));
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let run = |out: &Path| {
        let output = stage1(&[
            "tiles",
            "--tiles",
            &path(&tiles),
            "--labels",
            &path(&labels),
            "--weights",
            &path(&weights()),
            "--input-px",
            "64",
            "--k-min",
            "2",
            "--k-max",
            "5",
            "--sheets",
            &path(&sheets),
            "--metrics-out",
            &path(&metrics),
            "--out",
            &path(out),
        ]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stderr).unwrap()
    };
    let log = run(&out);
    assert!(
        log.contains("36 tiles in, 34 ok") && log.contains("(no data)") && log.contains("(no label)"),
        "{log}"
    );
    let rows = contract::read::<Cluster>(&out).unwrap();
    assert_eq!(rows.len(), 34);
    let n_clusters = rows.iter().map(|r| r.cluster).max().unwrap() + 1;
    for cluster in 0..n_clusters {
        let classes: std::collections::BTreeSet<_> =
            rows.iter().filter(|r| r.cluster == cluster).map(|r| &r.class).collect();
        assert_eq!(classes.len(), 1, "cluster {cluster} must lie in one class");
        let sheet = std::fs::read(sheets.join(format!("cluster-{cluster:03}.png"))).unwrap();
        assert_eq!(&sheet[1..4], b"PNG");
    }
    assert!((4..=10).contains(&n_clusters), "two classes of 2 to 5 clusters, got {n_clusters}");
    let table = contract::read::<Metric>(&metrics).unwrap();
    assert!(table.iter().any(|m| m.name == "silhouette" && m.of == "urban k=3"));
    let again = dir.path().join("again.parquet");
    run(&again);
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&again).unwrap());
}

#[test]
fn folders_of_pictures_become_tiles_and_clusters() {
    let dir = tempfile::tempdir().unwrap();
    let images = dir.path().join("images");
    for (cluster, n) in [(0_u8, 3_u8), (2, 2)] {
        let folder = images.join(cluster.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..n {
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([cluster * 50 + i, 7, 9]));
            picture.save(folder.join(format!("{i}.png"))).unwrap();
        }
    }
    let (labelled, extra) = (dir.path().join("labels.csv"), dir.path().join("extra"));
    std::fs::create_dir(&extra).unwrap();
    std::fs::write(&labelled, "image_id,urban,uninhabited\n1,0.5,0.5\n2,0,1\n").unwrap();
    for (id, red) in [(1, 100), (2, 200)] {
        image::RgbImage::from_pixel(8, 8, image::Rgb([red, 1, 2]))
            .save(extra.join(format!("{id}.png")))
            .unwrap();
    }
    let (tiles, out) = (dir.path().join("t.parquet"), dir.path().join("c.parquet"));
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let import = |more: &[&str]| {
        let files = [&images, &labelled, &extra, &tiles, &out].map(|file| path(file));
        let [images, labelled, extra, tiles, out] = files.each_ref().map(String::as_str);
        let chosen = ["--labelled-class", "uninhabited", "--labelled-cluster", "4"];
        let inputs = ["import", "--images", images, "--labelled", labelled, "--labelled-images", extra];
        let output = stage1(&[&inputs[..], &chosen, more, &["--tiles-out", tiles, "--out", out]].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    import(&[]);
    let clusters: Vec<u32> = contract::read::<Cluster>(&out).unwrap().iter().map(|c| c.cluster).collect();
    assert_eq!(clusters, [0, 0, 0, 2, 2, 4]);
    let reader = TileReader::open(&tiles).unwrap();
    let row = reader.row(0).unwrap();
    assert_eq!(row[5].pixels.as_ref().unwrap()[..2], [200, 200], "the labelled picture comes last");
    assert_eq!(row[6].pixels, None);

    let shares = dir.path().join("l.parquet");
    import(&["--class", "urban=0-1", "--labels-out", &path(&shares)]);
    let clusters = contract::read::<Cluster>(&out).unwrap();
    let classes: Vec<&str> = clusters.iter().map(|c| c.class.as_str()).collect();
    assert_eq!(classes, ["urban", "urban", "urban", "", "", "uninhabited"]);
    let row = TileReader::open(&tiles).unwrap().row(0).unwrap();
    assert_eq!(row[6].pixels.as_ref().unwrap()[..2], [100, 100], "the others come after all clusters");
    let told: Vec<_> = contract::read::<Label>(&shares)
        .unwrap()
        .into_iter()
        .map(|l| (l.tile.col, l.class, l.probability.unwrap()))
        .collect();
    let want = [(5, "urban", 0.0), (5, "uninhabited", 1.0), (6, "urban", 0.5), (6, "uninhabited", 0.5)];
    assert_eq!(told, want.map(|(col, class, share)| (col, class.to_owned(), share)));
}

#[test]
fn wrong_inputs_end_with_one_line_that_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let (tiles, labels) = granule(dir.path(), "made");
    let path = |p: &Path| p.to_str().unwrap().to_owned();
    let out = dir.path().join("c.parquet");
    std::fs::write(&out, "old").unwrap();
    let swapped = [
        "tiles",
        "--tiles",
        &path(&labels),
        "--labels",
        &path(&tiles),
        "--weights",
        &path(&weights()),
        "--out",
        &path(&out),
    ];
    let cases: [(&[&str], i32, &str); 3] = [
        (
            &swapped,
            1,
            "made.labels.parquet: want table tiles/2, got labels/1; make it again with granule-split-mpi",
        ),
        (
            &["import", "--images", &path(dir.path()), "--tiles-out", "t", "--out", "o"],
            1,
            "named by its number",
        ),
        (&["tiles", "--no-such-flag"], 2, "--no-such-flag"),
    ];
    for (args, code, words) in cases {
        let output = stage1(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(words), "{text}");
        assert!(code == 2 || text.lines().filter(|l| l.contains("error:")).count() == 1, "{text}");
    }
    assert_eq!(std::fs::read(&out).unwrap(), b"old");
}

/// Runs the program and gives its log; it must succeed.
fn works(args: &[&str]) -> String {
    let output = stage1(args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {text}");
    text
}

#[test]
fn labels_of_some_tiles_become_the_class_of_every_tile() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for name in ["made", "more"] {
        granule(dir.path(), name);
    }
    let (tiles, labels) = (path("made.tiles.parquet"), path("made.labels.parquet"));
    let (model, told, metrics) = (path("m.safetensors"), path("told.parquet"), path("f.parquet"));
    let weights = weights().to_str().unwrap().to_owned();
    let train = [
        "train-classifier",
        "--tiles",
        &tiles,
        "--labels",
        &labels,
        "--weights",
        &weights,
        "--input-px",
        "64",
    ];
    let few = stage1(&[&train[..], &["--out", &model]].concat());
    assert_eq!(few.status.code(), Some(1), "the four blocks of one granule are too few to hold some out");
    assert!(String::from_utf8(few.stderr).unwrap().contains("5 blocks at least"));
    let (more_tiles, more_labels) = (path("more.tiles.parquet"), path("more.labels.parquet"));
    let more = ["--tiles", &more_tiles, "--labels", &more_labels, "--metrics-out", &metrics, "--out", &model];
    works(&[&train[..], &more].concat());
    let figures = contract::read::<Metric>(&PathBuf::from(&metrics)).unwrap();
    let value =
        |name: &str, of: &str| figures.iter().find(|m| m.name == name && m.of == of).unwrap().value.unwrap();
    assert!(value("recall", "urban") > 0.7 && value("recall", "rural") > 0.7, "{figures:?}");
    works(&["classify", "--tiles", &tiles, "--model", &model, "--weights", &weights, "--out", &told]);
    let rows = contract::read::<Label>(&PathBuf::from(&told)).unwrap();
    assert_eq!(rows.len(), 2 * 35, "tiles without a label have a class now");
    let sum: f64 = rows[..2].iter().map(|r| r.probability.unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    let out = path("c.parquet");
    works(&[
        "tiles",
        "--tiles",
        &tiles,
        "--labels",
        &told,
        "--weights",
        &weights,
        "--input-px",
        "64",
        "--out",
        &out,
    ]);
    let log = works(&["audit", "--tiles", &tiles, "--clusters", &out, "--out", &metrics]);
    assert!(log.contains("position, by tile"), "{log}");
}

#[test]
fn a_backbone_that_learnt_without_labels_can_be_clustered_with() {
    let dir = tempfile::tempdir().unwrap();
    let (tiles, _) = granule(dir.path(), "made");
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (tiles, trunk, log) =
        (tiles.to_str().unwrap().to_owned(), path("deep.safetensors"), path("deep.jsonl"));
    let deep = [
        "deepcluster",
        "--tiles",
        &tiles,
        "--input-px",
        "32",
        "--clusters",
        "4",
        "--log",
        &log,
        "--out",
        &trunk,
    ];
    works(&[&deep[..], &["--epochs", "1", "--batch", "12"]].concat());
    let line = std::fs::read_to_string(&log).unwrap();
    assert!(line.contains("\"loss\"") && line.lines().count() == 1, "{line}");
    let flags = ["--backbone", "resnet18", "--weights", &trunk, "--input-px", "32", "--k", "all=4"];
    let out = path("c.parquet");
    works(&[&["tiles", "--tiles", &tiles, "--out", &out], &flags[..]].concat());
    let rows = contract::read::<Cluster>(&PathBuf::from(&out)).unwrap();
    assert_eq!(rows.iter().map(|r| r.cluster).max(), Some(3));
    let many = stage1(&[&deep[..], &["--clusters", "30"]].concat());
    assert_eq!(many.status.code(), Some(2), "a flag given twice is refused");
}
