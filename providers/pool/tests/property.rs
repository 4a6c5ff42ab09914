//! Whatever people do, however watches lag and repeat, whichever writes fail, and whenever the process dies: no address
//! has two owners, no claim leaks, and a fresh start finds nothing to do.
//!
//! `DAYMARK_PROPERTY_CASES` sets the number of sequences, `DAYMARK_PROPERTY_SEED` runs one with a trace.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};

use support::world::World;

const OPERATIONS: usize = 50;
const DEFAULT_CASES: u64 = 1_000;
const THREADS: u64 = 2;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run(seed: u64, traced: bool) -> Result<(), String> {
    let mut world = World::new(seed, traced);
    let result = world.run(OPERATIONS);
    for line in world.trace.iter().flatten() {
        println!("{line}");
    }
    result
}

#[test]
fn every_sequence_ends_well() {
    if let Some(seed) = number("DAYMARK_PROPERTY_SEED") {
        run(seed, true).unwrap();
        return;
    }
    let cases = number("DAYMARK_PROPERTY_CASES").unwrap_or(DEFAULT_CASES);
    let next = AtomicU64::new(0);
    let failures: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut failures = Vec::new();
                    loop {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        if seed >= cases || failures.len() > 4 {
                            return failures;
                        }
                        let outcome = std::panic::catch_unwind(|| run(seed, false));
                        match outcome {
                            Ok(Ok(())) => {}
                            Ok(Err(what)) => failures.push(format!("seed {seed}: {what}")),
                            Err(_) => failures.push(format!("seed {seed}: panicked")),
                        }
                    }
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    assert!(failures.is_empty(), "rerun with DAYMARK_PROPERTY_SEED=n for a trace:\n{}", failures.join("\n"));
}
