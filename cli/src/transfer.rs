//! One torrent of `bip get` or `bip seed`.

mod telling;

use crate::batch::{Goal, Plan};
use crate::output::{Failure, Output, Progress, bytes, counted, files_failure, percent, printable, rate, time};
use crate::torrent::{self, Named};
use crate::wanted::Wanted;
use bip::disk::{self, Checked};
use bip::machine::TorrentId;
use bip::proto::metainfo::Metainfo;
use bip::session::{AddError, Event, Session, State, Status};
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often `--json` tells of progress.
const JSON_INTERVAL: Duration = Duration::from_secs(1);

/// How long a torrent must be without the disk's error, if nothing was written meanwhile, for the error to have passed.
const CALM: Duration = Duration::from_secs(5);

/// Whether there are peers, as far as the user needs to be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Nobody,
    Somebody,
    /// That all are gone was told.
    Told,
}

/// Where a torrent stands.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// What was there is being verified: so many pieces were looked at.
    Checking(u32),
    /// In its swarm, with something wanted missing.
    Downloading,
    /// In its swarm, with all that is wanted.
    Complete,
    /// Given up; why was told.
    Failed,
}

/// A torrent on its way, and what the user was told of it.
pub(crate) struct Transfer<'a> {
    output: &'a Output,
    plan: &'a Plan<'a>,
    torrent: &'a Metainfo,
    wanted: Wanted,
    /// What it is called in messages.
    name: &'a str,
    session: &'a Session,
    id: TorrentId,
    started: Instant,
    progress: Option<Progress>,
    phase: Phase,
    /// Pieces that were there, once that is known.
    checked: Option<u32>,
    /// Whether that was remembered, and only a sample verified.
    sampled: bool,
    /// Pieces that came since, as far as this was told.
    came: u32,
    /// Pieces that were there and are no more, as far as this was told.
    lost: u32,
    /// The disk's error that is being waited out.
    trouble: Option<String>,
    /// Since when the torrent has been tried again after that.
    calm: Option<Instant>,
    /// What was told of trackers: of each its error and its words.
    trackers: Vec<(String, Option<String>, Option<String>)>,
    /// What was told of what needs no waiting.
    remarks: Vec<String>,
    met: Met,
    /// When JSON is to tell of progress next.
    due: Instant,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(
        plan: &'a Plan<'a>,
        named: &'a Named,
        session: &'a Session,
        id: TorrentId,
        output: &'a Output,
    ) -> Self {
        let total = named.torrent.total_length();
        let progress = match plan.torrents.len() {
            1 => Some(output.progress("checking", total)),
            2..=Plan::MOST_BARS => Some(output.progress_of(&named.torrent.name(), "checking", total)),
            _ => None,
        };
        Self {
            output,
            plan,
            torrent: &named.torrent,
            wanted: Wanted::of(&named.torrent, &plan.selection.files),
            name: &named.name,
            session,
            id,
            started: plan.started,
            progress,
            phase: Phase::Checking(0),
            checked: None,
            sampled: false,
            came: 0,
            lost: 0,
            trouble: None,
            calm: None,
            trackers: Vec::new(),
            remarks: Vec::new(),
            met: Met::Nobody,
            due: plan.started + JSON_INTERVAL,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.name
    }

    /// Gives how many bytes are wanted.
    pub(crate) fn length(&self) -> u64 {
        self.wanted.length
    }

    pub(crate) fn is_checked(&self) -> bool {
        !matches!(self.phase, Phase::Checking(_))
    }

    pub(crate) fn is_complete(&self) -> bool {
        self.phase == Phase::Complete
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// Says whether nothing more is awaited of it.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_complete() || self.is_failed()
    }

    /// Gives the disk's error that is being waited out.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Says whether somebody may come: to what is not complete, or is to be seeded.
    pub(crate) fn welcomes(&self) -> bool {
        let all = self.checked == Some(self.torrent.geometry().piece_count());
        let done = all && self.plan.goal.ends_when_complete();
        !self.is_failed() && !done
    }

    /// Takes an event about this torrent.
    pub(crate) fn on_event(&mut self, event: Event) -> Result<(), Failure> {
        if self.is_failed() {
            return Ok(());
        }
        match event {
            Event::Checking { checked, pieces, .. } if !self.is_checked() => {
                self.phase = Phase::Checking(checked);
                let done = u64::from(checked) * self.torrent.total_length() / u64::from(pieces.max(1));
                if let Some(progress) = &mut self.progress {
                    progress.set(done, "");
                }
            }
            Event::Added { pieces_done, oddities, checked, .. } => {
                oddities.iter().for_each(|oddity| self.tell_oddity(oddity));
                self.sampled = checked == Checked::Sampled;
                self.on_checked(pieces_done)?;
            }
            Event::AddFailed { error: AddError::Disk(error), .. } => {
                self.give_up(files_failure(self.name, self.plan.dir, &error))?;
            }
            Event::AddFailed { error, .. } => self.give_up(Failure::new(self.name, error))?,
            Event::Completed { .. } => self.on_complete()?,
            Event::Failed { error, .. } => self.on_disk_error(&error)?,
            Event::Refused { refusal, .. } if self.checked.is_some() => self.output.note(self.name, refusal),
            // A peer named to a torrent that could not be added, which is told next.
            Event::Refused { refusal, .. } => log::debug!(target: "bip::get", "{refusal}"),
            Event::PeerBanned { ip, piece, .. } => {
                self.output.note(self.name, format_args!("{ip} sent wrong bytes, in piece {piece}, and is banned"));
            }
            Event::PeerConnected { address, .. } => log::info!(target: "bip::peer", "{address} is connected"),
            Event::PieceDone { .. } => {
                self.came = self.came.saturating_add(1);
                // Before it is tried again, this is of a piece that was written before the error.
                if self.trouble.is_some() && !self.is_stopped() {
                    self.recover()?;
                }
            }
            Event::PieceLost { .. } => self.on_lost(),
            Event::ReadFailed { error, .. } => {
                self.remark(files_failure(self.name, self.plan.dir, &error).text());
            }
            Event::Tracker { status, .. } => self.on_tracker(&status)?,
            Event::ResumeNotSaved { error, .. } => {
                self.remark(format!("what was verified cannot be remembered: {error}; it is tried again"));
            }
            _ => {}
        }
        Ok(())
    }

    fn on_lost(&mut self) {
        self.lost = self.lost.saturating_add(1);
        if self.plan.goal == Goal::Seed {
            return self.remark("some of its files are not what they were; what is left is offered".to_owned());
        }
        self.remark("some of its files are not what they were; what is missing is downloaded again".to_owned());
        if self.is_complete() {
            self.phase = Phase::Downloading;
            self.turn("downloading");
        }
    }

    fn on_checked(&mut self, pieces_done: u32) -> Result<(), Failure> {
        let pieces = self.torrent.geometry().piece_count();
        let missing = pieces - pieces_done;
        self.checked = Some(pieces_done);
        self.phase = Phase::Downloading;
        self.due = Instant::now();
        if self.plan.goal == Goal::Seed && missing > 0 {
            let there = percent(pieces_done.into(), pieces.into());
            let pieces = counted(pieces.into(), "piece");
            let place = self.plan.dir.join(self.torrent.layout().name());
            let why = format!(
                "{missing} of {pieces} missing or bad, {there}% is there: \
                 `bip verify` says which, `bip get` downloads them"
            );
            return self.give_up(Failure::new(place.display(), why));
        }
        self.turn(if missing == 0 { "seeding" } else { "downloading" });
        Ok(())
    }

    fn turn(&mut self, what: &str) {
        if let Some(progress) = &mut self.progress {
            progress.turn(what, self.wanted.length);
        }
    }

    fn on_complete(&mut self) -> Result<(), Failure> {
        self.recover()?;
        if self.is_settled() {
            return Ok(());
        }
        self.phase = Phase::Complete;
        self.turn("seeding");
        if self.plan.goal == Goal::Seed {
            return Ok(());
        }
        let already = self.came == 0;
        let took = self.started.elapsed();
        let place = self.plan.dir.join(self.torrent.layout().name());
        let (wanted, total) = (self.wanted, self.torrent.layout().content_length());
        if self.output.is_json() {
            return self.tell(json!({
                "event": "completed",
                "path": place.to_string_lossy(),
                "pieces": self.torrent.geometry().piece_count(),
                "total_length": total,
                "files": torrent::file_count(self.torrent),
                "files_wanted": wanted.files,
                "length_wanted": wanted.length,
                "already": already,
                "seconds": took.as_secs_f64(),
            }));
        }
        let place = printable(&place.to_string_lossy());
        let what = if self.plan.selection.files.is_empty() {
            bytes(total)
        } else {
            let files = counted(torrent::file_count(self.torrent) as u64, "file");
            format!("{} of {files}, {} of {}", wanted.files, bytes(wanted.length), bytes(total))
        };
        if already {
            self.output.line(format_args!("complete already: {place} ({what})"))
        } else {
            self.output.line(format_args!("complete: {place} ({what} in {:.1} s)", took.as_secs_f64()))
        }
    }

    /// What waiting does not cure ends the torrent; otherwise the library tries again by itself.
    fn on_disk_error(&mut self, error: &disk::Error) -> Result<(), Failure> {
        let failure = files_failure(self.name, self.plan.dir, error);
        if self.is_complete() && self.plan.goal.ends_when_complete() {
            // All was verified and saved; only the others that are still being downloaded keep it from ending.
            self.output.note(self.name, format_args!("is not seeded any more: {}", failure.text()));
            return Ok(());
        }
        if !may_pass(error) {
            let failure = if self.checked.is_some() { failure.and(self.verified()) } else { failure };
            return self.give_up(failure);
        }
        self.calm = None;
        let text = failure.text();
        if self.trouble.as_ref() == Some(&text) {
            return Ok(());
        }
        if self.output.is_json() {
            self.tell(json!({ "event": "error", "error": text, "fatal": false }))?;
        }
        self.output.fail(&failure.and("waiting until that has passed"));
        self.trouble = Some(text);
        Ok(())
    }

    /// Says whether the disk's error stops the torrent now; the library tries it again by itself.
    fn is_stopped(&self) -> bool {
        self.status().is_some_and(|status| matches!(status.state, State::Failed(_)))
    }

    /// Looks whether the disk's error has not come back although it was tried again.
    fn look_after_trouble(&mut self) -> Result<(), Failure> {
        if self.trouble.is_none() || self.is_stopped() {
            self.calm = None;
            return Ok(());
        }
        let since = *self.calm.get_or_insert_with(Instant::now);
        if since.elapsed() >= CALM { self.recover() } else { Ok(()) }
    }

    fn recover(&mut self) -> Result<(), Failure> {
        if self.trouble.take().is_none() {
            return Ok(());
        }
        self.output.note(self.name, "the error has passed; it goes on");
        if self.output.is_json() { self.tell(json!({ "event": "recovered" })) } else { Ok(()) }
    }

    /// Ends it with a reason, which is told.
    pub(crate) fn give_up(&mut self, failure: Failure) -> Result<(), Failure> {
        if self.is_failed() {
            return Ok(());
        }
        self.output.fail(&failure);
        let text = failure.text();
        self.phase = Phase::Failed;
        self.progress = None;
        // One that could not be added is gone already, and at the end all are: then it is refused, which is of no interest.
        if let Err(error) = self.session.remove(self.id) {
            log::debug!(target: "bip::get", "{}: removing: {error}", self.name);
        }
        if self.output.is_json() {
            self.tell(json!({ "event": "error", "error": text, "fatal": true }))?;
        }
        Ok(())
    }

    pub(crate) fn status(&self) -> Option<Arc<Status>> {
        self.session.status(self.id)
    }

    /// Gives the pieces that are verified. The status is up to a second old, and notices can be missed: whichever knows more.
    fn pieces_done(&self) -> u32 {
        let pieces = self.torrent.geometry().piece_count();
        let published = self.status().map_or(0, |status| status.swarm.pieces_done);
        let told = self.checked.map_or(0, |checked| checked.saturating_add(self.came).saturating_sub(self.lost));
        if self.is_complete() && self.plan.selection.files.is_empty() {
            pieces
        } else {
            published.max(told).min(pieces)
        }
    }

    /// Says in words what is verified.
    pub(crate) fn verified(&self) -> String {
        if self.checked.is_none() {
            return "what was there was not all checked yet; it stays".to_owned();
        }
        let count = self.torrent.geometry().piece_count();
        let pieces = counted(count.into(), "piece");
        let done = self.pieces_done();
        let verbs = if done == 1 || count == 1 { "is verified and stays" } else { "are verified and stay" };
        format!("{done} of {pieces} {verbs}")
    }

    /// Gives the bytes that are wanted and verified, as the status has it.
    fn bytes_done(&self, status: &Status) -> u64 {
        if self.is_complete() {
            return self.wanted.length;
        }
        let figures = &status.swarm;
        let everything = self.plan.selection.files.is_empty();
        let done = if everything { figures.bytes_done } else { figures.bytes_wanted_done };
        done.min(self.wanted.length)
    }

    /// Shows how it fares, all of it as one status has it: figures of two would not fit each other. Gives what is done, in bytes.
    pub(crate) fn show(&mut self, status: &Status) -> Result<u64, Failure> {
        if self.is_failed() {
            return Ok(0);
        }
        if self.is_checked() {
            self.look_after_trouble()?;
            self.show_swarm(status)?;
        }
        // Status and events come by different ways: what was not told yet waits for the next look, a moment later.
        let agree = self.is_checked() != matches!(status.state, State::Checking { .. });
        if self.output.is_json() && agree && Instant::now() >= self.due {
            let now = Instant::now();
            self.due += JSON_INTERVAL;
            if self.due <= now {
                // Held up: what was missed is not told afterwards.
                self.due = now + JSON_INTERVAL;
            }
            self.tell_progress(status)?;
        }
        Ok(if self.is_checked() { self.bytes_done(status) } else { 0 })
    }

    fn show_swarm(&mut self, status: &Status) -> Result<(), Failure> {
        let figures = &status.swarm;
        self.met = match (self.met, figures.peers) {
            (Met::Nobody, 1..) => Met::Somebody,
            (Met::Somebody, 0) if status.state == State::Downloading && !self.is_complete() => {
                self.output.note(self.name, "all peers are gone; waiting for one to come back");
                Met::Told
            }
            (met, _) => met,
        };
        let done = self.bytes_done(status);
        let seeding = self.is_complete() || status.state == State::Seeding;
        if seeding && !self.is_complete() {
            // All is there, and is being brought to the medium.
            self.turn("saving");
        }
        let total = self.wanted.length;
        let Some(progress) = &mut self.progress else { return Ok(()) };
        let peers = peers(figures.peers);
        let remark = if let Some(error) = &self.trouble {
            error.clone()
        } else if seeding {
            format!("{} up, {} sent, {peers}", rate(figures.upload_rate), bytes(figures.uploaded))
        } else {
            let left = figures.time_left.map(|left| format!(", {} left", time(left)));
            format!("{}{}, {peers}", rate(figures.download_rate), left.unwrap_or_default())
        };
        progress.set(if seeding { total } else { done }, &remark);
        Ok(())
    }
}

/// Gives a number of peers in words.
pub(crate) fn peers(count: u32) -> String {
    if count == 0 { "no peers".to_owned() } else { counted(count.into(), "peer") }
}

/// Says whether an error of the disk can pass without anybody changing what was asked for: a full disk gets room, a cable is
/// plugged in again. A path that may not be written, or is none, stays so.
fn may_pass(error: &disk::Error) -> bool {
    use io::ErrorKind as Kind;
    let disk::Error::Io { kind, .. } = error else { return false };
    !matches!(
        kind,
        Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::AlreadyExists
            | Kind::InvalidInput
            | Kind::InvalidData
            | Kind::FileTooLarge
            | Kind::Unsupported
    )
}
