//! Whole sessions on real loopback sockets and real files, in both hostings.

use bip::disk::{Memory, Operation};
use bip::machine::TorrentId;
use bip::proto::metainfo::{Builder, Limits, Metainfo};
use bip::proto::sha1::Sha1;
use bip::session::{Error, Event, Session, State};
use std::io::Read as _;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const LOOPBACK: &str = "127.0.0.1:0";
/// A guard against hanging, never a measure.
const HANG: Duration = Duration::from_secs(60);

/// A folder that goes away with its owner.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("bip-it-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A torrent of one file, and the bytes.
fn torrent(length: usize) -> (Metainfo, Vec<u8>) {
    let bytes: Vec<u8> = (0..length as u64).map(|i| (i.wrapping_mul(6_364_136_223_846_793_005) >> 33) as u8).collect();
    let file = Builder::single_file("file.bin", length as u64)
        .piece_length(64 * 1024)
        .piece_hashes(bytes.chunks(64 * 1024).map(Sha1::digest))
        .build()
        .unwrap();
    (Metainfo::parse(&file, &Limits::default()).unwrap(), bytes)
}

fn seed_folder(bytes: &[u8]) -> Folder {
    let folder = Folder::new();
    std::fs::write(folder.path().join("file.bin"), bytes).unwrap();
    folder
}

fn wait(session: &Session, mut done: impl FnMut(&Event) -> bool) -> Event {
    let start = Instant::now();
    while start.elapsed() < HANG {
        if let Some(event) = session.next_event(Duration::from_millis(200)).unwrap() {
            if done(&event) {
                return event;
            }
        }
    }
    panic!("it hangs: {:?}", session.statuses());
}

#[test]
fn a_torrent_goes_from_session_to_session_with_a_thread_for_each_subsystem() {
    let (metainfo, bytes) = torrent(3_000_001);
    let (from, to) = (seed_folder(&bytes), Folder::new());
    let seeder = Session::builder().listen(LOOPBACK.parse().unwrap()).spawn().unwrap();
    let leecher = Session::builder().job_threads(0).spawn().unwrap();
    seeder.add_read_only(&metainfo, from.path()).unwrap();
    wait(&seeder, |e| matches!(e, Event::Added { .. }));
    let id = leecher.add(&metainfo, to.path()).unwrap();
    leecher.add_peer(id, seeder.listen_addresses()[0]).unwrap();
    wait(&leecher, |e| matches!(e, Event::Completed { .. }));
    assert!(std::fs::read(to.path().join("file.bin")).unwrap() == bytes);
    let status = leecher.status(id).unwrap();
    assert_eq!((&status.state, status.swarm.bytes_done), (&State::Seeding, 3_000_001));
    leecher.shut_down(HANG).unwrap();
    seeder.shut_down(HANG).unwrap();
}

/// Runs one test of this binary in a process of its own, where nothing else starts threads.
pub(crate) fn alone(test: &str) {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--test-threads=1"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[test]
fn a_torrent_goes_from_session_to_session_in_the_callers_loop_without_a_thread() {
    alone("hosting::in_the_callers_loop");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn in_the_callers_loop() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let (metainfo, bytes) = torrent(2_000_003);
    let (from, to) = (seed_folder(&bytes), Folder::new());
    let (seeder, mut a) = Session::builder().listen(LOOPBACK.parse().unwrap()).in_caller().unwrap();
    let (leecher, mut b) = Session::builder().in_caller().unwrap();
    seeder.add(&metainfo, from.path()).unwrap();
    let id = leecher.add(&metainfo, to.path()).unwrap();
    leecher.add_peer(id, seeder.listen_addresses()[0]).unwrap();
    assert!(matches!(leecher.next_event(HANG), Err(Error::WouldDeadlock)));
    let start = Instant::now();
    let mut completed = false;
    while !completed {
        assert!(start.elapsed() < HANG, "it hangs: {:?}", leecher.statuses());
        a.turn(Some(Duration::ZERO)).unwrap();
        b.turn(Some(Duration::ZERO)).unwrap();
        while let Some(event) = leecher.try_event().unwrap() {
            completed |= matches!(event, Event::Completed { .. });
        }
        // What a frame loop or a poll loop would do with the time left.
        let idle = a.next_deadline().unwrap_or(HANG).min(b.next_deadline().unwrap_or(HANG));
        std::thread::sleep(idle.min(Duration::from_micros(200)));
    }
    assert!(std::fs::read(to.path().join("file.bin")).unwrap() == bytes);
    assert_eq!(threads(), before, "a thread was started that nobody asked for");
    leecher.try_shut_down().unwrap();
    let mut ended = false;
    while !ended {
        assert!(start.elapsed() < HANG, "the end hangs");
        b.turn(Some(Duration::from_millis(10))).unwrap();
        while let Some(event) = leecher.try_event().unwrap() {
            ended |= event == Event::ShutDown;
        }
    }
}

#[test]
fn a_thousand_silent_sockets_delay_nobody() {
    let (metainfo, bytes) = torrent(1_000_000);
    let (from, to) = (seed_folder(&bytes), Folder::new());
    let seeder = Session::builder().listen(LOOPBACK.parse().unwrap()).spawn().unwrap();
    seeder.add(&metainfo, from.path()).unwrap();
    wait(&seeder, |e| matches!(e, Event::Added { .. }));
    let address = seeder.listen_addresses()[0];
    let silent: Vec<TcpStream> = (0..1_000).filter_map(|_| TcpStream::connect(address).ok()).collect();
    assert!(silent.len() > 900, "only {} sockets", silent.len());
    let leecher = Session::builder().spawn().unwrap();
    let id = leecher.add(&metainfo, to.path()).unwrap();
    let start = Instant::now();
    leecher.add_peer(id, address).unwrap();
    wait(&leecher, |e| matches!(e, Event::Completed { .. }));
    // Not a measure of speed: the handshake time-out of the silent ones is ten seconds.
    assert!(start.elapsed() < Duration::from_secs(9), "the silent sockets held it up");
    assert!(std::fs::read(to.path().join("file.bin")).unwrap() == bytes);
}

#[test]
fn hostile_peers_are_dropped_and_the_honest_one_finishes_the_download() {
    let (metainfo, bytes) = torrent(600_000);
    let from = seed_folder(&bytes);
    let seeder = Session::builder().listen(LOOPBACK.parse().unwrap()).spawn().unwrap();
    seeder.add(&metainfo, from.path()).unwrap();
    let hash = *metainfo.info_hash().as_bytes();
    let handshake = move || {
        let mut bytes = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
        bytes.extend_from_slice(&hash);
        bytes.extend_from_slice(b"-XX0000-hostile00000");
        bytes
    };
    let scripts: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        Vec::new(),
        [handshake(), vec![0, 0, 0, 5, 4, 255, 255, 255, 255]].concat(),
        [handshake(), vec![255, 255, 255, 255, 7]].concat(),
        [handshake(), vec![0, 0, 0, 3, 5, 1, 2]].concat(),
        [handshake(), vec![0, 0, 0, 13, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]].concat(),
    ];
    let store = Memory::new();
    let leecher = Session::builder().file_system(Box::new(store.clone())).spawn().unwrap();
    let id = leecher.add(&metainfo, "/nowhere").unwrap();
    let mut hostile = Vec::new();
    for script in scripts {
        let listener = TcpListener::bind(LOOPBACK).unwrap();
        leecher.add_peer(id, listener.local_addr().unwrap()).unwrap();
        hostile.push(std::thread::spawn(move || {
            let (mut socket, _) = listener.accept().unwrap();
            let _ = socket.write_all(&script);
            socket.set_read_timeout(Some(HANG)).unwrap();
            // It ends when the other side has had enough.
            let mut sink = Vec::new();
            let _ = socket.read_to_end(&mut sink);
        }));
    }
    std::thread::sleep(Duration::from_millis(100));
    leecher.add_peer(id, seeder.listen_addresses()[0]).unwrap();
    wait(&leecher, |e| matches!(e, Event::Completed { .. }));
    assert!(store.contents(Path::new("/nowhere/file.bin")).unwrap() == bytes);
    drop(leecher);
    hostile.into_iter().for_each(|t| t.join().unwrap());
}

#[test]
fn a_session_whose_store_hangs_ends_by_the_deadline_and_says_so() {
    let (metainfo, bytes) = torrent(100_000);
    let memory = Memory::new();
    memory.put(Path::new("/store/file.bin"), &bytes);
    let (release, wait_for) = std::sync::mpsc::channel::<()>();
    let wait_for = std::sync::Mutex::new(wait_for);
    memory.set_faults(move |call| {
        if call.operation == Operation::Reading {
            // Until the test lets it go, or the test is over.
            let _ = wait_for.lock().unwrap().recv_timeout(HANG);
        }
        None
    });
    let session = Session::builder().file_system(Box::new(memory)).spawn().unwrap();
    session.add(&metainfo, "/store").unwrap();
    // The check's first read is under way.
    assert!(matches!(session.next_event(Duration::from_millis(300)), Ok(None)));
    let start = Instant::now();
    let end = session.shut_down(Duration::from_millis(600));
    assert!(matches!(end, Err(Error::TimedOut)), "{end:?}");
    assert!(start.elapsed() < HANG / 2, "it waited for the store");
    drop(release);
}

#[test]
fn a_deadline_without_end_is_no_overflow() {
    Session::builder().spawn().unwrap().shut_down(Duration::MAX).unwrap();
}

#[test]
fn a_session_that_cannot_listen_says_where() {
    let taken = TcpListener::bind(LOOPBACK).unwrap();
    let address: SocketAddr = taken.local_addr().unwrap();
    let error = Session::builder().listen(address).spawn().unwrap_err();
    assert!(error.to_string().starts_with(&format!("listening on {address}: ")), "{error}");
    let session = Session::builder().listen_or_next(address, 20).spawn().unwrap();
    assert_ne!(session.listen_addresses()[0].port(), address.port());
}

#[test]
fn a_dropped_session_leaves_no_thread_and_no_listener() {
    alone("hosting::dropped");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn dropped() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let session = Session::builder().listen(LOOPBACK.parse().unwrap()).spawn().unwrap();
    let address = session.listen_addresses()[0];
    assert!(threads() > before);
    assert_eq!(session.status(TorrentId(0)), None);
    drop(session);
    assert_eq!(threads(), before);
    assert!(TcpStream::connect(address).is_err());
}
