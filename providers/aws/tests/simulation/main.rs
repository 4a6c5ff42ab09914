//! The property that everything hangs on: whatever happens, in the end all is as wished, and nothing is left behind.
//!
//! | module | about |
//! |---|---|
//! | `shop`, `wish` | the cluster: what Services say, and what is wanted because of it |
//! | `controller`, `life` | the controller: its queue and passes, and how it dies |
//! | `book`, `spy` | what outlives it, and what watches every call |
//! | `step`, `dice` | what may happen |
//! | `check` | whether the account is as wished |
//! | `schedule` | any of it, in any order |
//! | `scenarios` | some of it, in one order |

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, reason = "tests")]

mod book;
mod check;
mod controller;
mod dice;
mod life;
mod scenarios;
mod schedule;
mod shop;
mod spy;
mod step;
mod wish;
