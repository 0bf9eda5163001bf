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
    /// [`Error::Unfit`] below three rows, if all rows are equal, or if one holds a value that is no number.
    pub fn fit(rows: &[Vec<f32>], n_components: usize) -> Result<Self> {
        let (n, dims) = enough(rows)?;
        let mean: Vec<f64> =
            (0..dims).map(|j| rows.iter().map(|r| f64::from(r[j])).sum::<f64>() / n as f64).collect();
        let scale = 1.0 / ((n - 1) as f64).sqrt();
        let centred = Mat::from_fn(n, dims, |i, j| (f64::from(rows[i][j]) - mean[j]) * scale);
        let components = directions(&centred, n_components)?
            .into_iter()
            .map(|d| signed(d.along, d.variance.sqrt()))
            .collect();
        Ok(Self { mean: mean.into_iter().map(|v| v as f32).collect(), components })
    }

    /// The same for rows that weigh differently, of features each brought to spread one first. Beside the whitener stands how wide each
    /// of its directions was before it was brought to one, as a share of the widest, in falling order.
    ///
    /// # Errors
    /// As [`Whitener::fit`].
    ///
    /// # Panics
    /// If there are not as many weights as rows.
    pub fn fit_weighted(rows: &[Vec<f32>], weights: &[f64], n_components: usize) -> Result<(Self, Vec<f64>)> {
        assert_eq!(rows.len(), weights.len(), "one weight a row");
        let (n, dims) = enough(rows)?;
        let total: f64 = weights.iter().sum();
        let over = |get: &dyn Fn(&Vec<f32>) -> f64| {
            rows.iter().zip(weights).map(|(row, weight)| weight * get(row)).sum::<f64>() / total
        };
        let mean: Vec<f64> = (0..dims).map(|j| over(&|row| f64::from(row[j]))).collect();
        // A feature that never varies stays at zero.
        let spread: Vec<f64> = (0..dims)
            .map(|j| over(&|row| (f64::from(row[j]) - mean[j]).powi(2)).sqrt())
            .map(|sd| if sd > 0.0 { sd } else { 1.0 })
            .collect();
        let centred = Mat::from_fn(n, dims, |i, j| {
            (f64::from(rows[i][j]) - mean[j]) / spread[j] * (weights[i] / total).sqrt()
        });
        let directions = directions(&centred, n_components)?;
        let widest = directions.first().map_or(1.0, |d| d.variance);
        let widths = directions.iter().map(|d| (d.variance / widest).sqrt()).collect();
        let unscaled = |d: Direction| {
            let along = d.along.iter().zip(&spread).map(|(x, sd)| x / sd).collect();
            signed(along, d.variance.sqrt())
        };
        let components = directions.into_iter().map(unscaled).collect();
        Ok((Self { mean: mean.into_iter().map(|v| v as f32).collect(), components }, widths))
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

/// Numbers of rows and features, if there are rows enough and all are numbers.
fn enough(rows: &[Vec<f32>]) -> Result<(usize, usize)> {
    let (n, dims) = (rows.len(), rows.first().map_or(0, Vec::len));
    if n < 3 {
        return Err(Error::Unfit(format!("want at least 3 images to find principal components, got {n}")));
    }
    let is_number = |row: &&Vec<f32>| row.iter().all(|value| value.is_finite());
    if let Some(at) = rows.iter().position(|row| !is_number(&row)) {
        return Err(Error::Unfit(format!(
            "want features that are numbers, got NaN or infinity for image {}; the weights are damaged, fetch them again",
            at + 1
        )));
    }
    Ok((n, dims))
}

/// A principal direction.
struct Direction {
    /// Of unit length. `[feature]`
    along: Vec<f64>,
    variance: f64,
}

/// The widest directions of rows around their mean, each row scaled so that the squares of a column add up to its variance.
fn directions(centred: &Mat<f64>, n_components: usize) -> Result<Vec<Direction>> {
    let (n, dims) = (centred.nrows(), centred.ncols());
    faer::set_global_parallelism(faer::Par::Seq);
    // The smaller of the two products has the same non-zero eigenvalues.
    let wide = dims > n;
    let product = if wide { centred * centred.transpose() } else { centred.transpose() * centred };
    let eigen = product
        .self_adjoint_eigen(faer::Side::Lower)
        .map_err(|e| Error::Unfit(format!("the features have no principal components ({e:?})")))?;
    let (values, vectors) = (eigen.S().column_vector(), eigen.U());
    let n_all = values.nrows();
    let largest = values[n_all - 1];
    if largest.is_nan() || largest <= 0.0 {
        return Err(Error::Unfit("want images that differ, got the same features for all".into()));
    }
    let most = n_components.min((n / ROWS_A_COMPONENT).max(2)).min(n - 1);
    let kept = (0..n_all).rev().take(most).take_while(|&k| values[k] >= 1e-6 * largest);
    let direction = |k: usize| {
        let variance = values[k];
        let root = variance.sqrt();
        let along = if wide {
            let at = |j| (0..n).map(|i| centred[(i, j)] * vectors[(i, k)]).sum::<f64>() / root;
            (0..dims).map(at).collect()
        } else {
            (0..dims).map(|j| vectors[(j, k)]).collect()
        };
        Direction { along, variance }
    };
    Ok(kept.map(direction).collect())
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
    fn rows_whitened_by_their_weights_have_zero_weighted_mean_and_unit_weighted_covariance() {
        for (n, dims) in [(200, 8), (48, 60)] {
            let rows = rows(n, dims);
            let weights: Vec<f64> = (0..n).map(|i| 0.2 + (i % 5) as f64).collect();
            let (whitener, widths) = Whitener::fit_weighted(&rows, &weights, 6).unwrap();
            assert!(widths.len() == 6 && widths[0] == 1.0 && widths.is_sorted_by(|a, b| a >= b));
            let white: Vec<Vec<f32>> = rows.iter().map(|r| whitener.apply(r)).collect();
            let total: f64 = weights.iter().sum();
            for a in 0..6 {
                let mean: f64 = white.iter().zip(&weights).map(|(x, w)| w * f64::from(x[a])).sum();
                assert!((mean / total).abs() < 1e-4);
                for b in 0..6 {
                    let products =
                        white.iter().zip(&weights).map(|(x, w)| w * f64::from(x[a]) * f64::from(x[b]));
                    let want = if a == b { 1.0 } else { 0.0 };
                    let found = products.sum::<f64>() / total;
                    assert!((found - want).abs() < 1e-4, "n {n}, {a} {b}: {found}");
                }
            }
        }
    }

    #[test]
    fn the_unit_of_a_feature_does_not_matter_to_weighted_whitening() {
        let (rows, weights) = (rows(100, 6), vec![1.0; 100]);
        let other: Vec<Vec<f32>> = rows
            .iter()
            .map(|r| r.iter().enumerate().map(|(j, v)| v * [1.0, 1000.0][j % 2]).collect())
            .collect();
        let white = |rows: &[Vec<f32>]| Whitener::fit_weighted(rows, &weights, 3).unwrap().0.apply(&rows[7]);
        // A direction's sign is that of its largest entry, which the unit may change.
        assert!(white(&rows).iter().zip(white(&other)).all(|(a, b)| (a.abs() - b.abs()).abs() < 1e-3));
    }

    #[test]
    fn too_few_or_equal_rows_are_refused() {
        assert!(Whitener::fit(&rows(2, 4), 2).is_err());
        assert!(Whitener::fit(&vec![vec![1.0; 4]; 9], 2).is_err());
        for broken in [f32::NAN, f32::INFINITY] {
            let mut rows = rows(20, 4);
            rows[7][2] = broken;
            let said = Whitener::fit(&rows, 2).unwrap_err().to_string();
            assert!(said.contains("for image 8"), "{said}");
        }
    }
}
