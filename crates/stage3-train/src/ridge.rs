//! Ridge regression in closed form, on weighted rows.

/// The weights and the intercept that minimise `Σ v (y - b - w·x)² + Σ v · Σ penaltyⱼ wⱼ²`; the intercept is not pulled.
///
/// # Panics
/// If a penalty is not above zero, or rows are of different lengths.
pub fn ridge(rows: &[&[f32]], targets: &[f64], weights: &[f64], penalties: &[f64]) -> (Vec<f64>, f64) {
    assert!(penalties.iter().all(|&p| p > 0.0), "without a penalty there may be no single answer");
    let (dims, total) = (rows.first().map_or(0, |r| r.len()), weights.iter().sum::<f64>());
    let mean_of =
        |get: &dyn Fn(usize) -> f64| (0..rows.len()).map(|i| weights[i] * get(i)).sum::<f64>() / total;
    let mean: Vec<f64> = (0..dims).map(|j| mean_of(&|i| f64::from(rows[i][j]))).collect();
    let target = mean_of(&|i| targets[i]);
    let mut square = vec![vec![0.0; dims]; dims];
    let mut right = vec![0.0; dims];
    for (i, row) in rows.iter().enumerate() {
        let x: Vec<f64> = row.iter().zip(&mean).map(|(&x, m)| f64::from(x) - m).collect();
        for (a, line) in square.iter_mut().enumerate() {
            let scaled = weights[i] * x[a];
            line[..=a].iter_mut().zip(&x).for_each(|(cell, b)| *cell += scaled * b);
            right[a] += scaled * (targets[i] - target);
        }
    }
    (0..dims).for_each(|a| square[a][a] += penalties[a] * total);
    let w = solved(square, right);
    let b = target - w.iter().zip(&mean).map(|(w, m)| w * m).sum::<f64>();
    (w, b)
}

/// Solves for a positive definite matrix of which the lower triangle is given, by Cholesky's method.
fn solved(mut l: Vec<Vec<f64>>, mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len();
    for a in 0..n {
        let (done, rest) = l.split_at_mut(a);
        let row = &mut rest[0];
        for (b, other) in done.iter().enumerate() {
            let dot: f64 = row[..b].iter().zip(&other[..b]).map(|(p, q)| p * q).sum();
            row[b] = (row[b] - dot) / other[b];
        }
        let dot: f64 = row[..a].iter().map(|p| p * p).sum();
        row[a] = (row[a] - dot).max(f64::MIN_POSITIVE).sqrt();
    }
    for a in 0..n {
        let dot: f64 = (0..a).map(|b| l[a][b] * x[b]).sum();
        x[a] = (x[a] - dot) / l[a][a];
    }
    for a in (0..n).rev() {
        let dot: f64 = (a + 1..n).map(|b| l[b][a] * x[b]).sum();
        x[a] = (x[a] - dot) / l[a][a];
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<f32>> {
        (0..40)
            .map(|i| (0..3).map(|j| ((i * 13 + j * 29 + i * i * (j + 1)) % 31) as f32 / 10.0).collect())
            .collect()
    }

    #[test]
    fn a_small_penalty_finds_the_plane_that_was_laid() {
        let rows = rows();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let plane = |x: &[f32]| 0.5 + 2.0 * f64::from(x[0]) - f64::from(x[1]) + 0.25 * f64::from(x[2]);
        let targets: Vec<f64> = rows.iter().map(|x| plane(x)).collect();
        let (w, b) = ridge(&rows, &targets, &[1.0; 40], &[1e-12; 3]);
        // Features are 32-bit floats.
        assert!(w.iter().zip([2.0, -1.0, 0.25]).all(|(a, b)| (a - b).abs() < 1e-5) && (b - 0.5).abs() < 1e-5);
    }

    #[test]
    fn a_feature_with_a_large_penalty_is_left_out() {
        let rows = rows();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let targets: Vec<f64> = rows.iter().map(|x| f64::from(x[0] + x[1])).collect();
        let (w, _) = ridge(&rows, &targets, &[1.0; 40], &[1e-9, 1e9, 1e-9]);
        assert!(w[1].abs() < 1e-6 && w[0] > 0.5, "{w:?}");
    }

    #[test]
    fn a_row_of_weight_two_counts_as_two_rows() {
        let rows = rows();
        let mut twice: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let targets: Vec<f64> = (0..40).map(|i| f64::from(i * 7 % 11)).collect();
        let mut weights = vec![1.0; 40];
        weights[5] = 2.0;
        let (weighted, _) = ridge(&twice, &targets, &weights, &[0.1; 3]);
        twice.push(&rows[5]);
        let (repeated, _) =
            ridge(&twice, &[targets.clone(), vec![targets[5]]].concat(), &[1.0; 41], &[0.1; 3]);
        assert!(weighted.iter().zip(&repeated).all(|(a, b)| (a - b).abs() < 1e-9));
    }
}
