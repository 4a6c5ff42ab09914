//! Tells how evenly this machine runs: a line with the milliseconds for each time that it stood still, until it is killed.
//! On a machine that does, timers are late and packets wait, and a test that counts milliseconds says nothing.

use std::io::Write;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(10);
/// A busy machine wakes whoever slept within some milliseconds; a tenth of a second is a pause of the machine itself.
const STALL: Duration = Duration::from_millis(100);

fn main() -> std::io::Result<()> {
    let (sender, stalls) = mpsc::channel();
    for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
        let sender = sender.clone();
        thread::spawn(move || {
            let mut last = Instant::now();
            loop {
                thread::sleep(STEP);
                let late = last.elapsed();
                last = Instant::now();
                if late >= STALL && sender.send((last, late)).is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut output = std::io::stdout();
    let mut told: Option<Instant> = None;
    for (at, late) in stalls {
        // Threads see the same one.
        if told.is_none_or(|told| at.saturating_duration_since(told) > STALL) {
            writeln!(output, "{}", late.as_millis())?;
            output.flush()?;
        }
        told = Some(at);
    }
    Ok(())
}
