//! How a torrent goes: the swarm lets it go, the disk closes its files, and all that is owed is answered.

use super::command::{Directive, Event, Spec};
use super::machine::Coordinator;
use super::torrent::{Announcing, Phase, Torrent};
use crate::disk::{self, Deletion, Files};
use crate::machine::TorrentId;
use crate::peer::{self, Refusal};

impl Coordinator {
    pub(super) fn on_remove(&mut self, id: TorrentId, files: Files) {
        let refusal = match self.torrents.get_mut(&id) {
            // The disk was told to keep them, and may be done.
            Some(torrent) if !torrent.removal_asked && files == Files::Delete && torrent.is_closing() => {
                Refusal::NotReady
            }
            Some(torrent) if !torrent.removal_asked => {
                (torrent.removal_asked, torrent.files) = (true, files);
                return self.start_removal(id);
            }
            // It is on its way out already, and whoever asked first gets the answer.
            Some(_) => Refusal::NotReady,
            None => Refusal::UnknownTorrent,
        };
        self.refuse(id, refusal);
    }

    /// Deletes what a torrent left that is not here. Until that is done it is one that is on its way out, so that nobody adds it, or
    /// another with its files, meanwhile.
    pub(super) fn on_delete(&mut self, id: TorrentId, spec: Spec) {
        if let Some(refusal) = self.refusal(id, &spec) {
            return self.refuse(id, refusal);
        }
        self.torrents.insert(id, Torrent::to_delete(spec));
        self.delete(id);
        self.publish(id);
    }

    fn delete(&mut self, torrent: TorrentId) {
        let Some(Torrent { spec, .. }) = self.torrents.get(&torrent) else { return };
        let info_hash = spec.info_hash;
        self.push(Directive::ToDisk(disk::Command::Delete {
            torrent,
            layout: spec.layout.clone(),
            root: spec.root.clone(),
            writable: spec.writable,
            resume: spec.resume.clone().map(|path| disk::ResumeFile { path, info_hash }),
        }));
    }

    pub(super) fn on_disk_deleted(&mut self, id: TorrentId, deletion: Deletion) {
        if deletion.error == Some(disk::Error::UnknownTorrent) {
            // It could not be opened, and the disk was done with it when the removal came.
            return self.delete(id);
        }
        self.forget(id, None, Some(deletion));
    }

    fn start_removal(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        match &mut torrent.phase {
            Phase::Checking { cancelled, .. } => {
                if !std::mem::replace(cancelled, true) {
                    let files = torrent.files;
                    self.push(Directive::ToDisk(disk::Command::Remove { torrent: id, files }));
                }
            }
            Phase::Joining { .. } | Phase::Joined => {
                // Where the swarm has not answered the add yet, its answer comes first and finds the torrent leaving.
                torrent.phase = Phase::Leaving;
                // The swarm lets it go once the disk has answered for every block, also for those that it holds back.
                self.push(Directive::ToDisk(disk::Command::Release { torrent: id }));
                self.push(Directive::ToPeer(peer::Command::RemoveTorrent { torrent: id }));
            }
            Phase::Leaving | Phase::Closing => {}
        }
        self.stop_announcing(id);
        self.publish(id);
    }

    /// Has the disk close a torrent's files now that the swarm has let it go.
    pub(super) fn close_files(&mut self, id: TorrentId) {
        if let Some(torrent) = self.torrents.get_mut(&id) {
            torrent.phase = Phase::Closing;
            let files = torrent.files;
            self.push(Directive::ToDisk(disk::Command::Remove { torrent: id, files }));
        }
    }

    pub(super) fn on_shut_down(&mut self) {
        self.shut_downs += 1;
        let ids: Vec<TorrentId> = self.torrents.keys().copied().collect();
        for id in ids {
            self.start_removal(id);
        }
        self.answer_shut_down();
    }

    pub(super) fn answer_shut_down(&mut self) {
        if self.torrents.is_empty() && self.farewells.is_empty() {
            for _ in 0..std::mem::take(&mut self.shut_downs) {
                self.push(Directive::Answer(Event::ShutDown));
            }
        }
    }

    /// Ends a torrent: everything the program still waits for about it is answered here, and only here.
    pub(super) fn forget(&mut self, id: TorrentId, error: Option<disk::Error>, deletion: Option<Deletion>) {
        let Some(torrent) = self.torrents.remove(&id) else { return };
        self.retries.cancel(id);
        if let Announcing::Leaving { .. } = torrent.announcing {
            self.farewells.insert(id);
        }
        let owed = torrent.early_peers.len() + torrent.selecting.len() + usize::from(torrent.early_limits);
        (0..owed).for_each(|_| self.refuse(id, Refusal::UnknownTorrent));
        if let Some(error) = torrent.add_unanswered {
            self.push(Directive::Answer(Event::AddFailed { torrent: id, error }));
        }
        if let Some(deletion) = deletion {
            self.push(Directive::Answer(Event::Deleted { torrent: id, deletion }));
        } else if torrent.removal_asked {
            self.push(Directive::Answer(Event::Removed { torrent: id, error }));
        } else if let Some(error) = error {
            self.push(Directive::Milestone(Event::Failed { torrent: id, error }));
        }
        self.push(Directive::Withdraw(id));
        self.answer_shut_down();
    }
}

#[cfg(test)]
mod tests {
    use super::super::command::Command;
    use super::super::config::Config;
    use super::*;
    use crate::disk::Checked;
    use crate::machine::{Instant, Machine};
    use crate::proto::bitfield::Bitfield;
    use crate::proto::id::InfoHash;
    use crate::proto::metainfo::{Layout, SafePath};
    use crate::proto::sha1::Sha1;
    use std::sync::Arc;

    const TORRENT: TorrentId = TorrentId(0);

    fn ask(coordinator: &mut Coordinator, command: Command) -> Vec<Directive> {
        coordinator.handle_command(Instant::ZERO, command);
        let told = std::iter::from_fn(|| coordinator.poll_event());
        told.filter(|d| !matches!(d, Directive::Publish(_))).collect()
    }

    fn checking() -> Coordinator {
        let path = SafePath::from_parts(["a"]).unwrap();
        let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")]).unwrap());
        let mut coordinator = Coordinator::new(Config::default());
        let spec = Spec::new(InfoHash([1; 20]), layout, "/folder");
        ask(&mut coordinator, Command::Add { torrent: TORRENT, spec });
        coordinator
    }

    fn joined() -> Coordinator {
        let mut coordinator = checking();
        let (have, stored, checked, oddities) = (Bitfield::new(1), Vec::new(), Checked::Full, Vec::new());
        let added = disk::Event::Added { torrent: TORRENT, have, stored, checked, oddities };
        ask(&mut coordinator, Command::FromDisk(added));
        ask(&mut coordinator, Command::FromPeer(peer::Event::TorrentAdded { torrent: TORRENT }));
        coordinator
    }

    fn remove(files: Files) -> Command {
        Command::Remove { torrent: TORRENT, files }
    }

    fn to_disk(files: Files) -> Directive {
        Directive::ToDisk(disk::Command::Remove { torrent: TORRENT, files })
    }

    fn refused(refusal: Refusal) -> [Directive; 1] {
        [Directive::Answer(Event::Refused { torrent: TORRENT, refusal })]
    }

    #[test]
    fn the_files_go_when_the_swarm_has_let_the_torrent_go_and_what_went_is_told() {
        let gone = || Command::FromPeer(peer::Event::TorrentRemoved { torrent: TORRENT });
        let mut coordinator = joined();
        let leave = Directive::ToPeer(peer::Command::RemoveTorrent { torrent: TORRENT });
        // What the disk holds back would keep the swarm waiting.
        let release = Directive::ToDisk(disk::Command::Release { torrent: TORRENT });
        assert_eq!(ask(&mut coordinator, remove(Files::Delete)), [release, leave]);
        assert_eq!(ask(&mut coordinator, remove(Files::Delete)), refused(Refusal::NotReady));
        assert_eq!(ask(&mut coordinator, Command::ShutDown), []);
        assert_eq!(ask(&mut coordinator, gone()), [to_disk(Files::Delete)]);
        let deletion = Deletion { files: 3, failed: 1, error: Some(disk::Error::Busy), ..Deletion::default() };
        let deleted = disk::Event::Deleted { torrent: TORRENT, deletion: deletion.clone() };
        let answer = Directive::Answer(Event::Deleted { torrent: TORRENT, deletion });
        let end = [answer, Directive::Withdraw(TORRENT), Directive::Answer(Event::ShutDown)];
        assert_eq!(ask(&mut coordinator, Command::FromDisk(deleted)), end);
    }

    #[test]
    fn what_a_torrent_left_is_deleted_when_it_is_not_here_and_nobody_takes_its_files_meanwhile() {
        let mut coordinator = checking();
        let spec = || {
            let path = SafePath::from_parts(["a"]).unwrap();
            let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")]).unwrap());
            Spec::new(InfoHash([1; 20]), layout, "/folder")
        };
        let other = || Spec { info_hash: InfoHash([2; 20]), ..spec() };
        let (second, third) = (TorrentId(1), TorrentId(2));
        for (torrent, spec, refusal) in [
            (TORRENT, spec(), Refusal::DuplicateTorrent),
            (second, spec(), Refusal::DuplicateTorrent),
            (second, other(), Refusal::SameFiles),
        ] {
            let told = ask(&mut coordinator, Command::Delete { torrent, spec });
            assert_eq!(told, [Directive::Answer(Event::Refused { torrent, refusal })]);
        }
        let failed = disk::Event::AddFailed { torrent: TORRENT, error: disk::Error::Busy };
        ask(&mut coordinator, Command::FromDisk(failed));
        let told = ask(&mut coordinator, Command::Delete { torrent: second, spec: spec() });
        let asked = |directive: &Directive| matches!(directive, Directive::ToDisk(disk::Command::Delete { torrent, .. }) if *torrent == TorrentId(1));
        assert!(told.len() == 1 && asked(&told[0]), "{told:?}");
        let told = ask(&mut coordinator, Command::Add { torrent: third, spec: other() });
        assert!(matches!(told[..], [Directive::Answer(Event::AddFailed { .. })]), "{told:?}");
        assert_eq!(ask(&mut coordinator, Command::ShutDown), []);
        let deleted = disk::Event::Deleted { torrent: second, deletion: Deletion::default() };
        let answer = Directive::Answer(Event::Deleted { torrent: second, deletion: Deletion::default() });
        let end = [answer, Directive::Withdraw(second), Directive::Answer(Event::ShutDown)];
        assert_eq!(ask(&mut coordinator, Command::FromDisk(deleted)), end);
    }

    #[test]
    fn files_are_deleted_also_of_a_torrent_that_failed_while_its_removal_was_under_way() {
        let mut coordinator = checking();
        assert_eq!(ask(&mut coordinator, remove(Files::Delete)), [to_disk(Files::Delete)]);
        let failed = disk::Event::AddFailed { torrent: TORRENT, error: disk::Error::Busy };
        assert_eq!(ask(&mut coordinator, Command::FromDisk(failed)), []);
        let deletion = Deletion { error: Some(disk::Error::UnknownTorrent), ..Deletion::default() };
        let unknown = disk::Event::Deleted { torrent: TORRENT, deletion };
        let told = ask(&mut coordinator, Command::FromDisk(unknown));
        assert!(matches!(told[..], [Directive::ToDisk(disk::Command::Delete { .. })]), "{told:?}");
        let deletion = Deletion { files: 1, ..Deletion::default() };
        let deleted = disk::Event::Deleted { torrent: TORRENT, deletion: deletion.clone() };
        let told = ask(&mut coordinator, Command::FromDisk(deleted));
        assert!(told.contains(&Directive::Answer(Event::Deleted { torrent: TORRENT, deletion })), "{told:?}");
    }

    #[test]
    fn once_the_disk_was_told_to_keep_the_files_it_is_too_late_to_delete_them() {
        let mut coordinator = checking();
        assert_eq!(ask(&mut coordinator, Command::ShutDown), [to_disk(Files::Keep)]);
        assert_eq!(ask(&mut coordinator, remove(Files::Delete)), refused(Refusal::NotReady));
        assert_eq!(ask(&mut coordinator, remove(Files::Keep)), []);
        // Before that it is not.
        let mut coordinator = checking();
        assert_eq!(ask(&mut coordinator, remove(Files::Delete)), [to_disk(Files::Delete)]);
    }
}
