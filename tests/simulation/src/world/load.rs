//! What clients do, and how a node takes their transactions.

use super::{Event, World, told};
use crate::chain::client_account;
use crate::message::NodeId;
use crate::oracle::Rule;
use crate::trace::Told;
use holdfast_ledger::account;
use holdfast_replica::admission::{NotSubmitted, submission};
use holdfast_replica::{Input, Origin, Submission};
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
            Some(open.transaction.clone())
        } else if !self.faults_are_over() && self.clients[number].has_room() {
            let to = client_account(self.random.position(self.clients.len()));
            let amount = self.random.between((1, 1000));
            let open = self.clients[number].transfer(&self.chain.id, to, amount);
            Some(open.transaction.clone())
        } else {
            None
        };
        if let Some(transaction) = chosen {
            let home = self.clients[number].home;
            self.submit_as(number, home, &transaction);
            if self.random.chance(TWICE_PER_MILLE) {
                let honest: Vec<NodeId> = self.honest().collect();
                let other = *self.random.pick(&honest);
                self.submit_as(number, other, &transaction);
            }
        }
        self.schedule_client(number);
    }

    fn submit_as(&mut self, client: usize, node: NodeId, transaction: &SignedTransaction) {
        if !self.expects(node, client, transaction.body.nonce) {
            return;
        }
        self.verify(node, transaction.clone(), Some(client));
    }

    /// A wallet asks its node for the next nonce. A node that is behind names a lower one, and would not keep for long what
    /// lies above it.
    fn expects(&self, node: NodeId, client: usize, nonce: u64) -> bool {
        let sender = self.clients[client].account();
        let Some(running) = &self.nodes[node].running else {
            return false;
        };
        let queued = running.replica.mempool().next_nonce(&sender);
        // What does not read is no answer to the wallet.
        let Ok(state) = account(self.nodes[node].disk.now(), &sender) else {
            return false;
        };
        queued.max(state.map(|account| account.nonce)) >= Some(nonce)
    }

    /// A client sends a transaction to a node, which verifies it before its replica sees it.
    pub fn submit(&mut self, node: NodeId, transaction: SignedTransaction) {
        self.verify(node, transaction, None);
    }

    fn verify(&mut self, node: NodeId, transaction: SignedTransaction, client: Option<usize>) {
        if self.nodes[node].running.is_none() {
            return;
        }
        let verified = VerifiedTransaction::verify(transaction, &self.chain.id, &self.chain.scheme);
        let transaction = verified.expect("clients sign what they send");
        let id = transaction.id();
        let wall = self.nodes[node].now(self.now_ms).wall;
        let tables = self.nodes[node].disk.now();
        match submission(tables, transaction, wall, Origin::Local) {
            Ok(submission) => self.admit_later(node, vec![submission], client),
            Err(NotSubmitted::Executed(_)) => self.tell(node, id, client),
            Err(NotSubmitted::Failing(_) | NotSubmitted::Store(_)) => {}
        }
    }

    /// The core thread takes verified transactions when it comes to it: the state may have changed meanwhile.
    pub(super) fn admit_later(
        &mut self,
        node: NodeId,
        submissions: Vec<Submission>,
        client: Option<usize>,
    ) {
        let incarnation = self.nodes[node].incarnation;
        let after_ms = self.random.between(self.plan.verification_ms);
        self.schedule(
            after_ms,
            Event::Admit {
                node,
                incarnation,
                submissions,
                client,
            },
        );
    }

    pub(super) fn admit(
        &mut self,
        node: NodeId,
        submissions: Vec<Submission>,
        client: Option<usize>,
    ) {
        let locals: Vec<_> = submissions
            .iter()
            .map(|one| {
                // What expires is promised up to then only.
                let lasts = one.transaction.body().expires_at.is_none();
                (one.origin == Origin::Local && lasts).then(|| one.transaction.id())
            })
            .collect();
        for one in &submissions {
            self.trace.add(self.now_ms, node, 0, || told::takes(one));
        }
        let answers = self.step(node, Input::Transactions(submissions));
        for (id, answer) in locals.into_iter().zip(answers.unwrap_or_default()) {
            if let (Some(id), Ok(_)) = (id, answer) {
                self.acknowledge(node, id);
                self.tell(node, id, client);
            }
        }
    }

    /// The node promises to keep a transaction.
    fn acknowledge(&mut self, node: NodeId, id: TransactionId) {
        self.trace.add(self.now_ms, node, 0, || {
            Told::named(
                "promises its client to keep a transaction".to_owned(),
                format_args!("{id:?}"),
            )
        });
        if !self.nodes[node].is_honest() || !self.keeps(node) {
            return;
        }
        if !self.nodes[node].disk.keeps_transaction(&id) && !self.oracle.was_executed(&id) {
            self.oracle.violated(
                Rule::Durability,
                format!("node {node} acknowledges {id} too early"),
            );
        }
        self.oracle.acknowledged(id, self.now_ms);
    }

    /// What only another node than its home has leaves a gap there, and no node keeps what lies above a gap for long (rule
    /// M6): so only the word of the home counts.
    fn tell(&mut self, node: NodeId, id: TransactionId, client: Option<usize>) {
        let Some(client) = client.filter(|client| self.clients[*client].home == node) else {
            return;
        };
        let mut open = self.clients[client].open.values_mut();
        if let Some(open) = open.find(|open| open.id == id) {
            open.acknowledged = true;
        }
    }
}
