//! From one branch of the chain to another (rule R8).

use super::Replica;
use crate::io::{Now, Output, ReturnedTransaction};
use crate::mempool::{Admission, Origin};
use crate::record::Record;
use holdfast_types::Height;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Replica {
    /// Blocks above `common_ancestor` were taken back. `transactions` were in them and are nowhere on the chain now, each
    /// with the nonce that its sender has now.
    pub(super) fn on_taken_back(
        &mut self,
        now: Now,
        common_ancestor: Height,
        transactions: Vec<ReturnedTransaction>,
        out: &mut Output,
    ) {
        self.to_attest.retain(|body| body.height <= common_ancestor);
        let begins_at = self.certified_anchor().map(|anchor| anchor.height);
        self.chain_is_elsewhere |= begins_at.is_some_and(|height| height > common_ancestor);
        if let Some(pending) = &self.pending_era
            && pending.context.anchor_height > common_ancestor
        {
            self.pending_era = None;
            self.reopen_emergency(now, out);
        }
        self.recent_nonces.taken_back(common_ancestor);
        let nonces: BTreeMap<_, _> = transactions
            .iter()
            .filter_map(|(transaction, nonce)| Some((transaction.body().sender, (*nonce)?)))
            .collect();
        let mut left = Vec::new();
        for (sender, nonce) in &nonces {
            left.extend(self.mempool.account_nonce_changed(sender, *nonce));
        }
        for (transaction, nonce) in transactions {
            let admitted = nonce.map(|nonce| {
                let returning = Arc::clone(&transaction);
                self.mempool.insert(returning, nonce, Origin::Returning)
            });
            // What is refused has expired, or another of its nonce has come meanwhile. Without its account it can only
            // fail.
            if admitted == Some(Ok(Admission::Admitted)) || self.mempool.contains(&transaction.id())
            {
                out.persist.push(Record::MempoolInsert(transaction));
            } else {
                left.push(transaction.id());
            }
        }
        if !left.is_empty() {
            out.persist.push(Record::MempoolRemove(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::{ChainStanding, Input};
    use crate::mempool::MempoolConfig;
    use crate::record::SignGuardRecord;
    use crate::replica::halts::ExecutedHead;
    use crate::replica::{ReplicaConfig, Restored};
    use crate::{SignGuard, Submission};
    use holdfast_chain::{ExecutedBlock, ExecutedTransaction};
    use holdfast_halt::HaltState;
    use holdfast_types::test_util::parameters::parameters;
    use holdfast_types::test_util::{CHAIN, era_context, key_pair};
    use holdfast_types::{
        AccountName, Action, AttestationBody, BlockId, CommitDigest, Era, EraContext, Signer,
        StateRoot, TimestampMs, TransactionBody, TransactionId, VerifiedTransaction,
    };

    const NOW: Now = Now {
        monotonic_ms: 0,
        wall: TimestampMs(1_000_000),
    };

    fn replica() -> Replica {
        let mempool = MempoolConfig {
            transactions_max: 100,
            bytes_max: 100_000,
            per_sender_max: 10,
            nonce_gap_max: 10,
            gap_lifetime_blocks: 10,
            foreign_delay_ms: 0,
        };
        let key = key_pair(1);
        let guard: SignGuardRecord = SignGuard::empty(key.public_key()).record().clone();
        let context = Arc::new(era_context(4));
        let restored = Restored {
            context,
            ended: None,
            commits: Vec::new(),
            tail: None,
            vertices: Vec::new(),
            own_last: None,
            recent: Vec::new(),
            anchor_certificate: None,
            open_ends: Vec::new(),
            end_votes: None,
            certified: Height::ZERO,
            signer: Some((Arc::new(key), guard)),
            mempool: Vec::new(),
            halts: HaltState::default(),
            evidence: Vec::new(),
            head: ExecutedHead::default(),
            head_timestamp: TimestampMs::ZERO,
            emergency: Default::default(),
        };
        let config = ReplicaConfig {
            listen_limit_ms: 0,
            listen_min_ms: 0,
            ..ReplicaConfig::new(CHAIN, &parameters(), mempool)
        };
        Replica::restore(config, restored, NOW).0
    }

    fn transaction(nonce: u64) -> Arc<VerifiedTransaction> {
        let signer = key_pair(7);
        let name = |text| AccountName::new(text).expect("the name obeys the rule");
        let body = TransactionBody {
            sender: name("alice"),
            public_key: signer.public_key(),
            nonce,
            fee_max: 10,
            expires_at: None,
            action: Action::Transfer {
                to: name("bob"),
                amount: 1,
                memo: Vec::new(),
            },
        };
        let id = body.id(&CHAIN);
        Arc::new(VerifiedTransaction::trust(id, body.sign(&CHAIN, &signer)))
    }

    fn block(height: u64, nonces: &[u64], next_era: Option<Arc<EraContext>>) -> ExecutedBlock {
        let executed = |nonce: &u64| {
            let transaction = transaction(*nonce);
            ExecutedTransaction {
                id: transaction.id(),
                sender: transaction.body().sender,
                nonce: *nonce,
                nonce_consumed: true,
            }
        };
        ExecutedBlock {
            attestation: AttestationBody {
                era: Era(1),
                height: Height(height),
                block: BlockId::new([height as u8; 32]),
                commit: CommitDigest::default(),
                state_root: StateRoot::default(),
            },
            timestamp: TimestampMs(1_000_000 + height),
            commit: None,
            transactions: nonces.iter().map(executed).collect(),
            lib: Height::ZERO,
            live_time: TimestampMs::ZERO,
            governance_sequence: None,
            evidence: Vec::new(),
            next_era,
            open_ends: Vec::new(),
            emergency: Default::default(),
            contradictions: Vec::new(),
        }
    }

    fn submit(replica: &mut Replica, nonces: std::ops::Range<u64>) {
        let submissions = nonces.map(|nonce| Submission {
            transaction: transaction(nonce),
            account_nonce: 0,
            as_of: Height::ZERO,
            origin: Origin::Local,
        });
        let out = replica.step(NOW, Input::Transactions(submissions.collect()));
        assert!(out.submissions.iter().all(Result::is_ok));
    }

    fn inserted(out: &Output) -> Vec<TransactionId> {
        let record = |record: &Record| match record {
            Record::MempoolInsert(transaction) => Some(transaction.id()),
            _ => None,
        };
        out.persist.iter().filter_map(record).collect()
    }

    #[test]
    fn what_was_taken_back_waits_again_and_is_durable() {
        let mut replica = replica();
        submit(&mut replica, 0..4);
        drop(replica.step(
            NOW,
            Input::Executed(vec![block(1, &[0], None), block(2, &[1, 2], None)]),
        ));
        assert_eq!(replica.mempool().len(), 1);
        let returned = vec![
            (transaction(1), Some(1)),
            (transaction(2), Some(1)),
            (transaction(9), None),
        ];
        let out = replica.step(
            NOW,
            Input::TakenBack {
                common_ancestor: Height(1),
                transactions: returned,
            },
        );
        assert_eq!(inserted(&out), [transaction(1).id(), transaction(2).id()]);
        let left = vec![transaction(9).id()];
        assert!(
            out.persist
                .iter()
                .any(|record| matches!(record, Record::MempoolRemove(ids) if *ids == left)),
            "stored with the step, and not admitted"
        );
        // Nonce 3 is in flight since before: an own vertex carries it.
        let taken = replica.mempool.take(NOW.monotonic_ms, 10, 10_000);
        let nonces: Vec<u64> = taken.iter().map(|it| it.body().nonce).collect();
        assert_eq!(nonces, [1, 2]);
    }

    #[test]
    fn a_block_that_was_taken_back_is_not_attested() {
        let mut replica = replica();
        // Between eras there is no DAG that could carry the attestations at once.
        replica.dag = None;
        drop(replica.step(
            NOW,
            Input::Executed(vec![block(1, &[], None), block(2, &[], None)]),
        ));
        assert_eq!(replica.to_attest.len(), 2);
        let taken_back = |common_ancestor| Input::TakenBack {
            common_ancestor,
            transactions: Vec::new(),
        };
        drop(replica.step(NOW, taken_back(Height(1))));
        assert_eq!(replica.to_attest.len(), 1);
        assert_eq!(replica.to_attest[0].height, Height(1));
    }

    #[test]
    fn an_era_whose_anchor_was_taken_back_does_not_start() {
        let next = |anchor: u8| {
            Arc::new(EraContext {
                era: Era(2),
                anchor: BlockId::new([anchor; 32]),
                anchor_height: Height(2),
                ..era_context(4)
            })
        };
        let mut replica = replica();
        drop(replica.step(NOW, Input::Executed(vec![block(2, &[], Some(next(2)))])));
        assert!(replica.pending_era.is_some());
        drop(replica.step(
            NOW,
            Input::TakenBack {
                common_ancestor: Height(1),
                transactions: Vec::new(),
            },
        ));
        assert!(replica.pending_era.is_none());
        // The chain stands in an era of the same number on another anchor: that one runs, though the number is known.
        let synced = |context| {
            Input::Synced(Box::new(ChainStanding {
                end_votes: None,
                vertices: Vec::new(),
                tail: None,
                context,
                commits: Vec::new(),
                head: ExecutedHead::default(),
                head_timestamp: TimestampMs::ZERO,
                emergency: Default::default(),
            }))
        };
        replica.enter_context(NOW, next(2));
        let out = replica.step(NOW, synced(next(9)));
        assert_eq!(replica.context().anchor, BlockId::new([9; 32]));
        assert_eq!(out.era_started, Some(next(9)));
        assert!(!replica.is_between_eras());
    }
}
