//! The silhouette (Rousseeuw 1987): how much nearer a row is to its own group than to the next one, from -1 to 1.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// Euclidean distances between rows, made once for a whole sweep over K.
pub struct Distances(Array2<f32>);

impl Distances {
    /// All pairs. Memory grows with the square of the rows: sample first.
    pub fn between(rows: ArrayView2<f32>) -> Self {
        let norms = rows.map_axis(Axis(1), |row| row.dot(&row));
        let mut products = rows.dot(&rows.t());
        for (i, mut line) in products.outer_iter_mut().enumerate() {
            for (j, value) in line.iter_mut().enumerate() {
                *value = if i == j { 0.0 } else { (norms[i] + norms[j] - 2.0 * *value).max(0.0).sqrt() };
            }
        }
        Self(products)
    }

    /// The mean silhouette of a grouping; a row alone in its group counts as 0. Missing for fewer than two groups.
    ///
    /// # Panics
    /// If the grouping is of another number of rows.
    pub fn silhouette(&self, of_row: &[usize]) -> Option<f64> {
        assert_eq!(of_row.len(), self.0.nrows(), "a grouping of other rows");
        let k = of_row.iter().max()? + 1;
        let mut sizes = vec![0_usize; k];
        of_row.iter().for_each(|&group| sizes[group] += 1);
        if sizes.iter().filter(|&&size| size > 0).count() < 2 {
            return None;
        }
        let values: Vec<f64> =
            (0..of_row.len()).into_par_iter().map(|i| self.of_one(i, of_row, &sizes)).collect();
        Some(values.iter().sum::<f64>() / values.len() as f64)
    }

    fn of_one(&self, i: usize, of_row: &[usize], sizes: &[usize]) -> f64 {
        let mine = of_row[i];
        if sizes[mine] < 2 {
            return 0.0;
        }
        let mut sums = vec![0.0_f64; sizes.len()];
        for (&group, &distance) in of_row.iter().zip(self.0.row(i)) {
            sums[group] += f64::from(distance);
        }
        let inner = sums[mine] / (sizes[mine] - 1) as f64;
        let others =
            (0..sizes.len()).filter(|&g| g != mine && sizes[g] > 0).map(|g| sums[g] / sizes[g] as f64);
        let outer = others.fold(f64::INFINITY, f64::min);
        let widest = inner.max(outer);
        if widest > 0.0 { (outer - inner) / widest } else { 0.0 }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use linfa::DatasetBase;
    use linfa::metrics::SilhouetteScore;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    #[test]
    fn it_equals_linfas_silhouette() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let rows =
            Array2::from_shape_fn((90, 4), |(i, j)| rng.random::<f32>() + ((i % 3) * (j + 1)) as f32 * 0.3);
        let of_row: Vec<usize> = (0..90).map(|i| i % 3).collect();
        let ours = Distances::between(rows.view()).silhouette(&of_row).unwrap();
        let targets = ndarray::Array1::from(of_row);
        let theirs = DatasetBase::new(rows.mapv(f64::from), targets).silhouette_score().unwrap();
        assert!((ours - theirs).abs() < 1e-3, "ours {ours}, linfa {theirs}");
    }

    #[test]
    fn one_group_has_no_silhouette_and_far_groups_have_one_near_1() {
        let rows = Array2::from_shape_fn((10, 2), |(i, _)| (i % 2) as f32 * 100.0 + i as f32 * 0.01);
        let distances = Distances::between(rows.view());
        assert_eq!(distances.silhouette(&[0; 10]), None);
        let split: Vec<usize> = (0..10).map(|i| i % 2).collect();
        assert!(distances.silhouette(&split).unwrap() > 0.99);
    }
}
