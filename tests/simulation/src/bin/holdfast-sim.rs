//! Runs simulations from the command line.

use clap::{Parser, Subcommand};
use holdfast_simulation::campaign::{Task, Timed, run_all, summary, summary_head};
use holdfast_simulation::disk::Loss;
use holdfast_simulation::endurance::{
    Endured, Hours, NETWORK_HOURS_MAX, cycles, without_emergency,
};
use holdfast_simulation::keys::Scheme;
use holdfast_simulation::network::Latency;
use holdfast_simulation::network::regions::{REGIONS, reaches_ms};
use holdfast_simulation::random::Random;
use holdfast_simulation::{Options, PROFILES, Profile, Report, Verdict, World, run_with, script};
use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Prints a line of what was asked for.
macro_rules! say {
    ($($arguments:tt)*) => {
        print_line(format_args!($($arguments)*))
    };
}

/// A reader that has gone away, such as `head`, has seen enough.
fn print_line(line: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(io::stdout(), "{line}") {
        let is_fault = error.kind() != io::ErrorKind::BrokenPipe;
        std::process::exit(i32::from(is_fault));
    }
}

/// Networks of the node's consensus code in virtual time.
#[derive(Debug, Parser)]
#[command(name = "holdfast-sim")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run many seeds.
    Run {
        /// One profile; all if it is left out.
        #[arg(long, value_parser = profile)]
        profile: Option<&'static Profile>,
        /// Seeds from..to, the last one left out.
        #[arg(long, value_parser = seeds, default_value = "0..10")]
        seeds: Range<u64>,
        #[arg(long, value_parser = scheme, default_value = "fast")]
        signatures: Scheme,
        /// Threads.
        #[arg(long, default_value_t = 1)]
        jobs: usize,
        /// One JSON object per line.
        #[arg(long)]
        json: bool,
    },
    /// Run one seed again.
    Replay {
        #[arg(long, value_parser = profile)]
        profile: &'static Profile,
        #[arg(long)]
        seed: u64,
        #[arg(long, value_parser = scheme, default_value = "fast")]
        signatures: Scheme,
        /// Show everything that happens.
        #[arg(long)]
        trace: bool,
    },
    /// Play a script and show what it gives; see the documentation of the module `script`.
    Script { file: PathBuf },
    /// How fast a network of this size on links of 50 to 100 ms is simulated, at full round rate.
    Speed {
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Virtual seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// How long commits and certificates take between ten regions of the world, and what is sent for them.
    Latency {
        #[arg(long, default_value_t = 128)]
        validators: usize,
        /// Validators that are down, spread over the regions.
        #[arg(long, default_value_t = 0)]
        crashed: usize,
        /// Virtual seconds, after 5 to warm up.
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Long runs: hours in which no emergency may begin, or emergencies one after the other.
    Endure {
        /// Hours of networks that are healthy, slow, restarting and catching up, in equal parts.
        #[arg(long, default_value_t = 0)]
        hours: u64,
        /// Stalls and returns of one network.
        #[arg(long, default_value_t = 0)]
        cycles: u64,
        #[arg(long, default_value_t = 0)]
        seed: u64,
    },
    /// Show the profiles.
    List,
}

fn profile(name: &str) -> Result<&'static Profile, String> {
    Profile::named(name).ok_or_else(|| "no such profile; see holdfast-sim list".to_owned())
}

fn scheme(name: &str) -> Result<Scheme, String> {
    Scheme::named(name).ok_or_else(|| "fast or real".to_owned())
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let (from, to) = text.split_once("..").ok_or("say from..to, like 0..100")?;
    let number = |text: &str| text.parse().map_err(|error| format!("{text:?}: {error}"));
    Ok(number(from)?..number(to)?)
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run {
            profile,
            seeds,
            signatures,
            jobs,
            json,
        } => {
            let options = Options {
                signatures,
                ..Options::default()
            };
            run_many(profile, &seeds, options, jobs, json)
        }
        Command::Replay {
            profile,
            seed,
            signatures,
            trace,
        } => {
            let options = Options {
                signatures,
                keep_lines: trace,
            };
            let report = run_with(profile, seed, options);
            for line in &report.lines {
                say!("{line}");
            }
            say!("{report}");
            for (what, count) in &report.reached {
                say!("  {count:>8} {what}");
            }
            code(report.verdict == Verdict::Pass)
        }
        Command::Script { file } => play_script(&file),
        Command::Speed {
            validators,
            seconds,
        } => speed(validators, seconds),
        Command::Latency {
            validators,
            crashed,
            seconds,
            json,
        } => latency(validators, crashed, seconds, json),
        Command::Endure {
            hours,
            cycles,
            seed,
        } => code(endure(hours, seed) & endure_cycles(cycles, seed)),
        Command::List => {
            for profile in &PROFILES {
                say!("{:<12} {}", profile.name, profile.about);
            }
            ExitCode::SUCCESS
        }
    }
}

/// So many seeds of a profile are enough to reach everything that it is for.
const SEEDS_THAT_REACH_ALL: usize = 20;
/// So many to reach what is rare.
const SEEDS_THAT_REACH_RARE: usize = 400;

fn run_many(
    only: Option<&'static Profile>,
    seeds: &Range<u64>,
    options: Options,
    jobs: usize,
    json: bool,
) -> ExitCode {
    let started = Instant::now();
    let chosen: Vec<&'static Profile> = PROFILES
        .iter()
        .filter(|profile| only.is_none_or(|only| only.name == profile.name))
        .collect();
    let tasks: Vec<Task> = chosen
        .iter()
        .flat_map(|profile| seeds.clone().map(|seed| (*profile, seed)))
        .collect();
    let mut runs: Vec<Timed> = Vec::new();
    run_all(&tasks, options, jobs, |run| {
        print(&run.0, json);
        runs.push(run);
    });
    let failed = runs
        .iter()
        .filter(|(report, _)| report.verdict != Verdict::Pass);
    let failed = failed.count();
    eprintln!("{}", summary_head());
    let mut reached_all = true;
    for profile in chosen {
        let of_profile = runs.extract_if(.., |(report, _)| report.profile == profile.name);
        let of_profile: Vec<Timed> = of_profile.collect();
        eprintln!("{}", summary(profile, &of_profile));
        reached_all &= reaches_all(profile, &of_profile);
    }
    let wall_ms = started.elapsed().as_millis().max(1);
    eprintln!(
        "{} seeds, {failed} failed, in {}.{:03} s",
        tasks.len(),
        wall_ms / 1000,
        wall_ms % 1000,
    );
    code(failed == 0 && reached_all)
}

fn reaches_all(profile: &Profile, runs: &[Timed]) -> bool {
    let reports: Vec<Report> = runs.iter().map(|(report, _)| report.clone()).collect();
    let mut unreached = profile.unreached(&reports);
    if reports.len() >= SEEDS_THAT_REACH_RARE {
        unreached.extend(profile.unreached_rare(&reports));
    }
    let is_enough = reports.len() >= SEEDS_THAT_REACH_ALL;
    if is_enough && !unreached.is_empty() {
        eprintln!("{}: never reached {}", profile.name, unreached.join(", "));
    }
    !is_enough || unreached.is_empty()
}

fn play_script(file: &Path) -> ExitCode {
    let played = fs::read_to_string(file)
        .map_err(|error| format!("{}: {error}", file.display()))
        .and_then(|text| {
            script::play(&file.to_string_lossy(), &text).map_err(|error| error.to_string())
        });
    match played {
        Ok(played) => print!("{played}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn speed(validators: usize, seconds: u64) -> ExitCode {
    let mut plan = PROFILES[0].plan(&mut Random::new(0));
    plan.chain.validators = validators;
    plan.followers = 0;
    plan.links.latency = Latency::Uniform(50, 100);
    // So often that the DAG never idles.
    plan.client_pause_ms = Some((100, 300));
    let mut world = World::new(&plan, 0);
    let started = Instant::now();
    world.run(seconds * 1000);
    let wall_ms = started.elapsed().as_millis().max(1);
    say!(
        "{validators} validators: {} blocks and {} transactions in {seconds} virtual s, {} times real time",
        world.oracle().height(),
        world.oracle().transactions().1,
        u128::from(seconds) * 1000 / wall_ms
    );
    code(world.oracle().violation().is_none())
}

fn latency(validators: usize, crashed: usize, seconds: u64, json: bool) -> ExitCode {
    const WARM_UP_MS: u64 = 5_000;
    let world_wide = Profile::named("committee128").expect("the profile exists");
    let mut plan = world_wide.plan(&mut Random::new(0));
    plan.chain.validators = validators;
    plan.execution_ms = (1, 5);
    plan.client_pause_ms = Some((100, 300));
    let mut world = World::new(&plan, 0);
    // Neighbours in number are in other regions.
    for node in validators - crashed..validators {
        world.crash(node, Loss::Nothing);
    }
    world.run(WARM_UP_MS);
    world.stopwatch().start();
    let height = world.certified_by_any().0;
    world.run(seconds * 1_000);
    let blocks = world.certified_by_any().0 - height;
    let quorum = validators - (validators - 1) / 3;
    let mut reach: Vec<u64> = (0..validators)
        .map(|node| reaches_ms(node, quorum, validators))
        .collect();
    reach.sort_unstable();
    let watch = world.stopwatch();
    let (commits, certificates) = (watch.commits(), watch.certificates());
    let sent_kb = watch.sent_bytes_max() / 1_000 / seconds;
    let three_delays_ms = 3 * reach[reach.len() / 2];
    if json {
        let line = serde_json::json!({
            "validators": validators, "crashed": crashed, "seconds": seconds, "blocks": blocks,
            "commit": commits, "certificate": certificates,
            "three_delays_of_a_quorum_ms": three_delays_ms, "sent_kb_per_s_max": sent_kb,
        });
        say!("{line}");
    } else {
        say!(
            "{validators} validators in {} regions, {crashed} down: {blocks} blocks in {seconds} virtual s",
            REGIONS.len()
        );
        say!("  from the leader's vertex to     p50      p99");
        say!(
            "  its commit                 {:>5} ms {:>5} ms",
            commits.p50_ms,
            commits.p99_ms
        );
        say!(
            "  its block's certificate    {:>5} ms {:>5} ms",
            certificates.p50_ms,
            certificates.p99_ms
        );
        say!("  for scale, three times the way to a quorum: {three_delays_ms} ms");
        say!("  sent by the busiest validator, every vertex to every peer: {sent_kb} kB/s");
    }
    code(world.oracle().violation().is_none())
}

/// Each kind of network for a part of the hours; false if an emergency began.
fn endure(hours: u64, seed: u64) -> bool {
    let mut good = true;
    for kind in Hours::ALL {
        let started = Instant::now();
        let mut all = Endured::default();
        let mut left = hours / Hours::ALL.len() as u64;
        let mut number = seed;
        while left > 0 {
            let count = left.min(NETWORK_HOURS_MAX);
            match without_emergency(kind, count, number) {
                Ok(endured) => all += endured,
                Err(wrong) => {
                    say!("{wrong}");
                    good = false;
                }
            }
            left -= count;
            number += 1;
        }
        let seconds = started.elapsed().as_secs();
        say!("{kind:?}: {all:?} in {seconds} s");
    }
    good
}

fn endure_cycles(count: u64, seed: u64) -> bool {
    if count == 0 {
        return true;
    }
    let started = Instant::now();
    let ended = cycles(count, seed);
    let seconds = started.elapsed().as_secs();
    say!("{count} stalls and returns, eras: {ended:?}, in {seconds} s");
    ended.is_ok()
}

fn print(report: &Report, json: bool) {
    if json {
        let line = serde_json::to_string(report).expect("a report has a JSON form");
        say!("{line}");
    } else if report.verdict != Verdict::Pass {
        say!("{report}");
    }
}

const fn code(success: bool) -> ExitCode {
    if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
