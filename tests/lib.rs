//! Nothing: the package exists for its one test binary, `main.rs`, and Cargo wants a library.
