//! The map by county. See the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(region_report::run)
}
