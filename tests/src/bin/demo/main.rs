//! `make demo`: Daymark at work in a lab on this machine, shown step by step to a person.

mod look;
mod scenery;
mod stage;
mod story;

use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use clap::Parser;
use daymark_tests::{Context, Error, Lab, Result, ensure, tools};

use crate::scenery::NAME;
use crate::stage::{LAB_START, Stage};

#[derive(Parser)]
#[command(
    name = "demo",
    about = "Shows Daymark at work in a lab on this machine (as root)",
    after_help = "KEEP=1 in the environment leaves the lab up and prints how to look around."
)]
struct Arguments {}

#[tokio::main]
async fn main() -> ExitCode {
    Arguments::parse();
    let mut stage = Stage::new(story::steps());
    match play(&mut stage).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&stage, &error);
            ExitCode::FAILURE
        }
    }
}

async fn play(stage: &mut Stage) -> Result<()> {
    check()?;
    stage.say(scenery::PICTURE);
    stage.step("A control plane, three nodes, two routers and a client");
    let lab = stage.live(|| LAB_START.to_owned(), scenery::lab().start()).await?;
    story::tell(stage, &lab).await?;
    if look::is_kept() {
        look::print(stage, &lab)?;
    }
    end(stage, lab).await
}

/// What `make demo` sees to, for those who start the program by hand.
fn check() -> Result<()> {
    let owner = std::fs::metadata("/proc/self").context("/proc is not mounted")?.uid();
    ensure!(owner == 0, "the lab needs root, because it makes network namespaces: run `sudo make demo`");
    let folder = tools::binaries()?;
    for program in ["daymark-controller", "daymark-speaker", "lab-backend", "lab-load"] {
        let path = folder.join(program);
        ensure!(path.exists(), "{} is not built: run `make demo`", path.display());
    }
    tools::check()
}

async fn end(stage: &Stage, lab: Lab) -> Result<()> {
    lab.finish().await.context("the lab is not removed")?;
    stage.end(if look::is_kept() { "the lab stays up" } else { "the lab is removed" });
    Ok(())
}

fn report(stage: &Stage, error: &Error) {
    stage.failed(&format!("{error:#}"));
    let saved = tools::project().join("target/lab-logs").join(NAME);
    let changed = saved.metadata().and_then(|folder| folder.modified());
    if changed.is_ok_and(|changed| changed >= stage.begin()) {
        let folder = saved.display();
        eprintln!("logs: {folder}/ (Daymark's are controller-a.log and speaker-n1.log to speaker-n3.log)");
    }
}
