//! `daymark-speaker`: the daemon on every node.

use std::process::ExitCode;

use daymark_kube::daemon;
use daymark_speaker::{app, flags::Flags};

fn main() -> ExitCode {
    daemon::run(|flags: &Flags| &flags.common, app::run)
}
