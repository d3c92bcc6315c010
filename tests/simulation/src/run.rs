//! One simulation from its seed to its verdict.

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
const SETTLE_MS: u64 = 120_000;
/// Blocks that must be certified after faults end.
const SETTLE_BLOCKS: u64 = 20;

/// How a simulation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum Verdict {
    Pass,
    /// No rule was broken, but after the faults the network did not come back.
    NoProgress {
        what: String,
    },
    /// A rule was broken.
    Diverged {
        what: String,
    },
}

/// What came of a seed.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub profile: &'static str,
    pub seed: u64,
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
    #[serde(skip)]
    pub lines: Vec<String>,
}

impl Report {
    /// The command that shows it again.
    #[must_use]
    pub fn replay(&self) -> String {
        format!(
            "cargo run --release -p holdfast-simulation -- replay --profile {} --seed {} --trace",
            self.profile, self.seed
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
            Verdict::Diverged { what } => write!(formatter, ": DIVERGED: {what}"),
        }?;
        if self.verdict == Verdict::Pass {
            return Ok(());
        }
        write!(formatter, "\n  replay: {}", self.replay())
    }
}

/// Runs one seed of a profile.
#[must_use]
pub fn run(profile: &Profile, seed: u64, keep_lines: bool) -> Report {
    let mut random = Random::new(seed);
    let plan = profile.plan(&mut random);
    let mut world = World::traced(&plan, random.number(), keep_lines);
    let faults = profile.faults(&mut random);
    world.unleash(&faults);
    // A broken assertion of the product is a broken rule, with the trace up to it.
    let ended = catch_unwind(AssertUnwindSafe(|| drive(&mut world, profile)));
    let (verdict, settled_after_ms) = ended.unwrap_or_else(|panic| {
        let what = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned());
        let what = format!("at {} ms the code panicked: {what}", world.now_ms());
        (Verdict::Diverged { what }, 0)
    });
    Report {
        profile: profile.name,
        seed,
        verdict,
        trace: world.trace().to_string(),
        events: world.trace().events(),
        virtual_ms: world.now_ms(),
        settled_after_ms,
        blocks: world.oracle().height().0,
        transactions: world.oracle().transactions().1,
        reached: world.reached().clone(),
        lines: world.trace().lines().to_vec(),
    }
}

fn drive(world: &mut World, profile: &Profile) -> (Verdict, u64) {
    world.run(profile.faults_ms);
    world.heal();
    let healed_at_ms = world.now_ms();
    let target = world.certified_by_any().plus(SETTLE_BLOCKS);
    let settle_ms = SETTLE_MS + world.ahead_max_ms();
    let settled = world.run_until_done(settle_ms, |world| world.is_settled_at(target));
    let after_ms = world.now_ms() - healed_at_ms;
    let verdict = if let Some(what) = world.oracle().violation() {
        let what = format!("at {} ms: {what}", world.now_ms());
        Verdict::Diverged { what }
    } else if let Some(node) = world.slashed_though_honest() {
        let what = format!("the honest node {node} is held guilty of an offence");
        Verdict::Diverged { what }
    } else if settled {
        Verdict::Pass
    } else {
        Verdict::NoProgress {
            what: describe(world, target),
        }
    };
    (verdict, after_ms)
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
