//! Load balancers in AWS, in an account in memory that keeps AWS's rules: how many calls they cost beside the AWS Load
//! Balancer Controller's, how long many of them take at AWS's rates, and what deciding costs.
//!
//! Time is simulated where it is AWS's. Nothing here needs root, a lab or a cluster.

use std::future::Future;

use daymark_tests::{Result, bail};

use crate::figure::Book;
use crate::stage::Size;
use crate::{aws_calls, aws_planner, aws_storm, progress};

/// Measures all of it.
pub fn run(book: &mut Book, size: Size) -> Result<()> {
    progress("AWS: decisions in memory");
    // First, while this process is small.
    simulated(aws_planner::run(book))?;
    progress("AWS: calls of one load balancer beside others");
    simulated(aws_calls::settled(book))?;
    progress("AWS: calls of all load balancers together");
    let mut counts = vec![1, 100.min(size.together), size.together];
    counts.dedup();
    for count in counts {
        simulated(aws_calls::together(book, count))?;
    }
    progress("AWS: calls to create, change and delete");
    simulated(aws_calls::changes(book))?;
    progress(format_args!("AWS: {} Services at once", size.storm));
    simulated(aws_storm::run(book, size.storm))
}

/// Runs on a thread of its own, whose clock stands still while there is something to do, and jumps otherwise.
fn simulated(work: impl Future<Output = Result<()>> + Send) -> Result<()> {
    let run = || {
        let clock = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
        clock.block_on(work)
    };
    // Made and dropped there: neither may be done among the tasks of another runtime.
    std::thread::scope(|scope| match scope.spawn(run).join() {
        Ok(result) => result,
        Err(_) => bail!("the simulation panicked"),
    })
}
