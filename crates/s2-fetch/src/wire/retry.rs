//! Trying again by the rules of the crate `retry`: a bounded number of times, each wait longer than the last or as long as the
//! server asks.

use std::time::Duration;

use retry::{Tries, jittered};
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
    let bounds = Tries {
        most: TRIES,
        first_pause: FIRST_WAIT,
        longest_pause: LONGEST_OWN_WAIT,
        longest_wait: max_wait,
        // the deadline of the whole run is kept elsewhere
        patience: Duration::MAX,
    };
    let wait = match bounds.next(n_try, Duration::ZERO, fault.wait) {
        Ok(wait) if fault.wait.is_some() => wait,
        Ok(wait) => jittered(wait, name, n_try),
        Err(why) => return Err(Fault::of(Kind::GaveUp, format!("{fault}; {why}"))),
    };
    warn!("{name}: {fault}; trying again in {:.1} s", wait.as_secs_f64());
    sleep(wait).await;
    Ok(())
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
    }

    #[tokio::test]
    async fn the_server_is_waited_for_as_long_as_it_asks_but_not_for_ever() {
        let asking = |s| Fault { wait: Some(Duration::from_secs(s)), ..Fault::passing("busy") };
        assert_eq!(failing(asking(100)).await.1.as_secs(), 400);
        let (n, took, fault) = failing(asking(121)).await;
        assert_eq!((n, took.as_secs()), (1, 0));
        assert!(fault.text.contains("the server asks for 121 s"));
        for wait in [Duration::from_secs(u64::MAX), Duration::MAX] {
            let (n, took, fault) = failing(Fault { wait: Some(wait), ..Fault::passing("busy") }).await;
            assert_eq!((n, took, fault.kind), (1, Duration::ZERO, Kind::GaveUp));
            assert!(fault.text.contains("try again later"), "{fault}");
        }
    }

    #[tokio::test]
    async fn what_another_request_of_the_same_kind_cannot_help_is_not_tried_again() {
        for kind in [Kind::Last, Kind::GaveUp, Kind::Denied, Kind::Changed, Kind::NoParts] {
            let (n, _, fault) = failing(Fault::of(kind, "no")).await;
            assert_eq!((n, fault.kind), (1, kind));
        }
    }
}
