//! Faults that a drill asks for: what a validator does whose execution is broken, or whose key runs twice.
//!
//! They are made at the edge of the core thread, so that the replica holds no switch for them. What is signed here the
//! sign guard never sees: that is the point. A node does it only if it was started with `--inject-fault`, only on a chain
//! whose genesis document allows it, and once for each SIGUSR1.

use super::start::NodeParts;
use crate::exit_codes::ExitCode;
use crate::failure::Failure;
use crate::supervisor::Supervisor;
use holdfast_chain::ExecutedBlock;
use holdfast_genesis::Genesis;
use holdfast_replica::{Input, Message, Now, Output};
use holdfast_types::{AttestationBody, ChainId, KeyPair, StateRoot, VerifiedVertex, VertexDraft};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{SignalKind, signal};

/// By this line a drill finds the moment of the fault in the log of the node.
pub const LOGGED: &str = "fault injected on request";

/// A way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum InjectedFault {
    /// Attest another state root than the block has.
    WrongRoot,
    /// Sign a second vertex for a slot.
    Equivocate,
}

impl InjectedFault {
    /// As the command line knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongRoot => "wrong-root",
            Self::Equivocate => "equivocate",
        }
    }

    /// Refuses what must not misbehave.
    ///
    /// # Errors
    /// When the chain does not allow it, or the node has no key to sign with.
    pub fn check(self, genesis: &Genesis, is_validator: bool) -> Result<(), Failure> {
        let refused = |why: &str, next_step: &str| {
            let what = format!("will not run with --inject-fault {}", self.name());
            Err(Failure::new(ExitCode::Usage, what, why, next_step))
        };
        if !genesis.parameters().fault_injection_allowed {
            return refused(
                "the genesis document of this chain says parameters.fault_injection_allowed = false",
                "run without --inject-fault; holdfast drill makes a chain of its own for it",
            );
        }
        if !is_validator {
            return refused(
                "this node has no signing key, so nothing that it says counts",
                "run without --inject-fault, or configure a validator",
            );
        }
        Ok(())
    }
}

/// Makes the fault when it is asked for.
#[derive(Debug)]
pub struct Saboteur {
    fault: InjectedFault,
    chain: ChainId,
    signer: Arc<KeyPair>,
    asked: Arc<AtomicBool>,
    /// A wrong attestation whose vertex has yet to leave.
    planted: Option<AttestationBody>,
    /// The last own vertex that left.
    last: Option<Arc<VerifiedVertex>>,
}

impl Saboteur {
    /// On a node that may misbehave, SIGUSR1 asks for it from now on.
    ///
    /// # Errors
    /// When the operating system refuses the handler.
    pub fn of(parts: &NodeParts, supervisor: &Supervisor) -> Result<Option<Self>, Failure> {
        let (Some(fault), Some(signer)) = (parts.inject_fault, &parts.signer) else {
            return Ok(None);
        };
        let mut requests = signal(SignalKind::user_defined1())
            .map_err(|error| Failure::disk("cannot listen to SIGUSR1", &error))?;
        let asked = Arc::new(AtomicBool::new(false));
        let stopping = supervisor.stopping();
        let flag = Arc::clone(&asked);
        supervisor.spawn_task("fault-requests", async move {
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return Ok(()),
                    _ = requests.recv() => flag.store(true, Ordering::Relaxed),
                }
            }
        });
        tracing::warn!(
            fault = fault.name(),
            "this node misbehaves on SIGUSR1: it was started with --inject-fault"
        );
        let (chain, signer) = (parts.genesis.chain_id(), Arc::clone(signer));
        Ok(Some(Self::new(fault, chain, signer, asked)))
    }

    const fn new(
        fault: InjectedFault,
        chain: ChainId,
        signer: Arc<KeyPair>,
        asked: Arc<AtomicBool>,
    ) -> Self {
        Self {
            fault,
            chain,
            signer,
            asked,
            planted: None,
            last: None,
        }
    }

    /// Before the replica takes an input: broken execution tells it of another state.
    pub fn before(&mut self, input: &mut Input) {
        let Input::Executed(blocks) = input else {
            return;
        };
        // The end of an era is attested otherwise than in vertices.
        let ordinary =
            |block: &&mut ExecutedBlock| block.commit.is_some() && block.next_era.is_none();
        let block = blocks.iter_mut().rfind(ordinary);
        if self.fault == InjectedFault::WrongRoot
            && let Some(block) = block
            && self.is_asked()
        {
            block.attestation.state_root = StateRoot::new([0xee; 32]);
            self.planted = Some(block.attestation);
        }
    }

    /// Before anything is sent: the second vertex of a slot goes out too. The slot is that of the vertex before, which the
    /// others have, so that all of them take the new one for the second.
    pub fn after(&mut self, now: Now, output: &mut Output) {
        let mut twins = Vec::new();
        for message in &output.send {
            let Message::Vertex(vertex) = message else {
                continue;
            };
            let carries = |wrong: &AttestationBody| {
                let attestations = vertex.payload().attestations.iter();
                attestations.map(|one| one.body).any(|body| body == *wrong)
            };
            if let Some(wrong) = self.planted.take_if(|wrong| carries(wrong)) {
                self.tell(
                    now,
                    format_args!("attested another state root for block {}", wrong.height),
                );
            }
            let era = vertex.header().era;
            let last = self.last.replace(Arc::clone(vertex));
            if self.fault == InjectedFault::Equivocate
                && let Some(last) = last.filter(|last| last.header().era == era)
                && self.is_asked()
            {
                self.tell(
                    now,
                    format_args!("signed a second vertex for round {}", last.round()),
                );
                twins.push(Message::Vertex(Arc::new(self.twin(&last))));
            }
        }
        output.send.append(&mut twins);
    }

    fn is_asked(&self) -> bool {
        self.asked.swap(false, Ordering::Relaxed)
    }

    /// The same slot with something else in it.
    fn twin(&self, vertex: &VerifiedVertex) -> VerifiedVertex {
        let header = vertex.header();
        let mut payload = vertex.payload().clone();
        payload.transactions.clear();
        VertexDraft {
            era: header.era,
            round: header.round,
            author: header.author,
            timestamp: header.timestamp.plus(1),
            parents: vertex.parents().to_vec(),
            payload,
        }
        .sign(&self.chain, self.signer.as_ref())
    }

    fn tell(&self, now: Now, what: fmt::Arguments<'_>) {
        tracing::warn!(fault = self.fault.name(), at_ms = now.wall.0, %what, "{LOGGED}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_types::{
        AuthorityIndex, BlockId, CommitDigest, CommitRecord, Era, Height, Round, TimestampMs,
        VertexDigest, VertexPayload, VertexRef,
    };

    const CHAIN: ChainId = ChainId::new([7; 32]);
    const NOW: Now = Now {
        monotonic_ms: 5,
        wall: TimestampMs(1_000),
    };

    fn saboteur(fault: InjectedFault) -> Saboteur {
        let signer = Arc::new(KeyPair::from_secret(&[9; 32]));
        Saboteur::new(fault, CHAIN, signer, Arc::new(AtomicBool::new(false)))
    }

    fn vertex(round: u64, attested: &[AttestationBody]) -> Arc<VerifiedVertex> {
        let key = KeyPair::from_secret(&[9; 32]);
        let author = AuthorityIndex(2);
        let attestations = attested.iter().map(|body| body.sign(author, &CHAIN, &key));
        let draft = VertexDraft {
            era: Era(1),
            round: Round(round),
            author,
            timestamp: TimestampMs(900),
            parents: Vec::new(),
            payload: VertexPayload {
                attestations: attestations.collect(),
                ..VertexPayload::default()
            },
        };
        Arc::new(draft.sign(&CHAIN, &key))
    }

    fn sent(saboteur: &mut Saboteur, vertex: &Arc<VerifiedVertex>) -> Vec<Arc<VerifiedVertex>> {
        let mut output = Output {
            send: vec![Message::Vertex(Arc::clone(vertex))],
            ..Output::default()
        };
        saboteur.after(NOW, &mut output);
        let vertices = output.send.into_iter().map(|message| match message {
            Message::Vertex(vertex) => vertex,
            other => panic!("nothing but vertices: {other:?}"),
        });
        vertices.collect()
    }

    fn body() -> AttestationBody {
        AttestationBody {
            era: Era(1),
            height: Height(4),
            block: BlockId::new([1; 32]),
            state_root: StateRoot::new([2; 32]),
            commit: CommitDigest::new([3; 32]),
        }
    }

    fn executed() -> Input {
        let leader = VertexRef {
            round: Round(3),
            author: AuthorityIndex(0),
            digest: VertexDigest::new([5; 32]),
        };
        Input::Executed(vec![ExecutedBlock {
            attestation: body(),
            timestamp: TimestampMs(800),
            commit: Some(CommitRecord {
                era: Era(1),
                index: 1,
                leader,
                previous: CommitDigest::default(),
                timestamp: TimestampMs(800),
                vertices: Vec::new(),
            }),
            transactions: Vec::new(),
            lib: Height(0),
            live_time: TimestampMs(800),
            governance_sequence: None,
            evidence: Vec::new(),
            next_era: None,
            open_ends: Vec::new(),
            emergency: Default::default(),
            contradictions: Vec::new(),
        }])
    }

    fn told(input: &Input) -> AttestationBody {
        match input {
            Input::Executed(blocks) => blocks[0].attestation,
            other => panic!("a block was executed: {other:?}"),
        }
    }

    #[test]
    fn the_second_vertex_of_a_slot_follows_the_next_one_once() {
        let mut saboteur = saboteur(InjectedFault::Equivocate);
        let first = vertex(1, &[]);
        assert_eq!(sent(&mut saboteur, &first).len(), 1);
        saboteur.asked.store(true, Ordering::Relaxed);
        let both = sent(&mut saboteur, &vertex(2, &[]));
        assert_eq!(both.len(), 2);
        let twin = &both[1];
        assert_eq!(twin.reference().slot(), first.reference().slot());
        assert_ne!(twin.reference(), first.reference());
        assert_eq!(sent(&mut saboteur, &vertex(3, &[])).len(), 1);
    }

    #[test]
    fn one_block_gets_another_state_root_and_only_when_asked() {
        let mut saboteur = saboteur(InjectedFault::WrongRoot);
        let mut input = executed();
        saboteur.before(&mut input);
        assert_eq!(told(&input), body());
        saboteur.asked.store(true, Ordering::Relaxed);
        saboteur.before(&mut input);
        let wrong = told(&input);
        assert_ne!(wrong.state_root, body().state_root);
        assert_eq!(wrong.commit, body().commit);
        assert_eq!(saboteur.planted, Some(wrong));
        assert_eq!(sent(&mut saboteur, &vertex(5, &[])).len(), 1);
        assert!(saboteur.planted.is_some(), "its vertex has yet to leave");
        assert_eq!(sent(&mut saboteur, &vertex(6, &[wrong])).len(), 1);
        assert!(saboteur.planted.is_none());
        let mut next = executed();
        saboteur.before(&mut next);
        assert_eq!(told(&next), body());
    }
}
