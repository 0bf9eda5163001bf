//! Exact 1-D k-means: numbers to levels, optimal, by dynamic programming over the sorted values.
//!
//! On a line the clusters of the best k-means are runs of the sorted values, so the least sum of
//! squares of the first j values in k runs is
//! D(k, j) = min over i of D(k-1, i) + SSE(i..j): O(K n²) time and O(K n) space.
//! Equal values always share a run: the programme runs over distinct values with their counts.
//! Of equally good groupings the one with the leftmost cut (seen from the last run) is taken.

use thiserror::Error;

/// Why values have no grouping.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// Levels outside 1..=number of distinct values.
    #[error("want between 1 and {distinct} levels (the distinct values), got {levels}")]
    Levels {
        /// Levels asked for.
        levels: usize,
        /// Distinct values there are.
        distinct: usize,
    },
    /// A value that is not finite.
    #[error("want finite values, got one that is not")]
    NotFinite,
}

/// The optimal groupings of one list of values for every number of levels up to a bound.
pub struct Groupings {
    /// For each input value, the index of its distinct value.
    place: Vec<usize>,
    distinct: Vec<f64>,
    /// `cuts[k][j]`: where the last run starts when the first `j` distinct values form `k + 1` runs.
    cuts: Vec<Vec<usize>>,
    /// Least sum of squares of all values in `k + 1` runs.
    sums_of_squares: Vec<f64>,
}

impl Groupings {
    /// Solves for 1..=`max_levels` levels (cut to the number of distinct values).
    ///
    /// # Errors
    /// No value or a value that is not finite.
    pub fn new(values: &[f64], max_levels: usize) -> Result<Self, GroupError> {
        if values.iter().any(|value| !value.is_finite()) {
            return Err(GroupError::NotFinite);
        }
        let mut distinct = values.to_vec();
        distinct.sort_unstable_by(f64::total_cmp);
        distinct.dedup();
        if distinct.is_empty() {
            return Err(GroupError::Levels { levels: max_levels, distinct: 0 });
        }
        let place_of = |value: &f64| distinct.partition_point(|other| other < value);
        let place: Vec<usize> = values.iter().map(place_of).collect();
        let spread = Spread::new(&distinct, &place);
        let (cuts, sums_of_squares) = solve(&spread, distinct.len(), max_levels.min(distinct.len()));
        Ok(Self { place, distinct, cuts, sums_of_squares })
    }

    /// The most levels solved for.
    pub fn max_levels(&self) -> usize {
        self.cuts.len()
    }

    /// The level of every value, 0 for the smallest values, in the best grouping of `levels` levels.
    ///
    /// # Errors
    /// `levels` is 0 or above [`Self::max_levels`].
    pub fn levels(&self, levels: usize) -> Result<Vec<usize>, GroupError> {
        let starts = self.starts(levels)?;
        let level_of = |&place: &usize| starts.partition_point(|&start| start <= place) - 1;
        Ok(self.place.iter().map(level_of).collect())
    }

    /// The least sum of squared distances to the level means.
    pub fn sum_of_squares(&self, levels: usize) -> Option<f64> {
        self.sums_of_squares.get(levels.checked_sub(1)?).copied()
    }

    /// The fewest levels whose best grouping has no level wider than `width`, or the most solved for.
    pub fn fewest_within(&self, width: f64) -> usize {
        let fits = |levels: &usize| {
            self.starts(*levels).is_ok_and(|starts| {
                let ends = starts.iter().skip(1).copied().chain([self.distinct.len()]);
                starts
                    .iter()
                    .zip(ends)
                    .all(|(&start, end)| self.distinct[end - 1] - self.distinct[start] <= width)
            })
        };
        (1..=self.max_levels()).find(fits).unwrap_or(self.max_levels())
    }

    /// First distinct value of every level, ascending.
    fn starts(&self, levels: usize) -> Result<Vec<usize>, GroupError> {
        if levels == 0 || levels > self.max_levels() {
            return Err(GroupError::Levels { levels, distinct: self.distinct.len() });
        }
        let mut end = self.distinct.len();
        let mut starts: Vec<usize> = (0..levels)
            .rev()
            .map(|run| {
                end = self.cuts[run][end];
                end
            })
            .collect();
        starts.reverse();
        Ok(starts)
    }
}

/// Prefix sums of count, value and square, centred so that the differences keep their digits.
struct Spread {
    count: Vec<f64>,
    sum: Vec<f64>,
    square: Vec<f64>,
}

impl Spread {
    fn new(distinct: &[f64], place: &[usize]) -> Self {
        let centre = distinct[distinct.len() / 2];
        let mut times = vec![0.0; distinct.len()];
        place.iter().for_each(|&index| times[index] += 1.0);
        let prefix = |term: &dyn Fn(usize) -> f64| {
            let mut total = 0.0;
            let next = (0..distinct.len()).map(|index| {
                total += term(index);
                total
            });
            std::iter::once(0.0).chain(next).collect()
        };
        Self {
            count: prefix(&|index| times[index]),
            sum: prefix(&|index| times[index] * (distinct[index] - centre)),
            square: prefix(&|index| times[index] * (distinct[index] - centre).powi(2)),
        }
    }

    /// Sum of squared distances of the values `start..end` to their mean.
    fn within(&self, start: usize, end: usize) -> f64 {
        if end - start == 1 {
            return 0.0;
        }
        let sum = self.sum[end] - self.sum[start];
        let square = self.square[end] - self.square[start];
        (square - sum * sum / (self.count[end] - self.count[start])).max(0.0)
    }
}

fn solve(spread: &Spread, n: usize, max_levels: usize) -> (Vec<Vec<usize>>, Vec<f64>) {
    let mut best: Vec<f64> = (0..=n).map(|end| if end == 0 { 0.0 } else { spread.within(0, end) }).collect();
    let mut cuts = vec![vec![0; n + 1]];
    let mut totals = vec![best[n]];
    for runs in 2..=max_levels {
        let mut next = vec![f64::INFINITY; n + 1];
        let mut cut = vec![0; n + 1];
        for end in runs..=n {
            for (start, head) in best.iter().enumerate().take(end).skip(runs - 1) {
                let total = head + spread.within(start, end);
                if total < next[end] {
                    next[end] = total;
                    cut[end] = start;
                }
            }
        }
        totals.push(next[n]);
        cuts.push(cut);
        best = next;
    }
    (cuts, totals)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    fn sum_of_squares(values: &[f64], levels: &[usize]) -> f64 {
        let count = levels.iter().max().unwrap() + 1;
        let of = |level: usize| -> Vec<f64> {
            let both = values.iter().zip(levels);
            both.filter(|&(_, &at)| at == level).map(|(&value, _)| value).collect()
        };
        (0..count)
            .map(|level| {
                let members = of(level);
                let mean = members.iter().sum::<f64>() / members.len() as f64;
                members.iter().map(|value| (value - mean).powi(2)).sum::<f64>()
            })
            .sum()
    }

    /// The least sum of squares over every way to cut the sorted values into runs.
    fn by_trial(sorted: &[f64], levels: usize) -> f64 {
        let n = sorted.len();
        let splits = (0u32..1 << (n - 1)).filter(|mask| mask.count_ones() as usize == levels - 1);
        let level_of = |mask: u32| -> Vec<usize> {
            (0..n).map(|index| (mask & ((1 << index) - 1)).count_ones() as usize).collect()
        };
        splits.map(|mask| sum_of_squares(sorted, &level_of(mask))).fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn no_other_way_to_cut_has_a_smaller_sum_of_squares() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut cases = 0;
        for _ in 0..40 {
            let n = rng.random_range(2..10);
            let mut values: Vec<f64> = (0..n).map(|_| rng.random_range(0.0..100.0)).collect();
            values.sort_by(f64::total_cmp);
            let groupings = Groupings::new(&values, n).unwrap();
            for levels in 1..=n {
                let found = groupings.levels(levels).unwrap();
                assert_eq!(found.iter().max(), Some(&(levels - 1)));
                let (got, want) = (sum_of_squares(&values, &found), by_trial(&values, levels));
                assert!((got - want).abs() < 1e-9, "{levels} levels of {values:?}: {got} not {want}");
                assert!((groupings.sum_of_squares(levels).unwrap() - want).abs() < 1e-9);
                cases += 1;
            }
        }
        assert!(cases > 100);
    }

    #[test]
    fn equal_values_share_a_level_and_levels_follow_values() {
        let values = [5.0, 1.0, 5.0, 1.0, 9.0, 5.0];
        let groupings = Groupings::new(&values, 6).unwrap();
        assert_eq!(groupings.max_levels(), 3);
        assert_eq!(groupings.levels(3).unwrap(), [1, 0, 1, 0, 2, 1]);
        assert_eq!(groupings.levels(4), Err(GroupError::Levels { levels: 4, distinct: 3 }));
        assert!(groupings.levels(0).is_err());
    }

    #[test]
    fn nothing_and_not_a_number_are_refused() {
        assert!(Groupings::new(&[], 2).is_err());
        assert_eq!(Groupings::new(&[1.0, f64::NAN], 2).err(), Some(GroupError::NotFinite));
    }

    #[test]
    fn the_fewest_levels_within_a_width_split_a_chain_of_small_gaps() {
        let chain = [0.0, 9.0, 18.0];
        let groupings = Groupings::new(&chain, 3).unwrap();
        assert_eq!(groupings.fewest_within(10.0), 2);
        assert_eq!(groupings.fewest_within(18.0), 1);
        assert_eq!(groupings.fewest_within(0.0), 3);
    }

    #[test]
    fn far_from_zero_the_digits_are_kept() {
        let values: Vec<f64> = [0.0, 1.0, 10.0, 11.0].iter().map(|step| 1e9 + step).collect();
        assert_eq!(Groupings::new(&values, 2).unwrap().levels(2).unwrap(), [0, 0, 1, 1]);
    }
}
