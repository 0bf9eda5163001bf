//! The silhouette (Rousseeuw 1987): how much nearer a row is to its own group than to the next one, from -1 to 1.
//!
//! A sweep over K asks the same distances for every K, and they are most of the work. So blocks of the matrix of distances are made
//! once, and each is added up for the groups of all K at a time, as a product with the table "row is in group". No more
//! than one block is held; memory grows with the rows, not with their square.

use crate::rows::{BLOCK, Rows, blocks, products};
use ndarray::ArrayView2;
use rayon::prelude::*;
use std::ops::Range;

/// Columns of a block of distances.
const COLUMNS: usize = 512;

/// The mean silhouette of each grouping of the same rows; a row alone in its group counts as 0. Missing for fewer than two
/// groups.
///
/// # Panics
/// If a grouping is of another number of rows.
pub fn silhouettes(matrix: ArrayView2<f32>, groupings: &[&[usize]]) -> Vec<Option<f64>> {
    of_rows(&Rows::of(matrix), groupings)
}

/// As [`silhouettes`], for rows that are there already.
///
/// # Panics
/// If a grouping is of another number of rows.
pub fn of_rows(rows: &Rows, groupings: &[&[usize]]) -> Vec<Option<f64>> {
    let tables: Vec<Groups> = groupings.iter().map(|of_row| Groups::of(of_row, rows.len())).collect();
    let n_groups: usize = tables.iter().map(|t| t.sizes.len()).sum();
    let member = membership(&tables, rows.len(), n_groups);
    let parts: Vec<Vec<f64>> = blocks(rows.len())
        .map_init(Scratch::default, |scratch, block| {
            let sums = scratch.distance_sums(rows, block.clone(), &member, n_groups);
            tables
                .iter()
                .scan(0, |first, table| {
                    let mine = *first;
                    *first += table.sizes.len();
                    let of_one = |(i, row): (usize, usize)| table.of_one(row, &sums[i * n_groups + mine..]);
                    Some(block.clone().enumerate().map(of_one).sum())
                })
                .collect()
        })
        .collect();
    let mean = |(i, table): (usize, &Groups)| {
        let enough = table.sizes.iter().filter(|&&size| size > 0).count() > 1;
        enough.then(|| parts.iter().map(|part| part[i]).sum::<f64>() / rows.len() as f64)
    };
    tables.iter().enumerate().map(mean).collect()
}

/// A grouping and the sizes of its groups.
struct Groups<'a> {
    of_row: &'a [usize],
    sizes: Vec<usize>,
}

impl<'a> Groups<'a> {
    fn of(of_row: &'a [usize], n_rows: usize) -> Self {
        assert_eq!(of_row.len(), n_rows, "a grouping of other rows");
        let mut sizes = vec![0; of_row.iter().max().map_or(0, |most| most + 1)];
        of_row.iter().for_each(|&group| sizes[group] += 1);
        Self { of_row, sizes }
    }

    /// The silhouette of a row from its sum of distances to each group.
    fn of_one(&self, row: usize, sums: &[f64]) -> f64 {
        let (mine, sizes) = (self.of_row[row], &self.sizes);
        if sizes[mine] < 2 {
            return 0.0;
        }
        let inner = sums[mine] / (sizes[mine] - 1) as f64;
        let others =
            (0..sizes.len()).filter(|&g| g != mine && sizes[g] > 0).map(|g| sums[g] / sizes[g] as f64);
        let outer = others.fold(f64::INFINITY, f64::min);
        let widest = inner.max(outer);
        if widest > 0.0 && outer.is_finite() { (outer - inner) / widest } else { 0.0 }
    }
}

/// 1 where a row is in a group, the groupings side by side, groups before rows. `[group][row]`
fn membership(tables: &[Groups], n_rows: usize, n_groups: usize) -> Vec<f32> {
    let mut member = vec![0.0; n_groups * n_rows];
    let mut first = 0;
    for table in tables {
        for (row, &group) in table.of_row.iter().enumerate() {
            member[(first + group) * n_rows + row] = 1.0;
        }
        first += table.sizes.len();
    }
    member
}

/// Memory of one thread, kept from block to block.
#[derive(Default)]
struct Scratch {
    distances: Vec<f32>,
    part: Vec<f32>,
    member: Vec<f32>,
    sums: Vec<f64>,
}

impl Scratch {
    /// The sums of distances from each row of the block to the rows of each group. `[row of the block][group]`
    fn distance_sums(&mut self, rows: &Rows, block: Range<usize>, member: &[f32], n_groups: usize) -> &[f64] {
        self.sums.clear();
        self.sums.resize(block.len() * n_groups, 0.0);
        self.distances.resize(BLOCK * COLUMNS, 0.0);
        self.part.resize(BLOCK * n_groups, 0.0);
        for first in (0..rows.len()).step_by(COLUMNS) {
            let columns = first..(first + COLUMNS).min(rows.len());
            products(
                rows.slice(block.clone()),
                rows.slice(columns.clone()),
                rows.dims(),
                &mut self.distances,
            );
            pulp::Arch::new()
                .dispatch(|| distances(rows, block.clone(), columns.clone(), &mut self.distances));
            self.member.clear();
            for group in 0..n_groups {
                self.member.extend_from_slice(&member[group * rows.len()..][columns.clone()]);
            }
            products(
                &self.distances[..block.len() * columns.len()],
                &self.member,
                columns.len(),
                &mut self.part,
            );
            self.sums.iter_mut().zip(&self.part).for_each(|(sum, &part)| *sum += f64::from(part));
        }
        &self.sums
    }
}

/// Products of rows become their distances, in place; a row is at no distance from itself.
#[inline(always)]
fn distances(rows: &Rows, block: Range<usize>, columns: Range<usize>, products: &mut [f32]) {
    let others = rows.squares(columns.clone());
    for (row, line) in block.zip(products.chunks_exact_mut(columns.len())) {
        let square = rows.square(row);
        for (value, &other) in line.iter_mut().zip(others) {
            *value = (square + other - 2.0 * *value).max(0.0).sqrt();
        }
        if columns.contains(&row) {
            line[row - columns.start] = 0.0;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use linfa::DatasetBase;
    use linfa::metrics::SilhouetteScore;
    use ndarray::Array2;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// 32-bit distances, summed in 64 bits, against linfa's 64 throughout.
    const ROUNDING: f64 = 1e-4;

    fn rows(n: usize) -> Array2<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        Array2::from_shape_fn((n, 4), |(i, j)| rng.random::<f32>() + ((i % 3) * (j + 1)) as f32 * 0.3)
    }

    #[test]
    fn each_of_a_sweep_equals_linfas_silhouette() {
        let rows = rows(700);
        let groupings: Vec<Vec<usize>> = [3, 2, 7].map(|k| (0..700).map(|i| i % k).collect()).into();
        let ours = silhouettes(rows.view(), &groupings.iter().map(Vec::as_slice).collect::<Vec<_>>());
        for (of_row, ours) in groupings.into_iter().zip(ours) {
            let targets = ndarray::Array1::from(of_row);
            let theirs = DatasetBase::new(rows.mapv(f64::from), targets).silhouette_score().unwrap();
            assert!((ours.unwrap() - theirs).abs() < ROUNDING, "ours {ours:?}, linfa {theirs}");
        }
    }

    #[test]
    fn one_group_has_no_silhouette_and_far_groups_have_one_near_1() {
        let rows = Array2::from_shape_fn((10, 2), |(i, _)| (i % 2) as f32 * 100.0 + i as f32 * 0.01);
        let split: Vec<usize> = (0..10).map(|i| i % 2).collect();
        let found = silhouettes(rows.view(), &[&[0; 10], &split]);
        assert_eq!(found[0], None);
        assert!(found[1].unwrap() > 0.99);
    }

    #[test]
    fn any_number_of_threads_gives_the_same_bits() {
        let rows = rows(900);
        let of_row: Vec<usize> = (0..900).map(|i| i % 5).collect();
        let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let one = alone.install(|| silhouettes(rows.view(), &[&of_row]));
        assert_eq!(one, silhouettes(rows.view(), &[&of_row]));
    }
}
