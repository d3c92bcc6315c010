//! Many seeds of many profiles, on several threads, and the table of what came of them.

use crate::profile::Profile;
use crate::run::{Options, Report, Verdict, run_with};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A seed of a profile that is to run.
pub type Task = (&'static Profile, u64);

/// A report, and how long it took.
pub type Timed = (Report, Duration);

/// Runs the tasks on `jobs` threads. `each` sees the reports in the order of the tasks, whichever thread is done first. A
/// world does not leave its thread.
pub fn run_all(tasks: &[Task], options: Options, jobs: usize, mut each: impl FnMut(Timed)) {
    let next = AtomicUsize::new(0);
    let (sender, reports) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            let sender = sender.clone();
            let next = &next;
            scope.spawn(move || {
                while let Some((position, (profile, seed))) = take(next, tasks) {
                    let started = Instant::now();
                    let report = run_with(profile, seed, options);
                    // Who gets the reports outlives this thread.
                    let _ = sender.send((position, (report, started.elapsed())));
                }
            });
        }
        drop(sender);
        let mut early: BTreeMap<usize, Timed> = BTreeMap::new();
        let mut due = 0;
        for (position, report) in reports {
            early.insert(position, report);
            while let Some(report) = early.remove(&due) {
                due += 1;
                each(report);
            }
        }
    });
}

fn take(next: &AtomicUsize, tasks: &[Task]) -> Option<(usize, Task)> {
    let position = next.fetch_add(1, Ordering::Relaxed);
    tasks.get(position).map(|task| (position, *task))
}

/// What many seeds of one profile came to.
#[must_use]
pub fn summary(profile: &Profile, runs: &[Timed]) -> String {
    let failed = runs
        .iter()
        .filter(|(report, _)| report.verdict != Verdict::Pass);
    let virtual_ms: u64 = runs.iter().map(|(report, _)| report.virtual_ms).sum();
    let wall: Duration = runs.iter().map(|(_, wall)| *wall).sum();
    let mut blocks: Vec<u64> = runs.iter().map(|(report, _)| report.blocks).collect();
    blocks.sort_unstable();
    let mut text = format!(
        "{:<12} {:>6} {:>7} {:>10} {:>7} {:>8}  ",
        profile.name,
        runs.len(),
        failed.count(),
        virtual_ms / 1_000,
        u128::from(virtual_ms) / wall.as_millis().max(1),
        blocks.get(blocks.len() / 2).copied().unwrap_or_default(),
    );
    for (position, what) in profile.reaches.iter().chain(profile.rare).enumerate() {
        let counts = runs
            .iter()
            .filter_map(|(report, _)| report.reached.get(what));
        let (seeds, times) =
            counts.fold((0, 0), |(seeds, times), count| (seeds + 1, times + count));
        let separator = if position == 0 { "" } else { ", " };
        write!(text, "{separator}{what} {times} in {seeds}").expect("text takes text");
    }
    text
}

/// The names of the columns of [`summary`]; the speed is that of one thread.
#[must_use]
pub fn summary_head() -> String {
    format!(
        "{:<12} {:>6} {:>7} {:>10} {:>7} {:>8}  reached: times in seeds",
        "profile", "seeds", "failed", "virtual s", "speed", "blocks"
    )
}
