//! The server.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::query::request;
use crate::tools;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A moto server on a free port of the loopback interface. It ends when this is dropped, or this process dies.
///
/// What it keeps is apart for each account: tests that share a server take an account each.
#[derive(Debug)]
pub struct Moto {
    address: SocketAddr,
    _process: Child,
}

impl Moto {
    /// Starts it, and returns when it answers.
    ///
    /// # Errors
    /// When it is not installed, or does not answer within a minute.
    pub async fn start() -> Result<Self> {
        let program = program();
        ensure!(
            program.exists(),
            "{} is not there; run tests/setup/moto.sh (`make tools`)",
            program.display()
        );
        let mut command = Command::new("setpriv");
        // A test that is killed takes its server along.
        command.args(["--pdeathsig", "KILL", "--"]).arg(&program).args(["-H", "127.0.0.1", "-p", "0"]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().with_context(|| format!("{} does not start", program.display()))?;
        let mut lines = BufReader::new(process.stderr.take().context("no output of moto")?);
        let address = timeout(START, listening(&mut lines)).await;
        let address = address.with_context(|| format!("moto did not listen within {START:?}"))??;
        // Whatever it says of each request, a full pipe would stop it.
        tokio::spawn(async move {
            let mut rest = [0; 4096];
            while matches!(lines.read(&mut rest).await, Ok(read) if read > 0) {}
        });
        let moto = Self { address, _process: process };
        timeout(START, moto.reset()).await.context("moto does not answer")??;
        Ok(moto)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forgets everything, of all accounts.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn reset(&self) -> Result<()> {
        request(self.address, "/moto-api/reset", &[], "").await.map(drop)
    }
}

fn program() -> PathBuf {
    tools::project().join("target/tools/moto/bin/moto_server")
}

/// The address in the line that says where it listens.
async fn listening(lines: &mut (impl AsyncBufReadExt + Unpin)) -> Result<SocketAddr> {
    let mut seen = String::new();
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line).await? == 0 {
            bail!("moto ended before it listened; it said:\n{seen}");
        }
        if let Some((_, address)) = line.trim_end().rsplit_once("Running on http://") {
            return address.parse().with_context(|| format!("moto's address `{address}`"));
        }
        seen.push_str(&line);
    }
}
