//! Peers that mean no good, on either end of a connection, beside libtorrent, which is honest.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::libtorrent::{Peer, prepare};
use crate::namespace::{BIP, HOSTILE, LIBTORRENT};
use crate::process::{Failure, PATIENCE, Running};
use crate::tool;
use crate::tree::{FOLDER, Tree};

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    a_peer_that_sends_garbage_is_dropped: NEEDS,
    a_peer_of_another_torrent_is_dropped: NEEDS,
    a_peer_that_has_a_piece_beyond_the_last_is_dropped: NEEDS,
    a_peer_that_sends_a_piece_beyond_the_last_is_dropped: NEEDS,
    a_peer_that_requests_a_piece_beyond_the_last_is_dropped: NEEDS,
    a_peer_that_requests_a_whole_mebibyte_is_dropped: NEEDS,
    a_peer_that_announces_4_gib_is_dropped: NEEDS,
    a_peer_that_says_nothing_is_dropped: NEEDS,
    a_thousand_silent_sockets_delay_nobody: NEEDS,
}

const TREE: Tree = FOLDER;

/// How many sockets connect and say nothing.
const CROWD: usize = 1000;

/// What a hostile peer sends. Then it reads until the other side closes the connection.
struct Malice {
    /// The info hash of its handshake, or none if it does not begin with a handshake.
    info_hash: Option<[u8; 20]>,
    bytes: Vec<u8>,
    /// Goes on with zeros for as long as anyone takes them.
    endless: bool,
}

impl Malice {
    /// Sends, and comes back once the other side has closed the connection.
    fn act(&self, mut stream: TcpStream) -> Result<(), Failure> {
        let problem = |error: std::io::Error| format!("the hostile peer's socket: {error}");
        stream.set_read_timeout(Some(PATIENCE)).map_err(problem)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(problem)?;
        let mut bytes = Vec::new();
        if let Some(info_hash) = self.info_hash {
            bytes.extend_from_slice(b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0");
            bytes.extend_from_slice(&info_hash);
            bytes.extend_from_slice(b"-XX0000-hostile_peer");
        }
        bytes.extend_from_slice(&self.bytes);
        // Refused bytes are as good as a closed connection: the read says which it was.
        let mut taken = stream.write_all(&bytes).is_ok();
        while self.endless && taken {
            taken = stream.write_all(&[0; 16 * 1024]).is_ok();
        }
        let mut sink = [0; 16 * 1024];
        loop {
            match stream.read(&mut sink) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Err(format!("the hostile peer is still connected after {PATIENCE:?}"));
                }
                Err(_) => return Ok(()),
            }
        }
    }
}

/// A message of the peer protocol.
pub(crate) fn message(id: u8, fields: &[u32], rest: &[u8]) -> Vec<u8> {
    let length = u32::try_from(1 + 4 * fields.len() + rest.len()).unwrap_or(u32::MAX);
    let mut bytes = length.to_be_bytes().to_vec();
    bytes.push(id);
    for field in fields {
        bytes.extend_from_slice(&field.to_be_bytes());
    }
    bytes.extend_from_slice(rest);
    bytes
}

/// Where a hostile peer was connected, and how it came to an end.
type Report = (SocketAddr, Result<(), Failure>);

/// A hostile peer that waits to be dialled. It acts once a connection, and reports each.
fn listen(malice: impl Fn() -> Malice + Send + 'static, reports: Sender<Report>) -> Result<SocketAddr, Failure> {
    let problem = |error: std::io::Error| format!("a listener at {HOSTILE}: {error}");
    let listener = TcpListener::bind((HOSTILE, 0)).map_err(problem)?;
    let address = listener.local_addr().map_err(problem)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (malice, reports) = (malice(), reports.clone());
            thread::spawn(move || {
                let outcome = malice.act(stream);
                let _ = reports.send((address, outcome));
            });
        }
    });
    Ok(address)
}

fn dial(address: &str) -> Result<TcpStream, Failure> {
    let problem = |error: &dyn std::fmt::Display| format!("dialling bip at {address}: {error}");
    let address: SocketAddr = address.parse().map_err(|error| problem(&error))?;
    TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| problem(&error))
}

/// A hostile peer that dials.
fn attack(bip: &str, malice: Malice, reports: Sender<Report>) -> Result<SocketAddr, Failure> {
    let stream = dial(bip)?;
    let address = stream.local_addr().map_err(|error| format!("the hostile peer's socket: {error}"))?;
    thread::spawn(move || {
        let outcome = malice.act(stream);
        let _ = reports.send((address, outcome));
    });
    Ok(address)
}

/// Waits until the hostile peer at each of `addresses` was dropped.
fn expect_dropped(reports: &Receiver<Report>, addresses: &[SocketAddr], bip: &mut Running) -> Result<(), Failure> {
    let mut left = addresses.to_vec();
    while !left.is_empty() {
        let (address, outcome) = reports
            .recv_timeout(PATIENCE + PATIENCE)
            .map_err(|_| bip.complain(&format!("has neither dialled nor dropped {left:?}")))?;
        outcome.map_err(|failure| bip.complain(&format!("did not drop {address}: {failure}")))?;
        left.retain(|other| *other != address);
    }
    if bip.is_running() { Ok(()) } else { Err(bip.complain("ended when it should have dropped a peer")) }
}

pub(crate) fn decode_hash(hex: &str) -> Result<[u8; 20], Failure> {
    let mut hash = [0; 20];
    for (at, byte) in hash.iter_mut().enumerate() {
        let digits = hex.get(2 * at..2 * at + 2).ok_or_else(|| format!("{hex:?} is no info hash"))?;
        *byte = u8::from_str_radix(digits, 16).map_err(|error| format!("{hex:?} is no info hash: {error}"))?;
    }
    Ok(hash)
}

/// Lets hostile peers at a `get`, which dials one and is dialled by another, and at a `seed`, which is dialled. Each
/// must be dropped, with its address in the log, and then the honest peer be served, or serve.
fn expect_survival(folder: &Path, malice: impl Fn([u8; 20]) -> Malice + Clone + Send + 'static) -> Result<(), Failure> {
    let made = prepare(&TREE, folder)?;
    let info_hash = decode_hash(&made.info_hash)?;
    let here = format!("{BIP}:0");

    let (sender, reports) = mpsc::channel();
    let again = malice.clone();
    let dialled = listen(move || again(info_hash), sender.clone())?;
    let peer = dialled.to_string();
    let args: tool::Args<'_> =
        &[&"get", &made.torrent, &"-d", &made.copy, &"-vv", &"--listen", &here, &"--peer", &peer];
    let mut leecher = tool::start(args)?;
    let address = tool::listening(&mut leecher)?;
    let dialling = attack(&address, malice(info_hash), sender)?;
    expect_dropped(&reports, &[dialled, dialling], &mut leecher)?;
    let honest = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[&address])?;
    let ended = leecher.wait()?.expect_code(0)?;
    TREE.expect_equal(&made.original, &made.copy)?;
    for hostile in [dialled, dialling] {
        if !ended.stderr.contains(&hostile.to_string()) {
            return Err(ended.complain(&format!("says nothing about {hostile}")));
        }
    }
    honest.stop()?;

    let (sender, reports) = mpsc::channel();
    let mut seeder = tool::start(&[&"seed", &made.torrent, &made.original, &"-vv", &"--listen", &here])?;
    let address = tool::listening(&mut seeder)?;
    let hostile = attack(&address, malice(info_hash), sender)?;
    expect_dropped(&reports, &[hostile], &mut seeder)?;
    let copy = folder.join("copy of the seeder's");
    let mut honest = Peer::leech(&made.torrent, &copy, LIBTORRENT, &[&address])?;
    honest.wait_done()?;
    TREE.expect_equal(&made.original, &copy)?;
    let ended = seeder.stop()?.expect_code(0)?;
    if ended.stderr.contains(&hostile.to_string()) {
        Ok(())
    } else {
        Err(ended.complain(&format!("says nothing about {hostile}")))
    }
}

/// A peer with a faultless handshake, and then these messages.
fn expect_survival_of(folder: &Path, bytes: Vec<u8>, endless: bool) -> Result<(), Failure> {
    expect_survival(folder, move |info_hash| Malice { info_hash: Some(info_hash), bytes: bytes.clone(), endless })
}

fn a_peer_that_sends_garbage_is_dropped(folder: &Path) -> Result<(), Failure> {
    let garbage: Vec<u8> = (0..64 * 1024_u32).map(|at| at.wrapping_mul(0x9E37_79B1).to_be_bytes()[0] | 0x80).collect();
    expect_survival(folder, move |_| Malice { info_hash: None, bytes: garbage.clone(), endless: false })
}

fn a_peer_of_another_torrent_is_dropped(folder: &Path) -> Result<(), Failure> {
    expect_survival(folder, |_| Malice { info_hash: Some([0xAB; 20]), bytes: Vec::new(), endless: false })
}

fn a_peer_that_has_a_piece_beyond_the_last_is_dropped(folder: &Path) -> Result<(), Failure> {
    expect_survival_of(folder, message(4, &[u32::MAX], &[]), false)
}

fn a_peer_that_sends_a_piece_beyond_the_last_is_dropped(folder: &Path) -> Result<(), Failure> {
    expect_survival_of(folder, message(7, &[u32::MAX, 0], &[0; 16 * 1024]), false)
}

fn a_peer_that_requests_a_piece_beyond_the_last_is_dropped(folder: &Path) -> Result<(), Failure> {
    // Interested first, so that it is unchoked and its request counts.
    let bytes = [message(2, &[], &[]), message(6, &[u32::MAX, 0, 16 * 1024], &[])].concat();
    expect_survival_of(folder, bytes, false)
}

fn a_peer_that_requests_a_whole_mebibyte_is_dropped(folder: &Path) -> Result<(), Failure> {
    let bytes = [message(2, &[], &[]), message(6, &[0, 0, 1 << 20], &[])].concat();
    expect_survival_of(folder, bytes, false)
}

fn a_peer_that_announces_4_gib_is_dropped(folder: &Path) -> Result<(), Failure> {
    expect_survival_of(folder, vec![0xFF, 0xFF, 0xFF, 0xFF, 7], true)
}

fn a_peer_that_says_nothing_is_dropped(folder: &Path) -> Result<(), Failure> {
    expect_survival(folder, |_| Malice { info_hash: None, bytes: Vec::new(), endless: false })
}

fn a_thousand_silent_sockets_delay_nobody(folder: &Path) -> Result<(), Failure> {
    let made = prepare(&TREE, folder)?;
    let mut seeder = tool::start(&[&"seed", &made.torrent, &made.original, &"--listen", &format!("{BIP}:0")])?;
    let address = tool::listening(&mut seeder)?;
    let crowd = (0..CROWD).map(|_| dial(&address)).collect::<Result<Vec<_>, _>>()?;
    let mut honest = Peer::leech(&made.torrent, &made.copy, LIBTORRENT, &[&address])?;
    honest.wait_done()?;
    TREE.expect_equal(&made.original, &made.copy)?;
    drop(crowd);
    seeder.stop()?.expect_code(0).map(drop)
}
