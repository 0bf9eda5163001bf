//! Kendall's rank correlation τ-b: how far two rankings of the same items agree, ties allowed.
//!
//! τ-b = (C - D) / √((C + D + Tx)(C + D + Ty)) over all pairs: C in the same order in both, D in
//! opposite orders, Tx tied in x alone, Ty tied in y alone. Pairs are counted one by one: O(n²).

/// τ-b in [-1, 1]; `None` if the lengths differ, a value is not finite, or one side is all ties.
pub fn tau_b(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.iter().chain(y).any(|value| !value.is_finite()) {
        return None;
    }
    let (mut balance, mut untied_x, mut untied_y) = (0i64, 0i64, 0i64);
    for i in 0..x.len() {
        for j in 0..i {
            let (sign_x, sign_y) = (sign(x[i], x[j]), sign(y[i], y[j]));
            balance += sign_x * sign_y;
            untied_x += sign_x.abs();
            untied_y += sign_y.abs();
        }
    }
    let scale = (untied_x as f64 * untied_y as f64).sqrt();
    (scale > 0.0).then(|| balance as f64 / scale)
}

fn sign(a: f64, b: f64) -> i64 {
    i64::from(a > b) - i64::from(a < b)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_order_agrees_with_itself_and_opposes_its_reverse() {
        let up = [1.0, 2.0, 3.0, 4.0];
        let down = [4.0, 3.0, 2.0, 1.0];
        assert_eq!(tau_b(&up, &up), Some(1.0));
        assert_eq!(tau_b(&up, &down), Some(-1.0));
    }

    /// `scipy.stats.kendalltau([1, 2, 2, 3], [1, 3, 2, 2])` by hand: C 3, D 1, Tx 1, Ty 1.
    #[test]
    fn ties_are_counted_as_tau_b_does() {
        let tau = tau_b(&[1.0, 2.0, 2.0, 3.0], &[1.0, 3.0, 2.0, 2.0]).unwrap();
        assert!((tau - 2.0 / 5.0).abs() < 1e-12, "{tau}");
    }

    #[test]
    fn ties_alone_missing_values_and_unequal_lengths_have_no_tau() {
        assert_eq!(tau_b(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(tau_b(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        assert_eq!(tau_b(&[1.0], &[1.0, 2.0]), None);
    }
}
