//! What a datagram that is answered costs: a plain loop on mio beside a machine on a reactor, in turn, on one thread.
//!
//! `taskset -c 0 cargo bench -p bip-torrent --bench datagrams`, and again with `--features batched-io`.
//!
//! A client sends a burst of 100 bytes each, or as many clients send one each; only the time in which one of the two answers them is counted,
//! and their order changes from burst to burst. Each figure is the median over the bursts of a round, and of rounds.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)] // a benchmark has a clock and sockets

use bip::machine::{self, Host, Input, Machine, NoJobs, Output, SocketId, mailbox};
use bip::reactor::{Config, Reactor};
use mio::net::UdpSocket as Socket;
use mio::{Events, Interest, Poll, Token};
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

const ROUNDS: usize = 9;
/// How many datagrams each of the two answers in a round.
const DATAGRAMS: usize = 32_000;
const SIZE: usize = 100;

/// Sends every datagram back.
#[derive(Default)]
struct Echo {
    bytes: Vec<u8>,
    back: Option<(SocketId, SocketAddr)>,
}

impl Machine for Echo {
    type Command = ();
    type Event = ();
    type Job = NoJobs;
    type Done = NoJobs;

    fn handle_command(&mut self, _now: machine::Instant, _command: ()) {}

    fn handle_input(&mut self, _now: machine::Instant, input: Input<'_, NoJobs>) {
        if let Input::Datagram { socket, from, bytes } = input {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
            self.back = Some((socket, from));
        }
    }

    fn handle_timeout(&mut self, _now: machine::Instant) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<NoJobs>> {
        let (socket, to) = self.back.take()?;
        let start = buf.len();
        buf.extend_from_slice(&self.bytes);
        Some(Output::Datagram { socket, to, bytes: start..buf.len() })
    }

    fn poll_timeout(&self) -> Option<machine::Instant> {
        None
    }
}

/// The least that answers datagrams and can wait for something else too.
struct Plain {
    socket: Socket,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Plain {
    fn new() -> Self {
        let mut socket = Socket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let poll = Poll::new().unwrap();
        poll.registry().register(&mut socket, Token(0), Interest::READABLE).unwrap();
        Self { socket, poll, events: Events::with_capacity(1024), buffer: vec![0; 64 << 10] }
    }

    fn serve(&mut self) {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        for _event in &self.events {
            loop {
                match self.socket.recv_from(&mut self.buffer) {
                    Ok((len, from)) => {
                        let _ = self.socket.send_to(&self.buffer[..len], from);
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                    Err(e) => panic!("{e}"),
                }
            }
        }
    }
}

struct Hosted {
    reactor: Reactor,
}

impl Hosted {
    fn new() -> (Self, SocketAddr) {
        let config = Config { job_threads: 0, datagram_receive_buffer: 0, ..Config::default() };
        let mut reactor = Reactor::new(config).unwrap();
        let (_commands, inbox) = mailbox(16, reactor.doorbell());
        let echo = reactor.host(Echo::default(), inbox, Box::new(|()| {}), None);
        let (_, address) = reactor.bind(echo, "127.0.0.1:0".parse().unwrap()).unwrap();
        (Self { reactor }, address)
    }

    fn serve(&mut self) {
        self.reactor.turn(Some(Duration::ZERO)).unwrap();
        while self.reactor.next_deadline() == Some(Duration::ZERO) {
            self.reactor.turn(Some(Duration::ZERO)).unwrap();
        }
    }
}

/// Has one burst answered, which the clients send in turn; gives how long that took.
fn burst(clients: &[UdpSocket], to: SocketAddr, count: usize, serve: impl FnOnce()) -> f64 {
    let mut bytes = [0x5a; SIZE];
    let each = || clients.iter().cycle().take(count);
    for client in each() {
        client.send_to(&bytes, to).unwrap();
    }
    let start = Instant::now();
    serve();
    let took = start.elapsed();
    for client in each() {
        assert_eq!(client.recv_from(&mut bytes).unwrap(), (SIZE, to));
    }
    took.as_nanos() as f64 / count as f64
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let name = if cfg!(all(target_os = "linux", feature = "batched-io")) { "reactor, batched-io" } else { "reactor" };
    let client = || {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client
    };
    let mut plain = Plain::new();
    let at_plain = plain.socket.local_addr().unwrap();
    let (mut hosted, at_hosted) = Hosted::new();
    for (count, clients) in [(1, 1), (8, 1), (64, 1), (8, 8), (64, 64)] {
        let all: Vec<_> = (0..clients).map(|_| client()).collect();
        let (mut plains, mut hosteds, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..=ROUNDS {
            let (mut one, mut other) = (Vec::new(), Vec::new());
            for n in 0..DATAGRAMS / count {
                for turn in [n % 2, (n + 1) % 2] {
                    match turn {
                        0 => one.push(burst(&all, at_plain, count, || plain.serve())),
                        _ => other.push(burst(&all, at_hosted, count, || hosted.serve())),
                    }
                }
            }
            let (one, other) = (median(&mut one), median(&mut other));
            // The first round warms up.
            if round > 0 {
                plains.push(one);
                hosteds.push(other);
                ratios.push(other / one);
            }
        }
        let (one, other, ratio) = (median(&mut plains), median(&mut hosteds), median(&mut ratios));
        println!(
            "bursts of {count} from {clients}: plain {one:.0} ns, {name} {other:.0} ns a datagram; ratio {ratio:.3} ({:.3} to {:.3})",
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
}
