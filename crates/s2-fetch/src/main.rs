//! The program `s2-fetch`; see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(s2_fetch::run)
}
