//! The clock of all waits: tokio's, or in tests one that stands still until somebody waits and then jumps.
//!
//! Tokio has such a clock too, behind a feature that would build it, and all that rests on it, a second time for tests alone.

use std::time::Duration;

use tokio::time::Instant;

/// What was being waited for did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Late;

/// The time.
pub(crate) fn now() -> Instant {
    #[cfg(test)]
    if let Some(now) = stopped::now() {
        return now;
    }
    Instant::now()
}

/// Waits until a time.
pub(crate) async fn sleep_until(until: Instant) {
    #[cfg(test)]
    if stopped::jump(until) {
        return tokio::task::yield_now().await;
    }
    tokio::time::sleep_until(until).await;
}

/// Waits for a while.
pub(crate) async fn sleep(wait: Duration) {
    sleep_until(now() + wait).await;
}

/// Waits for something, but not beyond a time.
///
/// # Errors
/// If that time came first.
pub(crate) async fn timeout_at<T>(end: Instant, work: impl Future<Output = T>) -> Result<T, Late> {
    #[cfg(test)]
    if stopped::now().is_some() {
        // Nothing is lost when it comes late: whoever waits looks at the clock.
        return Ok(work.await);
    }
    tokio::time::timeout_at(end, work).await.map_err(|_| Late)
}

#[cfg(test)]
pub(crate) mod stopped {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static NOW: Cell<Option<Instant>> = const { Cell::new(None) };
    }

    /// Stops the clock of this thread, which must be all of the test's runtime.
    pub fn stop() {
        NOW.set(Some(Instant::now()));
    }

    pub fn now() -> Option<Instant> {
        NOW.get()
    }

    /// Moves a stopped clock forward.
    pub fn jump(until: Instant) -> bool {
        let now = NOW.get();
        NOW.set(now.map(|now| now.max(until)));
        now.is_some()
    }

    /// Moves a stopped clock forward by so much.
    pub fn advance(wait: Duration) {
        assert!(jump(super::now() + wait), "want a stopped clock");
    }
}
