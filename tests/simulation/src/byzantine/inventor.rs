//! Names a parent that does not exist beside those that do.

use super::{Behaviour, Shown, Situation, sign_again};
use holdfast_types::{VerifiedVertex, VertexDigest};
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Inventor;

impl Behaviour for Inventor {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let invents = situation.random.chance(500);
        let seed = situation.random.number();
        let vertex = sign_again(&situation, vertex, |draft| {
            if let Some(last) = draft.parents.last_mut().filter(|_| invents) {
                let mut digest = [7; 32];
                digest[..8].copy_from_slice(&seed.to_le_bytes());
                last.digest = VertexDigest::new(digest);
            }
        });
        vec![Shown::to_all(&situation, vertex)]
    }
}
