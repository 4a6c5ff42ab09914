//! Elections among themselves: a virtual clock, a segment that loses, delays and reorders, membership as told.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods)]

mod conflict;
mod failback;
mod given;
mod joining;
mod planned;
mod random;
mod rank;
mod scale;
mod world;
