//! Counts what the audit finds in made mixes of the demo's scene (level 1C, no offset), and what it claims where there is none.
#![allow(clippy::unwrap_used)]

use super::*;

/// A part of a scene: `[band][height, width]`.
struct Part {
    bands: Vec<Vec<u16>>,
    height: usize,
    width: usize,
}

/// Numbers that look random and are the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % n
    }
}

fn demo() -> Vec<Source> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/demo");
    ["B02", "B03", "B04", "B08"].map(|b| Source::open(folder.join(format!("{b}.tif"))).unwrap()).into()
}

/// A random part of 400 to 1000 pixels a side.
fn part(demo: &[Source], draws: &mut Draws) -> Part {
    let (height, width) = (400 + draws.below(600), 400 + draws.below(600));
    let grid = demo[0].grid();
    let (row, col) = (draws.below(grid.height - height), draws.below(grid.width - width));
    let read = |band: &Source| band.read_window(1, row, col, height, width).unwrap();
    Part { bands: demo.iter().map(read).collect(), height, width }
}

/// Adds the offset where `with` says so.
fn offset(part: &mut Part, with: impl Fn(usize, usize) -> bool) {
    for band in &mut part.bands {
        for (i, dn) in band.iter_mut().enumerate().filter(|(_, dn)| **dn != 0) {
            if with(i / part.width, i % part.width) {
                *dn += 1000;
            }
        }
    }
}

fn judge(part: &Part) -> Verdict {
    let whole = Window { row: 0, col: 0, height: part.height, width: part.width };
    let see = |tile: Window| {
        let w = with_border(tile, whole);
        let rows = |band: &Vec<u16>| -> Vec<u16> {
            (w.row..w.row + w.height)
                .flat_map(|r| band[r * part.width + w.col..][..w.width].to_vec())
                .collect()
        };
        let bands: Vec<_> = part.bands.iter().map(rows).collect();
        look(&Tile { bands: &bands, height: w.height, width: w.width })
    };
    let seen: Vec<_> = whole.tiles(TILE_PX).map(see).collect();
    verdict(seen.iter())
}

const N_PARTS: usize = 40;

#[test]
fn made_mixes_of_the_demos_scene_are_found_and_none_is_claimed_where_there_is_none() {
    let (demo, mut draws) = (demo(), Draws(7));
    let (mut n_found, mut n_mixes, mut n_false, mut n_wrong) = (0, 0, 0, 0);
    for n in 0..N_PARTS {
        let plain = part(&demo, &mut draws);
        let (height, width) = (plain.height, plain.width);
        // Halves by rows, by columns, along a slope; a patch of 150 to 300 pixels a side.
        let (cut_row, cut_col) = (height / 4 + draws.below(height / 2), width / 4 + draws.below(width / 2));
        let (top, left, side) = (draws.below(100), draws.below(100), 150 + draws.below(150));
        let slope = draws.below(200);
        let inside = |row: usize, col: usize| match n % 4 {
            0 => row < cut_row,
            1 => col < cut_col,
            2 => row * 100 + col * slope < cut_row * 100,
            _ => (top..top + side).contains(&row) && (left..left + side).contains(&col),
        };
        let copy = || Part { bands: plain.bands.clone(), height, width };
        let (mut mixed, mut raised) = (copy(), copy());
        offset(&mut mixed, inside);
        offset(&mut raised, |_, _| true);
        n_mixes += 1;
        n_found += usize::from(judge(&mixed) == Verdict::Mixed);
        let claims = [(judge(&plain), Verdict::Harmonised), (judge(&raised), Verdict::Offset)];
        n_false += claims.iter().filter(|(found, _)| *found == Verdict::Mixed).count();
        n_wrong += claims.iter().filter(|(found, wanted)| found != wanted).count();
    }
    println!(
        "{n_found} of {n_mixes} mixes found; of {} parts without one, {n_false} called mixed, {n_wrong} not named rightly",
        2 * N_PARTS
    );
    assert_eq!((n_found, n_mixes), (N_PARTS, N_PARTS));
    assert_eq!((n_false, n_wrong), (0, 0));
}

/// Another date of the same ground: each band by a factor of 0.9 to 1.1, each number by up to 60 more or less.
fn another_date(part: &Part, draws: &mut Draws) -> Part {
    let mut other = Part { bands: part.bands.clone(), ..*part };
    for band in &mut other.bands {
        let percent = 90 + draws.below(21);
        for dn in band.iter_mut().filter(|dn| **dn != 0) {
            *dn = (usize::from(*dn) * percent / 100 + draws.below(121)).saturating_sub(60).max(1) as u16;
        }
    }
    other
}

#[test]
fn mixes_of_two_dates_are_found_and_two_dates_alone_are_no_mix() {
    let (demo, mut draws) = (demo(), Draws(11));
    let (mut n_found, mut n_false) = (0, 0);
    for n in 0..N_PARTS {
        let plain = part(&demo, &mut draws);
        let cut = plain.width / 4 + draws.below(plain.width / 2);
        let mut joined = another_date(&plain, &mut draws);
        let (height, width) = (plain.height, plain.width);
        for (band, other) in joined.bands.iter_mut().zip(&plain.bands) {
            (0..height * width).filter(|i| i % width >= cut).for_each(|i| band[i] = other[i]);
        }
        n_false += usize::from(judge(&joined) == Verdict::Mixed);
        offset(&mut joined, |_, col| (col < cut) == (n % 2 == 0));
        n_found += usize::from(judge(&joined) == Verdict::Mixed);
    }
    println!(
        "{n_found} of {N_PARTS} mixes of two dates found; {n_false} of {N_PARTS} joins of two dates called mixed"
    );
    assert!(n_found >= FEWEST_FOUND, "{n_found}");
    assert_eq!(n_false, 0);
}

/// Measured: 37 of 40. Where the dates differ by more than the slack of a step, a seam can hide.
const FEWEST_FOUND: usize = 37;

#[test]
fn an_offset_taken_off_twice_leaves_ones() {
    let mut twice = part(&demo(), &mut Draws(3));
    twice
        .bands
        .iter_mut()
        .flatten()
        .filter(|dn| **dn != 0)
        .for_each(|dn| *dn = dn.saturating_sub(1000).max(1));
    assert_eq!(judge(&twice), Verdict::TakenOffTwice);
}

#[test]
fn a_bright_scene_is_undecided_and_an_empty_one_too() {
    let flat = |dn: u16| Part { bands: vec![vec![dn; 300 * 300]; 2], height: 300, width: 300 };
    assert_eq!(judge(&flat(5000)), Verdict::Undecided);
    assert_eq!(judge(&flat(0)), Verdict::Undecided);
}
