//! Claims to be far ahead, and has nothing to show for it; its vertices are those of an honest node.

use super::{Behaviour, Shown, Situation};
use crate::message::Response;
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

const AHEAD: u64 = 1_000_000;

#[derive(Clone, Copy, Debug)]
pub struct HeightLiar;

impl Behaviour for HeightLiar {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        vec![Shown::to_all(&situation, Arc::clone(vertex))]
    }

    fn answer(&mut self, response: Response) -> Option<Response> {
        Some(match response {
            Response::Status(mut status) => {
                status.head = status.head.plus(AHEAD);
                status.certified = status.certified.plus(AHEAD);
                Response::Status(status)
            }
            Response::Blocks(mut blocks) => {
                blocks.certificate = None;
                Response::Blocks(blocks)
            }
            Response::LastVertices(mut last) => {
                last.running = last.running.map(|era| era.next());
                Response::LastVertices(last)
            }
            other => other,
        })
    }
}
