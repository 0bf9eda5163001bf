//! A published scene whose tiles are known: they come out where the study had them, under the study's names.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use contract::{Tile, TileReader};

const SCENE: &str = "S2B_MSIL2A_20230131T033959_R061_T48RVV_20230131T222344_sparse.tif";

/// The scene's empty tiles are black within JPEG ringing of a few counts.
const BLACK_MAX: &str = "12";

const N_TILES: usize = 345;

#[test]
fn the_tiles_of_a_published_scene_lie_where_the_study_had_them_and_have_its_names() {
    let folder = PathBuf::from(std::env::var("REFERENCE_DATA").unwrap_or("../../../shared/reference".into()));
    let Ok(table) = std::fs::read_to_string(folder.join("sichuan/t48rvv_tiles.csv")) else {
        println!("skipped: no reference data in {}", folder.display());
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let (out, png) = (dir.path().join("t.parquet"), dir.path().join("png"));
    let output = Command::new(env!("CARGO_BIN_EXE_granule-split-mpi"))
        .args(["--granule", "T48RVV", "--black-max", BLACK_MAX, "--scene"])
        .arg(folder.join("sichuan").join(SCENE))
        .arg("--png")
        .arg(&png)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tiles = TileReader::open(&out).unwrap().index().unwrap();
    let place = |t: &Tile| [t.west_m, t.south_m, t.east_m, t.north_m].map(|m| m as i64);
    let made: BTreeMap<_, _> =
        tiles.iter().filter(|t| t.skipped.is_none()).map(|t| ((t.tile.row + 1, t.tile.col + 1), t)).collect();
    let mut n_cases = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let number = |i: usize| fields[i].parse::<f64>().unwrap();
        let tile = made[&(number(1) as u32, number(2) as u32)];
        assert_eq!(place(tile), [4, 5, 6, 7].map(|i| number(i) as i64), "{}", fields[0]);
        assert!(
            (number(8)..number(10)).contains(&tile.lon_deg)
                && (number(9)..number(11)).contains(&tile.lat_deg)
        );
        let (_, name) = fields[0].split_once("_visual_").unwrap();
        assert!(png.join(format!("T48RVV_visual_{name}")).is_file(), "{name}");
        n_cases += 1;
    }
    assert_eq!((n_cases, made.len()), (N_TILES, N_TILES));
}
