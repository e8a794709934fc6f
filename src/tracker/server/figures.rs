//! What the server has done.

use super::swarms::Tally;
use std::sync::atomic::{AtomicU64, Ordering};

/// Declares counters, and the figures that are read from them.
macro_rules! figures {
    ($($(#[doc = $doc:literal])+ $name:ident,)*) => {
        /// The counters of one machine: it alone writes them, anybody may read them.
        #[derive(Debug, Default)]
        // So that no two machines' counters share a line of a processor's cache.
        #[repr(align(128))]
        pub(super) struct Counters {
            $(pub(super) $name: Counter,)*
        }

        /// What a server has done since it was started, and how much it knows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
        #[non_exhaustive]
        pub struct Figures {
            $($(#[doc = $doc])+ pub $name: u64,)*
            /// The torrents and peers that are known.
            pub swarms: Tally,
        }

        impl Figures {
            pub(super) fn and(mut self, counters: &Counters) -> Self {
                $(self.$name = self.$name.wrapping_add(counters.$name.read());)*
                self
            }
        }
    };
}

figures! {
    /// Datagrams that came.
    datagrams,
    /// Connects answered.
    connects,
    /// Announces answered over UDP.
    udp_announces,
    /// Scrapes answered over UDP.
    udp_scrapes,
    /// Requests refused over UDP, with a reason.
    udp_refusals,
    /// Datagrams that were not answered because they had no valid connection id, or an expired one.
    invalid_ids,
    /// Datagrams that were not answered because they are no requests.
    garbage,
    /// Requests that the policy wanted not to be answered.
    ignored,
    /// Connections accepted.
    connections,
    /// Connections closed since: when there are too many, or they are too slow, or for a request that is none.
    closed,
    /// Connections of those that were closed for being too many.
    too_many,
    /// Connections of those that were closed for being too slow.
    too_slow,
    /// HTTP requests that are none of a tracker's, or no requests at all.
    http_errors,
    /// Announces answered over HTTP.
    http_announces,
    /// Scrapes answered over HTTP.
    http_scrapes,
    /// Requests refused over HTTP, with a reason.
    http_refusals,
    /// Peers given to announcers.
    peers_given,
}

/// A number that one thread adds to and others may read.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    /// Adds to it. Only one thread may: it takes no locked instruction then.
    #[inline]
    pub(super) fn add(&self, more: u64) {
        self.0.store(self.read().wrapping_add(more), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Figures {
    /// Gives the announces answered.
    pub fn announces(&self) -> u64 {
        self.udp_announces + self.http_announces
    }

    /// Gives the scrapes answered.
    pub fn scrapes(&self) -> u64 {
        self.udp_scrapes + self.http_scrapes
    }

    /// Gives all requests answered.
    pub fn answers(&self) -> u64 {
        self.connects + self.announces() + self.scrapes() + self.udp_refusals + self.http_refusals
    }

    /// Gives the connections that are open.
    pub fn open(&self) -> u64 {
        self.connections.saturating_sub(self.closed)
    }
}
