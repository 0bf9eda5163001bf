//! When a request may go: at even distances, as close as the server allows.
//!
//! Requests are spread evenly over the minute instead of going in bursts, which fits every way in which servers count (fixed
//! windows, sliding ones, buckets) without knowing the length of their window. A 429 slows all down together, or starts
//! limiting at the rate that was going when there was no limit; every accepted request speeds up again, back to the limit.
//! Left out: daily limits, and limits shared with other programs, which the 429s must tell.

use std::collections::VecDeque;
use std::time::Duration;

/// Evenly spread requests are on the edge of every window that the limit fills; this much more apart, jitter on the way does
/// not push one over it.
const MARGIN: f64 = 1.01;
/// How much farther apart requests go after a 429.
const SLOWER: f64 = 1.25;
/// How much closer after an accepted call.
const FASTER: f64 = 0.99;
/// No farther apart than this by 429s alone, which may come by chance; what is slower, `Retry-After` or a flag has to say.
const MOST_SPACING_S: f64 = 1.0;
/// Closer than this, requests are not held apart at all.
const LEAST_SPACING_S: f64 = 0.001;
/// The rate that is going is measured over this long.
const MEASURED_S: f64 = 10.0;
/// Delay of a timer that is made up for by the next request: less than the margin of a window of a second, or one that is full
/// would get one more.
const LATE_S: f64 = 0.005;

/// The limits that a server sets.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Requests a minute.
    pub requests_per_minute: Option<f64>,
    /// Tokens a minute, those of question and answer together.
    pub tokens_per_minute: Option<f64>,
}

/// When each request may go: all times are in seconds since the start of the run.
#[derive(Debug)]
pub struct Schedule {
    /// Between two requests by the limit alone; 0 without one.
    limit_s: f64,
    /// Between two requests now.
    spacing_s: f64,
    a_token_s: f64,
    next_request_s: f64,
    next_token_s: f64,
    closed_until_s: f64,
    slowed_s: f64,
    sent_s: VecDeque<f64>,
}

impl Schedule {
    /// A schedule that keeps to `limits`.
    pub fn new(limits: Limits) -> Self {
        let apart_s = |a_minute: Option<f64>| a_minute.map_or(0.0, |n| 60.0 / n * MARGIN);
        let limit_s = apart_s(limits.requests_per_minute);
        Self {
            limit_s,
            spacing_s: limit_s,
            a_token_s: apart_s(limits.tokens_per_minute),
            next_request_s: 0.0,
            next_token_s: 0.0,
            closed_until_s: 0.0,
            slowed_s: f64::NEG_INFINITY,
            sent_s: VecDeque::new(),
        }
    }

    /// The earliest time of the next request.
    pub fn next_s(&self, now_s: f64) -> f64 {
        let token_s = if self.a_token_s > 0.0 { self.next_token_s } else { 0.0 };
        [self.next_request_s, token_s, self.closed_until_s].into_iter().fold(now_s, f64::max)
    }

    /// A request goes. The next one's time counts from this one's, not from when it really went: late timers do not add up.
    pub fn send(&mut self, now_s: f64, n_tokens: u64) {
        self.next_request_s = self.next_request_s.max(now_s - LATE_S) + self.spacing_s;
        self.next_token_s = self.next_token_s.max(now_s - LATE_S) + n_tokens as f64 * self.a_token_s;
        self.sent_s.push_back(now_s);
        while self.sent_s.front().is_some_and(|sent_s| now_s - sent_s > MEASURED_S) {
            self.sent_s.pop_front();
        }
    }

    /// A request that went at `sent_s` was turned away with 429; all wait this long, if the server says so.
    pub fn limited(&mut self, now_s: f64, sent_s: f64, wait_s: Option<f64>) {
        self.closed_until_s = self.closed_until_s.max(now_s + wait_s.unwrap_or(0.0));
        // The calls that were under way when all slowed down say nothing new.
        if sent_s <= self.slowed_s {
            return;
        }
        self.slowed_s = now_s;
        let slower_s = self.spacing_s.max(self.measured_s()) * SLOWER;
        self.spacing_s = slower_s.min(MOST_SPACING_S).max(self.limit_s);
        self.next_request_s = self.next_request_s.max(self.closed_until_s) + self.spacing_s;
    }

    /// Between two requests on the whole, lately; 0 where a limit says it.
    fn measured_s(&self) -> f64 {
        match (self.sent_s.front(), self.sent_s.back()) {
            (Some(first), Some(last)) if self.spacing_s == 0.0 => {
                ((last - first) / self.sent_s.len() as f64).max(LEAST_SPACING_S)
            }
            _ => 0.0,
        }
    }

    /// A request that went at `sent_s` was accepted, and took so many tokens more (or fewer) than expected.
    pub fn accepted(&mut self, sent_s: f64, more_tokens: f64) {
        self.next_token_s += more_tokens * self.a_token_s;
        if sent_s > self.slowed_s {
            let faster = self.spacing_s * FASTER;
            self.spacing_s = if faster < LEAST_SPACING_S { 0.0 } else { faster }.max(self.limit_s);
        }
    }
}

/// So many units a second: each taker waits until the units before it are paid for. Times are since the start of the run.
#[derive(Debug)]
pub struct Meter {
    per_s: f64,
    free: Option<Duration>,
}

impl Meter {
    /// A meter of `per_s` units a second, which must be above 0.
    pub fn of(per_s: f64) -> Self {
        Self { per_s, free: None }
    }

    /// Takes `n` units at `now`, and gives the time from which they may be used.
    pub fn take(&mut self, now: Duration, n: f64) -> Duration {
        let start = self.free.map_or(now, |free| free.max(now));
        let cost = Duration::try_from_secs_f64(n / self.per_s).unwrap_or(Duration::MAX);
        self.free = Some(start.saturating_add(cost));
        start
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// A server that lets `most` requests through in any `window_s`, asked by `n_calls` calls, all ready at once, over a way
    /// whose delay jitters by up to `jitter_s`; gives the time of the last accepted one and the number turned away.
    fn simulate(limits: Limits, n_calls: usize, most: usize, window_s: f64, jitter_s: f64) -> (f64, usize) {
        let mut schedule = Schedule::new(limits);
        let (mut now_s, mut n_done, mut n_limited) = (0.0_f64, 0, 0);
        let mut inside: VecDeque<f64> = VecDeque::new();
        let mut turn = 0_u64;
        while n_done < n_calls {
            now_s = schedule.next_s(now_s) + 0.0005;
            schedule.send(now_s, 0);
            turn += 1;
            let arrives_s = now_s + jitter_s * ((turn * 7919) % 101) as f64 / 101.0;
            inside.retain(|at_s| arrives_s - at_s < window_s);
            if inside.len() < most {
                inside.push_back(arrives_s);
                schedule.accepted(now_s, 0.0);
                n_done += 1;
            } else {
                n_limited += 1;
                schedule.limited(now_s, now_s, Some(0.1));
            }
        }
        (now_s, n_limited)
    }

    fn a_minute(n: f64) -> Limits {
        Limits { requests_per_minute: Some(n), tokens_per_minute: None }
    }

    #[test]
    fn a_window_is_filled_and_none_is_turned_away_whatever_its_length() {
        for window_s in [1.0, 2.0, 60.0] {
            let (end_s, n_limited) =
                simulate(a_minute(60.0 * 60.0 / window_s), 2700, 60, window_s, 0.008 * window_s);
            let allowed_s = 2700.0 / 60.0 * window_s;
            assert_eq!(n_limited, 0, "{window_s}");
            assert!(end_s < 1.02 * allowed_s, "{end_s} s of {allowed_s}");
        }
    }

    #[test]
    fn an_unknown_limit_is_found_and_nearly_filled() {
        let (end_s, n_limited) = simulate(Limits::default(), 2700, 60, 1.0, 0.0);
        assert!(end_s < 1.5 * 45.0, "{end_s}");
        assert!(n_limited < 270, "{n_limited}");
    }

    #[test]
    fn one_429_holds_all_calls_and_later_the_pace_is_the_old_one() {
        let mut schedule = Schedule::new(a_minute(600.0));
        schedule.send(0.0, 0);
        schedule.limited(0.05, 0.0, Some(3.0));
        schedule.limited(0.06, 0.0, None);
        assert!(schedule.next_s(0.1) >= 3.05);
        assert!((schedule.spacing_s - 0.101 * SLOWER).abs() < 1e-9, "two of one moment count once");
        (0..40).for_each(|_| schedule.accepted(4.0, 0.0));
        assert!((schedule.spacing_s - 0.101).abs() < 1e-9);
    }

    #[test]
    fn tokens_are_paced_by_what_the_calls_took() {
        let limits = Limits { requests_per_minute: None, tokens_per_minute: Some(60_000.0) };
        let mut schedule = Schedule::new(limits);
        schedule.send(0.0, 1000);
        assert!((schedule.next_s(0.0) - 1.0).abs() < 0.03);
        schedule.accepted(0.0, -500.0);
        assert!((schedule.next_s(0.0) - 0.5).abs() < 0.03);
    }

    #[test]
    fn units_are_given_at_the_rate_and_an_idle_meter_saves_none() {
        let mut meter = Meter::of(10.0);
        let seconds = Duration::from_secs_f64;
        let starts: Vec<Duration> =
            [5.0, 5.0, 20.0, 1.0].iter().map(|n| meter.take(seconds(1.0), *n)).collect();
        assert_eq!(starts, [1.0, 1.5, 2.0, 4.0].map(seconds));
        assert_eq!(meter.take(seconds(100.0), 10.0), seconds(100.0));
        assert_eq!(meter.take(seconds(100.0), f64::MAX), seconds(101.0));
        assert_eq!(meter.take(seconds(100.0), 1.0), Duration::MAX);
    }
}
