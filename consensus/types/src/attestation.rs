//! Attestations and certificates: what a validator says of a block that it executed, and what a quorum of such
//! statements proves.

use crate::block::BlockHeader;
use crate::committee::Committee;
use crate::crypto::{Signature, SignatureCheck, SignatureScheme, Signer, SigningHash};
use crate::hash::Purpose;
use crate::ids::{AuthorityIndex, BlockId, ChainId, CommitDigest, Era, Height, StateRoot};
use borsh::{BorshDeserialize, BorshSerialize};

/// What is attested: this block came out of this commit and left this state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct AttestationBody {
    pub era: Era,
    pub height: Height,
    pub block: BlockId,
    pub commit: CommitDigest,
    pub state_root: StateRoot,
}

impl AttestationBody {
    /// What a validator attests that has executed the block with this id.
    #[must_use]
    pub const fn of_block(block: BlockId, header: &BlockHeader) -> Self {
        Self {
            era: header.era,
            height: header.height,
            block,
            commit: match header.origin.commit() {
                Some(commit) => commit,
                None => CommitDigest::new([0; 32]),
            },
            state_root: header.state_root,
        }
    }

    /// True of a block that comes of no commit: a block that resumes a chain, or the first of all.
    #[must_use]
    pub fn has_no_commit(&self) -> bool {
        self.commit == CommitDigest::default()
    }

    /// Whether both are of one commit of one era, and of different results: whoever signs the wrong one has a bad state.
    #[must_use]
    pub fn differs_in_result(&self, other: &Self) -> bool {
        !self.has_no_commit()
            && (self.era, self.commit) == (other.era, other.commit)
            && self != other
    }

    fn signing_hash(&self, chain: &ChainId) -> SigningHash {
        SigningHash::new(Purpose::ATTESTATION.hash_on_chain(chain, self))
    }

    /// Signs as `author`, its position in the committee of the era. The sign guard has allowed it before.
    #[must_use]
    pub fn sign(self, author: AuthorityIndex, chain: &ChainId, signer: &dyn Signer) -> Attestation {
        Attestation {
            body: self,
            author,
            signature: signer.sign(&self.signing_hash(chain)),
        }
    }

    fn vote_hash(&self, chain: &ChainId) -> SigningHash {
        SigningHash::new(Purpose::END_VOTE.hash_on_chain(chain, self))
    }

    /// Signs as `author` of the committee that takes over that this is the end of the emergency. The sign guard has allowed it
    /// before.
    #[must_use]
    pub fn vote(self, author: AuthorityIndex, chain: &ChainId, signer: &dyn Signer) -> EndVote {
        EndVote {
            body: self,
            author,
            signature: signer.sign(&self.vote_hash(chain)),
        }
    }
}

/// A signed statement of one validator on one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Attestation {
    pub body: AttestationBody,
    pub author: AuthorityIndex,
    pub signature: Signature,
}

impl Attestation {
    /// The signature check against the committee of the attestation's era; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        committee.signature_check(self.author, self.body.signing_hash(chain), self.signature)
    }
}

/// What a member of the committee that takes over says of the last block of an emergency before anybody attests it. It proves
/// nothing of the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EndVote {
    pub body: AttestationBody,
    pub author: AuthorityIndex,
    pub signature: Signature,
}

impl EndVote {
    /// The signature check against the committee that takes over; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        committee.signature_check(self.author, self.body.vote_hash(chain), self.signature)
    }
}

/// Votes of a quorum of those who take over for the last block of an emergency: without it nobody attests that block, so of two
/// branches that end an emergency only one with such votes may be certified.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EndVotes {
    pub body: AttestationBody,
    /// Sorted by authority.
    pub signatures: Vec<(AuthorityIndex, Signature)>,
}

impl EndVotes {
    /// Verifies against the committee that takes over.
    pub fn verify(
        &self,
        chain: &ChainId,
        committee: &Committee,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), CertificateError> {
        let message = self.body.vote_hash(chain);
        verify_quorum(&self.signatures, message, committee, scheme)
    }

    /// The votes one by one.
    pub fn votes(&self) -> impl Iterator<Item = EndVote> {
        let body = self.body;
        self.signatures
            .iter()
            .map(move |(author, signature)| EndVote {
                body,
                author: *author,
                signature: *signature,
            })
    }
}

/// What a member says of the last block of an era outside of vertices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EndStatement {
    Attestation(Attestation),
    Vote(EndVote),
}

impl EndStatement {
    #[must_use]
    pub const fn body(&self) -> &AttestationBody {
        match self {
            Self::Attestation(attestation) => &attestation.body,
            Self::Vote(vote) => &vote.body,
        }
    }

    #[must_use]
    pub const fn author(&self) -> AuthorityIndex {
        match self {
            Self::Attestation(attestation) => attestation.author,
            Self::Vote(vote) => vote.author,
        }
    }

    /// The signature check against the committee that speaks of the block; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        match self {
            Self::Attestation(attestation) => attestation.signature_check(chain, committee),
            Self::Vote(vote) => vote.signature_check(chain, committee),
        }
    }
}

/// Why a certificate proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the certificate holds {actual} signatures, the quorum is {quorum}")]
    NoQuorum { actual: usize, quorum: usize },
    #[error("certificate signers are sorted, named once and members; authority {authority} is not")]
    BadSigner { authority: AuthorityIndex },
    #[error("a signature of the certificate does not verify")]
    BadSignature,
}

/// Attestations of a quorum for one block: portable proof of its finality.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Certificate {
    pub body: AttestationBody,
    /// Sorted by authority.
    pub signatures: Vec<(AuthorityIndex, Signature)>,
}

impl Certificate {
    /// Verifies against the committee of the certificate's era.
    pub fn verify(
        &self,
        chain: &ChainId,
        committee: &Committee,
        scheme: &dyn SignatureScheme,
    ) -> Result<(), CertificateError> {
        let message = self.body.signing_hash(chain);
        verify_quorum(&self.signatures, message, committee, scheme)
    }
}

/// Whether a quorum of a committee has signed a message.
fn verify_quorum(
    signatures: &[(AuthorityIndex, Signature)],
    message: SigningHash,
    committee: &Committee,
    scheme: &dyn SignatureScheme,
) -> Result<(), CertificateError> {
    let actual = signatures.len();
    let quorum = committee.quorum();
    if actual < quorum {
        return Err(CertificateError::NoQuorum { actual, quorum });
    }
    let mut before: Option<AuthorityIndex> = None;
    let mut checks = Vec::with_capacity(actual.min(committee.size()));
    for &(authority, signature) in signatures {
        let member = committee
            .member(authority)
            .filter(|_| before.is_none_or(|before| before < authority))
            .ok_or(CertificateError::BadSigner { authority })?;
        before = Some(authority);
        checks.push(SignatureCheck {
            key: member.signing_key,
            message,
            signature,
        });
    }
    if scheme.verify_batch(&checks) {
        Ok(())
    } else {
        Err(CertificateError::BadSignature)
    }
}
