//! Ctrl-C and SIGTERM: the labs of this process are removed before it ends.

use std::collections::BTreeSet;
use std::sync::{Mutex, Once, PoisonError};

use tokio::signal::unix::{SignalKind, signal};

use crate::sweep::{LabId, remove};

static LABS: Mutex<BTreeSet<LabId>> = Mutex::new(BTreeSet::new());
static WATCH: Once = Once::new();

/// From now on `lab` is removed when this process is interrupted.
pub fn guard(lab: LabId) {
    LABS.lock().unwrap_or_else(PoisonError::into_inner).insert(lab);
    WATCH.call_once(|| {
        std::thread::spawn(watch);
    });
}

/// `lab` has been removed or is kept.
pub fn release(lab: LabId) {
    LABS.lock().unwrap_or_else(PoisonError::into_inner).remove(&lab);
}

/// On a runtime of its own: each test has another one, which ends with it.
fn watch() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
    let code = runtime.block_on(async {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        }
    });
    let labs = LABS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for lab in labs {
        if let Err(error) = remove(lab) {
            eprintln!("lab {lab} is not removed completely: {error:#}");
        }
    }
    std::process::exit(code);
}
