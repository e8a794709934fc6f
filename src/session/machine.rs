//! The session's machine: takes commands and news to their torrents, and asks the disk and the swarm for what comes next.

use super::announcing::Ourselves;
use super::command::{AddError, Command, Directive, Event, Selection};
use super::config::Config;
use super::selection;
use super::torrent::{Asked, Phase, Torrent};
use crate::disk;
use crate::machine::{Input, Instant, Machine, NoJobs, Output, Timers, TorrentId};
use crate::peer::{self, Refusal, Source, TorrentLimits};
use crate::tracker::client;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;

/// The most timers that one call looks after.
const TIMERS_PER_CALL: usize = 64;

/// Joins the subsystems: keeps every torrent's state and asks the disk and the swarm for what comes next.
///
/// It has no sockets and no jobs; its timers try torrents again that failed.
#[derive(Debug)]
pub struct Coordinator {
    pub(super) config: Config,
    pub(super) torrents: BTreeMap<TorrentId, Torrent>,
    /// When torrents whose files failed are tried again.
    pub(super) retries: Timers<TorrentId>,
    /// How many [`Command::ShutDown`]s wait for the last torrent to be gone.
    pub(super) shut_downs: usize,
    /// Torrents that are gone, while their trackers are still told of that.
    pub(super) farewells: BTreeSet<TorrentId>,
    /// What trackers are told of us, once that is known.
    pub(super) ourselves: Option<Ourselves>,
    directives: VecDeque<Directive>,
}

impl Coordinator {
    /// Makes a session without torrents.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            torrents: BTreeMap::new(),
            retries: Timers::new(),
            shut_downs: 0,
            farewells: BTreeSet::new(),
            ourselves: None,
            directives: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, directive: Directive) {
        self.directives.push_back(directive);
    }

    pub(super) fn refuse(&mut self, torrent: TorrentId, refusal: Refusal) {
        self.push(Directive::Answer(Event::Refused { torrent, refusal }));
    }

    pub(super) fn publish(&mut self, id: TorrentId) {
        if let Some(torrent) = self.torrents.get(&id) {
            self.directives.push_back(Directive::Publish(torrent.status(id)));
        }
    }

    fn on_pause(&mut self, id: TorrentId, pause: bool) {
        let Some(torrent) = self.torrents.get_mut(&id) else {
            return self.refuse(id, Refusal::UnknownTorrent);
        };
        if torrent.phase != Phase::Joined {
            return self.refuse(id, Refusal::NotReady);
        }
        torrent.paused = pause;
        torrent.asked.push_back(Asked::Program);
        let command = if pause {
            peer::Command::Pause { torrent: id }
        } else {
            torrent.tries.begin_anew();
            self.lift_failure(id);
            peer::Command::Resume { torrent: id }
        };
        self.push(Directive::ToPeer(command));
        if pause {
            self.stop_announcing(id)
        } else {
            self.announce(id)
        }
        self.publish(id);
    }

    fn on_select(&mut self, id: TorrentId, selection: Selection) {
        let Some(torrent) = self.torrents.get_mut(&id) else {
            return self.refuse(id, Refusal::UnknownTorrent);
        };
        if torrent.phase != Phase::Joined {
            return self.refuse(id, Refusal::NotReady);
        }
        if !selection.fits(&torrent.spec.layout) {
            return self.refuse(id, Refusal::WrongSelection);
        }
        let skipped = selection.skipped();
        torrent.selecting.push(selection);
        self.push(Directive::ToDisk(disk::Command::Select { torrent: id, skipped }));
    }

    /// Hands a selection on to the swarm now that the disk has it.
    fn on_disk_selected(&mut self, now: Instant, id: TorrentId, error: Option<disk::Error>) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let Some(selection) = torrent.selecting.pop() else { return };
        if torrent.phase != Phase::Joined {
            return self.refuse(id, Refusal::UnknownTorrent);
        }
        let command = peer::Command::Select { torrent: id, selection: selection.of_pieces(&torrent.spec.layout) };
        torrent.spec.selection = selection;
        self.push(Directive::ToPeer(command));
        if let Some(error) = error {
            self.on_failed(now, id, error, false);
        }
    }

    fn on_set_torrent_limits(&mut self, id: TorrentId, limits: TorrentLimits) {
        let Some(torrent) = self.torrents.get_mut(&id) else {
            return self.refuse(id, Refusal::UnknownTorrent);
        };
        match torrent.phase {
            Phase::Checking { cancelled: false, .. } => {
                // The swarm gets them with the torrent.
                torrent.spec.limits = limits;
                self.push(Directive::Answer(Event::TorrentLimitsSet { torrent: id }));
            }
            Phase::Joining { .. } => {
                torrent.spec.limits = limits;
                if std::mem::replace(&mut torrent.early_limits, true) {
                    // What was asked for before will never be in force: there is nothing to wait for.
                    self.push(Directive::Answer(Event::TorrentLimitsSet { torrent: id }));
                }
            }
            Phase::Joined => {
                self.push(Directive::ToPeer(peer::Command::SetTorrentLimits { torrent: id, limits }));
            }
            Phase::Checking { .. } | Phase::Leaving | Phase::Closing => self.refuse(id, Refusal::NotReady),
        }
    }

    fn on_add_peer(&mut self, id: TorrentId, address: SocketAddr, source: Source) {
        let limit = self.config.max_early_peers;
        let Some(torrent) = self.torrents.get_mut(&id) else {
            return self.refuse(id, Refusal::UnknownTorrent);
        };
        match torrent.phase {
            Phase::Joined => self.push(Directive::ToPeer(peer::Command::AddPeer { torrent: id, address, source })),
            Phase::Checking { cancelled: false, .. } | Phase::Joining { .. } => {
                if torrent.early_peers.len() >= limit {
                    return self.refuse(id, Refusal::Full);
                }
                torrent.early_peers.push((address, source));
            }
            _ => self.refuse(id, Refusal::UnknownTorrent),
        }
    }

    fn on_disk(&mut self, now: Instant, event: disk::Event) {
        match event {
            disk::Event::Added { torrent, have, stored, checked, oddities } => {
                self.on_checked(torrent, have, stored, checked, oddities);
            }
            disk::Event::AddFailed { torrent: id, error } => {
                let Some(torrent) = self.torrents.get_mut(&id) else { return };
                if let Phase::Checking { cancelled: true, .. } = torrent.phase {
                    // The disk's answer to the removal is on its way.
                    torrent.phase = Phase::Closing;
                } else {
                    torrent.add_unanswered = Some(AddError::Disk(error));
                    self.forget(id, None, None);
                }
            }
            disk::Event::Removed { torrent, error } => self.forget(torrent, error, None),
            disk::Event::Deleted { torrent, deletion } => self.on_disk_deleted(torrent, deletion),
            disk::Event::Synced { torrent: id, error } => self.on_synced(now, id, error),
            disk::Event::Checking { torrent: id, checked, good, pieces } => {
                if let Some(torrent) = self.torrents.get_mut(&id) {
                    if let Phase::Checking { checked: so_far, .. } = &mut torrent.phase {
                        *so_far = checked;
                        torrent.figures.pieces_done = good;
                        // Which pieces they are comes with the end of the check; till then each counts as a whole one.
                        let geometry = torrent.spec.layout.geometry();
                        let bytes = u64::from(good) * u64::from(geometry.piece_length());
                        torrent.figures.bytes_done = bytes.min(geometry.total_length());
                    }
                }
                self.push(Directive::Notice(Event::Checking { torrent: id, checked, good, pieces }));
                self.publish(id);
            }
            disk::Event::Stopped { torrent, error, unreadable } => self.on_failed(now, torrent, error, unreadable),
            disk::Event::ReadFailed { torrent, error } => {
                self.push(Directive::Notice(Event::ReadFailed { torrent, error }));
            }
            disk::Event::PieceLost { torrent, piece } => self.on_piece_lost(torrent, piece),
            disk::Event::SaveFailed { torrent, error } => {
                self.push(Directive::Notice(Event::ResumeNotSaved { torrent, error }));
            }
            // Written, Read and BlockHashes go to the swarm without passing here.
            disk::Event::Written { .. } | disk::Event::Read { .. } | disk::Event::BlockHashes { .. } => {}
            disk::Event::Selected { torrent, error } => self.on_disk_selected(now, torrent, error),
            disk::Event::Retried { .. } | disk::Event::Released { .. } => {}
        }
    }

    fn on_synced(&mut self, now: Instant, id: TorrentId, error: Option<disk::Error>) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        // Of one that is on its way out the sync was withdrawn, or nobody waits for it any more.
        if !torrent.completion.is_syncing() || torrent.is_closing() {
            return;
        }
        let (told, again) = torrent.completion.on_synced(error.is_none());
        let lost = told && std::mem::take(&mut torrent.lost);
        if again {
            self.directives.push_back(Directive::ToDisk(disk::Command::Sync { torrent: id }));
        }
        if told {
            self.announce_completed(id);
            let event = Event::Completed { torrent: id };
            self.push(if lost { Directive::Notice(event) } else { Directive::Milestone(event) });
        }
        if let Some(error) = error {
            self.on_failed(now, id, error, false);
        }
    }

    /// Does what was left undone by a failure.
    pub(super) fn finish(&mut self, id: TorrentId) {
        if self.torrents.get(&id).is_some_and(|t| selection::is_complete(&t.figures)) {
            self.complete(id);
        }
    }

    /// Starts the sync that ends in `Completed`.
    pub(super) fn complete(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        if torrent.completion.on_complete() {
            self.push(Directive::ToDisk(disk::Command::Sync { torrent: id }));
        }
    }

    fn on_peer(&mut self, event: peer::Event) {
        match event {
            peer::Event::TorrentAdded { torrent } => self.on_joined(torrent),
            peer::Event::TorrentRemoved { torrent: id } => {
                self.close_files(id);
            }
            peer::Event::Paused { torrent } => {
                if self.answered(torrent) == Some(Asked::Program) {
                    self.push(Directive::Answer(Event::Paused { torrent }));
                }
            }
            peer::Event::Resumed { torrent } => {
                if self.answered(torrent) == Some(Asked::Program) {
                    self.push(Directive::Answer(Event::Resumed { torrent }));
                }
                self.finish(torrent);
            }
            peer::Event::PeerAdded { torrent, address } => {
                self.push(Directive::Answer(Event::PeerAdded { torrent, address }));
            }
            peer::Event::LimitsSet => self.push(Directive::Answer(Event::LimitsSet)),
            peer::Event::TorrentLimitsSet { torrent } => {
                self.push(Directive::Answer(Event::TorrentLimitsSet { torrent }));
            }
            peer::Event::Selected { torrent } => {
                if let Some(torrent) = self.torrents.get_mut(&torrent) {
                    torrent.completion.on_selected();
                }
                self.push(Directive::Answer(Event::Selected { torrent }));
            }
            peer::Event::BanSet { ip } => self.push(Directive::Answer(Event::BanSet { ip })),
            peer::Event::BanRefused { ip } => self.push(Directive::Answer(Event::BanRefused { ip })),
            peer::Event::DownloadSet { .. } => {}
            peer::Event::PeerBanned { torrent, ip, piece } => {
                self.push(Directive::Notice(Event::PeerBanned { torrent, ip, piece }));
            }
            peer::Event::Refused { torrent: id, refusal } => self.on_refused(id, refusal),
            peer::Event::PeerConnected { torrent, address, peer_id, outgoing } => {
                self.push(Directive::Notice(Event::PeerConnected { torrent, address, peer_id, outgoing }));
            }
            peer::Event::PeerGone { torrent, address, reason } => {
                self.push(Directive::Notice(Event::PeerGone { torrent, address, reason }));
            }
            peer::Event::PieceDone { torrent, piece } => {
                self.on_piece_done(torrent);
                self.push(Directive::Notice(Event::PieceDone { torrent, piece }));
            }
            peer::Event::Completed { torrent } => self.complete(torrent),
            peer::Event::Status { torrent: id, status } => {
                if let Some(torrent) = self.torrents.get_mut(&id) {
                    torrent.figures = status;
                    self.announce_progress(id);
                    self.ask_for_peers(id);
                    self.publish(id);
                }
            }
            // Store and Load go to the disk without passing here.
            peer::Event::Store { .. } | peer::Event::Load { .. } => {}
        }
    }

    fn answered(&mut self, id: TorrentId) -> Option<Asked> {
        self.torrents.get_mut(&id)?.asked.pop_front()
    }
}
impl Machine for Coordinator {
    type Command = Command;
    type Event = Directive;
    type Job = NoJobs;
    type Done = NoJobs;

    fn handle_command(&mut self, now: Instant, command: Command) {
        match command {
            Command::Add { torrent, spec } => self.on_add(torrent, spec),
            Command::Delete { torrent, spec } => self.on_delete(torrent, spec),
            Command::Remove { torrent, files } => self.on_remove(torrent, files),
            Command::Pause { torrent } => self.on_pause(torrent, true),
            Command::Resume { torrent } => self.on_pause(torrent, false),
            Command::AddPeer { torrent, address, source } => self.on_add_peer(torrent, address, source),
            Command::SetLimits { limits } => self.push(Directive::ToPeer(peer::Command::SetLimits { limits })),
            Command::SetTorrentLimits { torrent, limits } => self.on_set_torrent_limits(torrent, limits),
            Command::Select { torrent, selection } => self.on_select(torrent, selection),
            Command::Ban { ip, banned } => self.push(Directive::ToPeer(peer::Command::Ban { ip, banned })),
            Command::StopWithin { time } if self.config.trackers.is_some() => {
                self.push(Directive::ToTracker(client::Command::StopWithin { time }));
            }
            Command::StopWithin { .. } => {}
            Command::ShutDown => self.on_shut_down(),
            Command::FromPeer(event) => self.on_peer(event),
            Command::FromDisk(event) => self.on_disk(now, event),
            Command::FromTracker(event) => self.on_tracker(event),
            Command::Listening { peer_id, port_v4, port_v6 } => {
                self.ourselves = Some(Ourselves { peer_id, port_v4, port_v6 });
            }
        }
    }

    fn handle_input(&mut self, _now: Instant, _input: Input<'_, NoJobs>) {}

    fn handle_timeout(&mut self, now: Instant) {
        for _ in 0..TIMERS_PER_CALL {
            let Some(id) = self.retries.pop(now) else { break };
            self.on_retry_timer(now, id);
        }
    }

    fn poll_event(&mut self) -> Option<Directive> {
        self.directives.pop_front()
    }

    fn poll_output(&mut self, _buf: &mut Vec<u8>) -> Option<Output<NoJobs>> {
        None
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.retries.next()
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Spec;
    use super::*;
    use crate::disk::{Checked, Files};
    use crate::proto::bitfield::Bitfield;
    use crate::proto::id::InfoHash;
    use crate::proto::metainfo::{Layout, SafePath};
    use crate::proto::sha1::Sha1;
    use std::sync::Arc;

    const TORRENT: TorrentId = TorrentId(0);

    fn spec(name: &str, hash: u8) -> Spec {
        let path = SafePath::from_parts([name]).unwrap();
        let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")]).unwrap());
        Spec::new(InfoHash([hash; 20]), layout, "/folder")
    }

    fn told(coordinator: &mut Coordinator, commands: impl IntoIterator<Item = Command>) -> Vec<Event> {
        commands.into_iter().for_each(|command| coordinator.handle_command(Instant::ZERO, command));
        let all = std::iter::from_fn(|| coordinator.poll_event());
        all.filter_map(
            |d| if let Directive::Answer(event) | Directive::Milestone(event) = d { Some(event) } else { None },
        )
        .collect()
    }

    fn added() -> Command {
        let have = Bitfield::new(1);
        let (stored, checked, oddities) = (Vec::new(), Checked::Full, Vec::new());
        Command::FromDisk(disk::Event::Added { torrent: TORRENT, have, stored, checked, oddities })
    }

    #[test]
    fn a_torrent_removed_while_the_swarm_refuses_it_is_answered_once_for_each_command() {
        let refused = |refusal| Command::FromPeer(peer::Event::Refused { torrent: TORRENT, refusal });
        let events = told(
            &mut Coordinator::new(Config::default()),
            [
                Command::Add { torrent: TORRENT, spec: spec("a", 1) },
                added(),
                Command::Remove { torrent: TORRENT, files: Files::Keep },
                refused(Refusal::Full),
                refused(Refusal::UnknownTorrent),
                Command::FromDisk(disk::Event::Removed { torrent: TORRENT, error: None }),
            ],
        );
        let error = AddError::Refused(Refusal::Full);
        assert_eq!(
            events,
            [Event::AddFailed { torrent: TORRENT, error }, Event::Removed { torrent: TORRENT, error: None }]
        );
    }

    #[test]
    fn every_asker_for_the_end_is_answered_when_it_is_over_and_not_before() {
        let mut coordinator = Coordinator::new(Config::default());
        let early =
            [Command::Add { torrent: TORRENT, spec: spec("a", 1) }, Command::ShutDown, Command::ShutDown, added()];
        assert_eq!(told(&mut coordinator, early), []);
        let over = told(&mut coordinator, [Command::FromDisk(disk::Event::Removed { torrent: TORRENT, error: None })]);
        let gone = Event::AddFailed { torrent: TORRENT, error: AddError::Removed };
        assert_eq!(over, [gone, Event::ShutDown, Event::ShutDown]);
        assert_eq!(told(&mut coordinator, [Command::ShutDown]), [Event::ShutDown]);
    }

    #[test]
    #[cfg(feature = "v2")]
    fn a_torrent_of_version_2_alone_is_refused_and_a_hybrid_is_not() {
        use crate::proto::metainfo::{Builder, Limits, Metainfo, Version};
        for version in [Version::V2, Version::Hybrid] {
            let builder = Builder::single_file("a", 5).version(version);
            let torrent = builder.piece_hashes([[1; 20]]).piece_roots([[2; 32]]).build().unwrap();
            let torrent = Metainfo::parse(&torrent, &Limits::default()).unwrap();
            let add = Command::Add { torrent: TORRENT, spec: Spec::of(&torrent, "/folder") };
            let told = told(&mut Coordinator::new(Config::default()), [add]);
            let error = AddError::Refused(Refusal::OnlyVersion2);
            let refused = [Event::AddFailed { torrent: TORRENT, error }];
            assert_eq!(told, if version == Version::V2 { &refused[..] } else { &[] });
        }
    }

    #[test]
    fn two_torrents_never_write_the_same_files() {
        let mut coordinator = Coordinator::new(Config::default());
        let add = |n, spec| Command::Add { torrent: TorrentId(n), spec };
        let same_files =
            |n| vec![Event::AddFailed { torrent: TorrentId(n), error: AddError::Refused(Refusal::SameFiles) }];
        let read_only = |spec| Spec { writable: false, ..spec };
        assert_eq!(told(&mut coordinator, [add(0, spec("a", 1))]), []);
        assert_eq!(told(&mut coordinator, [add(1, spec("a", 2))]), same_files(1));
        assert_eq!(told(&mut coordinator, [add(2, read_only(spec("a", 2)))]), same_files(2));
        for root in ["/folder/", "/./folder", "//folder/.", "/other/../folder", "/../folder"] {
            let spelt = Spec { root: root.into(), ..spec("a", 2) };
            assert_eq!(told(&mut coordinator, [add(1, spelt)]), same_files(1), "{root}");
        }
        let elsewhere = Spec { root: "/other".into(), ..spec("a", 2) };
        let only_read = [add(5, read_only(spec("c", 4))), add(6, read_only(spec("c", 5)))];
        assert_eq!(told(&mut coordinator, [add(3, spec("b", 3)), add(4, elsewhere)]), []);
        assert_eq!(told(&mut coordinator, only_read), []);
    }

    #[test]
    fn a_torrent_in_the_folder_of_another_may_share_that_and_no_file() {
        let of = |root: &str, path: &[&str], hash: u8| {
            let path = SafePath::from_parts(path).unwrap();
            let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")]).unwrap());
            Spec::new(InfoHash([hash; 20]), layout, root)
        };
        let season = || of("/d", &["Show", "e1"], 1);
        let episode = || of("/d/Show", &["e1"], 2);
        for (one, other, fits) in [
            (season(), episode(), false),
            (episode(), season(), false),
            (season(), of("/d/Show", &["e2"], 2), true),
            // Where the one has a file the other has a folder.
            (season(), of("/d/Show", &["e1", "cover"], 2), false),
            (of("/d/Show", &["e1", "cover"], 2), season(), false),
            (season(), of("/d/Show", &["e10"], 2), true),
            (season(), of("/d", &["Other", "e1"], 2), true),
            (season(), of("/d/Other", &["Show", "e1"], 2), true),
        ] {
            let shown = format!("{:?} {:?}", one.root, other.root);
            let mut coordinator = Coordinator::new(Config::default());
            let add = |n, spec| Command::Add { torrent: TorrentId(n), spec };
            assert_eq!(told(&mut coordinator, [add(0, one)]), []);
            assert_eq!(told(&mut coordinator, [add(1, other)]).is_empty(), fits, "{shown}");
        }
    }

    #[test]
    fn limits_set_while_a_torrent_is_checked_are_those_it_joins_with() {
        let mut coordinator = Coordinator::new(Config::default());
        let limits = TorrentLimits { upload_slots: Some(9), ..TorrentLimits::default() };
        let set = Command::SetTorrentLimits { torrent: TORRENT, limits: limits.clone() };
        assert_eq!(
            told(&mut coordinator, [set.clone()]),
            [Event::Refused { torrent: TORRENT, refusal: Refusal::UnknownTorrent }]
        );
        let checking = [Command::Add { torrent: TORRENT, spec: spec("a", 1) }, set.clone()];
        assert_eq!(told(&mut coordinator, checking), [Event::TorrentLimitsSet { torrent: TORRENT }]);
        coordinator.handle_command(Instant::ZERO, added());
        let joins_with = std::iter::from_fn(|| coordinator.poll_event()).find_map(|directive| match directive {
            Directive::ToPeer(peer::Command::AddTorrent { limits, .. }) => Some(limits),
            _ => None,
        });
        assert_eq!(joins_with, Some(limits));
        // While it joins, whether the swarm takes the torrent is not known yet.
        assert_eq!(told(&mut coordinator, [set.clone()]), []);
        assert_eq!(told(&mut coordinator, [set.clone()]), [Event::TorrentLimitsSet { torrent: TORRENT }]);
        let joined = Command::FromPeer(peer::Event::TorrentAdded { torrent: TORRENT });
        assert!(matches!(told(&mut coordinator, [joined])[..], [Event::Added { .. }]));
        let set_by_swarm = Command::FromPeer(peer::Event::TorrentLimitsSet { torrent: TORRENT });
        assert_eq!(told(&mut coordinator, [set_by_swarm]), [Event::TorrentLimitsSet { torrent: TORRENT }]);
        let leaving = [Command::Remove { torrent: TORRENT, files: Files::Keep }, set];
        assert_eq!(told(&mut coordinator, leaving), [Event::Refused { torrent: TORRENT, refusal: Refusal::NotReady }]);
    }

    #[test]
    fn a_failure_is_told_once_until_the_program_says_to_go_on() {
        let mut coordinator = Coordinator::new(Config::default());
        let error = disk::Error::Busy;
        let stopped =
            || Command::FromDisk(disk::Event::Stopped { torrent: TORRENT, error: error.clone(), unreadable: false });
        let joined = [
            Command::Add { torrent: TORRENT, spec: spec("a", 1) },
            added(),
            Command::FromPeer(peer::Event::TorrentAdded { torrent: TORRENT }),
        ];
        assert_eq!(told(&mut coordinator, joined).len(), 1);
        let failed = Event::Failed { torrent: TORRENT, error: disk::Error::Busy };
        assert_eq!(told(&mut coordinator, [stopped(), stopped()]), std::slice::from_ref(&failed));
        let go_on = [
            Command::FromPeer(peer::Event::Paused { torrent: TORRENT }),
            Command::Resume { torrent: TORRENT },
            Command::FromPeer(peer::Event::Resumed { torrent: TORRENT }),
        ];
        assert_eq!(told(&mut coordinator, go_on), [Event::Resumed { torrent: TORRENT }]);
        assert_eq!(told(&mut coordinator, [stopped()]), [failed]);
    }
}
