//! First centres: k-means++ (Arthur and Vassilvitskii 2007), the best of several draws at each step, as scikit-learn draws.

use crate::rows::{Rows, Scratch, blocks, squares_to};
use rand::{Rng, RngExt};
use rayon::prelude::*;

/// Each next centre is drawn with a chance in proportion to a row's squared distance to the chosen ones; of `2 + ln k` draws the
/// one that leaves the least sum of squares is taken.
///
/// A row is not compared with a draw that lies at least twice as far from the row's centre as the row does: it cannot be nearer
/// (the triangle's inequality).
pub fn seeded(rows: &Rows, k: usize, rng: &mut impl Rng) -> Vec<usize> {
    let n_draws = 2 + (k as f64).ln() as usize;
    let mut chosen = vec![rng.random_range(0..rows.len())];
    let mut near = Near { squares: vec![f32::INFINITY; rows.len()], centre: vec![0; rows.len()] };
    near.take(rows, &chosen, 0);
    while chosen.len() < k {
        let total: f64 = near.squares.iter().map(|&s| f64::from(s)).sum();
        let draws: Vec<usize> = (0..n_draws).map(|_| draw(&near.squares, total, rng)).collect();
        let gains = near.gains(rows, &chosen, &draws);
        let best = (0..n_draws).reduce(|best, i| if gains[i] > gains[best] { i } else { best }).unwrap_or(0);
        chosen.push(draws[best]);
        near.take(rows, &chosen, chosen.len() - 1);
    }
    chosen
}

/// The nearest chosen centre of each row.
struct Near {
    squares: Vec<f32>,
    centre: Vec<u32>,
}

impl Near {
    /// By how much each draw would lessen the sum of squares.
    fn gains(&self, rows: &Rows, chosen: &[usize], draws: &[usize]) -> Vec<f64> {
        let candidates = rows.pick(draws);
        let apart = apart(rows, chosen, &candidates);
        let parts: Vec<Vec<f64>> = blocks(rows.len())
            .map_init(Scratch::default, |scratch, block| {
                let mut gains = vec![0.0; draws.len()];
                let nearer = |&row: &usize| {
                    let centre = self.centre[row] as usize;
                    apart[centre].iter().any(|&square| square < 4.0 * self.squares[row])
                };
                let wanted: Vec<usize> = block.clone().filter(nearer).collect();
                squares_to(rows, block, &wanted, &candidates, scratch, |row, squares| {
                    for (gain, &square) in gains.iter_mut().zip(squares) {
                        *gain += f64::from((self.squares[row] - square).max(0.0));
                    }
                });
                gains
            })
            .collect();
        (0..draws.len()).map(|i| parts.iter().map(|part| part[i]).sum()).collect()
    }

    /// Takes the last chosen centre up.
    fn take(&mut self, rows: &Rows, chosen: &[usize], place: usize) {
        let new = rows.pick(&chosen[place..=place]);
        let apart = apart(rows, &chosen[..place], &new);
        let (squares, centre) = (&self.squares, &self.centre);
        let parts: Vec<Vec<(usize, f32)>> = blocks(rows.len())
            .map_init(Scratch::default, |scratch, block| {
                let nearer = |&row: &usize| place == 0 || apart[centre[row] as usize][0] < 4.0 * squares[row];
                let wanted: Vec<usize> = block.clone().filter(nearer).collect();
                let mut found = Vec::new();
                squares_to(rows, block, &wanted, &new, scratch, |row, to| {
                    if to[0] < squares[row] {
                        found.push((row, to[0]));
                    }
                });
                found
            })
            .collect();
        for (row, square) in parts.into_iter().flatten() {
            self.squares[row] = square;
            self.centre[row] = place as u32;
        }
        self.squares[chosen[place]] = 0.0;
    }
}

/// Squared distances from each chosen centre to each candidate. `[chosen][candidate]`
fn apart(rows: &Rows, chosen: &[usize], candidates: &Rows) -> Vec<Vec<f32>> {
    let to = |&centre: &usize| {
        (0..candidates.len())
            .map(|i| crate::rows::square_between(rows.row(centre), candidates.row(i)))
            .collect()
    };
    chosen.par_iter().map(to).collect()
}

fn draw(weights: &[f32], total: f64, rng: &mut impl Rng) -> usize {
    let mut left = rng.random::<f64>() * total;
    for (i, &weight) in weights.iter().enumerate() {
        left -= f64::from(weight);
        if left < 0.0 {
            return i;
        }
    }
    rng.random_range(0..weights.len())
}
