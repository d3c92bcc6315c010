//! Sends no vertex.

use super::{Behaviour, Shown, Situation};
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Behaviour for Silent {
    fn send(&mut self, _: Situation<'_>, _: &Arc<VerifiedVertex>) -> Vec<Shown> {
        Vec::new()
    }
}
