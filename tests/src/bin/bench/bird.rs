//! BIRD's control socket, asked without a program in between, so that a look takes a fraction of a millisecond.

use std::time::Duration;

use daymark_tests::{Context, Lab, Result, bail};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep};

const PAUSE: Duration = Duration::from_millis(2);

/// An open control connection to a router of a lab.
#[derive(Debug)]
pub struct Bird {
    stream: BufReader<UnixStream>,
}

impl Bird {
    /// To the router `name`.
    pub async fn connect(lab: &Lab, name: &str) -> Result<Self> {
        let socket = lab.directory().join(name).join("bird.ctl");
        let stream = UnixStream::connect(&socket).await.with_context(|| socket.display().to_string())?;
        let mut bird = Self { stream: BufReader::new(stream) };
        bird.answer().await?;
        Ok(bird)
    }

    /// The answer to a command.
    pub async fn ask(&mut self, command: &str) -> Result<String> {
        self.stream.get_mut().write_all(format!("{command}\n").as_bytes()).await?;
        self.answer().await
    }

    /// How many IPv4 routes a protocol has brought.
    pub async fn imported(&mut self, protocol: &str) -> Result<u64> {
        let text = self.ask(&format!("show protocols all {protocol}")).await?;
        let routes = text.lines().find_map(|line| line.trim().strip_prefix("Routes:"));
        let count = routes.and_then(|rest| rest.split_whitespace().next());
        // A protocol that is down shows no routes.
        Ok(count.map(str::parse).transpose()?.unwrap_or_default())
    }

    /// Waits until a protocol has brought exactly `count` IPv4 routes.
    pub async fn wait_imported(&mut self, protocol: &str, count: u64, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let found = self.imported(protocol).await?;
            if found == count {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("BIRD holds {found} of {count} routes after {limit:?}");
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until a passive protocol is ready for a new connection after it lost one.
    pub async fn wait_ready(&mut self, protocol: &str, limit: Duration) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let text = self.ask(&format!("show protocols all {protocol}")).await?;
            // A line may begin with the code of its kind: `1006-  BGP state:          Passive`.
            let state =
                text.lines().find_map(|line| Some(line.split_once("BGP state:")?.1)).unwrap_or_default();
            if state.trim() == "Passive" {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("BIRD is not ready for {protocol} after {limit:?}:\n{text}");
            }
            sleep(PAUSE).await;
        }
    }

    /// Reads up to the line that ends an answer: four digits and a space.
    async fn answer(&mut self) -> Result<String> {
        let mut text = String::new();
        loop {
            let begin = text.len();
            if self.stream.read_line(&mut text).await? == 0 {
                bail!("BIRD closed its control socket after: {text}");
            }
            let line = &text.as_bytes()[begin..];
            if let [a, b, c, d, b' ', ..] = line
                && [a, b, c, d].iter().all(|digit| digit.is_ascii_digit())
            {
                return Ok(text);
            }
        }
    }
}
