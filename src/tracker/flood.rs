//! The bound on how fast one client's events are taken.
//!
//! A token bucket for each client, as the generic cell rate algorithm has it: of a bucket, the one number
//! that is kept is when it will be full again. The buckets are in two tables of a fixed size, without locks.
//! A client has a place in each, by two hashes, and is refused only if both buckets are empty. So memory is
//! bounded whatever the clients do, and a client that shares one place with a flooding one keeps the other.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use siphasher::sip::SipHasher13;

/// The time in which a bucket gets a token back: 200 in a second.
const INTERVAL: Duration = Duration::from_millis(5);
/// Tokens of a full bucket.
const BURST: u32 = 2_000;
/// Places of one table, a power of two: 256 KiB.
const PLACES: usize = 1 << 15;

/// See the module.
#[derive(Debug)]
pub(super) struct FloodGate {
    tables: [Box<[AtomicU64]>; 2],
    /// Random, so that nobody knows which clients share a place.
    keys: (u64, u64),
    start: Instant,
}

impl FloodGate {
    pub(super) fn new(keys: (u64, u64)) -> Self {
        let table = || (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        FloodGate {
            tables: [table(), table()],
            keys,
            start: Instant::now(),
        }
    }

    /// Takes a token of a client's.
    ///
    /// # Errors
    /// When there will be one again.
    pub(super) fn pass(&self, client: IpAddr, now: Instant) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.start).as_nanos() as u64;
        let interval = INTERVAL.as_nanos() as u64;
        let latest = now + (BURST as u64 - 1) * interval;
        let hash = self.hash(client);
        let places = [hash as usize % PLACES, (hash >> 32) as usize % PLACES];
        let buckets = [&self.tables[0][places[0]], &self.tables[1][places[1]]];
        // A bucket that others have emptied gets no emptier, or they would refuse this client for longer.
        let taken = buckets.map(|bucket| {
            let token = |full_at: u64| {
                let full_at = full_at.max(now);
                (full_at <= latest).then_some(full_at + interval)
            };
            bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, token)
        });
        if let [Err(one), Err(other)] = taken {
            return Err(Duration::from_nanos(one.min(other) - latest));
        }
        Ok(())
    }

    /// An IPv6 client is its network of 64 bits, in which it can have any address.
    fn hash(&self, client: IpAddr) -> u64 {
        let hasher = SipHasher13::new_with_keys(self.keys.0, self.keys.1);
        match client.to_canonical() {
            IpAddr::V4(v4) => hasher.hash(&v4.octets()),
            IpAddr::V6(v6) => hasher.hash(&v6.octets()[..8]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    fn gate() -> FloodGate {
        FloodGate::new((1, 2))
    }

    fn passed(gate: &FloodGate, client: IpAddr, now: Instant, tries: u32) -> u32 {
        (0..tries).filter(|_| gate.pass(client, now).is_ok()).count() as u32
    }

    #[test]
    fn a_client_has_a_burst_and_then_its_rate_and_is_told_when_to_come_again() {
        let (gate, client) = (gate(), Ipv4Addr::new(203, 0, 113, 7).into());
        let now = gate.start + Duration::from_secs(1);
        assert_eq!(passed(&gate, client, now, 10_000), BURST);
        assert_eq!(gate.pass(client, now), Err(INTERVAL));
        assert_eq!(passed(&gate, client, now + Duration::from_secs(2), 10_000), 400);
        let later = now + Duration::from_mins(10);
        assert_eq!(
            passed(&gate, client, later, 10_000),
            BURST,
            "no more than a full bucket"
        );
    }

    #[test]
    fn a_flood_by_thousands_of_clients_costs_few_others_anything() {
        let gate = gate();
        let now = gate.start + Duration::from_secs(1);
        for n in 0..1_000 {
            passed(&gate, Ipv4Addr::from(n).into(), now, BURST + 10);
        }
        let others = (0..10_000_u32).map(|n| IpAddr::from(Ipv4Addr::from(0x0a00_0000 + n)));
        let refused = others.filter(|client| gate.pass(*client, now).is_err()).count();
        assert!(refused < 50, "{refused} of 10000");
    }

    #[test]
    fn an_ipv6_network_is_one_client() {
        let gate = gate();
        let now = gate.start + Duration::from_secs(1);
        let at = |host: u16| IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host));
        let passed: u32 = (0..4_000).map(|n| passed(&gate, at(n), now, 1)).sum();
        assert_eq!(passed, BURST);
        let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 2, 0, 0, 0, 1).into();
        assert_eq!(gate.pass(other, now), Ok(()));
    }
}
