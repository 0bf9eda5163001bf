use crate::{Error, Result};
use faer::Mat;
use serde::{Deserialize, Serialize};

/// Rows that a component needs at least.
const ROWS_A_COMPONENT: usize = 8;

/// Principal components whose spread is made one: `(x - mean) · components / spread`.
///
/// No more than one direction for every eight rows is kept: whitening blows the directions of few rows up
/// to the size of the meaningful ones, and what they hold is chance. Directions whose variance is below 1e-6 of the largest carry noise and are left out, so there may be fewer
/// components than asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Whitener {
    /// Mean of the training rows. `[feature]`
    mean: Vec<f32>,
    /// Unit directions divided by their standard deviation. `[component][feature]`
    components: Vec<Vec<f32>>,
}

impl Whitener {
    /// Learns at most `n_components` directions from rows of equal length. Single-threaded, so the same bits anywhere.
    ///
    /// # Errors
    /// [`Error::Unfit`] below three rows, or if all rows are equal.
    pub fn fit(rows: &[Vec<f32>], n_components: usize) -> Result<Self> {
        let (n, dims) = (rows.len(), rows.first().map_or(0, Vec::len));
        if n < 3 {
            return Err(Error::Unfit(format!(
                "want at least 3 images to find principal components, got {n}"
            )));
        }
        let mean: Vec<f64> =
            (0..dims).map(|j| rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / n as f64).collect();
        let scale = 1.0 / ((n - 1) as f64).sqrt();
        let centred = Mat::from_fn(n, dims, |i, j| (f64::from(rows[i][j]) - mean[j]) * scale);
        faer::set_global_parallelism(faer::Par::Seq);
        // The smaller of the two products has the same non-zero eigenvalues.
        let wide = dims > n;
        let product = if wide { &centred * centred.transpose() } else { centred.transpose() * &centred };
        let eigen = product
            .self_adjoint_eigen(faer::Side::Lower)
            .map_err(|e| Error::Unfit(format!("the features have no principal components ({e:?})")))?;
        let (values, vectors) = (eigen.S().column_vector(), eigen.U());
        let n_all = values.nrows();
        let largest = values[n_all - 1];
        if largest.is_nan() || largest <= 0.0 {
            return Err(Error::Unfit("want images that differ, got the same features for all".into()));
        }
        let mut components = Vec::new();
        let most = n_components.min((n / ROWS_A_COMPONENT).max(2)).min(n - 1);
        for k in (0..n_all).rev().take(most) {
            let variance = values[k];
            if variance < 1e-6 * largest {
                break;
            }
            let raw: Vec<f64> = if wide {
                let root = variance.sqrt();
                (0..dims)
                    .map(|j| (0..n).map(|i| centred[(i, j)] * vectors[(i, k)]).sum::<f64>() / root)
                    .collect()
            } else {
                (0..dims).map(|j| vectors[(j, k)]).collect()
            };
            components.push(signed(raw, variance.sqrt()));
        }
        Ok(Self { mean: mean.into_iter().map(|v| v as f32).collect(), components })
    }

    /// Components that were kept.
    pub fn n_components(&self) -> usize {
        self.components.len()
    }

    /// Whitened coordinates of a row. `[component]`
    ///
    /// # Panics
    /// If the row is of another length than those learned from.
    pub fn apply(&self, row: &[f32]) -> Vec<f32> {
        assert_eq!(row.len(), self.mean.len(), "a row of other features than the whitener learned from");
        let project = |c: &Vec<f32>| {
            c.iter()
                .zip(row.iter().zip(&self.mean))
                .map(|(w, (x, m))| f64::from(*w) * f64::from(x - m))
                .sum::<f64>()
        };
        self.components.iter().map(|c| project(c) as f32).collect()
    }

    /// A linear layer on whitened coordinates as one on raw rows: `weight` is `[component][unit]` in, `[feature][unit]` out.
    ///
    /// # Panics
    /// If the layer is of another number of components.
    pub fn fold(&self, weight: &[f32], bias: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let n_units = bias.len();
        assert_eq!(
            weight.len(),
            n_units * self.components.len(),
            "a layer of other components than the whitener's"
        );
        let at = |j: usize, unit: usize| -> f64 {
            self.components
                .iter()
                .enumerate()
                .map(|(k, c)| f64::from(c[j]) * f64::from(weight[k * n_units + unit]))
                .sum()
        };
        let mut shift = vec![0.0; n_units];
        let mut raw = Vec::with_capacity(self.mean.len() * n_units);
        for (j, &mean) in self.mean.iter().enumerate() {
            for (unit, shift) in shift.iter_mut().enumerate() {
                let w = at(j, unit);
                *shift += w * f64::from(mean);
                raw.push(w as f32);
            }
        }
        let bias = bias.iter().zip(shift).map(|(&b, s)| (f64::from(b) - s) as f32).collect();
        (raw, bias)
    }

    /// Whitened coordinates at unit length, as clustering wants them (Caron 2018). A zero row stays zero.
    pub fn apply_unit(&self, row: &[f32]) -> Vec<f32> {
        let mut x = self.apply(row);
        let length = x.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
        if length > 0.0 {
            x.iter_mut().for_each(|v| *v = (f64::from(*v) / length) as f32);
        }
        x
    }
}

/// The direction with its largest entry made positive, since an eigenvector's sign is arbitrary, over its spread.
fn signed(direction: Vec<f64>, spread: f64) -> Vec<f32> {
    let largest = direction.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
    let factor = largest.signum() / spread;
    direction.into_iter().map(|v| (v * factor) as f32).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn rows(n: usize, dims: usize) -> Vec<Vec<f32>> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..n).map(|_| (0..dims).map(|j| rng.random::<f32>() * (j + 1) as f32).collect()).collect()
    }

    #[test]
    fn whitened_rows_have_zero_mean_and_unit_covariance() {
        for (n, dims) in [(200, 8), (48, 60)] {
            let rows = rows(n, dims);
            let whitener = Whitener::fit(&rows, 6).unwrap();
            assert_eq!(whitener.n_components(), 6);
            let white: Vec<Vec<f32>> = rows.iter().map(|r| whitener.apply(r)).collect();
            for a in 0..6 {
                for b in 0..6 {
                    let dot: f64 = white.iter().map(|x| f64::from(x[a]) * f64::from(x[b])).sum();
                    let want = if a == b { 1.0 } else { 0.0 };
                    assert!((dot / (n - 1) as f64 - want).abs() < 1e-4, "n {n}, {a} {b}: {dot}");
                }
            }
        }
    }

    #[test]
    fn too_few_or_equal_rows_are_refused() {
        assert!(Whitener::fit(&rows(2, 4), 2).is_err());
        assert!(Whitener::fit(&vec![vec![1.0; 4]; 9], 2).is_err());
    }
}
