//! The frame of a daemon: flags, logs, signals, exit codes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

/// Flags that every daemon has; each also as an environment variable.
#[derive(Debug, Clone, Args)]
pub struct CommonFlags {
    /// The kubeconfig; without it the pod's ServiceAccount is used
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,

    /// The namespace of Daymark's own objects
    #[arg(long, env = "DAYMARK_NAMESPACE", value_name = "NAME", default_value = "daymark-system")]
    pub namespace: String,

    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, env = "DAYMARK_METRICS_ADDRESS", value_name = "IP:PORT", default_value = "[::]:7472")]
    pub metrics_address: SocketAddr,

    /// How log lines are written
    #[arg(long, env = "DAYMARK_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,daymark_bgp=debug
    #[arg(long, env = "DAYMARK_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Wrong usage, as against an error while running.
const USAGE: u8 = 2;

/// Runs a daemon: reads flags, sets up logs and the TLS provider, and calls `body` with a token that SIGTERM and SIGINT
/// cancel (a second one ends the process at once). Exits 0 after a clean stop, 1 on an error, 2 on wrong usage.
pub fn run<F, Fut>(
    common: impl Fn(&F) -> &CommonFlags,
    body: impl FnOnce(F, CancellationToken) -> Fut,
) -> ExitCode
where
    F: Parser,
    Fut: Future<Output = anyhow::Result<()>>,
{
    let flags = match F::try_parse() {
        Ok(flags) => flags,
        Err(error) => {
            // Nothing is to be done when stderr is gone.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    if let Err(error) = init_logs(common(&flags)) {
        eprintln!("--log-level: {error}");
        return ExitCode::from(USAGE);
    }
    crate::client::install_crypto_provider();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "the runtime does not start");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(async {
        let stop = CancellationToken::new();
        stop_on_signals(stop.clone())?;
        body(flags, stop).await
    });
    // What still runs after a stop was asked for is not waited for.
    runtime.shutdown_background();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn init_logs(flags: &CommonFlags) -> Result<(), tracing_subscriber::filter::ParseError> {
    // kube logs each 5xx answer at ERROR by itself, retried or not.
    let filter = EnvFilter::try_new(format!("kube_client=off,{}", flags.log_level))?;
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match flags.log_format {
        LogFormat::Text => logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

fn stop_on_signals(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let first = next().await;
        info!(signal = first, "stopping");
        stop.cancel();
        let second = next().await;
        error!(signal = second, "stopping at once");
        std::process::exit(1);
    });
    Ok(())
}
