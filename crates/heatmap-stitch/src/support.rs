//! What a map must say of its scores beside showing them: that they are all the same, and how many have no support.

use contract::Score;

/// Scores within this are the same: no map shows the difference.
const SAME_SCORE: f64 = 1e-6;

/// Tiles with a score that lie beyond the model's limit, and their share of all that it could tell of; nothing where it could not.
pub fn outside(scores: &[Score]) -> Option<(usize, f64)> {
    let told: Vec<bool> =
        scores.iter().filter(|row| row.score.is_some()).filter_map(|row| row.outside).collect();
    let n = told.iter().filter(|&&outside| outside).count();
    (!told.is_empty()).then(|| (n, n as f64 / told.len() as f64))
}

/// What to say of scores that are all the same; nothing of a single one.
pub fn same_everywhere(scores: &[f64]) -> Option<&'static str> {
    let least = scores.iter().copied().fold(f64::INFINITY, f64::min);
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (scores.len() > 1 && most - least <= SAME_SCORE).then_some(
        "there is no order to see; either the tiles show the same, or the model tells nothing apart on this ground (other tiles, judge)",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_that_are_all_the_same_are_told_from_those_that_differ() {
        assert!(same_everywhere(&[0.5; 9]).is_some());
        assert!(same_everywhere(&[0.5, 0.5 + 1e-9]).is_some());
        assert!(same_everywhere(&[0.5, 0.5001]).is_none() && same_everywhere(&[0.5]).is_none());
    }
}
