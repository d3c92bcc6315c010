//! Runs simulations from the command line.

use clap::{Parser, Subcommand};
use holdfast_simulation::network::Latency;
use holdfast_simulation::random::Random;
use holdfast_simulation::{PROFILES, Profile, Report, Verdict, World, run};
use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
        /// Show everything that happens.
        #[arg(long)]
        trace: bool,
    },
    /// How fast a network of this size on links of 50 to 100 ms is simulated, at full round rate.
    Speed {
        #[arg(long, default_value_t = 4)]
        validators: usize,
        /// Virtual seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Show the profiles.
    List,
}

fn profile(name: &str) -> Result<&'static Profile, String> {
    Profile::named(name).ok_or_else(|| "no such profile; see holdfast-sim list".to_owned())
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
            json,
        } => run_many(profile, &seeds, json),
        Command::Replay {
            profile,
            seed,
            trace,
        } => {
            let report = run(profile, seed, trace);
            for line in &report.lines {
                println!("{line}");
            }
            println!("{report}");
            for (what, count) in &report.reached {
                println!("  {count:>8} {what}");
            }
            code(report.verdict == Verdict::Pass)
        }
        Command::Speed {
            validators,
            seconds,
        } => speed(validators, seconds),
        Command::List => {
            for profile in &PROFILES {
                println!("{:<10} {}", profile.name, profile.about);
            }
            ExitCode::SUCCESS
        }
    }
}

fn run_many(only: Option<&'static Profile>, seeds: &Range<u64>, json: bool) -> ExitCode {
    let started = Instant::now();
    let mut virtual_ms = 0;
    let mut failed = 0_u64;
    let mut count = 0_u64;
    let chosen = PROFILES
        .iter()
        .filter(|profile| only.is_none_or(|only| only.name == profile.name));
    for profile in chosen {
        for seed in seeds.clone() {
            let report = run(profile, seed, false);
            virtual_ms += report.virtual_ms;
            count += 1;
            failed += u64::from(report.verdict != Verdict::Pass);
            print(&report, json);
        }
    }
    let wall_ms = started.elapsed().as_millis().max(1);
    eprintln!(
        "{count} seeds, {failed} failed, {} virtual s in {}.{:03} s: {} times real time",
        virtual_ms / 1000,
        wall_ms / 1000,
        wall_ms % 1000,
        u128::from(virtual_ms) / wall_ms
    );
    code(failed == 0)
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
    println!(
        "{validators} validators: {} blocks and {} transactions in {seconds} virtual s, {} times real time",
        world.oracle().height(),
        world.oracle().transactions().1,
        u128::from(seconds) * 1000 / wall_ms
    );
    code(world.oracle().violation().is_none())
}

fn print(report: &Report, json: bool) {
    if json {
        let line = serde_json::to_string(report).expect("a report has a JSON form");
        println!("{line}");
    } else if report.verdict != Verdict::Pass {
        println!("{report}");
    }
}

const fn code(success: bool) -> ExitCode {
    if success {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
