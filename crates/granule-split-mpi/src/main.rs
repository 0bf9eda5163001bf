//! The program `granule-split-mpi`; see the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(granule_split_mpi::run)
}
