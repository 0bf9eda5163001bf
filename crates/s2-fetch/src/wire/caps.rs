//! The limits at work: who may ask now, and how fast bytes may come.
//!
//! Idle time is not saved up: a rate holds over any second, but for one request or
//! one chunk a connection.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use retry::Meter;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::clock::{now, sleep_until};
use crate::wire::Limits;

/// Bytes of a megabyte, as networks count.
const MB: f64 = 1e6;

/// What all fetches of a run share.
#[derive(Debug)]
pub(crate) struct Caps {
    connections: Semaphore,
    n_connections: usize,
    requests: Option<Pace>,
    bytes: Option<Pace>,
    /// Hosts that asked for a pause, and until when.
    paused: Mutex<HashMap<String, Instant>>,
    /// When to give up.
    pub deadline: Instant,
    /// Seconds from start to `deadline`, for messages.
    pub deadline_s: u32,
    /// The longest wait that a server may ask for.
    pub max_wait: Duration,
    /// See [`crate::wire::body`].
    pub stall: Duration,
    /// Length of the parts of a long file.
    pub part_bytes: u64,
}

impl Caps {
    /// The limits, counted from now.
    pub fn of(limits: &Limits) -> Self {
        let n_connections = usize::from(limits.connections);
        Self {
            connections: Semaphore::new(n_connections),
            n_connections,
            requests: limits.max_requests_per_s.map(Pace::of),
            bytes: limits.max_mb_per_s.map(|rate| Pace::of(rate * MB)),
            paused: Mutex::default(),
            deadline: now() + Duration::from_secs(limits.deadline_s.into()),
            deadline_s: limits.deadline_s,
            max_wait: Duration::from_secs(limits.max_wait_s.into()),
            stall: Duration::from_secs(limits.stall_s.into()),
            part_bytes: u64::from(limits.part_kib) << 10,
        }
    }

    /// Connections at once.
    pub fn n_connections(&self) -> usize {
        self.n_connections
    }

    /// Waits until a request to a host may be made. The connection is taken until the result is dropped.
    pub async fn turn(&self, host: &str) -> SemaphorePermit<'_> {
        loop {
            if let Some(until) = self.paused_until(host) {
                sleep_until(until).await;
            }
            let permit = self.connections.acquire().await.expect("nobody closes the connections' semaphore");
            // While this one waited for a connection, another may have been told to pause.
            if self.paused_until(host).is_some() {
                continue;
            }
            if let Some(pace) = &self.requests {
                pace.take(1.0).await;
            }
            return permit;
        }
    }

    /// A host asked for a pause: nobody asks it again before.
    pub fn pause(&self, host: &str, wait: Duration) {
        let until = now() + wait.min(self.max_wait);
        let mut paused = self.paused.lock().unwrap_or_else(|e| e.into_inner());
        let last = paused.entry(host.to_owned()).or_insert(until);
        *last = until.max(*last);
    }

    /// Accounts for bytes that came; returns how long it held them up.
    pub async fn spend(&self, n_bytes: usize) -> Duration {
        match &self.bytes {
            Some(pace) => pace.take(n_bytes as f64).await,
            None => Duration::ZERO,
        }
    }

    fn paused_until(&self, host: &str) -> Option<Instant> {
        let paused = self.paused.lock().unwrap_or_else(|e| e.into_inner());
        paused.get(host).copied().filter(|until| *until > now())
    }
}

/// So many units a second: each taker waits until the units before it are paid for.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    meter: Mutex<Meter>,
}

impl Pace {
    fn of(per_s: f64) -> Self {
        Self { begun: now(), meter: Mutex::new(Meter::of(per_s)) }
    }

    async fn take(&self, n: f64) -> Duration {
        let now = now();
        let start = {
            let mut meter = self.meter.lock().unwrap_or_else(|e| e.into_inner());
            self.begun + meter.take(now - self.begun, n)
        };
        sleep_until(start).await;
        start - now
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::stopped;
    use crate::wire::limits::tests::limits;

    #[tokio::test]
    async fn a_rate_holds_over_any_stretch_and_idle_time_is_not_saved_up() {
        stopped::stop();
        let caps = Caps::of(&Limits { max_requests_per_s: Some(10.0), max_mb_per_s: Some(1.0), ..limits() });
        let start = now();
        for _ in 0..21 {
            drop(caps.turn("a").await);
        }
        assert_eq!((now() - start).as_millis(), 2000, "21 requests at 10 a second take 2 s");
        stopped::advance(Duration::from_secs(60));
        let start = now();
        for _ in 0..11 {
            caps.spend(100_000).await;
        }
        assert_eq!((now() - start).as_millis(), 1000, "1.1 MB at 1 MB/s, the last chunk paid by the next");
    }

    #[tokio::test]
    async fn a_host_that_asked_for_a_pause_is_left_alone_and_others_are_not() {
        stopped::stop();
        let caps = Caps::of(&limits());
        caps.pause("slow", Duration::from_secs(7));
        let start = now();
        drop(caps.turn("other").await);
        assert_eq!((now() - start).as_secs(), 0);
        drop(caps.turn("slow").await);
        assert_eq!((now() - start).as_secs(), 7);
    }

    #[tokio::test]
    async fn no_more_connections_than_allowed_are_open_at_once() {
        stopped::stop();
        let caps = Caps::of(&Limits { connections: 2, ..limits() });
        let (_a, _b) = (caps.turn("a").await, caps.turn("b").await);
        let third = std::pin::pin!(caps.turn("c"));
        assert!(futures_util::poll!(third).is_pending());
    }
}
