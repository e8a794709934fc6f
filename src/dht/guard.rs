//! Who asks too much is not answered for a while.

use crate::dht::memory::Heap as _;
use crate::dht::party::Party;
use crate::machine::{Instant, Rng};
use std::hash::Hasher;
#[allow(deprecated)] // what it is deprecated for is maps of std; under keys of one's own it does for a table
use std::hash::SipHasher;
use std::net::IpAddr;
use std::time::Duration;

/// How much a node of the DHT answers one host: an IPv4 address, or a /64 of IPv6 addresses.
///
/// The address of a query may be made up. So what is kept of hosts is bounded, and those that asked least are forgotten first; and
/// the worst that somebody can do in another's name is that the other is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuardLimits {
    /// Queries that are answered within `per`; with one more the host is banned. Default 50.
    pub queries: u32,
    /// The time in which queries are counted: it begins with the first. Default 10 seconds.
    pub per: Duration,
    /// For how long a host is not answered that was banned. Default 5 minutes.
    pub ban: Duration,
    /// Hosts that are counted or banned at a time, rounded up to a power of two. Each takes 24 bytes. Default 2,048; at least 8.
    pub tracked: usize,
}

impl Default for GuardLimits {
    fn default() -> Self {
        Self { queries: 50, per: Duration::from_secs(10), ban: Duration::from_secs(5 * 60), tracked: 2_048 }
    }
}

impl GuardLimits {
    /// Gives the limits without that of queries: in a network on one host all nodes are one host.
    #[must_use]
    pub(crate) fn of_local_network(self) -> Self {
        Self { queries: u32::MAX, ..self }
    }
}

/// What a packet that is none, or makes no sense, counts for: as many queries.
const GARBAGE: u32 = 5;

/// Among how many places a host is looked for.
const WAYS: usize = 8;

/// What is kept of a host.
#[derive(Debug, Clone, Copy)]
struct Seen {
    party: Party,
    /// When the count or the ban ends.
    until: Instant,
    /// `BANNED`, or how many queries there were.
    count: u32,
}

const BANNED: u32 = u32::MAX;

/// Counts what hosts ask.
///
/// What it tracks: for some hosts how much they asked, or that they are banned, and until when that counts. The table has rows of eight
/// places. The hash of a host, under a key that nobody else knows, says in which row it is looked for; a new host takes the place in
/// its row whose time is over, else of the one that asked least, and never that of a banned one. So a call costs the same whatever
/// comes, and a flood from made-up addresses pushes out those that ask little, not those that ask much.
#[derive(Debug)]
pub(crate) struct Guard {
    limits: GuardLimits,
    key: (u64, u64),
    /// `WAYS` places a row; a power of two of rows.
    places: Vec<Option<Seen>>,
}

impl Guard {
    pub(crate) fn new(limits: GuardLimits, rng: &mut Rng) -> Self {
        // As large as it gets is given by the program; half of the memory of a small machine is not meant.
        let places = limits.tracked.clamp(WAYS, 1 << 24).next_power_of_two();
        Self { limits, key: (rng.next_u64(), rng.next_u64()), places: vec![None; places] }
    }

    pub(super) fn heap(&self) -> usize {
        self.places.heap()
    }

    /// Notes a query. Says whether it should be answered.
    pub(crate) fn on_query(&mut self, now: Instant, ip: IpAddr) -> bool {
        self.count(now, ip, 1)
    }

    /// Notes a packet that is none, or makes no sense.
    pub(crate) fn on_garbage(&mut self, now: Instant, ip: IpAddr) {
        self.count(now, ip, GARBAGE);
    }

    #[cfg(test)]
    pub(crate) fn is_banned(&self, now: Instant, ip: IpAddr) -> bool {
        let party = Party::of(ip);
        let row = self.row(party);
        let mut row = self.places[row..row + WAYS].iter().flatten();
        row.any(|seen| seen.party == party && seen.count == BANNED && seen.until > now)
    }

    /// Gives how many are banned. It goes over all that are tracked.
    pub(crate) fn bans(&self, now: Instant) -> usize {
        self.places.iter().flatten().filter(|seen| seen.count == BANNED && seen.until > now).count()
    }

    fn count(&mut self, now: Instant, ip: IpAddr, queries: u32) -> bool {
        if self.limits.queries == u32::MAX {
            return true;
        }
        let party = Party::of(ip);
        let at = self.row(party);
        let row = &mut self.places[at..at + WAYS];
        let Some(place) = find(row, now, party) else { return true };
        let (per, most) = (self.limits.per, self.limits.queries);
        let seen = match place {
            Some(seen) if seen.party == party && seen.until > now => seen,
            _ => place.insert(Seen { party, until: now + per, count: 0 }),
        };
        if seen.count == BANNED {
            return false;
        }
        seen.count = seen.count.saturating_add(queries).min(BANNED - 1);
        if seen.count > most {
            (seen.count, seen.until) = (BANNED, now + self.limits.ban);
            return false;
        }
        true
    }

    #[allow(deprecated)]
    fn row(&self, party: Party) -> usize {
        let mut hasher = SipHasher::new_with_keys(self.key.0, self.key.1);
        hasher.write(&party.to_bytes());
        (hasher.finish() as usize % (self.places.len() / WAYS)) * WAYS
    }
}

/// Gives a party's place in its row, or the one that it takes: one that is free, else that of who asked least, else of the banned the one whose
/// time ends first. Bans can be made by who names others as senders, so a row of them must not leave somebody uncounted. There is none
/// in a row without places.
fn find(row: &mut [Option<Seen>], now: Instant, party: Party) -> Option<&mut Option<Seen>> {
    // What it costs to lose a place: nothing, or what has been counted there.
    let cost = |seen: &Option<Seen>| match seen {
        Some(seen) if seen.party == party => None,
        Some(seen) if seen.until > now => Some(u64::from(seen.count) + 1),
        _ => Some(0),
    };
    row.iter_mut().min_by_key(|seen| (cost(seen), seen.map(|seen| seen.until)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Instant = Instant::from_micros(5_000_000);

    fn after(millis: u64) -> Instant {
        START + Duration::from_millis(millis)
    }

    fn ip(n: u32) -> IpAddr {
        IpAddr::from((0x0100_0000 + n).to_be_bytes())
    }

    fn guard(limits: GuardLimits) -> Guard {
        Guard::new(limits, &mut Rng::new(3))
    }

    #[test]
    fn fifty_queries_in_ten_seconds_are_answered_and_with_one_more_there_is_silence_for_five_minutes() {
        let mut guard = guard(GuardLimits::default());
        for n in 0..50 {
            assert!(guard.on_query(after(n * 200), ip(1)));
        }
        assert!(!guard.is_banned(after(9_999), ip(1)));
        assert!(!guard.on_query(after(9_999), ip(1)) && guard.is_banned(after(9_999), ip(1)));
        assert!(guard.on_query(after(9_999), ip(2)), "another host");
        assert_eq!(guard.bans(after(9_999)), 1);
        // What comes meanwhile makes it no longer.
        for second in 10..309 {
            assert!(!guard.on_query(after(second * 1_000), ip(1)));
        }
        assert!(!guard.on_query(after(309_998), ip(1)));
        assert!(guard.on_query(after(309_999), ip(1)) && guard.bans(after(309_999)) == 0);
    }

    #[test]
    fn who_keeps_to_the_rate_is_never_banned() {
        let mut guard = guard(GuardLimits::default());
        assert!((0..100_000).all(|n| guard.on_query(after(n * 205), ip(1))));
    }

    #[test]
    fn garbage_counts_more_than_queries() {
        let mut guard = guard(GuardLimits::default());
        (0..10).for_each(|_| guard.on_garbage(START, ip(1)));
        assert!(!guard.is_banned(START, ip(1)));
        guard.on_garbage(START, ip(1));
        assert!(guard.is_banned(START, ip(1)) && !guard.on_query(START, ip(1)));
    }

    #[test]
    fn a_64_of_ipv6_addresses_is_one_host() {
        let mut guard = guard(GuardLimits::default());
        let of_line = |n: u128| IpAddr::from((0x2001_0db8 << 96 | n).to_be_bytes());
        assert_eq!((0..1_000).filter(|n| guard.on_query(START, of_line(*n))).count(), 50);
        assert!(guard.is_banned(START, of_line(5_000)) && !guard.is_banned(START, of_line(1 << 64)));
    }

    #[test]
    fn in_a_local_network_nobody_is_banned() {
        let mut guard = guard(GuardLimits::default().of_local_network());
        for _ in 0..10_000 {
            guard.on_garbage(START, ip(1));
            assert!(guard.on_query(START, ip(1)) && !guard.is_banned(START, ip(1)));
        }
    }

    #[test]
    fn a_flood_from_made_up_addresses_hides_nobody_who_asks_much_and_takes_no_more_memory() {
        let mut guard = guard(GuardLimits::default());
        let places = guard.places.capacity();
        let mut answered = 0;
        for n in 0..1_000_000 {
            // One query of a made-up address after the other, and now and then one of the host that means it.
            guard.on_query(after(n / 200), ip(1_000 + n as u32));
            if n % 100 == 0 {
                answered += u32::from(guard.on_query(after(n / 200), ip(1)));
            }
        }
        assert_eq!((guard.places.capacity(), guard.places.len()), (places, 2_048));
        // 10,000 queries in 5 seconds. It was new in its row a few times, perhaps, but counted soon after.
        assert!(answered <= 60, "{answered}");
        assert!(guard.is_banned(after(5_000), ip(1)));
    }

    #[test]
    fn where_all_are_banned_the_next_is_counted_in_place_of_the_one_whose_time_ends_first() {
        let mut guard = guard(GuardLimits { tracked: 0, ..GuardLimits::default() });
        for n in 0..8 {
            // Who says to be somebody else has the other banned.
            (0..11).for_each(|_| guard.on_garbage(after(n.into()), ip(n)));
            assert!(guard.is_banned(after(n.into()), ip(n)));
        }
        assert_eq!((0..60).filter(|_| guard.on_query(after(10), ip(9))).count(), 50);
        assert!(guard.is_banned(after(10), ip(9)) && !guard.is_banned(after(10), ip(0)));
        assert!((1..8).all(|n| guard.is_banned(after(10), ip(n))));
        // When their time is over there is room.
        assert_eq!((0..60).filter(|_| guard.on_query(after(300_010), ip(10))).count(), 50);
    }

    #[test]
    fn the_extremes_are_survived() {
        let none = GuardLimits { queries: 0, tracked: 1, ban: Duration::MAX, per: Duration::MAX };
        let mut guard = guard(none);
        assert!(!guard.on_query(Instant::NEVER, ip(1)));
        assert!(!guard.on_query(Instant::ZERO, ip(1)) && guard.is_banned(START, ip(1)));
        let mut guard = Guard::new(GuardLimits { queries: u32::MAX - 1, ..GuardLimits::default() }, &mut Rng::new(1));
        assert!((0..1_000).all(|_| guard.on_query(START, ip(1))));
    }
}
