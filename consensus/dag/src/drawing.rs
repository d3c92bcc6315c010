//! Draws a DAG from text, for tests and golden scripts.
//!
//! One line per newline or semicolon, `#` begins a comment:
//!
//! * `A1: PARENTS` draws one vertex: its author (`A` to `Z`, or `V27R` before the round) and its round. An apostrophe makes
//!   another vertex in the same slot: `A1'`. `^3` is the vertex of the leader of round 3 in round 3, `^3@5` the vertex of
//!   the same author in round 5; `^3.1` is the second leader of the round, of any position in place of 1.
//! * `@3..6 AUTHORS: PARENTS` or `@3 AUTHORS: PARENTS` draws these rounds of all authors that the words of AUTHORS leave:
//!   `-D` and `-^3` take one out, `first(K)` keeps the first K of all authors, `rest(K)` the others.
//! * `!first ^3` and `!last ^3` put an author before or behind all others, as `first` and `rest` count from here on.
//!
//! PARENTS are words: `*` names all vertices of the previous round, `first(K)` and `rest(K)` those of these authors, `B1` one
//! of any round, `-C` takes the author C out again. The own previous vertex is added if nothing names one. K is a number,
//! `n`, `f` or `q` of the committee, or one of these with a number added or subtracted: `f+1`.

// Fixtures: a wrong drawing or number is a mistake of the test, and panics there.
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::panic
)]

use crate::leaders::LeaderSchedule;
use holdfast_types::test_util::{CHAIN, genesis_refs, vertex};
use holdfast_types::{AuthorityIndex, EraContext, Round, VerifiedVertex, VertexPayload, VertexRef};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A drawn DAG.
#[derive(Debug)]
pub struct Drawing {
    pub context: Arc<EraContext>,
    /// In the order drawn: ancestors first.
    pub vertices: Vec<Arc<VerifiedVertex>>,
    names: BTreeMap<String, VertexRef>,
    /// The authors as `first` and `rest` count them.
    order: Vec<AuthorityIndex>,
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
            order: context.committee.authorities().collect(),
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
            .get(&self.plain(name))
            .unwrap_or_else(|| panic!("the drawing has no vertex {name}"))
    }

    /// The drawn vertex that the drawing calls `name`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn vertex(&self, name: &str) -> Arc<VerifiedVertex> {
        let reference = self.reference(name);
        let vertex = self
            .vertices
            .iter()
            .find(|vertex| vertex.reference() == reference);
        Arc::clone(vertex.unwrap_or_else(|| panic!("{name} is implied, not drawn")))
    }

    /// What the drawing calls a vertex.
    #[must_use]
    pub fn name(&self, reference: &VertexRef) -> String {
        self.names
            .iter()
            .find(|(_, named)| *named == reference)
            .map_or_else(|| reference.to_string(), |(name, _)| name.clone())
    }

    /// The leader of a round at a position, as long as no reputation has changed the schedule.
    ///
    /// # Panics
    /// If there are not so many authors.
    #[must_use]
    pub fn leader(&self, round: Round, position: usize) -> AuthorityIndex {
        let committee = &self.context.committee;
        let leaders = u16::try_from(position + 1).expect("a position is below the committee size");
        let schedule = LeaderSchedule::new(
            self.context.seed(&CHAIN),
            committee.size(),
            committee.max_faulty(),
            leaders,
            1,
        );
        schedule.leaders(round)[position]
    }

    fn line(&mut self, line: &str) {
        if let Some(author) = line.strip_prefix("!first ") {
            let first = self.take_out(author);
            self.order.insert(0, first);
            return;
        }
        if let Some(author) = line.strip_prefix("!last ") {
            let last = self.take_out(author);
            self.order.push(last);
            return;
        }
        let (head, parents) = line.split_once(':').expect("a line is NAME: PARENTS");
        let Some(range) = head.trim().strip_prefix('@') else {
            self.draw(&self.plain(head.trim()), parents);
            return;
        };
        let (rounds, authors) = range.split_once(' ').unwrap_or((range, ""));
        let (from, to) = rounds.split_once("..").unwrap_or((rounds, rounds));
        let (from, to): (u64, u64) = (from.parse().expect("a round"), to.parse().expect("a round"));
        let authors = self.chosen(authors);
        for round in from..=to {
            for author in &authors {
                self.draw(&name_of(*author, Round(round)), parents);
            }
        }
    }

    /// Takes an author out of the order, to be put elsewhere.
    fn take_out(&mut self, author: &str) -> AuthorityIndex {
        let moved = self.author(author.trim());
        self.order.retain(|author| *author != moved);
        moved
    }

    /// The authors that the words of a head leave, in order.
    fn chosen(&self, words: &str) -> Vec<AuthorityIndex> {
        let mut chosen: Vec<AuthorityIndex> = self.context.committee.authorities().collect();
        for word in words.split_whitespace() {
            if let Some(left_out) = word.strip_prefix('-') {
                let left_out = self.author(left_out);
                chosen.retain(|author| *author != left_out);
            } else {
                let kept = self.counted(word).expect("-AUTHOR, first(K) or rest(K)");
                chosen.retain(|author| kept.contains(author));
            }
        }
        chosen
    }

    /// `first(K)` or `rest(K)`.
    fn counted(&self, word: &str) -> Option<&[AuthorityIndex]> {
        let (which, count) = word.strip_suffix(')')?.split_once('(')?;
        let (first, rest) = self.order.split_at(self.number(count));
        match which {
            "first" => Some(first),
            "rest" => Some(rest),
            _ => None,
        }
    }

    fn number(&self, text: &str) -> usize {
        let committee = &self.context.committee;
        let base = |text: &str| match text {
            "n" => committee.size(),
            "f" => committee.max_faulty(),
            "q" => committee.quorum(),
            number => number.parse().expect("n, f, q or a number"),
        };
        if let Some((sum, more)) = text.split_once('+') {
            base(sum) + base(more)
        } else if let Some((sum, less)) = text.split_once('-') {
            base(sum) - base(less)
        } else {
            base(text)
        }
    }

    fn draw(&mut self, name: &str, parents: &str) {
        let (author, rest) = authority(name);
        let copies = rest.matches('\'').count();
        let round = Round(rest.trim_end_matches('\'').parse().expect("a round"));
        let mut references = self.parents(round, parents);
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

    fn parents(&self, round: Round, words: &str) -> Vec<VertexRef> {
        let previous = round.previous();
        let named = |author: &AuthorityIndex| self.names.get(&name_of(*author, previous)).copied();
        let mut references: Vec<VertexRef> = Vec::new();
        for word in words.split_whitespace() {
            if word == "*" {
                references.extend(
                    self.context
                        .committee
                        .authorities()
                        .filter_map(|a| named(&a)),
                );
            } else if let Some(counted) = self.counted(word) {
                references.extend(counted.iter().filter_map(named));
            } else if let Some(left_out) = word.strip_prefix('-') {
                let left_out = self.author(left_out);
                references.retain(|reference| reference.author != left_out);
            } else {
                references.push(self.reference(word));
            }
        }
        references
    }

    fn own_before(&self, author: AuthorityIndex, round: Round) -> VertexRef {
        (0..round.0)
            .rev()
            .find_map(|round| self.names.get(&name_of(author, Round(round))).copied())
            .expect("every author has a vertex in round 0")
    }

    /// An author by its letter, number or leader slot.
    fn author(&self, word: &str) -> AuthorityIndex {
        match word.strip_prefix('^') {
            Some(slot) => self.slot_leader(slot).0,
            None => authority(word).0,
        }
    }

    /// `3` or `3.1`: the leader and its round.
    fn slot_leader(&self, slot: &str) -> (AuthorityIndex, Round) {
        let (round, position) = slot.split_once('.').unwrap_or((slot, "0"));
        let round = Round(round.parse().expect("^ROUND"));
        let position = position.parse().expect("^ROUND.POSITION");
        (self.leader(round, position), round)
    }

    /// The name with its author spelled out, for one that begins with a leader slot.
    fn plain(&self, name: &str) -> String {
        let Some(rest) = name.strip_prefix('^') else {
            return name.to_owned();
        };
        let slot = rest.trim_end_matches('\'');
        let (slot, round) = slot.split_once('@').unwrap_or((slot, ""));
        let (author, leads) = self.slot_leader(slot);
        let round = if round.is_empty() {
            leads
        } else {
            Round(round.parse().expect("^SLOT@ROUND"))
        };
        name_of(author, round) + &"'".repeat(rest.matches('\'').count())
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
    .sign(&CHAIN, &key)
}
