//! Whole sessions in a simulated world: the real machines and the real wiring on virtual time.

use crate::sim::{Link, World};
use bip::disk::{Call, Executor, Fault, FileSystem, Files, Memory, Operation};
use bip::machine::{Secret, TorrentId};
use bip::peer::{Gone, Refusal, Source};
use bip::proto::id::InfoHash;
use bip::proto::metainfo::{Layout, SafePath};
use bip::proto::sha1::Sha1;
use bip::select::Priority::{self, High, Low, Normal, Skip};
use bip::session::{AddError, Command, Config, Event, Outside, Placement, Selection, Spec, State, Wired, wire};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const PORT: u16 = 6881;
pub(crate) const ROOT: &str = "/store";

/// A torrent's files and the bytes in them.
pub(crate) struct Content {
    pub(crate) layout: Arc<Layout>,
    info_hash: InfoHash,
    pub(crate) files: Vec<(PathBuf, Vec<u8>)>,
}

/// A tree with what is awkward: an empty file, one shorter than a piece, one over several pieces, and an odd end.
pub(crate) fn content(salt: u8, piece_length: u32) -> Content {
    let sizes = [("first", 30_001), ("empty", 0), ("deep/long", 200_000), ("tiny", 1), ("end", 70_007)];
    let mut files = Vec::new();
    let mut all = Vec::new();
    let mut entries = Vec::new();
    for (name, size) in sizes {
        let bytes: Vec<u8> = (0..size).map(|i: u32| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ salt).collect();
        let parts = std::iter::once(format!("tree{salt}")).chain(name.split('/').map(str::to_owned));
        let path = SafePath::from_parts(parts).unwrap();
        files.push((Path::new(ROOT).join(path.to_path_buf()), bytes.clone()));
        entries.push((path, u64::from(size)));
        all.extend(bytes);
    }
    let hashes: Vec<[u8; 20]> = all.chunks(piece_length as usize).map(Sha1::digest).collect();
    let layout = Arc::new(Layout::new(entries, piece_length, &hashes).unwrap());
    Content { layout, info_hash: InfoHash([salt; 20]), files }
}

impl Content {
    pub(crate) fn put(&self, memory: &Memory) {
        self.files.iter().for_each(|(path, bytes)| memory.put(path, bytes));
    }

    pub(crate) fn is_in(&self, memory: &Memory) -> bool {
        self.files.iter().all(|(path, bytes)| memory.contents(path).as_ref() == Some(bytes))
    }

    pub(crate) fn spec(&self) -> Spec {
        Spec::new(self.info_hash, Arc::clone(&self.layout), ROOT)
    }
}

pub(crate) struct Node {
    pub(crate) session: Wired,
    pub(crate) memory: Memory,
    address: SocketAddr,
    pub(crate) host: usize,
    pub(crate) events: Vec<Event>,
}

impl Node {
    pub(crate) fn new(world: &mut World, placement: Placement) -> Self {
        Self::with_memory(world, placement, Memory::new(), &Config::default())
    }

    pub(crate) fn with_memory(world: &mut World, placement: Placement, memory: Memory, config: &Config) -> Self {
        let count = 1 + placement.coordinator.max(placement.swarm).max(placement.disk);
        let first = world.add_hosts(count);
        let seed = world.rng().next_u64();
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let executor = Box::new(Executor::new(memory.clone()));
        let hosts = &mut world.hosts[first..];
        let session = wire(hosts, placement, config, seed, &Secret::new(key), Outside::files(executor), &());
        let host = first + placement.swarm;
        let address = world.listen(host, session.swarm.0, PORT);
        Self { session, memory, address, host, events: Vec::new() }
    }

    pub(crate) fn send(&self, command: Command) {
        self.session.commands.send(command).expect("there is credit");
    }

    pub(crate) fn add(&self, torrent: u32, content: &Content) {
        self.send(Command::Add { torrent: TorrentId(torrent), spec: content.spec() });
    }

    pub(crate) fn peer(&self, torrent: u32, other: &Node) {
        self.send(Command::AddPeer { torrent: TorrentId(torrent), address: other.address, source: Source::Program });
    }

    pub(crate) fn read(&mut self) {
        while let Ok(event) = self.session.events.try_next() {
            self.events.push(event);
        }
    }

    pub(crate) fn completed(&mut self, torrent: u32) -> bool {
        self.read();
        self.events.contains(&Event::Completed { torrent: TorrentId(torrent) })
    }

    /// Gives how many pieces are there, as was last published.
    pub(crate) fn pieces(&self, torrent: u32) -> u32 {
        self.session.board.status(TorrentId(torrent)).map_or(0, |status| status.swarm.pieces_done)
    }

    pub(crate) fn state(&self, torrent: u32) -> Option<State> {
        self.session.board.status(TorrentId(torrent)).map(|s| s.state.clone())
    }
}

/// Plays a scenario with many seeds. A failure names the seed; `BIP_SEED` plays that one alone.
pub(crate) fn with_seeds(name: &str, seeds: u64, scenario: impl Fn(u64)) {
    let only = std::env::var("BIP_SEED").ok().and_then(|s| s.parse().ok());
    for seed in only.map_or(0..seeds, |s| s..s + 1) {
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| scenario(seed)));
        assert!(run.is_ok(), "replay with: BIP_SEED={seed} cargo test -p bip-torrent --test it {name}");
    }
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_seed_feeds_leechers_that_feed_each_other() {
    with_seeds("a_seed_feeds_leechers_that_feed_each_other", 12, |seed| {
        let mut world = World::new(seed, Link::default());
        let content = content(1, 32 * 1024);
        let placement = if seed % 2 == 0 { Placement::TOGETHER } else { Placement::APART };
        let mut nodes: Vec<Node> = (0..5).map(|_| Node::new(&mut world, placement)).collect();
        content.put(&nodes[0].memory);
        nodes.iter().for_each(|n| n.add(0, &content));
        for i in 1..nodes.len() {
            // Only two of them know the seed; the others get everything from leechers.
            let known = if i < 3 { 0 } else { i - 2 };
            nodes[i].peer(0, &nodes[known]);
        }
        let done = world.run_until(HOUR, |_| nodes.iter_mut().skip(1).all(|n| n.completed(0)));
        assert!(done, "not complete: {:?}", nodes.iter().map(|n| n.session.board.statuses()).collect::<Vec<_>>());
        for node in &nodes {
            assert!(content.is_in(&node.memory));
            assert_eq!(node.state(0), Some(State::Seeding));
        }
    });
}

#[test]
fn many_torrents_share_a_port_and_are_told_apart() {
    with_seeds("many_torrents_share_a_port_and_are_told_apart", 4, |seed| {
        let mut world = World::new(seed, Link::default());
        let contents: Vec<Content> = (0..6).map(|salt| content(salt, (16 * 1024) << (salt % 3))).collect();
        let mut seeder = Node::new(&mut world, Placement::APART);
        let mut leecher = Node::new(&mut world, Placement::TOGETHER);
        for (n, content) in (0..).zip(&contents) {
            content.put(&seeder.memory);
            seeder.add(n, content);
            // The same torrents by other numbers.
            leecher.add(100 - n, content);
            leecher.peer(100 - n, &seeder);
        }
        assert!(world.run_until(HOUR, |_| (0..6).all(|n| leecher.completed(100 - n) && seeder.completed(n))));
        assert!(contents.iter().all(|c| c.is_in(&leecher.memory)));
    });
}

#[test]
fn a_download_that_crashed_goes_on_where_it_was() {
    with_seeds("a_download_that_crashed_goes_on_where_it_was", 8, |seed| {
        let mut world = World::new(seed, Link { rate: 100_000, ..Link::default() });
        let content = content(1, 16 * 1024);
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        let leecher = Node::new(&mut world, Placement::TOGETHER);
        leecher.add(0, &content);
        leecher.peer(0, &seeder);
        world.run_until(Duration::from_secs(2), |_| false);
        let got = leecher.session.board.status(TorrentId(0)).expect("it is being downloaded").swarm.pieces_done;
        world.cut(leecher.host);
        world.hosts[leecher.host].crash();
        let memory = leecher.memory.clone();
        let mut again = Node::with_memory(&mut world, Placement::TOGETHER, memory, &Config::default());
        again.add(0, &content);
        again.peer(0, &seeder);
        assert!(world.run_until(HOUR, |_| again.completed(0)));
        assert!(content.is_in(&again.memory));
        let Some(Event::Added { pieces_done, pieces, .. }) =
            again.events.iter().find(|e| matches!(e, Event::Added { .. }))
        else {
            panic!("it was not added")
        };
        assert!(got > 0 && *pieces_done >= got && pieces_done < pieces, "{got} {pieces_done} of {pieces}");
    });
}

#[test]
fn a_full_disk_stops_that_torrent_alone_and_it_goes_on_when_there_is_room() {
    with_seeds("a_full_disk_stops_that_torrent_alone_and_it_goes_on_when_there_is_room", 6, |seed| {
        let mut world = World::new(seed, Link::default());
        let (full, fine) = (content(1, 16 * 1024), content(2, 16 * 1024));
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        let mut leecher = Node::new(&mut world, Placement::APART);
        leecher.memory.set_faults(|call: Call<'_>| {
            let writing = matches!(call.operation, Operation::Writing);
            (writing && call.path.to_string_lossy().contains("tree1/deep"))
                .then_some(Fault::Error(ErrorKind::StorageFull))
        });
        for (n, content) in [(1, &full), (2, &fine)] {
            content.put(&seeder.memory);
            seeder.add(n, content);
            leecher.add(n, content);
            leecher.peer(n, &seeder);
        }
        assert!(world.run_until(HOUR, |_| {
            leecher.completed(2) && leecher.events.iter().any(|e| matches!(e, Event::Failed { .. }))
        }));
        let Some(Event::Failed { torrent, error }) = leecher.events.iter().find(|e| matches!(e, Event::Failed { .. }))
        else {
            panic!("it was just seen")
        };
        assert_eq!(*torrent, TorrentId(1));
        assert!(error.to_string().contains("tree1/deep/long"), "{error}");
        assert!(matches!(leecher.state(1), Some(State::Failed(_))));
        assert!(!leecher.completed(1));
        leecher.memory.clear_faults();
        leecher.send(Command::Resume { torrent: TorrentId(1) });
        assert!(world.run_until(HOUR, |_| leecher.completed(1)));
        assert!(full.is_in(&leecher.memory) && fine.is_in(&leecher.memory));
    });
}

#[test]
fn every_command_gets_one_answer_whatever_happens_meanwhile() {
    with_seeds("every_command_gets_one_answer_whatever_happens_meanwhile", 40, |seed| {
        let mut world = World::new(seed, Link::default());
        let contents: Vec<Content> = (0..3).map(|salt| content(salt, 16 * 1024)).collect();
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        contents.iter().zip(0..).for_each(|(c, n)| {
            c.put(&seeder.memory);
            seeder.add(n, c);
        });
        let mut node = Node::new(&mut world, Placement::APART);
        let mut sent = 0;
        for _ in 0..60 {
            let torrent = TorrentId(world.rng().below(4));
            let command = match world.rng().below(8) {
                0..=2 => Command::Add { torrent, spec: contents[torrent.0.min(2) as usize].spec() },
                3 => {
                    let files = if world.rng().below(2) == 0 { Files::Delete } else { Files::Keep };
                    Command::Remove { torrent, files }
                }
                4 => Command::Pause { torrent },
                5 => Command::Resume { torrent },
                _ => Command::AddPeer { torrent, address: seeder.address, source: Source::Tracker },
            };
            node.send(command);
            sent += 1;
            let pause = Duration::from_micros(u64::from(world.rng().below(100_000)));
            world.run_until(pause, |_| false);
        }
        node.send(Command::ShutDown);
        let done = world.run_until(HOUR, |_| {
            node.read();
            node.events.contains(&Event::ShutDown)
        });
        assert!(done, "the session did not end");
        let answers = node.events.iter().filter(|e| {
            matches!(
                e,
                Event::Added { .. }
                    | Event::AddFailed { .. }
                    | Event::Removed { .. }
                    | Event::Deleted { .. }
                    | Event::Paused { .. }
                    | Event::Resumed { .. }
                    | Event::PeerAdded { .. }
                    | Event::Refused { .. }
            )
        });
        assert_eq!(answers.count(), sent);
        assert!(node.session.board.statuses().is_empty());
    });
}

#[test]
fn a_paused_torrent_moves_nothing_until_it_is_resumed() {
    let mut world = World::new(1, Link { rate: 50_000, ..Link::default() });
    let content = content(1, 16 * 1024);
    let seeder = Node::new(&mut world, Placement::TOGETHER);
    content.put(&seeder.memory);
    seeder.add(0, &content);
    let mut leecher = Node::new(&mut world, Placement::TOGETHER);
    leecher.add(0, &content);
    leecher.peer(0, &seeder);
    world.run_until(Duration::from_secs(2), |_| false);
    leecher.send(Command::Pause { torrent: TorrentId(0) });
    world.run_until(Duration::from_secs(5), |_| false);
    assert_eq!(leecher.state(0), Some(State::Paused));
    let calls = leecher.memory.calls();
    world.run_until(HOUR, |_| false);
    assert_eq!(leecher.memory.calls(), calls);
    assert!(!leecher.completed(0));
    leecher.send(Command::Resume { torrent: TorrentId(0) });
    assert!(world.run_until(HOUR, |_| leecher.completed(0)));
    assert!(content.is_in(&leecher.memory));
}

#[test]
fn a_slow_disk_slows_its_own_download_and_never_stalls_it() {
    with_seeds("a_slow_disk_slows_its_own_download_and_never_stalls_it", 6, |seed| {
        // The network is far faster than the disk, and little may be under way to it.
        let mut world = World::new(seed, Link { rate: 100_000_000, ..Link::default() });
        let content = content(1, 64 * 1024);
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        let mut config = Config::default();
        config.peer.store_credit = 32 * 1024;
        config.disk.jobs = 2;
        let placement = if seed % 2 == 0 { Placement::TOGETHER } else { Placement::APART };
        let mut leecher = Node::with_memory(&mut world, placement, Memory::new(), &config);
        for host in leecher.host..world.hosts.len() {
            world.hosts[host].slow_down(Duration::from_secs(40));
        }
        leecher.add(0, &content);
        leecher.peer(0, &seeder);
        assert!(world.run_until(HOUR * 5, |_| leecher.completed(0)), "{:?}", leecher.session.board.statuses());
        assert!(content.is_in(&leecher.memory));
        // The seeder was not taken for silent while it was not read.
        let gone = leecher.events.iter().find(|e| matches!(e, Event::PeerGone { reason: Gone::Silent, .. }));
        assert_eq!(gone, None);
    });
}

#[test]
fn a_torrent_that_is_only_read_is_uploaded_and_never_downloaded() {
    let mut world = World::new(1, Link::default());
    let content = content(1, 16 * 1024);
    let (mut full, mut part) = (Node::new(&mut world, Placement::TOGETHER), Node::new(&mut world, Placement::TOGETHER));
    content.put(&full.memory);
    // One of its files is missing.
    for (path, bytes) in content.files.iter().filter(|(path, _)| !path.ends_with("long")) {
        part.memory.put(path, bytes);
    }
    full.add(0, &content);
    part.send(Command::Add { torrent: TorrentId(0), spec: Spec { writable: false, ..content.spec() } });
    part.peer(0, &full);
    let leecher = Node::new(&mut world, Placement::TOGETHER);
    leecher.add(0, &content);
    leecher.peer(0, &part);
    world.run_until(HOUR, |_| false);
    let figures = |node: &Node| node.session.board.status(TorrentId(0)).unwrap().swarm.clone();
    assert!(!part.completed(0) && !full.completed(1));
    assert_eq!(figures(&part).downloaded, 0);
    let (done, all) = (figures(&part).bytes_done, figures(&full).bytes_done);
    assert!(done > 0 && done < all && all == content.layout.geometry().total_length(), "{done} of {all}");
    assert!(part.memory.contents(&Path::new(ROOT).join("tree1/deep/long")).is_none());
    assert_eq!(figures(&leecher).pieces_done, figures(&part).pieces_done);
}

#[test]
fn a_selection_downloads_seeds_restarts_is_extended_and_completes_and_makes_no_skipped_file() {
    with_seeds("a_selection_downloads_seeds_restarts_is_extended_and_completes", 8, |seed| {
        let mut world = World::new(seed, Link::default());
        let content = content(1, 32 * 1024);
        let placement = if seed % 2 == 0 { Placement::TOGETHER } else { Placement::APART };
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        // The first file shares a piece with the empty and the long one; the long one with all others.
        let chosen = |files: [Priority; 5]| Selection { files: files.to_vec(), sequential: seed % 3 == 0 };
        let first = chosen([Skip, Skip, Normal, Skip, Skip]);
        let spec = |selection: &Selection| Spec { selection: selection.clone(), ..content.spec() };
        let only = |node: &Node, names: &[&str]| {
            for (path, bytes) in &content.files {
                let there = node.memory.contents(path);
                let wanted = names.iter().any(|name| path.ends_with(name));
                assert_eq!(there.as_ref(), wanted.then_some(bytes), "{}", path.display());
            }
        };
        let mut leecher = Node::new(&mut world, placement);
        leecher.send(Command::Add { torrent: TorrentId(0), spec: spec(&first) });
        leecher.peer(0, &seeder);
        assert!(world.run_until(HOUR, |_| leecher.completed(0)));
        world.run_until(Duration::from_secs(5), |_| false);
        only(&leecher, &["long"]);
        let figures = leecher.session.board.status(TorrentId(0)).unwrap().swarm.clone();
        assert_eq!(leecher.state(0), Some(State::Seeding));
        assert_eq!((figures.pieces_wanted_done, figures.pieces_wanted), (8, 8));
        assert!(figures.pieces > 8 && figures.time_left.is_none());

        // The process dies; what was there is there.
        world.cut(leecher.host);
        world.hosts[leecher.host].crash();
        let memory = leecher.memory.clone();
        let mut again = Node::with_memory(&mut world, placement, memory, &Config::default());
        again.send(Command::Add { torrent: TorrentId(0), spec: spec(&first) });
        assert!(world.run_until(HOUR, |_| again.completed(0)));
        let added = again.events.iter().find_map(|e| match e {
            Event::Added { pieces_done, .. } => Some(*pieces_done),
            _ => None,
        });
        assert_eq!(added, Some(8));
        only(&again, &["long"]);

        // Another peer gets from it what it has, and no more: also the pieces that are shared.
        let mut other = Node::new(&mut world, Placement::TOGETHER);
        other.send(Command::Add { torrent: TorrentId(0), spec: spec(&first) });
        other.peer(0, &again);
        assert!(world.run_until(HOUR, |_| other.completed(0)));
        only(&other, &["long"]);

        // More is wanted, and then everything.
        again.peer(0, &seeder);
        for (files, names) in [
            ([Skip, Skip, Low, High, Skip], &["long", "tiny"][..]),
            ([High, Normal, Skip, Skip, Low], &["first", "empty", "long", "tiny", "end"]),
            ([Normal; 5], &["first", "empty", "long", "tiny", "end"]),
        ] {
            again.read();
            again.events.clear();
            again.send(Command::Select { torrent: TorrentId(0), selection: chosen(files) });
            let selected = Event::Selected { torrent: TorrentId(0) };
            let done = |node: &mut Node| {
                node.read();
                let complete = node.session.board.status(TorrentId(0)).is_some_and(|s| s.state == State::Seeding);
                node.events.contains(&selected) && complete
            };
            assert!(world.run_until(HOUR, |_| done(&mut again)), "{:?}", again.events);
            world.run_until(Duration::from_secs(5), |_| false);
            only(&again, names);
        }
        let names = again.memory.list(&Path::new(ROOT).join("tree1")).unwrap();
        assert!(names.iter().all(|e| !e.name.to_string_lossy().starts_with('.')), "{names:?}");
        assert!(content.is_in(&again.memory));
    });
}

#[test]
fn a_selection_that_does_not_fit_the_torrent_is_refused() {
    let mut world = World::new(1, Link::default());
    let content = content(1, 32 * 1024);
    let mut node = Node::new(&mut world, Placement::TOGETHER);
    let wrong = Selection { files: vec![Skip; 3], sequential: false };
    let spec = Spec { selection: wrong.clone(), ..content.spec() };
    node.send(Command::Add { torrent: TorrentId(1), spec });
    node.add(0, &content);
    world.run_until(HOUR, |_| false);
    node.send(Command::Select { torrent: TorrentId(0), selection: wrong });
    world.run_until(HOUR, |_| false);
    node.read();
    let refusal = Refusal::WrongSelection;
    assert!(node.events.contains(&Event::AddFailed { torrent: TorrentId(1), error: AddError::Refused(refusal) }));
    assert!(node.events.contains(&Event::Refused { torrent: TorrentId(0), refusal }));
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let run = |seed| {
        let mut world = World::new(seed, Link::default());
        let content = content(1, 16 * 1024);
        let seeder = Node::new(&mut world, Placement::TOGETHER);
        content.put(&seeder.memory);
        seeder.add(0, &content);
        let mut leecher = Node::new(&mut world, Placement::TOGETHER);
        leecher.add(0, &content);
        leecher.peer(0, &seeder);
        assert!(world.run_until(HOUR, |_| leecher.completed(0)));
        (world.now(), leecher.events)
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7).1, run(8).1);
}
