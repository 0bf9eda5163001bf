//! Real input with an answer: the score of kangwon's tiles against the building floor area of the same grid cells.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use contract::Score;

use crate::house::{Place, alone, root};

/// Grid row and column of the mosaic's first tile.
const FIRST_TILE: (u32, u32) = (6259, 13985);

/// Year of the mosaic, and how many grid cells it covers.
const YEARS: [(u32, usize); 2] = [(2019, 97), (2016, 106)];
/// Far below what either way reaches; a score without meaning lies around 0.
const FLOOR: f64 = 0.4;

/// A grid cell: what is known about it from others.
struct Cell {
    floor_area_m2: f64,
    siscore: f64,
    night_light_nw_cm2_sr: f64,
}

#[test]
fn the_score_of_kangwon_rises_with_building_floor_area() {
    let Some(reference) = reference() else {
        println!("skipped: no reference data; set REFERENCE_DATA");
        return;
    };
    let _turn = alone();
    let place = Place::new(&[&format!("REFERENCE_DATA={}", reference.display())]);
    for (year, n_grids) in YEARS {
        let cells = cells(&reference, year);
        // The five epochs of kangwon-human's own network take ten minutes of two cores; here it is one.
        for (way, area, epochs) in
            [("local judge", "kangwon", ""), ("ten human orders", "kangwon-human", "1")]
        {
            let area = if year == 2019 { area.to_owned() } else { format!("{area}-{year}") };
            place.made(&[&format!("heatmap-{area}"), &format!("PRETRAIN_EPOCHS={epochs}")]);
            let seen = seen(&place.path(&format!("work/{area}/scores/KANGWON.parquet")), &cells);
            assert_eq!(seen.len(), n_grids, "{area}");
            let ours = rho(&seen, |(score, _)| *score);
            println!(
                "{year}, n = {n_grids}: Spearman with floor area {ours} by {way}; siScore {}, night light of 2019 {}",
                rho(&seen, |(_, cell)| cell.siscore),
                rho(&seen, |(_, cell)| cell.night_light_nw_cm2_sr),
            );
            assert!(ours.all > FLOOR, "{area}: {ours}");
        }
    }
}

/// Spearman's coefficient with floor area over all cells, and over those with buildings.
struct Rho {
    all: f64,
    built: f64,
}

impl std::fmt::Display for Rho {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.3} ({:.3} where there are buildings)", self.all, self.built)
    }
}

fn rho(seen: &[(f64, &Cell)], value: impl Fn(&(f64, &Cell)) -> f64) -> Rho {
    let pairs: Vec<(f64, f64)> = seen.iter().map(|one| (value(one), one.1.floor_area_m2)).collect();
    let built: Vec<(f64, f64)> = pairs.iter().copied().filter(|(_, m2)| *m2 > 0.0).collect();
    Rho { all: spearman(&pairs), built: spearman(&built) }
}

fn reference() -> Option<PathBuf> {
    let beside = root().join("../shared/reference");
    let folder = std::env::var_os("REFERENCE_DATA").map_or(beside, PathBuf::from);
    folder.join("kangwon/nk_grids.csv.gz").is_file().then(|| folder.canonicalize().unwrap())
}

/// The grid cells of North Korea by row and column.
fn cells(reference: &Path, year: u32) -> BTreeMap<(u32, u32), Cell> {
    let file = std::fs::File::open(reference.join("kangwon/nk_grids.csv.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|h| *h == name).unwrap();
    let (row, col, area) = (column("grid_y"), column("grid_x"), column("floor_area_2014_m2"));
    let (siscore, light) = (column(&format!("siscore_{year}")), column("viirs_2019_mean"));
    let cell = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |at: usize| fields[at].parse::<f64>().unwrap();
        let cell = Cell {
            floor_area_m2: number(area),
            siscore: number(siscore),
            night_light_nw_cm2_sr: number(light),
        };
        ((fields[row].parse().unwrap(), fields[col].parse().unwrap()), cell)
    };
    lines.map(cell).collect()
}

/// The score and the cell of every scored tile that is a grid cell.
fn seen<'a>(scores: &Path, cells: &'a BTreeMap<(u32, u32), Cell>) -> Vec<(f64, &'a Cell)> {
    let rows: Vec<Score> = contract::read(scores).unwrap();
    let one = |row: &Score| {
        let cell = (FIRST_TILE.0 + row.tile.row, FIRST_TILE.1 + row.tile.col);
        Some((row.score?, cells.get(&cell)?))
    };
    rows.iter().filter_map(one).collect()
}

/// Pearson's coefficient of the midranks.
fn spearman(pairs: &[(f64, f64)]) -> f64 {
    let (x, y): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (x, y) = (midranks(&x), midranks(&y));
    let mean = (pairs.len() as f64 + 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    product(&x, &y) / (product(&x, &x) * product(&y, &y)).sqrt()
}

fn midranks(values: &[f64]) -> Vec<f64> {
    let rank = |v: &f64| {
        let below = values.iter().filter(|other| *other < v).count() as f64;
        let equal = values.iter().filter(|other| *other == v).count() as f64;
        below + (equal + 1.0) / 2.0
    };
    values.iter().map(rank).collect()
}

#[test]
fn spearman_sees_order_alone_and_shares_ranks_among_ties() {
    assert_eq!(midranks(&[3.0, 1.0, 3.0]), [2.5, 1.0, 2.5]);
    let cubes: Vec<(f64, f64)> = (1..9).map(|i| (f64::from(i), f64::from(i).powi(3))).collect();
    assert!((spearman(&cubes) - 1.0).abs() < 1e-12);
}
