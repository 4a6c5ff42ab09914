//! A long-running program of the lab, with a log file; it can be killed and started again.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Child;
use tokio::sync::Mutex;

use crate::command::run;
use crate::netns::Netns;

/// A signal that a test sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: stop cleanly.
    Terminate,
    /// SIGKILL: die.
    Kill,
    /// SIGSTOP: freeze.
    Stop,
    /// SIGCONT: thaw.
    Continue,
}

impl Signal {
    /// As `kill` takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "-TERM",
            Self::Kill => "-KILL",
            Self::Stop => "-STOP",
            Self::Continue => "-CONT",
        }
    }
}

/// One program in one namespace. The lab's removal ends it.
#[derive(Debug)]
pub struct Process {
    name: String,
    netns: Netns,
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// A program that is not started yet; its output goes to `<logs>/<name>.log`.
    pub fn new(name: impl Into<String>, netns: &Netns, program: impl Into<PathBuf>, logs: &Path) -> Self {
        let name = name.into();
        let log = logs.join(format!("{name}.log"));
        Self {
            name,
            netns: netns.clone(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            log,
            child: Mutex::new(None),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<S: Into<String>>(mut self, arguments: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn environment(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.push((name.to_owned(), value.into()));
        self
    }

    /// Its name in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace it runs in.
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// The file with its output, of all its runs.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// All that it has written so far.
    pub fn log_text(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub async fn start(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        if let Some(running) = child.as_mut()
            && running.try_wait()?.is_none()
        {
            bail!("{} runs already", self.name);
        }
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("the log {} of {}", self.log.display(), self.name))?;
        let mut command = self.netns.command(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // Its own process group: Ctrl-C at the terminal is for the test process, which then removes the lab.
        command.process_group(0);
        *child = Some(command.spawn().with_context(|| format!("{} does not start", self.name))?);
        Ok(())
    }

    /// Kills it (SIGKILL) and waits until it is gone. One that does not run is well.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub async fn kill(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        if let Some(mut running) = child.take() {
            running.kill().await.with_context(|| format!("{} cannot be killed", self.name))?;
        }
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits until it has ended.
    ///
    /// # Errors
    /// When it does not run, or has not ended before the deadline (it runs on then).
    pub async fn terminate(&self, deadline: Duration) -> Result<ExitStatus> {
        self.signal(Signal::Terminate).await?;
        self.ended(deadline).await
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// When it does not run, or has not ended before the deadline (it runs on then).
    pub async fn ended(&self, deadline: Duration) -> Result<ExitStatus> {
        let mut child = self.child.lock().await;
        let Some(running) = child.as_mut() else { bail!("{} does not run", self.name) };
        let status = tokio::time::timeout(deadline, running.wait()).await;
        let status = status.with_context(|| format!("{} did not end within {deadline:?}", self.name))??;
        *child = None;
        Ok(status)
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().await.with_context(|| format!("{} does not run", self.name))?;
        run("kill", &[signal.name(), &pid.to_string()]).await.map(drop)
    }

    /// Kills it and starts it again.
    ///
    /// # Errors
    /// As [`Process::kill`] and [`Process::start`].
    pub async fn restart(&self) -> Result<()> {
        self.kill().await?;
        self.start().await
    }

    /// Its process number while it runs.
    pub async fn pid(&self) -> Option<u32> {
        let mut child = self.child.lock().await;
        let running = child.as_mut()?;
        matches!(running.try_wait(), Ok(None)).then(|| running.id()).flatten()
    }

    /// Fails with the end of its log when it does not run.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn check_running(&self) -> Result<()> {
        let mut child = self.child.lock().await;
        let Some(running) = child.as_mut() else { bail!("{} does not run", self.name) };
        if let Some(status) = running.try_wait()? {
            bail!("{} has ended ({status}); its log ends with:\n{}", self.name, tail(&self.log, 15));
        }
        Ok(())
    }
}

/// The last lines of a file.
pub fn tail(file: &Path, lines: usize) -> String {
    let bytes = std::fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
