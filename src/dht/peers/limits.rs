use crate::proto::krpc::MAX_INTERVAL;
use std::time::Duration;

/// What a node of the DHT keeps of the peers that others announce to it.
///
/// No host can fill it: what one address, or one /64 of IPv6 addresses, has stored is bounded over all torrents (`per_ip`) and in each
/// (`ports`, `per_network`). What many hosts store together displaces, beyond the limits, what is drawn by lot: of a torrent one of its
/// peers; of all peers one of the torrent with the most; of all torrents one with few peers.
///
/// With the default limits and only IPv4 peers, all of different hosts, it takes less than 16 MiB when it is full, and 60 bytes per peer;
/// what it has is allocated as it comes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreLimits {
    /// Torrents. Default 16,384; at least 1.
    pub hashes: usize,
    /// Peers of one torrent, of each family. Default 2,000; at least 1, and at most 6,000, beyond which they cannot be counted by
    /// others (BEP 33).
    pub per_hash: usize,
    /// Peers in all. Default 100,000; at least 1.
    pub total: usize,
    /// Peers of one address, or one /64 of IPv6 addresses, over all torrents. What is announced beyond is refused. Default 256.
    pub per_ip: usize,
    /// Ports of one address in one torrent: a further one takes the place of the one that was not announced for longest. Default 1, as
    /// in BEP 33; at least 1.
    pub ports: usize,
    /// Peers of one /64 of IPv6 addresses in one torrent, likewise. Default 4; at least 1.
    pub per_network: usize,
    /// For how long a peer is kept that is not announced again. Default 45 minutes; in whole seconds, at most a year.
    pub expiry: Duration,
    /// Torrents in a sample (BEP 51). Default 50: what a packet has room for.
    pub samples: usize,
    /// After how long a sample is drawn anew, where there are more torrents than fit into one (BEP 51). Default 6 hours, which is the
    /// most; in whole seconds.
    pub sample_interval: Duration,
    /// Torrents of which the counts for others (BEP 33) are kept ready, for a minute each. Default 32; each takes half a KiB.
    pub scrapes: usize,
}

impl Default for StoreLimits {
    fn default() -> Self {
        Self {
            hashes: 16_384,
            per_hash: 2_000,
            total: 100_000,
            per_ip: 256,
            ports: 1,
            per_network: 4,
            expiry: Duration::from_secs(45 * 60),
            samples: 50,
            sample_interval: Duration::from_secs(MAX_INTERVAL as u64),
            scrapes: 32,
        }
    }
}

impl StoreLimits {
    /// Gives the same limits without those per host: in a network on one host all peers have one address.
    #[must_use]
    pub(crate) fn of_local_network(self) -> Self {
        Self { per_ip: usize::MAX, ports: usize::MAX, per_network: usize::MAX, ..self }
    }

    /// Gives the expiry in seconds.
    pub(super) fn expiry_seconds(&self) -> u32 {
        const YEAR: u32 = 365 * 86_400;
        u32::try_from(self.expiry.as_secs()).unwrap_or(YEAR).min(YEAR)
    }
}
