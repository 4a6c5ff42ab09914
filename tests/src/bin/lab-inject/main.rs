//! Sends Ethernet frames as they are given, again and again at a steady pace.

mod packet;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tokio::time::{Instant, sleep_until};

#[derive(Parser)]
#[command(about = "Sends Ethernet frames as they are given, one after the other, again and again")]
struct Arguments {
    /// The interface.
    #[arg(long)]
    interface: String,
    /// How often all of them are sent; for ever when absent.
    #[arg(long)]
    rounds: Option<u64>,
    /// The time from one frame to the next, in microseconds.
    #[arg(long, default_value_t = 0)]
    pause_us: u64,
    /// The frames, in hexadecimal digits.
    #[arg(required = true)]
    frames: Vec<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let frames: Vec<Vec<u8>> = arguments.frames.iter().map(|text| bytes(text)).collect::<Result<_>>()?;
    let socket = packet::open(&arguments.interface)?;
    let pause = Duration::from_micros(arguments.pause_us);
    let mut due = Instant::now();
    let mut round = 0;
    while arguments.rounds.is_none_or(|rounds| round < rounds) {
        for frame in &frames {
            if !pause.is_zero() {
                // A pause that was missed is not made up for by a burst.
                due = (due + pause).max(Instant::now());
                sleep_until(due).await;
            }
            match socket.send(frame) {
                Ok(_) => {}
                // The link is down: a station does not stop for that.
                Err(error) if error.kind() == std::io::ErrorKind::NetworkDown => {}
                Err(error) => return Err(error).context("a frame cannot be sent"),
            }
        }
        round += 1;
    }
    Ok(())
}

fn bytes(text: &str) -> Result<Vec<u8>> {
    ensure!(text.len().is_multiple_of(2) && text.is_ascii(), "{text:?} is not whole bytes");
    let digits = (0..text.len()).step_by(2);
    digits.map(|at| u8::from_str_radix(&text[at..at + 2], 16).with_context(|| text.to_owned())).collect()
}
