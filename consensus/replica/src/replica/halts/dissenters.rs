//! Who is to blame for a divergence, when it is known which result holds (rule R15).

use super::super::Replica;
use crate::io::{Now, Output};
use holdfast_types::{Attestation, AttestationBody, Evidence, HaltProof, Height};

impl Replica {
    /// The halt may have come before enough members had attested a block to tell who is wrong about it, and then there is no
    /// evidence. The block that resumes settles it: governance has named the chain, and this node has built on it.
    pub(crate) fn accuse_dissenters(&mut self, now: Now, out: &mut Output) {
        let halts = self.halts.manager().state().hard.iter();
        let proved = halts.filter_map(|halt| match &halt.proof {
            HaltProof::Divergence { attestations } => Some(attestations),
            _ => None,
        });
        let wrong = |attestation: &&Attestation| {
            let own = self.own_statement(attestation.body.height);
            own.is_some_and(|own| attestation.body.differs_in_result(&own))
        };
        let dissenters: Vec<Attestation> = proved.flatten().filter(wrong).copied().collect();
        for attestation in dissenters {
            self.on_evidence(now, Evidence::BadStateRoot { attestation }, out);
        }
    }

    /// What this validator has attested, or would have, of a block that it has executed and that is not certified.
    fn own_statement(&self, height: Height) -> Option<AttestationBody> {
        let mut waiting = self.to_attest.iter();
        waiting
            .find(|body| body.height == height)
            .copied()
            .or_else(|| self.collector.statement(height, self.authority()?))
    }
}
