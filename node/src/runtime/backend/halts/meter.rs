//! The live meter: who is ready to go on, who differs, who is silent; and what to do next.

use super::super::convert::{account_name, hash};
use super::{block_ref, phase, small};
use crate::runtime::halted::HaltPicture;
use holdfast_halt::Mode;
use holdfast_rpc::dto::{AccountName, HaltPhase, Number, ResumeMeter, ValidatorStanding};
use holdfast_types::{AuthorityIndex, ChainId, Committee, HaltStatus, PublicKey, Readiness};
use std::collections::BTreeMap;

/// Without a vertex or a statement for this long a validator counts as silent.
const SILENT_SECONDS: f64 = 10.0;

/// Where a validator stands between stop and start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Ready,
    Differs,
    Waiting,
    Missing,
}

/// Everything that the committee says of itself.
pub(super) fn meter(
    picture: &HaltPicture,
    committee: &Committee,
    chain: &ChainId,
    own_key: Option<&PublicKey>,
) -> ResumeMeter {
    let statuses: BTreeMap<AuthorityIndex, &HaltStatus> = picture
        .statuses
        .iter()
        .map(|signed| (signed.author, &signed.status))
        .collect();
    let me = own_key.and_then(|key| committee.authority_of_key(key));
    let is_running = phase(picture) == HaltPhase::Running;
    let mut meter = empty(picture, chain, small(committee.quorum()));
    for (authority, member) in committee.authorities().zip(committee.members()) {
        let status = statuses.get(&authority).copied().filter(|_| !is_running);
        let seconds = heard(picture, authority, status);
        let account = account_name(&member.account);
        let place = if phase(picture) == HaltPhase::Stalled {
            place_in_stall(picture, authority)
        } else {
            place(picture, status, seconds, &statuses)
        };
        meter.validators.push(ValidatorStanding {
            account: account.clone(),
            authority: authority.0,
            is_this_node: me == Some(authority),
            head: status.map(|status| Number(status.head.0)),
            block_id: status.map(|status| hash(status.head_id.as_bytes())),
            state_root: status.map(|status| hash(status.state_root.as_bytes())),
            certified: status.map(|status| Number(status.certified.0)),
            attested: status.map(|status| Number(status.attested.0)),
            version: status.map(|status| status.version.to_string()),
            readiness: status.map(|status| status.readiness.name().to_owned()),
            own_fault: status
                .and_then(|status| status.own_fault)
                .map(|cause| cause.name().to_owned()),
            seconds_since_heard: seconds,
        });
        if !is_running {
            list(&mut meter, place).push(account);
        }
    }
    meter
}

const fn list(meter: &mut ResumeMeter, place: Place) -> &mut Vec<AccountName> {
    match place {
        Place::Ready => &mut meter.ready,
        Place::Differs => &mut meter.differs,
        Place::Waiting => &mut meter.waiting,
        Place::Missing => &mut meter.missing,
    }
}

fn empty(picture: &HaltPicture, chain: &ChainId, needed: u16) -> ResumeMeter {
    let mut meter = ResumeMeter {
        message_id: None,
        sequence: None,
        block: None,
        state_root: None,
        minimum_version: None,
        needed,
        ready: Vec::new(),
        differs: Vec::new(),
        waiting: Vec::new(),
        missing: Vec::new(),
        validators: Vec::new(),
    };
    let Some(message) = &picture.state.resume else {
        return meter;
    };
    meter.message_id = Some(hash(&message.body.id(chain)));
    meter.sequence = Some(Number(message.body.sequence));
    if let Some(point) = message.body.action.resume_point() {
        meter.block = Some(block_ref(point.height, &point.block));
        meter.state_root = Some(hash(point.state_root.as_bytes()));
        meter.minimum_version = Some(point.minimum_version.to_string());
    }
    meter
}

/// How long ago a member was heard, by the clock of this node: what a member says of its own is for itself. In a halt it has
/// to have said how it stands.
fn heard(
    picture: &HaltPicture,
    authority: AuthorityIndex,
    status: Option<&HaltStatus>,
) -> Option<f64> {
    if status.is_none() && phase(picture) != HaltPhase::Stalled {
        return None;
    }
    let at_ms = picture.heard_ms.get(authority.as_usize())?;
    Some(picture.now_ms.saturating_sub(*at_ms) as f64 / 1000.0)
}

/// In a stall members say nothing of their state: their vertices tell who is there.
fn place_in_stall(picture: &HaltPicture, authority: AuthorityIndex) -> Place {
    if picture.in_newest_round.contains(&authority) {
        Place::Waiting
    } else {
        Place::Missing
    }
}

fn place(
    picture: &HaltPicture,
    status: Option<&HaltStatus>,
    seconds: Option<f64>,
    statuses: &BTreeMap<AuthorityIndex, &HaltStatus>,
) -> Place {
    if seconds.is_none_or(|seconds| seconds > SILENT_SECONDS) {
        return Place::Missing;
    }
    let Some(status) = status else {
        return Place::Missing;
    };
    match status.readiness {
        Readiness::Ready if picture.state.resume.is_some() => Place::Ready,
        Readiness::Differs
        | Readiness::AttestedAbove
        | Readiness::OldVersion
        | Readiness::OwnFault => Place::Differs,
        Readiness::NotAsked | Readiness::Behind | Readiness::Ready => {
            let is_alone = status.own_fault.is_some() || is_outvoted(status, statuses);
            if is_alone {
                Place::Differs
            } else {
                Place::Waiting
            }
        }
    }
}

/// True if more members name another block or state at the same height.
fn is_outvoted(status: &HaltStatus, statuses: &BTreeMap<AuthorityIndex, &HaltStatus>) -> bool {
    let mut groups = BTreeMap::new();
    for other in statuses.values() {
        if other.head == status.head {
            let count: &mut usize = groups.entry((other.head_id, other.state_root)).or_default();
            *count += 1;
        }
    }
    let own = groups.get(&(status.head_id, status.state_root));
    let own = own.copied().unwrap_or_default();
    groups.values().any(|count| *count > own)
}

/// What an operator does next, and where it is explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Advice {
    pub(super) next_command: String,
    pub(super) runbook: &'static str,
}

pub(super) fn advice(picture: &HaltPicture, meter: &ResumeMeter) -> Advice {
    let draft = crate::cli::DRAFT_RESUME;
    let (next_command, runbook) = if let Some(fault) = &picture.state.own_fault {
        (
            format!(
                "stop this node, keep a copy of its data folder ({} at height {}), replace its state, then: holdfast run --repaired",
                fault.cause.name(),
                fault.height
            ),
            "docs/runbooks/own-fault.md",
        )
    } else if picture.state.resume.is_some() {
        let ready = meter.ready.len();
        let text = if ready >= usize::from(meter.needed) {
            "wait: enough validators are ready, the next era starts by itself".to_owned()
        } else {
            format!(
                "holdfast halt status --watch: {ready} of {} are ready; repair those that differ, start those that are missing",
                meter.needed
            )
        };
        (text, "docs/runbooks/resume.md")
    } else if let Some(halt) = picture.state.hard.first() {
        (
            format!(
                "holdfast halt proof {}; once the cause is understood: {draft}",
                halt.id
            ),
            "docs/runbooks/hard-halt.md",
        )
    } else if picture.modes.contains(Mode::Lockdown) {
        (
            "holdfast lockdown status: who has voted and why, how all stand, and how to go on"
                .to_owned(),
            super::super::lockdown::RUNBOOK,
        )
    } else if picture.modes.contains(Mode::EmergencyHalt) {
        (draft.to_owned(), "docs/runbooks/emergency-halt.md")
    } else if picture.modes.contains(Mode::EmergencyConsensus) {
        (
            "holdfast emergency status: who is missing, and what ends it".to_owned(),
            super::super::emergency::RUNBOOK,
        )
    } else if picture.modes.contains(Mode::SoftStall) {
        (
            "holdfast status on the machines of the validators that are missing; bring them back, the chain goes on by itself"
                .to_owned(),
            "docs/runbooks/soft-stall.md",
        )
    } else {
        ("nothing to do".to_owned(), "docs/halts.md")
    };
    Advice {
        next_command,
        runbook,
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;
