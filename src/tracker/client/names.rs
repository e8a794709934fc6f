//! What the names of trackers stand for.
//!
//! A name that nobody knows takes the system long to give up on, so a few of those could hold up all others. Those that failed last have half of the
//! places together and are asked for less and less often, and a quarter is kept for those that were found last.

use super::config::Config;
use super::error::Error;
use super::request::Slot;
use crate::machine::{Instant, JobId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// The addresses of a name, or why there are none.
pub(super) type Addresses = Result<Vec<IpAddr>, Error>;

#[derive(Debug)]
struct Known {
    addresses: Addresses,
    until: Instant,
    /// How often in a row it could not be looked up.
    failures: u32,
}

/// How a name is looked up: those that come first are first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// It was found last.
    Found,
    /// It is not known.
    New,
    /// It was not found last.
    Failed,
}

/// Names: known, being looked up, and waiting for that.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<String, Known>,
    waiting: BTreeMap<String, BTreeSet<Slot>>,
    next: u64,
    queue: BTreeMap<(Rank, u64), String>,
    places: BTreeMap<String, (Rank, u64)>,
    under_way: BTreeMap<JobId, (String, Rank)>,
}

impl Names {
    /// Gives what a name stands for, if that is known; otherwise the request waits for it. Who is in a `hurry` is given what it stood for.
    pub(super) fn look_up(&mut self, now: Instant, name: &str, slot: Slot, hurry: bool) -> Option<Addresses> {
        let known = self.known.get(name);
        if let Some(known) = known.filter(|known| known.until > now || (hurry && known.addresses.is_ok())) {
            return Some(known.addresses.clone());
        }
        let rank = match known.map(|known| known.failures) {
            Some(0) => Rank::Found,
            Some(_) => Rank::Failed,
            None => Rank::New,
        };
        self.waiting.entry(name.to_owned()).or_default().insert(slot);
        if !self.places.contains_key(name) && !self.under_way.values().any(|(other, _)| other == name) {
            self.next += 1;
            self.queue.insert((rank, self.next), name.to_owned());
            self.places.insert(name.to_owned(), (rank, self.next));
        }
        None
    }

    /// A request does not wait any more.
    pub(super) fn forget(&mut self, name: &str, slot: Slot) {
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.remove(&slot);
            if waiting.is_empty() {
                self.waiting.remove(name);
                self.places.remove(name).and_then(|place| self.queue.remove(&place));
            }
        }
    }

    /// Says whether a name waits to be looked up.
    pub(super) fn is_queued(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    /// Gives a name to be looked up, if there may be another look-up, and has it count as begun.
    pub(super) fn start(&mut self, job: JobId, most: usize) -> Option<String> {
        if self.under_way.len() >= most {
            return None;
        }
        let count = |least: Rank| self.under_way.values().filter(|(_, rank)| *rank >= least).count();
        // Where there is one place in all, whoever comes first has it.
        let may = |rank: Rank| match rank {
            Rank::Found => true,
            Rank::New => count(Rank::New) < most - most / 4,
            Rank::Failed => count(Rank::New) < most - most / 4 && count(Rank::Failed) < (most / 2).max(1),
        };
        let first = |rank| self.queue.range((rank, 0)..=(rank, u64::MAX)).next();
        let ranks = [Rank::Found, Rank::New, Rank::Failed];
        let place = *ranks.into_iter().filter(|rank| may(*rank)).find_map(first)?.0;
        let name = self.queue.remove(&place)?;
        self.places.remove(&name);
        self.under_way.insert(job, (name.clone(), place.0));
        Some(name)
    }

    /// Takes what a name stands for; gives who waits for it.
    pub(super) fn on_resolved(
        &mut self,
        now: Instant,
        job: JobId,
        addresses: &Addresses,
        config: &Config,
    ) -> BTreeSet<Slot> {
        let Some((name, _)) = self.under_way.remove(&job) else { return BTreeSet::new() };
        let waiting = self.waiting.remove(&name).unwrap_or_default();
        let before = self.known.get(&name).map_or(0, |known| known.failures);
        let (failures, life) = match addresses {
            Ok(_) => (0, config.name_life),
            Err(_) => {
                let longer = config.name_failure_life.saturating_mul(1 << before.min(16));
                (before.saturating_add(1), longer.min(config.name_life.max(config.name_failure_life)))
            }
        };
        self.known.insert(name, Known { addresses: addresses.clone(), until: now + life, failures });
        while self.known.len() > config.max_names {
            let oldest = self.known.iter().min_by_key(|(_, known)| known.until).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.known.remove(&name));
        }
        waiting
    }

    /// An address of a name did not answer: another is asked next time.
    pub(super) fn on_silence(&mut self, name: &str, ip: IpAddr) {
        if let Some(Known { addresses: Ok(addresses), .. }) = self.known.get_mut(name) {
            if let Some(at) = addresses.iter().position(|address| *address == ip) {
                let ip = addresses.remove(at);
                addresses.push(ip);
            }
        }
    }

    /// Gives how many requests wait, and how many names are being looked up.
    pub(super) fn usage(&self) -> (usize, usize) {
        (self.waiting.values().map(BTreeSet::len).sum(), self.under_way.len())
    }
}
