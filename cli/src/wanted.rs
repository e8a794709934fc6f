//! What of a torrent is wanted.

use bip::proto::metainfo::Metainfo;
use bip::select::Priority;

/// Says how many files of a torrent are wanted, and how long they are together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) files: usize,
    pub(crate) length: u64,
}

impl Wanted {
    pub(crate) fn of(torrent: &Metainfo, priorities: &[Priority]) -> Self {
        let files = torrent.files();
        if priorities.is_empty() {
            return Self { files: crate::torrent::file_count(torrent), length: torrent.layout().content_length() };
        }
        let wanted = files.iter().zip(priorities);
        let wanted = wanted.filter(|(file, priority)| !file.is_padding && **priority != Priority::Skip);
        wanted.fold(Self { files: 0, length: 0 }, |sum, (file, _)| Self {
            files: sum.files + 1,
            length: sum.length.saturating_add(file.length),
        })
    }
}
