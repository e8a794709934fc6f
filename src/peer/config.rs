use super::Limits;
use crate::select::PipelineConfig;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

/// The swarm's limits and times. Every collection of the swarm is bounded by one of these.
///
/// ```
/// use bip::peer::Config;
/// let config = Config { upload_queue: 500, ..Config::default() };
/// assert_eq!(config.limits.max_connections, 200);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How long a connection may take from its first moment to a whole handshake; 10 s by default.
    pub handshake_timeout: Duration,
    /// How long a dial may take before it is given up; 15 s by default.
    pub dial_timeout: Duration,
    /// How long we may be silent on a connection before we send a keep-alive; 60 s by default.
    pub keep_alive: Duration,
    /// How long a peer may be silent before its connection is closed; 120 s by default. Stands still while we do not read
    /// from it because the store is behind. Five times as long while we do not read from it because its queue of requests is
    /// full, and it takes what we send: one that does so slowly lives.
    pub silence: Duration,

    /// The most torrents; 1,000 by default. Another is [`Refusal::Full`](super::Refusal::Full).
    pub max_torrents: usize,
    /// The most pieces that a torrent may have; 2^21 by default. Every connection keeps a bit for each.
    pub max_pieces: u32,
    /// How much of the host and its link may be used. Can be changed later.
    pub limits: Limits,
    /// How much of the limits on connections those that came in may fill, in percent, rounded up; 75 by default. The rest is for
    /// peers that were named to us.
    pub inbound_percent: u8,
    /// How long a peer that came in may be connected without interest on either side and without a byte of a block before a
    /// newcomer may take its place where there is no other; 60 s by default.
    pub idle_inbound: Duration,
    /// How long after hands were shaken another connection to the same peer id may still be the one that stays, as long as no block
    /// has moved; 10 s by default.
    pub pair_window: Duration,
    /// The most connections that came in and have not shaken hands; 256 by default. Another closes the oldest of them, so that
    /// silent ones keep nobody out.
    pub max_incoming_handshakes: usize,
    /// The most connections of one torrent to one IP address, whatever the peer ids and ports; 1 by default, so that nobody fills our
    /// places from one host. Several peers behind one address translator share it: in a network of our own where that is so, raise it.
    /// How many a /64 of global IPv6 addresses has is a limit of its own ([`Limits::max_connections_per_network`]). Loopback addresses
    /// are exempt. 0 counts as 1.
    pub max_connections_per_ip: usize,
    /// The most addresses known in one torrent; 1,000 by default. Another takes the place of the least useful that is not connected:
    /// of those that failed, the one that failed most often; else the one that came from the worst source, longest ago. What the program
    /// named gives way only to another that it names, and only where it failed. Where nothing gives way, the new one is
    /// [`Refusal::Full`](super::Refusal::Full).
    pub max_known_peers: usize,
    /// How often in a row an address may fail before it is forgotten; 8 by default. Those that the program named never are. 0 counts
    /// as 1.
    pub max_failures: u32,
    /// The most IP addresses banned (a liar on a global IPv6 address with all of its /64), over all torrents; 4,096 by default. Another takes the place of the oldest ban of a liar; where all
    /// are the program's own, it is refused.
    pub max_bans: usize,
    /// The IPv4 address at which others see us, where it is known: for the order of peers (BEP 40). `None` by default: the local
    /// address of the latest connection stands for it.
    pub external_v4: Option<Ipv4Addr>,
    /// The IPv6 address at which others see us, as [`external_v4`](Self::external_v4).
    pub external_v6: Option<Ipv6Addr>,

    /// How long the first pause before an address is dialled again lasts; 1 s by default. Each further failure doubles it.
    /// Every pause is lengthened at random by up to a quarter.
    pub redial_first: Duration,
    /// The longest pause before an address is dialled again; 5 min by default.
    pub redial_longest: Duration,

    /// How often the upload slots are given out anew; 10 s by default.
    pub choke_interval: Duration,
    /// How long an optimistic slot is kept before it is drawn anew; 30 s by default. As long, any slot of a torrent that is only
    /// uploaded.
    pub optimistic_interval: Duration,
    /// How many bytes end a peer's turn sooner, where a torrent is only uploaded; 20 blocks (320 KiB) by default.
    pub upload_quota: u64,
    /// How long a peer that we ask may send no block before it loses its regular slot to whoever wants it; 60 s by default. It gets one
    /// again once it has sent a block.
    pub snub_after: Duration,
    /// The most requests of one peer that are queued; 2,000 by default. At the limit, the connection is not read until a quarter
    /// of them are served. That is the peer's own doing: what it was asked for is meanwhile asked of others, and it stalls
    /// ([`pipeline`](Self::pipeline)) and counts as one that sends nothing, however slowly we serve it. What had been read already is kept, at most [`held_input`](Self::held_input). Requests whose blocks are
    /// being loaded do not count here: [`send_watermark`](Self::send_watermark) bounds them.
    pub upload_queue: usize,
    /// The most bytes of one connection that were read and wait for room in its queue of requests; 4 MiB by default, which is
    /// more than any host reads at a time. Beyond it the connection is closed.
    pub held_input: usize,
    /// Blocks are asked of the store for a peer only while less than this is queued for it or being loaded; 256 KiB by default: more is out of the
    /// processor's caches by the time it is sent to one of hundreds of peers, and the system's own buffers come on top of it. For a
    /// peer that takes less in a second it is what it takes in one, and at least 64 KiB, so that a cancel or a choke still finds
    /// something to take back.
    /// Whatever is being loaded counts as a block of 16 KiB, however little was asked for, so that no peer has more than 16 asks
    /// with the store at a time.
    pub send_watermark: usize,
    /// The most bytes that may wait to be sent to one peer; 16 MiB by default. A peer that lets more gather is closed.
    pub send_limit: usize,

    /// How many requests are kept open to a peer, and when a peer that answers none is found stalled, so that its blocks are
    /// asked of others: from 1 to 500, and 20 s by default.
    pub pipeline: PipelineConfig,
    /// How many bytes of one torrent may be with the store before we stop asking peers for more; 12 MiB by default, which is
    /// above what a store may hold back to write it at once ([`disk::Config::hold_bytes`](crate::disk::Config::hold_bytes)). At twice as
    /// many, that torrent's connections are not read.
    pub store_credit: usize,
    /// How long no block is asked for after the store failed to keep one; 5 s by default.
    pub store_retry: Duration,
    /// How many unused block buffers are kept; 1,024 by default.
    pub pooled_blocks: usize,
    /// How long a peer that gave blocks of a piece with a wrong hash is asked for nothing; 1 s by default. Each further bad
    /// piece doubles it, up to a minute. It ends at once when its blocks turn out to have been right.
    pub parole: Duration,
    /// Of how many blocks of pieces with a wrong hash the givers and hashes are remembered in one torrent, until the piece is good;
    /// 65,536 by default, which is 1 GiB of pieces in 2 MiB of memory. The oldest piece is forgotten first, the latest never.
    pub suspect_blocks: usize,
    /// How many IP addresses (or /64 of global IPv6 addresses) with a part in bad pieces are remembered in one torrent when they are not connected; 1,000 by default. The
    /// one that has been gone for longest is forgotten first.
    pub max_suspects: usize,

    /// The most blocks that a peer may send on a connection without having been asked for them; 1,024 by default, which is more than can
    /// be on their way when requests are taken back.
    pub max_unasked: u32,
    /// The longest message with an id that we do not know, in bytes; 128 KiB by default. It is
    /// gathered whole, only to be ignored.
    pub longest_message: u32,
    /// Whether connections between two peers that both have everything are closed; true by default.
    pub close_redundant: bool,
    /// How often [`Event::Status`](super::Event::Status) is given at most; 1 s by default.
    pub status_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(15),
            keep_alive: Duration::from_secs(60),
            silence: Duration::from_secs(120),
            max_torrents: 1000,
            max_pieces: 1 << 21,
            limits: Limits::default(),
            inbound_percent: 75,
            idle_inbound: Duration::from_secs(60),
            pair_window: Duration::from_secs(10),
            max_incoming_handshakes: 256,
            max_connections_per_ip: 1,
            max_known_peers: 1000,
            max_failures: 8,
            max_bans: 4096,
            external_v4: None,
            external_v6: None,
            redial_first: Duration::from_secs(1),
            redial_longest: Duration::from_secs(300),
            choke_interval: Duration::from_secs(10),
            optimistic_interval: Duration::from_secs(30),
            upload_quota: 20 * 16 * 1024,
            snub_after: Duration::from_secs(60),
            upload_queue: 2000,
            held_input: 4 << 20,
            send_watermark: 256 << 10,
            send_limit: 16 << 20,
            pipeline: PipelineConfig::default(),
            store_credit: 12 << 20,
            store_retry: Duration::from_secs(5),
            pooled_blocks: 1024,
            parole: Duration::from_secs(1),
            suspect_blocks: 65_536,
            max_suspects: 1000,
            max_unasked: 1024,
            longest_message: 128 << 10,
            close_redundant: true,
            status_interval: Duration::from_secs(1),
        }
    }
}
