//! Validators that see an anomaly vote to lock the chain, and later to let it go on (document 000).

use super::{Event, FaultEvent, World};
use crate::message::{Envelope, Gossip, NodeId};
use holdfast_halt::lockdown::LockdownPhase;
use holdfast_replica::admission::{self, Judgement};
use holdfast_replica::{Input, Locking};
use holdfast_types::lockdown::GossipedLockdown;
use holdfast_types::{LockdownMessage, LockdownTrigger};

/// What operators do.
#[derive(Clone, Copy, Debug)]
pub struct Voters {
    /// Between two anomalies.
    pub pause_ms: (u64, u64),
    /// Of a thousand anomalies so many are seen by everybody, the others by some.
    pub all_per_mille: u64,
    /// Between two looks at a locked chain.
    pub look_ms: (u64, u64),
}

impl World {
    /// Validators vote to lock the chain: all that are up, or some.
    pub(super) fn anomaly(&mut self, voters: Voters) {
        let all = self.random.chance(voters.all_per_mille);
        for node in self.voters() {
            if all || self.random.chance(500) {
                self.count("votes to lock");
                self.step(
                    node,
                    Input::Locking(Locking::VoteToLock {
                        trigger: LockdownTrigger::Operator,
                        reason: b"an anomaly".to_vec(),
                    }),
                );
            }
        }
        self.schedule_fault(voters.pause_ms, FaultEvent::Anomaly(voters));
    }

    /// Operators of locked validators vote to go on, now and then, whatever else happens.
    pub(super) fn consult(&mut self, voters: Voters) {
        for node in self.voters() {
            let phase = self.lockdown_phase(node);
            let votes = self.faults_are_over() || self.random.chance(300);
            if phase == Some(LockdownPhase::Locked) && votes {
                self.count("votes to go on");
                self.step(node, Input::Locking(Locking::VoteToGoOn));
            }
        }
        let after_ms = self.random.between(voters.look_ms);
        self.schedule(after_ms, Event::Consult(voters));
    }

    fn voters(&self) -> Vec<NodeId> {
        let members = self.plan.chain.validators + self.plan.chain.standby;
        let up = self.honest().filter(|node| *node < members);
        up.filter(|node| self.nodes[*node].running.is_some())
            .collect()
    }

    fn lockdown_phase(&self, node: NodeId) -> Option<LockdownPhase> {
        let running = self.nodes[node].running.as_ref()?;
        Some(running.replica.halts().manager().state().lockdown.phase())
    }

    /// Every validator knows the cluster secret.
    pub(super) fn send_lockdown(
        &mut self,
        node: NodeId,
        message: LockdownMessage,
        repetition: u32,
    ) {
        let tagged = self.chain.cluster.tag(&self.chain.id, message, repetition);
        self.publish(node, Envelope::new(Gossip::Lockdown(Box::new(tagged))));
    }

    pub(super) fn take_lockdown(&mut self, node: NodeId, gossiped: &GossipedLockdown) -> bool {
        let Some(era) = self.era_of(node) else {
            return false;
        };
        if !self.chain.cluster.verify(&self.chain.id, gossiped) {
            return false;
        }
        let judged = admission::lockdown(
            &gossiped.message,
            &self.chain.id,
            &era,
            &self.chain.parameters.lockdown,
            &self.chain.scheme,
            self.nodes[node].now(self.now_ms).wall,
        );
        if judged == Judgement::Accept {
            let message = Box::new(gossiped.message.clone());
            self.step(node, Input::Locking(Locking::Said(message)));
        }
        judged == Judgement::Accept
    }
}
