//! All calls of a run pass one turnstile, in their order of coming, at the times of a [`Schedule`].

use std::time::Duration;

use retry::{Limits, Schedule};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::stop::{Stop, Stopped};

/// The turnstile.
#[derive(Debug)]
pub struct Pace {
    begun: Instant,
    /// Held by the one call that waits for its time; the others queue behind it.
    turn: Mutex<()>,
    schedule: std::sync::Mutex<Schedule>,
}

impl Pace {
    /// A turnstile that keeps to `limits`.
    pub fn new(limits: Limits) -> Self {
        Self { begun: Instant::now(), turn: Mutex::default(), schedule: Schedule::new(limits).into() }
    }

    /// Waits until a request of about `n_tokens` may go, and says when that is, in seconds since the start.
    ///
    /// # Errors
    /// The run stops.
    pub async fn pass(&self, n_tokens: u64, stop: &Stop) -> Result<f64, Stopped> {
        let _turn = stop.or(self.turn.lock()).await?;
        loop {
            let now_s = self.now_s();
            let at_s = self.with(|schedule| schedule.next_s(now_s));
            if at_s <= now_s {
                self.with(|schedule| schedule.send(now_s, n_tokens));
                return Ok(now_s);
            }
            let at = self.begun + Duration::from_secs_f64(at_s);
            stop.or(tokio::time::sleep_until(at)).await?;
        }
    }

    /// A request of `sent_s` was turned away with 429; all wait this long, if the endpoint says so.
    pub fn limited(&self, sent_s: f64, wait: Option<Duration>) {
        let now_s = self.now_s();
        self.with(|schedule| schedule.limited(now_s, sent_s, wait.map(|wait| wait.as_secs_f64())));
    }

    /// A request of `sent_s` was accepted, and took so many tokens more (or fewer) than expected.
    pub fn accepted(&self, sent_s: f64, more_tokens: f64) {
        self.with(|schedule| schedule.accepted(sent_s, more_tokens));
    }

    fn now_s(&self) -> f64 {
        self.begun.elapsed().as_secs_f64()
    }

    fn with<T>(&self, act: impl FnOnce(&mut Schedule) -> T) -> T {
        act(&mut self.schedule.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_one_after_another_and_a_stopped_run_waits_for_none() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (pace, stop) = (
                Pace::new(Limits { requests_per_minute: Some(6000.0), tokens_per_minute: None }),
                Stop::default(),
            );
            let begun = Instant::now();
            let passed = futures_util::future::join_all((0..20).map(|_| pace.pass(0, &stop))).await;
            assert!(passed.iter().all(Result::is_ok));
            assert!(begun.elapsed() >= Duration::from_millis(150), "{:?}", begun.elapsed());
            pace.limited(f64::INFINITY, Some(Duration::from_secs(3600)));
            let waiting = pace.pass(0, &stop);
            let (passed, ()) = futures_util::join!(waiting, async { stop.now() });
            assert!(passed.is_err());
        });
    }
}
