//! Membership among many members, with a clock of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod adverts;
mod detection;
mod healing;
mod hostile;
mod world;
