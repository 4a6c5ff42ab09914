//! What every daemon of Daymark needs from Kubernetes: tolerant object types, the watch pump, views for the cores, leader
//! election, events, conditions, the admin endpoint and the frame of a daemon.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod admin;
pub mod client;
pub mod daemon;
pub mod events;
pub mod health;
pub mod lease;
mod list_watch;
pub mod object;
pub mod pump;
pub mod slim;
pub mod status;
pub mod views;

pub use client::{ApiServer, CallError, within};
pub use health::{Check, Health};
pub use object::{Key, Kind, Object, Unreadable};
pub use pump::{Pump, Update};
