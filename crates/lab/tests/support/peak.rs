//! How much memory something takes.

#[global_allocator]
static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

/// The most bytes that `work` takes at a time beyond those that are taken before it, and what it returns. Those of the
/// whole process: for a test that is alone in its program.
pub fn peak<T>(work: impl FnOnce() -> T) -> (usize, T) {
    MEMORY.reset_peak_usage();
    let before = MEMORY.peak_usage();
    let done = work();
    (MEMORY.peak_usage() - before, done)
}
