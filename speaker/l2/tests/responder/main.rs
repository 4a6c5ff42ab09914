//! The responder against frames: what a host on the segment sees of it, byte by byte and over time.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// Each test begins its own virtual time at any instant.
#![allow(clippy::disallowed_methods)]

mod answers;
mod bursts;
mod conflicts;
mod groups;
mod hostile;
mod pairs;
mod probes;
mod properties;
mod refused;
mod support;
