use crate::machine::{DialId, Instant};
use crate::peer::Source;
use crate::proto::id::PeerId;
use std::cmp::Reverse;
use std::net::SocketAddr;

/// An address of a peer, and what is known of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) address: SocketAddr,
    /// The best of those who named it.
    pub(super) source: Source,
    /// When it was last named: later ones have higher numbers.
    pub(super) named: u64,
    /// Its place in the order of BEP 40.
    pub(super) priority: u32,
    pub(super) state: State,
    /// How often in a row it failed.
    pub(super) failures: u32,
    /// Who answered there last.
    pub(super) peer_id: Option<PeerId>,
}

/// The order in which addresses are dialled that are due at the same time: those that the program named before all others, then
/// those that failed less often, then those with the higher priority.
pub(super) type Rank = (bool, u32, Reverse<u32>, u64);
/// The order in which addresses are kept: those that the program named, those that failed less often, those from better sources, and
/// those named later.
pub(super) type Uselessness = (bool, u32, u8, Reverse<u64>);

/// What is being done about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// To be dialled at that time.
    Later(Instant),
    /// To be dialled since that time.
    Due(Instant),
    /// To be dialled as soon as its host and its network have fewer connections.
    Crowded,
    /// Being dialled.
    Dialling(DialId),
    /// Connected and shaking hands.
    Shaking,
    /// Connected, hands shaken.
    Connected,
    /// Ourselves: never to be dialled again.
    Ourselves,
}

impl Entry {
    pub(super) fn is_of_others(&self) -> bool {
        self.source != Source::Program
    }

    pub(super) fn rank(&self) -> Rank {
        (self.is_of_others(), self.failures, Reverse(self.priority), self.named)
    }

    pub(super) fn uselessness(&self) -> Uselessness {
        (self.is_of_others(), self.failures, distrust(self.source), Reverse(self.named))
    }
}

/// Says how little an address is worth for having come from there: local peers are fast, trackers know who is there, and anybody may
/// say anything in the DHT and in peer exchange.
pub(super) fn distrust(source: Source) -> u8 {
    match source {
        Source::Program => 0,
        Source::LocalDiscovery => 1,
        Source::Tracker => 2,
        Source::Resume => 3,
        Source::Dht => 4,
        Source::PeerExchange => 5,
        Source::Incoming => 6,
    }
}
