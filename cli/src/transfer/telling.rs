//! What is told of a torrent: JSON lines and remarks.

use super::Transfer;
use crate::output::{Failure, counted};
use bip::disk::Oddity;
use bip::session::{State, Status};
use bip::tracker::client::TrackerStatus;
use serde_json::{Value, json};

/// How many remarks are remembered, so that none is told twice.
const MOST_REMARKS: usize = 16;

/// How many things that were told of trackers are remembered.
const MOST_TRACKERS: usize = 128;

impl Transfer<'_> {
    /// Tells what goes wrong without stopping the torrent: each thing once.
    pub(super) fn remark(&mut self, remark: String) {
        if !self.remarks.contains(&remark) {
            self.output.note(self.name, &remark);
            self.remarks.truncate(MOST_REMARKS - 1);
            self.remarks.insert(0, remark);
        }
    }

    /// Tells why a tracker fails, or what it says to the user: the same once.
    pub(super) fn on_tracker(&mut self, status: &TrackerStatus) -> Result<(), Failure> {
        let url = status.url.to_string();
        log::info!(target: "bip::tracker", "{url}: {}, {} peers", status.state, status.peers);
        let told = (url, status.error.as_ref().map(ToString::to_string), status.warning.clone());
        if (told.1.is_none() && told.2.is_none()) || self.trackers.contains(&told) {
            return Ok(());
        }
        let (url, error, warning) = &told;
        if self.output.is_json() {
            self.tell(json!({
                "event": "tracker",
                "url": url,
                "tier": status.tier,
                "state": status.state.to_string(),
                "error": error,
                "warning": warning,
            }))?;
        } else if let Some(error) = error {
            self.output.note(self.name, format_args!("{url}: {error}"));
        } else if let Some(warning) = warning {
            self.output.note(self.name, format_args!("{url} says: {warning}"));
        }
        self.trackers.truncate(MOST_TRACKERS - 1);
        self.trackers.insert(0, told);
        Ok(())
    }

    pub(super) fn tell_oddity(&self, oddity: &Oddity) {
        match oddity {
            Oddity::TooLong { file, found, expected } => {
                let file = self.torrent.layout().file(*file).map(|f| f.path.to_string()).unwrap_or_default();
                let what =
                    format_args!("{found} bytes, longer than the torrent's {expected}; the rest is left as it is");
                self.output.note(file, what);
            }
            other => self.output.note(self.name, format_args!("{other:?}")),
        }
    }

    /// Tells what was there, once that is known.
    pub(crate) fn tell_checked(&self) -> Result<(), Failure> {
        let Some(done) = self.checked.filter(|_| !self.is_failed()) else { return Ok(()) };
        let pieces = self.torrent.geometry().piece_count();
        if self.output.is_json() {
            let check = if self.sampled { "sampled" } else { "full" };
            return self.tell(json!({ "event": "checked", "pieces_done": done, "pieces": pieces, "check": check }));
        }
        if done > 0 && done < pieces {
            self.output.note(self.name, format_args!("{done} of {} there already", counted(pieces.into(), "piece")));
        }
        Ok(())
    }

    /// Writes a JSON line with the torrent in it.
    pub(super) fn tell(&self, mut line: Value) -> Result<(), Failure> {
        line["torrent"] = json!({ "info_hash": self.torrent.info_hash().to_string(), "name": self.torrent.name() });
        self.output.json(&line)
    }

    /// Writes the JSON line of how it fares: everything in it is of one status.
    pub(super) fn tell_progress(&self, status: &Status) -> Result<(), Failure> {
        let figures = &status.swarm;
        let state = match status.state {
            _ if self.trouble.is_some() => "waiting",
            State::Checking { .. } => "checking",
            // What is there is first brought to the medium.
            State::Seeding if self.is_complete() => "seeding",
            State::Downloading | State::Seeding => "downloading",
            _ => "waiting",
        };
        let error = match (&self.trouble, &status.state) {
            (Some(trouble), _) => Some(trouble.clone()),
            (None, State::Failed(error)) => Some(error.to_string()),
            _ => None,
        };
        let checked = if let State::Checking { checked } = status.state { Some(checked) } else { None };
        let everything = self.plan.selection.files.is_empty();
        let (pieces_done, bytes_done) = (figures.pieces_done, figures.bytes_done);
        let wanted_done = if everything { pieces_done } else { figures.pieces_wanted_done };
        let bytes_wanted_done = if everything { bytes_done } else { figures.bytes_wanted_done };
        let (pieces, total) = (self.torrent.geometry().piece_count(), self.torrent.total_length());
        self.tell(json!({
            "event": "progress",
            "state": state,
            "pieces_checked": checked,
            "pieces_done": pieces_done,
            "pieces": pieces,
            "pieces_wanted_done": wanted_done,
            "pieces_wanted": if everything { pieces } else { figures.pieces_wanted },
            "bytes_done": bytes_done,
            "total_length": total,
            "bytes_wanted_done": bytes_wanted_done,
            "bytes_wanted": if everything { total } else { figures.bytes_wanted },
            "downloaded": figures.downloaded,
            "uploaded": figures.uploaded,
            "download_rate": figures.download_rate,
            "upload_rate": figures.upload_rate,
            "peers": figures.peers,
            "seeds": figures.seeds,
            "seconds_left": figures.time_left.map(|time| time.as_secs()),
            "error": error,
        }))
    }
}
