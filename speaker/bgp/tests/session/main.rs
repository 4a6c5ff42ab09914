//! Two peers, a virtual clock and a network with delay: whole sessions in microseconds.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod collision;
mod failures;
mod leaving;
mod pair;
mod properties;
mod routes;
mod up;
