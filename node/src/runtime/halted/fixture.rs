//! Pictures of halts, and where a node stands that shows them, for tests.

use super::HaltPicture;
use crate::runtime::board::Standing;
use crate::runtime::risk::RiskPicture;
use holdfast_halt::{HaltState, ModeSet, OwnFault};
use holdfast_replica::Production;
use holdfast_types::wire::BranchRank;
use holdfast_types::{
    AccountName, BlockId, Committee, Era, EraContext, EraKind, GovernanceAction, GovernanceBody,
    GovernanceMessage, HaltCause, HaltId, HaltStatus, Height, KeyPair, Member, Readiness, Round,
    SignedHaltStatus, Signer as _, SoftwareVersion, StateRoot, TimestampMs,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

pub(crate) fn key(number: u8) -> KeyPair {
    KeyPair::from_secret(&[number; 32])
}

/// Era 1 with the validators v0 to v3.
pub(crate) fn context() -> EraContext {
    let member = |number: u8| Member {
        account: AccountName::new(&format!("v{number}")).unwrap(),
        signing_key: key(number).public_key(),
    };
    EraContext {
        era: Era(1),
        kind: EraKind::Dag,
        anchor: BlockId::new([0; 32]),
        anchor_height: Height::ZERO,
        anchor_timestamp: TimestampMs::ZERO,
        committee: Committee::new((0..4).map(member).collect()).unwrap(),
    }
}

/// A message of the governors, with number 3.
pub(crate) fn message(action: GovernanceAction) -> GovernanceMessage {
    GovernanceMessage {
        body: GovernanceBody {
            sequence: 3,
            action,
        },
        signatures: Vec::new(),
    }
}

/// The order to resume on block 9.
pub(crate) fn resume() -> GovernanceMessage {
    message(GovernanceAction::Resume {
        reason: Vec::new(),
        era: Era(1),
        height: Height(9),
        block: BlockId::new([1; 32]),
        state_root: StateRoot::new([1; 32]),
        minimum_version: SoftwareVersion::default(),
        halts: Vec::new(),
        evidence: Vec::new(),
    })
}

/// What a validator says that has executed a block of this height; `root` tells blocks and states apart.
pub(crate) fn status(head: u64, root: u8) -> HaltStatus {
    HaltStatus {
        era: Era(1),
        head: Height(head),
        head_id: BlockId::new([root; 32]),
        state_root: StateRoot::new([root; 32]),
        certified: Height(head - 1),
        attested: Height(head),
        version: SoftwareVersion::default(),
        halts: Vec::new(),
        own_fault: None,
        resume: None,
        readiness: Readiness::NotAsked,
        at: TimestampMs(1_800_000_000_100),
    }
}

/// One minute after the start of the node; everybody was heard just now.
pub(crate) fn picture(modes: ModeSet, statuses: Vec<SignedHaltStatus>) -> HaltPicture {
    let own = statuses.first();
    HaltPicture {
        state: Arc::default(),
        modes,
        stall: None,
        now_ms: 60_000,
        own: own.map_or_else(|| status(9, 1), |own| own.status.clone()),
        statuses,
        heard_ms: vec![60_000; 4],
        in_newest_round: BTreeSet::new(),
        evidence: Arc::default(),
    }
}

/// Changes what is known of halts.
pub(crate) fn change(picture: &mut HaltPicture, change: impl FnOnce(&mut HaltState)) {
    change(Arc::make_mut(&mut picture.state));
}

pub(crate) fn own_fault() -> OwnFault {
    OwnFault {
        id: HaltId::of_event(HaltCause::OwnDivergence, Era(1), Height(9)),
        cause: HaltCause::OwnDivergence,
        height: Height(9),
        detail: "root 1, certified 2".to_owned(),
        since: TimestampMs(1_800_000_000_000),
    }
}

pub(crate) fn standing(context: &Arc<EraContext>, halts: HaltPicture) -> Standing {
    Standing {
        head: halts.own.head,
        head_id: halts.own.head_id,
        head_timestamp: TimestampMs(1_799_999_999_000),
        lib: Height(1),
        certified: halts.own.certified,
        certified_id: BlockId::new([2; 32]),
        is_provisional: false,
        rank: BranchRank::default(),
        is_forked: false,
        fork_blocks: 0,
        context: Arc::clone(context),
        between_eras: false,
        round: Round(8),
        certified_vertices: 4,
        vertices_pending: 0,
        active_committee: 4,
        head_changed_at: Instant::now(),
        has_moved: true,
        lib_changed_at: Instant::now(),
        mempool_transactions: 0,
        mempool_bytes: 0,
        sync_target: None,
        sync_blocks_per_second: 0.0,
        clock_skew_seconds: 0.0,
        signing_stopped: None,
        production: Production::idle(),
        halts: Arc::new(halts),
        risk: Arc::new(RiskPicture::first()),
    }
}

/// Of a node whose head moves.
pub(crate) fn well() -> Standing {
    let picture = picture(ModeSet::default(), Vec::new());
    standing(&Arc::new(context()), picture)
}
