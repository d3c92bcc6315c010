//! Shows the vertices that it leads with to one peer only, and its others to all.

use super::{Behaviour, Shown, Situation};
use holdfast_types::VerifiedVertex;
use std::sync::Arc;

#[derive(Clone, Copy, Debug)]
pub struct Withholder;

impl Behaviour for Withholder {
    fn send(&mut self, situation: Situation<'_>, vertex: &Arc<VerifiedVertex>) -> Vec<Shown> {
        let leads = situation.replica.dag().is_some_and(|dag| {
            let leaders = dag.schedule().leaders(vertex.round());
            leaders.contains(&vertex.author())
        });
        let to = if leads {
            vec![*situation.random.pick(situation.peers)]
        } else {
            situation.peers.to_vec()
        };
        vec![Shown {
            vertex: Arc::clone(vertex),
            to,
        }]
    }
}
