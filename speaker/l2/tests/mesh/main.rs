//! Many nodes on a virtual clock: whatever happens to them and to their networks, every client finds one node that
//! answers for every address, and never two, but for the time that it takes to know.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod assertions;
mod check;
mod faults;
mod figures;
mod frames;
mod networks;
mod plan;
mod planned;
mod processes;
mod random;
mod world;
