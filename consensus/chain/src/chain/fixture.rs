//! Chains of real blocks on a store in memory.

#![cfg_attr(
    not(test),
    allow(
        dead_code,
        clippy::arithmetic_side_effects,
        reason = "other crates use it in tests, and not all of it"
    )
)]

pub mod emergencies;

use super::step::Work;
use super::{
    Chain, ChainError, EmergencyProposal, OfferRefusal, ResumeRefusal, Step, genesis_batch,
};
use crate::forks::ForkEntry;
use crate::model::ModelStore;
use crate::store::{ChainBatch, ChainStore};
use crate::sync::RangeError;
use holdfast_dag::SubDag;
use holdfast_ledger::{GenesisAccount, GenesisState, GenesisValidator};
use holdfast_types::hash::Purpose;
use holdfast_types::merkle::merkle_root;
use holdfast_types::test_util::parameters::{EPOCH_MS, MIN_STAKE, parameters};
use holdfast_types::test_util::{CHAIN, genesis_refs, key_pair, validator_account, vertex};
use holdfast_types::wire::BlocksResponse;
use holdfast_types::{
    AccountName, Action, Attestation, AttestationBody, AuthorityIndex, Block, BlockBody,
    BlockHeader, BlockId, BlockOrigin, Certificate, CommitRecord, CommittedVertex, Ed25519, Era,
    EraContext, EraEnd, EraKind, Event, Evidence, GovernanceAction, GovernanceMessage, Height,
    Parameters, ResumeOrder, Round, SignedTransaction, Signer, SoftwareVersion, TimestampMs,
    TransactionBody, VerifiedTransaction, VertexDraft, VertexPayload,
};
use std::sync::Arc;

pub const VALIDATORS: u16 = 4;
const START: TimestampMs = TimestampMs(1_000_000);
const ALICE_KEY: u16 = 100;

pub fn name(text: &str) -> AccountName {
    AccountName::new(text).expect("the name obeys the rule")
}

/// A transfer of alice.
pub fn transfer(nonce: u64, to: &str, amount: u64) -> SignedTransaction {
    let signer = key_pair(ALICE_KEY);
    let body = TransactionBody {
        sender: name("alice"),
        public_key: signer.public_key(),
        nonce,
        fee_max: u64::MAX,
        expires_at: None,
        action: Action::Transfer {
            to: name(to),
            amount,
            memo: Vec::new(),
        },
    };
    body.sign(&CHAIN, &signer)
}

/// What the next commit brings.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Block time since the block before.
    pub(crate) step_ms: u64,
    pub(crate) transactions: Vec<SignedTransaction>,
    pub(crate) evidence: Vec<Evidence>,
    pub(crate) governance: Vec<GovernanceMessage>,
    /// All validators attest the head.
    pub(crate) supports_head: bool,
    /// Tells commits apart that bring the same.
    pub(crate) round: u64,
}

impl Commit {
    pub fn new(round: u64) -> Self {
        Self {
            step_ms: 1_000,
            transactions: Vec::new(),
            evidence: Vec::new(),
            governance: Vec::new(),
            supports_head: false,
            round,
        }
    }

    pub fn with(mut self, transactions: &[SignedTransaction]) -> Self {
        self.transactions = transactions.to_vec();
        self
    }

    pub fn that_ends_the_era(mut self) -> Self {
        self.step_ms = EPOCH_MS;
        self
    }

    pub fn that_supports_the_head(mut self) -> Self {
        self.supports_head = true;
        self
    }
}

/// A chain with its store.
#[derive(Clone, Debug)]
pub struct Node {
    pub chain: Chain,
    pub store: ModelStore,
    pub parameters: Arc<Parameters>,
}

fn genesis_state(parameters: &Parameters) -> GenesisState {
    let account = |name, key: u16| GenesisAccount {
        name,
        key: key_pair(key).public_key(),
        balance: 100_000_000,
    };
    let mut accounts = vec![
        account(name("alice"), ALICE_KEY),
        account(name("bob"), 101),
        account(name("carol"), 102),
    ];
    accounts.extend((0..VALIDATORS).map(|number| account(validator_account(number), number)));
    let validators = (0..VALIDATORS).map(|number| GenesisValidator {
        account: validator_account(number),
        signing_key: Some(key_pair(number).public_key()),
        stake: 2 * MIN_STAKE,
        url: Vec::new(),
    });
    GenesisState {
        chain: CHAIN,
        timestamp: START,
        parameters: parameters.clone(),
        accounts,
        validators: validators.collect(),
        treasury: 0,
    }
}

/// What begins the chain.
pub fn genesis(parameters: &Parameters) -> ChainBatch {
    let outcome = holdfast_ledger::genesis(&genesis_state(parameters)).expect("it is valid");
    let committee = outcome.committee;
    let body = BlockBody {
        era_end: Some(EraEnd {
            next_kind: EraKind::Dag,
            committee: committee.clone(),
        }),
        ..BlockBody::default()
    };
    let header = BlockHeader {
        height: Height::ZERO,
        parent: BlockId::default(),
        era: Era::ZERO,
        timestamp: START,
        origin: BlockOrigin::Genesis,
        transactions_root: merkle_root([]),
        events_root: merkle_root([&Purpose::RECEIPT.hash_encoded(&Vec::<Event>::new())]),
        system_root: body.system_root(),
        state_root: outcome.state_root,
        next_committee: Some(committee.hash()),
    };
    let id = header.id(&CHAIN);
    let era = EraContext {
        era: Era(1),
        kind: EraKind::Dag,
        anchor: id,
        anchor_height: Height::ZERO,
        anchor_timestamp: START,
        committee,
    };
    genesis_batch(id, Block { header, body }, outcome.changes, era)
}

fn open(store: &ModelStore, parameters: &Arc<Parameters>) -> Chain {
    Chain::open(store, CHAIN, Arc::clone(parameters), Arc::new(Ed25519)).expect("it opens")
}

impl Node {
    #[expect(clippy::new_without_default, reason = "a chain has no default")]
    pub fn new() -> Self {
        Self::with_fork_db(100)
    }

    pub(crate) fn with_fork_db(blocks_max: u32) -> Self {
        Self::with_parameters(Parameters {
            fork_db_max: blocks_max,
            ..parameters()
        })
    }

    pub fn with_parameters(parameters: Parameters) -> Self {
        let batch = genesis(&parameters);
        Self::begun_with(batch, parameters)
    }

    /// On another genesis.
    pub fn begun_with(batch: ChainBatch, parameters: Parameters) -> Self {
        let parameters = Arc::new(parameters);
        let mut store = ModelStore::new(None);
        store.apply(batch);
        Self {
            chain: open(&store, &parameters),
            store,
            parameters,
        }
    }

    /// What a restart makes of it.
    pub(crate) fn reopen(&mut self) {
        self.chain = open(&self.store, &self.parameters);
    }

    pub fn head(&self) -> (Height, BlockId) {
        self.chain.head()
    }

    pub(crate) fn sub_dag(&self, commit: Commit) -> SubDag {
        let context = self.chain.era();
        let (index, previous) = self.chain.position.last_commit;
        let (height, block) = self.head();
        let attestations = (0..VALIDATORS)
            .filter(|_| commit.supports_head)
            .map(|author| {
                let body = AttestationBody {
                    era: context.era,
                    height,
                    block,
                    commit: previous,
                    state_root: holdfast_types::StateRoot::default(),
                };
                body.sign(AuthorityIndex(author), &CHAIN, &key_pair(author))
            });
        let payload = VertexPayload {
            transactions: commit.transactions,
            evidence: commit.evidence,
            governance: commit.governance,
            attestations: attestations.collect::<Vec<Attestation>>(),
            ..VertexPayload::default()
        };
        let parents = genesis_refs(context);
        let leader = vertex(
            context,
            AuthorityIndex(0),
            Round(commit.round),
            parents,
            payload,
        );
        let record = CommitRecord {
            era: context.era,
            index: index + 1,
            leader: leader.reference(),
            previous,
            timestamp: self.chain.head_timestamp().plus(commit.step_ms),
            vertices: vec![CommittedVertex {
                reference: leader.reference(),
                timestamp: START,
            }],
        };
        SubDag {
            anchor: context.anchor,
            digest: record.digest(&CHAIN),
            record,
            vertices: vec![Arc::new(leader)],
            equivocations: Vec::new(),
        }
    }

    pub(crate) fn try_order(&mut self, commit: Commit) -> Result<Step, ChainError> {
        let sub_dag = self.sub_dag(commit);
        let step = self.chain.order(&self.store, &sub_dag)?;
        let step = step.expect("the commit continues the chain");
        self.write(&step);
        Ok(step)
    }

    /// Executes the commit; the block that it became.
    pub fn order(&mut self, commit: Commit) -> (BlockId, Block) {
        self.try_order(commit).expect("an own commit executes");
        self.block_at(self.head().0)
    }

    pub fn block_at(&self, height: Height) -> (BlockId, Block) {
        let id = self.store.block_id_at(height).expect("it reads");
        let block = self.store.block_at(height).expect("it reads");
        id.zip(block).expect("there is such a block")
    }

    /// Writes a step; afterwards the store says of the chain what the chain says of itself.
    pub(crate) fn write(&mut self, step: &Step) {
        let batch = &step.batch;
        let is_applied = |id: &BlockId| batch.apply.iter().any(|applied| applied.id == *id);
        let mut removed = batch.remove_forks.iter();
        // A store refuses that.
        assert!(removed.all(|(_, id)| !is_applied(id)));
        self.store.apply(step.batch.clone());
        let Self { chain, store, .. } = self;
        assert_eq!(store.head(), Ok(Some(chain.head())));
        assert_eq!(store.irreversible_height(), Ok(chain.irreversible()));
        assert_eq!(store.certified_height(), Ok(chain.certified()));
        assert_eq!(store.latest_era(), Ok(Some(EraContext::clone(chain.era()))));
        assert_eq!(chain.forks().head(), chain.head().1);
        assert_eq!(chain.forks().root().0, chain.irreversible());
        let forks = store.fork_blocks().expect("it reads");
        assert_eq!(forks.len(), chain.forks().len());
        assert!(forks.iter().all(|(id, _)| chain.forks().contains(id)));
    }

    fn write_all(
        &mut self,
        mut next: impl FnMut(&mut Chain, &ModelStore) -> Result<Option<Step>, ChainError>,
    ) -> Result<Vec<Step>, ChainError> {
        let mut steps = Vec::new();
        while let Some(step) = next(&mut self.chain, &self.store)? {
            self.write(&step);
            steps.push(step);
        }
        Ok(steps)
    }

    /// What becomes of a resume message.
    pub fn resume(&mut self, message: &GovernanceMessage) -> Result<Option<Step>, ResumeRefusal> {
        self.go_on(&ResumeOrder::Governance(message.clone()))
    }

    /// What becomes of an order to go on.
    pub fn go_on(&mut self, order: &ResumeOrder) -> Result<Option<Step>, ResumeRefusal> {
        let step = self.chain.resume(&self.store, order);
        let step = step.expect("a resume is no fault")?;
        if let Some(step) = &step {
            self.write(step);
        }
        Ok(step)
    }

    /// The resume on the own block at `height`, with what else it says.
    pub fn resume_of(&self, height: Height, evidence: Vec<Evidence>) -> GovernanceAction {
        let (id, block) = self.block_at(height);
        let header = &block.header;
        GovernanceAction::Resume {
            reason: b"the fault is found".to_vec(),
            era: match block.body.era_end {
                Some(_) => header.era.next(),
                None => header.era,
            },
            height,
            block: id,
            state_root: header.state_root,
            minimum_version: SoftwareVersion {
                major: 0,
                minor: 0,
                patch: 0,
            },
            halts: Vec::new(),
            evidence,
        }
    }

    /// Blocks of a peer with the certificate of the last.
    pub(crate) fn import(
        &mut self,
        blocks: &[(BlockId, Block)],
        certificate: Certificate,
    ) -> Result<Vec<Step>, ChainError> {
        let response = response(blocks, Some(certificate));
        let range = self.chain.verify_range(&self.store, response)?;
        let mut range = range.expect("the range is proven");
        self.write_all(|chain, store| chain.import(store, &mut range))
    }

    pub(crate) fn refusal(&self, response: BlocksResponse) -> RangeError {
        let range = self.chain.verify_range(&self.store, response);
        range
            .expect("the store reads")
            .expect_err("the range is refused")
    }

    pub fn certify(&mut self, certificate: Certificate) -> Result<Vec<Step>, ChainError> {
        let mut certificate = Some(certificate);
        self.write_all(|chain, store| match certificate.take() {
            Some(certificate) => chain.certify(store, certificate),
            None => chain.choose(store),
        })
    }

    pub(crate) fn choose(&mut self) -> Result<Vec<Step>, ChainError> {
        self.write_all(|chain, store| chain.choose(store))
    }

    /// The block of a producer in the slot at `timestamp`, made here.
    pub fn produce(
        &mut self,
        producer: AccountName,
        key: u16,
        timestamp: TimestampMs,
        transactions: &[SignedTransaction],
    ) -> Result<(BlockId, Block), OfferRefusal> {
        let transactions = transactions.iter().map(|transaction| {
            VerifiedTransaction::trust(transaction.body.id(&CHAIN), transaction.clone())
        });
        let proposal = EmergencyProposal {
            producer,
            timestamp,
            signer: &key_pair(key),
            transactions: transactions.collect(),
            evidence: Vec::new(),
            governance: Vec::new(),
        };
        let step = self.chain.produce(&self.store, proposal);
        let step = step.expect("to produce is no fault")?;
        self.write(&step.expect("a block was made"));
        Ok(self.block_at(self.head().0))
    }

    /// What becomes of an emergency block of a peer.
    pub(crate) fn take(&mut self, block: &Block) -> Result<Option<Step>, OfferRefusal> {
        let step = self.chain.offer(&self.store, block.clone());
        let step = step.expect("a block of a peer is no fault of ours")?;
        if let Some(step) = &step {
            self.write(step);
        }
        Ok(step)
    }

    pub(crate) fn is_provisional(&self) -> bool {
        let is_provisional = self.chain.is_provisional(&self.store);
        is_provisional.expect("the store reads")
    }

    /// Blocks without a certificate, of any origin.
    pub(crate) fn offer(&mut self, blocks: &[(BlockId, Block)]) -> Result<Vec<Step>, ChainError> {
        let mut steps = Vec::new();
        for (id, block) in blocks {
            let mut work = Work::default();
            let inserted = self.chain.forks.insert(ForkEntry::of(*id, &block.header));
            self.chain.inserted(*id, block, inserted, &mut work)?;
            work.keep_fork(*id, block.clone());
            self.chain.check_contradiction(&self.store, &work)?;
            self.chain.settle(&self.store, &mut work)?;
            if let Some(step) = work.finish(&self.chain.forks) {
                self.write(&step);
                steps.push(step);
            }
        }
        Ok(steps)
    }
}

pub(crate) fn response(
    blocks: &[(BlockId, Block)],
    certificate: Option<Certificate>,
) -> BlocksResponse {
    BlocksResponse {
        blocks: blocks.iter().map(|(_, block)| block.clone()).collect(),
        certificate,
        end_votes: None,
    }
}

/// What a quorum of the first committee says of a block.
pub(crate) fn certificate((id, block): &(BlockId, Block)) -> Certificate {
    sign(
        AttestationBody::of_block(*id, &block.header),
        (0..3).zip(0..),
    )
}

/// What the first quorum of the committee of an era says of a block.
pub fn certificate_in(context: &EraContext, (id, block): &(BlockId, Block)) -> Certificate {
    let signers = (0..)
        .zip(key_numbers(context))
        .take(context.committee.quorum());
    sign(AttestationBody::of_block(*id, &block.header), signers)
}

fn sign(body: AttestationBody, signers: impl Iterator<Item = (u16, u16)>) -> Certificate {
    let signatures = signers
        .map(|(author, key)| {
            let signed = body.sign(AuthorityIndex(author), &CHAIN, &key_pair(key));
            (signed.author, signed.signature)
        })
        .collect();
    Certificate { body, signatures }
}

/// Numbers of the keys of a committee, in its order.
pub(crate) fn key_numbers(context: &EraContext) -> impl Iterator<Item = u16> {
    let members = context.committee.members().iter();
    members.map(|member| {
        (0..VALIDATORS)
            .find(|number| validator_account(*number) == member.account)
            .expect("a validator of genesis")
    })
}

/// Two vertices of one slot.
pub(crate) fn equivocation(context: &EraContext, author: u16, round: u64) -> Evidence {
    let key = key_numbers(context).nth(usize::from(author));
    let key = key_pair(key.expect("a member"));
    let signed = |timestamp| {
        let draft = VertexDraft {
            era: context.era,
            round: Round(round),
            author: AuthorityIndex(author),
            timestamp: TimestampMs(timestamp),
            parents: genesis_refs(context),
            payload: VertexPayload::default(),
        };
        draft.sign(&CHAIN, &key).vertex().signed.clone()
    };
    let mut both = [signed(1), signed(2)];
    both.sort_by_key(|one| one.header.digest(&CHAIN));
    let [first, second] = both;
    Evidence::Equivocation { first, second }
}

/// Asserts that the applied branch of a store is what executing it from genesis on gives.
pub(crate) fn assert_same_branch(store: &ModelStore, from_scratch: &ModelStore) {
    assert_eq!(store.head(), from_scratch.head());
    assert_eq!(store.state_values(), from_scratch.state_values());
    assert_eq!(store.live_nodes(), from_scratch.live_nodes());
    assert_eq!(store.latest_era(), from_scratch.latest_era());
    let (head, _) = store.head().expect("it reads").expect("there is a head");
    let mut height = Height::ZERO;
    while height <= head {
        assert_eq!(store.block_at(height), from_scratch.block_at(height));
        assert_eq!(store.block_id_at(height), from_scratch.block_id_at(height));
        assert_eq!(store.undo(height), from_scratch.undo(height));
        assert_eq!(store.receipts_at(height), from_scratch.receipts_at(height));
        let (_, block) = store
            .block_id_at(height)
            .expect("it reads")
            .zip(store.block_at(height).expect("it reads"))
            .expect("there is such a block");
        for transaction in &block.body.transactions {
            let id = transaction.body.id(&CHAIN);
            assert_eq!(
                store.transaction_place(&id),
                from_scratch.transaction_place(&id)
            );
        }
        height = height.next();
    }
    let latest = from_scratch.latest_era().expect("it reads");
    let latest = latest.map_or(Era::ZERO, |context| context.era);
    for era in 0..=latest.0 {
        assert_eq!(store.era(Era(era)), from_scratch.era(Era(era)));
    }
}
