//! A connection that is kept, with a request on it from time to time.

use std::net::IpAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use daymark_tests::lan::station::Station;
use daymark_tests::{Context, Result, ensure, wait_for};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;

use super::common::SOON;

#[derive(Clone, Debug, Default)]
struct Told {
    answers: u32,
    connections: u32,
    words: Vec<String>,
}

/// A running `curl` that asks ten times per second, on the same connection while that lives.
pub struct Kept {
    _child: Child,
    vip: IpAddr,
    told: Arc<Mutex<Told>>,
}

impl Kept {
    /// Opens the connection.
    pub async fn open(from: &Station, vip: IpAddr) -> Result<Self> {
        let host = if vip.is_ipv4() { vip.to_string() } else { format!("[{vip}]") };
        let mut command = from.netns().command("curl");
        command.args(["-sS", "--rate", "10/s", "--max-time", "30", "--fail-early", "-o", "/dev/null"]);
        command.args(["-w", "%{stderr}%{num_connects}\n", &format!("http://{host}/?[1-1000000]")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("curl does not start")?;
        let mut lines = BufReader::new(child.stderr.take().context("curl has no standard error")?).lines();
        let told = Arc::new(Mutex::new(Told::default()));
        let into = Arc::clone(&told);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut told = into.lock().unwrap_or_else(PoisonError::into_inner);
                match line.parse::<u32>() {
                    Ok(connections) => {
                        told.answers += 1;
                        told.connections += connections;
                    }
                    Err(_) => told.words.push(line),
                }
            }
        });
        let kept = Self { _child: child, vip, told };
        kept.answered_again().await?;
        Ok(kept)
    }

    /// Waits for two more answers; they came on the connection that was opened first.
    pub async fn survived(&self) -> Result<()> {
        self.answered_again().await?;
        let told = self.told();
        ensure!(told.connections == 1, "the connection to {} broke: {told:?}", self.vip);
        Ok(())
    }

    async fn answered_again(&self) -> Result<()> {
        let goal = self.told().answers + 2;
        wait_for(format_args!("answers on a kept connection to {}", self.vip), SOON, async || {
            let told = self.told();
            ensure!(told.answers >= goal, "{told:?}");
            Ok(())
        })
        .await
    }

    fn told(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
