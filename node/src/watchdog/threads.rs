//! What every thread of this process does, as the kernel sees it.

use std::fs;
use std::path::Path;

/// Threads that are described; a node has some twenty.
const THREADS_MAX: usize = 96;

/// One thread.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Thread {
    name: String,
    /// R: on a processor or waiting for one; S: waiting; D: waiting for a device, and not to be disturbed.
    state: char,
    /// The function of the kernel in which it waits; empty if it does not, or if the kernel does not tell.
    waits_in: String,
}

/// All threads, as `core S futex_do_wait, execution D folio_wait_bit_common, …`.
#[must_use]
pub(super) fn in_words() -> String {
    describe(&all(Path::new("/proc/self/task")))
}

fn describe(threads: &[Thread]) -> String {
    if threads.is_empty() {
        return "the kernel does not tell (/proc is not there)".to_owned();
    }
    let words: Vec<_> = threads
        .iter()
        .map(|thread| {
            let Thread {
                name,
                state,
                waits_in,
            } = thread;
            format!("{name} {state} {waits_in}").trim_end().to_owned()
        })
        .collect();
    words.join(", ")
}

fn all(tasks: &Path) -> Vec<Thread> {
    let Ok(entries) = fs::read_dir(tasks) else {
        return Vec::new();
    };
    // A thread may end between two reads.
    let threads = entries.flatten().filter_map(|entry| read(&entry.path()));
    threads.take(THREADS_MAX).collect()
}

fn read(task: &Path) -> Option<Thread> {
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    let waits_in = fs::read_to_string(task.join("wchan")).unwrap_or_default();
    Some(Thread {
        name: name.trim_end().to_owned(),
        state: state_of(&stat)?,
        // "0" is how the kernel says that it does not wait, or that it does not tell.
        waits_in: waits_in.trim().trim_matches('0').to_owned(),
    })
}

/// The name stands in parentheses and may hold any character, so the state follows the last one.
fn state_of(stat: &str) -> Option<char> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.trim_start().chars().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        assert_eq!(state_of("17 (a (b) c) D 1 17"), Some('D'));
        assert_eq!(state_of("17 (core) S 1"), Some('S'));
        assert_eq!(state_of("nonsense"), None);
    }

    #[test]
    fn the_threads_of_this_process_are_described() {
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        // The kernel keeps 15 bytes of a name.
        let name: String = name.chars().take(15).collect();
        let threads = all(Path::new("/proc/self/task"));
        assert!(
            threads.iter().any(|thread| thread.name == name),
            "{threads:?}"
        );
        assert!(in_words().contains(&name));
        assert!(describe(&all(Path::new("/nowhere"))).contains("does not tell"));
    }
}
