//! What a replica needs of the store: reading itself back after a restart.

use crate::io::DagStanding;
use crate::record::SignGuardRecord;
use crate::replica::Restored;
use crate::replica::halts::ExecutedHead;
use holdfast_chain::serve::open_end_votes;
use holdfast_chain::{Chain, ChainStore};
use holdfast_dag::DagConfig;
use holdfast_halt::HaltState;
use holdfast_halt::journal::JournalEntry;
use holdfast_ledger::{StateError, account, dynamic_properties, governors};
use holdfast_types::limits::VERTEX_ATTESTATIONS_MAX;
use holdfast_types::{
    AttestationBody, AuthorityIndex, Certificate, Era, EraContext, EraKind, Evidence, Height,
    Round, SignedVertexHeader, Signer, VerifiedTransaction, VerifiedVertex, VertexRef,
};
use std::ops::Range;
use std::sync::Arc;

/// Read access to what [`crate::Record`]s wrote. RocksDB and the simulator's double implement the same contract.
pub trait RecordStore {
    /// Stored vertices of `era` above `round`, in the order (round, author, digest).
    fn vertices_above(&self, era: Era, round: Round) -> Result<Vec<VerifiedVertex>, StateError>;

    /// References of the stored vertices of these rounds, in their order.
    fn vertex_references(
        &self,
        era: Era,
        rounds: Range<Round>,
    ) -> Result<Vec<VertexRef>, StateError>;

    /// One stored vertex.
    fn vertex(&self, era: Era, reference: &VertexRef)
    -> Result<Option<VerifiedVertex>, StateError>;

    /// The last own vertex of `era`; none if there is none, or if it was pruned.
    fn last_own_vertex(&self, era: Era) -> Result<Option<VerifiedVertex>, StateError>;

    /// Header of the last own vertex of `era`; kept when the vertex is pruned.
    fn last_own_header(&self, era: Era) -> Result<Option<SignedVertexHeader>, StateError>;

    /// The mempool in the order of arrival.
    fn mempool(&self) -> Result<Vec<VerifiedTransaction>, StateError>;

    /// What is known of halts; the default if nothing is.
    fn halt_state(&self) -> Result<HaltState, StateError>;

    /// At most `limit` entries of the halt journal from `first` on.
    fn halt_journal(&self, first: u64, limit: usize) -> Result<Vec<JournalEntry>, StateError>;

    /// Evidence that waits to be executed, by slot key.
    fn evidence(&self) -> Result<Vec<Evidence>, StateError>;
}

impl Restored {
    /// What the store knows of consensus, for a replica beside `chain`.
    pub fn read<S: ChainStore + RecordStore + ?Sized>(
        store: &S,
        chain: &Chain,
        dag: &DagConfig,
        signer: Option<(Arc<dyn Signer>, SignGuardRecord)>,
    ) -> Result<Self, StateError> {
        let context = Arc::clone(chain.era());
        let at_anchor =
            chain.head().0 == context.anchor_height && context.anchor_height > Height::ZERO;
        let mut anchor_certificate = store.certificate(context.anchor_height)?;
        let head = chain.head().0;
        let DagStanding {
            commits, vertices, ..
        } = DagStanding::read(store, Arc::clone(&context), head, dag)?;
        // A vertex of the era was accepted, so the era had begun: only the certificate did not reach the disk.
        let has_begun = !vertices.is_empty();
        if anchor_certificate.is_none() {
            let me = signer
                .as_ref()
                .and_then(|(signer, _)| context.committee.authority_of_key(&signer.public_key()));
            anchor_certificate = carried_certificate(&vertices, me, &context);
        }
        let halts = store.halt_state()?;
        let waits = at_anchor && !has_begun;
        let before = waits.then(|| store.era(context.era.previous()));
        let before = before.transpose()?.flatten();
        // A halt that has kept the era from beginning goes on doing so.
        let is_kept = halts.era < context.era && halts.in_force().next().is_some();
        let ended = before
            .filter(|ended| anchor_certificate.is_none() || is_kept && ended.kind == EraKind::Dag);
        let ended = ended.map(Arc::new);
        Ok(Self {
            recent: recent_attestations(store, chain, ended.as_deref())?,
            vertices,
            tail: DagStanding::below_emergency(store, chain, dag)?,
            own_last: last_own_vertex(store, &context, signer.as_ref())?.map(Arc::new),
            context,
            ended,
            commits,
            open_ends: chain.open_ends(),
            end_votes: open_end_votes(store)?,
            anchor_certificate,
            certified: chain.certified(),
            signer,
            mempool: mempool(store)?,
            halts,
            evidence: store.evidence()?,
            head: executed_head(store, chain)?,
            head_timestamp: chain.head_timestamp(),
            emergency: chain.emergency_clock(),
        })
    }
}

/// The last own vertex of the era or, before the first, of the era before. A store that came from another validator holds
/// that one's vertices as its own: those are left out.
fn last_own_vertex<S: RecordStore + ChainStore + ?Sized>(
    store: &S,
    context: &EraContext,
    signer: Option<&(Arc<dyn Signer>, SignGuardRecord)>,
) -> Result<Option<VerifiedVertex>, StateError> {
    let Some((signer, _)) = signer else {
        return Ok(None);
    };
    let key = signer.public_key();
    let before = store.era(context.era.previous())?;
    for context in [Some(context), before.as_ref()].into_iter().flatten() {
        let me = context.committee.authority_of_key(&key);
        let own = store.last_own_vertex(context.era)?;
        if let Some(own) = own.filter(|own| Some(own.author()) == me) {
            return Ok(Some(own));
        }
    }
    Ok(None)
}

/// The certificate of the era's anchor, as the first own vertex of the era carries it. Vertices are written in another batch
/// than certificates, and it may be that nobody else has it.
fn carried_certificate(
    vertices: &[Arc<VerifiedVertex>],
    me: Option<AuthorityIndex>,
    context: &EraContext,
) -> Option<Certificate> {
    let own = vertices.iter().filter(|vertex| Some(vertex.author()) == me);
    own.filter_map(|vertex| vertex.payload().anchor_certificate.as_ref())
        .find(|certificate| certificate.body.block == context.anchor)
        .cloned()
}

/// The last blocks as this validator would attest them: of the running era, or the last of the era that ended.
fn recent_attestations<S: ChainStore + ?Sized>(
    store: &S,
    chain: &Chain,
    ended: Option<&EraContext>,
) -> Result<Vec<AttestationBody>, StateError> {
    let head = chain.head().0;
    let reach = u64::try_from(VERTEX_ATTESTATIONS_MAX).unwrap_or(u64::MAX);
    let first_of_era = chain.era().anchor_height.next();
    let mut height = if ended.is_some() {
        head
    } else {
        first_of_era.max(head.minus(reach).next())
    };
    let mut bodies = Vec::new();
    while height <= head && height > Height::ZERO {
        bodies.extend(attestation_at(store, height)?);
        height = height.next();
    }
    Ok(bodies)
}

/// What this validator attests of the block at a height.
fn attestation_at<S: ChainStore + ?Sized>(
    store: &S,
    height: Height,
) -> Result<Option<AttestationBody>, StateError> {
    let (Some(block), Some(id)) = (store.block_at(height)?, store.block_id_at(height)?) else {
        return Ok(None);
    };
    Ok(Some(AttestationBody::of_block(id, &block.header)))
}

pub(crate) fn executed_head<S: ChainStore + ?Sized>(
    store: &S,
    chain: &Chain,
) -> Result<ExecutedHead, StateError> {
    let properties = dynamic_properties(store)?;
    let live_time = properties.map(|properties| properties.live_time(properties.timestamp));
    let governors = governors(store)?;
    Ok(ExecutedHead {
        body: attestation_at(store, chain.head().0)?,
        live_time: live_time.unwrap_or_default(),
        governance_sequence: governors.map_or(0, |governors| governors.sequence),
    })
}

fn mempool<S: ChainStore + RecordStore + ?Sized>(
    store: &S,
) -> Result<Vec<(Arc<VerifiedTransaction>, u64)>, StateError> {
    let stored = store.mempool()?;
    let mut queued = Vec::with_capacity(stored.len());
    for transaction in stored {
        // Without its account the transaction can only fail; the mempool is not the place to say so.
        if let Some(sender) = account(store, &transaction.body().sender)? {
            queued.push((Arc::new(transaction), sender.nonce));
        }
    }
    Ok(queued)
}
