//! What a lab leaves on this machine, its logs on failure, and its removal whatever happens.

use crate::process::tail;
use crate::sweep::{LabId, remove};
use crate::{interrupt, look, tools};

/// Lines of each log that a failure shows.
const SHOWN_LINES: usize = 12;

/// What the lab leaves on this machine, and its removal whatever happens.
#[derive(Debug)]
pub(super) struct Footprint {
    pub(super) id: LabId,
    pub(super) name: String,
    pub(super) keep: bool,
    pub(super) finished: bool,
}

impl Drop for Footprint {
    fn drop(&mut self) {
        if !self.finished {
            self.show_logs();
        }
        if self.keep {
            interrupt::release(self.id);
            match self.id.keep() {
                Ok(()) => look::print(self.id, &self.name),
                Err(error) => eprintln!("lab {}: {error:#}", self.id),
            }
            return;
        }
        if self.id.directory().exists()
            && let Err(error) = remove(self.id)
        {
            eprintln!("lab {} is not removed completely: {error:#}", self.id);
        }
        interrupt::release(self.id);
    }
}

impl Footprint {
    fn show_logs(&self) {
        let saved = tools::project().join("target/lab-logs").join(&self.name);
        let logs = self.id.directory().join("logs");
        // What an earlier run of the same test left would mislead.
        let _ = std::fs::remove_dir_all(&saved);
        let copied = std::fs::create_dir_all(&saved).and_then(|()| {
            for entry in std::fs::read_dir(&logs)? {
                let entry = entry?;
                std::fs::copy(entry.path(), saved.join(entry.file_name()))?;
            }
            Ok(())
        });
        eprintln!("\nlab {} ({}) failed; its logs:", self.id, self.name);
        let mut files: Vec<_> =
            std::fs::read_dir(&logs).into_iter().flatten().flatten().map(|file| file.path()).collect();
        files.sort();
        for file in files {
            let text = tail(&file, SHOWN_LINES);
            if !text.is_empty() {
                eprintln!("--- {}\n{text}", file.file_name().unwrap_or_default().to_string_lossy());
            }
        }
        match copied {
            Ok(()) => eprintln!("--- the whole logs: {}", saved.display()),
            Err(error) => eprintln!("--- the logs could not be saved to {}: {error}", saved.display()),
        }
    }
}
