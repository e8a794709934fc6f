//! The client of trackers, held to the laws: among a few trackers that mostly keep the protocol.
//!
//! Besides the laws of all machines: nothing is sent to a family without a socket, no connection id is used that was not given, or after its
//! minute; nothing is told of a torrent that is not followed.

use super::{Ask, Call, End, Subject, Way, hold, variants};
use bip::machine::{Executor, Rng, Secret, SocketId, TorrentId};
use bip::proto::announce::{Event as Reason, Progress};
use bip::proto::compact::Family;
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::tracker_url::TrackerUrl;
use bip::proto::udp_tracker::{
    AnnounceHead, ConnectionId, Request, Stats, encode_announce_response, encode_connect_response,
    encode_error_response, encode_scrape_response,
};
use bip::tracker::client::{
    Announce, Client, Command, Config, Done, Error, Event, Fetched, Following, Job, RequestId, Start, Trust,
};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

const SOCKETS: [&str; 2] = ["0.0.0.0:6881", "[::]:6881"];
/// Names that the program has for its requests and torrents: some are used again.
const REQUESTS: u32 = 12;
const TORRENTS: u32 = 5;

// Limits so low that the scripts reach them.
const MOST_REQUESTS: usize = 8;
const MOST_TORRENTS: usize = 4;
const MOST_TRACKERS: usize = 4;

const WITH_DATAGRAMS: &[Way] = {
    use Way::*;
    &[Commands, Commands, Time, Time, Timeouts, Stale, Jobs, Datagrams, Datagrams, Datagrams, Datagrams, Datagrams]
};

/// A request of ours that nobody has answered.
struct Asked {
    socket: SocketId,
    to: SocketAddr,
    bytes: Vec<u8>,
}

#[derive(Default)]
struct Trackers {
    seed: u64,
    asked: Vec<Asked>,
    /// The ids that were given.
    given: BTreeSet<(SocketAddr, u64)>,
    followed: BTreeSet<TorrentId>,
}

fn url(rng: &mut Rng) -> TrackerUrl {
    let all = [
        "udp://5.0.0.1:6969/announce",
        "udp://5.0.0.2:6969",
        "udp://[2a00::1]:6969/announce",
        "udp://both.example:1/announce?key=1",
        "udp://dead.example:1",
        "udp://127.0.0.1:1/announce",
        "http://5.0.0.3/announce?passkey=x",
        "http://both.example/x/announce",
        "http://10.0.0.1/admin",
        "https://both.example/announce",
    ];
    rng.choose(&all).unwrap().parse().unwrap()
}

fn trust(rng: &mut Rng) -> Trust {
    if rng.below(4) == 0 { Trust::Stranger } else { Trust::Local }
}

fn progress(rng: &mut Rng) -> Progress {
    Progress { uploaded: rng.next_u64(), downloaded: u64::from(rng.below(9)), left: u64::from(rng.below(3)) }
}

fn hash(rng: &mut Rng) -> InfoHash {
    InfoHash([rng.below(4) as u8 * 60; 20])
}

impl Subject for Trackers {
    type Machine = Client;

    fn machine(&mut self, seed: u64) -> Client {
        self.seed = seed;
        let config = Config {
            max_requests: MOST_REQUESTS,
            max_scrape: 200,
            max_retransmits: (seed % 9) as u32,
            max_connections: 2,
            max_lookups: 2,
            max_names: 2,
            max_fetches: 2,
            max_peers: 20,
            max_torrents: MOST_TORRENTS,
            max_trackers: MOST_TRACKERS,
            max_announces: 3,
            ..Config::default()
        };
        // Every third has one family alone.
        let sockets = SOCKETS.iter().take(if seed % 3 == 0 { 1 } else { 2 }).map(|at| at.parse().unwrap()).collect();
        Client::new(config, Start { sockets }, Rng::new(seed), &Secret::new([seed as u8; 32]))
    }

    fn command(&mut self, rng: &mut Rng) -> Command {
        let request = RequestId(rng.below(REQUESTS).into());
        let torrent = TorrentId(rng.below(TORRENTS));
        match rng.below(20) {
            0..=4 => Command::Announce {
                request,
                url: url(rng),
                trust: trust(rng),
                family: *rng.choose(&[None, None, Some(Family::V4), Some(Family::V6)]).unwrap(),
                announce: Announce {
                    progress: progress(rng),
                    event: *rng.choose(&[Reason::None, Reason::Started, Reason::Stopped]).unwrap(),
                    tracker_id: (rng.below(2) == 0).then(|| b"id".to_vec()),
                    ..Announce::new(hash(rng), PeerId([1; 20]), 1)
                },
            },
            5..=7 => {
                let count = *rng.choose(&[0, 1, 40, 74, 75, 200, 201]).unwrap();
                Command::Scrape { request, url: url(rng), trust: trust(rng), info_hashes: vec![hash(rng); count] }
            }
            8 => Command::Cancel { request },
            9..=12 => {
                let tiers = (0..rng.below(4)).map(|_| (0..rng.below(4)).map(|_| url(rng)).collect()).collect();
                let following = Following {
                    trust: trust(rng),
                    private: rng.below(3) == 0,
                    progress: progress(rng),
                    ..Following::new(hash(rng), PeerId([1; 20]), 1, tiers)
                };
                Command::Follow { torrent, following: Box::new(following) }
            }
            13 => Command::Progress { torrent, progress: progress(rng) },
            14 | 15 => Command::Completed { torrent },
            16 | 17 => Command::MorePeers { torrent },
            18 if rng.below(10) == 0 => Command::ShutDown,
            _ => Command::Leave { torrent },
        }
    }

    fn ask(&self, command: &Command) -> Option<Ask> {
        let (about, kind) = match command {
            Command::Announce { request, .. } => (format!("{request:?}"), "announce"),
            Command::Scrape { request, .. } => (format!("{request:?}"), "scrape"),
            Command::Follow { torrent, .. } => (torrent.to_string(), "follow"),
            Command::Leave { torrent } => (torrent.to_string(), "leave"),
            Command::ShutDown => ("all".into(), "end"),
            Command::Cancel { .. }
            | Command::Progress { .. }
            | Command::Completed { .. }
            | Command::MorePeers { .. } => return None,
            other => panic!("what does {other:?} ask?"),
        };
        Some(Ask { about, kind: kind.into() })
    }

    fn end(&self, event: &Event) -> Option<End> {
        let (about, kind) = match event {
            Event::Announced { request, .. } => (format!("{request:?}"), Some("announce")),
            Event::Scraped { request, .. } => (format!("{request:?}"), Some("scrape")),
            Event::Failed { request, .. } => (format!("{request:?}"), None),
            Event::Followed { torrent } | Event::FollowRefused { torrent, .. } => (torrent.to_string(), Some("follow")),
            Event::Left { torrent } => (torrent.to_string(), Some("leave")),
            Event::ShutDown => ("all".into(), Some("end")),
            Event::Peers { .. } | Event::Switched { .. } | Event::Tracker { .. } => return None,
            other => panic!("what does {other:?} end?"),
        };
        Some(End { about, kind: kind.map(str::to_owned) })
    }

    fn most(&self, _: Call) -> usize {
        // Each request, and each family of each tracker of each torrent, may be sent, asked for a job, and told of; and each torrent may be
        // told of twice a round.
        let ends = 2 * MOST_TORRENTS * MOST_TRACKERS;
        3 * (MOST_REQUESTS + ends) + 4 * MOST_TORRENTS
    }

    fn ways(&self) -> &'static [Way] {
        WITH_DATAGRAMS
    }

    fn source(&self) -> Option<&'static str> {
        Some(SOURCE)
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Followed { torrent } => assert!(self.followed.insert(*torrent)),
            Event::Left { torrent } => _ = self.followed.remove(torrent),
            Event::ShutDown => self.followed.clear(),
            Event::Peers { torrent, peers, .. } => {
                assert!(self.followed.contains(torrent) && !peers.is_empty() && peers.len() <= 20);
            }
            Event::Tracker { torrent, .. } | Event::Switched { torrent } => assert!(self.followed.contains(torrent)),
            _ => {}
        }
    }

    fn on_datagram(&mut self, socket: SocketId, to: SocketAddr, bytes: &[u8]) {
        let local: SocketAddr = SOCKETS[socket.0 as usize].parse().unwrap();
        assert_eq!(local.is_ipv4(), to.is_ipv4(), "sent to the other family");
        match Request::decode(bytes).expect("what is sent is a request") {
            Request::Connect { .. } => {}
            Request::Announce { connection, .. } | Request::Scrape { connection, .. } => {
                assert!(self.given.contains(&(to, connection.0)), "an id that nobody gave");
            }
        }
        self.asked.push(Asked { socket, to, bytes: bytes.to_vec() });
    }

    fn datagram(&mut self, rng: &mut Rng) -> Option<(SocketId, SocketAddr, Vec<u8>)> {
        if self.asked.is_empty() || rng.below(8) == 0 {
            let garbage = (0..rng.below(60)).map(|_| rng.below(5) as u8).collect();
            return Some((SocketId(rng.below(3)), "5.0.0.1:6969".parse().unwrap(), garbage));
        }
        let at = rng.below(self.asked.len() as u32) as usize;
        let Asked { socket, to, bytes } = self.asked.swap_remove(at);
        let (mut from, mut bytes_out) = (to, Vec::new());
        let request = Request::decode(&bytes).expect("what is sent is a request");
        let transaction = request.transaction();
        let what = rng.below(24);
        match request {
            _ if what == 0 => encode_error_response(transaction, "connection id", &mut bytes_out),
            _ if what == 1 => encode_error_response(transaction, "no", &mut bytes_out),
            Request::Connect { .. } => {
                let id = rng.next_u64();
                encode_connect_response(transaction, ConnectionId(id), &mut bytes_out);
                self.given.insert((to, id));
            }
            Request::Announce { .. } => {
                let head = AnnounceHead { interval: rng.below(3000), leechers: 1, seeders: 2 };
                let peers = (0..rng.below(40)).map(|_| SocketAddr::from(([9, 9, 9, rng.below(9) as u8], 1)));
                let peers: Vec<_> = peers.collect();
                encode_announce_response(transaction, head, Family::of(to.ip()), peers, &mut bytes_out);
            }
            Request::Scrape { info_hashes, .. } => {
                let count = info_hashes.len() + rng.below(3) as usize;
                let stats = vec![Stats { seeders: 1, completed: 2, leechers: 3 }; count.saturating_sub(1)];
                encode_scrape_response(transaction, stats, &mut bytes_out);
            }
        }
        match what {
            2 => from.set_port(1),
            3 => from = "5.0.0.9:6969".parse().unwrap(),
            4 => bytes_out.truncate(rng.below(20) as usize),
            5 => bytes_out[rng.below(8) as usize] ^= 1 << rng.below(8),
            _ => {}
        }
        Some((if what == 6 { SocketId(rng.below(3)) } else { socket }, from, bytes_out))
    }

    fn executor(&self) -> Option<Box<dyn Executor<Job, Done>>> {
        if self.seed % 7 == 6 {
            return None;
        }
        let seed = self.seed;
        Some(Box::new(move |job: Job| match job {
            Job::Resolve { name } if name.starts_with("both") => {
                let all = ["5.0.0.7:80", "[2a00::7]:80", "127.0.0.1:80"];
                Done::Resolved(Ok(all.iter().map(|at| at.parse().unwrap()).collect()))
            }
            Job::Resolve { name } => Done::Resolved(Err(format!("no {name}"))),
            Job::Fetch(fetch) => {
                assert!(!fetch.addresses.is_empty() && fetch.timeout > Duration::ZERO);
                let body: &[u8] = match (seed + fetch.url.len() as u64) % 6 {
                    0 => b"d14:failure reason2:no8:retry in1:5e",
                    1 => b"d14:failure reason2:no8:retry in5:nevere",
                    2 => return Done::Fetched(Err(Error::TimedOut)),
                    3 if fetch.url.contains("scrape") => b"d5:filesdee",
                    _ => b"d5:filesde8:intervali60e5:peers6:\x09\x09\x09\x09\0\x01e",
                };
                Done::Fetched(Ok(Fetched { code: 200, body: body.to_vec() }))
            }
            other => panic!("what is {other:?}?"),
        }))
    }
}

const SOURCE: &str = include_str!("../../../src/tracker/client/command.rs");

#[test]
fn the_client_of_trackers_keeps_the_laws() {
    if let Some(tally) = hold("the_client_of_trackers_keeps_the_laws", Trackers::default, 60, 600) {
        let told: BTreeSet<&str> = tally.told.keys().map(String::as_str).collect();
        assert_eq!(
            variants::declared(SOURCE, "Event"),
            told,
            "the scripts do not bring the client to tell all that it can"
        );
        assert!(tally.told("Announced") > 100 && tally.told("Peers") > 100, "hardly anybody is told: {tally:?}");
    }
}
