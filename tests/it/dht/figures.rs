//! What lookups in a network achieve.

use super::town::{MINUTE, SECOND, Town, hash};
use bip::dht::{Command, Event};
use std::fmt;
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Figures {
    searches: usize,
    found: usize,
    /// Milliseconds to the first peers and to the end of the search.
    first: Vec<f64>,
    end: Vec<f64>,
    asked: Vec<f64>,
    hops: Vec<f64>,
    /// How many nodes took an announcement down.
    stored: Vec<f64>,
    /// Nodes in a table.
    table: Vec<f64>,
    /// Datagrams that a node sent in a minute while nobody asked it for anything.
    idle: f64,
    /// KiB of a node, as it says.
    memory: Vec<f64>,
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get(last * percent / 100).copied().unwrap_or(0.0)
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

impl Figures {
    pub(super) fn success(&self) -> f64 {
        self.found as f64 * 100.0 / self.searches.max(1) as f64
    }

    pub(super) fn slowest_end(&self) -> f64 {
        percentile(&self.end, 100)
    }

    pub(super) fn median_end(&self) -> f64 {
        percentile(&self.end, 50)
    }

    /// Has peers announced by some and looked for by others, that many in all.
    pub(super) fn of(town: &mut Town, count: usize) -> Self {
        let mut figures = Self::default();
        let (sent, began) = (town.net.watch.queries + town.net.watch.replies, town.net.now());
        town.run(16 * MINUTE);
        let people = town.people.len() as f64;
        let sent = (town.net.watch.queries + town.net.watch.replies - sent) as f64;
        figures.idle = sent / people * 60.0 / town.net.now().since(began).as_secs_f64();

        let mut announced = Vec::new();
        for n in 0..count {
            let (info_hash, place) = (hash(&mut town.net.rng), town.anybody());
            let port = 10_000 + u16::try_from(n).unwrap();
            let command = |request| Command::Announce { request, info_hash, port: Some(port), seed: false };
            let request = town.net.ask(place, command);
            let ip = town.ip(place);
            announced.push((place, request, info_hash, ip, port));
            town.run(SECOND / 5);
        }
        town.run(MINUTE);
        for (place, request, ..) in &announced {
            if let Some((_, Event::Announced { nodes, .. })) = town.net.answer(*place, *request) {
                figures.stored.push(*nodes as f64);
            }
        }
        let mut searches = Vec::new();
        for (announcer, _, info_hash, ip, port) in announced {
            let place = std::iter::repeat_with(|| town.anybody()).find(|place| *place != announcer).unwrap();
            searches.push((place, town.search(place, info_hash), town.net.now(), ip, port));
            town.run(SECOND / 5);
        }
        town.run(MINUTE);
        for (place, search, began, ip, port) in searches {
            let result = town.result(place, search);
            let gone = town.net.node(place).is_none();
            assert!(gone || result.is_some(), "a search of node {place} does not end");
            let Some(result) = result else { continue };
            figures.searches += 1;
            figures.found += usize::from(result.has(ip, port));
            figures.first.extend(result.first.map(|at| millis(at.since(began))));
            figures.end.push(millis(result.ended.since(began)));
            figures.asked.push(result.stats.asked as f64);
            figures.hops.push(result.stats.hops as f64);
        }
        figures.table = town.people.iter().map(|place| town.known(*place) as f64).collect();
        let nodes = town.people.iter().filter_map(|place| town.net.node(*place));
        figures.memory = nodes.map(|node| node.status(town.net.now()).memory as f64 / 1024.0).collect();
        town.net.check();
        figures
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>7.1} ", self.success())?;
        for values in [&self.first, &self.end] {
            write!(f, "{:>6.0} {:>6.0} ", percentile(values, 50), percentile(values, 95))?;
        }
        write!(f, "{:>6.1} {:>5.0} {:>5.2} ", mean(&self.asked), percentile(&self.asked, 95), mean(&self.hops))?;
        write!(f, "{:>6.2} {:>6.1} {:>6.1} ", mean(&self.stored), mean(&self.table), self.idle)?;
        // Rounded up to the next 16: it goes with the compiler and the library's maps too.
        write!(f, "{:>6.0}", (mean(&self.memory) / 16.0).ceil() * 16.0)
    }
}
