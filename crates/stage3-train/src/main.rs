//! The program `stage3-train`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(stage3_train::run)
}
