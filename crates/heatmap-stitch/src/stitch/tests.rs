//! The laws of filling.

use super::*;

fn utm() -> Crs {
    Crs::from_epsg(32_648).unwrap()
}

/// Tiles of `side_m` from an origin, their scores a fixed jumble, every seventh without one.
fn tiles(origin: (f64, f64), rows: usize, columns: usize, side_m: f64) -> Vec<Patch> {
    let patch = |i: usize| {
        let (row, column) = (i / columns, i % columns);
        let (west_m, north_m) = (origin.0 + column as f64 * side_m, origin.1 - row as f64 * side_m);
        let share = (i * 37 % 101) as f64 / 100.0;
        Patch {
            west_m,
            south_m: north_m - side_m,
            east_m: west_m + side_m,
            north_m,
            score_share: (i % 7 != 3).then_some(share),
            sd_share: (i % 7 != 3).then_some(share / 10.0),
            outside: None,
        }
    };
    (0..rows * columns).map(patch).collect()
}

#[test]
fn every_pixel_of_a_tile_has_its_score_and_every_tile_its_area() {
    let patches = tiles((500_000.0, 3_400_000.0), 4, 5, 3430.0);
    let grid = grid_around(&patches, 10.0, &utm()).unwrap();
    assert_eq!((grid.height, grid.width), (4 * 343, 5 * 343));
    let map = stitch(&patches, &grid);
    for (i, patch) in patches.iter().enumerate() {
        let (row, column) = (i / 5 * 343, i % 5 * 343);
        let pixels = (row..row + 343).flat_map(|r| (column..column + 343).map(move |c| r * grid.width + c));
        let wanted = patch.score_share.map_or(NODATA, |v| v as f32);
        let n = pixels.filter(|&p| map.score_share[p] == wanted).count();
        assert_eq!(n as f64 * 100.0, 3430.0 * 3430.0, "tile {i}");
    }
}

#[test]
fn tiles_that_touch_leave_no_gap_and_no_overlap_at_any_pixel_size() {
    let mut patches = tiles((-13_985.37, 77_123.91), 6, 6, 2_445.984_905_125_640_6);
    patches.iter_mut().for_each(|p| p.score_share = Some(0.25));
    for pixel_m in [9.554_628_535_647_032, 10.0, 244.598_490_512_564, 333.3, 2_445.984_905_125_640_6] {
        let grid = grid_around(&patches, pixel_m, &utm()).unwrap();
        let map = stitch(&patches, &grid);
        let filled = map.score_share.iter().filter(|&&v| v == 0.25).count() as f64;
        assert!(map.score_share.iter().all(|&v| v == 0.25 || v == NODATA));
        let side_px = 6.0 * 2_445.984_905_125_640_6 / pixel_m;
        assert!((filled.sqrt() - side_px).abs() <= 1.0, "{filled} pixels at {pixel_m} m");
    }
}

#[test]
fn the_order_of_the_tiles_does_not_matter() {
    let mut patches = tiles((500_000.0, 3_400_000.0), 5, 5, 320.0);
    patches.extend(tiles((500_470.0, 3_399_910.0), 5, 5, 320.0));
    patches.extend(tiles((500_130.0, 3_399_330.0), 5, 5, 320.0));
    let grid = grid_around(&patches, 10.0, &utm()).unwrap();
    let map = stitch(&patches, &grid);
    patches.reverse();
    assert_eq!(stitch(&patches, &grid), map);
}

#[test]
fn an_overlap_has_the_mean_score_and_the_root_mean_square_sd() {
    let one = Patch {
        west_m: 0.0,
        south_m: 0.0,
        east_m: 20.0,
        north_m: 10.0,
        score_share: Some(0.2),
        sd_share: Some(0.03),
        outside: None,
    };
    let other = Patch { west_m: 10.0, east_m: 30.0, score_share: Some(0.6), sd_share: Some(0.04), ..one };
    let grid = grid_around(&[one, other], 10.0, &utm()).unwrap();
    let map = stitch(&[one, other], &grid);
    assert_eq!(map.score_share, [0.2, 0.4, 0.6]);
    let rms = ((0.03_f64 * 0.03 + 0.04 * 0.04) / 2.0).sqrt() as f32;
    assert_eq!(map.sd_share, [0.03, rms, 0.04]);
}

#[test]
fn a_tile_without_a_score_is_no_zero() {
    let patches = [Patch {
        west_m: 0.0,
        south_m: 0.0,
        east_m: 10.0,
        north_m: 10.0,
        score_share: None,
        sd_share: None,
        outside: None,
    }];
    let grid = grid_around(&patches, 5.0, &utm()).unwrap();
    assert!(stitch(&patches, &grid).score_share.iter().all(|&v| v == NODATA));
}

#[test]
fn the_grid_lies_on_multiples_of_the_pixel() {
    let grid = grid_around(&tiles((503.0, 1007.0), 2, 3, 95.0), 10.0, &utm()).unwrap();
    assert_eq!((grid.transform.west, grid.transform.north), (500.0, 1010.0));
    assert_eq!((grid.height, grid.width), (20, 29));
}

#[test]
fn a_grid_of_nothing_or_of_too_much_is_refused() {
    assert!(grid_around(&[], 10.0, &utm()).is_none());
    assert!(grid_around(&tiles((0.0, 0.0), 2, 2, 1e6), 0.01, &utm()).is_none());
}

const JOINING: Joining = Joining { feather_m: 10_000.0, close_gaps_m: 60.0 };

fn mosaic(layers: &[(Crs, Layer)], grid: &Grid) -> HeatMap {
    Mosaic::of(layers, grid, JOINING).unwrap().whole()
}

#[test]
fn a_map_in_pieces_is_the_map_as_a_whole() {
    let layers = [
        (utm(), Layer::of(&tiles((500_000.0, 3_400_000.0), 8, 8, 3430.0))),
        (utm(), Layer::of(&tiles((520_010.0, 3_395_020.0), 8, 8, 3430.0))),
        (Crs::from_epsg(32_647).unwrap(), Layer::of(&tiles((1_070_000.0, 3_420_000.0), 8, 8, 3430.0))),
    ];
    let bounds = Bounds { west: 495_000.0, south: 3_360_000.0, east: 550_000.0, north: 3_405_000.0 };
    let grid = grid_over(&bounds, 100.0, &utm()).unwrap();
    let whole = mosaic(&layers, &grid);
    assert!(whole.scenes.contains(&3.0), "all three granules share some ground");
    let pieces = Mosaic::of(&layers, &grid, JOINING).unwrap();
    for window in Window::of(&grid).tiles(97) {
        let n = window.len();
        let (mut score, mut sd, mut scenes, mut outside) =
            (vec![0.0; n], vec![0.0; n], vec![0.0; n], vec![0.0; n]);
        let mut bands = Bands { score: &mut score, sd: &mut sd, scenes: &mut scenes, outside: &mut outside };
        pieces.paint(window, &mut bands);
        for (i, value) in score.iter().enumerate() {
            let pixel = (window.row + i / window.width) * grid.width + window.col + i % window.width;
            assert!(*value == whole.score_share[pixel] && scenes[i] == whole.scenes[pixel]);
        }
    }
}

/// Tiles of one granule with the same score.
fn flat(origin: (f64, f64), n: usize, side_m: f64, share: f64) -> Layer {
    let mut patches = tiles(origin, n, n, side_m);
    patches.iter_mut().for_each(|p| (p.score_share, p.sd_share) = (Some(share), Some(0.02)));
    Layer::of(&patches)
}

#[test]
fn a_tile_of_another_zone_covers_its_own_ground_and_no_other() {
    // The zone's edge at 31 degrees north: equal areas, seen from both systems, differ by their scales alone.
    const SCALE_TOLERANCE: f64 = 0.003;
    let other = Crs::from_epsg(32_647).unwrap();
    let layer = flat((790_000.0, 3_430_000.0), 6, 3430.0, 0.5);
    let image = crate::place::image_of(&layer.bounds(), &other, &utm()).unwrap();
    let grid = grid_over(&image, 50.0, &utm()).unwrap();
    let map = mosaic(&[(other.clone(), layer.clone())], &grid);
    let covered_m2 = map.score_share.iter().filter(|&&v| v == 0.5).count() as f64 * 2500.0;
    let area_m2 = (6.0_f64 * 3430.0).powi(2);
    assert!((covered_m2 / area_m2 - 1.0).abs() < SCALE_TOLERANCE, "{covered_m2} of {area_m2} m2");
    let mut n_inside = 0;
    for pixel in (0..grid.len()).step_by(37) {
        let centre = ((pixel / grid.width) as f64 + 0.5, (pixel % grid.width) as f64 + 0.5);
        let (x, y) = grid.transform.to_world(centre.0, centre.1);
        let (mut x, mut y) = ([x], [y]);
        raster::transform_points(&utm(), &other, &mut x, &mut y).unwrap();
        let inside = layer.at(x[0], y[0]).is_some();
        assert_eq!(map.score_share[pixel] == 0.5, inside, "pixel {pixel}");
        n_inside += usize::from(inside);
    }
    assert!(n_inside > 1000);
}

#[test]
fn feathering_keeps_single_ground_and_leaves_no_step_at_an_edge() {
    let layers = [
        (utm(), flat((500_000.0, 3_400_000.0), 8, 1000.0, 0.2)),
        (utm(), flat((504_000.0, 3_400_000.0), 8, 1000.0, 0.6)),
    ];
    let bounds = Bounds { west: 500_000.0, south: 3_392_000.0, east: 512_000.0, north: 3_400_000.0 };
    let grid = grid_over(&bounds, 50.0, &utm()).unwrap();
    let map = mosaic(&layers, &grid);
    let line = &map.score_share[80 * grid.width..][..grid.width];
    assert!(line[..80].iter().all(|&v| v == 0.2) && line[160..].iter().all(|&v| v == 0.6));
    let steepest = line.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max);
    assert!(steepest < 0.4 / 60.0, "a step of {steepest} within 4 km of overlap");
    assert_eq!((map.scenes[80 * grid.width], map.scenes[80 * grid.width + 100]), (1.0, 2.0));
}

#[test]
fn the_strip_that_cutting_drops_between_two_granules_is_closed_and_the_rim_is_not_widened() {
    let layers = [
        (utm(), flat((500_000.0, 3_400_000.0), 4, 1000.0, 0.2)),
        (utm(), flat((504_040.0, 3_400_000.0), 4, 1000.0, 0.6)),
    ];
    let bounds = Bounds { west: 499_900.0, south: 3_395_900.0, east: 508_140.0, north: 3_400_100.0 };
    let grid = grid_over(&bounds, 10.0, &utm()).unwrap();
    let map = mosaic(&layers, &grid);
    let line = &map.score_share[100 * grid.width..][..grid.width];
    assert!(line[10..410].iter().all(|&v| v == 0.2) && line[414..814].iter().all(|&v| v == 0.6));
    assert!(line[410..414].iter().all(|&v| (v - 0.4).abs() < 1e-6), "{:?}", &line[408..416]);
    assert!(line[..10].iter().chain(&line[814..]).all(|&v| v == NODATA));
}

#[test]
fn a_constant_stays_that_constant_however_granules_overlap() {
    let layers = [
        (utm(), flat((500_000.0, 3_400_000.0), 8, 3430.0, 0.375)),
        (utm(), flat((520_010.0, 3_395_020.0), 8, 3430.0, 0.375)),
        (Crs::from_epsg(32_647).unwrap(), flat((1_070_000.0, 3_420_000.0), 8, 3430.0, 0.375)),
    ];
    let bounds = Bounds { west: 495_000.0, south: 3_360_000.0, east: 560_000.0, north: 3_410_000.0 };
    let map = mosaic(&layers, &grid_over(&bounds, 100.0, &utm()).unwrap());
    let filled = map.score_share.iter().filter(|&&v| v != NODATA);
    assert!(filled.clone().all(|&v| (v - 0.375).abs() < 1e-6) && filled.count() > 100_000);
}
