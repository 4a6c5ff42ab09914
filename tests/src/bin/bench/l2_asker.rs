//! A client that opens a new connection again and again and writes down when each was answered, and by which pod. It runs as a
//! process of its own in a network namespace and prints one JSON line per request.

use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use daymark_tests::lan::record::Time;
use daymark_tests::netns::Netns;
use daymark_tests::report::Answer;
use daymark_tests::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::{interval, timeout};

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// When it was sent, in nanoseconds since 1970.
    sent: u64,
    /// When it was answered or given up.
    ended: u64,
    /// The pod that answered.
    pub pod: Option<String>,
}

impl Asked {
    /// When it was sent.
    pub fn sent(&self) -> Time {
        Time(self.sent)
    }

    /// When it was answered or given up.
    pub fn ended(&self) -> Time {
        Time(self.ended)
    }
}

/// Asks for ever.
pub async fn serve(target: SocketAddr, pause: Duration, limit: Duration) -> Result<()> {
    let mut ticks = interval(pause);
    loop {
        ticks.tick().await;
        tokio::spawn(async move {
            let sent = Time::now().0;
            let pod = timeout(limit, ask(target)).await.ok().and_then(Result::ok);
            let asked = Asked { sent, ended: Time::now().0, pod };
            if let Ok(line) = serde_json::to_string(&asked) {
                let mut out = std::io::stdout().lock();
                let _ = writeln!(out, "{line}");
            }
        });
    }
}

async fn ask(target: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n").as_bytes()).await?;
    let mut received = Vec::new();
    while stream.read_buf(&mut received).await? > 0 {
        let text = String::from_utf8_lossy(&received);
        // The answer is one line of JSON.
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && body.ends_with('\n')
        {
            return Ok(serde_json::from_str::<Answer>(body)?.pod);
        }
    }
    bail!("the answer is cut off")
}

/// A running one.
pub struct Asker {
    _child: Child,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Asker {
    /// Asks `target` from `netns` once per `pause`; a request has the time `limit`.
    pub fn start(netns: &Netns, target: SocketAddr, pause: Duration, limit: Duration) -> Result<Self> {
        let mut command = netns.command(std::env::current_exe()?);
        command.args(["asker", &target.to_string()]);
        command.args([pause.as_millis().to_string(), limit.as_millis().to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Ok(one) = serde_json::from_str(&line) {
                    into.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            }
        });
        Ok(Self { _child: child, asked })
    }

    /// All requests sent after `since` that have ended, those before are forgotten.
    pub fn since(&self, since: Time) -> Vec<Asked> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|one| one.sent() > since);
        asked.clone()
    }

    /// When the first request sent after `since` was answered by a pod that is wanted.
    pub fn first_answer(&self, since: Time, wanted: impl Fn(&str) -> bool) -> Option<Time> {
        let asked = self.since(since).into_iter().filter(|one| one.pod.as_deref().is_some_and(&wanted));
        asked.map(|one| one.ended()).min()
    }
}
