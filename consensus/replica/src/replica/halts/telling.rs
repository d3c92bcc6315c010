//! What a node says of the halts that it is in, and what it makes of what others say (rule R16).

use super::Halts;
use crate::io::{Message, Now, Output};
use crate::replica::Replica;
use holdfast_types::wire::GossipedGovernance;
use holdfast_types::{
    AuthorityIndex, ChainId, EraContext, GovernanceAction, GovernanceMessage, HaltId, HaltStatus,
    Height, SignedHaltStatus,
};
use std::sync::Arc;

impl Halts {
    /// Whether enough other members say that they know of something: one of them is honest, and whoever hears it asks.
    fn is_said(
        &self,
        me: Option<AuthorityIndex>,
        members: usize,
        names: impl Fn(&HaltStatus) -> bool,
    ) -> bool {
        let others = self
            .statuses
            .iter()
            .filter(|(author, _)| Some(**author) != me);
        let heeded = others.filter(|(_, said)| said.status.own_fault.is_none());
        heeded.filter(|(_, said)| names(&said.status)).count() >= members
    }
}

/// Whether a statement shows that its author knows of a message.
fn names_message(status: &HaltStatus, message: &GovernanceMessage, chain: &ChainId) -> bool {
    let id = message.body.id(chain);
    match &message.body.action {
        GovernanceAction::Halt { .. } => status.halts.contains(&HaltId::of_message(id)),
        GovernanceAction::Resume { .. } => status.resume == Some(id),
        GovernanceAction::RotateKeys { .. } => false,
    }
}

impl Replica {
    /// Rule R16.
    pub(super) fn say_status(&mut self, now: Now, out: &mut Output) {
        if !self.halts.manager.is_halted() || now.monotonic_ms < self.halts.say_at_ms {
            return;
        }
        self.halts.say_at_ms = now
            .monotonic_ms
            .saturating_add(self.config.repeat_interval_ms);
        let (Some(me), Some(signer)) = (self.authority(), self.signer.clone()) else {
            return;
        };
        let status = self
            .status(now)
            .sign(me, &self.config.chain, signer.as_ref());
        self.halts.statuses.insert(me, status.clone());
        self.halts.heard(me, now);
        out.send.push(Message::HaltStatus(status));
    }

    /// How this node stands.
    #[must_use]
    pub fn status(&self, now: Now) -> HaltStatus {
        let state = self.halts.manager.state();
        let body = self.halts.head.body;
        let attested = self
            .guard
            .as_ref()
            .and_then(|guard| guard.record().newest_attestation());
        let attested = attested.filter(|attested| attested.era == self.context.era);
        let mut halts = self.halts.manager.halts();
        halts.truncate(holdfast_types::limits::RESUME_HALTS_MAX);
        HaltStatus {
            era: self.context.era,
            head: self.halts.head.height(),
            head_id: body.map(|body| body.block).unwrap_or_default(),
            state_root: body.map(|body| body.state_root).unwrap_or_default(),
            certified: self.certified,
            attested: attested.map_or(Height::ZERO, |attested| attested.height),
            version: self.config.halts.version,
            halts,
            own_fault: state.own_fault.as_ref().map(|fault| fault.cause),
            resume: state
                .resume
                .as_ref()
                .map(|message| message.body.id(&self.config.chain)),
            readiness: self.halts.readiness,
            at: now.wall,
        }
    }

    pub(super) fn told_just_now(&mut self, now: Now) {
        let interval_ms = self.config.repeat_interval_ms;
        self.halts.tell_at_ms = now.monotonic_ms.saturating_add(interval_ms);
    }

    /// Tells again what too few members say that they know of. All nodes count repetitions by the clock, so that the network
    /// passes each on once.
    pub(super) fn tell_again(&mut self, now: Now, out: &mut Output) {
        if now.monotonic_ms < self.halts.tell_at_ms {
            return;
        }
        self.told_just_now(now);
        let turn = now.wall.0.checked_div(self.config.repeat_interval_ms);
        let repetition = u32::try_from(turn.unwrap_or_default()).unwrap_or(u32::MAX);
        self.tell_lockdown(now, repetition, out);
        let (me, members) = (
            self.authority(),
            self.context.committee.validity_threshold(),
        );
        let (halts, chain) = (&self.halts, &self.config.chain);
        let state = halts.manager.state();
        for halt in &state.hard {
            if !halts.is_said(me, members, |status| status.halts.contains(&halt.id)) {
                let proof = halt.proof.clone();
                out.send.push(Message::HaltProof { proof, repetition });
            }
        }
        for message in state.messages() {
            if !halts.is_said(me, members, |status| names_message(status, message, chain)) {
                out.send.push(Message::Governance(GossipedGovernance {
                    message: message.clone(),
                    repetition,
                }));
            }
        }
    }

    /// Asks a member for the halts that it is in, one from time to time.
    pub(in crate::replica) fn ask_halts(
        &mut self,
        now: Now,
        era: Arc<EraContext>,
        to: AuthorityIndex,
        out: &mut Output,
    ) {
        if now.monotonic_ms >= self.halts.ask_at_ms {
            let interval_ms = self.config.repeat_interval_ms;
            self.halts.ask_at_ms = now.monotonic_ms.saturating_add(interval_ms);
            out.send.push(Message::AskHalts { era, to });
        }
    }

    /// A member says how it stands; a newer statement replaces an older one. If it knows more, it is asked.
    pub(in crate::replica) fn on_halt_status(
        &mut self,
        now: Now,
        status: SignedHaltStatus,
        out: &mut Output,
    ) {
        if status.status.era != self.context.era {
            self.hear_below(now, &status, out);
            return;
        }
        let known = self.halts.manager.halts();
        let resume = &self.halts.manager.state().resume;
        let is_news = status.status.own_fault.is_none()
            && status.status.halts.iter().any(|halt| !known.contains(halt))
            || status.status.resume.is_some() && resume.is_none();
        if is_news {
            let era = Arc::clone(&self.context);
            self.ask_halts(now, era, status.author, out);
        }
        let known = self.halts.statuses.get(&status.author);
        if known.is_none_or(|known| known.status.at < status.status.at) {
            // One that is told again says nothing of whether its author is there.
            self.halts.heard(status.author, now);
            self.halts.statuses.insert(status.author, status);
        }
    }
}
