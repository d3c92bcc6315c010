//! Long runs: hours in which no emergency may begin, and one emergency after the other.
//!
//! Hours are simulated with idle rounds of a minute where real chains have those of a second. So a chain gets on by 60 commits
//! in the time after which an emergency begins, not by 3,600, and what delays some commits counts for more.

use crate::chain::{ChainPlan, EmergencyPlan};
use crate::disk::Loss;
use crate::keys::Scheme;
use crate::network::{Distance, Latency, Links};
use crate::random::Random;
use crate::world::{Plan, World};
use std::ops::AddAssign;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const VALIDATORS: usize = 4;
/// The follower, which has the emergency key.
const MASTER: usize = VALIDATORS;
/// One network runs no longer, as it keeps all of its blocks.
pub const NETWORK_HOURS_MAX: u64 = 100;
/// A quorum that is there commits at least so often in an hour.
const BLOCKS_PER_HOUR_MIN: u64 = 20;

/// What the hours are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hours {
    Healthy,
    /// A message takes up to 20 s.
    Slow,
    /// Nodes die alone and all at once, and are down for up to ten minutes.
    Restarting,
    /// A validator or a master sleeps for longer than the timeout, wakes up, and catches up.
    Syncing,
}

impl Hours {
    pub const ALL: [Self; 4] = [Self::Healthy, Self::Slow, Self::Restarting, Self::Syncing];
}

/// What came of long runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Endured {
    pub hours: u64,
    pub blocks: u64,
    /// Deaths of nodes.
    pub crashes: u64,
    /// Ranges of blocks with which nodes caught up.
    pub ranges: u64,
}

impl AddAssign for Endured {
    fn add_assign(&mut self, other: Self) {
        self.hours += other.hours;
        self.blocks += other.blocks;
        self.crashes += other.crashes;
        self.ranges += other.ranges;
    }
}

const LINKS: Links = Links {
    latency: Latency::Uniform(1, 100),
    distance: Distance::Random(0),
    loss_per_mille: 10,
    duplicate_per_mille: 10,
    corrupt_per_mille: 0,
    slow_uplinks: None,
};

fn plan(emergency: EmergencyPlan) -> Plan {
    Plan {
        chain: ChainPlan {
            validators: VALIDATORS,
            standby: 0,
            clients: 2,
            epoch_ms: 24 * HOUR_MS,
            gc_depth: 20,
            leader_timeout_ms: 1_000,
            one_dissenter_halts: false,
            emergency: Some(emergency),
            vote_age_ms: None,
            idle_ms: None,
            signatures: Scheme::Fast,
        },
        followers: 1,
        twins: 0,
        masters: 1,
        links: LINKS,
        verification_ms: (0, 30),
        execution_ms: (1, 20),
        client_pause_ms: Some((200, 3_000)),
        look_ms: crate::LOOK_MS,
    }
}

fn plan_of_hours(hours: Hours) -> Plan {
    let mut plan = plan(EmergencyPlan {
        timeout_ms: HOUR_MS,
        // As many idle rounds, and looks at others, as a slot has on real chains.
        interval_ms: 3 * MINUTE_MS,
    });
    plan.chain.idle_ms = Some(MINUTE_MS);
    plan.client_pause_ms = Some((10 * MINUTE_MS, 30 * MINUTE_MS));
    plan.look_ms = MINUTE_MS;
    // A validator, too.
    plan.masters = 2;
    if hours == Hours::Slow {
        plan.chain.leader_timeout_ms = MINUTE_MS;
        plan.links.latency = Latency::Uniform(500, 20_000);
        plan.links.loss_per_mille = 50;
    }
    plan
}

/// Lets a network pass so many hours. An error if an emergency began, a rule was broken, or the chain did not get on.
pub fn without_emergency(hours: Hours, count: u64, seed: u64) -> Result<Endured, String> {
    let mut random = Random::new(seed);
    let mut world = World::new(&plan_of_hours(hours), random.number());
    match hours {
        Hours::Healthy | Hours::Slow => world.run(count * HOUR_MS),
        Hours::Restarting => restart(&mut world, count, &mut random),
        Hours::Syncing => sleep_in_turn(&mut world, count, &mut random),
    }
    judge(&world, hours, count, seed)
}

/// Nodes die, one of them or all at once, and come back one after the other, any of them first.
fn restart(world: &mut World, count: u64, random: &mut Random) {
    let end_ms = count * HOUR_MS;
    while world.now_ms() < end_ms && world.oracle().violation().is_none() {
        let one = random.position(world.size());
        let mut dies: Vec<_> = if random.chance(200) {
            (0..world.size()).collect()
        } else {
            vec![one]
        };
        let last = random.position(dies.len());
        dies.rotate_left(last);
        for &node in &dies {
            world.crash(node, *random.pick(&Loss::ALL));
        }
        world.run(random.between((1_000, 10 * MINUTE_MS)));
        for node in dies {
            world.start(node);
            world.run(random.between((0, 1_000)));
        }
        let up_ms = random.between((MINUTE_MS, HOUR_MS));
        world.run(up_ms.min(end_ms.saturating_sub(world.now_ms())));
    }
}

/// One node at a time sleeps for hours.
fn sleep_in_turn(world: &mut World, count: u64, random: &mut Random) {
    let end_ms = count * HOUR_MS;
    while world.now_ms() < end_ms {
        let node = *random.pick(&[MASTER, MASTER - 1, 0]);
        world.crash(node, *random.pick(&Loss::ALL));
        let asleep_ms = random.between((HOUR_MS / 2, 5 * HOUR_MS));
        world.run(asleep_ms.min(end_ms - world.now_ms()));
        world.start(node);
        let awake_ms = random.between((MINUTE_MS, HOUR_MS / 2));
        world.run(awake_ms.min(end_ms - world.now_ms()));
        if world.oracle().violation().is_some() {
            return;
        }
    }
}

fn judge(world: &World, hours: Hours, count: u64, seed: u64) -> Result<Endured, String> {
    let reached = |what: &str| world.reached().get(what).copied().unwrap_or_default();
    let blocks = world.oracle().height().0;
    let made = reached("emergency blocks made");
    let endured = Endured {
        hours: count,
        blocks,
        crashes: reached("crashes"),
        ranges: reached("ranges synced"),
    };
    let network = format!("{hours:?} hours, seed {seed}, at {} ms", world.now_ms());
    if let Some(violation) = world.oracle().violation() {
        return Err(format!("{network}: {violation}"));
    }
    if made > 0 {
        return Err(format!("{network}: {made} emergency blocks"));
    }
    if blocks < count * BLOCKS_PER_HOUR_MIN {
        return Err(format!("{network}: {blocks} blocks only"));
    }
    Ok(endured)
}

/// Takes the quorum away and gives it back, again and again, in one network. The eras that there were in the end.
pub fn cycles(count: u64, seed: u64) -> Result<u64, String> {
    const MADE_BY_MS: u64 = 60_000;
    const ENDED_BY_MS: u64 = 120_000;
    const BLOCKS: u64 = 10;
    let mut random = Random::new(seed);
    let mut world = World::new(
        &plan(EmergencyPlan {
            timeout_ms: 15_000,
            interval_ms: 1_000,
        }),
        random.number(),
    );
    world.run(5_000);
    for cycle in 1..=count {
        let at = |world: &World, what: &str| {
            let standings = (0..world.size()).map(|node| world.standing(node));
            let standings: Vec<_> = standings.collect();
            let broken = world.oracle().violation();
            format!("cycle {cycle} of seed {seed}: {what}: {broken:?} {standings:?}")
        };
        let before = world.standing(MASTER).map(|standing| standing.era);
        let first = random.position(VALIDATORS);
        let away = [first, (first + 1) % VALIDATORS];
        for node in away {
            world.crash(node, *random.pick(&Loss::ALL));
        }
        if !world.run_until_done(MADE_BY_MS, |world| world.is_in_emergency(MASTER)) {
            return Err(at(&world, "no emergency has begun"));
        }
        world.run(random.between((1_000, 20_000)));
        for node in away {
            world.start(node);
            world.run(random.between((0, 5_000)));
        }
        let goal = world.certified_by_any().plus(BLOCKS);
        let is_over = |world: &World| {
            let mut nodes = 0..world.size();
            let ended = nodes.all(|node| !world.is_in_emergency(node));
            ended && world.certified_by_all() >= goal
        };
        if !world.run_until_done(ENDED_BY_MS, is_over) {
            return Err(at(&world, "the emergency did not end"));
        }
        let after = world.standing(MASTER).map(|standing| standing.era);
        if after <= before.map(|era| era.next()) {
            return Err(at(&world, "there was no era of an emergency"));
        }
    }
    let height = world.certified_by_all();
    let era = world.standing(MASTER).map(|standing| standing.era.0);
    if !world.oracle().outstanding(height).is_empty()
        && !world.run_until_done(ENDED_BY_MS, |world| world.is_settled_at(height))
    {
        return Err(format!(
            "seed {seed}: a promised transaction did not take effect"
        ));
    }
    Ok(era.unwrap_or_default())
}
