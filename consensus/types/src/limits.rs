//! Hard limits of the formats. Each is a rule of the protocol: a value beyond it does not verify.

/// Longest account name in bytes.
pub const ACCOUNT_NAME_BYTES_MAX: usize = 24;
/// Longest encoded signed transaction in bytes.
pub const TRANSACTION_BYTES_MAX: usize = 64 * 1024;
/// Longest memo of a transfer in bytes.
pub const MEMO_BYTES_MAX: usize = 256;
/// Longest validator URL in bytes.
pub const URL_BYTES_MAX: usize = 256;
/// Longest encoded vertex in bytes.
pub const VERTEX_BYTES_MAX: usize = 1024 * 1024;
/// Most transactions in one vertex.
pub const VERTEX_TRANSACTIONS_MAX: usize = 8192;
/// Most attestations in one vertex.
pub const VERTEX_ATTESTATIONS_MAX: usize = 64;
/// Most evidence items in one vertex.
pub const VERTEX_EVIDENCE_MAX: usize = 16;
/// Most governance messages in one vertex.
pub const VERTEX_GOVERNANCE_MAX: usize = 4;
/// Longest encoded governance message in bytes.
pub const GOVERNANCE_BYTES_MAX: usize = 64 * 1024;
/// Longest reason of a governance message in bytes.
pub const GOVERNANCE_REASON_BYTES_MAX: usize = 1024;
/// Longest reason of a vote for a lockdown in bytes.
pub const LOCKDOWN_REASON_BYTES_MAX: usize = 256;
/// Longest encoded message on a lockdown in bytes, with its tag: a certificate of all members that vote to go on.
pub const LOCKDOWN_MESSAGE_BYTES_MAX: usize = 128 * 1024;
/// Most governors.
pub const GOVERNORS_MAX: usize = 64;
/// Most halts that a resume message names.
pub const RESUME_HALTS_MAX: usize = 16;
/// Most offences that a resume message brings.
pub const RESUME_EVIDENCE_MAX: usize = 128;
/// Most proofs, and most messages, of a notice of halts.
pub const HALT_NOTICE_MAX: usize = 8;
/// Longest encoded proof of a halt in bytes: two certificates, or evidence of a whole committee.
pub const HALT_PROOF_BYTES_MAX: usize = 256 * 1024;
/// Most validators in a committee: the width of everything that is kept per authority.
pub const COMMITTEE_MEMBERS_MAX: usize = 512;
/// Most parents a vertex may name, as a multiple of the committee size: one layer plus stragglers.
pub const PARENTS_PER_MEMBER_MAX: usize = 3;
/// Longest encoded block in bytes: a sub-DAG of full vertices does not occur at this size in practice; what does
/// not fit is refused by the decoder, so the linearizer bounds a commit to this.
pub const BLOCK_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest encoded certificate in bytes.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024;
/// Longest request to a peer in bytes.
pub const REQUEST_BYTES_MAX: usize = 16 * 1024;
/// Longest response of a peer in bytes.
pub const RESPONSE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most references in one fetch request.
pub const FETCH_REFERENCES_MAX: usize = 256;
/// Rounds that a request for missing vertices may cover.
pub const MISSING_ROUNDS_MAX: usize = 64;
/// Of these, how many may have vertices that the asker holds: lists of a whole committee have room in one request.
pub const HELD_ROUNDS_MAX: usize = 4;

const _: () = {
    assert!(TRANSACTION_BYTES_MAX * 8 <= VERTEX_BYTES_MAX);
    assert!(VERTEX_BYTES_MAX * 4 <= RESPONSE_BYTES_MAX);
    assert!(COMMITTEE_MEMBERS_MAX <= u16::MAX as usize);
    // An equivocation is below 400 bytes long, a signature of a governor 66.
    assert!(
        RESUME_EVIDENCE_MAX * 400 + GOVERNORS_MAX * 66 + GOVERNANCE_REASON_BYTES_MAX + 1024
            <= GOVERNANCE_BYTES_MAX
    );
    assert!(COMMITTEE_MEMBERS_MAX * 400 + 64 <= HALT_PROOF_BYTES_MAX);
    // A vote for a lockdown is 87 bytes long and its reason, one to go on 192, a tag 32; certificates hold one of each member.
    assert!(LOCKDOWN_REASON_BYTES_MAX + 128 <= LOCKDOWN_MESSAGE_BYTES_MAX);
    assert!(COMMITTEE_MEMBERS_MAX * 192 + 64 <= LOCKDOWN_MESSAGE_BYTES_MAX);
    assert!(COMMITTEE_MEMBERS_MAX * (LOCKDOWN_REASON_BYTES_MAX + 128) <= HALT_PROOF_BYTES_MAX);
    assert!(VERTEX_GOVERNANCE_MAX * GOVERNANCE_BYTES_MAX * 2 <= VERTEX_BYTES_MAX);
    // A certificate holds one 64-byte signature and a 2-byte index per member, and 200 bytes besides.
    assert!(COMMITTEE_MEMBERS_MAX * 66 + 256 <= CERTIFICATE_BYTES_MAX);
    // A fetch request fits: 42 bytes a reference.
    assert!(FETCH_REFERENCES_MAX * 42 + 64 <= REQUEST_BYTES_MAX);
    // So does a request that lists the authors held of each round: 2 bytes an author.
    assert!(
        HELD_ROUNDS_MAX * COMMITTEE_MEMBERS_MAX * 2 + MISSING_ROUNDS_MAX * 4 + 64
            <= REQUEST_BYTES_MAX
    );
    assert!(HELD_ROUNDS_MAX <= MISSING_ROUNDS_MAX);
};
