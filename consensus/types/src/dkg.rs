//! Confirmations of a distributed key generation (DESIGN §11): what a member says came out of the ceremony. The ceremony
//! itself is not here; that two members contradict each other can be proved without it.

use crate::committee::Committee;
use crate::crypto::{Signature, SignatureCheck, Signer, SigningHash};
use crate::hash::{Hash32, Purpose};
use crate::ids::{AuthorityIndex, ChainId, Era};
use borsh::{BorshDeserialize, BorshSerialize};

/// What is confirmed: this attempt of the ceremony in this era has given this group key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct DkgConfirmationBody {
    pub era: Era,
    /// Attempts that fail are repeated in the same era, with other keys.
    pub attempt: u16,
    /// Hash of the group key: 32 bytes, whatever the curve.
    pub group_key: Hash32,
}

impl DkgConfirmationBody {
    fn signing_hash(&self, chain: &ChainId) -> SigningHash {
        SigningHash::new(Purpose::DKG_CONFIRMATION.hash_on_chain(chain, self))
    }

    /// Signs as `author`, its position in the committee of the era.
    #[must_use]
    pub fn sign(
        self,
        author: AuthorityIndex,
        chain: &ChainId,
        signer: &dyn Signer,
    ) -> DkgConfirmation {
        DkgConfirmation {
            body: self,
            author,
            signature: signer.sign(&self.signing_hash(chain)),
        }
    }
}

/// A signed confirmation of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DkgConfirmation {
    pub body: DkgConfirmationBody,
    pub author: AuthorityIndex,
    pub signature: Signature,
}

impl DkgConfirmation {
    /// The signature check against the committee of the era; none if the author is no member.
    #[must_use]
    pub fn signature_check(
        &self,
        chain: &ChainId,
        committee: &Committee,
    ) -> Option<SignatureCheck> {
        committee.signature_check(self.author, self.body.signing_hash(chain), self.signature)
    }
}
