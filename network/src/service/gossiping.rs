//! Gossip: messages out, messages in, verdicts.

use std::time::Instant;

use bytes::Bytes;
use libp2p::{
    PeerId,
    gossipsub::{self, MessageAcceptance, PublishError},
};

use crate::{
    event::{MessageId, NetworkEvent, Verdict},
    handle::{Judgement, Publication},
    penalty::Penalty,
    service::Service,
    topic::{Plane, Topic},
};

impl Service {
    pub(super) fn publish(&mut self, publication: Publication) {
        let Publication { topic, data } = publication;
        let counters = self.shared.counters.topic(topic);
        let bytes = data.len();
        let hash = self.topics.hash(topic).clone();
        let router = &mut self.swarm.behaviour_mut().plane(topic.plane()).router;
        match router.publish(hash, Vec::from(data)) {
            Ok(_) => {
                counters.published_messages.increment();
                counters.published_bytes.add(bytes);
            }
            // Somebody was faster, or the node publishes again what it published before.
            Err(PublishError::Duplicate) => {}
            Err(PublishError::NoPeersSubscribedToTopic) => counters.unheard_messages.increment(),
            Err(error) => {
                counters.unsent_messages.increment();
                tracing::warn!(%topic, bytes, %error, "message not sent");
            }
        }
    }

    pub(super) fn on_router_event(&mut self, plane: Plane, event: gossipsub::Event) {
        match event {
            gossipsub::Event::Message {
                propagation_source,
                message_id,
                message,
            } => {
                self.on_message(propagation_source, &message_id, message);
            }
            gossipsub::Event::Subscribed { peer_id, topic } => {
                // The peer takes consensus gossip: now, and not before, what we publish reaches it.
                if self.topics.topic(&topic) == Some(Topic::Vertices) {
                    self.announce(peer_id);
                }
            }
            gossipsub::Event::SlowPeer {
                peer_id,
                failed_messages,
            } => {
                tracing::debug!(
                    peer = %peer_id,
                    ?plane,
                    dropped = failed_messages.non_priority + failed_messages.priority,
                    "a slow peer missed messages",
                );
            }
            gossipsub::Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(peer = %peer_id, ?plane, "a peer does not take gossip");
            }
            gossipsub::Event::Unsubscribed { .. } => {}
        }
    }

    fn on_message(
        &mut self,
        peer: PeerId,
        router_id: &gossipsub::MessageId,
        message: gossipsub::Message,
    ) {
        let Some(topic) = self.topics.topic(&message.topic) else {
            return;
        };
        let Some(message_id) = MessageId::from_router(topic, router_id) else {
            return;
        };
        self.shared
            .counters
            .topic(topic)
            .delivered_messages
            .increment();
        let data = Bytes::from(message.data);
        self.deliver(NetworkEvent::Gossip {
            peer,
            topic,
            message_id,
            data,
        });
    }

    pub(super) fn judge(&mut self, judgement: Judgement) {
        let Judgement {
            message_id,
            peer,
            verdict,
        } = judgement;
        let counters = self.shared.counters.topic(message_id.topic);
        let acceptance = match verdict {
            Verdict::Accept => {
                counters.accepted_messages.increment();
                MessageAcceptance::Accept
            }
            Verdict::Ignore => {
                counters.ignored_messages.increment();
                MessageAcceptance::Ignore
            }
            Verdict::Reject => {
                counters.rejected_messages.increment();
                MessageAcceptance::Reject
            }
        };
        let router = &mut self
            .swarm
            .behaviour_mut()
            .plane(message_id.topic.plane())
            .router;
        let id = message_id.to_router();
        if !router.report_message_validation_result(&id, &peer, acceptance) {
            counters.late_verdicts.increment();
        }
        match verdict {
            Verdict::Accept => {}
            Verdict::Ignore => {
                let now = Instant::now();
                if self.ledger.is_one_too_many(peer, message_id.topic, now) {
                    self.penalize(peer, Penalty::UselessMessage, 1);
                }
            }
            Verdict::Reject => self.penalize(peer, Penalty::InvalidMessage, 1),
        }
    }

    /// Frees what the router keeps for a message that the node will not judge.
    pub(super) fn discard(&mut self, message_id: MessageId, peer: &PeerId) {
        let router = &mut self
            .swarm
            .behaviour_mut()
            .plane(message_id.topic.plane())
            .router;
        let id = message_id.to_router();
        router.report_message_validation_result(&id, peer, MessageAcceptance::Ignore);
    }
}
