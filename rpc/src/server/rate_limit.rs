//! Calls per client address: one token bucket each, in a bounded table.

use crate::codes::Fault;
use crate::config::RateLimit;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Most addresses that are told apart. When the table is full of busy ones, new ones share a bucket.
const CLIENTS_MAX: usize = 16_384;

/// How often a full table is searched for clients to forget.
const PURGE_INTERVAL: Duration = Duration::from_secs(1);

/// Calls per client address.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    buckets: Mutex<Buckets>,
}

#[derive(Debug, Default)]
struct Buckets {
    by_client: HashMap<IpAddr, Bucket>,
    shared: Option<Bucket>,
    purged: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    tokens: f64,
    updated: Instant,
}

impl RateLimiter {
    pub(crate) fn new(limit: RateLimit) -> Self {
        Self {
            limit,
            buckets: Mutex::default(),
        }
    }

    /// Takes one call from the bucket of this address.
    pub(crate) fn charge(&self, address: IpAddr, now: Instant) -> Result<(), Fault> {
        let mut buckets = self
            .buckets
            .lock()
            .expect("no holder of the buckets panics");
        let bucket = buckets.bucket(client(address), self.limit, now);
        bucket.refill(self.limit, now);
        if bucket.tokens >= 1.0 {
            bucket.tokens -= 1.0;
            return Ok(());
        }
        Err(self.exceeded(bucket.tokens))
    }

    /// Says whether a call of this address would be refused, without counting it: a cheap answer before a body is
    /// read.
    pub(crate) fn check(&self, address: IpAddr, now: Instant) -> Result<(), Fault> {
        let buckets = self
            .buckets
            .lock()
            .expect("no holder of the buckets panics");
        let Some(mut bucket) = buckets.by_client.get(&client(address)).copied() else {
            return Ok(());
        };
        bucket.refill(self.limit, now);
        if bucket.tokens >= 1.0 {
            Ok(())
        } else {
            Err(self.exceeded(bucket.tokens))
        }
    }

    fn exceeded(&self, tokens: f64) -> Fault {
        let seconds = ((1.0 - tokens) / f64::from(self.limit.calls_per_second))
            .ceil()
            .max(1.0);
        let message = format!(
            "more than {} calls per second from this address",
            self.limit.calls_per_second
        );
        // The quotient is at most 1 second per missing token, far below the range of u32.
        Fault::busy(&message).retry_after(seconds as u32)
    }
}

impl Buckets {
    fn bucket(&mut self, client: IpAddr, limit: RateLimit, now: Instant) -> &mut Bucket {
        let full = Bucket {
            tokens: limit.burst.into(),
            updated: now,
        };
        if self.by_client.len() >= CLIENTS_MAX && !self.by_client.contains_key(&client) {
            if self
                .purged
                .is_none_or(|purged| now.saturating_duration_since(purged) >= PURGE_INTERVAL)
            {
                self.purged = Some(now);
                // Whoever has a full bucket is as good as forgotten.
                self.by_client.retain(|_, bucket| {
                    bucket.refill(limit, now);
                    bucket.tokens < f64::from(limit.burst)
                });
            }
            if self.by_client.len() >= CLIENTS_MAX {
                return self.shared.get_or_insert(full);
            }
        }
        self.by_client.entry(client).or_insert(full)
    }
}

impl Bucket {
    fn refill(&mut self, limit: RateLimit, now: Instant) {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        let tokens = elapsed.mul_add(limit.calls_per_second.into(), self.tokens);
        self.tokens = tokens.min(limit.burst.into());
        self.updated = self.updated.max(now);
    }
}

/// Who counts as one client: an IPv4 address, or an IPv6 /64, since one customer has that many addresses.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: RateLimit = RateLimit {
        calls_per_second: 10,
        burst: 3,
    };

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn a_bucket_empties_and_refills() {
        let limiter = RateLimiter::new(LIMIT);
        let start = Instant::now();
        for _ in 0..3 {
            limiter.check(address(1), start).unwrap();
            limiter.charge(address(1), start).unwrap();
        }
        let fault = limiter.charge(address(1), start).unwrap_err();
        assert_eq!(fault.retry_after_seconds, Some(1));
        assert!(limiter.check(address(1), start).is_err());
        limiter.charge(address(2), start).unwrap();
        let later = start + Duration::from_millis(100);
        limiter.charge(address(1), later).unwrap();
        assert!(limiter.charge(address(1), later).is_err());
        let much_later = start + Duration::from_secs(1000);
        for _ in 0..3 {
            limiter.charge(address(1), much_later).unwrap();
        }
        assert!(limiter.charge(address(1), much_later).is_err());
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_idle() {
        let limiter = RateLimiter::new(LIMIT);
        let start = Instant::now();
        for n in 0..CLIENTS_MAX as u32 + 5 {
            limiter.charge(address(n), start).unwrap_or_default();
        }
        let count = |limiter: &RateLimiter| limiter.buckets.lock().unwrap().by_client.len();
        assert_eq!(count(&limiter), CLIENTS_MAX);
        assert!(limiter.buckets.lock().unwrap().shared.is_some());
        limiter
            .charge(address(u32::MAX), start + Duration::from_secs(1))
            .unwrap();
        assert_eq!(count(&limiter), 1);
    }

    #[test]
    fn a_v6_network_is_one_client() {
        let parse = |text: &str| client(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:10.0.0.1"), parse("10.0.0.1"));
    }
}
