//! One simulation from its seed to its verdict.

use crate::keys::Scheme;
use crate::oracle::Rule;
use crate::profile::Profile;
use crate::random::Random;
use crate::world::World;
use holdfast_types::Height;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// After faults end, this long may pass until all honest nodes have settled, in virtual ms. What a clock has dated ahead
/// counts when that time has come, so that is added.
pub const SETTLE_MS: u64 = 120_000;
/// Blocks that must be certified after faults end.
const SETTLE_BLOCKS: u64 = 20;
/// So soon after that the same halts hold everywhere, in virtual ms.
const ALIKE_MS: u64 = 10_000;
/// No halt that governors order in an emergency is longer, in virtual ms.
pub(crate) const HALT_ORDERED_MS_MAX: u64 = 40_000;
/// How long a halt without a quorum lasts, in virtual ms: twice as long as a node waits until it says that it stalls.
const HALT_MS: u64 = 10_000;
/// The committee that document 002 has.
const LARGE: usize = 21;
/// An emergency of a large committee has long rounds: it takes so many of them from the end of faults to its own.
const ROUNDS_TO_EXIT: u64 = 5;

/// How a simulation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    Pass,
    /// No rule was broken, but after the faults the network did not come back.
    NoProgress {
        what: String,
    },
    /// Something was certified while there was no quorum.
    ProgressWithoutQuorum {
        what: String,
    },
    /// A rule was broken.
    Diverged {
        rule: Rule,
        what: String,
    },
}

/// What a run has beside profile and seed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    pub signatures: Scheme,
    /// Also keep the text of the trace.
    pub keep_lines: bool,
}

/// What came of a seed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub profile: &'static str,
    pub seed: u64,
    pub signatures: &'static str,
    #[serde(flatten)]
    pub verdict: Verdict,
    pub trace: String,
    pub events: u64,
    pub virtual_ms: u64,
    /// From the end of faults until all had settled.
    pub settled_after_ms: u64,
    pub blocks: u64,
    pub transactions: usize,
    pub reached: BTreeMap<&'static str, u64>,
    /// The most that any honest node held of what is bounded (rule O7).
    pub held: BTreeMap<&'static str, usize>,
    #[serde(skip)]
    pub lines: Vec<String>,
}

impl Report {
    /// The command that shows it again.
    #[must_use]
    pub fn replay(&self) -> String {
        format!(
            "cargo run --release -p holdfast-simulation -- replay --profile {} --seed {} --signatures {} --trace",
            self.profile, self.seed, self.signatures
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} seed {}: {} blocks, {} transactions, settled after {} ms, trace {}",
            self.profile,
            self.seed,
            self.blocks,
            self.transactions,
            self.settled_after_ms,
            self.trace
        )?;
        match &self.verdict {
            Verdict::Pass => write!(formatter, ": pass"),
            Verdict::NoProgress { what } => write!(formatter, ": NO PROGRESS: {what}"),
            Verdict::ProgressWithoutQuorum { what } => {
                write!(formatter, ": PROGRESS WITHOUT A QUORUM: {what}")
            }
            Verdict::Diverged { rule, what } => write!(formatter, ": DIVERGED: {rule}: {what}"),
        }?;
        if self.verdict == Verdict::Pass {
            return Ok(());
        }
        write!(formatter, "\n  replay: {}", self.replay())
    }
}

/// Runs one seed of a profile with fast signatures.
#[must_use]
pub fn run(profile: &Profile, seed: u64, keep_lines: bool) -> Report {
    let options = Options {
        keep_lines,
        ..Options::default()
    };
    run_with(profile, seed, options)
}

/// Runs one seed of a profile.
#[must_use]
pub fn run_with(profile: &Profile, seed: u64, options: Options) -> Report {
    let mut random = Random::new(seed);
    let mut plan = profile.plan(&mut random);
    plan.chain.signatures = options.signatures;
    let world_seed = random.number();
    let mut faults = profile.faults(&mut random);
    profile.add_besides(seed, &mut plan, &mut faults);
    let mut world = World::traced(&plan, world_seed, options.keep_lines);
    world.unleash(&faults);
    if plan.chain.validators == LARGE {
        world.count("committees of 21");
    }
    // A broken assertion of the product is a broken rule, with the trace up to it.
    let ended = catch_unwind(AssertUnwindSafe(|| drive(&mut world, profile, &mut random)));
    let (verdict, settled_after_ms) = ended.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned());
        let what = format!("at {} ms the code panicked: {what}", world.now_ms());
        let rule = Rule::Soundness;
        (Verdict::Diverged { rule, what }, 0)
    });
    let punished = world.oracle().punished() as u64;
    let mut reached = world.reached().clone();
    reached.extend((punished > 0).then_some(("offences punished", punished)));
    Report {
        profile: profile.name,
        seed,
        signatures: options.signatures.name(),
        verdict,
        trace: world.trace().to_string(),
        events: world.trace().events(),
        virtual_ms: world.now_ms(),
        settled_after_ms,
        blocks: world.oracle().height().0,
        transactions: world.oracle().transactions().1,
        reached,
        held: world.held.clone(),
        lines: world
            .trace()
            .lines()
            .iter()
            .map(ToString::to_string)
            .collect(),
    }
}

fn drive(world: &mut World, profile: &Profile, random: &mut Random) -> (Verdict, u64) {
    world.run(profile.faults_ms);
    let halts = random.chance(profile.expects.halt_per_mille);
    let core_first = random.chance(profile.expects.core_per_mille);
    let failed = halts.then(|| halt(world, random)).flatten();
    let failed = failed.or_else(|| core_first.then(|| heal_core(world, random)).flatten());
    world.heal();
    let healed_at_ms = world.now_ms();
    if let Some(failed) = failed {
        return (broken(world).unwrap_or(failed), 0);
    }
    let target = world.certified_by_any().plus(SETTLE_BLOCKS);
    let settle_ms = SETTLE_MS + world.ahead_max_ms() + long_rounds_ms(world);
    world.run_until_done(settle_ms, |world| {
        world.is_settled_at(target) || world.is_halted_without_quorum()
    });
    let settled_after_ms = world.now_ms() - healed_at_ms;
    let verdict = if world.is_settled_at(target) {
        alike(world)
    } else if world.is_halted_without_quorum() {
        // Where the quorum is gone there must be no progress.
        world.count("halts that only offenders could end");
        alike(world)
    } else {
        Some(Verdict::NoProgress {
            what: describe(world, target),
        })
    };
    let verdict = broken(world).or(verdict).unwrap_or(Verdict::Pass);
    (verdict, settled_after_ms)
}

fn long_rounds_ms(world: &World) -> u64 {
    let emergency = world.plan.chain.emergency;
    let slot_ms = emergency.map_or(0, |emergency| emergency.interval_ms);
    let is_long = world.plan.chain.validators >= LARGE;
    let slots = if is_long { LARGE as u64 } else { 0 };
    ROUNDS_TO_EXIT * slots * slot_ms
}

/// What holds at one honest node comes to hold at all (rule O11).
fn alike(world: &mut World) -> Option<Verdict> {
    // Who missed a halt takes the next one though it comes too soon for the others (H5), until it ends by itself.
    let halt_ms = if world.plan.chain.emergency.is_some() {
        HALT_ORDERED_MS_MAX
    } else {
        0
    };
    world.run_until_done(ALIKE_MS + halt_ms, |world| world.unlike().is_none());
    world.unlike().map(|what| Verdict::Diverged {
        rule: Rule::Modes,
        what,
    })
}

/// A rule that was broken so far.
fn broken(world: &World) -> Option<Verdict> {
    if let Some(broken) = world.oracle().violation() {
        let what = format!("at {} ms: {}", world.now_ms(), broken.what);
        let rule = broken.rule;
        return Some(Verdict::Diverged { rule, what });
    }
    let node = world.slashed_though_honest()?;
    let what = format!("the honest node {node} is held guilty of an offence");
    let rule = Rule::Slashing;
    Some(Verdict::Diverged { rule, what })
}

/// More than f validators are down: nothing is certified but what one of them had attested.
fn halt(world: &mut World, random: &mut Random) -> Option<Verdict> {
    world.heal();
    let attested = world.stop_quorum(random);
    let highest = world.certified_by_any().max(attested);
    world.run(HALT_MS);
    let certified = world.certified_by_any();
    if certified > highest {
        return Some(Verdict::ProgressWithoutQuorum {
            what: format!("{certified} is certified, and at most {highest} was under way"),
        });
    }
    world.misses_the_stall().map(|node| Verdict::Diverged {
        rule: Rule::Detection,
        what: format!("node {node} does not say that it stalls, {HALT_MS} ms without a quorum"),
    })
}

/// Some validators stay away, so few that the others are a quorum: these have to certify more.
fn heal_core(world: &mut World, random: &mut Random) -> Option<Verdict> {
    let away = world.heal_but_some(random);
    if away.is_empty() {
        return None;
    }
    let target = world.certified_by_any().plus(SETTLE_BLOCKS);
    let settle_ms = SETTLE_MS + world.ahead_max_ms();
    let progressed = world.run_until_done(settle_ms, |world| {
        world.certified_by_all_but(&away) >= target
    });
    (!progressed).then(|| Verdict::NoProgress {
        what: format!("without {away:?}: {}", describe(world, target)),
    })
}

fn describe(world: &World, target: Height) -> String {
    let outstanding = world.oracle().outstanding(world.certified_by_all());
    let standings: Vec<String> = (0..world.size())
        .map(|node| {
            let picture = world.round_picture(node);
            format!("\n  {:?}\n    {picture}", world.standing(node))
        })
        .collect();
    let waiting: Vec<String> = outstanding
        .iter()
        .take(3)
        .map(|id| format!("\n  {}", world.whereabouts(id)))
        .collect();
    format!(
        "certified up to {} of {target}, {} transactions outstanding{}{}",
        world.certified_by_all(),
        outstanding.len(),
        waiting.concat(),
        standings.concat()
    )
}
