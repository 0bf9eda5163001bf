//! A budget that serves the lowest zones first: whom it misses when it goes by the score, by night light, or by chance.

use contract::Targeting;

/// Budgets that the table holds, as shares of the zones.
const BUDGET_SHARES: [f64; 6] = [0.05, 0.1, 0.2, 0.3, 0.4, 0.5];
/// Fewer zones make no simulation.
pub const MIN_ZONES: usize = 10;

/// A zone that a budget may reach.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// What the rule sorts by, lowest first.
    pub rule: f64,
    /// What is true of it, lowest in need first.
    pub truth: f64,
    /// People in it, or 1 where they are not known.
    pub people: f64,
}

/// The zones that a budget of so many reaches, lowest value first; of equal values the earlier zone.
pub fn lowest(values: &[f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]).then(a.cmp(&b)));
    order.truncate(n);
    order
}

/// The zones that a budget of people reaches, lowest value first, up to and without the first that it cannot pay in full.
pub fn lowest_people(values: &[f64], people: &[f64], budget: f64) -> Vec<usize> {
    let mut left = budget;
    let affordable = |zone: &usize| {
        left -= people[*zone];
        left >= 0.0
    };
    lowest(values, values.len()).into_iter().take_while(affordable).collect()
}

/// Exclusion and inclusion error of a rule at each budget. Both budgets are the same number of zones; errors are shares of people where
/// these are known.
pub fn errors(rule: &str, truth: &str, zones: &[Candidate]) -> Vec<Targeting> {
    let (by_rule, by_truth): (Vec<f64>, Vec<f64>) = zones.iter().map(|z| (z.rule, z.truth)).unzip();
    let at = |n: usize| {
        let (chosen, needy) = (lowest(&by_rule, n), lowest(&by_truth, n));
        let people = |of: &[usize]| of.iter().map(|&zone| zones[zone].people).sum::<f64>();
        let both: Vec<usize> = chosen.iter().copied().filter(|zone| needy.contains(zone)).collect();
        row(rule, truth, (n, zones.len()), (people(&both) / people(&needy), people(&both) / people(&chosen)))
    };
    budgets(zones.len()).map(at).collect()
}

/// The errors of choosing by chance, as they are expected: a zone is reached with the probability of the budget's share.
pub fn errors_by_chance(truth: &str, n_zones: usize) -> Vec<Targeting> {
    let at = |n: usize| {
        let hit = n as f64 / n_zones as f64;
        row("random", truth, (n, n_zones), (hit, hit))
    };
    budgets(n_zones).map(at).collect()
}

fn row(rule: &str, truth: &str, (n, all): (usize, usize), (reached, right): (f64, f64)) -> Targeting {
    Targeting {
        rule: rule.to_owned(),
        truth: truth.to_owned(),
        n_chosen: n as u32,
        n_zones: all as u32,
        exclusion: 1.0 - reached,
        inclusion: 1.0 - right,
    }
}

fn budgets(n_zones: usize) -> impl Iterator<Item = usize> {
    let mut all: Vec<usize> =
        BUDGET_SHARES.iter().map(|share| ((share * n_zones as f64).round() as usize).max(1)).collect();
    all.dedup();
    all.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zones(truth: impl Fn(usize) -> f64) -> Vec<Candidate> {
        (0..40).map(|i| Candidate { rule: i as f64, truth: truth(i), people: 1.0 + i as f64 }).collect()
    }

    #[test]
    fn a_rule_that_knows_the_truth_errs_never_and_its_opposite_always() {
        assert!(errors("score", "official", &zones(|i| i as f64)).iter().all(|row| row.exclusion == 0.0));
        let opposite = errors("score", "official", &zones(|i| -(i as f64)));
        assert!(opposite[..4].iter().all(|row| row.exclusion == 1.0 && row.inclusion == 1.0));
    }

    #[test]
    fn chance_misses_what_the_budget_cannot_reach() {
        let rows = errors_by_chance("official", 40);
        assert_eq!(rows.iter().map(|row| row.n_chosen).collect::<Vec<_>>(), [2, 4, 8, 12, 16, 20]);
        assert_eq!(rows[5].exclusion, 0.5);
    }

    #[test]
    fn a_budget_of_people_stops_at_the_first_zone_that_it_cannot_pay() {
        assert_eq!(lowest_people(&[0.3, 0.1, 0.2], &[5.0, 10.0, 7.0], 20.0), [1, 2]);
        assert_eq!(lowest_people(&[0.3, 0.1], &[5.0, 10.0], 3.0), Vec::<usize>::new());
    }
}
