//! Giving memory back that only the start needed.

/// Gives the free pages of the heap back to the system; the allocator keeps them otherwise.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it returns pages to the system in which nothing is allocated.
    unsafe {
        libc::malloc_trim(0);
    }
}
