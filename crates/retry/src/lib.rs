//! When a request may go ([`Schedule`], [`Meter`]), how long a server wants to be left alone ([`wait_asked`]), and whether and
//! when a failed request is asked again ([`Tries`]).
//!
//! Every program that talks to servers uses these rules, so that one bound holds for all. They are functions of times that the
//! caller gives. Left out: the clock, the sleeping, and the requests, which each program has of its own.

mod asked;
mod pace;
mod tries;

pub use asked::{server_now, wait_asked};
pub use pace::{Limits, Meter, Schedule};
pub use tries::{Tries, Why, jittered};
