//! Peers that send wrong bytes, beside a libtorrent that sends right ones: the liar is banned, libtorrent is not.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use crate::harness::Need::{self, Libtorrent, Namespace};
use crate::hostile::{decode_hash, message};
use crate::libtorrent::Peer;
use crate::link;
use crate::namespace::{BIP, HOSTILE, LIBTORRENT, THIRD};
use crate::process::{Failure, PATIENCE};
use crate::tool;
use crate::tree::{BRANCHES as TREE, Pieces};

const NEEDS: &[Need] = &[Namespace, Libtorrent];

crate::harness::tests! {
    a_peer_that_sends_only_wrong_blocks_is_banned: NEEDS,
    a_peer_that_spoils_one_block_of_each_piece_is_banned: NEEDS,
    a_peer_that_spoils_a_block_now_and_then_is_banned: NEEDS,
}

/// The rate of libtorrent's link, in bytes a second: slow enough that the liar is asked too.
const RATE: u64 = 4 << 20;

/// What is true and what is not, for a block by its number and a piece by its own.
type Lies = fn(piece: u64, block: u64) -> bool;

/// A seeder that lies.
struct Liar {
    info_hash: [u8; 20],
    pieces: Pieces,
    lies: Lies,
    /// How many wrong blocks it has sent.
    told: AtomicU64,
}

impl Liar {
    /// Seeds until the other side closes the connection. Says whether the other side spoke at all.
    fn serve(&self, mut stream: TcpStream) -> Result<bool, Failure> {
        let problem = |error: std::io::Error| format!("the liar's socket: {error}");
        stream.set_read_timeout(Some(PATIENCE)).map_err(problem)?;
        let mut hello = b"\x13BitTorrent protocol\0\0\0\0\0\0\0\0".to_vec();
        hello.extend_from_slice(&self.info_hash);
        hello.extend_from_slice(b"-XX0000-a_lying_peer");
        let mut have = vec![0xFF; usize::try_from(TREE.pieces().div_ceil(8)).unwrap_or(0)];
        if let Some(last) = have.last_mut() {
            // The spare bits must be zero.
            *last <<= have_spare_bits();
        }
        hello.extend(message(5, &[], &have));
        hello.extend(message(1, &[], &[]));
        let mut theirs = [0; 68];
        if stream.write_all(&hello).is_err() || stream.read_exact(&mut theirs).is_err() {
            return Ok(false);
        }
        loop {
            let mut length = [0; 4];
            if !self.read(&mut stream, &mut length)? {
                return Ok(true);
            }
            let mut body = vec![0; u32::from_be_bytes(length) as usize];
            if !self.read(&mut stream, &mut body)? {
                return Ok(true);
            }
            let field = |at: usize| body.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
            let (Some(6), Some(piece), Some(begin), Some(length)) = (body.first(), field(1), field(5), field(9)) else {
                continue;
            };
            if stream.write_all(&self.answer(piece, begin, length)).is_err() {
                return Ok(true);
            }
        }
    }

    /// Fills `bytes`; says whether the connection is still there.
    fn read(&self, stream: &mut TcpStream, bytes: &mut [u8]) -> Result<bool, Failure> {
        match stream.read_exact(bytes) {
            Ok(()) => Ok(true),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(format!("the liar is still connected after {PATIENCE:?} of silence"))
            }
            Err(_) => Ok(false),
        }
    }

    fn answer(&self, piece: u32, begin: u32, length: u32) -> Vec<u8> {
        let start = u64::from(piece) * TREE.piece_length + u64::from(begin);
        let mut block = self.pieces.bytes(start, u64::from(length)).unwrap_or_default().to_vec();
        if (self.lies)(u64::from(piece), u64::from(begin) >> 14) {
            if let Some(last) = block.last_mut() {
                *last ^= 1;
            }
            self.told.fetch_add(1, Ordering::Relaxed);
        }
        message(7, &[piece, begin], &block)
    }
}

/// How many bits of the last byte of a bitfield are beyond the last piece.
fn have_spare_bits() -> u32 {
    u32::try_from(TREE.pieces().div_ceil(8) * 8 - TREE.pieces()).unwrap_or(0)
}

/// Lets `bip get` dial a liar and libtorrent.
fn expect_ban(folder: &Path, lies: Lies) -> Result<(), Failure> {
    let made = tool::prepare(&TREE, folder)?;
    let liar = Arc::new(Liar {
        info_hash: decode_hash(&made.info_hash)?,
        pieces: Pieces::of(&TREE, &made.original)?,
        lies,
        told: AtomicU64::new(0),
    });
    let problem = |error: std::io::Error| format!("the liar at {HOSTILE}: {error}");
    let listener = TcpListener::bind((HOSTILE, 0)).map_err(problem)?;
    let address = listener.local_addr().map_err(problem)?.to_string();
    let (sender, ends) = mpsc::channel();
    let serving = Arc::clone(&liar);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if sender.send(serving.serve(stream)).is_err() {
                return;
            }
        }
    });

    let honest = Peer::seed(&made.torrent, &made.original, LIBTORRENT, &[])?;
    let slow = link::to(&honest.address, THIRD, RATE)?;
    let args: tool::Args<'_> = &[
        &"get",
        &made.torrent,
        &"-d",
        &made.copy,
        &"-vv",
        &"--seed",
        &"--listen",
        &format!("{BIP}:0"),
        &"--peer",
        &address,
        &"--peer",
        &slow,
    ];
    let mut leecher = tool::start(args)?;
    let here = tool::listening(&mut leecher)?;
    // The liar is dropped while the download goes on or soon after; it says so itself.
    let spoke = ends.recv_timeout(PATIENCE).map_err(|_| leecher.complain("has not dropped the liar"))??;
    if !spoke {
        return Err(leecher.complain("did not speak with the liar"));
    }
    leecher.wait_line("complete", |line| line.starts_with("complete").then_some(()))?;
    TREE.expect_equal(&made.original, &made.copy)?;

    // It is not welcome again from where it was.
    let stream = dial_from(HOSTILE, &here)?;
    if liar.serve(stream)? {
        return Err(leecher.complain("speaks with a liar that it knows"));
    }
    // libtorrent is.
    let from_honest = honest.stop()?;
    let told = liar.told.load(Ordering::Relaxed);
    println!("{told} wrong blocks were taken; libtorrent sent {from_honest} of {} bytes", TREE.length());
    let ended = leecher.stop()?.expect_code(0)?;
    if told == 0 {
        return Err(ended.complain("asked the liar for nothing that it lies about"));
    }
    Ok(())
}

/// Dials `address` from a port at `host`.
fn dial_from(host: &str, address: &str) -> Result<TcpStream, Failure> {
    let problem = |error: &dyn std::fmt::Display| format!("dialling {address} from {host}: {error}");
    let to: SocketAddr = address.parse().map_err(|error| problem(&error))?;
    // std binds no socket before it connects.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).map_err(|e| problem(&e))?;
    let from: SocketAddr = format!("{host}:0").parse().map_err(|error| problem(&error))?;
    socket.bind(&from.into()).and_then(|()| socket.connect(&to.into())).map_err(|error| problem(&error))?;
    Ok(socket.into())
}

fn a_peer_that_sends_only_wrong_blocks_is_banned(folder: &Path) -> Result<(), Failure> {
    expect_ban(folder, |_, _| true)
}

fn a_peer_that_spoils_one_block_of_each_piece_is_banned(folder: &Path) -> Result<(), Failure> {
    expect_ban(folder, |piece, block| block == piece % 4)
}

fn a_peer_that_spoils_a_block_now_and_then_is_banned(folder: &Path) -> Result<(), Failure> {
    expect_ban(folder, |piece, block| piece % 5 == 0 && block == 1)
}
