//! How often and how long a request is tried: bounded in count, in one pause, and in all.

use std::fmt;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Doublings of the first pause at most.
const MOST_DOUBLINGS: u32 = 20;
/// A longer wait is not said in seconds.
const LONGEST_SAID: Duration = Duration::from_secs(1_000_000_000);

/// The bounds of trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tries {
    /// Tries of a request, the first included.
    pub most: u32,
    /// Pause after the first failed try; doubled after each.
    pub first_pause: Duration,
    /// The longest pause where the server says nothing.
    pub longest_pause: Duration,
    /// The longest wait that a server may ask for; one that asks for more has failed.
    pub longest_wait: Duration,
    /// From the first try on, no try begins later than this.
    pub patience: Duration,
}

/// Why there is no other try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// All tries are spent.
    Tries(u32),
    /// The server asks for a longer wait than is waited for.
    Asked {
        /// What it asks for.
        asked: Duration,
        /// The longest wait.
        most: Duration,
    },
    /// The next try would begin too late.
    Patience(Duration),
}

impl fmt::Display for Why {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Tries(n) => write!(out, "gave up after {n} tries"),
            Why::Asked { asked, most } if *asked > LONGEST_SAID => {
                write!(
                    out,
                    "the server asks for a wait of decades, and {} s are waited at most; try again later",
                    most.as_secs()
                )
            }
            Why::Asked { asked, most } => write!(
                out,
                "the server asks for {} s, and {} s are waited at most; try again later",
                asked.as_secs_f64().ceil(),
                most.as_secs()
            ),
            Why::Patience(patience) => {
                write!(out, "gave up, because another try would begin after {} s", patience.as_secs_f64())
            }
        }
    }
}

impl Tries {
    /// The pause before the next try, when `n_tried` tries failed, the last one so long after the first one began, and the server
    /// wants to be left alone for `asked`.
    ///
    /// # Errors
    /// Why there is no other try.
    pub fn next(&self, n_tried: u32, elapsed: Duration, asked: Option<Duration>) -> Result<Duration, Why> {
        if n_tried >= self.most {
            return Err(Why::Tries(self.most));
        }
        if let Some(asked) = asked.filter(|asked| *asked > self.longest_wait) {
            return Err(Why::Asked { asked, most: self.longest_wait });
        }
        let pause = asked.unwrap_or_else(|| self.own_pause(n_tried));
        if elapsed.saturating_add(pause) > self.patience {
            return Err(Why::Patience(self.patience));
        }
        Ok(pause)
    }

    /// The pause after so many failed tries where the server says nothing.
    pub fn own_pause(&self, n_tried: u32) -> Duration {
        let doublings = n_tried.saturating_sub(1).min(MOST_DOUBLINGS);
        self.first_pause.saturating_mul(1 << doublings).min(self.longest_pause)
    }
}

/// A pause less up to half of it. How much follows from the name and the number of the try: requests of different names do not come
/// back at the same instant, and a run can still be repeated exactly.
pub fn jittered(pause: Duration, name: &str, n_try: u32) -> Duration {
    let hash = Sha256::digest(format!("{name} {n_try}"));
    pause.mul_f64(0.5 + f64::from(hash[0]) / 512.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BOUNDS: Tries = Tries {
        most: 6,
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(5),
        longest_wait: Duration::from_secs(7),
        patience: Duration::from_secs(60),
    };

    #[test]
    fn pauses_double_up_to_the_longest_and_tries_end() {
        let pauses: Vec<_> = (1..=6).map(|n| BOUNDS.next(n, Duration::ZERO, None)).collect();
        let seconds = |n| Ok(Duration::from_secs(n));
        assert_eq!(pauses, [seconds(1), seconds(2), seconds(4), seconds(5), seconds(5), Err(Why::Tries(6))]);
        let huge = Tries { most: u32::MAX, first_pause: Duration::MAX, patience: Duration::MAX, ..BOUNDS };
        assert_eq!(huge.next(u32::MAX - 1, Duration::MAX, None), seconds(5));
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_or_there_is_no_other_try() {
        let next = |elapsed_s, asked| BOUNDS.next(1, Duration::from_secs(elapsed_s), Some(asked));
        let seconds = Duration::from_secs;
        assert_eq!(next(0, seconds(3)), Ok(seconds(3)));
        assert_eq!(next(0, seconds(7)), Ok(seconds(7)));
        assert_eq!(next(57, seconds(3)), Ok(seconds(3)));
        assert_eq!(next(58, seconds(3)), Err(Why::Patience(seconds(60))));
        for asked in [seconds(8), seconds(u64::MAX), Duration::MAX] {
            assert_eq!(next(0, asked), Err(Why::Asked { asked, most: seconds(7) }));
        }
        assert!(next(0, seconds(121)).unwrap_err().to_string().starts_with("the server asks for 121 s"));
        assert!(next(0, Duration::MAX).unwrap_err().to_string().contains("decades"));
    }

    #[test]
    fn jitter_leaves_at_least_half_and_differs_by_name() {
        let pause = Duration::from_secs(10);
        let all: Vec<Duration> = (1..50).map(|n| jittered(pause, "a.tif", n)).collect();
        assert!(all.iter().all(|short| (5.0..=10.0).contains(&short.as_secs_f64())));
        assert_ne!(jittered(pause, "a.tif", 3), jittered(pause, "b.tif", 3));
        assert_eq!(jittered(pause, "a.tif", 3), jittered(pause, "a.tif", 3));
    }
}
