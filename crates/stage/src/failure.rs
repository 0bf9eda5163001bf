//! Exit codes that a script can tell apart.

use std::fmt;
use std::process::ExitCode;

/// The exit code of flags that do not go together; `clap` ends with it too.
pub const WRONG_FLAGS: u8 = 2;

/// The exit code when everything worked and nothing fits what was asked for.
pub const NOTHING_FITS: u8 = 3;

/// The exit code when a network or a server gave up: the same call may work later.
pub const TRY_LATER: u8 = 4;

const FAILED: u8 = 1;

/// A failure that ends the program with a code of its own.
pub fn coded(code: u8, text: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Coded { code, text: text.into() })
}

/// Gives a failure a code, and leaves its words.
pub fn with_code(error: anyhow::Error, code: u8) -> anyhow::Error {
    error.context(Coded { code, text: String::new() })
}

/// The code that a failure was given, the outermost of several.
pub fn code(error: &anyhow::Error) -> Option<u8> {
    error.downcast_ref::<Coded>().map(|coded| coded.code)
}

pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(code(error).unwrap_or(FAILED))
}

#[derive(Debug)]
struct Coded {
    code: u8,
    text: String,
}

impl fmt::Display for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Coded {}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_code_survives_context_and_adds_no_words() {
        let plain = anyhow::anyhow!("the host is away").context("reading the catalogue");
        assert_eq!(exit_code(&plain), ExitCode::from(1));
        let marked = Err::<(), _>(with_code(anyhow::anyhow!("the host is away"), TRY_LATER));
        let marked = marked.context("reading the catalogue").expect_err("it is an error");
        assert_eq!(exit_code(&marked), ExitCode::from(TRY_LATER));
        assert_eq!(crate::one_line(&marked), "reading the catalogue: the host is away");
        let direct = coded(NOTHING_FITS, "no scene");
        assert_eq!((exit_code(&direct), crate::one_line(&direct).as_str()), (ExitCode::from(3), "no scene"));
    }
}
