//! With a quorum and without: which validators may be away, and what then may happen.

use super::World;
use super::faults::MEMBERS_MIN;
use crate::chain::validator_account;
use crate::disk::Loss;
use crate::message::NodeId;
use crate::random::Random;
use holdfast_types::{EraContext, EraKind, Height};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Validators of this many nodes are not a quorum of any committee, though validators join and leave and are jailed.
const NEVER_A_QUORUM: usize = 2;

const fn faulty_max(members: usize) -> usize {
    members.saturating_sub(1) / 3
}

impl World {
    /// The latest era of which an honest node knows.
    fn latest_era(&self) -> Option<Arc<EraContext>> {
        let running = self.honest().filter_map(|node| {
            let running = self.nodes[node].running.as_ref()?;
            Some(Arc::clone(running.chain.era()))
        });
        running.max_by_key(|era| era.era)
    }

    /// Takes more than f validators down and leaves the others as they are. Gives the greatest height that any of those
    /// taken down has attested: no certificate above it can come of what is under way.
    pub fn stop_quorum(&mut self, random: &mut Random) -> Height {
        let members = self.plan.chain.validators;
        let validators = members + self.plan.chain.standby;
        let down_min = if self.plan.chain.standby > 0 {
            validators - NEVER_A_QUORUM
        } else {
            faulty_max(members) + 1
        };
        let down = random.between((down_min as u64, validators as u64));
        let first = random.position(validators);
        let down = (0..down as usize).map(|number| (first + number) % validators);
        let keys: BTreeSet<_> = down
            .filter_map(|node| self.nodes[node].public_key())
            .collect();
        self.count("halts without a quorum");
        let mut attested = Height::ZERO;
        for node in 0..self.nodes.len() {
            let key = self.nodes[node].public_key();
            let Some(key) = key.filter(|key| keys.contains(key)) else {
                continue;
            };
            // A guard that was set back is found out by what others keep of its key. If more than f of them lose it, too, nobody
            // can know: beyond what the sign guard promises.
            let loss = *random.pick(&Loss::ALL);
            let loss = if self.unlucky.is_empty() {
                loss
            } else {
                Loss::Nothing
            };
            self.crash(node, loss);
            let guard = self.nodes[node].disk.guard();
            let guarded = guard.and_then(|guard| guard.newest_attestation());
            attested = attested
                .max(guarded.map_or(Height::ZERO, |last| last.height))
                .max(self.oracle.wire.highest_attested(&key));
        }
        attested
    }

    /// Whether a proof has halted all honest nodes in an era whose honest members are no quorum: a committee that an emergency
    /// left small can have more than f offenders, and then nobody can resume without them.
    #[must_use]
    pub fn is_halted_without_quorum(&self) -> bool {
        let Some(era) = self.latest_era() else {
            return false;
        };
        let is_proven = |node: NodeId| {
            let running = self.nodes[node].running.as_ref();
            running.is_some_and(|running| {
                let state = running.replica.halts().manager().state();
                running.chain.era().era == era.era && !state.hard.is_empty()
            })
        };
        let members = self.honest().filter(|node| {
            let account = validator_account(*node);
            era.committee.authority_of_account(&account).is_some()
        });
        era.kind == EraKind::Dag
            && members.count() < era.committee.quorum()
            && self.honest().all(is_proven)
    }

    /// Ends all faults, but some validators stay down or cut off: so few that the others are a quorum.
    pub fn heal_but_some(&mut self, random: &mut Random) -> Vec<NodeId> {
        self.heal();
        let away = self.choose_away(random);
        for node in &away {
            if random.chance(500) {
                self.crash(*node, *random.pick(&Loss::ALL));
                continue;
            }
            for other in (0..self.nodes.len()).filter(|other| other != node) {
                self.network.set_cut(*node, other, true);
                self.network.set_cut(other, *node, true);
            }
        }
        if !away.is_empty() {
            self.count("quorums healed first");
        }
        away
    }

    fn choose_away(&self, random: &mut Random) -> Vec<NodeId> {
        let Some(era) = self.latest_era() else {
            return Vec::new();
        };
        let validators = self.plan.chain.validators + self.plan.chain.standby;
        let members: Vec<NodeId> = (0..validators)
            .filter(|node| {
                let key = self.nodes[*node].public_key();
                key.is_some_and(|key| era.committee.authority_of_key(&key).is_some())
            })
            .collect();
        // Whose key runs twice may have signed twice, and is punished for it.
        let runs_twice = |node: NodeId| {
            let key = self.nodes[node].public_key();
            let same = self.nodes.iter().filter(|other| other.public_key() == key);
            same.count() > 1
        };
        let is_honest = |node: &&NodeId| self.nodes[**node].is_honest() && !runs_twice(**node);
        let faulty = members.len() - members.iter().filter(is_honest).count();
        // Members that asked to leave are gone in the next era, and so are those that are punished.
        let smallest = if self.plan.chain.standby > 0 {
            members.len().min(MEMBERS_MIN)
        } else {
            members.len()
        };
        let spare = faulty_max(smallest)
            .saturating_sub(faulty)
            .min(faulty_max(smallest.saturating_sub(faulty)));
        // Who lost its disk needs a quorum of others before it signs: it is among those that may be away.
        let mut may: Vec<NodeId> = members.iter().filter(is_honest).copied().collect();
        may.retain(|node| self.unlucky.is_empty() || self.unlucky.contains(node));
        let mut away = Vec::new();
        for _ in 0..spare.min(may.len()) {
            away.push(may.swap_remove(random.position(may.len())));
        }
        away
    }
}
