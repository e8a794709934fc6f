use super::Gone;
use super::hub::Timer;
use super::machine::Swarm;
use crate::machine::Instant;
use std::cmp::Reverse;
use std::num::NonZeroU64;

/// How much of the host and of its link the swarm may use. Can be changed at any time, by
/// [`Command::SetLimits`](super::Command::SetLimits).
///
/// Rates are bytes of blocks per second; what messages and headers add (well under one per cent) is not counted.
///
/// | limit | of | default |
/// |---|---|---|
/// | [`upload_rate`](Self::upload_rate) | the session | none |
/// | [`download_rate`](Self::download_rate) | the session | none |
/// | [`max_connections`](Self::max_connections) | the session | 200 |
/// | [`max_connections_per_torrent`](Self::max_connections_per_torrent) | each torrent | 100 |
/// | [`max_connections_per_network`](Self::max_connections_per_network) | each torrent | 8 |
/// | [`max_dials`](Self::max_dials) | the session | 100 |
/// | [`dials_per_second`](Self::dials_per_second) | the session | 30 |
/// | [`upload_slots`](Self::upload_slots) | each torrent | 4 |
/// | [`optimistic_slots`](Self::optimistic_slots) | each torrent | 1 |
///
/// A torrent can have its own: [`TorrentLimits`].
///
/// # Rates
///
/// While nothing moves, at most a quarter of a second's worth gathers, and at least 32 KiB. Torrents share the session's rate evenly, and
/// peers a torrent's, block by block: how much a peer asks for, or how fast it could send, gives it no more. Only blocks wait; all
/// other messages are sent at once. No peer counts as silent or stalled because of a rate of ours.
///
/// A download rate limits what is *asked for*, so that nobody has to keep for us what we do not read yet. A peer of which more comes,
/// because it sends unasked or was asked at a higher rate before, is not read until that is made up for: a new rate holds at once.
///
/// # Connections
///
/// A torrent has one connection to an IP address ([`Config::max_connections_per_ip`](super::Config::max_connections_per_ip)), so that nobody
/// fills our places from one host. Of global IPv6 a host can have as many addresses as it likes, all in the /64 of its line: so a /64 has a
/// limit of its own. It is more than one, for some hosting companies put many customers into one. An address that there is no room for
/// is passed over and dialled once there is.
///
/// Where a limit is lowered, the surplus is closed at once: peers without interest on either side first, then those on which no block
/// has moved for [`Config::idle_inbound`](super::Config::idle_inbound), then the newest. Dials under way are left to end. Where one
/// is raised, more is dialled at once. Of the dials in a second, a quarter may begin together after a pause; torrents take turns.
///
/// ```
/// use bip::peer::Limits;
/// use std::num::NonZeroU64;
///
/// let limits = Limits { upload_rate: NonZeroU64::new(500_000), ..Limits::default() };
/// assert_eq!((limits.download_rate, limits.max_connections), (None, 200));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes per second sent, over all torrents; `None` sets no limit.
    pub upload_rate: Option<NonZeroU64>,
    /// The most bytes per second received, over all torrents; `None` sets no limit.
    pub download_rate: Option<NonZeroU64>,
    /// The most peers that have shaken hands, over all torrents.
    pub max_connections: usize,
    /// The most peers that have shaken hands in one torrent.
    pub max_connections_per_torrent: usize,
    /// The most peers of one torrent in one /64 of global IPv6 addresses (2000::/3 without Teredo). Counts as
    /// [`Config::max_connections_per_ip`](super::Config::max_connections_per_ip) where it is less. When it is lowered, those that are
    /// connected stay.
    pub max_connections_per_network: usize,
    /// The most dials and dialled connections that have not shaken hands (half-open), over all torrents. Others wait.
    pub max_dials: usize,
    /// How many dials may begin in a second, over all torrents. Others wait. 0 counts as 1.
    pub dials_per_second: u32,
    /// The most peers of one torrent that are uploaded to because of what they give (or, of a seeding torrent, take).
    pub upload_slots: usize,
    /// How many further peers of one torrent are uploaded to in turn, whatever they give.
    pub optimistic_slots: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_rate: None,
            download_rate: None,
            max_connections: 200,
            max_connections_per_torrent: 100,
            max_connections_per_network: 8,
            max_dials: 100,
            dials_per_second: 30,
            upload_slots: 4,
            optimistic_slots: 1,
        }
    }
}

/// What one torrent may use, within what [`Limits`] gives to all. `None` adds nothing to those.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TorrentLimits {
    /// The most bytes per second sent.
    pub upload_rate: Option<NonZeroU64>,
    /// The most bytes per second received.
    pub download_rate: Option<NonZeroU64>,
    /// The most peers that have shaken hands, in place of [`Limits::max_connections_per_torrent`].
    pub max_connections: Option<usize>,
    /// The upload slots, in place of [`Limits::upload_slots`].
    pub upload_slots: Option<usize>,
}

impl Swarm {
    /// Puts the limits of all torrents together in force.
    pub(super) fn apply_limits(&mut self, now: Instant) {
        self.apply_rates(now);
        let per_second = self.hub.config.limits.dials_per_second;
        self.hub.set_dial_rate(now, per_second);
        let places: Vec<usize> = self.torrents.iter().map(|(place, _)| place).collect();
        for place in &places {
            if let Some(torrent) = self.torrents.get_mut(*place) {
                torrent.book.on_room();
            }
            self.close_surplus_here(now, *place);
        }
        let surplus = self.hub.open.saturating_sub(self.hub.config.limits.max_connections);
        self.close_least_useful(now, surplus, None);
        for place in places {
            self.use_limits(now, place);
        }
        self.use_dial_room(now);
    }

    /// Puts a torrent's own limits in force.
    pub(super) fn apply_torrent_limits(&mut self, now: Instant, place: usize) {
        self.apply_torrent_rates(now, place);
        self.close_surplus_here(now, place);
        self.use_limits(now, place);
    }

    /// Has addresses dialled for which there may be room now.
    fn use_limits(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get(place).filter(|t| t.is_running()) else { return };
        self.hub.set_timer_by(now, Timer::Dial(torrent.id), now);
    }

    fn close_surplus_here(&mut self, now: Instant, place: usize) {
        let Some(torrent) = self.torrents.get(place) else { return };
        let surplus = torrent.peers.len().saturating_sub(torrent.max_connections(&self.hub.config.limits));
        self.close_least_useful(now, surplus, Some(place));
    }

    /// Closes so many connections of a torrent or of all: those without interest on either side first, then those on which nothing
    /// has moved for [`Config::idle_inbound`](super::Config::idle_inbound), and of the same kind the newest first.
    fn close_least_useful(&mut self, now: Instant, surplus: usize, of: Option<usize>) {
        if surplus == 0 {
            return;
        }
        let idle = self.hub.config.idle_inbound;
        let torrents = self.torrents.iter().filter(|(place, _)| of.is_none_or(|of| of == *place));
        let peers = torrents.flat_map(|(place, torrent)| torrent.peers.values().map(move |key| (*key, place)));
        let mut ranked: Vec<_> = peers
            .filter_map(|(key, place)| {
                let link = self.table.get(key)?.link()?;
                let wanted = link.we_want || link.they_want;
                let moves = now < link.moved.unwrap_or(link.opened) + idle;
                Some(((wanted, wanted && moves, Reverse(link.opened), Reverse(key)), key, place))
            })
            .collect();
        ranked.sort_unstable();
        ranked.truncate(surplus);
        for (_, key, _) in &ranked {
            self.close(now, *key, Gone::Full);
        }
        for (_, _, place) in ranked {
            self.settle(now, place);
        }
    }
}
