//! What the names of trackers stand for.

use super::error::Error;
use super::request::Slot;
use crate::machine::{Instant, JobId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The addresses of a name, or why there are none.
pub(super) type Addresses = Result<Vec<IpAddr>, Error>;

/// Names: known, being looked up, and waiting for that.
#[derive(Debug, Default)]
pub(super) struct Names {
    known: BTreeMap<String, (Addresses, Instant)>,
    waiting: BTreeMap<String, BTreeSet<Slot>>,
    queue: VecDeque<String>,
    under_way: BTreeMap<JobId, String>,
}

impl Names {
    /// Gives what a name stands for, if that is known; otherwise the request waits for it.
    pub(super) fn look_up(&mut self, now: Instant, name: &str, slot: Slot) -> Option<Addresses> {
        if let Some((addresses, until)) = self.known.get(name) {
            if *until > now {
                return Some(addresses.clone());
            }
        }
        let waiting = self.waiting.entry(name.to_owned()).or_default();
        if waiting.is_empty() && !self.queue.iter().any(|queued| queued == name) {
            // Also where it is being looked up already: then it is passed over when its turn comes.
            self.queue.push_back(name.to_owned());
        }
        waiting.insert(slot);
        None
    }

    /// A request does not wait any more.
    pub(super) fn forget(&mut self, name: &str, slot: Slot) {
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.remove(&slot);
            if waiting.is_empty() {
                self.waiting.remove(name);
                self.queue.retain(|queued| queued != name);
            }
        }
    }

    /// Gives a name to be looked up, if there may be another look-up.
    pub(super) fn next(&mut self, most: usize) -> Option<String> {
        while self.under_way.len() < most {
            let name = self.queue.pop_front()?;
            if self.waiting.contains_key(&name) && !self.under_way.values().any(|other| *other == name) {
                return Some(name);
            }
        }
        None
    }

    pub(super) fn on_started(&mut self, job: JobId, name: String) {
        self.under_way.insert(job, name);
    }

    /// Takes what a name stands for; gives who waits for it.
    pub(super) fn on_resolved(
        &mut self,
        now: Instant,
        job: JobId,
        addresses: &Addresses,
        life: Duration,
        most: usize,
    ) -> BTreeSet<Slot> {
        let Some(name) = self.under_way.remove(&job) else { return BTreeSet::new() };
        self.queue.retain(|queued| *queued != name);
        let waiting = self.waiting.remove(&name).unwrap_or_default();
        self.known.insert(name, (addresses.clone(), now + life));
        while self.known.len() > most {
            let oldest = self.known.iter().min_by_key(|(_, (_, until))| *until).map(|(name, _)| name.clone());
            oldest.and_then(|name| self.known.remove(&name));
        }
        waiting
    }

    /// An address of a name did not answer: another is asked next time.
    pub(super) fn on_silence(&mut self, name: &str, ip: IpAddr) {
        if let Some((Ok(addresses), _)) = self.known.get_mut(name) {
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
