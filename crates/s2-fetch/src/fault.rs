//! Why a try at fetching failed.

use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What can be done about a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing will change by trying again.
    Last,
    /// The same request may work later.
    Passing,
    /// It did not work within the tries and the time allowed; a later run may fare better.
    GaveUp,
    /// The server does not let us in: a token may have run out.
    Denied,
    /// The file is no longer the one that was begun.
    Changed,
    /// The server does not give parts of this file.
    NoParts,
}

/// Why a try failed, and what can be done.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    /// What happened, without secrets.
    pub text: String,
    /// What can be done about it.
    pub kind: Kind,
    /// How long the server asks to wait.
    pub wait: Option<Duration>,
}

impl Fault {
    /// A fault of a kind.
    pub fn of(kind: Kind, text: impl Into<String>) -> Self {
        Self { text: text.into(), kind, wait: None }
    }

    /// Nothing will change by trying again.
    pub fn last(text: impl Into<String>) -> Self {
        Self::of(Kind::Last, text)
    }

    /// Another try may help.
    pub fn passing(text: impl Into<String>) -> Self {
        Self::of(Kind::Passing, text)
    }

    /// The disk does not take what came.
    pub fn disk(error: impl fmt::Display) -> Self {
        Self::last(format!("cannot keep the file: {error}"))
    }

    /// The failure of what `name` stands for, with the exit code that tells a script whether to try later.
    pub fn named(&self, name: &str) -> anyhow::Error {
        let error = anyhow::anyhow!("{name}: {self}");
        if self.kind == Kind::GaveUp { stage::with_code(error, stage::TRY_LATER) } else { error }
    }

    /// The same, and another try may help.
    pub fn again(self) -> Self {
        Self { kind: Kind::Passing, ..self }
    }

    /// The same, and no other try will help.
    pub fn at_last(self) -> Self {
        Self { kind: Kind::Last, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A name that leads to no public address; see [`crate::guard`].
#[derive(Debug, thiserror::Error)]
#[error("the name leads to no public address")]
pub(crate) struct NoPublicAddress;

impl From<reqwest::Error> for Fault {
    /// The error and its causes without the address, whose query can hold a secret.
    fn from(error: reqwest::Error) -> Self {
        let hopeless = error.is_redirect() || error.is_builder();
        let error = error.without_url();
        Self::caused(&error, hopeless)
    }
}

impl Fault {
    /// The error and its causes in one line.
    pub fn caused(error: &dyn Error, hopeless: bool) -> Self {
        let mut text = error.to_string();
        let mut refused = false;
        let mut cause = error.source();
        while let Some(inner) = cause {
            text = format!("{text}: {inner}");
            refused |= inner.is::<NoPublicAddress>();
            cause = inner.source();
        }
        Self::of(if hopeless || refused { Kind::Last } else { Kind::Passing }, text)
    }
}
