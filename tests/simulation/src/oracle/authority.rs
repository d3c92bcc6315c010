//! Who may halt honest nodes and who may let them go on (rule O12).
//!
//! It shares nothing with the code that it watches but the layout of what is signed. A signature is right if the key that the
//! simulation gave to the signer makes the same one, and who breaks rules is known here without any proof.

use crate::chain::{
    GOVERNANCE_THRESHOLD, GOVERNORS, SimulatedChain, governor_key, validator_account, validator_key,
};
use holdfast_halt::HaltState;
use holdfast_types::lockdown::{Ballot as _, LockdownStatement, Signed};
use holdfast_types::{
    AccountName, Attestation, AuthorityIndex, EraContext, GovernanceMessage, HaltProof,
    Signer as _, StateRoot,
};
use std::collections::{BTreeMap, BTreeSet};

/// What is known when a node is judged.
#[derive(Clone, Copy, Debug)]
pub struct Authority<'a> {
    pub chain: &'a SimulatedChain,
    /// The era that runs at the node.
    pub era: &'a EraContext,
    /// Who breaks rules.
    pub guilty: &'a BTreeSet<AccountName>,
}

impl Authority<'_> {
    /// Everything that holds at a node has enough distinct signers.
    pub fn check(&self, state: &HaltState) -> Result<(), String> {
        let emergency = state.emergency.iter().map(|halt| &halt.message);
        for message in emergency.chain(&state.resume) {
            self.check_message(message)?;
        }
        if let Some(lock) = &state.lockdown.lock {
            self.check_votes(&lock.certificate.votes, "to lock the chain")?;
        }
        if let Some(recovery) = &state.lockdown.recovery {
            self.check_votes(&recovery.votes, "to go on")?;
            let mut subjects = recovery.votes.iter().map(|vote| vote.body.subject());
            let first = subjects.next();
            if !subjects.all(|subject| Some(subject) == first) {
                return Err(format!("votes for several blocks let go on: {recovery:?}"));
            }
        }
        let proofs = state.hard.iter().map(|halt| &halt.proof);
        // What is left of an era that is over halts nobody.
        let of_era = proofs.filter(|proof| proof.era() == Some(self.era.era));
        of_era
            .map(|proof| self.check_proof(proof))
            .collect::<Result<Vec<()>, String>>()?;
        Ok(())
    }

    /// Two thirds of the members, each by its own key.
    fn check_votes<B: LockdownStatement + Clone>(
        &self,
        votes: &[Signed<B>],
        what: &str,
    ) -> Result<(), String> {
        let SimulatedChain { id, scheme, .. } = self.chain;
        let members = self.era.committee.members();
        let is_right = |vote: &&Signed<B>| {
            let keys = (0..).map(|number| validator_key(*scheme, number));
            let member = members.get(usize::from(vote.author.0));
            let key = member.and_then(|member| {
                let mut keys = keys.take(members.len() * 4);
                keys.find(|key| key.public_key() == member.signing_key)
            });
            key.is_some_and(|key| {
                let right = Signed::sign(vote.body.clone(), vote.author, id, &key);
                right.signature == vote.signature && vote.body.era() == self.era.era
            })
        };
        let voters: BTreeSet<_> = votes
            .iter()
            .filter(is_right)
            .map(|vote| vote.author)
            .collect();
        if 3 * voters.len() < 2 * members.len() {
            return Err(format!(
                "{} of {} members have voted {what}",
                voters.len(),
                members.len()
            ));
        }
        Ok(())
    }

    fn check_message(&self, message: &GovernanceMessage) -> Result<(), String> {
        let SimulatedChain { id, scheme, .. } = self.chain;
        let is_right = |(number, signature): &&(u16, _)| {
            u64::from(*number) < GOVERNORS
                && message
                    .body
                    .sign(*number, id, &governor_key(*scheme, *number))
                    .1
                    == *signature
        };
        let signers: BTreeSet<u16> = message
            .signatures
            .iter()
            .filter(is_right)
            .map(|(number, _)| *number)
            .collect();
        if signers.len() < usize::from(GOVERNANCE_THRESHOLD) {
            return Err(format!(
                "{} governors have signed message {}, {GOVERNANCE_THRESHOLD} have to",
                signers.len(),
                message.body.sequence
            ));
        }
        Ok(())
    }

    fn check_proof(&self, proof: &HaltProof) -> Result<(), String> {
        let parameters = &self.chain.parameters.halt;
        let faulty = self.era.committee.max_faulty();
        let (what, liars, needed) = match proof {
            HaltProof::Divergence { attestations } => {
                let dissenters = self.dissenters(attestations)?;
                let needed = usize::from(parameters.root_divergence_min_dissenters);
                ("contradict each other", dissenters, needed)
            }
            HaltProof::EquivocationCluster { evidence } => {
                let offenders: BTreeSet<AuthorityIndex> = evidence
                    .iter()
                    .map(holdfast_types::Evidence::offender)
                    .collect();
                let cluster = usize::from(parameters.equivocation_cluster);
                ("equivocate", offenders, cluster.min(faulty + 1))
            }
            HaltProof::ContradictoryCertificates { first, second } => {
                let [first, second] = [first, second].map(|certificate| {
                    let signers = certificate.signatures.iter().map(|(signer, _)| *signer);
                    signers.collect::<BTreeSet<_>>()
                });
                let both = first.intersection(&second).copied().collect();
                ("certify both", both, faulty + 1)
            }
            HaltProof::DkgMismatch { confirmations } => {
                let named = confirmations.iter().map(|confirmation| confirmation.author);
                ("confirm different keys", named.collect(), 1)
            }
        };
        let guilty = liars.iter().filter(|authority| self.is_guilty(**authority));
        let guilty = guilty.count();
        if liars.len() < needed || guilty < needed {
            return Err(format!(
                "{} members {what}, {guilty} of them break rules, {needed} have to: {proof:?}",
                liars.len()
            ));
        }
        Ok(())
    }

    /// Those who sign what an honest member does not, if the honest are of one mind; all if they are not.
    fn dissenters(&self, attestations: &[Attestation]) -> Result<BTreeSet<AuthorityIndex>, String> {
        let mut roots: BTreeMap<StateRoot, BTreeSet<AuthorityIndex>> = BTreeMap::new();
        for attestation in attestations {
            if self.signature_is_forged(attestation) {
                return Err(format!("{attestation:?} is forged"));
            }
            let body = &attestation.body;
            roots
                .entry(body.state_root)
                .or_default()
                .insert(attestation.author);
        }
        if roots.len() < 2 {
            return Err("all have signed one root".to_owned());
        }
        let is_honest = |authority: &AuthorityIndex| !self.is_guilty(*authority);
        let others = roots
            .into_values()
            .filter(|authors| !authors.iter().any(is_honest));
        Ok(others.flatten().collect())
    }

    fn signature_is_forged(&self, attestation: &Attestation) -> bool {
        let Some(number) = self.number_of(attestation.author) else {
            return true;
        };
        let key = validator_key(self.chain.scheme, number);
        let signed = attestation
            .body
            .sign(attestation.author, &self.chain.id, &key);
        signed.signature != attestation.signature
    }

    fn is_guilty(&self, authority: AuthorityIndex) -> bool {
        let member = self.era.committee.member(authority);
        member.is_some_and(|member| self.guilty.contains(&member.account))
    }

    fn number_of(&self, authority: AuthorityIndex) -> Option<usize> {
        let account = self.era.committee.member(authority)?.account;
        (0..usize::from(self.chain.parameters.max_validators))
            .find(|number| validator_account(*number) == account)
    }
}
