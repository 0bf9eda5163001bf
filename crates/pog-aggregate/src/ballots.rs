//! What the raters said, ready to be ranked: scores of images, or whole orders.
//!
//! A rater's score of a cluster is the mean over its images' scores that are not missing. A rater
//! that lacks every score of a cluster lacks the cluster (see [`crate::ranks`]); one that lacks more
//! than half of the clusters is left out.

use std::collections::{BTreeMap, BTreeSet};

use contract::Vote;
use thiserror::Error;

use crate::group::GroupError;
use crate::order::WeakOrder;
use crate::ranks::{RankMatrix, from_scores, stretch};

/// The share of clusters that a rater must have ranked to be heard.
pub const LEAST_RANKED_SHARE: f64 = 0.5;

/// Why the evidence cannot be ranked.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum BallotError {
    /// The same question answered twice.
    #[error("rater {rater} scores image {image} of cluster {cluster} twice; want one score an image")]
    Twice {
        /// The rater.
        rater: String,
        /// The cluster.
        cluster: u32,
        /// Granule and tile.
        image: String,
    },
    /// A score outside 0..=100.
    #[error("rater {rater} gives cluster {cluster} a score of {score}; want 0 to 100 or missing")]
    Range {
        /// The rater.
        rater: String,
        /// The cluster.
        cluster: u32,
        /// The score found.
        score: f64,
    },
    /// No rater is left.
    #[error("want at least one rater that ranks half of the clusters, got none")]
    NoRater,
    /// A cluster without any score.
    #[error("cluster {0} has no score from any rater that counts; vote again or rank it with --lowest")]
    Unranked(u32),
    /// Scores that cannot be grouped.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// What one rater gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Rater {
    /// The rater's name.
    pub name: String,
    /// Scores (or places in an order) that the rater gave.
    pub n_votes: u32,
    /// Scores (or places) that are missing.
    pub n_missing: u32,
}

/// The evidence of the raters that are heard.
pub struct Ballots {
    /// The clusters, ascending: the items of every rank vector.
    pub clusters: Vec<u32>,
    /// The raters that are heard, by name or line.
    pub raters: Vec<Rater>,
    /// The raters left out because they lack more than half of the clusters.
    pub left_out: Vec<Rater>,
    said: Said,
}

enum Said {
    /// `scores[rater][cluster][image]`, NaN where missing.
    Scores { scores: Vec<Vec<Vec<f64>>>, tie_score: f64 },
    /// Ranks of the orders.
    Orders(RankMatrix),
}

impl Ballots {
    /// The votes on clusters that are not `lowest`; `tie_score` as in [`from_scores`].
    ///
    /// # Errors
    /// Doubled or impossible scores, no rater to hear, or a cluster that none of them scored.
    pub fn from_votes(votes: &[Vote], lowest: &BTreeSet<u32>, tie_score: f64) -> Result<Self, BallotError> {
        let votes: Vec<&Vote> = votes.iter().filter(|vote| !lowest.contains(&vote.cluster)).collect();
        let mut images: BTreeMap<u32, BTreeSet<(&str, contract::TileId)>> = BTreeMap::new();
        for vote in &votes {
            images.entry(vote.cluster).or_default().insert((vote.granule.as_str(), vote.tile));
        }
        let clusters: Vec<u32> = images.keys().copied().collect();
        let images: Vec<Vec<_>> = images.into_values().map(|set| set.into_iter().collect()).collect();
        let blank: Vec<Vec<f64>> = images.iter().map(|set| vec![f64::NAN; set.len()]).collect();
        let mut seen = BTreeSet::new();
        let mut given: BTreeMap<&str, Vec<Vec<f64>>> = BTreeMap::new();
        for vote in &votes {
            let rater = || vote.rater.clone();
            if let Some(score) = vote.score.filter(|score| !(0.0..=100.0).contains(score)) {
                return Err(BallotError::Range { rater: rater(), cluster: vote.cluster, score });
            }
            let cluster = clusters.partition_point(|&other| other < vote.cluster);
            let image = images[cluster].partition_point(|&other| other < (vote.granule.as_str(), vote.tile));
            if !seen.insert((vote.rater.as_str(), cluster, image)) {
                let image = format!("{} {}", vote.granule, vote.tile);
                return Err(BallotError::Twice { rater: rater(), cluster: vote.cluster, image });
            }
            let scores = given.entry(&vote.rater).or_insert_with(|| blank.clone());
            scores[cluster][image] = vote.score.unwrap_or(f64::NAN);
        }
        Self::heard(clusters, given.into_iter().map(|(name, scores)| (name.to_owned(), scores)), tie_score)
    }

    fn heard(
        clusters: Vec<u32>,
        given: impl Iterator<Item = (String, Vec<Vec<f64>>)>,
        tie_score: f64,
    ) -> Result<Self, BallotError> {
        let (mut raters, mut left_out, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for (name, said) in given {
            let n_missing = said.iter().flatten().filter(|score| score.is_nan()).count() as u32;
            let n_votes = said.iter().map(Vec::len).sum::<usize>() as u32 - n_missing;
            let ranked = said.iter().filter(|images| images.iter().any(|score| !score.is_nan())).count();
            let rater = Rater { name, n_votes, n_missing };
            if is_heard(ranked, clusters.len()) {
                raters.push(rater);
                scores.push(said);
            } else {
                left_out.push(rater);
            }
        }
        Self { clusters, raters, left_out, said: Said::Scores { scores, tie_score } }.checked()
    }

    /// Orders with their raters' names, without the clusters that are `lowest`.
    ///
    /// # Errors
    /// No rater to hear, or a cluster that none of them ranked.
    pub fn from_orders(
        orders: Vec<(String, WeakOrder)>,
        lowest: &BTreeSet<u32>,
    ) -> Result<Self, BallotError> {
        let cut = |(name, order): (String, WeakOrder)| (name, order.without(lowest));
        let orders: Vec<(String, Option<WeakOrder>)> = orders.into_iter().map(cut).collect();
        let all: BTreeSet<u32> =
            orders.iter().flat_map(|(_, order)| order.iter().flat_map(WeakOrder::clusters)).collect();
        let clusters: Vec<u32> = all.into_iter().collect();
        let mut matrix = RankMatrix::new(clusters.len());
        let (mut raters, mut left_out) = (Vec::new(), Vec::new());
        for (name, order) in orders {
            let ranks: BTreeMap<u32, f64> = order.iter().flat_map(WeakOrder::midranks).collect();
            let n_votes = ranks.len() as u32;
            let rater = Rater { name, n_votes, n_missing: clusters.len() as u32 - n_votes };
            if is_heard(ranks.len(), clusters.len()) {
                let row: Vec<f64> =
                    clusters.iter().map(|cluster| ranks.get(cluster).copied().unwrap_or(f64::NAN)).collect();
                matrix.push(&stretch(&row, ranks.len()));
                raters.push(rater);
            } else {
                left_out.push(rater);
            }
        }
        Self { clusters, raters, left_out, said: Said::Orders(matrix) }.checked()
    }

    fn checked(self) -> Result<Self, BallotError> {
        if self.raters.is_empty() {
            return Err(BallotError::NoRater);
        }
        let ranks = self.ranks()?;
        let unranked = |item: &usize| (0..ranks.raters()).all(|rater| ranks.row(rater)[*item].is_nan());
        match (0..self.clusters.len()).find(unranked) {
            Some(item) => Err(BallotError::Unranked(self.clusters[item])),
            None => Ok(self),
        }
    }

    /// How many images every cluster has; `None` if the evidence is orders.
    pub fn image_counts(&self) -> Option<Vec<usize>> {
        match &self.said {
            Said::Scores { scores, .. } => Some(scores[0].iter().map(Vec::len).collect()),
            Said::Orders(_) => None,
        }
    }

    /// The ranks of all raters from all images.
    ///
    /// # Errors
    /// Scores that cannot be grouped.
    pub fn ranks(&self) -> Result<RankMatrix, BallotError> {
        let all = |counts: Vec<usize>| counts.into_iter().map(|count| (0..count).collect()).collect();
        let images: Option<Vec<Vec<usize>>> = self.image_counts().map(all);
        let raters: Vec<usize> = (0..self.raters.len()).collect();
        self.ranks_of(&raters, images.as_deref().unwrap_or_default())
    }

    /// The ranks of `raters` from `images[cluster]`, both drawn with repetition. A rater that the
    /// drawn images leave without any score is left out.
    ///
    /// # Errors
    /// Scores that cannot be grouped.
    pub fn ranks_of(&self, raters: &[usize], images: &[Vec<usize>]) -> Result<RankMatrix, BallotError> {
        let (scores, tie_score) = match &self.said {
            Said::Orders(matrix) => return Ok(matrix.pick(raters)),
            Said::Scores { scores, tie_score } => (scores, *tie_score),
        };
        let mut matrix = RankMatrix::new(self.clusters.len());
        for &rater in raters {
            let means: Vec<f64> =
                scores[rater].iter().zip(images).map(|(scores, images)| mean_score(scores, images)).collect();
            if means.iter().any(|mean| !mean.is_nan()) {
                matrix.push(&from_scores(&means, tie_score)?);
            }
        }
        Ok(matrix)
    }
}

fn is_heard(ranked: usize, clusters: usize) -> bool {
    ranked > 0 && ranked as f64 >= LEAST_RANKED_SHARE * clusters as f64
}

/// NaN if all are missing.
fn mean_score(scores: &[f64], images: &[usize]) -> f64 {
    let present: Vec<f64> =
        images.iter().map(|&image| scores[image]).filter(|score| !score.is_nan()).collect();
    present.iter().sum::<f64>() / present.len() as f64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn vote(rater: &str, cluster: u32, col: u32, score: Option<f64>) -> Vote {
        Vote {
            rater: rater.into(),
            judge: "test".into(),
            persona: "expert".into(),
            repeat: 0,
            cluster,
            granule: "T01ABC".parse().unwrap(),
            tile: contract::TileId { row: 0, col },
            score,
            missing: score.is_none().then(|| "refused".into()),
            raw: None,
            prompt_hash: "0".into(),
        }
    }

    #[test]
    fn a_cluster_score_is_the_mean_of_what_is_not_missing() {
        let votes = [
            vote("a", 1, 0, Some(80.0)),
            vote("a", 1, 1, None),
            vote("a", 2, 0, Some(90.0)),
            vote("a", 2, 1, Some(40.0)),
        ];
        let ballots = Ballots::from_votes(&votes, &BTreeSet::new(), 10.0).unwrap();
        assert_eq!(ballots.ranks().unwrap().row(0), [1.0, 2.0]);
        assert_eq!(ballots.raters[0], Rater { name: "a".into(), n_votes: 3, n_missing: 1 });
    }

    #[test]
    fn a_missing_vote_is_never_a_zero() {
        let all = [vote("a", 1, 0, Some(5.0)), vote("a", 2, 0, Some(50.0)), vote("a", 3, 0, None)];
        let helper = [vote("b", 1, 0, Some(5.0)), vote("b", 2, 0, Some(50.0)), vote("b", 3, 0, Some(80.0))];
        let ballots = Ballots::from_votes(&[all, helper].concat(), &BTreeSet::new(), 10.0).unwrap();
        let ranks = ballots.ranks().unwrap();
        assert!(ranks.row(0)[2].is_nan());
        assert_eq!(ranks.row(1), [3.0, 2.0, 1.0]);
    }

    #[test]
    fn a_rater_that_lacks_more_than_half_is_left_out_and_a_cluster_nobody_scored_is_an_error() {
        let votes = [
            vote("a", 1, 0, Some(5.0)),
            vote("a", 2, 0, Some(50.0)),
            vote("a", 3, 0, Some(70.0)),
            vote("b", 1, 0, Some(5.0)),
        ];
        let ballots = Ballots::from_votes(&votes, &BTreeSet::new(), 10.0).unwrap();
        assert_eq!(ballots.left_out[0].name, "b");
        let lost = [vote("a", 1, 0, Some(5.0)), vote("a", 2, 0, None)];
        assert_eq!(Ballots::from_votes(&lost, &BTreeSet::new(), 10.0).err(), Some(BallotError::Unranked(2)));
        assert_eq!(Ballots::from_votes(&[], &BTreeSet::new(), 10.0).err(), Some(BallotError::NoRater));
    }

    #[test]
    fn doubled_and_impossible_scores_are_refused() {
        let none = BTreeSet::new();
        let twice = [vote("a", 1, 0, Some(5.0)), vote("a", 1, 0, Some(6.0))];
        assert!(matches!(Ballots::from_votes(&twice, &none, 10.0), Err(BallotError::Twice { .. })));
        for score in [-1.0, 100.5, f64::NAN, f64::INFINITY] {
            let odd = [vote("a", 1, 0, Some(score))];
            assert!(matches!(Ballots::from_votes(&odd, &none, 10.0), Err(BallotError::Range { .. })));
        }
    }

    #[test]
    fn orders_of_unequal_reach_meet_on_one_scale() {
        let orders =
            vec![("x".to_owned(), "1>2>3>4".parse().unwrap()), ("y".to_owned(), "2>3".parse().unwrap())];
        let ranks = Ballots::from_orders(orders, &[9].into()).unwrap().ranks().unwrap();
        assert_eq!(ranks.row(0), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(ranks.row(1)[1..3], [1.5, 3.5]);
    }
}
