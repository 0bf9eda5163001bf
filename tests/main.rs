//! The house as a whole, through Make and the built programs, on the machine that runs the tests; no network.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod demo;
mod house;
mod kills;
mod layers;
mod outage;
mod own_scene;
mod plan;
mod reference;
mod settings;
mod stages;
