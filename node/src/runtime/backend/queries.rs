//! The queries of RPC.

use super::health::{self, Bounds};
use super::lockdown::vote_to_lock;
use super::{NodeBackend, convert, emergency, halts};
use crate::runtime::board::Standing;
use futures::future::BoxFuture;
use holdfast_chain::ChainStore;
use holdfast_ledger::keys::{AccountKey, StateKey};
use holdfast_ledger::{StateError, dynamic_properties};
use holdfast_network::{Direction, PeerClass as NetworkPeerClass};
use holdfast_replica::Locking;
use holdfast_rpc::dto::{
    Account, AccountName, AccountProof, Block, BlockDetail, BlockHeader, BlockRef, BlockSelector,
    Certificate, ChainState, Committee, EmergencyStatus, EvidenceItem, EvidenceReceipt, Finality,
    GovernanceState, GovernanceSummary, HaltMatrix, HaltProof, HaltReport, Hash, Head, HexBytes,
    JournalEntry, LockdownStatus, MempoolStatus, NodeInfo, Number, Peer, PeerClass, PeerDirection,
    PendingTransactions, Receipt, RiskStatus, SigningState, SigningStatus, Status, Syncing,
    Transaction, Validator,
};
use holdfast_rpc::{AttributedReceipt, Backend, BackendError, Feed, Health};
use holdfast_types as types;
use holdfast_types::{
    AuthorityIndex, BlockId, Era, Event, Height, LockdownTrigger, TimestampMs, TransactionId,
};
use serde_json::{Map, Value};

/// Validators listed at most.
pub(super) const VALIDATORS_MAX: u32 = 10_000;

impl NodeBackend {
    /// Position of this validator in the running committee, whether it signs, and why not.
    pub(super) fn signing(
        &self,
        standing: &Standing,
    ) -> (Option<AuthorityIndex>, SigningState, Option<String>) {
        let committee = &standing.context.committee;
        let key = self.parts.key;
        let authority = key.and_then(|key| committee.authority_of_key(&key));
        let (state, reason) = match (&standing.signing_stopped, key, authority) {
            (Some(reason), ..) => (SigningState::Refused, Some(reason.clone())),
            (None, None, _) => (SigningState::Disabled, Some("no signing key".to_owned())),
            (None, Some(_), None) => (
                SigningState::Disabled,
                Some("the key is not in the running committee".to_owned()),
            ),
            (None, Some(_), Some(_)) => (SigningState::Active, None),
        };
        (authority, state, reason)
    }

    pub(super) fn failed(error: &StateError) -> BackendError {
        BackendError::Internal {
            cause: error.to_string(),
        }
    }

    fn height_of(
        &self,
        selector: BlockSelector,
    ) -> Result<Option<(Height, BlockId)>, BackendError> {
        let storage = &self.parts.storage;
        let standing = self.parts.board.read();
        let height = match selector {
            BlockSelector::Head => standing.head,
            BlockSelector::Lib => standing.lib,
            BlockSelector::Certified => standing.certified,
            BlockSelector::Height(height) => Height(height),
            BlockSelector::Id(id) => {
                let id = BlockId::new(*id.as_bytes());
                let block = storage.block(&id).map_err(|error| Self::failed(&error))?;
                return Ok(block.map(|block| (block.header.height, id)));
            }
        };
        let id = storage
            .block_id_at(height)
            .map_err(|error| Self::failed(&error))?;
        match id {
            Some(id) => Ok(Some((height, id))),
            None if height <= standing.head => {
                let earliest = storage
                    .view()
                    .lowest_block()
                    .map_err(|error| Self::failed(&error))?;
                Err(BackendError::Pruned {
                    earliest: earliest.0,
                })
            }
            None => Ok(None),
        }
    }

    fn stored_block(
        &self,
        selector: BlockSelector,
    ) -> Result<Option<(BlockId, types::Block)>, BackendError> {
        let Some((_, id)) = self.height_of(selector)? else {
            return Ok(None);
        };
        let block = self
            .parts
            .storage
            .block(&id)
            .map_err(|error| Self::failed(&error))?;
        Ok(block.map(|block| (id, block)))
    }

    /// How final the block at a height of the best branch is.
    fn finality_at(&self, height: Height) -> Finality {
        let standing = self.parts.board.read();
        let provisional_lib = standing.is_provisional.then_some(standing.lib.0);
        Finality::of_block(height.0, standing.certified.0, provisional_lib)
    }

    fn bounds(&self) -> Bounds {
        Bounds::of(&self.parts.parameters)
    }
}

impl Backend for NodeBackend {
    fn status(&self) -> Result<Status, BackendError> {
        let standing = self.parts.board.read();
        let properties = dynamic_properties(self.parts.storage.as_ref())
            .map_err(|error| Self::failed(&error))?;
        let lib_id = self
            .parts
            .storage
            .block_id_at(standing.lib)
            .map_err(|error| Self::failed(&error))?
            .unwrap_or_default();
        let reference = |height: Height, id: &BlockId| BlockRef {
            height: Number(height.0),
            id: convert::hash(id.as_bytes()),
        };
        let size = |count: usize| u16::try_from(count).unwrap_or(u16::MAX);
        Ok(Status {
            chain_name: self.parts.chain_name.clone(),
            chain_id: convert::hash(self.parts.chain_id.as_bytes()),
            state: health::chain_state(&standing, self.bounds()),
            head: Head {
                height: Number(standing.head.0),
                id: convert::hash(standing.head_id.as_bytes()),
                timestamp_ms: Number(standing.head_timestamp.0),
            },
            lib: reference(standing.lib, &lib_id),
            certified: reference(standing.certified, &standing.certified_id),
            era: Number(standing.context.era.0),
            epoch: Number(properties.map_or(0, |properties| properties.epoch)),
            round: Number(standing.round.0),
            committee_size: size(standing.context.committee.size()),
            active_committee: size(standing.active_committee),
            syncing: standing.sync_target.map(|target| Syncing {
                target_height: Number(target.0),
                blocks_per_second: standing.sync_blocks_per_second,
            }),
            halts: halts::in_short(&standing.halts, crate::clock::wall())
                .into_iter()
                .chain(emergency::in_short(&standing))
                .collect(),
            seconds_since_commit: standing.head_changed_at.elapsed().as_secs_f64(),
            seconds_since_lib: standing.lib_changed_at.elapsed().as_secs_f64(),
            mempool: MempoolStatus {
                transactions: Number(standing.mempool_transactions as u64),
                bytes: Number(standing.mempool_bytes as u64),
            },
            peer_count: u32::try_from(self.parts.peers.all().len()).unwrap_or(u32::MAX),
        })
    }

    fn chain_state(&self) -> ChainState {
        health::chain_state(&self.parts.board.read(), self.bounds())
    }

    fn health(&self) -> Health {
        let frozen = self.parts.vitals.frozen();
        health::checks(&self.parts.board.read(), self.bounds(), frozen)
    }

    fn node_info(&self) -> Result<NodeInfo, BackendError> {
        let standing = self.parts.board.read();
        let (authority, state, reason) = self.signing(&standing);
        Ok(NodeInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            chain_id: convert::hash(self.parts.chain_id.as_bytes()),
            genesis_hash: convert::hash(self.parts.chain_id.as_bytes()),
            parameters_hash: convert::hash(&self.parts.parameters_hash),
            peer_id: self.parts.network.local_peer_id().to_string(),
            listen_addresses: self
                .parts
                .network
                .listen_addresses()
                .iter()
                .map(ToString::to_string)
                .collect(),
            validator: self
                .parts
                .validator_account
                .as_ref()
                .and_then(|account| account.parse().ok()),
            authority: authority.map(|authority| authority.0),
            is_validating: state == SigningState::Active,
            signing: SigningStatus { state, reason },
            uptime_seconds: Number(self.started.elapsed().as_secs()),
            started_at_ms: Number(self.started_at.0),
            data_format_version: holdfast_storage::FORMAT_VERSION,
        })
    }

    fn peers(&self) -> Result<Vec<Peer>, BackendError> {
        let standing = self.parts.board.read();
        let committee = &standing.context.committee;
        let peers = self.known_peers().into_iter().map(|peer| Peer {
            validator: self
                .parts
                .peers
                .key_of(&peer.peer_id)
                .and_then(|key| committee.authority_of_key(&key))
                .and_then(|authority| committee.member(authority))
                .map(|member| convert::account_name(&member.account)),
            peer_id: peer.peer_id.to_string(),
            address: peer.address.to_string(),
            direction: match peer.direction {
                Direction::Inbound => PeerDirection::Inbound,
                Direction::Outbound => PeerDirection::Outbound,
            },
            agent: peer.agent,
            latency_ms: peer.latency_ms,
            score: peer.score,
            class: match peer.class {
                NetworkPeerClass::Committee => PeerClass::Committee,
                NetworkPeerClass::Known => PeerClass::Configured,
                NetworkPeerClass::Other => PeerClass::Other,
            },
            connected_seconds: Number(peer.connected_since.elapsed().unwrap_or_default().as_secs()),
        });
        Ok(peers.collect())
    }

    fn parameters(&self) -> Result<Map<String, Value>, BackendError> {
        match serde_json::to_value(self.parts.parameters.as_ref()) {
            Ok(Value::Object(parameters)) => Ok(parameters),
            Ok(_) | Err(_) => Err(BackendError::Internal {
                cause: "the parameters are no JSON object".to_owned(),
            }),
        }
    }

    fn block(
        &self,
        selector: BlockSelector,
        detail: BlockDetail,
    ) -> Result<Option<Block>, BackendError> {
        let Some((id, block)) = self.stored_block(selector)? else {
            return Ok(None);
        };
        let height = block.header.height;
        let applied = self.parts.storage.block_id_at(height);
        let applied = applied.map_err(|error| Self::failed(&error))?;
        let finality = (applied == Some(id)).then(|| self.finality_at(height));
        let chain = &self.parts.chain_id;
        Ok(Some(convert::block(&block, &id, chain, detail, finality)))
    }

    fn header(&self, selector: BlockSelector) -> Result<Option<BlockHeader>, BackendError> {
        let block = self.stored_block(selector)?;
        Ok(block.map(|(id, block)| convert::header(&block.header, &id)))
    }

    fn transaction(&self, id: &Hash) -> Result<Option<Transaction>, BackendError> {
        let id = TransactionId::new(*id.as_bytes());
        let storage = &self.parts.storage;
        let place = storage
            .transaction_place(&id)
            .map_err(|error| Self::failed(&error))?;
        let Some((height, index)) = place else {
            let queued =
                storage
                    .mempool_transaction(&id)
                    .map_err(|error| BackendError::Internal {
                        cause: error.to_string(),
                    })?;
            return Ok(queued
                .map(|queued| convert::transaction(queued.transaction(), &self.parts.chain_id)));
        };
        let block = storage
            .block_at(height)
            .map_err(|error| Self::failed(&error))?;
        Ok(block.and_then(|block| {
            let position = usize::try_from(index).ok()?;
            let signed = block.body.transactions.get(position)?;
            Some(convert::transaction(signed, &self.parts.chain_id))
        }))
    }

    fn receipt(&self, id: &Hash) -> Result<Option<Receipt>, BackendError> {
        let id = TransactionId::new(*id.as_bytes());
        let view = self.parts.storage.view();
        let Some(found) = view.receipt(&id).map_err(|error| Self::failed(&error))? else {
            return Ok(None);
        };
        let block_id = view
            .block_id_at(found.height)
            .map_err(|error| Self::failed(&error))?
            .unwrap_or_default();
        Ok(Some(convert::receipt(
            &found.receipt,
            found.height,
            found.index,
            &block_id,
            self.finality_at(found.height),
        )))
    }

    fn block_receipts(
        &self,
        height: u64,
        id: &Hash,
    ) -> Result<Option<Vec<AttributedReceipt>>, BackendError> {
        let view = self.parts.storage.view();
        let height = Height(height);
        let block_id = BlockId::new(*id.as_bytes());
        let failed = |error: StateError| Self::failed(&error);
        if view.block_id_at(height).map_err(failed)? != Some(block_id) {
            return Ok(None);
        }
        let (Some(block), Some(receipts)) = (
            view.block_at(height).map_err(failed)?,
            view.receipts_at(height).map_err(failed)?,
        ) else {
            return Ok(None);
        };
        let finality = self.finality_at(height);
        let attributed = receipts
            .iter()
            .zip(&block.body.transactions)
            .zip(0u32..)
            .map(|((receipt, signed), index)| AttributedReceipt {
                receipt: convert::receipt(receipt, height, index, &block_id, finality),
                accounts: concerned(signed, receipt),
            })
            .collect();
        Ok(Some(attributed))
    }

    fn account(
        &self,
        name: &AccountName,
        with_proof: bool,
    ) -> Result<Option<Account>, BackendError> {
        let Ok(name) = types::AccountName::new(name.as_str()) else {
            return Ok(None);
        };
        let failed = |error: StateError| Self::failed(&error);
        let view = self.parts.storage.view();
        let Some((height, _)) = view.head().map_err(failed)? else {
            return Ok(None);
        };
        let Some(account) = holdfast_ledger::account(&view, &name).map_err(failed)? else {
            return Ok(None);
        };
        let proof = if with_proof {
            let (value, proof) =
                holdfast_ledger::prove_account(&view, &name, height).map_err(|error| {
                    BackendError::Internal {
                        cause: error.to_string(),
                    }
                })?;
            let block = view.block_at(height).map_err(failed)?;
            block.map(|block| AccountProof {
                state_root: convert::hash(block.header.state_root.as_bytes()),
                height: Number(height.0),
                key_hex: HexBytes(AccountKey(name).bytes()),
                value_hex: HexBytes(value.unwrap_or_default()),
                proof_hex: HexBytes(proof),
            })
        } else {
            None
        };
        Ok(Some(Account {
            name: convert::account_name(&name),
            public_key: convert::key(&account.public_key),
            balance: account.balance.into(),
            nonce: Number(account.nonce),
            as_of_height: Number(height.0),
            proof,
        }))
    }

    fn validators(&self) -> Result<Vec<Validator>, BackendError> {
        let failed = |error: StateError| Self::failed(&error);
        let view = self.parts.storage.view();
        let standing = self.parts.board.read();
        let committee = &standing.context.committee;
        let supports = holdfast_ledger::supports(&view).map_err(failed)?;
        let mut listed = Vec::new();
        for validator in holdfast_ledger::validators(&view, 0, VALIDATORS_MAX).map_err(failed)? {
            let owner = holdfast_ledger::account(&view, &validator.owner).map_err(failed)?;
            let Some(owner) = owner else { continue };
            let authority = committee.authority_of_account(&validator.owner);
            listed.push(Validator {
                account: convert::account_name(&validator.owner),
                signing_key: validator.signing_key.as_ref().map(convert::key),
                owner_key: convert::key(&owner.public_key),
                stake: validator.bonded.amount.into(),
                url: String::from_utf8_lossy(&validator.url).into_owned(),
                registered_at_ms: Number(validator.registered_at.0),
                jailed_until_ms: (validator.jailed_until > TimestampMs::ZERO)
                    .then_some(Number(validator.jailed_until.0)),
                last_supported_block: Number(
                    authority
                        .and_then(|authority| supports.get(authority.as_usize()))
                        .map_or(0, |height| height.0),
                ),
                in_committee: authority.is_some(),
                authority: authority.map(|authority| authority.0),
            });
        }
        listed.sort_by(|a, b| a.account.cmp(&b.account));
        Ok(listed)
    }

    fn committee(&self, era: Option<u64>) -> Result<Option<Committee>, BackendError> {
        let standing = self.parts.board.read();
        let Some(era) = era.map(Era).filter(|era| *era != standing.context.era) else {
            return Ok(Some(convert::committee(&standing.context)));
        };
        let context = self
            .parts
            .storage
            .era(era)
            .map_err(|error| Self::failed(&error))?;
        Ok(context.as_ref().map(convert::committee))
    }

    fn certificate(&self, height: u64) -> Result<Option<Certificate>, BackendError> {
        let certificate = self
            .parts
            .storage
            .certificate(Height(height))
            .map_err(|error| Self::failed(&error))?;
        Ok(certificate.as_ref().map(convert::certificate))
    }

    fn submit(&self, transaction: Vec<u8>) -> BoxFuture<'static, Result<Hash, BackendError>> {
        self.submit_encoded(transaction)
    }

    fn halt_report(&self) -> Result<HaltReport, BackendError> {
        Ok(self.report_of_halts())
    }

    fn emergency(&self) -> Result<EmergencyStatus, BackendError> {
        self.emergency_status()
    }

    fn halt_matrix(&self) -> Result<HaltMatrix, BackendError> {
        Ok(self.matrix_now())
    }

    fn halt_history(&self, from: u64, limit: usize) -> Result<Vec<JournalEntry>, BackendError> {
        self.journal_entries(from, limit)
    }

    fn halt_proof(&self, id: &Hash) -> Result<Option<HaltProof>, BackendError> {
        Ok(self.proof_of_halt(id))
    }

    fn lockdown(&self) -> Result<LockdownStatus, BackendError> {
        Ok(self.lockdown_status())
    }

    fn vote_lockdown(&self, reason: &str) -> Result<LockdownStatus, BackendError> {
        self.vote_in_lockdown(vote_to_lock(LockdownTrigger::Operator, reason))
    }

    fn pending(&self) -> Result<PendingTransactions, BackendError> {
        self.pending_transactions()
    }

    fn risk(&self) -> Result<RiskStatus, BackendError> {
        Ok(self.risk_status())
    }

    fn vote_recovery(&self) -> Result<LockdownStatus, BackendError> {
        self.vote_in_lockdown(Locking::VoteToGoOn)
    }

    fn governance(&self) -> Result<GovernanceState, BackendError> {
        self.governance_state()
    }

    fn submit_governance(&self, message: &[u8]) -> Result<GovernanceSummary, BackendError> {
        self.take_governance(message)
    }

    fn evidence(&self) -> Result<Vec<EvidenceItem>, BackendError> {
        Ok(self.evidence_waiting())
    }

    fn submit_evidence(&self, evidence: &[u8]) -> Result<EvidenceReceipt, BackendError> {
        self.take_evidence(evidence)
    }

    fn feed(&self) -> &Feed {
        &self.feed
    }
}

/// Accounts that a subscriber may filter a receipt by.
fn concerned(signed: &types::SignedTransaction, receipt: &types::Receipt) -> Vec<AccountName> {
    let mut names = vec![signed.body.sender];
    match &signed.body.action {
        types::Action::Transfer { to, .. } => names.push(*to),
        types::Action::CreateAccount { name, .. } => names.push(*name),
        types::Action::Stake { validator, .. } | types::Action::Unstake { validator, .. } => {
            names.push(*validator);
        }
        types::Action::UpdateKey { .. }
        | types::Action::RegisterValidator { .. }
        | types::Action::UpdateValidator { .. }
        | types::Action::VoteProperties { .. }
        | types::Action::VoteHardfork { .. } => {}
    }
    for event in &receipt.events {
        if let Event::Transferred { from, to, .. } = event {
            names.extend([*from, *to]);
        }
    }
    names.sort_unstable();
    names.dedup();
    names.iter().map(convert::account_name).collect()
}
