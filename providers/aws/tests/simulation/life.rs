//! The life of a controller's process: it may end at any point where it waits for an answer.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// Counts the points at which a process waits.
#[derive(Debug, Clone, Default)]
pub struct Life(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    left: Mutex<Option<usize>>,
    dead: Notify,
}

impl Life {
    pub fn set(&self, left: Option<usize>) {
        *self.0.left.lock().unwrap_or_else(PoisonError::into_inner) = left;
    }

    /// Waits for an answer: for ever, when the process is dead.
    pub async fn step(&self) {
        let is_over = {
            let mut left = self.0.left.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *left {
                Some(0) => true,
                Some(left) => {
                    *left -= 1;
                    false
                }
                None => false,
            }
        };
        if is_over {
            self.0.dead.notify_one();
            std::future::pending::<()>().await;
        }
    }

    pub async fn ended(&self) {
        self.0.dead.notified().await;
    }
}
