//! The codec against bytes: what is sent octet by octet, what is read from peers that behave and that do not.

#![allow(clippy::unwrap_used, clippy::expect_used)]
// A test names the message it wants and fails on any other.
#![allow(clippy::wildcard_enum_match_arm)]

mod framing;
mod hostile;
mod notification;
mod open;
mod oracles;
mod pack;
mod pairs;
mod properties;
mod support;
mod update;
