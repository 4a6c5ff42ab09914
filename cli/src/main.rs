//! The command-line tool `daymark`.

use std::process::ExitCode;

fn main() -> ExitCode {
    daymark::run()
}
