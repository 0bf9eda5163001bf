//! `kernels/score_fill.cu` without a card: compiled for the processor it gives the CPU's pixels bit for bit, and its PTX is what clang makes of it.
#![allow(clippy::unwrap_used)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use heatmap_stitch::card::{BANDS, Tables};
use heatmap_stitch::layer::{Layer, Patch};
use heatmap_stitch::stitch::{HeatMap, grid_around, grid_over, stitch};
use raster::{Bounds, Crs, Grid};

const THREADS: usize = 32;
/// Numbers on either side of the pixels that no thread may touch, and what they hold: as in kernel_host.cc.
const GUARD: usize = 64;
const UNTOUCHED: f32 = -1234.5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// The kernel as a program of the processor, its reads and writes checked, or none where no compiler is.
fn compiled(folder: &Path) -> Option<PathBuf> {
    let Some(compiler) = ["clang++", "g++"].into_iter().find(|compiler| is_there(compiler)) else {
        println!("skipped: neither clang++ nor g++ is here to compile the kernel");
        return None;
    };
    let program = folder.join("kernel");
    let output = Command::new(compiler)
        .args(["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-x", "c++"])
        .args(["-include", "kernels/host.h", "-include", "kernels/score_fill.cu"])
        .arg("crates/heatmap-stitch/tests/kernel_host.cc")
        .arg("-o")
        .arg(&program)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(program)
}

/// The pixels that the program writes, its guards checked and taken away.
fn run(program: &Path, head: &[u32; 12], tables: &Tables) -> Vec<f32> {
    let mut input: Vec<u8> = head.iter().flat_map(|n| n.to_le_bytes()).collect();
    input.extend(tables.granules.iter().flatten().flat_map(|n| n.to_le_bytes()));
    input.extend(tables.rows.iter().chain(&tables.columns).flat_map(|n| n.to_le_bytes()));
    input.extend(tables.cells.iter().flat_map(|n| n.to_le_bytes()));
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&input).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(output.status.success());
    let pixels: Vec<f32> =
        output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let (before, rest) = pixels.split_at(GUARD);
    let (pixels, after) = rest.split_at(head[9] as usize);
    assert!(before.iter().chain(after).all(|&v| v == UNTOUCHED), "a thread wrote outside of the map");
    pixels.to_vec()
}

fn filled(program: &Path, tables: &Tables) -> Vec<f32> {
    let [x, y, z] = tables.blocks(THREADS);
    let counts =
        [tables.granules.len(), tables.rows.len(), tables.columns.len(), tables.cells.len(), tables.n_pixels];
    let [granules, rows, columns, cells, pixels] = counts.map(|n| n as u32);
    run(program, &[0, x, y, z, THREADS as u32, granules, rows, columns, cells, pixels, 0, 0], tables)
}

fn utm() -> Crs {
    Crs::from_epsg(32_648).unwrap()
}

/// Tiles of `side_m`, every seventh without a score, every third without a deviation.
fn tiles((west_m, north_m): (f64, f64), rows: usize, columns: usize, side_m: f64) -> Vec<Patch> {
    let patch = |i: usize| {
        let (west_m, north_m) =
            (west_m + (i % columns) as f64 * side_m, north_m - (i / columns) as f64 * side_m);
        let share = (i * 37 % 101) as f64 / 101.0;
        Patch {
            west_m,
            south_m: north_m - side_m,
            east_m: west_m + side_m,
            north_m,
            score_share: (i % 7 != 3).then_some(share),
            sd_share: (i % 3 != 1).then_some(share / 9.0),
            outside: i.is_multiple_of(2).then_some(i.is_multiple_of(4)),
        }
    };
    (0..rows * columns).map(patch).collect()
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn bands(map: &HeatMap) -> [&[f32]; BANDS] {
    [&map.score_share, &map.sd_share, &map.scenes, &map.outside_share]
}

/// Granules of odd and even sides, larger and smaller than their tiles, with tiles cut by the edge, off the pixels, overlapping, alone, and with none.
fn granules() -> Vec<(Vec<Patch>, Grid)> {
    let around = |patches: Vec<Patch>, pixel_m: f64| {
        let grid = grid_around(&patches, pixel_m, &utm()).unwrap();
        (patches, grid)
    };
    let over = |patches: Vec<Patch>, [west, south, east, north]: [f64; 4]| {
        (patches, grid_over(&Bounds { west, south, east, north }, 10.0, &utm()).unwrap())
    };
    let mut overlapping = tiles((0.0, 1000.0), 4, 4, 90.0);
    overlapping.extend(tiles((45.0, 955.0), 4, 4, 90.0));
    let mut silent = tiles((0.0, 1000.0), 2, 2, 200.0);
    silent.iter_mut().for_each(|patch| (patch.score_share, patch.sd_share) = (None, None));
    vec![
        around(tiles((500_000.0, 3_400_000.0), 5, 4, 3430.0), 10.0),
        around(tiles((500_000.0, 3_400_000.0), 3, 3, 3430.0), 10.0),
        around(tiles((503.7, 1007.3), 6, 5, 331.9), 10.0),
        around(overlapping, 10.0),
        around(silent, 10.0),
        around(tiles((0.0, 100.0), 1, 1, 10.0), 10.0),
        over(tiles((0.0, 1000.0), 4, 4, 100.0), [-70.0, 555.0, 215.0, 1230.0]),
        over(tiles((0.0, 1000.0), 4, 4, 100.0), [5000.0, 5000.0, 5400.0, 5090.0]),
    ]
}

#[test]
fn the_kernel_gives_the_pixels_of_the_processor_bit_for_bit() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path()) else { return };
    let granules = granules();
    let layers: Vec<Layer> = granules.iter().map(|(patches, _)| Layer::of(patches)).collect();
    let placed: Vec<(&Layer, &Grid)> = layers.iter().zip(granules.iter().map(|(_, grid)| grid)).collect();
    let tables = Tables::of(&placed, BANDS).unwrap();
    let pixels = filled(&program, &tables);
    let (mut n_bands, mut n_wide) = (0, 0);
    for (granule, (patches, grid)) in granules.iter().enumerate() {
        let map = stitch(patches, grid);
        n_wide += usize::from(grid.width.is_multiple_of(4));
        for (band, wanted) in bands(&map).into_iter().enumerate() {
            let first = tables.first_pixel(granule * BANDS + band);
            assert!(same_bits(&pixels[first..first + grid.len()], wanted), "granule {granule} band {band}");
            n_bands += 1;
        }
    }
    assert_eq!(n_bands, 32);
    assert!(
        (2..=6).contains(&n_wide),
        "both ways of writing are tried, {n_wide} of 8 granules have wide rows"
    );
}

#[test]
fn one_band_of_one_granule_is_that_of_many() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path()) else { return };
    let (patches, grid) = granules().swap_remove(2);
    let layer = Layer::of(&patches);
    let one = Tables::of(&[(&layer, &grid)], 1).unwrap();
    let many = Tables::of(&[(&layer, &grid); 3], 1).unwrap();
    let (one_pixels, pixels) = (filled(&program, &one), filled(&program, &many));
    for granule in 0..3 {
        let first = many.first_pixel(granule);
        assert!(
            same_bits(&pixels[first..first + grid.len()], &one_pixels[..grid.len()]),
            "granule {granule}"
        );
    }
}

#[test]
fn the_studys_kernel_gives_the_same_pixels_where_it_applies() {
    const TILES: u32 = 5;
    const TILE_PX: u32 = 7;
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = compiled(folder.path()) else { return };
    let mut patches = tiles((0.0, 1000.0), TILES as usize, TILES as usize, 70.0);
    patches.iter_mut().for_each(|patch| patch.score_share = patch.score_share.or(Some(0.5)));
    let grid = grid_around(&patches, 10.0, &utm()).unwrap();
    let cells = patches.iter().map(|patch| patch.score_share.unwrap() as f32).collect();
    let mut tables = Tables::of(&[], 1).unwrap();
    tables.cells = cells;
    let n = grid.len() as u32;
    let pixels = run(&program, &[1, 1, 1, 1, 32, 0, 0, 0, TILES * TILES, n, TILES, TILE_PX], &tables);
    assert!(same_bits(&pixels, &stitch(&patches, &grid).score_share));
}

#[test]
fn the_ptx_is_of_the_kernel_beside_it() {
    let output = Command::new("scripts/kernels").arg("check").current_dir(root()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    assert!(output.status.success(), "{said}");
}

#[test]
fn a_changed_kernel_is_told_from_its_ptx() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["scripts/kernels", "kernels/cuda_min.h", "kernels/score_fill.cu", "kernels/score_fill.ptx"] {
        let to = folder.path().join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(root().join(file), to).unwrap();
    }
    let kernel = folder.path().join("kernels/score_fill.cu");
    let text = std::fs::read_to_string(&kernel).unwrap();
    std::fs::write(&kernel, text.replace("ROWS_A_THREAD = 32", "ROWS_A_THREAD = 16")).unwrap();
    let output = Command::new("scripts/kernels").arg("check").current_dir(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("score_fill.ptx: want the PTX of"), "{said}");
}
