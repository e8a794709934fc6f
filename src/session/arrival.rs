//! How a torrent comes in: refused or not, checked by the disk, taken in by the swarm.

use super::command::{AddError, Directive, Event, Spec};
use super::machine::Coordinator;
use super::selection;
use super::torrent::{Phase, Torrent};
use crate::disk::{self, Checked, Oddity};
use crate::machine::TorrentId;
use crate::peer::{self, Refusal};
use crate::proto::bitfield::Bitfield;
use crate::proto::geometry::Span;
use crate::proto::metainfo::Layout;
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

impl Coordinator {
    /// Says why a torrent cannot be dealt with beside those that are here.
    pub(super) fn refusal(&self, id: TorrentId, spec: &Spec) -> Option<Refusal> {
        if self.shut_downs > 0 || self.torrents.len() >= self.config.max_torrents {
            Some(Refusal::Full)
        } else if self.torrents.contains_key(&id) || self.torrents.values().any(|t| t.info_hash == spec.info_hash) {
            Some(Refusal::DuplicateTorrent)
        } else if self.torrents.values().any(|t| share_files(&t.spec, spec)) {
            Some(Refusal::SameFiles)
        } else {
            None
        }
    }

    pub(super) fn on_add(&mut self, id: TorrentId, spec: Spec) {
        let refusal = if let Some(refusal) = self.refusal(id, &spec) {
            Some(refusal)
        } else if !spec.selection.fits(&spec.layout) {
            Some(Refusal::WrongSelection)
        } else if !spec.layout.version().has_v1() {
            // Its pieces have no SHA-1: whatever came would be taken for wrong, and its sender for a liar.
            Some(Refusal::OnlyVersion2)
        } else {
            None
        };
        if let Some(refusal) = refusal {
            return self.push(Directive::Answer(Event::AddFailed { torrent: id, error: AddError::Refused(refusal) }));
        }
        let nothing = Bitfield::new(spec.layout.geometry().piece_count());
        let wanted = spec.selection.of_pieces(&spec.layout).pieces;
        let figures = selection::figures(&spec.layout, &nothing, wanted.as_ref());
        self.push(Directive::ToDisk(disk::Command::Add {
            torrent: id,
            layout: spec.layout.clone(),
            root: spec.root.clone(),
            writable: spec.writable,
            skipped: spec.selection.skipped(),
            resume: spec.resume.clone().map(|path| disk::ResumeFile { path, info_hash: spec.info_hash }),
        }));
        self.torrents.insert(id, Torrent::new(spec, figures));
        self.publish(id);
    }

    pub(super) fn on_checked(
        &mut self,
        id: TorrentId,
        have: Bitfield,
        stored: Vec<Span>,
        checked: Checked,
        oddities: Vec<Oddity>,
    ) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let selection = torrent.spec.selection.of_pieces(&torrent.spec.layout);
        torrent.figures = selection::figures(&torrent.spec.layout, &have, selection.pieces.as_ref());
        if let Phase::Checking { cancelled: false, .. } = torrent.phase {
            torrent.phase = Phase::Joining { oddities, checked };
            torrent.stored = stored;
            let command = peer::Command::AddTorrent {
                torrent: id,
                info_hash: torrent.info_hash,
                geometry: torrent.spec.layout.geometry(),
                have,
                download: torrent.spec.writable,
                selection,
                limits: torrent.spec.limits.clone(),
            };
            self.push(Directive::ToPeer(command));
            self.publish(id);
        } else {
            // Removed while it was being checked: the disk's answer to that is on its way.
            torrent.phase = Phase::Closing;
        }
    }

    pub(super) fn on_joined(&mut self, id: TorrentId) {
        let Some(torrent) = self.torrents.get_mut(&id) else { return };
        let Phase::Joining { oddities, checked } = &mut torrent.phase else { return };
        let event = Event::Added {
            torrent: id,
            pieces_done: torrent.figures.pieces_done,
            pieces: torrent.figures.pieces,
            checked: *checked,
            oddities: std::mem::take(oddities),
        };
        let complete = selection::is_complete(&torrent.figures);
        torrent.phase = Phase::Joined;
        torrent.add_unanswered = None;
        let peers = std::mem::take(&mut torrent.early_peers);
        let limits = std::mem::take(&mut torrent.early_limits).then(|| torrent.spec.limits.clone());
        let spans = std::mem::take(&mut torrent.stored);
        if !spans.is_empty() {
            self.push(Directive::ToPeer(peer::Command::Kept { torrent: id, spans }));
        }
        // The files may have failed while the swarm was taking the torrent in.
        self.restrict(id);
        self.push(Directive::Answer(event));
        if let Some(limits) = limits {
            self.push(Directive::ToPeer(peer::Command::SetTorrentLimits { torrent: id, limits }));
        }
        for (address, source) in peers {
            self.push(Directive::ToPeer(peer::Command::AddPeer { torrent: id, address, source }));
        }
        if complete {
            self.complete(id);
        }
        self.announce(id);
        self.publish(id);
    }

    pub(super) fn on_refused(&mut self, id: TorrentId, refusal: Refusal) {
        match self.torrents.get_mut(&id) {
            Some(torrent) if matches!(torrent.phase, Phase::Joining { .. }) => {
                torrent.add_unanswered = Some(AddError::Refused(refusal));
                self.close_files(id);
            }
            // The swarm never had it: its files can be closed at once.
            Some(torrent) if torrent.phase == Phase::Leaving && refusal == Refusal::UnknownTorrent => {
                self.close_files(id);
            }
            // Removed while the swarm was about to refuse it: its answer to the removal comes next.
            Some(torrent) if torrent.phase == Phase::Leaving && torrent.add_unanswered.is_some() => {
                torrent.add_unanswered = Some(AddError::Refused(refusal));
            }
            _ => self.refuse(id, refusal),
        }
    }
}

/// Says whether one torrent would write what another reads or writes.
fn share_files(one: &Spec, other: &Spec) -> bool {
    if !one.writable && !other.writable {
        return false;
    }
    let (one_root, other_root) = (plain(&one.root), plain(&other.root));
    if one_root == other_root {
        // A torrent's files are all under its name in its folder.
        return folded(one.layout.name_bytes()) == folded(other.layout.name_bytes());
    }
    // The one may be in a folder of the other: an episode beside those of its season.
    let is_within = |inner: &Path, outer: &Path, layout: &Layout| {
        let below = inner.strip_prefix(outer).ok().and_then(|below| below.components().next());
        below.is_some_and(|part| folded(part.as_os_str().as_encoded_bytes()) == folded(layout.name_bytes()))
    };
    if !is_within(&other_root, &one_root, &one.layout) && !is_within(&one_root, &other_root, &other.layout) {
        return false;
    }
    let paths = |root: &Path, layout: &Layout| -> BTreeSet<Vec<u8>> {
        let files = layout.files().iter().filter(|file| !file.is_padding);
        files.map(|file| folded(root.join(file.path.to_path_buf()).as_os_str().as_encoded_bytes())).collect()
    };
    let (ones, others) = (paths(&one_root, &one.layout), paths(&other_root, &other.layout));
    let under = |inner: &BTreeSet<Vec<u8>>, outer: &BTreeSet<Vec<u8>>| {
        inner.iter().any(|path| {
            let ends = path.iter().enumerate().filter(|(_, byte)| **byte == std::path::MAIN_SEPARATOR as u8);
            ends.map(|(at, _)| at).chain([path.len()]).any(|end| outer.contains(&path[..end]))
        })
    };
    under(&ones, &others) || under(&others, &ones)
}

/// Gives a name as the system compares it.
fn folded(name: &[u8]) -> Vec<u8> {
    if cfg!(any(windows, target_os = "macos")) {
        String::from_utf8_lossy(name).to_lowercase().into_bytes()
    } else {
        name.to_vec()
    }
}

/// Gives a path without the parts that lead nowhere: what is no link is then spelt in one way, but for the folder that it is
/// counted from.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            // The folder above the topmost is itself; above a relative path it is another.
            Component::ParentDir => match plain.components().next_back() {
                Some(Component::Normal(_)) => drop(plain.pop()),
                Some(Component::RootDir | Component::Prefix(_)) => {}
                _ => plain.push(part),
            },
            part => plain.push(part),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_spelling_without_the_parts_that_lead_nowhere() {
        for (one, other) in [("a/../../b", "../b"), ("./a", "a"), ("", ".")] {
            assert_eq!(plain(Path::new(one)), plain(Path::new(other)));
        }
        assert_ne!(plain(Path::new("../a")), plain(Path::new("a")));
    }
}
