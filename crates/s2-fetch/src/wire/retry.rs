//! Trying again: a bounded number of times, each wait longer than the last or as long as the server asks.
//!
//! Waits carry a jitter that follows from the file's name, so that many files do not come back at the same instant and a run can
//! still be repeated exactly.

use std::time::Duration;

use sha2::{Digest, Sha256};
use tracing::warn;

use crate::clock::sleep;
use crate::fault::{Fault, Kind};

/// Tries of one request, and of one file.
pub(crate) const TRIES: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_OWN_WAIT: Duration = Duration::from_secs(30);

/// Tries until it works, a try fails for good, or [`TRIES`] are spent. Only passing faults are worth another try here.
///
/// # Errors
/// The last fault; it is never a passing one.
pub(crate) async fn retrying<T>(
    name: &str,
    max_wait: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut n_try = 1;
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(fault) => pause(name, max_wait, n_try, fault).await?,
        }
        n_try += 1;
    }
}

/// Waits before the next try, or says why there is none.
///
/// # Errors
/// The fault, if another try is hopeless, one too many, or too far away.
pub(crate) async fn pause(name: &str, max_wait: Duration, n_try: u32, fault: Fault) -> Result<(), Fault> {
    if fault.kind != Kind::Passing {
        return Err(fault);
    }
    if n_try >= TRIES {
        return Err(Fault::of(Kind::GaveUp, format!("{fault}; gave up after {TRIES} tries")));
    }
    let wait = fault.wait.unwrap_or_else(|| own_wait(name, n_try));
    if wait > max_wait && fault.wait.is_some() {
        let asked_s = wait.as_secs();
        let text = format!("{fault}; the server asks for {asked_s} s, try again later");
        return Err(Fault::of(Kind::GaveUp, text));
    }
    warn!("{name}: {fault}; trying again in {:.1} s", wait.as_secs_f64());
    sleep(wait).await;
    Ok(())
}

/// Twice as long each time, less up to half by the name's jitter.
fn own_wait(name: &str, n_try: u32) -> Duration {
    let longest = (FIRST_WAIT * 2u32.saturating_pow(n_try - 1)).min(LONGEST_OWN_WAIT);
    let hash = Sha256::digest(format!("{name} {n_try}"));
    longest.mul_f64(0.5 + f64::from(hash[0]) / 512.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::clock::{now, stopped};
    use std::cell::Cell;

    const MAX_WAIT: Duration = Duration::from_secs(120);

    async fn failing(fault: Fault) -> (u32, Duration, Fault) {
        stopped::stop();
        let (n, start) = (Cell::new(0), now());
        let result: Result<(), Fault> = retrying("a.tif", MAX_WAIT, async || {
            n.set(n.get() + 1);
            Err(fault.clone())
        })
        .await;
        (n.get(), now() - start, result.unwrap_err())
    }

    #[tokio::test]
    async fn tries_are_bounded_in_count_and_in_time_and_the_waits_grow() {
        let (n, took, fault) = failing(Fault::passing("reset")).await;
        assert_eq!(n, TRIES);
        // 0.5 + 1 + 2 + 4 s, of which jitter leaves at least half.
        assert!((3.7..7.6).contains(&took.as_secs_f64()), "{took:?}");
        assert!(fault.text.ends_with("gave up after 5 tries") && fault.kind == Kind::GaveUp);
        let waits: Vec<_> = (1..20).map(|n| own_wait("a.tif", n)).collect();
        assert!(waits[..6].windows(2).all(|w| w[0] < w[1]) && waits.iter().all(|w| *w <= LONGEST_OWN_WAIT));
        assert_ne!(own_wait("a.tif", 3), own_wait("b.tif", 3), "files do not come back together");
    }

    #[tokio::test]
    async fn the_server_is_waited_for_as_long_as_it_asks_but_not_for_ever() {
        let asking = |s| Fault { wait: Some(Duration::from_secs(s)), ..Fault::passing("busy") };
        assert_eq!(failing(asking(100)).await.1.as_secs(), 400);
        let (n, took, fault) = failing(asking(121)).await;
        assert_eq!((n, took.as_secs()), (1, 0));
        assert!(fault.text.contains("the server asks for 121 s"));
        let (n, _, fault) = failing(asking(u64::MAX)).await;
        assert_eq!((n, fault.kind), (1, Kind::GaveUp));
    }

    #[tokio::test]
    async fn what_another_request_of_the_same_kind_cannot_help_is_not_tried_again() {
        for kind in [Kind::Last, Kind::GaveUp, Kind::Denied, Kind::Changed, Kind::NoParts] {
            let (n, _, fault) = failing(Fault::of(kind, "no")).await;
            assert_eq!((n, fault.kind), (1, kind));
        }
    }
}
