//! Answers of a run that are missing: calls that are lost and answers that cannot be read. More than `--max-failed` allows, and the run
//! stops at once, because all that it would still pay for could not be used.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::bail;

use super::stop::Stop;

/// The count.
#[derive(Debug)]
pub struct Tally {
    most: usize,
    n_lost: AtomicUsize,
    n_unreadable: AtomicUsize,
    /// Whether answers that cannot be read count.
    strict: AtomicBool,
    /// What is known of the last one.
    last: Mutex<Option<String>>,
}

impl Tally {
    /// Nothing is missing; more than `most` end the run.
    pub fn new(most: usize) -> Self {
        let (n_lost, n_unreadable) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { most, n_lost, n_unreadable, strict: AtomicBool::new(true), last: Mutex::default() }
    }

    /// From here on answers may be unreadable.
    pub fn forgive(&self) {
        self.strict.store(false, Ordering::Relaxed);
    }

    /// Counts lost calls.
    pub fn lose(&self, n: usize, what: String, stop: &Stop) {
        self.add(&self.n_lost, n, what, stop);
    }

    /// Counts answers that cannot be read.
    pub fn unreadable(&self, n: usize, what: String, stop: &Stop) {
        if self.strict.load(Ordering::Relaxed) {
            self.add(&self.n_unreadable, n, what, stop);
        }
    }

    fn add(&self, count: &AtomicUsize, n: usize, what: String, stop: &Stop) {
        if n == 0 {
            return;
        }
        count.fetch_add(n, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(what);
        if self.n_missing() > self.most {
            stop.now();
        }
    }

    fn n_missing(&self) -> usize {
        self.n_lost.load(Ordering::Relaxed) + self.n_unreadable.load(Ordering::Relaxed)
    }

    /// Says so when too many answers are missing.
    ///
    /// # Errors
    /// Too many are.
    pub fn check(&self) -> anyhow::Result<()> {
        let (n, n_unreadable) = (self.n_missing(), self.n_unreadable.load(Ordering::Relaxed));
        if n <= self.most {
            return Ok(());
        }
        let last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let last = last.as_ref().map_or(String::new(), |last| format!("; the last one: {last}"));
        if n_unreadable == 0 {
            bail!("{n} calls to the endpoint are lost, more than --max-failed allows{last}");
        }
        bail!(
            "{n} answers are missing, {n_unreadable} of them cannot be read, more than --max-failed allows{last}"
        );
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn lost_calls_and_unreadable_answers_count_together_and_stop_the_run() {
        let (tally, stop) = (Tally::new(3), Stop::default());
        tally.lose(2, "timed out".into(), &stop);
        tally.unreadable(1, "not one JSON object".into(), &stop);
        assert!(tally.check().is_ok() && !stop.is_set());
        tally.unreadable(1, "empty answer".into(), &stop);
        assert!(stop.is_set());
        let error = tally.check().unwrap_err().to_string();
        assert!(
            error.contains("4 answers are missing, 2 of them")
                && error.ends_with("the last one: empty answer")
        );
    }

    #[test]
    fn answers_about_canaries_may_be_unreadable_and_calls_may_not_be_lost() {
        let (tally, stop) = (Tally::new(0), Stop::default());
        tally.forgive();
        tally.unreadable(9, "refused".into(), &stop);
        assert!(tally.check().is_ok() && !stop.is_set());
        tally.lose(1, "timed out".into(), &stop);
        assert!(tally.check().unwrap_err().to_string().starts_with("1 calls to the endpoint are lost"));
    }
}
