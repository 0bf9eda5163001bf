//! Scores to maps. See the library for what it does.

use std::process::ExitCode;

fn main() -> ExitCode {
    stage::main(heatmap_stitch::run)
}
