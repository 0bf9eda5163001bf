//! Light that shines past its place: the sensor's wide foot and haze brighten dark ground beside bright ground.
//!
//! Left out of the headline: a sensitivity. Cells that touch a bright cell, edge or corner, and are not bright themselves are taken away, and the
//! coefficients taken again; if they fall much, part of them was glow.

use contract::Metric;

use crate::details::{Kind, row};
use crate::field_pair::FieldPair;

/// Shares of the cells that are darker than what counts as bright.
const DARKER: [f64; 2] = [0.99, 0.95];

/// The coefficients without the cells beside bright ones; missing below `min_n` cells.
#[must_use]
pub fn rows(pair: &FieldPair, min_n: usize) -> Vec<Metric> {
    let mut sorted = pair.xs.clone();
    sorted.sort_by(f64::total_cmp);
    let mut rows = Vec::new();
    for share in DARKER {
        let Some(&bright) = sorted.get((sorted.len() as f64 * share) as usize) else { continue };
        let (xs, ys) = without_glow(pair, bright);
        let of = format!("without cells beside {bright:.2} nW cm-2 sr-1 or more");
        for kind in [Kind::Spearman, Kind::PearsonLog1p] {
            let value = if xs.len() < min_n { None } else { kind.of(&xs, &ys) };
            let left_out = pair.cells.len() - xs.len();
            let note =
                format!("{left_out} cells beside the brightest {:.0} % are left out", (1.0 - share) * 100.0);
            let note = if value.is_some() { note } else { "not reported: too few cells".to_owned() };
            rows.push(row(&format!("{}_without_blooming", kind.name()), &of, value, "1", xs.len(), &note));
        }
    }
    rows
}

/// Light and score of the cells that are bright, or touch no bright one.
fn without_glow(pair: &FieldPair, bright: f64) -> (Vec<f64>, Vec<f64>) {
    let mut shines = vec![false; pair.height * pair.width];
    for (&cell, &x) in pair.cells.iter().zip(&pair.xs) {
        shines[cell] = x >= bright;
    }
    let beside = |cell: usize| {
        let (row, column) = (cell / pair.width, cell % pair.width);
        let rows = row.saturating_sub(1)..=(row + 1).min(pair.height - 1);
        let columns = column.saturating_sub(1)..=(column + 1).min(pair.width - 1);
        rows.flat_map(|r| columns.clone().map(move |c| (r, c))).any(|(r, c)| shines[r * pair.width + c])
    };
    let kept = (0..pair.cells.len()).filter(|&i| shines[pair.cells[i]] || !beside(pair.cells[i]));
    kept.map(|i| (pair.xs[i], pair.ys[i])).unzip()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SIDE: usize = 21;

    /// Dark ground with one bright cell in the middle and its glow.
    fn glowing() -> FieldPair {
        let middle = SIDE / 2;
        let distance = |cell: usize| (cell / SIDE).abs_diff(middle).max((cell % SIDE).abs_diff(middle));
        let xs: Vec<f64> =
            (0..SIDE * SIDE).map(|cell| [100.0, 10.0].get(distance(cell)).copied().unwrap_or(1.0)).collect();
        let ys = (0..SIDE * SIDE).map(|cell| (cell % 7) as f64).collect();
        crate::made::pair(SIDE, xs, ys)
    }

    #[test]
    fn the_eight_cells_around_a_bright_one_are_left_out_and_it_stays() {
        let pair = glowing();
        let (xs, ys) = without_glow(&pair, 100.0);
        assert_eq!((xs.len(), ys.len()), (SIDE * SIDE - 8, SIDE * SIDE - 8));
        assert!(xs.contains(&100.0) && !xs.contains(&10.0));
    }

    #[test]
    fn at_the_corner_of_the_map_three_cells_are_left_out() {
        let mut pair = glowing();
        pair.xs.fill(1.0);
        pair.xs[0] = 100.0;
        assert_eq!(without_glow(&pair, 100.0).0.len(), SIDE * SIDE - 3);
    }

    #[test]
    fn a_correlation_that_is_all_glow_falls() {
        let mut pair = glowing();
        // Many bright cells on ground of nothing, whose score follows the glow and not the sources.
        for (i, &cell) in pair.cells.iter().enumerate() {
            let (down, across) = (cell / SIDE % 5, cell % SIDE % 5);
            let near = down.abs_diff(2).max(across.abs_diff(2));
            pair.xs[i] = [50.0, 20.0, (cell % 3) as f64][near];
            pair.ys[i] = if near == 1 { 0.9 } else { (cell % 11) as f64 / 22.0 };
        }
        let rows = rows(&pair, 10);
        let here = Kind::Spearman.of(&pair.xs, &pair.ys).unwrap();
        let without = rows.iter().find(|row| row.name == "spearman_without_blooming").unwrap();
        assert!(here > 0.5 && without.value.unwrap() < 0.2, "{here} and {:?}", without.value);
    }

    #[test]
    fn too_few_cells_are_no_number() {
        assert!(rows(&glowing(), 10_000).iter().all(|row| row.value.is_none()));
    }
}
