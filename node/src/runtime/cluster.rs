//! What the members of a cluster say about a lockdown, on its way in and out (document 000).
//!
//! A message counts if a holder of the cluster secret has made its tag and a member of the running era its signature. One with
//! another tag is neither taken nor handed on, and nobody is blamed: while the secret is changed an honest validator may be late.

use super::verification::Verifier;
use crate::clock;
use holdfast_halt::lockdown::secret::ClusterSecrets;
use holdfast_network::{Topic, Verdict};
use holdfast_replica::admission::{self, Judgement};
use holdfast_replica::{Input, Locking};
use holdfast_types::lockdown::{GossipedLockdown, LockdownMessage};
use holdfast_types::{ChainId, codec};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The secrets of this node, and how often others have used different ones. Without a secret it hears no votes and says none.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    secrets: Option<Arc<ClusterSecrets>>,
    refused: Arc<AtomicU64>,
}

impl Cluster {
    #[must_use]
    pub fn new(secrets: Option<ClusterSecrets>) -> Self {
        Self {
            secrets: secrets.map(Arc::new),
            refused: Arc::default(),
        }
    }

    #[must_use]
    pub const fn has_secret(&self) -> bool {
        self.secrets.is_some()
    }

    /// The secret is being changed: two are valid.
    #[must_use]
    pub fn is_changing(&self) -> bool {
        self.secrets
            .as_ref()
            .is_some_and(|secrets| secrets.is_changing())
    }

    /// Messages since the start that no valid secret had tagged.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What goes to the others; none without a secret.
    #[must_use]
    pub fn tag(
        &self,
        chain: &ChainId,
        message: LockdownMessage,
        repetition: u32,
    ) -> Option<GossipedLockdown> {
        let secrets = self.secrets.as_ref()?;
        Some(secrets.tag(chain, message, repetition))
    }

    fn accepts(&self, chain: &ChainId, gossiped: &GossipedLockdown) -> bool {
        let Some(secrets) = &self.secrets else {
            return false;
        };
        let is_tagged = secrets.verify(chain, gossiped);
        if !is_tagged {
            let refused = self
                .refused
                .fetch_add(1, Ordering::Relaxed)
                .saturating_add(1);
            // Said less and less often: whoever floods this node does not flood its log.
            if refused.is_power_of_two() {
                tracing::warn!(
                    refused,
                    "a message on a lockdown has a tag of another cluster secret: compare lockdown.secret_file on all validators"
                );
            }
        }
        is_tagged
    }
}

impl Verifier {
    pub(super) fn gossiped_lockdown(&self, data: &[u8]) -> Verdict {
        if !self.cluster.has_secret() {
            return Verdict::Ignore;
        }
        let limit = Topic::Lockdown.message_bytes_max();
        let Ok(gossiped) = codec::decode::<GossipedLockdown>("a lockdown message", data, limit)
        else {
            return Verdict::Reject;
        };
        if !self.cluster.accepts(&self.chain, &gossiped) {
            return Verdict::Ignore;
        }
        let judged = admission::lockdown(
            &gossiped.message,
            &self.chain,
            &self.era(),
            &self.parameters.lockdown,
            self.scheme.as_ref(),
            clock::wall(),
        );
        match judged {
            Judgement::Accept => {
                let said = Locking::Said(Box::new(gossiped.message));
                self.core.input(Input::Locking(said));
                Verdict::Accept
            }
            Judgement::Ignore => Verdict::Ignore,
            Judgement::Reject => Verdict::Reject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_halt::lockdown::secret::ClusterSecret;
    use holdfast_types::lockdown::Signed;
    use holdfast_types::{
        AuthorityIndex, Era, KeyPair, LockdownTrigger, LockdownVoteBody, TimestampMs,
    };

    const CHAIN: ChainId = ChainId::new([7; 32]);

    fn cluster(last: u8) -> Cluster {
        let mut bytes = [1; 32];
        bytes[31] = last;
        let secret = ClusterSecret::new(&bytes).unwrap();
        Cluster::new(Some(ClusterSecrets::new(secret, None)))
    }

    #[test]
    fn tags_of_another_secret_are_counted_and_without_a_secret_nothing_is_said() {
        let body = LockdownVoteBody {
            era: Era(1),
            at: TimestampMs(5),
            trigger: LockdownTrigger::Operator,
            reason: Vec::new(),
        };
        let key = KeyPair::from_secret(&[1; 32]);
        let vote = LockdownMessage::Vote(Signed::sign(body, AuthorityIndex(0), &CHAIN, &key));
        let (own, other) = (cluster(2), cluster(3));
        let said = own.tag(&CHAIN, vote.clone(), 0).unwrap();
        assert!(own.accepts(&CHAIN, &said) && own.refused() == 0);
        assert!(!other.accepts(&CHAIN, &said) && other.refused() == 1);
        let without = Cluster::default();
        assert_eq!(without.tag(&CHAIN, vote, 0), None);
        assert!(!without.accepts(&CHAIN, &said) && without.refused() == 0);
    }
}
