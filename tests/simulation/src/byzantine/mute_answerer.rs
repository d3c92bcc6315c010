//! Takes part, and answers no question.

use super::{Behaviour, Shown, Situation};
use crate::message::Response;
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct MuteAnswerer;

impl Behaviour for MuteAnswerer {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn answer(&mut self, _: Response) -> Option<Response> {
        None
    }
}
