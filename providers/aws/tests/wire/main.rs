//! Calls as they go over the wire: what is sent, and what is read out of answers as AWS gives them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod account;
mod credentials;
mod errors;
mod listeners;
mod load_balancers;
mod network;
mod security_groups;
mod server;
mod target_groups;

use std::collections::BTreeMap;

/// Pairs as tags, attributes or a form.
fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

fn strings<const N: usize>(list: [&str; N]) -> Vec<String> {
    list.map(str::to_owned).into()
}
