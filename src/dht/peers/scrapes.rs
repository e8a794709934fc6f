//! Filters of which others count the peers of a torrent (BEP 33).

use super::crowd::Crowd;
use crate::dht::memory::Heap as _;
use crate::machine::Instant;
use crate::proto::compact::Family;
use crate::proto::id::InfoHash;
use crate::proto::krpc::Bloom;
use std::time::Duration;

/// For how long filters are kept: making them takes a hash for each peer, and asking for them one small packet.
const KEPT: Duration = Duration::from_secs(60);

/// The addresses of a torrent's seeds and of its other peers, to be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Scrape {
    /// `BFsd`: the seeds.
    pub(crate) seeds: Bloom,
    /// `BFpe`: the peers that are no seeds.
    pub(crate) peers: Bloom,
}

impl Scrape {
    pub(super) fn of<const N: usize>(crowd: &Crowd<N>) -> Self {
        let mut scrape = Self::default();
        for (address, is_seed) in crowd.iter() {
            let filter = if is_seed { &mut scrape.seeds } else { &mut scrape.peers };
            filter.insert(address.ip());
        }
        scrape
    }
}

/// The filters that were asked for in the last minute, and few enough to be looked through.
#[derive(Debug, Default)]
pub(super) struct Scrapes {
    made: Vec<(InfoHash, Family, Instant, Box<Scrape>)>,
}

impl Scrapes {
    pub(super) fn heap(&self) -> usize {
        self.made.heap() + self.made.len() * size_of::<Scrape>()
    }

    pub(super) fn get(
        &mut self,
        now: Instant,
        (hash, family): (&InfoHash, Family),
        most: usize,
        make: impl FnOnce() -> Scrape,
    ) -> &Scrape {
        let is_it = |made: &(InfoHash, Family, Instant, Box<Scrape>)| made.0 == *hash && made.1 == family;
        let found = self.made.iter().position(is_it);
        let at = match found {
            Some(at) if now.since(self.made[at].2) < KEPT => at,
            _ => {
                let made = (*hash, family, now, Box::new(make()));
                let oldest = || (0..self.made.len()).min_by_key(|at| self.made[*at].2);
                let place = found.or_else(|| if self.made.len() < most.max(1) { None } else { oldest() });
                match place {
                    Some(at) => {
                        self.made[at] = made;
                        at
                    }
                    None => {
                        self.made.push(made);
                        self.made.len() - 1
                    }
                }
            }
        };
        &self.made[at].3
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.made.len()
    }
}
