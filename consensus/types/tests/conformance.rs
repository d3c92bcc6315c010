//! The format of every wire and stored type of this crate is pinned in `conformance.toml`.

use borsh::{BorshDeserialize, BorshSerialize};
use holdfast_pinned::Formats;
use holdfast_types::block::CommittedVertex;
use holdfast_types::lockdown::{BallotCertificate, GossipedLockdown, LockdownNotice, Signed};
use holdfast_types::parameters::{
    CeremonyParameters, DagParameters, EmergencyParameters, GovernanceParameters, HaltParameters,
    LockdownParameters, SlashingParameters, StakingParameters, StallParameters,
};
use holdfast_types::test_util::{Sample, samples};
use holdfast_types::wire::{
    BlocksRequest, BlocksResponse, BranchRank, CertificateRequest, CertificateResponse,
    GossipedGovernance, GossipedStatement, LastVertexRequest, LastVertexResponse,
    MissingVerticesRequest, PeerStatus, TransactionBatch, VerticesRequest, VerticesResponse,
};
use holdfast_types::{
    AccountName, Action, Attestation, AttestationBody, AuthorityIndex, Block, BlockBody,
    BlockHeader, BlockId, BlockOrigin, BlockPoint, Certificate, ChainId, ChainProperties,
    CommitDigest, CommitRecord, Committee, DkgConfirmation, DkgConfirmationBody, EndStatement,
    EndVote, EndVotes, Era, EraContext, EraEnd, EraKind, Event, Evidence, FailureCode,
    GovernanceAction, GovernanceBody, GovernanceMessage, Governors, HaltCause, HaltGossip, HaltId,
    HaltNotice, HaltProof, HaltStatus, Height, LockdownMessage, LockdownTrigger, LockdownVoteBody,
    Member, NamedResume, Parameters, PeerClaim, PublicKey, QuarantineReportBody, Readiness,
    Receipt, ReceiptStatus, RecoveryChoice, RecoveryStep, RecoveryVoteBody, ResumeOrder, Round,
    Signature, SignedHaltStatus, SignedTransaction, SignedVertexHeader, SoftwareVersion, StateRoot,
    Support, TimestampMs, TransactionBody, TransactionId, Vertex, VertexDigest, VertexHeader,
    VertexPayload, VertexRef,
};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

/// Samples of each type.
const CASES: u64 = 256;

macro_rules! define_formats {
    ($($name:ident),* $(,)?) => {
        fn formats() -> Formats {
            let mut formats = Formats::default();
            $(formats.add(stringify!($name), samples::<$name>(stringify!($name), CASES));)*
            // Their bodies are pinned by themselves.
            formats.add("Signed", samples::<Signed<RecoveryVoteBody>>("Signed", CASES));
            let certificates = samples::<BallotCertificate<LockdownVoteBody>>("BallotCertificate", CASES);
            formats.add("BallotCertificate", certificates);
            formats
        }
    };
}

define_formats! {
    AccountName, Action, Attestation, AttestationBody, AuthorityIndex, Block, BlockBody, BlockHeader, BlockId,
    BlockOrigin, BlockPoint, BlocksRequest, BlocksResponse, BranchRank, CeremonyParameters, Certificate, CertificateRequest,
    CertificateResponse, ChainId, ChainProperties, CommitDigest, CommitRecord, CommittedVertex, Committee,
    DagParameters, DkgConfirmation, DkgConfirmationBody, EmergencyParameters, EndStatement, EndVote, EndVotes, Era, EraContext, EraEnd, EraKind, Event,
    Evidence, FailureCode,
    GossipedGovernance, GossipedLockdown, GossipedStatement, GovernanceAction, GovernanceBody, GovernanceMessage, GovernanceParameters, Governors,
    HaltCause, HaltGossip, HaltId, HaltNotice, HaltParameters, HaltProof, HaltStatus,
    Readiness, SignedHaltStatus, SoftwareVersion,
    Height, LastVertexRequest, LastVertexResponse, LockdownMessage, LockdownNotice, LockdownParameters, LockdownTrigger,
    LockdownVoteBody, Member, NamedResume, MissingVerticesRequest, Parameters, PeerClaim, PeerStatus, PublicKey, QuarantineReportBody, Receipt,
    RecoveryChoice, RecoveryStep, RecoveryVoteBody, ReceiptStatus, ResumeOrder, Round, Signature,
    SignedTransaction, SignedVertexHeader, SlashingParameters, StakingParameters, StallParameters, StateRoot,
    Support, TimestampMs, TransactionBatch, TransactionBody, TransactionId, Vertex, VertexDigest, VertexHeader,
    VertexPayload, VertexRef, VerticesRequest, VerticesResponse,
}

fn crate_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn formats_are_as_pinned() {
    formats().compare(&crate_directory().join("tests/conformance.toml"));
}

/// Every type in `src` that has an encoding, by reading the source: a list that is kept by hand forgets.
fn encoded_types() -> BTreeSet<String> {
    let mut files = vec![];
    collect_sources(&crate_directory().join("src"), &mut files);
    let mut names = BTreeSet::new();
    for file in files {
        let source = fs::read_to_string(&file).expect("a source file is readable");
        let mut derives = false;
        let mut in_invocation = false;
        for line in source.lines().map(str::trim) {
            derives |= line.starts_with("#[derive(") && line.contains("BorshSerialize");
            // A list of derives may go over several lines.
            derives |= line.contains("BorshSerialize,") && !line.starts_with("use ");
            in_invocation |= line.contains("_newtype!(") || line.contains("parameter_structs! {");
            let declared = ["pub struct ", "pub enum "]
                .iter()
                .find_map(|keyword| line.strip_prefix(keyword));
            if let Some(name) = declared.map(identifier) {
                if derives || in_invocation {
                    names.insert(name);
                }
                derives = false;
            } else if let Some(implemented) = line.split_once("BorshSerialize for ") {
                names.insert(identifier(implemented.1));
                derives = false;
            } else if in_invocation && line.starts_with(char::is_uppercase) {
                names.insert(identifier(line));
                in_invocation = false;
            }
        }
    }
    names.remove("");
    names
}

fn collect_sources(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("the source directory is readable") {
        let path = entry.expect("a directory entry is readable").path();
        if path.is_dir() {
            collect_sources(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The leading identifier of `text`; empty for a macro's `$name`.
fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric()).collect()
}

#[test]
fn no_encoded_type_is_forgotten() {
    let formats = formats();
    let pinned: BTreeSet<String> = formats.names().into_iter().map(str::to_owned).collect();
    assert_eq!(
        encoded_types(),
        pinned,
        "types with an encoding (left) are all pinned (right)"
    );
}

/// Which tags the decoder of an enum knows, by asking it.
fn known_tags<T: BorshDeserialize + Debug>() -> BTreeSet<u8> {
    (0..=u8::MAX)
        .filter(|tag| match borsh::from_slice::<T>(&[*tag]) {
            Ok(_) => true,
            Err(error) => !error.to_string().starts_with("Unexpected variant tag"),
        })
        .collect()
}

fn sampled_tags<T: Sample + BorshSerialize>(label: &str) -> BTreeSet<u8> {
    samples::<T>(label, CASES)
        .map(|sample| borsh::to_vec(&sample).expect("a sample encodes")[0])
        .collect()
}

#[test]
fn every_variant_is_sampled() {
    macro_rules! check {
        ($($name:ident),*) => {
            $(assert_eq!(
                sampled_tags::<$name>(stringify!($name)),
                known_tags::<$name>(),
                "{}: sampled variants (left), known to the decoder (right)",
                stringify!($name)
            );)*
        };
    }
    check!(
        Action,
        BlockOrigin,
        EraKind,
        Event,
        Evidence,
        FailureCode,
        LockdownMessage,
        LockdownTrigger,
        ReceiptStatus
    );
}
