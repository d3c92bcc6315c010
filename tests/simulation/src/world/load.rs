//! What clients do, and how a node takes their transactions.

use super::{Event, World};
use crate::chain::client_account;
use crate::keys::FastScheme;
use crate::message::NodeId;
use holdfast_ledger::account;
use holdfast_replica::admission::{NotSubmitted, submission};
use holdfast_replica::{Input, Origin};
use holdfast_types::{SignedTransaction, TransactionId, VerifiedTransaction};

/// In so many of a thousand cases a client sends a transaction through a second node as well.
const TWICE_PER_MILLE: u64 = 100;
const PAUSE_AFTER_FAULTS_MS: u64 = 500;

impl World {
    pub(super) fn schedule_client(&mut self, client: usize) {
        let Some(pause_ms) = self.plan.client_pause_ms else {
            return;
        };
        let pause_ms = if self.faults_are_over() {
            PAUSE_AFTER_FAULTS_MS
        } else {
            self.random.between(pause_ms)
        };
        self.schedule(pause_ms, Event::Client(client));
    }

    pub(super) fn client_turn(&mut self, number: usize) {
        let oracle = &self.oracle;
        self.clients[number]
            .open
            .retain(|_, open| oracle.executed_at(&open.id).is_none());
        let chosen = if let Some(open) = self.clients[number].to_repeat() {
            Some((open.transaction.clone(), open.id))
        } else if !self.faults_are_over() && self.clients[number].has_room() {
            let to = client_account(self.random.position(self.clients.len()));
            let amount = self.random.between((1, 1000));
            let open = self.clients[number].transfer(&self.chain.id, to, amount);
            Some((open.transaction.clone(), open.id))
        } else {
            None
        };
        if let Some((transaction, id)) = chosen {
            let home = self.clients[number].home;
            self.submit_as(number, home, &transaction, id);
            if self.random.chance(TWICE_PER_MILLE) {
                let honest: Vec<NodeId> = self.honest().collect();
                let other = *self.random.pick(&honest);
                self.submit_as(number, other, &transaction, id);
            }
        }
        self.schedule_client(number);
    }

    fn submit_as(
        &mut self,
        client: usize,
        node: NodeId,
        transaction: &SignedTransaction,
        id: TransactionId,
    ) {
        if !self.expects(node, client, transaction.body.nonce) {
            return;
        }
        // What only another node has leaves a gap at home, and no node keeps what lies above a gap for long (rule M6).
        let is_kept = self.submit(node, transaction.clone());
        if is_kept && node == self.clients[client].home {
            let mut open = self.clients[client].open.values_mut();
            if let Some(open) = open.find(|open| open.id == id) {
                open.acknowledged = true;
            }
        }
    }

    /// A wallet asks its node for the next nonce. A node that is behind names a lower one, and would not keep for long what
    /// lies above it.
    fn expects(&self, node: NodeId, client: usize, nonce: u64) -> bool {
        let sender = self.clients[client].account();
        let Some(running) = &self.nodes[node].running else {
            return false;
        };
        let queued = running.replica.mempool().next_nonce(&sender);
        let state = account(self.nodes[node].disk.now(), &sender).expect("the state reads");
        queued.max(state.map(|account| account.nonce)) >= Some(nonce)
    }

    /// A client sends a transaction to a node; true if the node promises to keep it.
    pub fn submit(&mut self, node: NodeId, transaction: SignedTransaction) -> bool {
        if self.nodes[node].running.is_none() {
            return false;
        }
        let verified = VerifiedTransaction::verify(transaction, &self.chain.id, &FastScheme);
        let transaction = verified.expect("clients sign what they send");
        let id = transaction.id();
        let wall = self.nodes[node].now(self.now_ms).wall;
        let tables = self.nodes[node].disk.now();
        let submission = match submission(tables, transaction, wall, Origin::Local) {
            Ok(submission) => submission,
            Err(NotSubmitted::Executed(_)) => return true,
            Err(NotSubmitted::Failing(_) | NotSubmitted::Store(_)) => return false,
        };
        let answers = self.step(node, Input::Transactions(vec![submission]));
        let admitted = answers.is_some_and(|answers| matches!(answers[..], [Ok(_)]));
        if admitted {
            self.trace
                .add(self.now_ms, node, 0, || format!("acknowledges {id:?}"));
            let tables = self.nodes[node].disk.synced();
            if !tables.queues(&id) && self.oracle.executed_at(&id).is_none() {
                self.oracle.violated(format!(
                    "durability: node {node} acknowledges {id} too early"
                ));
            }
            self.oracle.acknowledged(id, self.now_ms);
        }
        admitted
    }
}
