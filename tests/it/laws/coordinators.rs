//! The coordinator, held to the laws between a swarm and a disk that answer what it asks: each in its own order, right, failing or
//! refusing, and as late as they like.

use super::subjects::{
    SESSION_TORRENTS, address, bitfield, files, geometry, info_hash, layout, limits, torrent, torrent_limits,
};
use super::{Ask, Call, End, Subject, Way, hold};
use bip::disk::{self, Checked, Error};
use bip::machine::{Rng, TorrentId};
use bip::peer::{self, Refusal, Source};
use bip::proto::id::{InfoHash, PeerId, PieceIndex};
use bip::proto::tracker_url::TrackerUrl;
use bip::select::Priority;
use bip::session::{Command, Config, Coordinator, Directive, Event, Selection, Spec};
use bip::tracker::client;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Peers that may be named before a torrent has joined.
const EARLY_PEERS: usize = 3;
/// Addresses that the swarm takes for a torrent.
const KNOWN_PEERS: usize = 6;

#[derive(Default)]
struct Coordinators {
    swarm: Swarm,
    disk: Disk,
    client: Client,
}

/// What the client of trackers does with its commands: a torrent is left in its own time.
#[derive(Default)]
struct Client {
    told: VecDeque<client::Event>,
    followed: BTreeSet<TorrentId>,
    leaving: Vec<TorrentId>,
}

impl Client {
    fn on_command(&mut self, command: &client::Command) {
        use client::{Command, Event};
        match command {
            Command::Follow { torrent, .. } => {
                assert!(!self.leaving.contains(torrent), "{torrent} is followed while it is being left");
                // Now and then there are too many.
                if torrent.0 == 2 {
                    let error = client::Error::Busy;
                    return self.told.push_back(Event::FollowRefused { torrent: *torrent, error });
                }
                assert!(self.followed.insert(*torrent), "{torrent} is followed twice");
                self.told.push_back(Event::Followed { torrent: *torrent });
            }
            Command::Leave { torrent } => {
                assert!(!self.leaving.contains(torrent), "{torrent} is left twice");
                self.leaving.push(*torrent);
            }
            Command::Progress { .. } | Command::Completed { .. } | Command::MorePeers { .. } => {}
            Command::StopWithin { .. } => {}
            other => panic!("the coordinator has no business with {other:?}"),
        }
    }

    fn leave(&mut self, rng: &mut Rng) {
        let at = rng.below(self.leaving.len() as u32) as usize;
        let torrent = self.leaving.swap_remove(at);
        self.followed.remove(&torrent);
        self.told.push_back(client::Event::Left { torrent });
    }

    /// Tells something that nobody asked for.
    fn notice(&mut self, rng: &mut Rng) {
        let followed: Vec<TorrentId> = self.followed.iter().copied().collect();
        let Some(&torrent) = rng.choose(&followed) else { return };
        self.told.push_back(if rng.below(4) == 0 {
            client::Event::Switched { torrent }
        } else {
            client::Event::Peers { torrent, url: tracker(), peers: vec![address(rng)] }
        });
    }
}

fn tracker() -> TrackerUrl {
    "udp://tracker.example:6969".parse().expect("it is a URL")
}

/// What the swarm does with its commands: all are answered at once, but a removal, which waits for the store.
#[derive(Default)]
struct Swarm {
    asked: VecDeque<peer::Command>,
    told: VecDeque<peer::Event>,
    torrents: BTreeMap<TorrentId, Joined>,
}

struct Joined {
    info_hash: InfoHash,
    peers: usize,
    removing: bool,
}

impl Swarm {
    fn on_command(&mut self, command: peer::Command, rng: &mut Rng) {
        use peer::{Command, Event};
        let id = match &command {
            Command::AddTorrent { torrent, .. }
            | Command::RemoveTorrent { torrent }
            | Command::Pause { torrent }
            | Command::Resume { torrent }
            | Command::AddPeer { torrent, .. }
            | Command::SetTorrentLimits { torrent, .. }
            | Command::Select { torrent, .. }
            | Command::SetDownload { torrent, .. }
            | Command::Kept { torrent, .. }
            | Command::FoundPeers { torrent, .. }
            | Command::DropPeers { torrent }
            | Command::PieceLost { torrent, .. } => *torrent,
            Command::SetLimits { .. } => return self.told.push_back(Event::LimitsSet),
            Command::Ban { ip, .. } => {
                let full = rng.below(4) == 0;
                return self.told.push_back(if full {
                    Event::BanRefused { ip: *ip }
                } else {
                    Event::BanSet { ip: *ip }
                });
            }
            other => panic!("the coordinator has no business with {other:?}"),
        };
        if let Command::Kept { .. }
        | Command::PieceLost { .. }
        | Command::FoundPeers { .. }
        | Command::DropPeers { .. } = command
        {
            return;
        }
        let known = self.torrents.get_mut(&id).filter(|joined| !joined.removing);
        let event = match (command, known) {
            (Command::AddTorrent { info_hash, .. }, _) => {
                if self.torrents.contains_key(&id) || self.torrents.values().any(|t| t.info_hash == info_hash) {
                    Event::Refused { torrent: id, refusal: Refusal::DuplicateTorrent }
                } else if rng.below(4) == 0 {
                    Event::Refused { torrent: id, refusal: Refusal::Full }
                } else {
                    self.torrents.insert(id, Joined { info_hash, peers: 0, removing: false });
                    Event::TorrentAdded { torrent: id }
                }
            }
            (_, None) => Event::Refused { torrent: id, refusal: Refusal::UnknownTorrent },
            (Command::RemoveTorrent { .. }, Some(joined)) => {
                joined.removing = true;
                return;
            }
            (Command::Pause { torrent }, _) => Event::Paused { torrent },
            (Command::Resume { torrent }, _) => Event::Resumed { torrent },
            (Command::Select { torrent, .. }, _) => Event::Selected { torrent },
            (Command::SetDownload { torrent, .. }, _) => Event::DownloadSet { torrent },
            (Command::SetTorrentLimits { torrent, .. }, _) => Event::TorrentLimitsSet { torrent },
            (Command::AddPeer { torrent, address, .. }, Some(joined)) => {
                joined.peers += 1;
                if joined.peers > KNOWN_PEERS {
                    Event::Refused { torrent, refusal: Refusal::Full }
                } else {
                    Event::PeerAdded { torrent, address }
                }
            }
            _ => return,
        };
        self.told.push_back(event);
    }

    fn end_removal(&mut self, id: TorrentId) {
        self.torrents.remove(&id);
        self.told.push_back(peer::Event::TorrentRemoved { torrent: id });
    }

    /// Tells something that nobody asked for.
    fn notice(&mut self, rng: &mut Rng) {
        let joined: Vec<TorrentId> = self.torrents.iter().filter(|(_, t)| !t.removing).map(|(id, _)| *id).collect();
        let Some(&torrent) = rng.choose(&joined) else { return };
        let mut status = peer::Status::default();
        (status.pieces, status.pieces_done) = (geometry().piece_count(), rng.below(geometry().piece_count() + 1));
        self.told.push_back(match rng.below(3) {
            0 => peer::Event::Completed { torrent },
            1 => peer::Event::PieceDone { torrent, piece: PieceIndex(0) },
            _ => peer::Event::Status { torrent, status },
        });
    }
}

/// What the disk does with its commands: torrents are checked, synced and closed in their own time; a removal is the last.
#[derive(Default)]
struct Disk {
    asked: VecDeque<disk::Command>,
    told: VecDeque<disk::Event>,
    torrents: BTreeMap<TorrentId, Store>,
}

#[derive(Default)]
struct Store {
    checked: bool,
    syncs: usize,
    selects: usize,
    removals: usize,
    deletions: usize,
}

impl Disk {
    fn on_command(&mut self, command: disk::Command, rng: &mut Rng) {
        use disk::{Command, Event};
        let event = match command {
            Command::Add { torrent, .. } if self.torrents.contains_key(&torrent) => {
                Event::AddFailed { torrent, error: Error::TorrentExists }
            }
            Command::Add { torrent, .. } if rng.below(8) == 0 => Event::AddFailed { torrent, error: Error::Busy },
            Command::Add { torrent, .. } => {
                self.torrents.insert(torrent, Store::default());
                return;
            }
            Command::Remove { torrent, files } => match self.torrents.get_mut(&torrent) {
                Some(store) => {
                    store.removals += 1;
                    store.deletions += usize::from(files == disk::Files::Delete);
                    return;
                }
                None if files == disk::Files::Delete => {
                    let mut deletion = disk::Deletion::default();
                    deletion.error = Some(Error::UnknownTorrent);
                    Event::Deleted { torrent, deletion }
                }
                None => Event::Removed { torrent, error: Some(Error::UnknownTorrent) },
            },
            Command::Delete { torrent, .. } if self.torrents.contains_key(&torrent) => {
                let mut deletion = disk::Deletion::default();
                deletion.error = Some(Error::TorrentExists);
                Event::Deleted { torrent, deletion }
            }
            Command::Delete { torrent, .. } => {
                self.torrents.insert(torrent, Store { checked: true, removals: 1, deletions: 1, ..Store::default() });
                return;
            }
            Command::Sync { torrent } => match self.torrents.get_mut(&torrent) {
                Some(store) if store.removals == 0 => {
                    store.syncs += 1;
                    return;
                }
                Some(_) => Event::Synced { torrent, error: Some(Error::Removing) },
                None => Event::Synced { torrent, error: Some(Error::UnknownTorrent) },
            },
            Command::Select { torrent, .. } => match self.torrents.get_mut(&torrent) {
                Some(store) if store.removals == 0 => {
                    store.selects += 1;
                    return;
                }
                Some(_) => Event::Selected { torrent, error: Some(Error::Removing) },
                None => Event::Selected { torrent, error: Some(Error::UnknownTorrent) },
            },
            Command::Release { torrent } => Event::Released { torrent },
            Command::Retry { torrent } => Event::Retried { torrent, found: self.torrents.contains_key(&torrent) },
            other => panic!("the coordinator has no business with {other:?}"),
        };
        self.told.push_back(event);
    }

    /// Lets a torrent come one step further.
    fn advance(&mut self, torrent: TorrentId, rng: &mut Rng) {
        use disk::Event;
        let Some(store) = self.torrents.get_mut(&torrent) else { return };
        let fails = rng.below(4) == 0;
        if !store.checked {
            if rng.below(2) == 0 {
                let pieces = geometry().piece_count();
                self.told.push_back(Event::Checking { torrent, checked: 1, good: 1, pieces });
            }
            store.checked = true;
            if store.removals > 0 && !fails {
                self.told.push_back(Event::AddFailed { torrent, error: Error::Removing });
            } else if fails && store.removals == 0 {
                self.told.push_back(Event::AddFailed { torrent, error: Error::Busy });
                self.torrents.remove(&torrent);
            } else {
                let mut have = bitfield(rng);
                while have.pieces() != geometry().piece_count() {
                    have = bitfield(rng);
                }
                let stored = vec![geometry().block(PieceIndex(0), 0).unwrap()];
                let checked = if rng.below(2) == 0 { Checked::Full } else { Checked::Sampled };
                self.told.push_back(Event::Added { torrent, have, stored, checked, oddities: Vec::new() });
            }
        } else if store.selects > 0 {
            store.selects -= 1;
            self.told.push_back(Event::Selected { torrent, error: fails.then_some(Error::Busy) });
        } else if store.syncs > 0 {
            store.syncs -= 1;
            self.told.push_back(Event::Synced { torrent, error: fails.then_some(Error::Busy) });
        } else {
            for _ in 0..store.deletions {
                let mut deletion = disk::Deletion::default();
                deletion.error = fails.then_some(Error::Busy);
                self.told.push_back(Event::Deleted { torrent, deletion });
            }
            for _ in store.deletions..store.removals {
                self.told.push_back(Event::Removed { torrent, error: fails.then_some(Error::Busy) });
            }
            self.torrents.remove(&torrent);
        }
    }

    /// Tells of a failure that nobody asked about.
    fn notice(&mut self, rng: &mut Rng) {
        let open: Vec<TorrentId> = self.torrents.iter().filter(|(_, s)| s.checked).map(|(id, _)| *id).collect();
        if let Some(&torrent) = rng.choose(&open) {
            self.told.push_back(match rng.below(8) {
                0 => disk::Event::PieceLost { torrent, piece: PieceIndex(0) },
                1 => disk::Event::ReadFailed { torrent, error: Error::Busy },
                2 => disk::Event::SaveFailed { torrent, error: Error::Busy },
                n => disk::Event::Stopped { torrent, error: Error::Busy, unreadable: n == 3 },
            });
        }
    }
}

/// Makes a selection of files, now and then of another torrent's.
fn selection(rng: &mut Rng) -> Selection {
    let all = [Priority::Skip, Priority::Low, Priority::Normal, Priority::High];
    let files = (0..2 + rng.below(8) / 7).map(|_| *rng.choose(&all).expect("there are four")).collect();
    Selection { files, sequential: rng.below(2) == 0 }
}

impl Subject for Coordinators {
    type Machine = Coordinator;

    fn machine(&mut self, _: u64) -> Coordinator {
        let config = Config { max_torrents: SESSION_TORRENTS, max_early_peers: EARLY_PEERS, ..Config::default() };
        Coordinator::new(config)
    }

    fn command(&mut self, rng: &mut Rng) -> Command {
        self.swarm.notice(rng);
        if rng.below(4) == 0 {
            self.disk.notice(rng);
        }
        if rng.below(4) == 0 {
            self.client.notice(rng);
        }
        let torrent = torrent(rng);
        match rng.below(24) {
            7 if rng.below(2) == 0 => {
                Command::Listening { peer_id: PeerId([1; 20]), port_v4: Some(6881), port_v6: None }
            }
            7 if rng.below(4) == 0 => Command::StopWithin { time: Duration::from_secs(rng.below(3).into()) },
            0..=7 => Command::Add {
                torrent,
                spec: Spec {
                    writable: rng.below(2) == 0,
                    trackers: if rng.below(3) > 0 { vec![vec![tracker()]] } else { Vec::new() },
                    selection: if rng.below(4) == 0 { selection(rng) } else { Selection::default() },
                    // Now and then another torrent's.
                    ..Spec::new(
                        info_hash(if rng.below(8) == 0 { TorrentId(0) } else { torrent }),
                        layout(torrent.0),
                        "/nowhere",
                    )
                },
            },
            17 if rng.below(2) == 0 => {
                Command::Delete { torrent, spec: Spec::new(info_hash(torrent), layout(torrent.0), "/nowhere") }
            }
            8 | 9 => Command::Remove { torrent, files: files(rng) },
            10 | 11 => Command::Pause { torrent },
            12 | 13 => Command::Resume { torrent },
            14 if rng.below(8) == 0 => Command::ShutDown,
            15 | 16 => Command::Select { torrent, selection: selection(rng) },
            23 => Command::Ban { ip: address(rng).ip(), banned: rng.below(2) == 0 },
            20 => Command::SetLimits { limits: limits(rng) },
            21 | 22 => Command::SetTorrentLimits { torrent, limits: torrent_limits(rng) },
            _ => Command::AddPeer { torrent, address: address(rng), source: Source::Program },
        }
    }

    fn ask(&self, command: &Command) -> Option<Ask> {
        let (torrent, kind) = match command {
            // An add has a refusal of its own, so it is apart from what `Refused` may end.
            Command::Add { torrent, .. } => return Some(Ask { about: format!("add {torrent}"), kind: String::new() }),
            Command::ShutDown => return Some(Ask { about: "shut down".into(), kind: String::new() }),
            Command::Remove { torrent, files } => (torrent, format!("remove and {files:?}")),
            Command::Delete { torrent, .. } => (torrent, "remove and Delete".into()),
            Command::Pause { torrent } => (torrent, "pause".into()),
            Command::Resume { torrent } => (torrent, "resume".into()),
            Command::Select { torrent, .. } => (torrent, "select".into()),
            Command::AddPeer { torrent, address, .. } => (torrent, format!("peer {address}")),
            Command::SetTorrentLimits { torrent, .. } => (torrent, "limits".into()),
            Command::SetLimits { .. } => return Some(Ask { about: "limits".into(), kind: String::new() }),
            Command::Ban { ip, .. } => return Some(Ask { about: format!("ban {ip}"), kind: String::new() }),
            Command::FromPeer(_)
            | Command::FromDisk(_)
            | Command::FromTracker(_)
            | Command::Listening { .. }
            | Command::StopWithin { .. } => {
                return None;
            }
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about: torrent.to_string(), kind })
    }

    fn end(&self, directive: &Directive) -> Option<End> {
        let Directive::Answer(event) = directive else { return None };
        let (torrent, kind) = match event {
            Event::Added { torrent, .. } | Event::AddFailed { torrent, .. } => {
                return Some(End { about: format!("add {torrent}"), kind: Some(String::new()) });
            }
            Event::ShutDown => return Some(End { about: "shut down".into(), kind: Some(String::new()) }),
            Event::Removed { torrent, .. } => (torrent, Some("remove and Keep".into())),
            Event::Deleted { torrent, .. } => (torrent, Some("remove and Delete".into())),
            Event::Paused { torrent } => (torrent, Some("pause".into())),
            Event::Resumed { torrent } => (torrent, Some("resume".into())),
            Event::Selected { torrent } => (torrent, Some("select".into())),
            Event::PeerAdded { torrent, address } => (torrent, Some(format!("peer {address}"))),
            Event::TorrentLimitsSet { torrent } => (torrent, Some("limits".into())),
            Event::LimitsSet => return Some(End { about: "limits".into(), kind: Some(String::new()) }),
            Event::BanSet { ip } | Event::BanRefused { ip } => {
                return Some(End { about: format!("ban {ip}"), kind: Some(String::new()) });
            }
            Event::Refused { torrent, .. } => (torrent, None),
            other => panic!("{other:?} answers nothing"),
        };
        Some(End { about: torrent.to_string(), kind })
    }

    fn most(&self, _: Call) -> usize {
        // A torrent that joins hands on its early peers and limits, and its trackers. One that is tried again takes five directives, and the time
        // may have come for all of them; the end of all takes fewer.
        (5 * SESSION_TORRENTS).max(EARLY_PEERS + 7)
    }

    fn ways(&self) -> &'static [Way] {
        use Way::*;
        &[Commands, Commands, Commands, Time, Timeouts, Stale, Answers, Answers, Answers, Answers]
    }

    fn source(&self) -> Option<&'static str> {
        Some(include_str!("../../../src/session/command.rs"))
    }

    fn on_event(&mut self, directive: &Directive) {
        match directive {
            Directive::ToPeer(command) => self.swarm.asked.push_back(command.clone()),
            Directive::ToDisk(command) => self.disk.asked.push_back(command.clone()),
            Directive::ToTracker(command) => self.client.on_command(command),
            _ => {}
        }
    }

    fn answer(&mut self, rng: &mut Rng) -> Option<Command> {
        // Swarm, disk and client do what they can in any order, until one of them tells something.
        loop {
            let (swarm, disk) = (&self.swarm, &self.disk);
            let leaving = swarm.torrents.iter().filter(|(_, t)| t.removing).map(|(id, _)| *id).collect::<Vec<_>>();
            let busy = |s: &Store| !s.checked || s.syncs > 0 || s.selects > 0 || s.removals > 0;
            let working = disk.torrents.iter().filter(|(_, s)| busy(s)).map(|(id, _)| *id).collect::<Vec<_>>();
            let mut ways = Vec::new();
            ways.extend((!swarm.told.is_empty()).then_some(0));
            ways.extend((!disk.told.is_empty()).then_some(1));
            ways.extend((!swarm.asked.is_empty()).then_some(2));
            ways.extend((!disk.asked.is_empty()).then_some(3));
            ways.extend((!leaving.is_empty()).then_some(4));
            ways.extend((!working.is_empty()).then_some(5));
            ways.extend((!self.client.told.is_empty()).then_some(6));
            ways.extend((!self.client.leaving.is_empty()).then_some(7));
            match *rng.choose(&ways)? {
                0 => return self.swarm.told.pop_front().map(Command::FromPeer),
                1 => return self.disk.told.pop_front().map(Command::FromDisk),
                2 => {
                    let command = self.swarm.asked.pop_front()?;
                    self.swarm.on_command(command, rng);
                }
                3 => {
                    let command = self.disk.asked.pop_front()?;
                    self.disk.on_command(command, rng);
                }
                6 => return self.client.told.pop_front().map(Command::FromTracker),
                7 => self.client.leave(rng),
                4 => self.swarm.end_removal(*rng.choose(&leaving)?),
                _ => self.disk.advance(*rng.choose(&working)?, rng),
            }
        }
    }
}

#[test]
fn the_coordinator_keeps_the_laws() {
    hold("the_coordinator_keeps_the_laws", Coordinators::default, 200, 400);
}
