//! What an endpoint turned down of a request, so that the rest of the run asks without it.
//!
//! Endpoints differ in two things that say nothing about the question: whether they take the schema of an answer, and their word for
//! its length. Both are found out by asking, change at most once in a run, and are no part of what is recorded as the question.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::request::Schema;

/// The words for the length of an answer. Newer models know only the second, many endpoints only the first.
pub const WORDS: [&str; 2] = ["max_tokens", "max_completion_tokens"];

/// How an endpoint is spoken to.
#[derive(Debug)]
pub struct Dialect {
    schema: Schema,
    schema_rejected: AtomicBool,
    word: AtomicUsize,
    word_changed: AtomicBool,
}

/// The dialect of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// Whether the answer's schema is named.
    pub with_schema: bool,
    /// The word for the length of an answer.
    pub length_key: &'static str,
}

impl Dialect {
    /// The dialect to begin with; `newest` for an endpoint whose own models know only the new word.
    pub fn new(schema: Schema, newest: bool) -> Self {
        Self {
            schema,
            schema_rejected: AtomicBool::new(false),
            word: AtomicUsize::new(usize::from(newest)),
            word_changed: AtomicBool::new(false),
        }
    }

    /// How the next request is made.
    pub fn spoken(&self) -> Spoken {
        let with_schema = match self.schema {
            Schema::Off => false,
            Schema::On => true,
            Schema::Auto => !self.schema_rejected.load(Ordering::Relaxed),
        };
        Spoken { with_schema, length_key: WORDS[self.word.load(Ordering::Relaxed)] }
    }

    /// The endpoint rejects the schema: whether the run goes on without one, which it says once.
    pub fn drops_schema(&self) -> bool {
        let drops = self.schema == Schema::Auto;
        if drops && !self.schema_rejected.swap(true, Ordering::Relaxed) {
            tracing::warn!("the endpoint rejects the answer's JSON schema; this run asks without one");
        }
        drops
    }

    /// The endpoint rejects the word for the length: whether another is to be tried, which is said once.
    pub fn changes_word(&self, rejected: &str) -> bool {
        let now = self.word.load(Ordering::Relaxed);
        if WORDS[now] != rejected {
            // another call found out first
            return true;
        }
        if self.word_changed.swap(true, Ordering::Relaxed) {
            return false;
        }
        let other = 1 - now;
        self.word.store(other, Ordering::Relaxed);
        tracing::info!("the endpoint does not know {rejected}; this run says {}", WORDS[other]);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_for_the_length_changes_once_whoever_finds_out() {
        let dialect = Dialect::new(Schema::Auto, false);
        let old = dialect.spoken().length_key;
        assert_eq!(old, "max_tokens");
        assert!(dialect.changes_word(old) && dialect.changes_word(old), "two calls were under way");
        let new = dialect.spoken().length_key;
        assert_eq!(new, "max_completion_tokens");
        assert!(!dialect.changes_word(new), "it knows neither");
        assert_eq!(dialect.spoken().length_key, new);
        assert_eq!(Dialect::new(Schema::Off, true).spoken(), Spoken { with_schema: false, length_key: new });
    }

    #[test]
    fn a_schema_is_dropped_only_where_the_run_may_choose() {
        let dialect = Dialect::new(Schema::Auto, false);
        assert!(dialect.spoken().with_schema && dialect.drops_schema() && !dialect.spoken().with_schema);
        let strict = Dialect::new(Schema::On, false);
        assert!(!strict.drops_schema() && strict.spoken().with_schema);
    }
}
