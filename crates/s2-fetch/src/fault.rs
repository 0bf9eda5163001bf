//! Why a try at fetching failed.

use std::fmt;
use std::time::Duration;

/// Why a try failed, and whether another one can help.
#[derive(Debug)]
pub(crate) struct Fault {
    /// What happened, without secrets.
    pub text: String,
    /// Whether the same request may work later.
    pub again: bool,
    /// How long the server asks to wait.
    pub wait: Option<Duration>,
}

impl Fault {
    /// Nothing will change by trying again.
    pub fn last(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: false, wait: None }
    }

    /// Another try may help.
    pub fn passing(text: impl Into<String>) -> Self {
        Self { text: text.into(), again: true, wait: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<reqwest::Error> for Fault {
    /// The error and its causes without the address, whose query can hold a secret.
    fn from(error: reqwest::Error) -> Self {
        let again = !(error.is_redirect() || error.is_builder());
        let error = error.without_url();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            cause = inner.source();
        }
        Self { text, again, wait: None }
    }
}
