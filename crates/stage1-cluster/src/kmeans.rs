//! k-means (Lloyd 1982) with the bounds of Hamerly (2010): the same groups as plain Lloyd, without most of its distances.
//!
//! A row keeps an upper bound of the distance to its own centre and a lower bound of that to any other; both move with
//! the centres. Only rows whose bounds cross are compared again, against all centres, as products of blocks of rows.
//! Centres are kept as sums, of which only the rows that change their group are taken and to which they are added.
//!
//! The same seed gives the same result for any number of threads: rows are compared in fixed blocks, and a centre's
//! sums are added in row order.

use crate::rows::{Rows, Scratch, add, blocks, square_between, squares_to};
use crate::seeding::seeded;
use ndarray::{Array2, ArrayView2, Axis};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use std::ops::Range;

/// Bounds are floats and drift with rounding: a row is left alone only if they are apart by more than this share.
const BOUND_SLACK: f32 = 1e-5;

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

    /// The same groups without those that no row is in, numbered anew in their order: where rows are copies of each other, fewer groups
    /// than were searched for can have rows.
    pub fn without_empty(mut self) -> Self {
        let mut full = vec![false; self.centres.nrows()];
        self.of_row.iter().for_each(|&group| full[group] = true);
        if full.iter().all(|&has_rows| has_rows) {
            return self;
        }
        let kept: Vec<usize> = (0..full.len()).filter(|&group| full[group]).collect();
        let number = |group: usize| full[..group].iter().filter(|&&has_rows| has_rows).count();
        let numbers: Vec<usize> = (0..full.len()).map(number).collect();
        self.of_row.iter_mut().for_each(|group| *group = numbers[*group]);
        self.centres = self.centres.select(Axis(0), &kept);
        self
    }
}

/// Groups rows into `k`, or fewer where too many are copies of each other.
///
/// # Panics
/// If `k` is zero or more than the number of rows.
pub fn kmeans(matrix: ArrayView2<f32>, k: usize, search: Search) -> Grouping {
    group(&Rows::of(matrix), k, search).without_empty()
}

/// As [`kmeans`], for rows that are there already; groups without rows stay.
///
/// # Panics
/// If `k` is zero or more than the number of rows.
pub fn group(rows: &Rows, k: usize, search: Search) -> Grouping {
    assert!(k > 0 && k <= rows.len(), "k must be from 1 to the number of rows");
    let starts = (0..search.n_starts.max(1)).map(|start| {
        let mut rng = ChaCha8Rng::seed_from_u64(search.seed);
        rng.set_stream(start);
        lloyd(rows, rows.pick(&seeded(rows, k, &mut rng)), search.max_steps)
    });
    starts
        .reduce(|best, next| if next.inertia() < best.inertia() { next } else { best })
        .expect("one start at least")
}

/// The group of each row: that of the nearest centre, of equally near ones the first.
pub fn nearest(rows: &Rows, centres: &Rows) -> Vec<usize> {
    State::begin(rows, centres).of_row
}

fn lloyd(rows: &Rows, mut centres: Rows<'static>, max_steps: usize) -> Grouping {
    let mut state = State::begin(rows, &centres);
    for _ in 0..max_steps {
        let next = state.means(rows, &centres);
        let moved: Vec<f32> =
            (0..next.len()).map(|i| square_between(next.row(i), centres.row(i)).sqrt()).collect();
        centres = next;
        if !state.step(rows, &centres, &moved) {
            break;
        }
    }
    let flat = (0..centres.len()).flat_map(|i| rows.uncentred(centres.row(i))).collect();
    Grouping {
        squares: squares(rows, &centres, &state.of_row),
        of_row: state.of_row,
        centres: Array2::from_shape_vec((centres.len(), rows.dims()), flat)
            .expect("every centre has one value a feature"),
    }
}

fn squares(rows: &Rows, centres: &Rows, of_row: &[usize]) -> Vec<f32> {
    let one = |(row, &group): (usize, &usize)| square_between(rows.row(row), centres.row(group));
    of_row.par_iter().enumerate().map(one).collect()
}

/// Where rows belong, what is known of their distances, and the sums of the groups.
struct State {
    of_row: Vec<usize>,
    /// At least the distance to the own centre.
    upper: Vec<f32>,
    /// At most the distance to any other centre.
    lower: Vec<f32>,
    sums: Vec<Vec<f64>>,
    sizes: Vec<usize>,
}

/// A row's nearest centre, its distance, and that of the next.
struct Found {
    row: usize,
    group: usize,
    nearest: f32,
    next: f32,
}

impl State {
    fn begin(rows: &Rows, centres: &Rows) -> Self {
        let n = rows.len();
        let mut state = Self {
            of_row: vec![usize::MAX; n],
            upper: vec![f32::INFINITY; n],
            lower: vec![0.0; n],
            sums: vec![vec![0.0; rows.dims()]; centres.len()],
            sizes: vec![0; centres.len()],
        };
        let found = compare(rows, centres, |_| true);
        state.take(rows, found);
        state
    }

    /// The centres of the groups; an empty group moves to the row that is farthest from its centre.
    fn means(&self, rows: &Rows, centres: &Rows) -> Rows<'static> {
        let mut spare =
            if self.sizes.contains(&0) { farthest(rows, centres, &self.of_row) } else { Vec::new() };
        let mut mean = |(sums, &size): (&Vec<f64>, &usize)| -> Vec<f32> {
            match (size == 0).then(|| spare.pop()).flatten() {
                Some(row) => rows.row(row).to_vec(),
                None => sums.iter().map(|sum| (sum / size.max(1) as f64) as f32).collect(),
            }
        };
        Rows::owned(self.sums.iter().zip(&self.sizes).flat_map(&mut mean).collect(), rows.dims())
    }

    /// Compares the rows whose bounds cross now that the centres moved; whether a row changed its group.
    fn step(&mut self, rows: &Rows, centres: &Rows, moved: &[f32]) -> bool {
        let half_apart = half_apart(centres);
        let (most, place, second) = two_largest(moved);
        for row in 0..rows.len() {
            let group = self.of_row[row];
            self.upper[row] += moved[group];
            self.lower[row] -= if group == place { second } else { most };
        }
        let (of_row, upper, lower) = (&self.of_row, &self.upper, &self.lower);
        let crossed = |row: usize| {
            let bound = lower[row].max(half_apart[of_row[row]]);
            upper[row] * (1.0 + BOUND_SLACK) >= bound
        };
        let found = compare(rows, centres, crossed);
        self.take(rows, found)
    }

    /// Takes new comparisons up and moves rows between the sums; whether one moved.
    fn take(&mut self, rows: &Rows, found: Vec<Found>) -> bool {
        let mut moves: Vec<Vec<(usize, f64)>> = vec![Vec::new(); self.sums.len()];
        for Found { row, group, nearest, next } in found {
            (self.upper[row], self.lower[row]) = (nearest, next);
            let old = std::mem::replace(&mut self.of_row[row], group);
            if old == group {
                continue;
            }
            moves[group].push((row, 1.0));
            self.sizes[group] += 1;
            if let Some(size) = self.sizes.get_mut(old) {
                moves[old].push((row, -1.0));
                *size -= 1;
            }
        }
        self.sums.par_iter_mut().zip(&moves).for_each(|(sums, moves)| {
            moves.iter().for_each(|&(row, sign)| add(sums, rows.row(row), sign));
        });
        moves.iter().any(|moves| !moves.is_empty())
    }
}

/// The nearest centres of the rows that are asked for.
fn compare(rows: &Rows, centres: &Rows, asked: impl Fn(usize) -> bool + Sync) -> Vec<Found> {
    let of_block = |scratch: &mut Scratch, block: Range<usize>| {
        let wanted: Vec<usize> = block.clone().filter(|&row| asked(row)).collect();
        let mut found = Vec::with_capacity(wanted.len());
        squares_to(rows, block, &wanted, centres, scratch, |row, squares| {
            let (mut group, mut nearest, mut next) = (0, f32::INFINITY, f32::INFINITY);
            for (i, &square) in squares.iter().enumerate() {
                if square < nearest {
                    (group, next, nearest) = (i, nearest, square);
                } else if square < next {
                    next = square;
                }
            }
            found.push(Found { row, group, nearest: nearest.sqrt(), next: next.sqrt() });
        });
        found
    };
    let parts: Vec<Vec<Found>> = blocks(rows.len()).map_init(Scratch::default, of_block).collect();
    parts.into_iter().flatten().collect()
}

/// Rows by their distance to their centre, the farthest last.
fn farthest(rows: &Rows, centres: &Rows, of_row: &[usize]) -> Vec<usize> {
    let squares = squares(rows, centres, of_row);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|&a, &b| squares[a].total_cmp(&squares[b]).then(b.cmp(&a)));
    order
}

/// Half of each centre's distance to its nearest other centre: a row nearer than that belongs to it.
fn half_apart(centres: &Rows) -> Vec<f32> {
    let half = |i: usize| {
        let others = (0..centres.len()).filter(|&j| j != i);
        others.map(|j| square_between(centres.row(i), centres.row(j))).fold(f32::INFINITY, f32::min).sqrt()
            / 2.0
    };
    (0..centres.len()).into_par_iter().map(half).collect()
}

/// The largest value, its place, and the second largest.
fn two_largest(values: &[f32]) -> (f32, usize, f32) {
    let mut found = (0.0, usize::MAX, 0.0);
    for (i, &value) in values.iter().enumerate() {
        if value > found.0 {
            found = (value, i, found.0);
        } else if value > found.2 {
            found.2 = value;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use linfa::DatasetBase;
    use linfa::traits::Fit;
    use linfa_clustering::KMeans;
    use rand::RngExt;

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

    /// Lloyd's algorithm word for word, from the same first centres.
    fn plain(rows: &Array2<f32>, k: usize) -> Vec<usize> {
        let mut rng = ChaCha8Rng::seed_from_u64(SEARCH.seed);
        rng.set_stream(0);
        let mut centres = rows.select(ndarray::Axis(0), &seeded(&Rows::of(rows.view()), k, &mut rng));
        let mut of_row = Vec::new();
        loop {
            let nearest = |row: ndarray::ArrayView1<f32>| {
                let square = |c: usize| (&row - &centres.row(c)).mapv(|d| d * d).sum();
                (0..k).min_by(|&a, &b| square(a).total_cmp(&square(b))).expect("k is not zero")
            };
            let next: Vec<usize> = rows.outer_iter().map(nearest).collect();
            if next == of_row {
                return of_row;
            }
            of_row = next;
            for group in 0..k {
                let members: Vec<usize> = (0..rows.nrows()).filter(|&row| of_row[row] == group).collect();
                let mean = rows.select(ndarray::Axis(0), &members).mean_axis(ndarray::Axis(0));
                centres.row_mut(group).assign(&mean.expect("no group is empty here"));
            }
        }
    }

    #[test]
    fn bounds_spare_distances_and_change_no_group() {
        for (spread, k) in [(0.3, 7), (1.5, 12)] {
            let rows = blobs(1100, 9, 20, spread);
            let ours = kmeans(rows.view(), k, Search { n_starts: 1, ..SEARCH });
            assert_eq!(ours.of_row, plain(&rows, k), "spread {spread}");
        }
    }

    #[test]
    fn rows_far_from_the_origin_are_grouped_as_well() {
        let rows = blobs(300, 5, 8, 0.02);
        let far = kmeans((&rows + 4096.0).view(), 5, SEARCH);
        assert_eq!(far.of_row, kmeans(rows.view(), 5, SEARCH).of_row);
        assert!(far.centres.iter().all(|&c| (4096.0..4098.0).contains(&c)), "centres lie among the rows");
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

    #[test]
    fn copies_of_three_rows_are_three_groups_however_many_are_searched_for() {
        let three = blobs(3, 3, 5, 0.1);
        let rows = Array2::from_shape_fn((40, 5), |(i, j)| three[(i % 3, j)]);
        assert_eq!(Rows::of(rows.view()).n_distinct(40), 3);
        assert_eq!(Rows::of(rows.view()).n_distinct(2), 2, "counting stops");
        for k in [3, 4, 10, 40] {
            let found = kmeans(rows.view(), k, SEARCH);
            let groups: std::collections::BTreeSet<_> = found.of_row.iter().copied().collect();
            assert_eq!((groups.into_iter().collect::<Vec<_>>(), found.centres.nrows()), (vec![0, 1, 2], 3));
            assert!((0..40).all(|i| found.of_row[i] == found.of_row[i % 3]), "k {k}");
            // Products of 32-bit rows are rounded.
            assert!(found.inertia() < 1e-6, "k {k}");
        }
    }
}
