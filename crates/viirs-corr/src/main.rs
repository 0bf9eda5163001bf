//! The map against night lights. See the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(viirs_corr::run)
}
