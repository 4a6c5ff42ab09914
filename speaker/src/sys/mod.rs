//! What the system offers to unsafe code only: small functions that are safe to call.

#![allow(unsafe_code)]

pub mod memory;
pub mod packet;
pub mod readiness;
pub mod thread;
