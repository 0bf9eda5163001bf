//! The program `pog-aggregate`; see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(pog_aggregate::run)
}
