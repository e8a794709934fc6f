//! How a torrent goes: the swarm lets it go, the disk closes its files, and all that is owed is answered.

use super::command::{Directive, Event};
use super::machine::Coordinator;
use super::torrent::Phase;
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
            _ => Refusal::UnknownTorrent,
        };
        self.refuse(id, refusal);
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
                self.push(Directive::ToPeer(peer::Command::RemoveTorrent { torrent: id }));
            }
            Phase::Leaving | Phase::Closing => {}
        }
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

    fn answer_shut_down(&mut self) {
        if self.torrents.is_empty() {
            for _ in 0..std::mem::take(&mut self.shut_downs) {
                self.push(Directive::Answer(Event::ShutDown));
            }
        }
    }

    /// Ends a torrent: everything the program still waits for about it is answered here, and only here.
    pub(super) fn forget(&mut self, id: TorrentId, error: Option<disk::Error>, deletion: Option<Deletion>) {
        let Some(torrent) = self.torrents.remove(&id) else { return };
        self.retries.cancel(id);
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
