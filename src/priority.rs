//! Which threads have the CPU first.

/// Sets the scheduling policy `SCHED_BATCH` (sched(7)) for this thread and those that it starts. An answer of
/// Plausible's, or of the stream's servers, then does not take the CPU away from a worker that is serving on it. The
/// thread's share of the CPU stays the same.
pub fn run_behind_traffic() {
    #[cfg(target_os = "linux")]
    {
        use preempt_rt::sched::{Pid, Scheduler, SchedulerParams, set_scheduler};
        // If the system forbids it, the thread works all the same.
        let normal = SchedulerParams { priority: 0 };
        let _ = set_scheduler(Pid::current_thread(), Scheduler::SCHED_BATCH, normal);
    }
}
