//! The program `vlm-label`; see the library of the same name.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(vlm_label::run)
}
