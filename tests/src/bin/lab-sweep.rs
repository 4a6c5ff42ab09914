//! Removes what labs left whose process no longer lives.

use anyhow::Result;
use clap::Parser;
use daymark_tests::sweep::{Kept, sweep};

#[derive(Parser)]
#[command(about = "Removes labs whose test process no longer lives")]
struct Arguments {
    /// Also those that were kept for a look around.
    #[arg(long)]
    kept: bool,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    for lab in sweep(if arguments.kept { Kept::Remove } else { Kept::Leave })? {
        println!("removed lab {lab}");
    }
    Ok(())
}
