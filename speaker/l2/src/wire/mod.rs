//! See the module table of the crate.
