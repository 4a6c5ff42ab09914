//! The daemon `daymark-controller`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daymark_kube::daemon::run(|flags: &daymark_controller::Flags| &flags.common, daymark_controller::run)
}
