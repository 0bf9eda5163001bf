//! The program `stage1-cluster`.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(stage1_cluster::run)
}
