//! What misbehaviour costs, and the bans that follow.
//!
//! Every peer has an account of penalty points that halve every minute. At
//! [`POINTS_MAX`] the peer is disconnected and banned for a while. A ban always ends by itself: two
//! honest nodes that once disagreed find each other again without an operator.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use crate::{
    bucket::{Rate, TokenBucket},
    topic::Topic,
};

/// Points at which a peer is banned.
pub const POINTS_MAX: f64 = 100.0;

/// Points halve in this time.
const HALF_LIFE: Duration = Duration::from_secs(60);

/// Accounts below this are forgotten.
const POINTS_NEGLIGIBLE: f64 = 0.5;

/// The first ban of a peer; each further one within [`REPEAT_WINDOW`] is twice as long.
const BAN_FIRST: Duration = Duration::from_secs(60);
const BAN_LONGEST: Duration = Duration::from_secs(15 * 60);
const REPEAT_WINDOW: Duration = Duration::from_secs(60 * 60);

/// A committee peer is needed: its bans are short and do not grow.
const BAN_COMMITTEE: Duration = Duration::from_secs(10);

/// What a peer may send that is of no use to this node, in the unit of [`Topic::useless_cost`]. Nobody
/// is to blame for one such message: the peer may be ahead of us or behind. So the allowance is above
/// all that a peer can pass on honestly, the statements of 128 halted members each second, and it stays
/// with the name of the peer when the connection ends.
const USELESS: Rate = Rate {
    per_second: 192,
    burst: 2048,
};

/// Accounts kept at once. Beyond it the one with the fewest points is forgotten.
const ACCOUNTS_MAX: usize = 4096;

/// A reason for penalty points. The network finds some of them itself, the node reports others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Penalty {
    /// A gossip message was rejected by the node.
    InvalidMessage,
    /// A response was not what was asked for, or wrong.
    InvalidResponse,
    /// A message above the limit of its topic or protocol.
    Oversized,
    /// Bytes that are no message of the protocol.
    MalformedFrame,
    /// Gossip above the rate limit.
    RateExceeded,
    /// A control message that was of no use to the node, after more of them than a peer passes on
    /// honestly.
    UselessMessage,
    /// Requests above the rate limit.
    RequestFlood,
    /// The gossip router's own score of the peer fell below its limit (floods of control messages,
    /// broken promises).
    GossipScore,
    /// The peer does not answer, as far as the node can tell.
    Unresponsive,
    /// Misbehaviour that the node can prove. Bans at once.
    Proven,
}

/// How the node regards a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PeerClass {
    /// A member of the committee: reserved slots, never evicted, dialled for ever.
    Committee,
    /// Named in the configuration or otherwise trusted to stay: never evicted for others.
    Known,
    /// Everyone else.
    #[default]
    Other,
}

/// A ban that has just begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ban {
    pub(crate) until: Instant,
    pub(crate) duration: Duration,
}

/// The accounts of all peers, connected or not.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    accounts: HashMap<PeerId, Account>,
}

#[derive(Debug, Clone, Copy)]
struct Account {
    points: f64,
    updated: Instant,
    bans: u32,
    banned_last: Option<Instant>,
    useless: TokenBucket,
}

impl Penalty {
    /// All reasons, in the order of their indices in [`crate::NetworkCounters`].
    pub const ALL: [Self; 10] = [
        Self::InvalidMessage,
        Self::InvalidResponse,
        Self::Oversized,
        Self::MalformedFrame,
        Self::RateExceeded,
        Self::UselessMessage,
        Self::RequestFlood,
        Self::GossipScore,
        Self::Unresponsive,
        Self::Proven,
    ];

    /// Stable name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidMessage => "invalid_message",
            Self::InvalidResponse => "invalid_response",
            Self::Oversized => "oversized",
            Self::MalformedFrame => "malformed_frame",
            Self::RateExceeded => "rate_exceeded",
            Self::UselessMessage => "useless_message",
            Self::RequestFlood => "request_flood",
            Self::GossipScore => "gossip_score",
            Self::Unresponsive => "unresponsive",
            Self::Proven => "proven",
        }
    }

    /// Points of one occurrence: what bans at once, what bans when it happens a few times in a
    /// minute, and what only a flood can add up to a ban.
    pub const fn points(self) -> f64 {
        match self {
            Self::Proven | Self::GossipScore => POINTS_MAX,
            Self::Oversized | Self::MalformedFrame => 40.0,
            Self::InvalidMessage | Self::InvalidResponse => 26.0,
            Self::Unresponsive => 5.0,
            Self::RateExceeded | Self::UselessMessage => 1.0,
            Self::RequestFlood => 0.25,
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl PeerClass {
    /// Stable name for logs and metric labels.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Committee => "committee",
            Self::Known => "known",
            Self::Other => "other",
        }
    }
}

impl Ledger {
    /// Adds points for `count` occurrences. Answers the ban if that was too much; the account then
    /// starts again from zero.
    pub(crate) fn penalize(
        &mut self,
        peer: PeerId,
        penalty: Penalty,
        count: u32,
        class: PeerClass,
        now: Instant,
    ) -> Option<Ban> {
        let account = self.account(peer, now);
        account.settle(now);
        account.points += penalty.points() * f64::from(count);
        // The halving between two calls must not turn an exact 100 into a hair less.
        (account.points >= POINTS_MAX - 1e-6).then(|| account.ban(class, now))
    }

    /// Notes a message of no use. True if the peer has sent too many.
    pub(crate) fn is_one_too_many(&mut self, peer: PeerId, topic: Topic, now: Instant) -> bool {
        let cost = topic.useless_cost();
        cost > 0 && !self.account(peer, now).useless.try_take(cost, now)
    }

    /// Penalty points of a peer now, from 0 (none) to [`POINTS_MAX`].
    pub(crate) fn points(&self, peer: &PeerId, now: Instant) -> f64 {
        self.accounts.get(peer).map_or(0.0, |account| {
            let mut account = *account;
            account.settle(now);
            account.points
        })
    }

    /// Forgets accounts that no longer matter.
    pub(crate) fn sweep(&mut self, now: Instant) {
        self.accounts.retain(|_, account| {
            account.settle(now);
            account.points >= POINTS_NEGLIGIBLE
                || !account.useless.is_full(now)
                || account
                    .banned_last
                    .is_some_and(|at| now.duration_since(at) < REPEAT_WINDOW)
        });
    }

    fn account(&mut self, peer: PeerId, now: Instant) -> &mut Account {
        if !self.accounts.contains_key(&peer) && self.accounts.len() >= ACCOUNTS_MAX {
            self.forget_least(now);
        }
        self.accounts.entry(peer).or_insert_with(|| Account {
            points: 0.0,
            updated: now,
            bans: 0,
            banned_last: None,
            useless: TokenBucket::new(USELESS, now),
        })
    }

    fn forget_least(&mut self, now: Instant) {
        self.sweep(now);
        if self.accounts.len() < ACCOUNTS_MAX {
            return;
        }
        let least = self
            .accounts
            .iter()
            .min_by(|(_, left), (_, right)| left.points.total_cmp(&right.points))
            .map(|(peer, _)| *peer);
        if let Some(peer) = least {
            self.accounts.remove(&peer);
        }
    }
}

impl Account {
    fn settle(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.points *= 0.5_f64.powf(elapsed / HALF_LIFE.as_secs_f64());
        self.updated = self.updated.max(now);
    }

    fn ban(&mut self, class: PeerClass, now: Instant) -> Ban {
        let repeated = self
            .banned_last
            .is_some_and(|at| now.saturating_duration_since(at) < REPEAT_WINDOW);
        self.bans = if repeated {
            self.bans.saturating_add(1)
        } else {
            0
        };
        self.banned_last = Some(now);
        self.points = 0.0;
        let duration = match class {
            PeerClass::Committee => BAN_COMMITTEE,
            PeerClass::Known | PeerClass::Other => BAN_FIRST
                .saturating_mul(1 << self.bans.min(8))
                .min(BAN_LONGEST),
        };
        Ban {
            until: now + duration,
            duration,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn four_invalid_messages_in_a_minute_ban_and_one_does_not() {
        let (mut ledger, peer, now) = (Ledger::default(), PeerId::random(), Instant::now());
        for _ in 0..3 {
            let ban = ledger.penalize(peer, Penalty::InvalidMessage, 1, PeerClass::Other, now);
            assert_eq!(ban, None);
        }
        let ban = ledger.penalize(peer, Penalty::InvalidMessage, 1, PeerClass::Other, now);
        assert_eq!(ban.unwrap().duration, seconds(60));
        assert_eq!(ledger.points(&peer, now), 0.0);
    }

    #[test]
    fn points_halve_every_minute() {
        let (mut ledger, peer, now) = (Ledger::default(), PeerId::random(), Instant::now());
        ledger.penalize(peer, Penalty::Oversized, 2, PeerClass::Other, now);
        let later = ledger.points(&peer, now + seconds(120));
        assert!((later - 20.0).abs() < 1e-9, "{later}");
        ledger.sweep(now + seconds(1200));
        assert!(ledger.accounts.is_empty());
    }

    #[test]
    fn repeated_bans_grow_to_a_limit_and_shrink_again() {
        let (mut ledger, peer, mut now) = (Ledger::default(), PeerId::random(), Instant::now());
        let mut ban = |now| {
            let ban = ledger
                .penalize(peer, Penalty::Proven, 1, PeerClass::Other, now)
                .unwrap();
            ban.duration.as_secs()
        };
        for expected in [60, 120, 240, 480, 900, 900] {
            assert_eq!(ban(now), expected);
            now += seconds(901);
        }
        now += REPEAT_WINDOW;
        assert_eq!(ban(now), 60);
    }

    #[test]
    fn a_committee_peer_is_banned_briefly_however_often() {
        let (mut ledger, peer, mut now) = (Ledger::default(), PeerId::random(), Instant::now());
        for _ in 0..20 {
            let ban = ledger
                .penalize(peer, Penalty::Proven, 1, PeerClass::Committee, now)
                .unwrap();
            assert_eq!(ban.duration, BAN_COMMITTEE);
            now = ban.until;
        }
    }

    /// How many messages of no use a peer sends at a rate before it is banned; none if it is not, in ten minutes.
    fn useless_until_ban(topic: Topic, per_second: u32) -> Option<u32> {
        let (mut ledger, peer, start) = (Ledger::default(), PeerId::random(), Instant::now());
        (0..600 * per_second).find(|number| {
            let now = start + seconds(1) * *number / per_second;
            if number.is_multiple_of(per_second) {
                ledger.sweep(now);
            }
            ledger.is_one_too_many(peer, topic, now)
                && ledger
                    .penalize(peer, Penalty::UselessMessage, 1, PeerClass::Other, now)
                    .is_some()
        })
    }

    #[test]
    fn no_rate_that_a_topic_allows_is_safe_for_what_is_of_no_use() {
        for topic in Topic::ALL {
            if topic.useless_cost() > 0 {
                let rate = topic.rate().messages.per_second as u32;
                let sent = useless_until_ban(topic, rate);
                assert!(sent.is_some_and(|sent| sent < 10_000), "{topic}: {sent:?}");
            }
        }
    }

    #[test]
    fn an_honest_peer_does_not_pay_for_what_is_of_no_use_to_us() {
        // Each halted member of a committee of 128 says every second how it stands.
        assert_eq!(useless_until_ban(Topic::Halt, 128), None);
        assert_eq!(useless_until_ban(Topic::Evidence, 16), None);
        assert_eq!(useless_until_ban(Topic::Governance, 16), None);
        // Four messages of each member of a frozen chain, at a node without the cluster secret.
        assert_eq!(useless_until_ban(Topic::Lockdown, 512), None);
        // Whoever runs behind gets the vertices of another era as fast as they are made.
        assert_eq!(useless_until_ban(Topic::Vertices, 4_096), None);
    }

    #[test]
    fn accounts_are_bounded() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        let worst = PeerId::random();
        ledger.penalize(worst, Penalty::Oversized, 2, PeerClass::Other, now);
        for _ in 0..ACCOUNTS_MAX + 10 {
            ledger.penalize(
                PeerId::random(),
                Penalty::Unresponsive,
                1,
                PeerClass::Other,
                now,
            );
        }
        assert_eq!(ledger.accounts.len(), ACCOUNTS_MAX);
        assert!(ledger.points(&worst, now) > 79.0);
    }

    proptest! {
        /// No history of misbehaviour leads to a ban longer than a quarter of an hour.
        #[test]
        fn no_ban_lasts(steps in proptest::collection::vec((0usize..Penalty::ALL.len(), 0u32..500, 0u64..4000), 1..100)) {
            let (mut ledger, peer, mut now) = (Ledger::default(), PeerId::random(), Instant::now());
            for (penalty, count, pause) in steps {
                now += seconds(pause);
                if let Some(ban) =
                    ledger.penalize(peer, Penalty::ALL[penalty], count, PeerClass::Other, now)
                {
                    prop_assert!(ban.duration <= BAN_LONGEST);
                    prop_assert_eq!(ban.until, now + ban.duration);
                }
                prop_assert!(ledger.points(&peer, now) < POINTS_MAX);
            }
        }
    }
}
