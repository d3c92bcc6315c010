//! A halted chain for tests.

use super::samples;
use crate::backend::BackendError;
use crate::dto::{
    BlockRef, EvidenceFate, EvidenceItem, EvidenceReceipt, GovernanceState, GovernanceSummary,
    Governor, HaltFigures, HaltInForce, HaltMatrix, HaltNotification, HaltPhase, HaltProof,
    HaltReport, Hash, HexBytes, JournalEntry, MatrixCell, MatrixRow, Number, ResumeMeter,
    ValidatorStanding,
};
use crate::feed::ChainEvent;
use serde_json::{Map, Value, json};

const HALTED_AT_MS: u64 = 1_767_225_700_000;

/// Id of the halt of the fake chain.
#[must_use]
pub const fn halt_id() -> Hash {
    Hash::new([0x5e; 32])
}

/// What the fake chain knows of halts.
#[derive(Debug, Default)]
pub(super) struct FakeHalts {
    pub(super) halted: bool,
    /// Why governance messages are refused; none: they are accepted.
    pub(super) governance_error: Option<BackendError>,
    pub(super) sequence: u64,
    /// Encodings of the evidence that waits.
    pub(super) evidence: Vec<Vec<u8>>,
    pub(super) punished: Vec<Vec<u8>>,
    pub(super) journal: Vec<JournalEntry>,
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

impl FakeHalts {
    /// Begins or ends a halt of governance, with an entry of the journal.
    pub(super) fn set_halted(&mut self, halted: bool, head: u64) -> ChainEvent {
        self.halted = halted;
        let index = self.journal.len() as u64;
        let previous = self
            .journal
            .last()
            .map_or_else(|| Hash::new([0; 32]), |entry| entry.hash);
        let event = if halted { "halt_began" } else { "halt_ended" };
        self.journal.push(JournalEntry {
            index: Number(index),
            hash: samples::sample_hash("journal", index),
            previous,
            at_ms: Number(HALTED_AT_MS + index),
            era: Number(1),
            head: Number(head),
            event: event.to_owned(),
            fields: object(json!({ "halt": halt_id(), "mode": "emergency_halt" })),
        });
        ChainEvent::Halts(Box::new(HaltNotification {
            chain_state: self.phase(),
            modes: self.modes(),
            halts: self.halts().iter().map(|halt| halt.id).collect(),
            own_fault: None,
            stall_reasons: Vec::new(),
            resume: None,
            ready: Vec::new(),
            differs: Vec::new(),
            evidence_waiting: Number(self.evidence.len() as u64),
        }))
    }

    const fn phase(&self) -> HaltPhase {
        if self.halted {
            HaltPhase::Halted
        } else {
            HaltPhase::Running
        }
    }

    fn modes(&self) -> Vec<String> {
        let halted = self.halted.then(|| "emergency_halt".to_owned());
        halted.into_iter().collect()
    }

    pub(super) fn halts(&self) -> Vec<HaltInForce> {
        let halt = self.halted.then(|| HaltInForce {
            id: halt_id(),
            mode: "emergency_halt".to_owned(),
            cause: None,
            sentence: "the governors ordered it".to_owned(),
            active: true,
            since_ms: Number(HALTED_AT_MS),
            until_ms: Some(Number(HALTED_AT_MS + 86_400_000)),
            after_height: None,
            reason: Some("a bug in the bridge".to_owned()),
            sequence: Some(Number(7)),
        });
        halt.into_iter().collect()
    }

    pub(super) fn report(&self, head: BlockRef, certified: BlockRef, queued: usize) -> HaltReport {
        let standing = |authority: u16| ValidatorStanding {
            account: samples::name(&format!("validator-{authority}")),
            authority,
            is_this_node: authority == 0,
            head: Some(head.height),
            block_id: Some(head.id),
            state_root: Some(samples::sample_hash("state", head.height.get())),
            certified: Some(certified.height),
            attested: Some(head.height),
            version: Some("0.1.0".to_owned()),
            readiness: Some("not_asked".to_owned()),
            own_fault: None,
            seconds_since_heard: Some(0.5),
        };
        HaltReport {
            chain_state: self.phase(),
            modes: self.modes(),
            halts: self.halts(),
            own_fault: None,
            stall: None,
            figures: HaltFigures {
                era: Number(1),
                head,
                certified,
                seconds_since_commit: 0.25,
                committee_size: 4,
                quorum: 3,
                active_committee: 4,
                certified_vertices: 4,
                certified_threshold: 3,
            },
            resume: ResumeMeter {
                message_id: None,
                sequence: None,
                block: None,
                state_root: None,
                minimum_version: None,
                needed: 3,
                ready: Vec::new(),
                differs: Vec::new(),
                waiting: (0..3)
                    .map(|n| samples::name(&format!("validator-{n}")))
                    .collect(),
                missing: vec![samples::name("validator-3")],
                validators: (0..3).map(standing).collect(),
            },
            transactions_queued: Number(queued as u64),
            evidence_waiting: Number(self.evidence.len() as u64),
            journal_entries: Number(self.journal.len() as u64),
            next_command: "holdfast governance draft resume --from-node URL --reason TEXT --output resume.json"
                .to_owned(),
            runbook: "docs/runbooks/emergency-halt.md".to_owned(),
        }
    }

    pub(super) fn matrix(&self) -> HaltMatrix {
        let cell = |permission: &str, wording: &str| MatrixCell {
            mode: "emergency_halt".to_owned(),
            permission: permission.to_owned(),
            wording: wording.to_owned(),
        };
        let row = |activity: &str, cell: MatrixCell, allowed: bool| MatrixRow {
            activity: activity.to_owned(),
            now: if self.halted {
                &cell.permission
            } else {
                "continues"
            }
            .to_owned(),
            now_wording: if self.halted {
                &cell.wording
            } else {
                "continues"
            }
            .to_owned(),
            allowed: allowed || !self.halted,
            cells: vec![cell],
        };
        HaltMatrix {
            modes: vec!["emergency_halt".to_owned()],
            modes_now: self.modes(),
            rows: vec![
                row("vertex_production", cell("stopped", "stops"), false),
                row("slashing_evidence", cell("continues", "continues"), true),
            ],
        }
    }

    pub(super) fn history(&self, from: u64, limit: usize) -> Vec<JournalEntry> {
        let entries = self.journal.iter();
        let after = entries.filter(|entry| entry.index.get() >= from);
        after.take(limit).cloned().collect()
    }

    pub(super) fn proof(&self, id: &Hash) -> Option<HaltProof> {
        (self.halted && *id == halt_id()).then(|| HaltProof {
            id: halt_id(),
            mode: "emergency_halt".to_owned(),
            kind: "governance_message".to_owned(),
            proof: object(json!({ "sequence": 7, "action": "halt" })),
            encoded: HexBytes(vec![7, 0, 0, 0]),
        })
    }

    fn summary(sequence: u64) -> GovernanceSummary {
        GovernanceSummary {
            id: halt_id(),
            sequence: Number(sequence),
            action: "halt".to_owned(),
            reason: Some("a bug in the bridge".to_owned()),
        }
    }

    pub(super) fn governance(&self) -> GovernanceState {
        GovernanceState {
            chain_id: samples::sample_hash("chain", 0),
            governors: (0..3)
                .map(|position| Governor {
                    position,
                    public_key: samples::sample_hash("governor", position.into()),
                })
                .collect(),
            threshold: 2,
            sequence_on_chain: Number(0),
            sequence_accepted: Number(self.sequence),
            sequence_next: Number(self.sequence + 1),
            waiting: (self.sequence > 0)
                .then(|| Self::summary(self.sequence))
                .into_iter()
                .collect(),
            halt: self.halts().pop(),
            resume: None,
            halt_max_ms: Number(2_592_000_000),
        }
    }

    /// The first byte is the sequence number of a message of the fake chain.
    pub(super) fn submit_governance(
        &mut self,
        message: &[u8],
    ) -> Result<GovernanceSummary, BackendError> {
        if let Some(error) = &self.governance_error {
            return Err(error.clone());
        }
        self.sequence = message.first().copied().unwrap_or_default().into();
        Ok(Self::summary(self.sequence))
    }

    pub(super) fn evidence_items(&self) -> Vec<EvidenceItem> {
        let item = |encoded: &Vec<u8>| EvidenceItem {
            slot: samples::transaction_id(encoded),
            offence: "equivocation".to_owned(),
            era: Number(1),
            authority: 3,
            offender: Some(samples::name("validator-3")),
            round: Some(Number(12)),
            height: None,
            encoded: HexBytes(encoded.clone()),
        };
        self.evidence.iter().map(item).collect()
    }

    pub(super) fn submit_evidence(
        &mut self,
        evidence: &[u8],
    ) -> Result<EvidenceReceipt, BackendError> {
        if evidence.is_empty() {
            return Err(BackendError::EvidenceRejected {
                reason: "malformed".to_owned(),
                message: "evidence is not empty".to_owned(),
            });
        }
        let is_listed = |list: &[Vec<u8>]| list.iter().any(|known| known == evidence);
        let status = if is_listed(&self.punished) {
            EvidenceFate::Punished
        } else if is_listed(&self.evidence) {
            EvidenceFate::Known
        } else {
            self.evidence.push(evidence.to_vec());
            EvidenceFate::Accepted
        };
        Ok(EvidenceReceipt {
            slot: samples::transaction_id(evidence),
            status,
        })
    }
}
