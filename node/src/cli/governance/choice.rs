//! Which block a resume message names: what a quorum of the validators agrees on, as far as a node can tell.
//!
//! * C1. A validator agrees on a block if its own newest block is on the chain of the node that was asked, at that height
//!   or above; or if both have a certificate at that height or above, for a quorum never certifies two blocks of one height.
//!   If the chain halts because one did, certificates say nothing.
//! * C2. The block is the highest on which a quorum agrees. It is not below the highest certified block of anybody: what is
//!   certified is final.
//! * C3. Of those who agree, some keep out all the same: who has attested a block above (a quorum may have certified it), has
//!   a fault of its own, runs software older than the message asks for, or says nothing. That is told, not decided.
//! * C4. In an emergency there is no quorum to agree: the block is the head of the node that was asked. Whoever has another branch
//!   comes over to the one that was resumed.

use crate::cli::layout::short;
use holdfast_rpc::dto::{AccountName, Hash, ValidatorStanding};
use holdfast_types::SoftwareVersion;
use std::collections::BTreeMap;

/// What is known when the choice is made.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) validators: Vec<ValidatorStanding>,
    /// Those that say nothing any more.
    pub(super) missing: Vec<AccountName>,
    /// Quorums have certified blocks that exclude each other.
    pub(super) is_forked: bool,
    /// Emergency consensus runs.
    pub(super) in_emergency: bool,
    /// Of the message.
    pub(super) minimum_version: SoftwareVersion,
    pub(super) quorum: usize,
    /// Head of the node that was asked.
    pub(super) head: u64,
    /// Its highest certified block.
    pub(super) certified: u64,
    /// Of its chain: block id and state root by height.
    pub(super) chain: BTreeMap<u64, (Hash, Hash)>,
}

/// The block, and who stands where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) height: u64,
    pub(super) block: Hash,
    pub(super) state_root: Hash,
    pub(super) agree: Vec<String>,
    /// Who does not, and why.
    pub(super) differ: Vec<String>,
    pub(super) silent: Vec<String>,
    /// Who agrees and is not ready all the same, and why (rule C3).
    pub(super) keep_out: Vec<String>,
}

impl Choice {
    /// How many of those who agree do not keep out.
    pub(super) const fn can_be_ready(&self) -> usize {
        self.agree.len().saturating_sub(self.keep_out.len())
    }
}

/// Heights at which the number of those who agree can change, the highest first.
pub(super) fn heights(validators: &[ValidatorStanding], head: u64, certified: u64) -> Vec<u64> {
    let heads = validators.iter().filter_map(|one| one.head);
    let mut heights: Vec<u64> = heads.map(|height| height.get()).collect();
    heights.extend([head, certified]);
    heights.retain(|height| (certified..=head).contains(height));
    heights.sort_unstable_by(|a, b| b.cmp(a));
    heights.dedup();
    heights
}

impl Facts {
    /// Rule C2.
    pub(super) fn choose(&self) -> Result<Choice, String> {
        if self.in_emergency {
            return self.at(self.head);
        }
        let certified = self.certified_by_anybody();
        if certified > self.head {
            return Err(format!(
                "a validator has block {certified} certified, the node that was asked is at {}: ask one that has caught up",
                self.head
            ));
        }
        let mut best = (0, 0);
        for height in heights(&self.validators, self.head, certified) {
            let agree = self.validators.iter();
            let agree = agree.filter(|one| self.agrees(one, height)).count();
            if agree >= self.quorum {
                return self.at(height);
            }
            best = best.max((agree, height));
        }
        Err(format!(
            "at most {} validators are known to agree on a block (height {}), a quorum is {}: start the missing ones, or repair those that differ",
            best.0, best.1, self.quorum
        ))
    }

    /// The choice of the block at `height`, whoever agrees.
    pub(super) fn at(&self, height: u64) -> Result<Choice, String> {
        let certified = self.certified_by_anybody();
        if height < certified {
            return Err(format!(
                "block {height} is below the certified block {certified}, which is final"
            ));
        }
        let &(block, state_root) = self
            .chain
            .get(&height)
            .ok_or_else(|| format!("the node that was asked has no block {height}"))?;
        let mut choice = Choice {
            height,
            block,
            state_root,
            agree: Vec::new(),
            differ: Vec::new(),
            silent: Vec::new(),
            keep_out: Vec::new(),
        };
        for one in &self.validators {
            let name = one.account.to_string();
            match one.head {
                None => choice.silent.push(name),
                Some(_) if self.agrees(one, height) => {
                    let reason = self.keeps_out(one, height);
                    let reason = reason.map(|reason| format!("{name} {reason}"));
                    choice.keep_out.extend(reason);
                    choice.agree.push(name);
                }
                Some(head) if head.get() < height => {
                    choice
                        .differ
                        .push(format!("{name} is behind, at block {head}"));
                }
                Some(head) => {
                    let id = one.block_id.map_or_else(String::new, short);
                    let root = one.state_root.map_or_else(String::new, short);
                    choice.differ.push(format!(
                        "{name} has block {head} as {id}, state root {root}"
                    ));
                }
            }
        }
        Ok(choice)
    }

    fn certified_by_anybody(&self) -> u64 {
        let told = self.validators.iter().filter_map(|one| one.certified);
        told.map(|height| height.get())
            .fold(self.certified, u64::max)
    }

    /// Rule C3, in words.
    fn keeps_out(&self, one: &ValidatorStanding, height: u64) -> Option<String> {
        if let Some(fault) = &one.own_fault {
            return Some(format!("has a fault of its own: {fault}"));
        }
        if let Some(attested) = one.attested.filter(|attested| attested.get() > height) {
            return Some(format!(
                "attested block {attested}, above: a quorum may have certified it"
            ));
        }
        let version = one.version.as_ref();
        let is_old = |version: &&String| {
            version
                .parse::<SoftwareVersion>()
                .is_ok_and(|version| version < self.minimum_version)
        };
        if let Some(version) = version.filter(is_old) {
            return Some(format!(
                "runs software {version}, the message asks for {}",
                self.minimum_version
            ));
        }
        let is_missing = self.missing.contains(&one.account);
        is_missing.then(|| "says nothing any more".to_owned())
    }

    /// Rule C1.
    fn agrees(&self, one: &ValidatorStanding, height: u64) -> bool {
        let certified = one.certified.filter(|_| !self.is_forked);
        let has_certified =
            certified.is_some_and(|certified| height <= certified.get().min(self.certified));
        let is_on_chain = one.head.is_some_and(|head| {
            let ours = self.chain.get(&head.get());
            let theirs = one.block_id.zip(one.state_root);
            head.get() >= height && ours.is_some() && ours.copied() == theirs
        });
        has_certified || is_on_chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_rpc::dto::Number;

    fn hash(number: u8) -> Hash {
        Hash::new([number; 32])
    }

    /// A validator at `head`, on the chain of the asked node unless `other`.
    fn standing(number: u16, head: u64, other: bool) -> ValidatorStanding {
        let id = u8::try_from(head).unwrap() + if other { 100 } else { 0 };
        ValidatorStanding {
            account: format!("v{number}").parse().unwrap(),
            authority: number,
            is_this_node: number == 0,
            head: Some(Number(head)),
            block_id: Some(hash(id)),
            state_root: Some(hash(id)),
            certified: Some(Number(8)),
            attested: Some(Number(head)),
            version: None,
            readiness: None,
            own_fault: None,
            seconds_since_heard: Some(0.1),
        }
    }

    fn facts(validators: Vec<ValidatorStanding>) -> Facts {
        Facts {
            validators,
            missing: Vec::new(),
            is_forked: false,
            in_emergency: false,
            minimum_version: SoftwareVersion::default(),
            quorum: 3,
            head: 12,
            certified: 8,
            chain: (8..=12u8).map(|n| (n.into(), (hash(n), hash(n)))).collect(),
        }
    }

    #[test]
    fn the_highest_block_on_which_a_quorum_agrees() {
        let all = vec![
            standing(0, 12, false),
            standing(1, 11, false),
            standing(2, 11, false),
            standing(3, 10, false),
        ];
        let choice = facts(all).choose().unwrap();
        assert_eq!(
            (choice.height, choice.block, choice.state_root),
            (11, hash(11), hash(11))
        );
        assert_eq!(choice.agree, ["v0", "v1", "v2"]);
        assert_eq!(choice.differ, ["v3 is behind, at block 10"]);
        assert_eq!(
            choice.keep_out,
            ["v0 attested block 12, above: a quorum may have certified it"]
        );
    }

    #[test]
    fn in_an_emergency_the_head_of_the_node_that_was_asked_is_taken() {
        let alone = Facts {
            in_emergency: true,
            quorum: 1,
            ..facts(Vec::new())
        };
        let choice = alone.choose().unwrap();
        assert_eq!((choice.height, choice.block), (12, hash(12)));
        assert!(choice.silent.is_empty() && choice.differ.is_empty());
        let error = alone.at(7).unwrap_err();
        assert!(error.contains("final"), "{error}");
    }

    #[test]
    fn who_differs_is_named_and_does_not_count() {
        let mut silent = standing(3, 12, false);
        (silent.head, silent.certified) = (None, None);
        let all = vec![
            standing(0, 12, false),
            standing(1, 12, true),
            standing(2, 12, false),
            silent.clone(),
        ];
        let choice = facts(all).choose().unwrap();
        assert_eq!(
            (choice.height, choice.can_be_ready()),
            (8, 0),
            "two agree on 12, which is no quorum; three on what is certified, and all have attested above"
        );
        let mut uncertain = standing(1, 12, true);
        uncertain.certified = Some(Number(0));
        let all = vec![
            standing(0, 12, false),
            uncertain,
            standing(2, 12, false),
            silent,
        ];
        let error = facts(all).choose().unwrap_err();
        assert!(error.contains("at most 2 validators"), "{error}");
        let all = vec![
            standing(0, 12, false),
            standing(1, 12, true),
            standing(2, 12, false),
            standing(3, 12, false),
        ];
        let choice = facts(all).choose().unwrap();
        assert_eq!((choice.height, choice.agree.len()), (12, 3));
        assert!(
            choice.differ[0].starts_with("v1 has block 12"),
            "{choice:?}"
        );
    }

    #[test]
    fn a_split_falls_back_to_what_is_certified_on_both_sides() {
        let all = vec![
            standing(0, 12, false),
            standing(1, 12, false),
            standing(2, 12, true),
            standing(3, 12, true),
        ];
        let choice = facts(all).choose().unwrap();
        assert_eq!((choice.height, choice.agree.len()), (8, 4));
        assert_eq!(choice.keep_out.len(), 4, "all of them have attested above");
    }

    #[test]
    fn after_a_fork_of_certificates_only_the_chain_itself_counts() {
        let mut all: Vec<_> = (0..4).map(|n| standing(n, 12, n >= 2)).collect();
        for one in &mut all {
            one.certified = Some(Number(12));
        }
        let forked = Facts {
            certified: 12,
            is_forked: true,
            ..facts(all)
        };
        let error = forked.choose().unwrap_err();
        assert!(error.contains("at most 2 validators"), "{error}");
    }

    #[test]
    fn who_keeps_out_is_named_with_the_reason() {
        let mut all: Vec<_> = (0..4).map(|n| standing(n, 12, false)).collect();
        all[1].own_fault = Some("broken_invariant".to_owned());
        all[2].version = Some("0.9.3".to_owned());
        all[3].version = Some("0.10.0".to_owned());
        let facts = Facts {
            missing: vec![all[3].account.clone()],
            minimum_version: SoftwareVersion {
                major: 0,
                minor: 10,
                patch: 0,
            },
            ..facts(all)
        };
        let choice = facts.choose().unwrap();
        assert_eq!(
            choice.keep_out,
            [
                "v1 has a fault of its own: broken_invariant",
                "v2 runs software 0.9.3, the message asks for 0.10.0",
                "v3 says nothing any more"
            ]
        );
        assert_eq!((choice.agree.len(), choice.can_be_ready()), (4, 1));
    }

    #[test]
    fn never_below_a_certified_block() {
        let mut ahead = standing(3, 12, false);
        ahead.certified = Some(Number(12));
        let all = vec![
            standing(0, 11, false),
            standing(1, 11, false),
            standing(2, 11, false),
            ahead,
        ];
        let error = facts(all.clone()).choose().unwrap_err();
        assert!(error.contains("height 12"), "{error}");
        assert!(facts(all).at(11).unwrap_err().contains("final"));
        let mut beyond = standing(3, 12, false);
        beyond.certified = Some(Number(40));
        let error = facts(vec![beyond]).choose().unwrap_err();
        assert!(error.contains("caught up"), "{error}");
    }
}
