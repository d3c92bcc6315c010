//! Whether the time in which a tag is refused tells how much of it is right: `tag_timing [SAMPLES]`.
//!
//! In the manner of dudect (Reparaz, Balasch, Verbauwhede: Dude, is my code constant time?, 2017): two classes of inputs in random
//! order, the slowest tenth left out as it is the machine's, and Welch's t of what is left. Beyond 4.5 the two differ. A comparison
//! that ends at the first wrong byte is measured as well, to show that this would be seen.

use holdfast_halt::lockdown::secret::{ClusterSecret, ClusterSecrets};
use holdfast_types::lockdown::{GossipedLockdown, LockdownMessage, Signed};
use holdfast_types::test_util::{CHAIN, Sampler, key_pair};
use holdfast_types::{AuthorityIndex, Era, LockdownTrigger, LockdownVoteBody, TimestampMs};
use std::hint::black_box;
use std::time::Instant;
use std::{env, io};

const SAMPLES: usize = 1_000_000;
/// Beyond it two classes differ.
const T_MAX: f64 = 4.5;

/// A vote whose tag is wrong in one byte.
fn wrong_in(secrets: &ClusterSecrets, byte: usize) -> GossipedLockdown {
    let body = LockdownVoteBody {
        era: Era(1),
        at: TimestampMs(1),
        trigger: LockdownTrigger::Operator,
        reason: b"the roots differ".to_vec(),
    };
    let vote = Signed::sign(body, AuthorityIndex(0), &CHAIN, &key_pair(0));
    let mut gossiped = secrets.tag(&CHAIN, LockdownMessage::Vote(vote), 0);
    gossiped.tag[byte] ^= 1;
    gossiped
}

/// The comparison that is not to be made.
fn ends_early(secrets: &ClusterSecrets, gossiped: &GossipedLockdown) -> bool {
    let expected = secrets.tag(&CHAIN, gossiped.message.clone(), gossiped.repetition);
    for (expected, actual) in expected.tag.iter().zip(&gossiped.tag) {
        if black_box(expected) != black_box(actual) {
            return false;
        }
    }
    true
}

/// Time of each call in ns, by class.
fn measure(
    classes: &[GossipedLockdown; 2],
    samples: usize,
    refuses: impl Fn(&GossipedLockdown) -> bool,
) -> [Vec<f64>; 2] {
    let mut sampler = Sampler::new("tag timing", 0);
    let order: Vec<bool> = (0..samples).map(|_| sampler.below(2) == 1).collect();
    let mut times = [Vec::with_capacity(samples), Vec::with_capacity(samples)];
    for class in order {
        let input = black_box(&classes[usize::from(class)]);
        let started = Instant::now();
        let is_taken = refuses(input);
        let nanos = started.elapsed().as_nanos();
        assert!(!black_box(is_taken), "the tag is wrong");
        times[usize::from(class)].push(nanos as f64);
    }
    times
}

/// Without the slowest tenth of both.
fn cropped(mut times: [Vec<f64>; 2]) -> [Vec<f64>; 2] {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let limit = all[all.len() * 9 / 10];
    for times in &mut times {
        times.retain(|time| *time < limit);
    }
    times
}

fn mean_and_variance(times: &[f64]) -> (f64, f64) {
    let count = times.len() as f64;
    let mean = times.iter().sum::<f64>() / count;
    let squares = times.iter().map(|time| (time - mean).powi(2));
    (mean, squares.sum::<f64>() / (count - 1.0))
}

/// Prints what was found, and returns Welch's t.
fn compare(what: &str, times: [Vec<f64>; 2]) -> f64 {
    let [first, last] = cropped(times);
    let (first_mean, first_variance) = mean_and_variance(&first);
    let (last_mean, last_variance) = mean_and_variance(&last);
    let error = (first_variance / first.len() as f64 + last_variance / last.len() as f64).sqrt();
    let t = ((first_mean - last_mean) / error).abs();
    println!(
        "{what}: first byte wrong {first_mean:.1} ns, last byte wrong {last_mean:.1} ns, t = {t:.2}"
    );
    t
}

fn main() -> io::Result<()> {
    let samples = match env::args().nth(1) {
        None => SAMPLES,
        Some(number) => number
            .parse()
            .map_err(|_| io::Error::other("usage: tag_timing [SAMPLES]"))?,
    };
    let secret =
        ClusterSecret::new(b"a cluster secret of tests, of 40 bytes..").expect("it is long enough");
    let secrets = ClusterSecrets::new(secret, None);
    let classes = [wrong_in(&secrets, 0), wrong_in(&secrets, 31)];
    let verified = measure(&classes, samples, |gossiped| {
        secrets.verify(&CHAIN, gossiped)
    });
    let early = measure(&classes, samples, |gossiped| ends_early(&secrets, gossiped));
    let t = compare("verification", verified);
    let control = compare("one that ends early", early);
    if control <= T_MAX {
        return Err(io::Error::other(
            "too few samples: a comparison that ends early was not seen",
        ));
    }
    if t > T_MAX {
        return Err(io::Error::other(
            "the time tells how much of a tag is right",
        ));
    }
    println!("{samples} samples: no difference to be seen (t below {T_MAX})");
    Ok(())
}
