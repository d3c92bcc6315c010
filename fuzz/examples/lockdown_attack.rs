//! Attacks the lockdown with so many messages and says what became of them: `lockdown_attack MESSAGES`.

use holdfast_fuzz::attack::{self, Attack, Tallies};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use std::{env, io, thread};

fn main() -> io::Result<()> {
    let messages = env::args().nth(1).and_then(|number| number.parse().ok());
    let Some(messages) = messages else {
        return Err(io::Error::other("usage: lockdown_attack MESSAGES"));
    };
    let batches = attack::batches(messages);
    let next = AtomicU64::new(0);
    let all = Mutex::new(Tallies::default());
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= batches {
                        break;
                    }
                    let tallies = attack::batch(number);
                    attack::add(&mut all.lock().expect("no thread has panicked"), &tallies);
                }
            });
        }
    });
    let all = all.into_inner().expect("no thread has panicked");
    println!(
        "{:10} {:>12} {:>12} {:>12} {:>12} {:>12}",
        "", "sent", "decoded", "tagged", "genuine", "news"
    );
    for (kind, tally) in Attack::ALL.iter().zip(&all) {
        let kind = format!("{kind:?}");
        println!(
            "{kind:10} {:>12} {:>12} {:>12} {:>12} {:>12}",
            tally.sent, tally.decoded, tally.tagged, tally.genuine, tally.news
        );
    }
    let sent: u64 = all.iter().map(|tally| tally.sent).sum();
    println!(
        "{sent} messages in {:.0?}: nothing was taken that its member had not said",
        started.elapsed()
    );
    Ok(())
}
