//! A UDP tracker, as small as can be.

use bip::proto::announce::Event;
use bip::proto::compact::Family;
use bip::proto::id::InfoHash;
use bip::proto::udp_tracker::{
    AnnounceHead, ConnectionId, Request, Stats, encode_announce_response, encode_connect_response,
    encode_error_response, encode_scrape_response,
};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// What a client told.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen {
    pub(super) from: SocketAddr,
    pub(super) event: Event,
    pub(super) left: u64,
    pub(super) port: u16,
    pub(super) url: Option<String>,
}

/// A tracker that runs until it is dropped.
pub(super) struct UdpTracker {
    pub(super) address: SocketAddr,
    pub(super) seen: Receiver<Seen>,
    thread: Option<JoinHandle<()>>,
}

impl UdpTracker {
    pub(super) fn start(at: &str) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(at)?;
        let address = socket.local_addr()?;
        let (tell, seen) = channel();
        let thread = std::thread::spawn(move || serve(&socket, &tell));
        Ok(Self { address, seen, thread: Some(thread) })
    }

    pub(super) fn url(&self) -> String {
        format!("udp://{}/announce?pass=key", self.address)
    }
}

impl Drop for UdpTracker {
    fn drop(&mut self) {
        let ours = if self.address.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
        UdpSocket::bind(ours).unwrap().send_to(b"end", self.address).unwrap();
        let ended = self.thread.take().map(JoinHandle::join);
        if !std::thread::panicking() {
            ended.unwrap().unwrap();
        }
    }
}

fn serve(socket: &UdpSocket, tell: &Sender<Seen>) {
    const ID: ConnectionId = ConnectionId(0x1234_5678_9abc_def0);
    let mut swarms: BTreeMap<InfoHash, BTreeMap<SocketAddr, u64>> = BTreeMap::new();
    let mut buffer = [0; 10_000];
    loop {
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        let bytes = &buffer[..length];
        if bytes == b"end" {
            return;
        }
        let mut out = Vec::new();
        match Request::decode(bytes).unwrap() {
            Request::Connect { transaction } => encode_connect_response(transaction, ID, &mut out),
            Request::Announce { connection, transaction, .. } | Request::Scrape { connection, transaction, .. }
                if connection != ID =>
            {
                encode_error_response(transaction, "connection id", &mut out);
            }
            Request::Announce { transaction, announce, .. } => {
                let url = announce.options.url_data().unwrap();
                let url = url.map(|url| String::from_utf8(url.into_owned()).unwrap());
                let (event, left) = (announce.event, announce.progress.left);
                let _ = tell.send(Seen { from, event, left, port: announce.port, url });
                let swarm = swarms.entry(announce.info_hash).or_default();
                let peer = SocketAddr::new(from.ip(), announce.port);
                if event == Event::Stopped {
                    swarm.remove(&peer);
                } else {
                    swarm.insert(peer, left);
                }
                let seeders = swarm.values().filter(|left| **left == 0).count() as u32;
                let head = AnnounceHead { interval: 1800, seeders, leechers: swarm.len() as u32 - seeders };
                let others = swarm.keys().copied().filter(|other| *other != peer);
                encode_announce_response(transaction, head, Family::of(from.ip()), others, &mut out);
            }
            Request::Scrape { transaction, info_hashes, .. } => {
                let stats = info_hashes.iter().map(|hash| {
                    let swarm = swarms.get(&hash).cloned().unwrap_or_default();
                    let seeders = swarm.values().filter(|left| **left == 0).count() as u32;
                    Stats { seeders, completed: 0, leechers: swarm.len() as u32 - seeders }
                });
                encode_scrape_response(transaction, stats, &mut out);
            }
        }
        socket.send_to(&out, from).unwrap();
    }
}
