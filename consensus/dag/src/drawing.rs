//! Draws a DAG from text, for tests and golden scripts.
//!
//! One vertex per line or semicolon: `A1: *` names all vertices of the previous round; `B2: * -C` all but the slot of C;
//! `B2: A1 B1 C1` names them one by one; `* +D1` adds a straggler. Names are the author (`A` to `Z`, or `V27`) and
//! the round; an apostrophe makes another vertex in the same slot: `A1'`. A line `@3..6: *` draws the rounds 3 to 6 of
//! every author; `@3..6 -D: *` leaves the author D out.

// Fixtures: a wrong drawing or number is a mistake of the test, and panics there.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic
)]

use holdfast_types::test_util::{genesis_refs, vertex};
use holdfast_types::{
    AuthorityIndex, Committee, EraContext, Round, VerifiedVertex, VertexPayload, VertexRef,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A drawn DAG.
#[derive(Debug)]
pub struct Drawing {
    pub context: Arc<EraContext>,
    /// In the order drawn: ancestors first.
    pub vertices: Vec<Arc<VerifiedVertex>>,
    names: BTreeMap<String, VertexRef>,
}

impl Drawing {
    /// Draws `text` over a committee of `size`.
    ///
    /// # Panics
    /// If the text is no drawing.
    #[must_use]
    pub fn new(size: u16, text: &str) -> Self {
        let context = Arc::new(holdfast_types::test_util::era_context(size));
        let mut drawing = Self {
            names: genesis_refs(&context)
                .into_iter()
                .map(|reference| (name_of(reference.author, Round::ZERO), reference))
                .collect(),
            context,
            vertices: Vec::new(),
        };
        for line in text.split(['\n', ';']) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                drawing.line(line);
            }
        }
        drawing
    }

    /// The vertex that the drawing calls `name`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn reference(&self, name: &str) -> VertexRef {
        *self
            .names
            .get(name)
            .unwrap_or_else(|| panic!("the drawing has no vertex {name}"))
    }

    /// What the drawing calls a vertex.
    #[must_use]
    pub fn name(&self, reference: &VertexRef) -> String {
        self.names
            .iter()
            .find(|(_, named)| *named == reference)
            .map_or_else(|| reference.to_string(), |(name, _)| name.clone())
    }

    fn line(&mut self, line: &str) {
        let (head, parents) = line.split_once(':').expect("a line is NAME: PARENTS");
        let Some(range) = head.trim().strip_prefix('@') else {
            self.draw(head.trim(), parents);
            return;
        };
        let mut words = range.split_whitespace();
        let (from, to) = words
            .next()
            .and_then(|rounds| rounds.split_once(".."))
            .expect("a range is @FROM..TO");
        let without: Vec<AuthorityIndex> = words
            .map(|word| authority(word.strip_prefix('-').expect("-AUTHOR")).0)
            .collect();
        let (from, to): (u64, u64) = (from.parse().expect("a round"), to.parse().expect("a round"));
        for round in from..=to {
            for author in self.context.committee.authorities() {
                if !without.contains(&author) {
                    self.draw(&name_of(author, Round(round)), parents);
                }
            }
        }
    }

    fn draw(&mut self, name: &str, parents: &str) {
        let (author, rest) = authority(name);
        let copies = rest.matches('\'').count();
        let round = Round(rest.trim_end_matches('\'').parse().expect("a round"));
        let mut references = Vec::new();
        for word in parents.split_whitespace() {
            if word == "*" {
                references.extend(self.round(round.previous(), &self.context.committee));
            } else if let Some(left_out) = word.strip_prefix('-') {
                let (left_out, _) = authority(left_out);
                references.retain(|reference: &VertexRef| reference.author != left_out);
            } else {
                references.push(self.reference(word.trim_start_matches('+')));
            }
        }
        if !references
            .iter()
            .any(|reference| reference.author == author)
        {
            let own = self.own_before(author, round);
            references.push(own);
        }
        let mut payload = VertexPayload::default();
        for _ in 0..copies {
            // Another vertex in the same slot differs in what it carries.
            payload.transactions.push(marker_transaction());
        }
        let vertex = Arc::new(vertex(&self.context, author, round, references, payload));
        self.names.insert(name.to_owned(), vertex.reference());
        self.vertices.push(vertex);
    }

    fn round(&self, round: Round, committee: &Committee) -> Vec<VertexRef> {
        committee
            .authorities()
            .filter_map(|author| self.names.get(&name_of(author, round)).copied())
            .collect()
    }

    fn own_before(&self, author: AuthorityIndex, round: Round) -> VertexRef {
        (0..round.0)
            .rev()
            .find_map(|round| self.names.get(&name_of(author, Round(round))).copied())
            .expect("every author has a vertex in round 0")
    }
}

fn name_of(author: AuthorityIndex, round: Round) -> String {
    match u8::try_from(author.0) {
        Ok(letter) if letter < 26 => format!("{}{round}", char::from(b'A' + letter)),
        _ => format!("V{}R{round}", author.0),
    }
}

/// The author that a name begins with, and the rest of the name.
fn authority(name: &str) -> (AuthorityIndex, &str) {
    if let Some((number, rest)) = name.strip_prefix('V').and_then(|n| n.split_once('R')) {
        return (AuthorityIndex(number.parse().expect("a number")), rest);
    }
    let letter = name.bytes().next().expect("a name is not empty");
    assert!(letter.is_ascii_uppercase(), "{name} begins with no author");
    (AuthorityIndex(u16::from(letter - b'A')), &name[1..])
}

fn marker_transaction() -> holdfast_types::SignedTransaction {
    use holdfast_types::{Action, Signer, TransactionBody};
    let key = holdfast_types::test_util::key_pair(9999);
    TransactionBody {
        sender: holdfast_types::test_util::validator_account(0),
        public_key: key.public_key(),
        nonce: 0,
        fee_max: 0,
        expires_at: None,
        action: Action::VoteHardfork { version: 1 },
    }
    .sign(&holdfast_types::test_util::CHAIN, &key)
}
