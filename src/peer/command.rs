//! What is asked of the swarm, and what it tells.

use super::{Limits, TorrentLimits};
use crate::machine::{Block, TorrentId};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::{Geometry, Span};
use crate::proto::id::{InfoHash, PeerId, PieceIndex};
use crate::select::Priority;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What others ask of the swarm, and what they answer it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// Takes a torrent in. Ends in [`Event::TorrentAdded`] or [`Event::Refused`].
    AddTorrent {
        /// The session's name for it.
        torrent: TorrentId,
        /// Its name on the wire.
        info_hash: InfoHash,
        /// Its pieces.
        geometry: Geometry,
        /// The pieces that are on disk and verified.
        have: Bitfield,
        /// Whether what is missing is wanted; otherwise the torrent is only uploaded.
        download: bool,
        /// Which pieces are wanted, and in which order.
        selection: Selection,
        /// What it may use.
        limits: TorrentLimits,
    },
    /// Closes a torrent's connections and forgets it. Ends in [`Event::TorrentRemoved`], after the last answer from the store,
    /// or in [`Event::Refused`].
    RemoveTorrent {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Closes a torrent's connections and makes no more, keeping what is known. Ends in [`Event::Paused`] or
    /// [`Event::Refused`].
    Pause {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Undoes a pause. Ends in [`Event::Resumed`] or [`Event::Refused`].
    Resume {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Names a peer: it is dialled, and dialled again with back-off, for as long as the torrent is there or, where it is not the
    /// program that names it, until it failed too often ([`Config::max_failures`](super::Config::max_failures)). Ends in
    /// [`Event::PeerAdded`] or [`Event::Refused`].
    AddPeer {
        /// The torrent.
        torrent: TorrentId,
        /// Where the peer listens.
        address: SocketAddr,
        /// Who named it.
        source: Source,
    },
    /// Names peers that somebody else told of, each as by [`AddPeer`](Self::AddPeer): those that are banned or for which there is no room are left
    /// out. No answer.
    FoundPeers {
        /// The torrent.
        torrent: TorrentId,
        /// Where they listen.
        peers: Vec<SocketAddr>,
        /// Who told of them.
        source: Source,
    },
    /// Closes a torrent's connections and forgets the peers that trackers named: a private torrent has changed its tracker (BEP 27). No answer.
    DropPeers {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Changes the limits of all torrents together, at once: connections beyond a lower limit are closed, the least useful first. Ends
    /// in [`Event::LimitsSet`].
    SetLimits {
        /// The new limits.
        limits: Limits,
    },
    /// Changes a torrent's own limits. Ends in [`Event::TorrentLimitsSet`] or [`Event::Refused`].
    SetTorrentLimits {
        /// The torrent.
        torrent: TorrentId,
        /// The new limits.
        limits: TorrentLimits,
    },
    /// Changes which pieces are wanted, and in which order. Ends in [`Event::Selected`] or [`Event::Refused`].
    Select {
        /// The torrent.
        torrent: TorrentId,
        /// The pieces.
        selection: Selection,
    },
    /// Says whether what is missing is wanted, or the torrent is only uploaded: its connections stay, and peers are told whether we are
    /// interested. Ends in
    /// [`Event::DownloadSet`] or [`Event::Refused`].
    SetDownload {
        /// The torrent.
        torrent: TorrentId,
        /// Whether it is wanted.
        download: bool,
    },
    /// Closes connections to an IP address and makes and takes no more, in any torrent, and forgets what was named there; or lets it in
    /// again, also where it was banned for lying, alone or with its /64 ([`Event::PeerBanned`]). What is banned is that one address, also of
    /// IPv6. Ends in [`Event::BanSet`] or, where no more bans are kept, [`Event::BanRefused`].
    Ban {
        /// The address; one that is IPv4 in an IPv6 form counts as IPv4.
        ip: IpAddr,
        /// Whether it is banned from now on.
        banned: bool,
    },
    /// Tells the hashes of a piece's blocks, as they are in the store: of a piece that had the wrong hash, before its
    /// [`Stored::PieceBad`], and of the same piece once it is right, after its [`Stored::PieceGood`]. The peers that sent what differs
    /// are found by them.
    BlockHashes {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
        /// Whether the piece is right.
        good: bool,
        /// SHA-1 of each block in order; none where they could not be read.
        hashes: Arc<[[u8; 20]]>,
    },
    /// Answers [`Event::Store`]: what became of the block.
    Stored {
        /// The torrent.
        torrent: TorrentId,
        /// The block.
        span: Span,
        /// What became of it.
        outcome: Stored,
    },
    /// Tells of blocks of incomplete pieces that are in the store from an earlier run.
    Kept {
        /// The torrent.
        torrent: TorrentId,
        /// The blocks; what is no whole block is passed over.
        spans: Vec<Span>,
    },
    /// Tells that a piece is in the store no more, nor any of its blocks: it is fetched again. Peers that were told of it and lack it
    /// are disconnected, for BEP 3 has no other way to take that back.
    PieceLost {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Answers [`Event::Load`]: the bytes, or `None` where they could not be read.
    Loaded {
        /// The torrent.
        torrent: TorrentId,
        /// The ask that this answers.
        ticket: u64,
        /// The bytes asked for.
        block: Option<Block>,
    },
}

/// Which pieces are wanted, and in which order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    /// A priority for each piece; `None` where all are [`Priority::Normal`]. Another number of them than of pieces is
    /// [`Refusal::WrongSelection`].
    pub pieces: Option<Arc<[Priority]>>,
    /// Whether pieces of the same priority are fetched in their order instead of the rarest first.
    pub sequential: bool,
}

/// Who named a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[non_exhaustive]
pub enum Source {
    /// The program or its user.
    #[default]
    Program,
    /// A tracker.
    Tracker,
    /// The DHT.
    Dht,
    /// Another peer (BEP 11).
    PeerExchange,
    /// Local discovery (BEP 14).
    LocalDiscovery,
    /// It was known in an earlier run.
    Resume,
    /// It came to us.
    Incoming,
}

/// What became of a block that was given to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is written; its piece is not complete.
    Kept,
    /// Its piece was verified before; the block was dropped.
    Known,
    /// It completed its piece, and the piece is verified.
    PieceGood,
    /// It completed its piece, and the piece's hash is wrong: the whole piece is forgotten.
    PieceBad,
    /// It could not be written; it must be fetched again once the torrent goes on.
    Failed,
}

/// Why a command was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such torrent.
    UnknownTorrent,
    /// The torrent, or another with the same info hash, is there already.
    DuplicateTorrent,
    /// A limit of the configuration is reached.
    Full,
    /// The bitfield is of another torrent.
    WrongBitfield,
    /// The selection is of another torrent: it has another number of pieces or files.
    WrongSelection,
    /// The peer is banned.
    Banned,
    /// The torrent is not in its swarm: still being checked, or on its way out.
    NotReady,
    /// Another torrent has the same files.
    SameFiles,
    /// The torrent is of version 2 alone (BEP 52), which is not transferred yet.
    OnlyVersion2,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refusal::UnknownTorrent => "there is no such torrent",
            Refusal::DuplicateTorrent => "the torrent is there already",
            Refusal::Full => "a configured limit is reached",
            Refusal::NotReady => "the torrent is being checked, or is on its way out",
            Refusal::SameFiles => "another torrent has the same files",
            Refusal::OnlyVersion2 => "torrents of version 2 alone are not transferred yet",
            Refusal::WrongSelection => "the selection does not fit the torrent",
            Refusal::Banned => "the peer is banned",
            Refusal::WrongBitfield => "the bitfield does not fit the torrent",
        })
    }
}

/// What the swarm tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Terminal: the torrent is in.
    TorrentAdded {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the torrent is forgotten; nothing more about it follows.
    TorrentRemoved {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the torrent is paused.
    Paused {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the torrent goes on.
    Resumed {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the peer is known.
    PeerAdded {
        /// The torrent.
        torrent: TorrentId,
        /// The peer.
        address: SocketAddr,
    },
    /// Terminal: the limits are in force.
    LimitsSet,
    /// Terminal: the torrent's limits are in force.
    TorrentLimitsSet {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the selection is in force.
    Selected {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the torrent downloads, or no longer.
    DownloadSet {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Terminal: the ban is in force, or lifted.
    BanSet {
        /// The address.
        ip: IpAddr,
    },
    /// Terminal: the ban was not taken, because [`Config::max_bans`](super::Config::max_bans) that the program asked for are kept.
    BanRefused {
        /// The address.
        ip: IpAddr,
    },
    /// Terminal: the command was not carried out.
    Refused {
        /// The torrent that the command named.
        torrent: TorrentId,
        /// Why.
        refusal: Refusal,
    },
    /// Asks the store to keep a block; it answers with [`Command::Stored`].
    Store {
        /// The torrent.
        torrent: TorrentId,
        /// The block's place.
        span: Span,
        /// Its bytes.
        block: Block,
    },
    /// Asks the store for bytes; it answers with [`Command::Loaded`].
    Load {
        /// The torrent.
        torrent: TorrentId,
        /// The bytes' place.
        span: Span,
        /// The ask's name, to be given back with the answer.
        ticket: u64,
    },
    /// Notice: a peer shook hands.
    PeerConnected {
        /// The torrent.
        torrent: TorrentId,
        /// Its address on the connection.
        address: SocketAddr,
        /// Its name for itself.
        peer_id: PeerId,
        /// Whether we dialled.
        outgoing: bool,
    },
    /// Notice: a peer that had shaken hands is gone.
    PeerGone {
        /// The torrent.
        torrent: TorrentId,
        /// Its address on the connection.
        address: SocketAddr,
        /// Why, in words.
        reason: Gone,
    },
    /// Notice: a peer sent bytes that were not the torrent's; its address (of a loopback address, only its port; of a global IPv6
    /// address, all of its /64) is banned, in all torrents.
    PeerBanned {
        /// The torrent.
        torrent: TorrentId,
        /// The peer's IP address; of a global IPv6 address, the first of its /64.
        ip: IpAddr,
        /// The piece that it spoiled.
        piece: PieceIndex,
    },
    /// Notice: a piece was verified and is being announced.
    PieceDone {
        /// The torrent.
        torrent: TorrentId,
        /// The piece.
        piece: PieceIndex,
    },
    /// Notice: all pieces that are wanted are verified. Told again when more are wanted and have come.
    Completed {
        /// The torrent.
        torrent: TorrentId,
    },
    /// Notice: how a torrent fares, every [`Config::status_interval`](super::Config) while something changes.
    Status {
        /// The torrent.
        torrent: TorrentId,
        /// The figures.
        status: Status,
    },
}

/// Why a peer is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gone {
    /// It closed the connection.
    Left,
    /// The connection failed.
    Failed(std::io::ErrorKind),
    /// It broke the protocol.
    Violation(Violation),
    /// It was silent for too long.
    Silent,
    /// The torrent was paused or removed.
    TorrentStopped,
    /// It named a torrent that is not here, or another than the one it was dialled for.
    WrongTorrent,
    /// It is connected twice, or as often as one address may be, or is ourselves.
    Duplicate,
    /// Both sides have everything.
    Redundant,
    /// A limit on connections, or on what waits to be sent to one, was reached.
    Full,
    /// Its address is banned.
    Banned,
}

impl std::fmt::Display for Gone {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Gone::Left => "it closed the connection",
            Gone::Failed(error) => return write!(f, "the connection failed: {error}"),
            Gone::Violation(violation) => return write!(f, "it broke the protocol: {violation}"),
            Gone::Silent => "it was silent for too long",
            Gone::TorrentStopped => "the torrent was paused or removed",
            Gone::WrongTorrent => "it named another torrent",
            Gone::Duplicate => "it is connected twice, or is ourselves",
            Gone::Redundant => "both sides have everything",
            Gone::Full => "a limit was reached",
            Gone::Banned => "its address is banned",
        })
    }
}

/// How a peer broke the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Its bytes are no message: too long, wrong length, or garbage.
    Malformed,
    /// A piece number or a range outside the torrent.
    OutOfRange,
    /// A bitfield of the wrong length or with spare bits set, or a fifth one on the same connection that tells of no more pieces.
    Bitfield,
    /// A request of more than 16 KiB or of nothing.
    RequestLength,
    /// More blocks that nobody had asked it for than [`Config::max_unasked`](super::Config::max_unasked).
    Unasked,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Violation::Malformed => "what it sent is no message",
            Violation::OutOfRange => "it named what is outside the torrent, or what we do not have",
            Violation::Bitfield => "its bitfield is wrong",
            Violation::Unasked => "it keeps sending blocks that nobody asked it for",
            Violation::RequestLength => "it asked for more than 16 KiB, or for nothing",
        })
    }
}

/// How a torrent fares. Rates are in bytes of pieces per second over the last seconds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// Pieces verified.
    pub pieces_done: u32,
    /// Pieces in all.
    pub pieces: u32,
    /// Bytes of verified pieces.
    pub bytes_done: u64,
    /// Pieces that are wanted, those verified included.
    pub pieces_wanted: u32,
    /// Of these, pieces that are verified.
    pub pieces_wanted_done: u32,
    /// Bytes of the pieces that are wanted.
    pub bytes_wanted: u64,
    /// Of these, bytes of verified pieces.
    pub bytes_wanted_done: u64,
    /// Bytes per second coming in.
    pub download_rate: u64,
    /// Bytes per second going out.
    pub upload_rate: u64,
    /// Bytes of pieces that came in.
    pub downloaded: u64,
    /// Bytes of pieces that went out.
    pub uploaded: u64,
    /// Bytes that came in and were not needed, or belonged to pieces whose hash was wrong.
    pub wasted: u64,
    /// Of these, bytes of blocks that we had already or that nobody had asked for.
    pub redundant: u64,
    /// How often a piece had the wrong hash.
    pub pieces_failed: u32,
    /// Peers that shook hands.
    pub peers: u32,
    /// Of these, those that have everything.
    pub seeds: u32,
    /// Peers being dialled or shaking hands.
    pub connecting: u32,
    /// Peers that we know of and are not connected to.
    pub known: u32,
    /// Whether the torrent is paused.
    pub paused: bool,
    /// Time until the download is complete at the present rate.
    pub time_left: Option<Duration>,
}
