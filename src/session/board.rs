//! Every torrent's last published status, to be read by anybody without asking.

use super::command::Status;
use crate::machine::TorrentId;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The statuses that a session has published. Clones show the same.
///
/// Reading takes a lock that is held only while a pointer is copied or put in, never while a machine works.
#[derive(Debug, Clone, Default)]
pub struct Board {
    statuses: Arc<RwLock<BTreeMap<TorrentId, Arc<Status>>>>,
}

impl Board {
    /// Gives a torrent's status; `None` when the torrent is not there, or no more.
    pub fn status(&self, torrent: TorrentId) -> Option<Arc<Status>> {
        // A pointer is put in or taken out whole: a panic in between leaves nothing half done.
        self.statuses.read().unwrap_or_else(PoisonError::into_inner).get(&torrent).cloned()
    }

    /// Gives every torrent's status, in the order of their ids.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        self.statuses.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn publish(&self, status: Status) {
        let torrent = status.torrent;
        self.statuses.write().unwrap_or_else(PoisonError::into_inner).insert(torrent, Arc::new(status));
    }

    pub(super) fn withdraw(&self, torrent: TorrentId) {
        self.statuses.write().unwrap_or_else(PoisonError::into_inner).remove(&torrent);
    }
}
