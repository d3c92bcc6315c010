//! What may come before the replica: decisions that need the state or the running era, and no I/O.

use crate::io::{Input, LastVertices, Locking, Submission};
use crate::mempool::Origin;
use crate::replica::eras::certifying;
use holdfast_chain::serve::era_below_emergency;
use holdfast_chain::sync::check_body;
use holdfast_chain::{ChainError, ChainStore, ResumeRefusal};
use holdfast_ledger::{
    LedgerError, StateError, StateStore, account, check_transaction, governors, is_punished,
    validator,
};
use holdfast_types::limits::{HALT_NOTICE_MAX, RESUME_HALTS_MAX};
use holdfast_types::mutant::{self, Mutant};
use holdfast_types::parameters::{EmergencyParameters, HaltParameters, LockdownParameters};
use holdfast_types::wire::{LastVertexRequest, LastVertexResponse};
use holdfast_types::{
    AttestationBody, AuthorityIndex, Block, Certificate, ChainId, Era, EraContext, EraKind,
    Evidence, EvidenceError, FailureCode, GovernanceError, GovernanceMessage, HaltCause,
    HaltNotice, HaltProof, HaltProofError, HaltThresholds, Height, LockdownError, LockdownMessage,
    Parameters, PublicKey, Readiness, ResumeOrder, SignatureScheme, SignedHaltStatus,
    SignedVertexHeader, TimestampMs, TransactionId, VerifiedTransaction, Vertex, VertexRef,
};
use std::borrow::Cow;
use std::sync::Arc;

/// How long each validator waits for the one before it to propose a transaction that came by gossip, in ms.
const TURN_MS: u64 = 2_000;

/// Where a vertex of a peer belongs, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VertexPlace {
    /// Verify it by this context, step the replica with it, hand it on to other peers.
    Verifiable(Arc<EraContext>),
    /// Step the replica with it as an early one. It cannot be verified yet, so it is not handed on.
    NextEra,
    /// Of an era that does not run here: nobody is to blame.
    OtherEra,
}

/// The context by which what was signed in an era is verified; none if this node knows no such era. The last block of an
/// emergency is certified by the committee that it names (rule R18).
pub fn context_of_era<S: ChainStore + ?Sized>(
    store: &S,
    running: &Arc<EraContext>,
    era: Era,
) -> Result<Option<Arc<EraContext>>, StateError> {
    if running.era == era && running.kind == EraKind::Dag {
        return Ok(Some(Arc::clone(running)));
    }
    let Some(context) = store.era(era)? else {
        return Ok(None);
    };
    if context.kind == EraKind::Dag {
        return Ok(Some(Arc::new(context)));
    }
    let next = store.era(era.next())?;
    let next = next.filter(|next| next.kind == EraKind::Dag);
    Ok(Some(Arc::new(match next {
        Some(next) => certifying(&context, &next),
        None => context,
    })))
}

/// Sorts a vertex by its era. In an emergency the DAG on which it stands is listened to (rule R21).
pub fn vertex_place<S: ChainStore + ?Sized>(
    store: &S,
    vertex: &Vertex,
    running: &Arc<EraContext>,
) -> Result<VertexPlace, StateError> {
    let era = vertex.signed.header.era;
    if era == running.era {
        let stored = store.era(era)?;
        // On another branch the number may be that of a DAG: an emergency has none, whoever certifies its end.
        return Ok(match stored.map(|stored| stored.kind) {
            Some(EraKind::Emergency) => VertexPlace::OtherEra,
            Some(EraKind::Dag) | None => VertexPlace::Verifiable(Arc::clone(running)),
        });
    }
    if era == running.era.next() {
        return Ok(VertexPlace::NextEra);
    }
    if era > running.era {
        return Ok(VertexPlace::OtherEra);
    }
    let below = era_below_emergency(store)?.filter(|below| below.era == era);
    Ok(below.map_or(VertexPlace::OtherEra, |below| {
        VertexPlace::Verifiable(Arc::new(below))
    }))
}

/// What a member's answer on last vertices says (rule R12 of the replica), if it is about `asked` and all its signatures
/// are good; none otherwise.
#[must_use]
pub fn last_vertices(
    asked: &LastVertexRequest,
    from: AuthorityIndex,
    answer: &LastVertexResponse,
    chain: &ChainId,
    era: &EraContext,
    scheme: &dyn SignatureScheme,
) -> Option<LastVertices> {
    let reference = |signed: &Option<SignedVertexHeader>, author| {
        let Some(signed) = signed else {
            return Some(None);
        };
        let header = &signed.header;
        let check = signed.signature_check(chain, &era.committee)?;
        let good = header.author == author && header.era == asked.era && scheme.verify(&check);
        good.then(|| {
            Some(VertexRef {
                round: header.round,
                author,
                digest: header.digest(chain),
            })
        })
    };
    if asked.era != era.era {
        return None;
    }
    Some(LastVertices {
        from,
        era: asked.era,
        running: answer.running,
        own: reference(&answer.own, from)?,
        of_asker: reference(&answer.of_author, asked.author)?,
    })
}

/// What is done with a message of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Step the replica with it, hand it on.
    Accept,
    /// It cannot be judged here, or is no news: nobody is to blame.
    Ignore,
    /// It breaks a rule: the sender pays for it.
    Reject,
}

/// Why evidence is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceRefusal {
    #[error("this node knows no era {0}")]
    UnknownEra(Era),
    #[error(transparent)]
    Unproved(#[from] EvidenceError),
    #[error("a block has executed this offence")]
    Punished,
    /// Against a block that is not here it proves nothing yet; against our own it may be us who are wrong.
    #[error("no block of this node contradicts the attestation")]
    NotContradicted,
}

impl EvidenceRefusal {
    /// What it says of the peer that sent the evidence.
    #[must_use]
    pub const fn judgement(&self) -> Judgement {
        match self {
            Self::Unproved(_) => Judgement::Reject,
            Self::UnknownEra(_) | Self::Punished | Self::NotContradicted => Judgement::Ignore,
        }
    }
}

/// Judges evidence against the committee of its era, `context`; none if that era is not known here.
pub fn evidence<S: ChainStore + ?Sized>(
    store: &S,
    item: &Evidence,
    chain: &ChainId,
    context: Option<&EraContext>,
    scheme: &dyn SignatureScheme,
) -> Result<Result<(), EvidenceRefusal>, StateError> {
    let Some(context) = context else {
        return Ok(Err(EvidenceRefusal::UnknownEra(item.era())));
    };
    let Some(committee) = context.certifiers() else {
        return Ok(Err(EvidenceRefusal::UnknownEra(item.era())));
    };
    if let Err(error) = item.verify(chain, committee, scheme) {
        return Ok(Err(error.into()));
    }
    if is_punished(store, &item.slot_key())? {
        return Ok(Err(EvidenceRefusal::Punished));
    }
    let Evidence::BadStateRoot { attestation } = item else {
        return Ok(Ok(()));
    };
    let body = &attestation.body;
    let ours = store
        .block_id_at(body.height)?
        .zip(store.block_at(body.height)?);
    let contradicts = ours.is_some_and(|(id, block)| {
        AttestationBody::of_block(id, &block.header).differs_in_result(body)
    });
    Ok(contradicts
        .then_some(())
        .ok_or(EvidenceRefusal::NotContradicted))
}

/// Judges a proof of a halt: one of another era cannot be judged, or is settled.
#[must_use]
pub fn halt_proof(
    proof: &HaltProof,
    chain: &ChainId,
    running: &EraContext,
    parameters: &HaltParameters,
    scheme: &dyn SignatureScheme,
) -> Judgement {
    let Some(committee) = running.certifiers() else {
        return Judgement::Ignore;
    };
    let thresholds = HaltThresholds::new(parameters, committee);
    match proof.verify(chain, running.era, committee, thresholds, scheme) {
        Ok(_) => Judgement::Accept,
        Err(HaltProofError::WrongEra { .. }) => Judgement::Ignore,
        Err(_) if mutant::is_on(Mutant::ProofsUnverified) => Judgement::Accept,
        Err(_) => Judgement::Reject,
    }
}

/// The era of whose halts a node hears: the running one, and in an emergency that on whose DAG it stands (rule R24).
fn heard_era<'a, S: ChainStore + ?Sized>(
    store: &S,
    running: &'a EraContext,
    era: Option<Era>,
) -> Result<Option<Cow<'a, EraContext>>, StateError> {
    if era == Some(running.era) {
        return Ok(Some(Cow::Borrowed(running)));
    }
    if era > Some(running.era) {
        return Ok(None);
    }
    let below = era_below_emergency(store)?.filter(|below| Some(below.era) == era);
    Ok(below.map(Cow::Owned))
}

/// Judges what a halted member says of itself.
pub fn halt_status<S: ChainStore + ?Sized>(
    store: &S,
    status: &SignedHaltStatus,
    chain: &ChainId,
    running: &EraContext,
    scheme: &dyn SignatureScheme,
) -> Result<Judgement, StateError> {
    let era = heard_era(store, running, Some(status.status.era))?;
    let Some(committee) = era.as_ref().and_then(|era| era.certifiers()) else {
        return Ok(Judgement::Ignore);
    };
    let check = status.signature_check(chain, committee);
    let is_short = status.status.halts.len() <= RESUME_HALTS_MAX;
    Ok(
        if is_short && check.is_some_and(|check| scheme.verify(&check)) {
            Judgement::Accept
        } else {
            Judgement::Reject
        },
    )
}

/// Judges a member's statement on a lockdown; its tag was verified before.
#[must_use]
pub fn lockdown(
    message: &LockdownMessage,
    chain: &ChainId,
    running: &EraContext,
    parameters: &LockdownParameters,
    scheme: &dyn SignatureScheme,
    now: TimestampMs,
) -> Judgement {
    let Some(committee) = running.certifiers() else {
        return Judgement::Ignore;
    };
    match message.verify(now, chain, running.era, committee, parameters, scheme) {
        Ok(()) => Judgement::Accept,
        // Clocks differ, and eras end.
        Err(
            LockdownError::TooOld { .. }
            | LockdownError::Ahead { .. }
            | LockdownError::OtherEra { .. },
        ) => Judgement::Ignore,
        Err(_) => Judgement::Reject,
    }
}

/// Judges a message of governance against the governors in office here. Why it does nothing is for who submitted it; a
/// peer is to blame only if the signatures are wrong, as it may know governors that this node does not know yet.
pub fn governance<S: ChainStore + ?Sized>(
    store: &S,
    message: &GovernanceMessage,
    chain: &ChainId,
    scheme: &dyn SignatureScheme,
) -> Result<Result<(), GovernanceError>, StateError> {
    let governors = governors(store)?.ok_or_else(|| StateError {
        reason: "the governors are missing".to_owned(),
    })?;
    Ok(message.verify(chain, &governors, scheme))
}

/// What a refusal of [`governance`] says of the peer that sent the message.
#[must_use]
pub const fn judgement_of(error: &GovernanceError) -> Judgement {
    match error {
        GovernanceError::Replayed { .. }
        | GovernanceError::HaltOver { .. }
        | GovernanceError::HaltTooLong { .. } => Judgement::Ignore,
        GovernanceError::Codec(_)
        | GovernanceError::TooMany { .. }
        | GovernanceError::BadGovernors
        | GovernanceError::NotEnoughSignatures { .. }
        | GovernanceError::BadSigner { .. }
        | GovernanceError::BadSignature { .. } => Judgement::Reject,
    }
}

/// Judges an emergency block by what can be seen of it: its time, whose signature it bears by the keys in office here, and that
/// its body is the signed one. Whether it follows is for the chain to say.
pub fn emergency_block<S: StateStore + ?Sized>(
    store: &S,
    block: &Block,
    chain: &ChainId,
    emergency: &EmergencyParameters,
    scheme: &dyn SignatureScheme,
    latest: TimestampMs,
) -> Result<Judgement, StateError> {
    let header = &block.header;
    let Some(producer) = header.origin.producer() else {
        return Ok(Judgement::Reject);
    };
    let is_committee = producer == emergency.validator_account;
    let key = if is_committee {
        Some(emergency.validator_public_key)
    } else {
        validator(store, &producer)?.and_then(|validator| validator.signing_key)
    };
    let check = key.and_then(|key| header.emergency_check(chain, key));
    if !check.is_some_and(|check| scheme.verify(&check)) {
        // On another branch a validator may have another key.
        return Ok(if is_committee {
            Judgement::Reject
        } else {
            Judgement::Ignore
        });
    }
    if check_body(block, chain).is_err() {
        return Ok(Judgement::Reject);
    }
    Ok(if header.timestamp > latest {
        Judgement::Ignore
    } else {
        Judgement::Accept
    })
}

/// Of a peer's notice of halts, the inputs that hold here.
pub fn halt_notice<S: ChainStore + ?Sized>(
    store: &S,
    notice: HaltNotice,
    chain: &ChainId,
    running: &EraContext,
    parameters: &Parameters,
    scheme: &dyn SignatureScheme,
) -> Result<Vec<Input>, StateError> {
    let mut inputs = Vec::new();
    if let Some(lockdown) = notice.lockdown
        && let Some(era) = heard_era(store, running, lockdown.lock.era())?
        && let Some(committee) = era.certifiers()
        && lockdown
            .verify(chain, era.era, committee, &parameters.lockdown, scheme)
            .is_ok()
    {
        inputs.push(Input::Locking(Locking::Notice(Box::new(lockdown))));
    }
    for proof in notice.proofs.into_iter().take(HALT_NOTICE_MAX) {
        if halt_proof(&proof, chain, running, &parameters.halt, scheme) == Judgement::Accept {
            inputs.push(Input::HaltProof(Box::new(proof)));
        }
    }
    for message in notice.messages.into_iter().take(HALT_NOTICE_MAX) {
        if governance(store, &message, chain, scheme)?.is_ok() {
            inputs.push(Input::Governance(Box::new(message)));
        }
    }
    Ok(inputs)
}

/// What a chain that cannot go on makes of this node: a proof for everybody, or a fault of its own; none if the store or the
/// software failed, which ends the process.
#[must_use]
pub fn fault_of(error: &ChainError, head: Height) -> Option<Vec<Input>> {
    let fault = |cause, height| Input::OwnFault {
        cause,
        height,
        detail: error.to_string(),
    };
    Some(match error {
        ChainError::Ledger(LedgerError::BrokenInvariant { height, .. })
        | ChainError::NotDeterministic { height, .. } => {
            vec![fault(HaltCause::BrokenInvariant, *height)]
        }
        ChainError::Ledger(LedgerError::WrongBlock { .. }) => {
            vec![fault(HaltCause::BrokenInvariant, head)]
        }
        // Each of a block that a quorum has certified.
        ChainError::Diverged { height, .. }
        | ChainError::CertifiedRejected { height, .. }
        | ChainError::EmergencyRefused { height, .. }
        | ChainError::EmergencySignature { height } => {
            vec![fault(HaltCause::OwnDivergence, *height)]
        }
        ChainError::CommitFork { .. } => vec![fault(HaltCause::DagFork, head)],
        ChainError::IrreversibleContradicted { certificate, .. } => {
            vec![fault(HaltCause::DagFork, certificate.body.height)]
        }
        ChainError::ContradictoryCertificates { first, second } => {
            let proof = fork_proof(first, second).map(|proof| Input::HaltProof(Box::new(proof)));
            let fault = fault(HaltCause::DagFork, first.body.height);
            proof.into_iter().chain([fault]).collect()
        }
        ChainError::Store(_)
        | ChainError::Ledger(LedgerError::Store(_) | LedgerError::UnknownHardfork { .. })
        | ChainError::NoGenesis
        | ChainError::Incomplete { .. }
        | ChainError::ForkDatabaseFull { .. }
        | ChainError::Forks(_)
        | ChainError::NoProgress { .. } => return None,
    })
}

/// The proof that two certificates exclude each other. Those of different heights or eras exclude each other only with the
/// blocks between them, which no proof holds (rule HP4): peers would refuse it and blame this node.
fn fork_proof(first: &Certificate, second: &Certificate) -> Option<HaltProof> {
    let slot = |certificate: &Certificate| (certificate.body.era, certificate.body.height);
    if slot(first) != slot(second) {
        return None;
    }
    let (first, second) = if first.body.block < second.body.block {
        (first, second)
    } else {
        (second, first)
    };
    Some(HaltProof::ContradictoryCertificates {
        first: first.clone(),
        second: second.clone(),
    })
}

/// What a refusal of the chain to resume says of this validator, or of the message.
#[must_use]
pub fn resume_refused(order: &ResumeOrder, refusal: &ResumeRefusal) -> Input {
    let readiness = match refusal {
        ResumeRefusal::BelowCertified { .. } => {
            return match order.message() {
                Some(message) => Input::ResumeExcluded {
                    sequence: message.body.sequence,
                },
                None => Input::ResumeRefused(Readiness::AttestedAbove),
            };
        }
        ResumeRefusal::Behind { .. } | ResumeRefusal::Uncertified { .. } => Readiness::Behind,
        ResumeRefusal::WrongEra { expected, actual } if actual.0 > expected.0 => Readiness::Behind,
        ResumeRefusal::Differs { .. } => Readiness::Differs,
        ResumeRefusal::NotResume
        | ResumeRefusal::Governance(_)
        | ResumeRefusal::InEmergency
        | ResumeRefusal::WrongEra { .. } => Readiness::NotAsked,
    };
    Input::ResumeRefused(readiness)
}

/// Why a verified transaction does not come before the mempool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSubmitted {
    /// It would fail as the state is now.
    #[error("{0}")]
    Failing(FailureCode),
    #[error("the transaction was executed already")]
    Executed(TransactionId),
    #[error(transparent)]
    Store(#[from] StateError),
}

/// The transaction as the mempool wants it, or why it cannot be executed as the state is now.
pub fn submission<S: ChainStore + ?Sized>(
    store: &S,
    transaction: VerifiedTransaction,
    wall: TimestampMs,
    origin: Origin,
) -> Result<Submission, NotSubmitted> {
    // Read first: the nonce is at least as new.
    let as_of = store.head()?.map_or(Height::ZERO, |(height, _)| height);
    match check_transaction(store, &transaction, wall)? {
        // Earlier nonces may be on their way; the mempool knows how long to wait.
        Ok(_) | Err(FailureCode::NonceTooHigh) => {}
        Err(code) => {
            let id = transaction.id();
            return Err(if store.transaction_place(&id)?.is_some() {
                NotSubmitted::Executed(id)
            } else {
                NotSubmitted::Failing(code)
            });
        }
    }
    let sender = account(store, &transaction.body().sender)?;
    Ok(Submission {
        transaction: Arc::new(transaction),
        account_nonce: sender.map_or(0, |sender| sender.nonce),
        as_of,
        origin,
    })
}

/// When it is the turn of the validator with `key` to propose a transaction that came by gossip, in ms of its monotonic
/// clock: the validators take turns in an order that starts at a place given by its id.
#[must_use]
pub fn turn_ms(now_ms: u64, id: &TransactionId, era: &EraContext, key: Option<&PublicKey>) -> u64 {
    let size = era.committee.size();
    let position = key
        .and_then(|key| era.committee.authority_of_key(key))
        .map_or(0, |authority| authority.as_usize());
    let [a, b, c, d, ..] = *id.as_bytes();
    let start = usize::try_from(u32::from_le_bytes([a, b, c, d]))
        .unwrap_or_default()
        .checked_rem(size)
        .unwrap_or_default();
    let turns = position
        .saturating_add(size)
        .saturating_sub(start)
        .checked_rem(size)
        .unwrap_or_default();
    let turns = u64::try_from(turns).unwrap_or_default();
    now_ms.saturating_add(TURN_MS.saturating_mul(turns))
}
