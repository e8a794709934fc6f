//! The client of trackers, among trackers made by hand: each datagram and each job looked at, in virtual time.

mod completions;
mod families;
mod followed;
mod hostile;
mod names;
#[cfg(feature = "http")]
mod places;
mod scrapes;
mod turns;
mod udp;
mod web;

use bip::machine::{Input, Instant, JobId, Machine, Output, Rng, Secret, SocketId, TorrentId};
use bip::proto::announce::Progress;
use bip::proto::compact::Family;
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::tracker_url::TrackerUrl;
use bip::proto::udp_tracker::{
    self as wire, AnnounceHead, ConnectionId, Request, Stats, TransactionId, encode_announce_response,
    encode_connect_response, encode_error_response, encode_scrape_response,
};
use bip::tracker::client::{
    Announce, Client, Command, Config, Done, Error, Event, Following, Job, RequestId, Start, TrackerState,
    TrackerStatus, Trust, Usage,
};
use std::net::SocketAddr;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const V4: SocketId = SocketId(0);
const V6: SocketId = SocketId(1);
const HEAD: AnnounceHead = AnnounceHead { interval: 1800, leechers: 4, seeders: 9 };
const TORRENT: TorrentId = TorrentId(3);

/// A datagram that the client sent.
#[derive(Debug, Clone)]
struct Sent {
    at: Instant,
    socket: SocketId,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Sent {
    fn request(&self) -> Request<'_> {
        Request::decode(&self.bytes).expect("it sends requests")
    }

    fn transaction(&self) -> TransactionId {
        self.request().transaction()
    }

    fn is_connect(&self) -> bool {
        matches!(self.request(), Request::Connect { .. })
    }

    fn announce(&self) -> wire::Announce<'_> {
        match self.request() {
            Request::Announce { announce, .. } => announce,
            other => panic!("no announce: {other:?}"),
        }
    }

    fn connection(&self) -> ConnectionId {
        match self.request() {
            Request::Announce { connection, .. } | Request::Scrape { connection, .. } => connection,
            other => panic!("without a connection: {other:?}"),
        }
    }
}

/// A client and its host.
struct Host {
    client: Client,
    now: Instant,
    sent: Vec<Sent>,
    events: Vec<Event>,
    jobs: Vec<(JobId, Job)>,
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("it is an address")
}

fn url(text: &str) -> TrackerUrl {
    text.parse().expect("it is a URL")
}

fn hash(byte: u8) -> InfoHash {
    InfoHash([byte; 20])
}

fn announce() -> Announce {
    Announce::new(hash(1), PeerId([2; 20]), 6881)
}

impl Host {
    fn new(config: Config) -> Self {
        Self::with_sockets(config, &["0.0.0.0:6881", "[::]:6881"])
    }

    fn with_sockets(config: Config, sockets: &[&str]) -> Self {
        let start = Start { sockets: sockets.iter().map(|socket| at(socket)).collect() };
        let client = Client::new(config, start, Rng::new(7), &Secret::new([9; 32]));
        let now = Instant::ZERO + HOUR;
        Self { client, now, sent: Vec::new(), events: Vec::new(), jobs: Vec::new() }
    }

    fn drain(&mut self) {
        let mut buf = b"others' bytes".to_vec();
        while let Some(output) = self.client.poll_output(&mut buf) {
            match output {
                Output::Datagram { socket, to, bytes } => {
                    assert_eq!(to.is_ipv4(), socket == V4, "sent by the other family");
                    self.sent.push(Sent { at: self.now, socket, to, bytes: buf[bytes].to_vec() });
                }
                Output::Job { id, job } => self.jobs.push((id, job)),
                other => panic!("{other:?}"),
            }
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn command(&mut self, command: Command) {
        self.client.handle_command(self.now, command);
        self.drain();
    }

    fn ask(&mut self, request: u64, to: &str, announce: Announce) {
        let (request, url) = (RequestId(request), url(to));
        self.command(Command::Announce { request, url, trust: Trust::Local, family: None, announce });
    }

    fn scrape(&mut self, request: u64, to: &str, info_hashes: Vec<InfoHash>) {
        let (request, url) = (RequestId(request), url(to));
        self.command(Command::Scrape { request, url, trust: Trust::Local, info_hashes });
    }

    /// Lets time pass, timer by timer.
    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        let mut calls = 0;
        while let Some(next) = self.client.poll_timeout().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.client.handle_timeout(self.now);
            self.drain();
            calls += 1;
            assert!(calls < 100_000, "timers spin");
        }
        self.now = until;
        self.client.handle_timeout(self.now);
        self.drain();
    }

    /// Gives all that was sent since the last look.
    fn taken(&mut self) -> Vec<Sent> {
        std::mem::take(&mut self.sent)
    }

    /// Gives the one datagram that was sent since the last look.
    fn one(&mut self) -> Sent {
        let mut sent = self.taken();
        assert_eq!(sent.len(), 1, "{sent:?}");
        sent.remove(0)
    }

    fn told(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn datagram(&mut self, socket: SocketId, from: SocketAddr, bytes: &[u8]) {
        self.client.handle_input(self.now, Input::Datagram { socket, from, bytes });
        self.drain();
    }

    /// Answers a connect.
    fn connected(&mut self, sent: &Sent, id: u64) {
        let mut bytes = Vec::new();
        encode_connect_response(sent.transaction(), ConnectionId(id), &mut bytes);
        self.datagram(sent.socket, sent.to, &bytes);
    }

    /// Answers an announce.
    fn announced(&mut self, sent: &Sent, head: AnnounceHead, peers: &[&str]) {
        let mut bytes = Vec::new();
        let family = Family::of(sent.to.ip());
        encode_announce_response(sent.transaction(), head, family, peers.iter().map(|peer| at(peer)), &mut bytes);
        self.datagram(sent.socket, sent.to, &bytes);
    }

    fn refused(&mut self, sent: &Sent, reason: &str) {
        let mut bytes = Vec::new();
        encode_error_response(sent.transaction(), reason, &mut bytes);
        self.datagram(sent.socket, sent.to, &bytes);
    }

    fn scraped(&mut self, sent: &Sent, stats: &[Stats]) {
        let mut bytes = Vec::new();
        encode_scrape_response(sent.transaction(), stats.iter().copied(), &mut bytes);
        self.datagram(sent.socket, sent.to, &bytes);
    }

    fn done(&mut self, job: JobId, done: Done) {
        self.client.handle_input(self.now, Input::Done { job, done: Ok(done) });
        self.drain();
    }

    /// Answers the look-up of a name.
    fn resolved(&mut self, name: &str, addresses: &[&str]) {
        let is_it = |job: &Job| matches!(job, Job::Resolve { name: asked } if asked == name);
        let at_place = self.jobs.iter().position(|(_, job)| is_it(job));
        let (job, _) = self.jobs.remove(at_place.unwrap_or_else(|| panic!("{name} is not looked up: {:?}", self.jobs)));
        let addresses = addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), 80)).collect::<Vec<_>>();
        let resolved = if addresses.is_empty() { Err(format!("no {name}")) } else { Ok(addresses) };
        self.done(job, Done::Resolved(resolved));
    }

    /// The one answer to a request.
    fn answer(&mut self) -> Event {
        let mut told = self.told();
        assert_eq!(told.len(), 1, "{told:?}");
        told.remove(0)
    }

    fn error(&mut self) -> Error {
        match self.answer() {
            Event::Failed { error, .. } => error,
            other => panic!("no failure: {other:?}"),
        }
    }

    fn reply(&mut self) -> bip::tracker::client::AnnounceReply {
        match self.answer() {
            Event::Announced { reply, .. } => reply,
            other => panic!("no answer: {other:?}"),
        }
    }

    fn assert_free(&self) {
        assert_eq!(self.client.usage(), Usage::default());
    }
}

/// Says when each was sent, in seconds since the first.
fn seconds(sent: &[Sent]) -> Vec<u64> {
    sent.iter().map(|one| one.at.since(sent[0].at).as_secs()).collect()
}

fn following(tiers: &[&[&str]]) -> Following {
    let tiers = tiers.iter().map(|tier| tier.iter().map(|text| url(text)).collect()).collect();
    let progress = Progress { left: 1000, ..Progress::default() };
    Following { progress, ..Following::new(hash(1), PeerId([2; 20]), 6881, tiers) }
}
