//! What may be spent: a call's request and its greatest cost are set aside before it goes, and settled when it ends.
//!
//! What is under way counts as spent, so the caps hold however many calls run at once. A call that ended without a word (broken off,
//! timed out) may have been paid for and keeps counting; one that was turned away does not. With `--max-cost` the first call goes alone:
//! its tokens say how good the estimates are, and all later ones are scaled by what was heard. Where the endpoint counts nothing, or
//! says zero, the estimate is what was spent.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::price::{Cost, Price, Tokens};
use super::reply::Counted;
use super::stop::{Stop, Stopped};

/// The caps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caps {
    /// Requests, tries included.
    pub max_calls: Option<u64>,
    /// Cost in the price's currency.
    pub max_cost: Option<Cost>,
}

/// Why a call may not go.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The requests are used up.
    Calls(u64),
    /// What is left of the money does not cover a call.
    Cost(Cost),
    /// The run stops.
    Stopped,
}

impl From<Stopped> for Refusal {
    fn from(_: Stopped) -> Self {
        Refusal::Stopped
    }
}

/// What was spent in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spent {
    /// Requests that went, tries included.
    pub n_calls: u64,
    /// Tokens that the endpoint reported.
    pub tokens: Tokens,
    /// By the price; what is unknown at its greatest.
    pub cost: Cost,
}

/// The purse of a run.
#[derive(Debug)]
pub struct Budget {
    caps: Caps,
    price: Option<Price>,
    purse: Mutex<Purse>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Purse {
    spent: Spent,
    aside: Cost,
    n_under_way: u64,
    /// The greatest ratio of heard to estimated tokens of a question.
    scale: Option<f64>,
}

/// What is set aside for one request.
#[derive(Debug)]
#[must_use = "what is set aside has to be settled"]
pub struct Aside {
    cost: Cost,
    estimate: Tokens,
    /// The estimate by what was heard so far.
    scaled: Tokens,
}

/// How a request ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended {
    /// It did not even go.
    Unsent,
    /// Turned away, or never arrived: costs nothing.
    Free,
    /// Answered, with what the endpoint counted.
    Answered(Counted),
    /// A batch of which some is answered.
    Batch(BatchTokens),
    /// Nobody knows whether it costs.
    Unknown,
}

/// Tokens of the answered requests of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BatchTokens {
    /// What they were expected to take.
    pub expected: Tokens,
    /// What was counted, and the estimate where nothing was.
    pub paid: Tokens,
    /// What was counted.
    pub counted: Tokens,
}

impl BatchTokens {
    /// Adds one answer that was expected to take so much.
    pub fn add(&mut self, expected: Tokens, counted: Counted) {
        self.expected = self.expected + expected;
        self.paid = self.paid + counted.or(expected);
        self.counted = self.counted + counted.or(Tokens::default());
    }
}

impl Budget {
    /// A full purse.
    pub fn new(caps: Caps, price: Option<Price>) -> Self {
        Self { caps, price, purse: Mutex::default(), freed: Notify::new() }
    }

    /// What tokens cost, 0 without a price.
    pub fn cost(&self, tokens: Tokens) -> Cost {
        self.price.as_ref().map_or(Cost::default(), |price| price.of(tokens))
    }

    /// The price, if it is known.
    pub fn price(&self) -> Option<&Price> {
        self.price.as_ref()
    }

    /// What was spent so far; what is under way not.
    pub fn spent(&self) -> Spent {
        self.with(|purse| purse.spent)
    }

    /// What was spent so far, in words.
    pub fn told(&self) -> String {
        let Spent { n_calls, tokens, cost } = self.spent();
        let cost = self
            .price
            .as_ref()
            .map_or("cost unknown".to_owned(), |price| format!("{cost} {}", price.currency));
        format!("{n_calls} calls, {} tokens in, {} out, {cost}", tokens.n_in, tokens.n_out)
    }

    /// Sets aside what one request may cost; waits for others to be settled where that may help.
    ///
    /// # Errors
    /// It would go over a cap, or the run stops.
    pub async fn set_aside(&self, estimate: Tokens, stop: &Stop) -> Result<Aside, Refusal> {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            if let Some(outcome) = self.with(|purse| self.try_aside(purse, estimate, 1)) {
                return outcome;
            }
            stop.or(freed).await?;
        }
    }

    /// Sets aside what `n_requests` requests of a batch may cost, at once.
    ///
    /// # Errors
    /// It would go over a cap.
    pub fn set_aside_batch(&self, estimate: Tokens, n_requests: u64) -> Result<Aside, Refusal> {
        let over = Err(Refusal::Cost(self.caps.max_cost.unwrap_or_default()));
        self.with(|purse| self.try_aside(purse, estimate, n_requests)).unwrap_or(over)
    }

    /// Counts what goes ahead in any case, since it was begun by an earlier run.
    pub fn take_over(&self, estimate: Tokens, n_requests: u64) -> Aside {
        self.with(|purse| purse.put(self.cost(estimate), estimate, estimate, n_requests))
    }

    /// `None`: wait until another call is settled.
    fn try_aside(
        &self,
        purse: &mut Purse,
        estimate: Tokens,
        n_requests: u64,
    ) -> Option<Result<Aside, Refusal>> {
        if let Some(most) = self.caps.max_calls.filter(|most| purse.spent.n_calls + n_requests > *most) {
            return Some(Err(Refusal::Calls(most)));
        }
        let n_in = (estimate.n_in as f64 * purse.scale.unwrap_or(1.0)).ceil() as u64;
        let scaled = Tokens { n_in, ..estimate };
        let cost = self.cost(scaled);
        if let Some(most) = self.caps.max_cost {
            let untried = purse.scale.is_none() && purse.n_under_way > 0 && n_requests == 1;
            let over = purse.spent.cost + purse.aside + cost > most;
            if over && purse.n_under_way == 0 {
                return Some(Err(Refusal::Cost(most)));
            }
            if over || untried {
                return None;
            }
        }
        Some(Ok(purse.put(cost, estimate, scaled, n_requests)))
    }

    /// Settles what was set aside.
    pub fn settle(&self, aside: Aside, ended: Ended) {
        self.with(|purse| {
            purse.aside = purse.aside - aside.cost;
            purse.n_under_way = purse.n_under_way.saturating_sub(1);
            let (cost, counted, ratio) = match ended {
                Ended::Unsent => {
                    purse.spent.n_calls -= 1;
                    return;
                }
                Ended::Free => return,
                Ended::Unknown => (aside.cost, Tokens::default(), None),
                Ended::Answered(counted) => {
                    let ratio =
                        counted.n_in.map_or(1.0, |n_in| n_in as f64 / aside.estimate.n_in.max(1) as f64);
                    (self.cost(counted.or(aside.scaled)), counted.or(Tokens::default()), Some(ratio))
                }
                Ended::Batch(all) => {
                    let ratio = all.paid.n_in as f64 / all.expected.n_in.max(1) as f64;
                    (self.cost(all.paid), all.counted, Some(ratio))
                }
            };
            purse.spent.cost = purse.spent.cost + cost;
            purse.spent.tokens = purse.spent.tokens + counted;
            if let Some(ratio) = ratio {
                purse.scale = Some(purse.scale.map_or(ratio, |scale| scale.max(ratio)));
            }
        });
        self.freed.notify_waiters();
    }

    fn with<T>(&self, act: impl FnOnce(&mut Purse) -> T) -> T {
        act(&mut self.purse.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Purse {
    fn put(&mut self, cost: Cost, estimate: Tokens, scaled: Tokens, n_requests: u64) -> Aside {
        self.spent.n_calls += n_requests;
        self.n_under_way += 1;
        self.aside = self.aside + cost;
        Aside { cost, estimate, scaled }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CALL: Tokens = Tokens { n_in: 1000, n_out: 100 };

    fn price() -> Price {
        let text = r#"{"model": "m", "currency": "USD", "input_per_million": 1000, "output_per_million": 1000,
            "date": "2026-01-01", "source": "http://test"}"#;
        serde_json::from_str(text).unwrap()
    }

    fn budget(max_calls: Option<u64>, max_cost: Option<f64>) -> Budget {
        Budget::new(Caps { max_calls, max_cost: max_cost.map(Cost::of_units) }, Some(price()))
    }

    /// Many calls at once, each of which takes `n_in` tokens instead of the 1000 that it was reckoned with; the cost in the end.
    fn spend(budget: &Budget, n_calls: usize, n_in: u64) -> (f64, usize) {
        let stop = Stop::default();
        let call = async || {
            let aside = budget.set_aside(CALL, &stop).await.ok()?;
            tokio::task::yield_now().await;
            let counted = Counted { n_in: Some(n_in).filter(|n| *n > 0), n_out: Some(100) };
            budget.settle(aside, Ended::Answered(counted));
            Some(())
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let done = runtime.block_on(futures_util::future::join_all((0..n_calls).map(|_| call())));
        (budget.spent().cost.units(), done.iter().flatten().count())
    }

    #[test]
    fn the_cost_never_goes_over_its_cap_and_what_was_set_aside_too_much_is_spent_after_all() {
        // a call costs 0.6 and is reckoned with 1.1
        let (cost, n_done) = spend(&budget(None, Some(10.0)), 50, 500);
        assert!(cost <= 10.0, "{cost}");
        assert_eq!(n_done, 16);
        // a call costs 3.1 and is reckoned with 1.1 until the first one has ended
        let (cost, n_done) = spend(&budget(None, Some(10.0)), 50, 3000);
        assert!(cost <= 10.0, "{cost}");
        assert_eq!(n_done, 3);
    }

    #[test]
    fn what_is_not_counted_costs_its_estimate_and_the_cap_holds() {
        // a call is reckoned with 1.1, of which 0.1 are counted
        let (cost, n_done) = spend(&budget(None, Some(10.0)), 50, 0);
        assert_eq!(n_done, 9);
        assert!((cost - 9.9).abs() < 1e-9, "{cost}");
        let budget = budget(None, Some(10.0));
        let aside = budget.set_aside_batch(Tokens { n_in: 4000, n_out: 400 }, 4).unwrap();
        let mut all = BatchTokens::default();
        all.add(CALL, Counted::default());
        all.add(CALL, Counted { n_in: Some(500), n_out: None });
        budget.settle(aside, Ended::Batch(all));
        assert!((budget.spent().cost.units() - (1.1 + 0.6)).abs() < 1e-9, "{:?}", budget.spent());
        assert_eq!(budget.spent().tokens, Tokens { n_in: 500, n_out: 0 });
    }

    #[test]
    fn requests_are_counted_before_they_go() {
        assert_eq!(spend(&budget(Some(7), None), 50, 1000).1, 7);
        let budget = budget(Some(7), None);
        assert!(matches!(budget.set_aside_batch(CALL, 8), Err(Refusal::Calls(7))));
        let aside = budget.set_aside_batch(CALL, 7).unwrap();
        assert!(matches!(budget.set_aside_batch(CALL, 1), Err(Refusal::Calls(7))));
        budget.settle(aside, Ended::Free);
        assert_eq!(budget.spent().n_calls, 7);
    }

    #[test]
    fn a_call_that_was_turned_away_costs_nothing_and_one_that_broke_off_what_was_set_aside() {
        let budget = budget(None, Some(10.0));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for (ended, units) in
            [(Ended::Free, 0.0), (Ended::Unknown, 1.1), (Ended::Answered(Counted::default()), 2.2)]
        {
            let aside = runtime.block_on(budget.set_aside(CALL, &Stop::default())).unwrap();
            budget.settle(aside, ended);
            assert!((budget.spent().cost.units() - units).abs() < 1e-9, "{ended:?}");
        }
    }
}
