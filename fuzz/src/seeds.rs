//! Well-formed inputs for every target: samples of the types, and where signatures count, signed ones.

use crate::targets::COMMITTEE_SIZE;
use borsh::BorshSerialize;
use holdfast_genesis::{AccountEntry, GenesisTime, NewChain, Template, ValidatorEntry};
use holdfast_types::codec::encode;
use holdfast_types::lockdown::{GossipedLockdown, LockdownNotice};
use holdfast_types::test_util::{
    self, CHAIN, Sample, Sampler, genesis_refs, key_pair, signing_hash, validator_account,
};
use holdfast_types::wire::{
    BlocksRequest, BlocksResponse, CertificateRequest, CertificateResponse, GossipedGovernance,
    GossipedStatement, LastVertexRequest, LastVertexResponse, MissingVerticesRequest, PeerStatus,
    TransactionBatch, VerticesRequest, VerticesResponse,
};
use holdfast_types::{
    AccountName, Attestation, AttestationBody, AuthorityIndex, Block, Certificate, Committee,
    EndStatement, EraContext, Evidence, HaltGossip, HaltNotice, Height, Parameters, PeerClaim,
    Receipt, Round, SignedTransaction, Signer, TimestampMs, TransactionBody, Vertex, VertexPayload,
    VertexRef,
};

macro_rules! sampled {
    ($($name:ident: $type:ty),* $(,)?) => {
        $(#[must_use]
        pub fn $name(case: u64) -> Vec<u8> {
            encode(&sample::<$type>(stringify!($name), case))
        })*
    };
}

sampled! {
    account_name: AccountName,
    block: Block,
    blocks_request: BlocksRequest,
    blocks_response: BlocksResponse,
    certificate_request: CertificateRequest,
    certificate_response: CertificateResponse,
    committee: Committee,
    era_context: EraContext,
    governance_message: GossipedGovernance,
    halt_message: HaltGossip,
    halt_notice: HaltNotice,
    last_vertex_request: LastVertexRequest,
    last_vertex_response: LastVertexResponse,
    lockdown_message: GossipedLockdown,
    lockdown_notice: LockdownNotice,
    missing_vertices_request: MissingVerticesRequest,
    parameters: Parameters,
    peer_status: PeerStatus,
    receipt: Receipt,
    vertices_request: VerticesRequest,
}

fn sample<T: Sample>(label: &str, case: u64) -> T {
    T::sample(&mut Sampler::new(label, case))
}

/// A sample in one of two cases, else the valid value that `make` gives.
fn sample_or<T: Sample + BorshSerialize>(
    label: &str,
    case: u64,
    make: impl Fn(u64) -> T,
) -> Vec<u8> {
    if case.is_multiple_of(2) {
        encode(&sample::<T>(label, case))
    } else {
        encode(&make(case))
    }
}

fn author_of(case: u64) -> AuthorityIndex {
    let author = Sampler::new("author", case).below(u32::from(COMMITTEE_SIZE));
    AuthorityIndex(u16::try_from(author).expect("a committee is small"))
}

fn signed_attestation(author: AuthorityIndex, case: u64) -> Attestation {
    let body = AttestationBody {
        era: test_util::era_context(COMMITTEE_SIZE).era,
        ..sample("attestation body", case)
    };
    body.sign(author, &CHAIN, &key_pair(author.0))
}

#[must_use]
pub fn attestation(case: u64) -> Vec<u8> {
    sample_or("attestation", case, |case| GossipedStatement {
        statement: EndStatement::Attestation(signed_attestation(author_of(case), case)),
        repetition: u32::try_from(case % 3).expect("it is small"),
    })
}

#[must_use]
pub fn certificate(case: u64) -> Vec<u8> {
    sample_or("certificate", case, |case| {
        let body: AttestationBody = sample("certificate body", case);
        let signatures = (0..COMMITTEE_SIZE)
            .map(AuthorityIndex)
            .filter(|author| case % 5 != u64::from(author.0))
            .map(|author| {
                (
                    author,
                    body.sign(author, &CHAIN, &key_pair(author.0)).signature,
                )
            })
            .collect();
        Certificate { body, signatures }
    })
}

#[must_use]
pub fn evidence(case: u64) -> Vec<u8> {
    sample_or("evidence", case, |case| {
        if case % 4 == 1 {
            equivocation(case)
        } else {
            contradiction(case)
        }
    })
}

fn contradiction(case: u64) -> Evidence {
    let author = author_of(case);
    let mut pair = [0, 1].map(|part| {
        let mut body = signed_attestation(author, case + part).body;
        body.height = Height(case);
        body.sign(author, &CHAIN, &key_pair(author.0))
    });
    pair.sort_by_key(|attestation| attestation.body);
    let [first, second] = pair;
    Evidence::ContradictoryAttestations { first, second }
}

fn equivocation(case: u64) -> Evidence {
    let pair = [0, 1].map(|part| {
        let attestations = vec![signed_attestation(author_of(case), case + part)];
        signed_vertex(case, attestations).signed
    });
    let [one, other] = pair;
    if one.header.digest(&CHAIN) < other.header.digest(&CHAIN) {
        Evidence::Equivocation {
            first: one,
            second: other,
        }
    } else {
        Evidence::Equivocation {
            first: other,
            second: one,
        }
    }
}

/// A document that is accepted: of each template in turn, with up to four validators.
#[must_use]
pub fn genesis(case: u64) -> Vec<u8> {
    let mut sampler = Sampler::new("genesis", case);
    let template = *sampler.pick(&Template::ALL);
    let validators = 1 + case % 4;
    let key = |number: u64| key_pair(u16::try_from(number).expect("few keys")).public_key();
    let account = |number: u64| validator_account(u16::try_from(number).expect("few validators"));
    let document = template.document(NewChain {
        chain_name: "fuzzed-chain".to_owned(),
        genesis_time: GenesisTime(TimestampMs(1_795_244_400_000 + case)),
        notes: format!("case {case}"),
        emergency_key: key(100),
        governance_keys: (200..212).map(key).collect(),
        governance_threshold: None,
        accounts: (0..validators)
            .map(|number| AccountEntry {
                name: account(number),
                key: key(300 + number),
                balance: 5_000_000,
            })
            .collect(),
        validators: (0..validators)
            .map(|number| ValidatorEntry {
                account: account(number),
                signing_key: (number < 3).then(|| key(number)),
                stake: 100_000_000_000,
                url: String::new(),
            })
            .collect(),
        treasury: case,
    });
    document.to_toml().expect("its numbers fit").into_bytes()
}

#[must_use]
pub fn peer_claim(case: u64) -> Vec<u8> {
    sample_or("peer claim", case, |case| {
        PeerClaim::sign(&CHAIN, b"peer", &key_pair(author_of(case).0))
    })
}

#[must_use]
pub fn signature_batch(case: u64) -> Vec<u8> {
    let mut sampler = Sampler::new("signature batch", case);
    let mut bytes = Vec::new();
    for number in 0..1 + sampler.below(5) {
        let message = signing_hash(sampler.bytes());
        let signer = key_pair(u16::try_from(number).expect("a batch is small"));
        bytes.extend_from_slice(signer.public_key().as_bytes());
        bytes.extend_from_slice(message.as_bytes());
        bytes.extend_from_slice(signer.sign(&message).as_bytes());
    }
    bytes
}

#[must_use]
pub fn text(case: u64) -> Vec<u8> {
    let mut sampler = Sampler::new("text", case);
    let text = match case % 3 {
        0 => AccountName::sample(&mut sampler).to_string(),
        1 => holdfast_types::BlockId::sample(&mut sampler).to_string(),
        _ => holdfast_types::Signature::sample(&mut sampler).to_string(),
    };
    text.into_bytes()
}

fn signed_transaction(case: u64) -> SignedTransaction {
    let signer = key_pair(author_of(case).0);
    let body = TransactionBody {
        public_key: signer.public_key(),
        ..sample("transaction body", case)
    };
    body.sign(&CHAIN, &signer)
}

#[must_use]
pub fn transaction(case: u64) -> Vec<u8> {
    sample_or("transaction", case, signed_transaction)
}

#[must_use]
pub fn transaction_batch(case: u64) -> Vec<u8> {
    sample_or("transaction batch", case, |case| TransactionBatch {
        transactions: (case..case + case % 4).map(signed_transaction).collect(),
    })
}

/// A vertex that verifies: of round 1 on the implied parents, or of a later round.
fn signed_vertex(case: u64, attestations: Vec<Attestation>) -> Vertex {
    let context = test_util::era_context(COMMITTEE_SIZE);
    let author = author_of(case);
    let round = Round(1 + case % 3);
    let mut parents = genesis_refs(&context);
    if round > Round(1) {
        for parent in &mut parents {
            *parent = VertexRef {
                round: round.previous(),
                author: parent.author,
                ..sample("parent", case)
            };
        }
    }
    let payload = VertexPayload {
        transactions: (case..case + case % 3).map(signed_transaction).collect(),
        attestations,
        evidence: (0..case % 2).map(|_| contradiction(case)).collect(),
        governance: Vec::new(),
        anchor_certificate: sample("anchor certificate", case),
    };
    test_util::vertex(&context, author, round, parents, payload)
        .vertex()
        .clone()
}

#[must_use]
pub fn vertex(case: u64) -> Vec<u8> {
    sample_or("vertex", case, |case| {
        signed_vertex(case, vec![signed_attestation(author_of(case), case)])
    })
}

#[must_use]
pub fn vertices_response(case: u64) -> Vec<u8> {
    sample_or("vertices response", case, |case| VerticesResponse {
        vertices: (case..case + case % 3)
            .map(|case| signed_vertex(case, Vec::new()))
            .collect(),
    })
}
