//! The targets. Every decoder is canonical: what it takes encodes to the same bytes again.

use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_genesis::Genesis;
use holdfast_types::codec::{decode, encode, encoded_len};
use holdfast_types::limits::{
    BLOCK_BYTES_MAX, CERTIFICATE_BYTES_MAX, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, VERTEX_BYTES_MAX,
};
use holdfast_types::lockdown::{GossipedLockdown, LockdownMessage, LockdownNotice};
use holdfast_types::merkle::merkle_root;
use holdfast_types::peer_claim::PEER_CLAIM_BYTES_MAX;
use holdfast_types::test_util::{self, CHAIN, key_pair, signing_hash};
use holdfast_types::wire::{
    BlocksRequest, BlocksResponse, CertificateRequest, CertificateResponse, GossipedGovernance,
    GossipedStatement, LastVertexRequest, LastVertexResponse, MissingVerticesRequest, PeerStatus,
    TransactionBatch, VerticesRequest, VerticesResponse,
};
use holdfast_types::{
    AccountName, AuthorityIndex, Block, BlockId, Certificate, Committee, Ed25519, EraContext,
    Evidence, HaltGossip, HaltNotice, Parameters, PeerClaim, PublicKey, Receipt, Round, Signature,
    SignatureCheck, SignatureScheme, SignedTransaction, TimestampMs, VerifiedTransaction,
    VerifiedVertex, Vertex, VertexDraft, VertexReject,
};
use std::fmt::{Debug, Display};
use std::hint::black_box;
use std::str::FromStr;

/// Members of the committee that the targets verify against.
pub const COMMITTEE_SIZE: u16 = 4;

/// Decodes within `limit` and asserts that the encoding is canonical.
fn canonical<T: BorshSerialize + BorshDeserialize + Debug>(
    bytes: &[u8],
    limit: usize,
) -> Option<T> {
    let value = decode::<T>("an input", bytes, limit).ok()?;
    assert_eq!(encode(&value), bytes, "two encodings of {value:?}");
    assert_eq!(encoded_len(&value), bytes.len());
    Some(value)
}

pub fn account_name(bytes: &[u8]) {
    if let Some(name) = canonical::<AccountName>(bytes, REQUEST_BYTES_MAX) {
        assert_eq!(AccountName::new(name.as_str()), Ok(name));
    }
}

pub fn attestation(bytes: &[u8]) {
    if let Some(gossiped) = canonical::<GossipedStatement>(bytes, REQUEST_BYTES_MAX) {
        let statement = gossiped.statement;
        let check = statement.signature_check(&CHAIN, &test_util::committee(COMMITTEE_SIZE));
        assert_eq!(check.is_some(), statement.author().0 < COMMITTEE_SIZE);
        if let Some(check) = check {
            black_box(Ed25519.verify(&check));
        }
    }
}

/// A block that decodes has an id and roots.
pub fn block(bytes: &[u8]) {
    if let Some(block) = canonical::<Block>(bytes, BLOCK_BYTES_MAX) {
        summarize(&block);
    }
}

fn summarize(block: &Block) {
    black_box(block.header.id(&CHAIN));
    black_box(block.body.system_root());
    let transactions = &block.body.transactions;
    let ids: Vec<_> = transactions
        .iter()
        .map(|transaction| transaction.body.id(&CHAIN))
        .collect();
    black_box(merkle_root(ids.iter().map(|id| id.as_bytes())));
    if let Some(commit) = &block.body.commit {
        black_box(commit.digest(&CHAIN));
    }
}

pub fn blocks_request(bytes: &[u8]) {
    canonical::<BlocksRequest>(bytes, REQUEST_BYTES_MAX);
}

pub fn blocks_response(bytes: &[u8]) {
    if let Some(response) = canonical::<BlocksResponse>(bytes, RESPONSE_BYTES_MAX) {
        response.blocks.iter().for_each(summarize);
        response.certificate.iter().for_each(verify_certificate);
    }
}

pub fn certificate(bytes: &[u8]) {
    if let Some(certificate) = canonical::<Certificate>(bytes, CERTIFICATE_BYTES_MAX) {
        verify_certificate(&certificate);
    }
}

/// A certificate that verifies has a quorum of distinct members.
fn verify_certificate(certificate: &Certificate) {
    let committee = test_util::committee(COMMITTEE_SIZE);
    if certificate.verify(&CHAIN, &committee, &Ed25519).is_ok() {
        let mut signers: Vec<_> = certificate
            .signatures
            .iter()
            .map(|(signer, _)| signer.0)
            .collect();
        signers.dedup();
        assert!(signers.is_sorted() && signers.len() >= committee.quorum());
        assert!(signers.iter().all(|signer| *signer < COMMITTEE_SIZE));
    }
}

pub fn certificate_request(bytes: &[u8]) {
    canonical::<CertificateRequest>(bytes, REQUEST_BYTES_MAX);
}

pub fn certificate_response(bytes: &[u8]) {
    if let Some(response) = canonical::<CertificateResponse>(bytes, RESPONSE_BYTES_MAX) {
        response.certificate.iter().for_each(verify_certificate);
    }
}

/// A committee that decodes obeys the rules of the constructor.
pub fn committee(bytes: &[u8]) {
    if let Some(committee) = canonical::<Committee>(bytes, RESPONSE_BYTES_MAX) {
        assert_eq!(
            Committee::new(committee.members().to_vec()).as_ref(),
            Ok(&committee)
        );
        assert!(committee.size() > 3 * committee.max_faulty());
        black_box(committee.hash());
    }
}

pub fn era_context(bytes: &[u8]) {
    if let Some(context) = canonical::<EraContext>(bytes, RESPONSE_BYTES_MAX) {
        black_box(context.seed(&CHAIN));
    }
}

pub fn evidence(bytes: &[u8]) {
    if let Some(evidence) = canonical::<Evidence>(bytes, REQUEST_BYTES_MAX) {
        black_box(evidence.slot_key());
        let verdict = evidence.verify(&CHAIN, &test_util::committee(COMMITTEE_SIZE), &Ed25519);
        assert!(verdict.is_err() || evidence.offender().0 < COMMITTEE_SIZE);
    }
}

/// A genesis document that is accepted can be shown, and written it is the same chain; a refusal names its field.
pub fn genesis(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let violations = Genesis::violations(text);
    match Genesis::parse(text) {
        Ok(genesis) => {
            assert_eq!(violations, []);
            black_box(genesis.show());
            black_box(genesis.warnings());
            let written = genesis
                .document()
                .to_toml()
                .expect("what was read can be written");
            let again = Genesis::parse(&written).expect("what was accepted is accepted");
            assert_eq!(again.chain_id(), genesis.chain_id());
        }
        Err(error) => {
            assert!(
                !error.field.is_empty() && !error.rule.is_empty(),
                "{error:?}"
            );
            assert_eq!(violations.first(), Some(&error));
        }
    }
}

pub fn last_vertex_request(bytes: &[u8]) {
    canonical::<LastVertexRequest>(bytes, REQUEST_BYTES_MAX);
}

pub fn last_vertex_response(bytes: &[u8]) {
    if let Some(response) = canonical::<LastVertexResponse>(bytes, RESPONSE_BYTES_MAX) {
        let committee = test_util::committee(COMMITTEE_SIZE);
        for header in response.of_author.iter().chain(&response.own) {
            black_box(header.signature_check(&CHAIN, &committee));
        }
    }
}

pub fn parameters(bytes: &[u8]) {
    canonical::<Parameters>(bytes, RESPONSE_BYTES_MAX);
}

pub fn peer_claim(bytes: &[u8]) {
    if let Some(claim) = canonical::<PeerClaim>(bytes, PEER_CLAIM_BYTES_MAX) {
        black_box(claim.verify(&CHAIN, b"peer", &Ed25519));
    }
}

pub fn peer_status(bytes: &[u8]) {
    canonical::<PeerStatus>(bytes, REQUEST_BYTES_MAX);
}

pub fn receipt(bytes: &[u8]) {
    if let Some(receipt) = canonical::<Receipt>(bytes, RESPONSE_BYTES_MAX) {
        black_box(receipt.hash());
    }
}

/// A batch of signatures is valid exactly if each of them is (ZIP-215).
pub fn signature_batch(bytes: &[u8]) {
    let checks: Vec<_> = bytes
        .chunks_exact(128)
        .take(8)
        .filter_map(|chunk| {
            let (key, rest) = chunk.split_first_chunk::<32>()?;
            let (message, signature) = rest.split_first_chunk::<32>()?;
            Some(SignatureCheck {
                key: PublicKey::new(*key),
                message: signing_hash(*message),
                signature: Signature::new(*signature.first_chunk::<64>()?),
            })
        })
        .collect();
    let each = checks.iter().all(|check| Ed25519.verify(check));
    assert_eq!(Ed25519.verify_batch(&checks), each, "{checks:?}");
}

/// Text forms of names, ids and keys: what parses prints as an equal value.
pub fn text(bytes: &[u8]) {
    fn check<T: FromStr + Display + PartialEq + Debug>(text: &str)
    where
        T::Err: Display,
    {
        match text.parse::<T>() {
            Ok(value) => assert!(
                value
                    .to_string()
                    .parse::<T>()
                    .is_ok_and(|again| again == value)
            ),
            Err(error) => assert!(
                error.to_string().len() < 4096,
                "errors quote a bounded part"
            ),
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        check::<AccountName>(text);
        check::<BlockId>(text);
        check::<PublicKey>(text);
        check::<Signature>(text);
    }
}

/// Besides the input itself, its body signed anew, so that what lies behind the signature check is reached.
pub fn transaction(bytes: &[u8]) {
    let Ok(transaction) = SignedTransaction::decode(bytes) else {
        return;
    };
    assert_eq!(
        encode(&transaction),
        bytes,
        "two encodings of {transaction:?}"
    );
    let id = transaction.body.id(&CHAIN);
    if let Ok(verified) = VerifiedTransaction::verify(transaction.clone(), &CHAIN, &Ed25519) {
        assert_eq!(verified.id(), id);
        assert_eq!(verified.encoded_bytes(), bytes.len());
    }
    let mut body = transaction.body;
    body.public_key = holdfast_types::Signer::public_key(&key_pair(1));
    let signed = body.sign(&CHAIN, &key_pair(1));
    let verdict = VerifiedTransaction::verify(signed, &CHAIN, &Ed25519);
    assert!(
        verdict.is_ok(),
        "decoded within limits and signed: {verdict:?}"
    );
}

pub fn transaction_batch(bytes: &[u8]) {
    if let Some(batch) = canonical::<TransactionBatch>(bytes, VERTEX_BYTES_MAX) {
        let transactions: Vec<_> = batch.transactions.into_iter().take(8).collect();
        let alone: Vec<_> = transactions
            .iter()
            .map(|transaction| VerifiedTransaction::verify(transaction.clone(), &CHAIN, &Ed25519))
            .collect();
        let together = VerifiedTransaction::verify_many(transactions, &CHAIN, &Ed25519);
        assert_eq!(together, alone);
    }
}

/// Besides the input itself, its content with hashes and signature made anew, so that the rules behind them are
/// reached.
pub fn vertex(bytes: &[u8]) {
    if let Some(vertex) = canonical::<Vertex>(bytes, VERTEX_BYTES_MAX) {
        verify_vertex(&vertex);
    }
}

fn verify_vertex(vertex: &Vertex) {
    let context = test_util::era_context(COMMITTEE_SIZE);
    let verify = |vertex| VerifiedVertex::verify(vertex, &CHAIN, &context, &Ed25519);
    if let Ok(verified) = verify(vertex.clone()) {
        assert_eq!(verified.vertex(), vertex);
        assert_eq!(verified.reference().author, vertex.signed.header.author);
    }
    let header = &vertex.signed.header;
    let draft = VertexDraft {
        era: context.era,
        round: header.round,
        author: header.author,
        timestamp: header.timestamp,
        parents: vertex.parents.clone(),
        payload: vertex.payload.clone(),
    };
    let signed = draft.sign(&CHAIN, &key_pair(header.author.0));
    let verdict = verify(signed.vertex().clone());
    assert!(
        !matches!(
            verdict,
            Err(VertexReject::WrongHash { .. } | VertexReject::WrongEra { .. })
        ),
        "hashes and era are those of the content: {verdict:?}"
    );
}

pub fn governance_message(bytes: &[u8]) {
    canonical::<GossipedGovernance>(bytes, RESPONSE_BYTES_MAX);
}

pub fn halt_message(bytes: &[u8]) {
    canonical::<HaltGossip>(bytes, RESPONSE_BYTES_MAX);
}

pub fn halt_notice(bytes: &[u8]) {
    canonical::<HaltNotice>(bytes, RESPONSE_BYTES_MAX);
}

/// What decodes is verified as of its own time.
pub fn lockdown_message(bytes: &[u8]) {
    if let Some(gossiped) = canonical::<GossipedLockdown>(bytes, RESPONSE_BYTES_MAX) {
        let at = match &gossiped.message {
            LockdownMessage::Vote(vote) => vote.body.at,
            LockdownMessage::Recovery(vote) => vote.body.at,
            LockdownMessage::Report(report) => report.body.at,
            LockdownMessage::Recovered(_) => TimestampMs::ZERO,
        };
        let context = test_util::era_context(COMMITTEE_SIZE);
        let parameters = test_util::parameters::parameters().lockdown;
        let (era, committee) = (context.era, &context.committee);
        let verified = gossiped
            .message
            .verify(at, &CHAIN, era, committee, &parameters, &Ed25519);
        assert!(verified.is_err(), "no key has signed {gossiped:?}");
    }
}

pub fn lockdown_notice(bytes: &[u8]) {
    if let Some(notice) = canonical::<LockdownNotice>(bytes, RESPONSE_BYTES_MAX) {
        let context = test_util::era_context(COMMITTEE_SIZE);
        let parameters = test_util::parameters::parameters().lockdown;
        let verified = notice.verify(
            &CHAIN,
            context.era,
            &context.committee,
            &parameters,
            &Ed25519,
        );
        assert!(verified.is_err(), "no key has signed {notice:?}");
    }
}

pub fn missing_vertices_request(bytes: &[u8]) {
    if let Some(request) = canonical::<MissingVerticesRequest>(bytes, REQUEST_BYTES_MAX) {
        let first = AuthorityIndex::ZERO;
        let beyond = request.from.0.checked_sub(1);
        assert!(beyond.is_none_or(|round| !request.wants(Round(round), first)));
        black_box(request.wants(request.from, first));
    }
}

pub fn vertices_request(bytes: &[u8]) {
    canonical::<VerticesRequest>(bytes, REQUEST_BYTES_MAX);
}

pub fn vertices_response(bytes: &[u8]) {
    if let Some(response) = canonical::<VerticesResponse>(bytes, RESPONSE_BYTES_MAX) {
        response.vertices.iter().take(4).for_each(verify_vertex);
    }
}
