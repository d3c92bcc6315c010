//! The validators of an era, and the arithmetic of quorums.

use crate::account::AccountName;
use crate::crypto::{PublicKey, Signature, SignatureCheck, SigningHash};
use crate::hash::{Hash32, Purpose};
use crate::ids::{AuthorityIndex, BlockId, ChainId, Era, Height, TimestampMs};
use crate::limits::COMMITTEE_MEMBERS_MAX;
use crate::mutant::{self, Mutant};
use borsh::{BorshDeserialize, BorshSerialize};
use std::io;

/// A validator as the committee knows it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Member {
    pub account: AccountName,
    pub signing_key: PublicKey,
}

/// Why a list of members is no committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    #[error("a committee has 1 to {COMMITTEE_MEMBERS_MAX} members, got {count}")]
    Size { count: usize },
    #[error("committee members are sorted by account and named once; {account} is not")]
    Order { account: AccountName },
    #[error("signing key of {account} is used twice in the committee")]
    DuplicateKey { account: AccountName },
}

/// The validators of an era with equal votes, sorted by account name.
///
/// n members, f = ⌊(n − 1)/3⌋ of them may be faulty, quorum q = n − f: two quorums meet in at least f + 1 members,
/// for every n (DESIGN §2, §16.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    members: Vec<Member>,
}

impl Committee {
    pub fn new(members: Vec<Member>) -> Result<Self, CommitteeError> {
        if members.is_empty() || members.len() > COMMITTEE_MEMBERS_MAX {
            return Err(CommitteeError::Size {
                count: members.len(),
            });
        }
        for (before, after) in members.iter().zip(members.iter().skip(1)) {
            if before.account >= after.account {
                return Err(CommitteeError::Order {
                    account: after.account,
                });
            }
        }
        let mut keys: Vec<_> = members.iter().map(|m| (m.signing_key, m.account)).collect();
        keys.sort_unstable();
        for (before, after) in keys.iter().zip(keys.iter().skip(1)) {
            if before.0 == after.0 {
                return Err(CommitteeError::DuplicateKey { account: after.1 });
            }
        }
        Ok(Self { members })
    }

    /// n.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// f: how many members may be faulty.
    #[must_use]
    pub fn max_faulty(&self) -> usize {
        self.size().saturating_sub(1) / 3
    }

    /// q = n − f: what commits, certifies and resumes.
    #[must_use]
    pub fn quorum(&self) -> usize {
        let quorum = self.size().saturating_sub(self.max_faulty());
        if mutant::is_on(Mutant::QuorumOneLess) {
            return quorum.saturating_sub(1);
        }
        quorum
    }

    /// 2f + 1: how many references make a vertex "certified" in the sense of the stall detector.
    #[must_use]
    pub fn certified_threshold(&self) -> usize {
        self.max_faulty().saturating_mul(2).saturating_add(1)
    }

    /// f + 1: the least number that contains an honest member.
    #[must_use]
    pub fn validity_threshold(&self) -> usize {
        self.max_faulty().saturating_add(1)
    }

    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    #[must_use]
    pub fn member(&self, authority: AuthorityIndex) -> Option<&Member> {
        self.members.get(authority.as_usize())
    }

    /// The check that a member has signed this; none if nobody has this position.
    #[must_use]
    pub fn signature_check(
        &self,
        author: AuthorityIndex,
        message: SigningHash,
        signature: Signature,
    ) -> Option<SignatureCheck> {
        Some(SignatureCheck {
            key: self.member(author)?.signing_key,
            message,
            signature,
        })
    }

    /// All authorities in order.
    pub fn authorities(&self) -> impl Iterator<Item = AuthorityIndex> + use<> {
        // A committee has at most COMMITTEE_MEMBERS_MAX members, far below u16::MAX.
        (0..u16::try_from(self.size()).unwrap_or(u16::MAX)).map(AuthorityIndex)
    }

    #[must_use]
    pub fn authority_of_key(&self, key: &PublicKey) -> Option<AuthorityIndex> {
        self.authorities()
            .zip(&self.members)
            .find_map(|(authority, member)| (member.signing_key == *key).then_some(authority))
    }

    #[must_use]
    pub fn authority_of_account(&self, account: &AccountName) -> Option<AuthorityIndex> {
        self.members
            .binary_search_by(|member| member.account.cmp(account))
            .ok()
            .and_then(|position| u16::try_from(position).ok())
            .map(AuthorityIndex)
    }

    /// Hash that a block header names.
    #[must_use]
    pub fn hash(&self) -> Hash32 {
        Purpose::COMMITTEE.hash_encoded(self)
    }
}

impl BorshSerialize for Committee {
    fn serialize<W: io::Write>(&self, writer: &mut W) -> io::Result<()> {
        self.members.serialize(writer)
    }
}

impl BorshDeserialize for Committee {
    fn deserialize_reader<R: io::Read>(reader: &mut R) -> io::Result<Self> {
        let members = Vec::<Member>::deserialize_reader(reader)?;
        Self::new(members).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// What kind of consensus an era runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum EraKind {
    Dag,
    Emergency,
}

/// Everything that starts an era: all that consensus needs to know of what came before (DESIGN §4).
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EraContext {
    pub era: Era,
    pub kind: EraKind,
    /// The block that this era builds on.
    pub anchor: BlockId,
    pub anchor_height: Height,
    pub anchor_timestamp: TimestampMs,
    pub committee: Committee,
}

impl EraContext {
    /// Who attests, certifies and proves in this era. Nobody in an emergency: one key would be a quorum there.
    #[must_use]
    pub const fn certifiers(&self) -> Option<&Committee> {
        match self.kind {
            EraKind::Dag => Some(&self.committee),
            EraKind::Emergency => None,
        }
    }

    /// Seed of leader election and of the round-0 vertices.
    #[must_use]
    pub fn seed(&self, chain: &ChainId) -> Hash32 {
        Purpose::ERA_SEED.hash_on_chain(chain, &(self.era, self.anchor))
    }
}
