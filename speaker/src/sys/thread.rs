//! How soon the kernel lets a thread run.

use std::io;

/// The lowest real-time priority: before everything ordinary, after the kernel's own threads.
const PRIORITY: libc::c_int = 1;

/// Lets the calling thread run before all ordinary ones, whenever it has something to do; threads that it starts are
/// ordinary again.
///
/// # Errors
/// Without CAP_SYS_NICE.
pub fn hurry() -> io::Result<()> {
    // SAFETY: sched_param is a plain C struct of which zero is a valid value.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = PRIORITY;
    let policy = libc::SCHED_RR | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the pointer is to parameters that live during the call; the thread is the calling one.
    let result = unsafe { libc::pthread_setschedparam(libc::pthread_self(), policy, &parameters) };
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}
