//! k-means (Lloyd) with k-means++ seeding (Arthur and Vassilvitskii 2007), distances by matrix products.
//!
//! The same seed gives the same result for any number of threads: rows are assigned independently and centres are
//! summed in row order.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const ROWS_A_TASK: usize = 512;

/// How to search.
#[derive(Clone, Copy, Debug)]
pub struct Search {
    /// Starts from other seeds; the one of least inertia is kept.
    pub n_starts: u64,
    /// Steps at most.
    pub max_steps: usize,
    /// The seed of all draws.
    pub seed: u64,
}

/// A grouping of rows.
#[derive(Clone, Debug)]
pub struct Grouping {
    /// The group of each row.
    pub of_row: Vec<usize>,
    /// The centres. `[group, feature]`
    pub centres: Array2<f32>,
    /// Squared distance of each row to its centre.
    pub squares: Vec<f32>,
}

impl Grouping {
    /// The sum of squared distances.
    pub fn inertia(&self) -> f64 {
        self.squares.iter().map(|&d| f64::from(d)).sum()
    }
}

/// Groups rows into `k`.
///
/// # Panics
/// If `k` is zero or more than the number of rows.
pub fn kmeans(rows: ArrayView2<f32>, k: usize, search: Search) -> Grouping {
    assert!(k > 0 && k <= rows.nrows(), "k must be from 1 to the number of rows");
    let norms = squared_norms(rows);
    let starts = (0..search.n_starts.max(1)).map(|start| {
        let mut rng = ChaCha8Rng::seed_from_u64(search.seed);
        rng.set_stream(start);
        lloyd(rows, &norms, seeded(rows, &norms, k, &mut rng), search.max_steps)
    });
    starts
        .reduce(|best, next| if next.inertia() < best.inertia() { next } else { best })
        .expect("one start at least")
}

fn squared_norms(rows: ArrayView2<f32>) -> Array1<f32> {
    rows.map_axis(Axis(1), |row| row.dot(&row))
}

/// k-means++: each next centre is drawn with a chance in proportion to its squared distance to the chosen ones.
fn seeded(rows: ArrayView2<f32>, norms: &Array1<f32>, k: usize, rng: &mut impl Rng) -> Array2<f32> {
    let mut chosen = vec![rng.random_range(0..rows.nrows())];
    let mut nearest = vec![f32::INFINITY; rows.nrows()];
    while chosen.len() < k {
        let last = chosen[chosen.len() - 1];
        let products = rows.dot(&rows.row(last));
        for (i, near) in nearest.iter_mut().enumerate() {
            *near = near.min((norms[i] + norms[last] - 2.0 * products[i]).max(0.0));
        }
        chosen.push(draw(&nearest, rng));
    }
    rows.select(Axis(0), &chosen)
}

fn draw(weights: &[f32], rng: &mut impl Rng) -> usize {
    let total: f64 = weights.iter().map(|&w| f64::from(w)).sum();
    let mut left = rng.random::<f64>() * total;
    for (i, &weight) in weights.iter().enumerate() {
        left -= f64::from(weight);
        if left < 0.0 {
            return i;
        }
    }
    rng.random_range(0..weights.len())
}

fn lloyd(rows: ArrayView2<f32>, norms: &Array1<f32>, mut centres: Array2<f32>, max_steps: usize) -> Grouping {
    let (mut of_row, mut squares) = assign(rows, norms, &centres);
    for _ in 0..max_steps {
        centres = means(rows, &of_row, &squares, centres.nrows());
        let (next, next_squares) = assign(rows, norms, &centres);
        squares = next_squares;
        if next == of_row {
            break;
        }
        of_row = next;
    }
    Grouping { of_row, centres, squares }
}

fn assign(rows: ArrayView2<f32>, norms: &Array1<f32>, centres: &Array2<f32>) -> (Vec<usize>, Vec<f32>) {
    let centre_norms = squared_norms(centres.view());
    let n_tasks = rows.nrows().div_ceil(ROWS_A_TASK);
    let parts: Vec<Vec<(usize, f32)>> = (0..n_tasks)
        .into_par_iter()
        .map(|task| {
            let first = task * ROWS_A_TASK;
            let part = rows.slice(ndarray::s![first..(first + ROWS_A_TASK).min(rows.nrows()), ..]);
            let products = part.dot(&centres.t());
            let nearest = |(i, products): (usize, ndarray::ArrayView1<f32>)| {
                let squares = products.iter().zip(&centre_norms).map(|(p, c)| c - 2.0 * p).enumerate();
                let (group, square) =
                    squares.reduce(|a, b| if b.1 < a.1 { b } else { a }).expect("a centre at least");
                (group, (square + norms[first + i]).max(0.0))
            };
            products.outer_iter().enumerate().map(nearest).collect()
        })
        .collect();
    parts.into_iter().flatten().unzip()
}

/// The mean of each group; an empty group moves to the row that is farthest from its centre.
fn means(rows: ArrayView2<f32>, of_row: &[usize], squares: &[f32], k: usize) -> Array2<f32> {
    let mut sums = Array2::<f64>::zeros((k, rows.ncols()));
    let mut counts = vec![0_usize; k];
    for (row, &group) in rows.outer_iter().zip(of_row) {
        counts[group] += 1;
        sums.row_mut(group).zip_mut_with(&row, |sum, &x| *sum += f64::from(x));
    }
    let mut farthest: Vec<usize> = (0..rows.nrows()).collect();
    farthest.sort_by(|&a, &b| squares[b].total_cmp(&squares[a]).then(a.cmp(&b)));
    let mut spare = farthest.into_iter();
    for (group, &count) in counts.iter().enumerate() {
        if count > 0 {
            sums.row_mut(group).mapv_inplace(|sum| sum / count as f64);
        } else if let Some(row) = spare.next() {
            sums.row_mut(group).assign(&rows.row(row).mapv(f64::from));
        }
    }
    sums.mapv(|x| x as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::DatasetBase;
    use linfa::traits::Fit;
    use linfa_clustering::KMeans;

    const SEARCH: Search = Search { n_starts: 4, max_steps: 100, seed: 5 };

    fn blobs(n: usize, k: usize, dims: usize, spread: f32) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let centres = Array2::from_shape_fn((k, dims), |_| rng.random::<f32>());
        Array2::from_shape_fn((n, dims), |(i, j)| centres[(i % k, j)] + spread * (rng.random::<f32>() - 0.5))
    }

    #[test]
    fn separate_blobs_are_found() {
        let rows = blobs(300, 5, 8, 0.02);
        let found = kmeans(rows.view(), 5, SEARCH);
        assert!((0..300).all(|i| found.of_row[i] == found.of_row[i % 5]));
        let groups: std::collections::BTreeSet<_> = found.of_row[..5].iter().collect();
        assert_eq!(groups.len(), 5);
    }

    #[test]
    fn inertia_is_as_low_as_linfas() {
        let rows = blobs(600, 9, 12, 0.8);
        let ours = kmeans(rows.view(), 9, SEARCH).inertia();
        let theirs = KMeans::params(9).n_runs(4).fit(&DatasetBase::from(rows.mapv(f64::from)));
        let theirs = theirs.expect("linfa clusters these rows").inertia() * 600.0;
        assert!(ours <= theirs * 1.02, "ours {ours}, linfa {theirs}");
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let rows = blobs(1500, 6, 16, 0.6);
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one");
        let one = alone.install(|| kmeans(rows.view(), 7, SEARCH));
        let many = kmeans(rows.view(), 7, SEARCH);
        assert_eq!(one.of_row, many.of_row);
        assert_eq!(one.centres, many.centres);
    }

    #[test]
    fn as_many_groups_as_rows_leave_no_distance() {
        let rows = blobs(6, 6, 3, 0.5);
        assert!(kmeans(rows.view(), 6, SEARCH).inertia() < 1e-5);
    }
}
