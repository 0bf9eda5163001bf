//! The weak order of clusters and its notation: `3=4=6>1=2` says that clusters 3, 4 and 6 are tied
//! and more developed than 1 and 2, which are tied.
//!
//! A weak order ranks every cluster and lets some share a level. Orders that leave two clusters
//! incomparable have no notation here.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A weak order: levels from the most to the least developed, each a sorted, non-empty tie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeakOrder {
    levels: Vec<Vec<u32>>,
}

/// Why a text or a list of levels is not a weak order.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OrderError {
    /// Nothing to rank.
    #[error("want an order such as 3=4>1, got an empty text")]
    Empty,
    /// Two separators in a row, or one at an end.
    #[error("want a cluster number at character {at}, got nothing between separators")]
    Gap {
        /// Characters from the start, from 1.
        at: usize,
    },
    /// Something that is not a cluster number.
    #[error("want a cluster number at character {at}, got {found:?} (`>` means more developed, `=` tied)")]
    NotANumber {
        /// Characters from the start, from 1.
        at: usize,
        /// The text found there.
        found: String,
    },
    /// A cluster named more than once.
    #[error("cluster {0} stands twice in the order")]
    Twice(u32),
}

impl WeakOrder {
    /// Checks and sorts `levels`, listed from the most to the least developed.
    ///
    /// # Errors
    /// No level, an empty level, or a cluster that stands twice.
    pub fn new(mut levels: Vec<Vec<u32>>) -> Result<Self, OrderError> {
        let mut seen = BTreeSet::new();
        if levels.is_empty() || levels.iter().any(Vec::is_empty) {
            return Err(OrderError::Empty);
        }
        for level in &mut levels {
            level.sort_unstable();
            if let Some(&twice) = level.iter().find(|&&cluster| !seen.insert(cluster)) {
                return Err(OrderError::Twice(twice));
            }
        }
        Ok(Self { levels })
    }

    /// The levels, most developed first; ties ascend.
    pub fn levels(&self) -> &[Vec<u32>] {
        &self.levels
    }

    /// The clusters ranked, ascending.
    pub fn clusters(&self) -> BTreeSet<u32> {
        self.levels.iter().flatten().copied().collect()
    }

    /// The order without `dropped`; `None` if nothing is left.
    pub fn without(&self, dropped: &BTreeSet<u32>) -> Option<Self> {
        let kept = |level: &Vec<u32>| -> Vec<u32> {
            let keep = level.iter().filter(|cluster| !dropped.contains(cluster));
            keep.copied().collect()
        };
        let levels: Vec<_> = self.levels.iter().map(kept).filter(|level| !level.is_empty()).collect();
        (!levels.is_empty()).then_some(Self { levels })
    }

    /// The midrank of every cluster, as (cluster, rank) by cluster: 1 is the most developed,
    /// r = 1 + the number of clusters above + half the number of other clusters tied with it, so
    /// that the ranks of n clusters sum to n(n+1)/2.
    pub fn midranks(&self) -> Vec<(u32, f64)> {
        let mut above = 0;
        let mut ranks = Vec::new();
        for level in &self.levels {
            let rank = 1.0 + above as f64 + (level.len() - 1) as f64 / 2.0;
            ranks.extend(level.iter().map(|&cluster| (cluster, rank)));
            above += level.len();
        }
        ranks.sort_unstable_by_key(|&(cluster, _)| cluster);
        ranks
    }
}

impl FromStr for WeakOrder {
    type Err = OrderError;

    /// Reads `3=4=6>1=2`; blanks around numbers are allowed.
    fn from_str(text: &str) -> Result<Self, OrderError> {
        if text.trim().is_empty() {
            return Err(OrderError::Empty);
        }
        let mut at = 1;
        let mut levels = Vec::new();
        for level_text in text.split('>') {
            let mut level = Vec::new();
            for item in level_text.split('=') {
                level.push(parse_cluster(item, at)?);
                at += item.chars().count() + 1;
            }
            levels.push(level);
        }
        Self::new(levels)
    }
}

fn parse_cluster(item: &str, at: usize) -> Result<u32, OrderError> {
    let trimmed = item.trim();
    if trimmed.is_empty() {
        return Err(OrderError::Gap { at });
    }
    let digits = trimmed.bytes().all(|byte| byte.is_ascii_digit());
    let number = trimmed.parse().ok().filter(|_| digits);
    number.ok_or_else(|| OrderError::NotANumber { at, found: trimmed.chars().take(40).collect() })
}

impl fmt::Display for WeakOrder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, level) in self.levels.iter().enumerate() {
            if index > 0 {
                out.write_str(">")?;
            }
            let names: Vec<String> = level.iter().map(u32::to_string).collect();
            out.write_str(&names.join("="))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand::RngExt;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    use super::*;

    #[test]
    fn printing_and_parsing_are_inverse() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        for _ in 0..200 {
            let mut levels: Vec<Vec<u32>> = vec![Vec::new(); rng.random_range(1..9)];
            for cluster in 0..rng.random_range(1..30) {
                let level = rng.random_range(0..levels.len());
                levels[level].push(cluster * 7 % 31);
            }
            levels.retain(|level| !level.is_empty());
            let order = WeakOrder::new(levels).unwrap();
            assert_eq!(order.to_string().parse::<WeakOrder>().unwrap(), order);
        }
    }

    #[test]
    fn a_bad_order_is_refused_with_its_place() {
        let cases = [
            ("", OrderError::Empty),
            ("  ", OrderError::Empty),
            ("1>>2", OrderError::Gap { at: 3 }),
            ("1=2>", OrderError::Gap { at: 5 }),
            ("1>x=2", OrderError::NotANumber { at: 3, found: "x".into() }),
            ("1<2", OrderError::NotANumber { at: 1, found: "1<2".into() }),
            ("1>+2", OrderError::NotANumber { at: 3, found: "+2".into() }),
            ("1>-2", OrderError::NotANumber { at: 3, found: "-2".into() }),
            ("1>99999999999", OrderError::NotANumber { at: 3, found: "99999999999".into() }),
            ("1=2>3=1", OrderError::Twice(1)),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse::<WeakOrder>().unwrap_err(), want, "{text:?}");
        }
    }

    #[test]
    fn midranks_of_n_clusters_sum_to_n_times_n_plus_one_over_two() {
        let order: WeakOrder = "3=4=6 > 1=2 > 9".parse().unwrap();
        let want = vec![(1, 4.5), (2, 4.5), (3, 2.0), (4, 2.0), (6, 2.0), (9, 6.0)];
        assert_eq!(order.midranks(), want);
        assert_eq!(order.midranks().iter().map(|&(_, rank)| rank).sum::<f64>(), 21.0);
    }

    #[test]
    fn dropping_clusters_drops_the_levels_they_leave_empty() {
        let order: WeakOrder = "3=4>1>2".parse().unwrap();
        assert_eq!(order.without(&[1, 4].into()).unwrap().to_string(), "3>2");
        assert_eq!(order.without(&order.clusters()), None);
    }
}
