//! What of a snapshot is believed, and what is not (rules SN1 to SN4).

use super::*;
use crate::chain::fixture::{Commit, Node, certificate_in, transfer};
use crate::store::ChainStore;
use holdfast_types::test_util::CHAIN;
use holdfast_types::{Ed25519, StateRoot, TimestampMs};

/// A snapshot as it is read.
#[derive(Clone)]
struct Parts {
    first_era: EraContext,
    links: Vec<EraLink>,
    blocks: Vec<ExecutedRecord>,
    base: (Height, BlockId),
}

/// Three eras of three blocks each and one block more, all certified.
fn chain() -> Node {
    let mut node = Node::new();
    for round in 1..=10 {
        let commit = Commit::new(round).with(&[transfer(round - 1, "bob", 5)]);
        let commit = commit.that_supports_the_head();
        let context = EraContext::clone(node.chain.era());
        let block = node.order(if round % 3 == 0 {
            commit.that_ends_the_era()
        } else {
            commit
        });
        let certified = certificate_in(&context, &block);
        node.certify(certified).expect("it is ours");
    }
    assert_eq!(node.chain.era().era, Era(4));
    node
}

impl Parts {
    fn of(node: &Node, base: u64) -> Self {
        let (store, base) = (&node.store, Height(base));
        let era = |number| store.era(Era(number)).expect("it reads");
        let links: Vec<_> = (2..)
            .map_while(era)
            .take_while(|context| context.anchor_height <= base)
            .map(|context| EraLink {
                proof: store
                    .block_at(context.anchor_height)
                    .expect("it reads")
                    .map(|block| block.header)
                    .zip(store.certificate(context.anchor_height).expect("it reads")),
                context,
            })
            .collect();
        let before = links.iter().rev().nth(1);
        let lowest = before.map_or(0, |link| link.context.anchor_height.0);
        let blocks = (lowest..=base.0).map(|height| {
            let applied = store.applied_block(Height(height)).expect("it is there");
            ExecutedRecord {
                block: applied.block.clone(),
                receipts: applied.receipts.clone(),
                events: applied.events.clone(),
                certificate: store.certificate(Height(height)).expect("it reads"),
            }
        });
        Self {
            first_era: era(1).expect("it began"),
            links,
            blocks: blocks.collect(),
            base: (base, node.block_at(base).0),
        }
    }

    fn judge(&self, trusted: Option<BlockId>) -> Result<ProvenBase, SnapshotRefusal> {
        let mut verifier = BaseVerifier::new(CHAIN, self.first_era.clone(), trusted, &Ed25519);
        for link in &self.links {
            verifier.era(link)?;
        }
        for block in &self.blocks {
            verifier.block(block)?;
        }
        verifier.finish(self.base)
    }
}

#[test]
fn sn4_certificates_from_genesis_prove_every_base() {
    let node = chain();
    for base in 1..=10 {
        let parts = Parts::of(&node, base);
        let proven = parts.judge(None).expect("it is proven");
        let expected = ProvenBase {
            base: parts.base,
            lowest: Height(base / 3 * 3).minus(3),
            trust: Trust::Genesis,
            unproven: None,
        };
        assert_eq!(proven, expected);
    }
}

#[test]
fn sn2_genesis_needs_no_certificate_and_every_other_block_does() {
    let node = chain();
    assert!(Parts::of(&node, 0).judge(None).is_ok());
    let mut parts = Parts::of(&node, 8);
    parts.blocks.last_mut().expect("the base").certificate = None;
    let height = Height(8);
    assert_eq!(
        parts.judge(Some(parts.base.1)),
        Err(SnapshotRefusal::NotCertified { height })
    );
}

#[test]
fn sn4_where_a_proof_is_missing_a_trusted_block_stands_in() {
    let node = chain();
    let mut parts = Parts::of(&node, 10);
    parts.links[0].proof = None;
    let era = Era(4);
    assert_eq!(parts.judge(None), Err(SnapshotRefusal::NotProven { era }));
    // Any block from the lowest one on: from its era on there are proofs.
    for height in 6..=10 {
        let (trusted, _) = node.block_at(Height(height));
        let proven = parts.judge(Some(trusted)).expect("it is vouched for");
        assert_eq!(proven.trust, Trust::Block);
        assert_eq!(proven.unproven, Some(Era(2)));
    }
    let elsewhere = BlockId::new([9; 32]);
    let proven = parts.judge(Some(elsewhere)).expect("it may come above");
    assert_eq!(proven.trust, Trust::BlockAbove(elsewhere));
    // Without a proof from its era on, a block of the era before vouches for nothing.
    parts.links[2].proof = None;
    let (trusted, _) = node.block_at(Height(8));
    let base = Height(10);
    assert_eq!(
        parts.judge(Some(trusted)),
        Err(SnapshotRefusal::NotTrusted { trusted, base })
    );
    let (anchor, _) = node.block_at(Height(9));
    assert!(parts.judge(Some(anchor)).is_ok());
}

#[test]
fn sn3_an_era_that_is_not_as_its_anchor_says_is_refused() {
    let node = chain();
    let good = Parts::of(&node, 10);
    type Change = fn(&mut EraLink);
    let changes: [(Change, SnapshotRefusal); 4] = [
        (
            |link| link.context.era = Era(5),
            SnapshotRefusal::EraOrder { era: Era(5) },
        ),
        (
            |link| link.context.anchor_timestamp = TimestampMs(1),
            SnapshotRefusal::EraAnchor { era: Era(3) },
        ),
        (
            |link| {
                let members = link.context.committee.members()[..3].to_vec();
                link.context.committee = Committee::new(members).expect("three are enough");
            },
            SnapshotRefusal::EraAnchor { era: Era(3) },
        ),
        (
            |link| {
                let (_, certificate) = link.proof.as_mut().expect("it is there");
                certificate.signatures.pop();
            },
            SnapshotRefusal::Certificate {
                height: Height(6),
                error: CertificateError::NoQuorum {
                    actual: 2,
                    quorum: 3,
                },
            },
        ),
    ];
    for (change, refusal) in changes {
        let mut parts = good.clone();
        change(&mut parts.links[1]);
        assert_eq!(parts.judge(None), Err(refusal));
    }
    let mut parts = good;
    parts.links.remove(0);
    let era = Era(3);
    assert_eq!(parts.judge(None), Err(SnapshotRefusal::EraOrder { era }));
}

#[test]
fn sn1_blocks_that_are_not_those_of_the_base_are_refused() {
    let node = chain();
    let good = Parts::of(&node, 10);
    let trusted = Some(good.base.1);
    let refusal = |change: &dyn Fn(&mut Vec<ExecutedRecord>)| {
        let mut parts = good.clone();
        change(&mut parts.blocks);
        parts.judge(trusted).expect_err("it is another snapshot")
    };
    let height = Height(8);
    assert_eq!(
        refusal(&|blocks| drop(blocks.remove(1))),
        SnapshotRefusal::NotLinked { height }
    );
    assert_eq!(
        refusal(&|blocks| blocks[2].block.header.state_root = StateRoot::new([1; 32])),
        SnapshotRefusal::OtherCertificate { height }
    );
    let wrong = |part| SnapshotRefusal::WrongBody { height, part };
    assert_eq!(
        refusal(&|blocks| blocks[2].block.body.transactions.clear()),
        wrong("list of transactions")
    );
    assert_eq!(
        refusal(&|blocks| blocks[2].receipts[0].fee += 1),
        wrong("list of receipts")
    );
    assert_eq!(
        refusal(&|blocks| blocks[2].events.clear()),
        wrong("list of receipts")
    );
    assert_eq!(
        refusal(&|blocks| blocks[2].certificate = blocks[1].certificate.clone()),
        SnapshotRefusal::OtherCertificate { height }
    );
    let height = Height(10);
    assert_eq!(
        refusal(&|blocks| drop(blocks.pop())),
        SnapshotRefusal::WrongBase { height }
    );
    let (first, needed) = (Height(7), Height(6));
    assert_eq!(
        refusal(&|blocks| drop(blocks.remove(0))),
        SnapshotRefusal::TooShort { first, needed }
    );
}

#[test]
fn sn1_an_era_that_is_left_out_or_made_up_is_noticed_in_its_blocks() {
    let node = chain();
    let mut parts = Parts::of(&node, 10);
    parts.links.pop();
    let height = Height(9);
    assert_eq!(parts.judge(None), Err(SnapshotRefusal::WrongEra { height }));
    let mut parts = Parts::of(&node, 10);
    parts.links[2].proof = None;
    parts.links[2].context.anchor_height = Height(8);
    let height = Height(8);
    assert_eq!(parts.judge(None), Err(SnapshotRefusal::WrongEra { height }));
}
