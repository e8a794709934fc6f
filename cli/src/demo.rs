//! `bip demo`: a whole swarm on loopback, in one process.

use crate::args::Demo;
use crate::batch::{SHUT_DOWN, session_failure};
use crate::output::{Failure, Output, Progress, bytes, counted, disk_failure, rate, reason, task_failure};
use crate::signal::Signals;
use bip::machine::{Rng, TorrentId};
use bip::peer;
use bip::proto::geometry::Geometry;
use bip::proto::metainfo::{Limits, Metainfo};
use bip::session::tracker_server::TrackerServer;
use bip::session::{self, Event, Session};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const NAME: &str = "demo.bin";
const TICK: Duration = Duration::from_millis(20);
/// How long nothing may arrive at all before the demo says that something is wrong.
const STALLED: Duration = Duration::from_secs(60);
/// How long the seeder may take to tell the tracker of itself.
const ANNOUNCED: Duration = Duration::from_secs(10);
/// How long the last figures may take.
const SETTLE: Duration = Duration::from_millis(1_500);
/// How long the members may take to end after a signal: what they have is thrown away, which takes time too.
const INTERRUPTED: Duration = Duration::from_millis(500);
const CHUNK: usize = 1 << 20;

pub(crate) fn run(args: &Demo, output: &Output) -> Result<(), Failure> {
    // No second signal ends it on the spot: the folder is to be removed.
    let signals = Signals::install(false)?;
    let folder = Folder::make()?;
    let result = Swarm { args, output, signals: &signals, folder: &folder.0 }.run();
    let removed = folder.remove();
    result.and(removed)
}

/// A temporary folder that goes away with this.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let base = std::env::temp_dir();
        let fail = |path: &Path, error: &io::Error| Failure::new(path.display(), reason(error));
        for number in 0..1_000 {
            let path = base.join(format!("bip-demo-{}-{number}", std::process::id()));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(fail(&path, &error)),
            }
        }
        Err(Failure::new(base.display(), "too many folders of earlier demos"))
    }

    fn remove(self) -> Result<(), Failure> {
        let path = self.0.clone();
        std::mem::forget(self);
        fs::remove_dir_all(&path).map_err(|error| Failure::new(path.display(), reason(&error)))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Only after a panic: otherwise `remove` told how it went.
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Swarm<'a> {
    args: &'a Demo,
    output: &'a Output,
    signals: &'a Signals,
    folder: &'a Path,
}

/// One member of the swarm.
struct Member {
    name: String,
    session: Session,
    torrent: TorrentId,
    folder: PathBuf,
    progress: Option<Progress>,
    /// Bytes of pieces that came, as far as this was told.
    came: u64,
    took: Option<Duration>,
}

impl Swarm<'_> {
    fn check_signal(&self) -> Result<(), Failure> {
        if self.signals.is_asked() { Err(Failure::Interrupted) } else { Ok(()) }
    }

    fn run(&self) -> Result<(), Failure> {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // It is there until the last member has told it that it goes.
        let tracker = TrackerServer::builder().udp(at).spawn();
        let tracker = tracker.map_err(|error| Failure::new("the tracker", error))?;
        let url = tracker.udp().first().map(|address| format!("udp://{address}/announce"));
        let url = url.ok_or_else(|| Failure::new("the tracker", "does not listen"))?;
        let mut members = Vec::new();
        let result = self.play(&url, &mut members);
        // All at once, so that many members end as fast as one.
        for member in &members {
            if let Err(error) = member.session.try_shut_down() {
                log::debug!(target: "bip::demo", "{}: {error}", member.name);
            }
        }
        let until = Instant::now() + if self.signals.is_asked() { INTERRUPTED } else { SHUT_DOWN };
        for member in members {
            // The files are compared and about to be removed: how the end went is of no interest to the user.
            if let Err(error) = member.session.shut_down(until.saturating_duration_since(Instant::now())) {
                log::debug!(target: "bip::demo", "{}: {error}", member.name);
            }
        }
        result
    }

    /// Plays it all; `members` are those that are to be shut down, the seeder first.
    fn play(&self, url: &str, members: &mut Vec<Member>) -> Result<(), Failure> {
        let size = self.args.size;
        let count = usize::from(self.args.leechers);
        self.output.line(format_args!(
            "A swarm on loopback: 1 tracker, 1 seeder, {}, a file of {}, all in this process.",
            counted(count as u64, "leecher"),
            bytes(size)
        ))?;

        let source = self.folder.join("seeder");
        self.make_file(&source)?;
        let torrent = self.make_torrent(&source, url)?;
        let pieces = torrent.geometry().piece_count();
        let length = u64::from(torrent.geometry().piece_length());
        self.output.line(format_args!(
            "Torrent {}: {} of {}, tracker {url}.",
            torrent.info_hash(),
            counted(pieces.into(), "piece"),
            bytes(length)
        ))?;

        let seeder = self.join("seeder", &torrent, source, true)?;
        self.wait_announced(&seeder)?;
        members.push(seeder);
        // From here on all that anybody knows of the others is from the tracker.
        let started = Instant::now();
        for number in 1..=count {
            let folder = self.folder.join(format!("leecher-{number}"));
            fs::create_dir(&folder).map_err(|error| Failure::new(folder.display(), reason(&error)))?;
            members.push(self.join(&format!("leecher {number}"), &torrent, folder, false)?);
        }
        let Some((seeder, leechers)) = members.split_first_mut() else { return Ok(()) };
        self.watch(seeder, leechers, started, torrent.geometry())?;
        let took = started.elapsed();
        leechers.iter_mut().for_each(|leecher| leecher.progress = None);
        for leecher in &*leechers {
            self.compare(&seeder.folder, &leecher.folder)?;
        }
        self.settle(seeder, leechers)?;
        self.tell(seeder, leechers, took)
    }

    fn make_file(&self, folder: &Path) -> Result<(), Failure> {
        let path = folder.join(NAME);
        let fail = |error: io::Error| Failure::new(path.display(), reason(&error));
        fs::create_dir(folder).map_err(|error| Failure::new(folder.display(), reason(&error)))?;
        let mut file = File::create_new(&path).map_err(fail)?;
        let mut progress = self.output.progress("making", self.args.size);
        let seed = bip::reactor::entropy::seed().map_err(|error| Failure::new("random bytes", reason(&error)))?;
        let mut rng = Rng::new(seed);
        let mut chunk = vec![0; CHUNK];
        let mut done = 0;
        while done < self.args.size {
            self.check_signal()?;
            let length = (self.args.size - done).min(CHUNK as u64);
            for word in chunk.chunks_exact_mut(8) {
                word.copy_from_slice(&rng.next_u64().to_le_bytes());
            }
            // Not more than the chunk's length, so it fits.
            file.write_all(&chunk[..length as usize]).map_err(fail)?;
            done += length;
            progress.set(done, "");
        }
        Ok(())
    }

    fn make_torrent(&self, folder: &Path, tracker: &str) -> Result<Metainfo, Failure> {
        let mut progress = self.output.progress("hashing", self.args.size);
        let mut options = session::CreateOptions::default();
        options.trackers = vec![vec![tracker.to_owned()]];
        let created = session::create(&folder.join(NAME), options, crate::threads(), |news| {
            progress.set(news.done, "");
            if self.signals.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let created = created.map_err(|error| task_failure("hashing", error))?;
        Metainfo::parse(&created.metainfo, &Limits::default()).map_err(|error| Failure::new("the torrent", error))
    }

    /// Starts a member and waits until its files are checked.
    fn join(&self, name: &str, torrent: &Metainfo, folder: PathBuf, seeds: bool) -> Result<Member, Failure> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // Everybody serves everybody, and meets all at once.
        let others = usize::from(self.args.leechers);
        let limits = peer::Limits {
            upload_slots: others,
            max_dials: others,
            dials_per_second: 1_000,
            ..peer::Limits::default()
        };
        let peer = peer::Config { limits, ..peer::Config::default() };
        let config = session::Config { peer, ..session::Config::default() };
        // All members share the processors: one disk thread each.
        let builder = Session::builder().config(config).hosting(session::Hosting::Together).listen(any).job_threads(1);
        let session = builder.spawn().map_err(session_failure)?;
        let added = if seeds { session.add_read_only(torrent, &folder) } else { session.add(torrent, &folder) };
        let id = added.map_err(session_failure)?;
        loop {
            self.check_signal()?;
            match session.next_event(TICK).map_err(session_failure)? {
                Some(Event::Added { .. }) => break,
                Some(Event::AddFailed { error, .. }) => return Err(Failure::new(name, error)),
                _ => {}
            }
        }
        let progress = (!seeds).then(|| self.output.progress(name, self.args.size));
        Ok(Member { name: name.to_owned(), session, torrent: id, folder, progress, came: 0, took: None })
    }

    /// Waits until the tracker knows the seeder: whoever asks it after that is told of it.
    fn wait_announced(&self, seeder: &Member) -> Result<(), Failure> {
        let until = Instant::now() + ANNOUNCED;
        while Instant::now() < until {
            self.check_signal()?;
            match seeder.session.next_event(TICK).map_err(session_failure)? {
                Some(Event::Tracker { status, .. }) => match status.error {
                    None => return Ok(()),
                    Some(error) => return Err(Failure::new("the tracker", error)),
                },
                Some(Event::Failed { error, .. }) => return Err(disk_failure(&seeder.name, &error)),
                _ => {}
            }
        }
        Err(Failure::new("the tracker", format_args!("did not answer the seeder in {} s", ANNOUNCED.as_secs())))
    }

    fn watch(
        &self,
        seeder: &Member,
        leechers: &mut [Member],
        started: Instant,
        geometry: Geometry,
    ) -> Result<(), Failure> {
        let size = self.args.size;
        let mut last = (0, Instant::now());
        while leechers.iter().any(|leecher| leecher.took.is_none()) {
            self.check_signal()?;
            let mut sum = 0;
            // The first unfinished one is waited for, so that nothing spins.
            let mut waited = false;
            // The seeder's events are only taken out of the way.
            while let Some(event) = seeder.session.try_event().map_err(session_failure)? {
                if let Event::Failed { error, .. } = event {
                    return Err(disk_failure(&seeder.name, &error));
                }
            }
            for leecher in leechers.iter_mut() {
                let wait =
                    if leecher.took.is_none() && !std::mem::replace(&mut waited, true) { TICK } else { Duration::ZERO };
                leecher.take_events(wait, started, geometry)?;
                let status = leecher.session.status(leecher.torrent);
                let figures = status.map(|status| status.swarm.clone()).unwrap_or_default();
                // The status is up to a second old, and notices can be missed: whichever knows more.
                let done = leecher.came.max(figures.bytes_done);
                sum += done;
                if let Some(progress) = &mut leecher.progress {
                    match leecher.took {
                        Some(took) => progress.set(size, &format!("{:.1} s", took.as_secs_f64())),
                        None => progress.set(done, &per_second(done, started.elapsed())),
                    }
                }
            }
            if sum != last.0 {
                last = (sum, Instant::now());
            } else if last.1.elapsed() > STALLED {
                return Err(Failure::new("demo", format_args!("nothing arrived for {} s", STALLED.as_secs())));
            }
        }
        Ok(())
    }

    /// Compares every byte of a leecher's file with the seeder's.
    fn compare(&self, one: &Path, other: &Path) -> Result<(), Failure> {
        let path = other.join(NAME);
        let open = |path: &Path| File::open(path).map_err(|error| Failure::new(path.display(), reason(&error)));
        let mut files = [open(&one.join(NAME))?, open(&path)?];
        let mut chunks = [vec![0; CHUNK], vec![0; CHUNK]];
        let mut at: u64 = 0;
        loop {
            self.check_signal()?;
            let mut lengths = [0; 2];
            for ((file, chunk), length) in files.iter_mut().zip(&mut chunks).zip(&mut lengths) {
                *length = fill(file, chunk).map_err(|error| Failure::new(path.display(), reason(&error)))?;
            }
            if chunks[0][..lengths[0]] != chunks[1][..lengths[1]] {
                return Err(Failure::new(
                    path.display(),
                    format_args!("differs from the seeder's file after byte {at}"),
                ));
            }
            at += lengths[0] as u64;
            if lengths[0] < CHUNK {
                break;
            }
        }
        if at == self.args.size {
            Ok(())
        } else {
            Err(Failure::new(path.display(), format_args!("{at} bytes instead of {}", self.args.size)))
        }
    }

    /// Waits until the members' figures, which are published once a second, know of everything that was sent.
    fn settle(&self, seeder: &Member, leechers: &[Member]) -> Result<(), Failure> {
        let all = self.args.size.saturating_mul(leechers.len() as u64);
        let until = Instant::now() + SETTLE;
        loop {
            let sent: u64 = leechers.iter().chain([seeder]).map(Member::uploaded).sum();
            if sent >= all || Instant::now() >= until {
                return Ok(());
            }
            self.check_signal()?;
            // Its events are of no interest any more; waiting for them passes the time.
            seeder.session.next_event(TICK).map_err(session_failure)?;
        }
    }

    fn tell(&self, seeder: &Member, leechers: &[Member], took: Duration) -> Result<(), Failure> {
        let size = self.args.size;
        let line = |name: &str, got: &str, sent: u64| {
            self.output.line(format_args!("{name:<12} {got:<36} sent {}", bytes(sent)))
        };
        line(&seeder.name, "", seeder.uploaded())?;
        for leecher in leechers {
            let time = leecher.took.unwrap_or(took);
            let got = format!("{} in {:.2} s, {}", bytes(size), time.as_secs_f64(), per_second(size, time));
            line(&leecher.name, &got, leecher.uploaded())?;
        }
        let total = size.saturating_mul(leechers.len() as u64);
        self.output.line(format_args!(
            "Every byte compared and right: {} moved in {:.2} s, {} in all.",
            bytes(total),
            took.as_secs_f64(),
            per_second(total, took)
        ))
    }
}

impl Member {
    fn uploaded(&self) -> u64 {
        self.session.status(self.torrent).map_or(0, |status| status.swarm.uploaded)
    }

    fn take_events(&mut self, wait: Duration, started: Instant, geometry: Geometry) -> Result<(), Failure> {
        let mut event = self.session.next_event(wait).map_err(session_failure)?;
        while let Some(now) = event {
            match now {
                Event::PieceDone { piece, .. } => self.came += u64::from(geometry.length_of(piece)),
                Event::Completed { .. } => self.took = Some(started.elapsed()),
                Event::Failed { error, .. } => return Err(disk_failure(&self.name, &error)),
                _ => {}
            }
            event = self.session.try_event().map_err(session_failure)?;
        }
        Ok(())
    }
}

fn per_second(bytes: u64, time: Duration) -> String {
    rate((bytes as f64 / time.as_secs_f64().max(1e-6)) as u64)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buf: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buf.len() {
        match file.read(&mut buf[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
