//! The program's handle on a session.

use super::board::Board;
use super::builder::Builder;
use super::command::{Command, Event, Selection, Spec, Status};
use super::error::Error;
use crate::disk::Files;
use crate::machine::{Events, Outbox, RecvError, SendError, TorrentId};
use crate::peer::{Limits, Source, TorrentLimits};
use crate::proto::metainfo::Metainfo;
use crate::reactor::{Running, StopError};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long dropping a session may take.
pub(super) const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// The most time that [`Session::shut_down`] keeps for its threads to end.
const THREADS_END: Duration = Duration::from_millis(250);

/// Torrents in their swarms, by the hand of a program.
///
/// Commands return at once; their answers come as [`Event`]s, each exactly once. A program that does not read events can have
/// [`Config::max_commands`](super::Config::max_commands) commands unanswered before they are refused as [`Error::Busy`].
///
/// Dropping a session that has its own threads ends everything within two seconds; [`shut_down`](Self::shut_down) says how it
/// went. Dropping one that the caller's loop drives ends nothing by itself: its torrents go on for as long as the [`Reactor`](crate::reactor::Reactor) is
/// turned. To end it in order, call [`try_shut_down`](Self::try_shut_down), turn until [`Event::ShutDown`], then drop both.
#[derive(Debug)]
pub struct Session {
    pub(super) commands: Outbox<Command>,
    pub(super) events: Events<Event>,
    pub(super) board: Board,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) state: Option<PathBuf>,
    pub(super) next_torrent: AtomicU32,
    /// Each, and whether it is that of the client of trackers.
    pub(super) threads: Vec<(Running, bool)>,
    pub(super) caller_driven: bool,
}

impl Session {
    /// Starts making a session.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// Takes a torrent in; its files are, or will be, in `root` under the torrent's name.
    ///
    /// What is on disk is checked first, and kept. Answered by [`Event::Added`] or [`Event::AddFailed`].
    pub fn add(&self, metainfo: &Metainfo, root: impl Into<PathBuf>) -> Result<TorrentId, Error> {
        self.add_with(Spec::of(metainfo, root))
    }

    /// Takes a torrent in whose files are only read: what is missing is not downloaded. Answered as [`add`](Self::add).
    pub fn add_read_only(&self, metainfo: &Metainfo, root: impl Into<PathBuf>) -> Result<TorrentId, Error> {
        self.add_with(Spec { writable: false, ..Spec::of(metainfo, root) })
    }

    /// Takes a torrent in with all that can be said about it. Answered as [`add`](Self::add).
    pub fn add_with(&self, spec: Spec) -> Result<TorrentId, Error> {
        self.send_named(spec, |torrent, spec| Command::Add { torrent, spec })
    }

    /// Sends a command about a torrent that is not in the session; gives the torrent's new name.
    fn send_named(&self, mut spec: Spec, of: fn(TorrentId, Spec) -> Command) -> Result<TorrentId, Error> {
        if let (None, Some(folder)) = (&spec.resume, &self.state) {
            spec.resume = Some(folder.join(format!("{}.resume", spec.info_hash)));
        }
        let torrent = TorrentId(self.next_torrent.fetch_add(1, Ordering::Relaxed));
        self.send(of(torrent, spec))?;
        Ok(torrent)
    }

    /// Leaves a torrent's swarm and closes its files, which stay. Answered by [`Event::Removed`] or [`Event::Refused`].
    pub fn remove(&self, torrent: TorrentId) -> Result<(), Error> {
        self.send(Command::Remove { torrent, files: Files::Keep })
    }

    /// Leaves a torrent's swarm and deletes its files, its resume data, and the folders that this leaves empty; whatever else is in
    /// them stays ([`Files::Delete`]). Answered by [`Event::Deleted`] or [`Event::Refused`].
    ///
    /// ```
    /// use bip::disk::Memory;
    /// use bip::proto::id::InfoHash;
    /// use bip::proto::metainfo::{Layout, SafePath};
    /// use bip::proto::sha1::Sha1;
    /// use bip::session::{Event, Session, Spec};
    /// use std::path::Path;
    /// use std::sync::Arc;
    /// use std::time::Duration;
    ///
    /// let path = SafePath::from_parts(["album", "song"])?;
    /// let layout = Arc::new(Layout::new(vec![(path, 5)], 16 * 1024, &[Sha1::digest(b"hello")])?);
    /// let files = Memory::new();
    /// files.put(Path::new("/music/album/song"), b"hello");
    /// files.put(Path::new("/music/album/cover"), b"not the torrent's");
    ///
    /// let session = Session::builder().file_system(Box::new(files.clone())).spawn()?;
    /// let torrent = session.add_with(Spec::new(InfoHash([1; 20]), layout, "/music"))?;
    /// session.remove_with_files(torrent)?;
    /// let deletion = loop {
    ///     match session.next_event(Duration::from_secs(10))? {
    ///         Some(Event::Deleted { deletion, .. }) => break deletion,
    ///         other => println!("{other:?}"),
    ///     }
    /// };
    /// assert_eq!((deletion.files, deletion.error), (1, None));
    /// assert_eq!(files.contents(Path::new("/music/album/song")), None);
    /// assert!(files.contents(Path::new("/music/album/cover")).is_some());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove_with_files(&self, torrent: TorrentId) -> Result<(), Error> {
        self.send(Command::Remove { torrent, files: Files::Delete })
    }

    /// Deletes what a torrent that is not in the session left: its own files, its resume data, and the folders that this leaves empty.
    /// For a torrent that could not be added, or whose files could not be deleted with it because their disk was not there
    /// ([`NoRoot`](crate::disk::Error::NoRoot)). Nothing is checked first, and whoever made the files, they go ([`Files::Delete`]): so it
    /// takes the same [`Spec`] as [`add_with`](Self::add_with). Answered by [`Event::Deleted`] or [`Event::Refused`].
    pub fn delete_files(&self, spec: Spec) -> Result<TorrentId, Error> {
        self.send_named(spec, |torrent, spec| Command::Delete { torrent, spec })
    }

    /// Closes a torrent's connections and makes no more. Answered by [`Event::Paused`] or [`Event::Refused`].
    pub fn pause(&self, torrent: TorrentId) -> Result<(), Error> {
        self.send(Command::Pause { torrent })
    }

    /// Undoes a pause, or lets a torrent that failed try again. Answered by [`Event::Resumed`] or [`Event::Refused`].
    pub fn resume(&self, torrent: TorrentId) -> Result<(), Error> {
        self.send(Command::Resume { torrent })
    }

    /// Names a peer of a torrent. Answered by [`Event::PeerAdded`] or [`Event::Refused`].
    pub fn add_peer(&self, torrent: TorrentId, address: SocketAddr) -> Result<(), Error> {
        self.add_peer_from(torrent, address, Source::Program)
    }

    /// Names a peer of a torrent that was learnt of elsewhere. Answered as [`add_peer`](Self::add_peer).
    pub fn add_peer_from(&self, torrent: TorrentId, address: SocketAddr, source: Source) -> Result<(), Error> {
        self.send(Command::AddPeer { torrent, address, source })
    }

    /// Changes the limits of all torrents together. Answered by [`Event::LimitsSet`].
    pub fn set_limits(&self, limits: Limits) -> Result<(), Error> {
        self.send(Command::SetLimits { limits })
    }

    /// Changes a torrent's own limits. Answered by [`Event::TorrentLimitsSet`] or [`Event::Refused`].
    pub fn set_torrent_limits(&self, torrent: TorrentId, limits: TorrentLimits) -> Result<(), Error> {
        self.send(Command::SetTorrentLimits { torrent, limits })
    }

    /// Changes which files are wanted, and in which order. Answered by [`Event::Selected`] or [`Event::Refused`].
    pub fn select(&self, torrent: TorrentId, selection: Selection) -> Result<(), Error> {
        self.send(Command::Select { torrent, selection })
    }

    /// Bans an IP address in all torrents, or lets it in again. Answered by [`Event::BanSet`] or [`Event::BanRefused`].
    pub fn ban(&self, ip: IpAddr, banned: bool) -> Result<(), Error> {
        self.send(Command::Ban { ip, banned })
    }

    fn send(&self, command: Command) -> Result<(), Error> {
        self.commands.send(command).map_err(|e| match e {
            SendError::Busy(_) => Error::Busy,
            SendError::Closed(_) => Error::Closed,
        })
    }

    /// Gives the next event, or `None` when there is none now.
    pub fn try_event(&self) -> Result<Option<Event>, Error> {
        match self.events.try_next() {
            Ok(event) => Ok(Some(event)),
            Err(RecvError::Empty) => Ok(None),
            Err(RecvError::Closed) => Err(Error::Closed),
        }
    }

    /// Waits for the next event, for at most that long.
    pub fn next_event(&self, timeout: Duration) -> Result<Option<Event>, Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        match self.events.next_timeout(timeout) {
            Ok(event) => Ok(Some(event)),
            Err(RecvError::Empty) => Ok(None),
            Err(RecvError::Closed) => Err(Error::Closed),
        }
    }

    /// Gives how many notices were dropped since the last call because they were not read in time. Answers never are.
    pub fn missed_notices(&self) -> usize {
        self.events.missed()
    }

    /// Gives a torrent's status as last published: at least once a second while something changes.
    pub fn status(&self, torrent: TorrentId) -> Option<Arc<Status>> {
        self.board.status(torrent)
    }

    /// Gives every torrent's status.
    pub fn statuses(&self) -> Vec<Arc<Status>> {
        self.board.statuses()
    }

    /// Gives the addresses at which peers are accepted, with the ports that were taken.
    pub fn listen_addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Asks every torrent to end, without waiting. Answered by [`Event::ShutDown`], for which trackers may keep it waiting for
    /// [`client::Config::stop_timeout`](crate::tracker::client::Config::stop_timeout).
    pub fn try_shut_down(&self) -> Result<(), Error> {
        self.send(Command::ShutDown)
    }

    /// Ends every torrent, writing what came in, and stops the session's threads, all within `deadline`.
    ///
    /// # Errors
    ///
    /// [`Error::TimedOut`] when it took longer and was cut short: what was verified is on disk all the same.
    /// [`Error::WouldDeadlock`] when the caller's loop drives the session: use [`try_shut_down`](Self::try_shut_down) and turn
    /// on until [`Event::ShutDown`].
    pub fn shut_down(mut self, deadline: Duration) -> Result<(), Error> {
        if self.caller_driven {
            return Err(Error::WouldDeadlock);
        }
        self.end(deadline)
    }

    #[allow(clippy::disallowed_methods)] // A blocking call measures how long it has blocked.
    fn end(&mut self, deadline: Duration) -> Result<(), Error> {
        let begin = Instant::now();
        let left = || deadline.saturating_sub(begin.elapsed());
        // Part of the time is for the threads to end.
        let reserve = (deadline / 8).min(THREADS_END);
        let mut result = Ok(());
        // Trackers that take no `stopped` are no reason to be late: half of the time is for all else.
        let _ = self.commands.post(Command::StopWithin { time: deadline / 2 });
        // A session whose program never read an event may have no credit left for this command: read until it has.
        let mut asked = self.try_shut_down();
        loop {
            match self.events.next_timeout(left().saturating_sub(reserve)) {
                Ok(Event::ShutDown) => break,
                Ok(_) if matches!(asked, Err(Error::Busy)) => asked = self.try_shut_down(),
                Ok(_) => {}
                Err(RecvError::Closed) => break,
                Err(RecvError::Empty) => {
                    result = Err(Error::TimedOut);
                    break;
                }
            }
        }
        for (thread, is_trackers) in self.threads.drain(..) {
            // What trackers still keep waiting at the end keeps nobody else.
            let stopped = thread.stop(if is_trackers { left().min(THREADS_END) } else { left() });
            if let (Err(StopError::JobsLeft { .. }), true) = (&stopped, is_trackers) {
                // Names and HTTP requests that are still under way, which nobody can hurry, are of no use to anybody.
                continue;
            }
            if let Err(error) = stopped {
                log::warn!(target: "bip::session", "a thread of the session ended badly: {error}");
                let late = matches!(error, StopError::TimedOut | StopError::JobsLeft { .. });
                result = result.and(Err(if late { Error::TimedOut } else { Error::Closed }));
            }
        }
        result
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            if let Err(error) = self.end(DROP_DEADLINE) {
                log::warn!(target: "bip::session", "dropped: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Host, Input, Instant as Now, Machine, NoJobs, Output, mailbox};

    /// A machine that panics when it is told anything.
    struct Fragile;

    impl Machine for Fragile {
        type Command = ();
        type Event = ();
        type Job = NoJobs;
        type Done = NoJobs;

        fn handle_command(&mut self, _: Now, (): ()) {
            panic!("as it was made to");
        }

        fn handle_input(&mut self, _: Now, _: Input<'_, NoJobs>) {}

        fn handle_timeout(&mut self, _: Now) {}

        fn poll_event(&mut self) -> Option<()> {
            None
        }

        fn poll_output(&mut self, _: &mut Vec<u8>) -> Option<Output<NoJobs>> {
            None
        }

        fn poll_timeout(&self) -> Option<Now> {
            None
        }
    }

    #[test]
    fn a_panic_in_any_subsystem_ends_the_sessions_events_and_is_no_hang() {
        for place in 0..3 {
            let mut fragile = None;
            let session = Session::builder()
                .spawn_with(|reactors| {
                    let (outbox, inbox) = mailbox(1, reactors[place].doorbell());
                    reactors[place].host(Fragile, inbox, Box::new(|()| {}), None);
                    fragile = Some(outbox);
                })
                .unwrap();
            assert!(matches!(session.next_event(Duration::ZERO), Ok(None)));
            fragile.expect("it was just made").send(()).unwrap();
            let end = (0..600).find_map(|_| session.next_event(Duration::from_millis(100)).err());
            assert!(matches!(end, Some(Error::Closed)), "{end:?}");
            assert!(matches!(session.shut_down(Duration::from_secs(10)), Err(Error::Closed)));
        }
    }
}
