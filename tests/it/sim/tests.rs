//! The world itself, with machines made for it.

use super::{Link, World};
use bip::machine::{ConnId, DialId, Host, Input, Instant, Machine, NoJobs, Output, Part, SocketId, mailbox};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Does what it is told, and tells what it saw and when.
struct Puppet {
    outputs: VecDeque<(Output<NoJobs>, Vec<u8>)>,
    saw: Arc<Mutex<Vec<(Instant, Saw)>>>,
    echoes: bool,
    dials: u64,
}

#[derive(Debug, Clone, PartialEq)]
enum Saw {
    Connected(ConnId),
    Failed(std::io::ErrorKind),
    Read(ConnId, Vec<u8>),
    Datagram(Vec<u8>),
    Closed,
}

#[derive(Debug, Clone, PartialEq)]
enum Order {
    Connect(SocketAddr),
    Write(ConnId, usize),
    Datagram(SocketAddr, u8),
    Finish(ConnId),
}

impl Machine for Puppet {
    type Command = Order;
    type Event = ();
    type Job = NoJobs;
    type Done = NoJobs;

    fn handle_command(&mut self, _: Instant, order: Order) {
        let (output, bytes) = match order {
            Order::Connect(to) => {
                self.dials += 1;
                (Output::Connect { dial: DialId(self.dials), to }, Vec::new())
            }
            Order::Write(conn, n) => {
                let bytes: Vec<u8> = (0..n).map(|i| (i % 251) as u8).collect();
                (Output::Write { conn, part: Part::Bytes(0..n) }, bytes)
            }
            Order::Datagram(to, n) => (Output::Datagram { socket: SocketId(0), to, bytes: 0..1 }, vec![n]),
            Order::Finish(conn) => (Output::Close { conn, flush: true }, Vec::new()),
        };
        self.outputs.push_back((output, bytes));
    }

    fn handle_input(&mut self, now: Instant, input: Input<'_, NoJobs>) {
        let saw = match input {
            Input::Accepted { conn, .. } | Input::Connected { conn, .. } => Saw::Connected(conn),
            Input::ConnectFailed { error, .. } => Saw::Failed(error),
            Input::Stream { conn, bytes } => Saw::Read(conn, bytes.to_vec()),
            Input::Datagram { bytes, from, .. } => {
                if self.echoes {
                    self.handle_command(now, Order::Datagram(from, bytes[0]));
                }
                Saw::Datagram(bytes.to_vec())
            }
            Input::End { conn } => return self.handle_command(now, Order::Finish(conn)),
            Input::Closed { .. } => Saw::Closed,
            _ => return,
        };
        self.saw.lock().unwrap().push((now, saw));
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_event(&mut self) -> Option<()> {
        None
    }

    fn poll_output(&mut self, buf: &mut Vec<u8>) -> Option<Output<NoJobs>> {
        let (mut output, bytes) = self.outputs.pop_front()?;
        let start = buf.len();
        buf.extend(bytes);
        match &mut output {
            Output::Write { part, .. } => *part = Part::Bytes(start..buf.len()),
            Output::Datagram { bytes, .. } => *bytes = start..buf.len(),
            _ => {}
        }
        Some(output)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

struct Played {
    orders: bip::machine::Outbox<Order>,
    saw: Arc<Mutex<Vec<(Instant, Saw)>>>,
    address: SocketAddr,
    host: usize,
}

impl Played {
    fn order(&self, order: Order) {
        self.orders.post(order).unwrap();
    }

    fn saw(&self) -> Vec<(Instant, Saw)> {
        self.saw.lock().unwrap().clone()
    }

    fn conns(&self) -> Vec<ConnId> {
        self.saw().iter().filter_map(|(_, s)| if let Saw::Connected(conn) = s { Some(*conn) } else { None }).collect()
    }

    fn read(&self, conn: ConnId) -> usize {
        let read = |s: &Saw| if let Saw::Read(c, bytes) = s { (*c == conn).then_some(bytes.len()) } else { None };
        self.saw().iter().filter_map(|(_, s)| read(s)).sum()
    }
}

fn puppet(world: &mut World, link: Link, echoes: bool) -> Played {
    let node = world.add_node(link);
    let host = world.add_hosts_to(node, 1);
    let saw = Arc::default();
    let (orders, inbox) = mailbox(0, world.hosts[host].doorbell());
    let machine = Puppet { outputs: VecDeque::new(), saw: Arc::clone(&saw), echoes, dials: 0 };
    world.hosts[host].host(machine, inbox, Box::new(|()| ()), None);
    world.bind(host, 0, 9);
    let address = world.listen(host, 0, 9);
    Played { orders, saw, address, host }
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

const PLAIN: Link = Link {
    latency: Duration::from_millis(10),
    rate: 100_000,
    down: Some(1_000_000),
    window: 1 << 20,
    max_read: u32::MAX,
    split: false,
    firewalled: false,
    loss: 0,
    jitter: Duration::ZERO,
};

#[test]
fn streams_of_a_node_share_its_uplink_evenly_and_a_short_message_need_not_wait_for_all() {
    let mut world = World::new(1, PLAIN);
    let sender = puppet(&mut world, PLAIN, false);
    let others: Vec<Played> = (0..3).map(|_| puppet(&mut world, PLAIN, false)).collect();
    others.iter().for_each(|other| sender.order(Order::Connect(other.address)));
    world.run_until(ms(100), |_| false);
    let conns = sender.conns();
    sender.order(Order::Write(conns[0], 100_000));
    sender.order(Order::Write(conns[1], 100_000));
    world.run_until(ms(500), |_| false);
    let start = world.now();
    sender.order(Order::Write(conns[2], 10));
    world.run_until(ms(520), |_| false);
    let got: Vec<usize> = others.iter().map(|other| other.read(other.conns()[0])).collect();
    // 100 kB a second for a second, less the delay.
    assert!(got[0].abs_diff(got[1]) <= 8192 && (90_000..=101_000).contains(&(got[0] + got[1])), "{got:?}");
    let (at, _) = others[2].saw().into_iter().find(|(_, s)| matches!(s, Saw::Read(..))).expect("it came");
    // The packet that was being sent, its own, and the delay.
    assert!(at.since(start) <= ms(82 + 1 + 11), "{:?}", at.since(start));
    world.check_bytes();
}

#[test]
fn streams_to_a_node_share_its_downlink() {
    let slow = Link { down: Some(50_000), ..PLAIN };
    let mut world = World::new(1, PLAIN);
    let receiver = puppet(&mut world, slow, false);
    let senders: Vec<Played> = (0..4).map(|_| puppet(&mut world, PLAIN, false)).collect();
    senders.iter().for_each(|sender| sender.order(Order::Connect(receiver.address)));
    world.run_until(ms(100), |_| false);
    senders.iter().for_each(|sender| sender.order(Order::Write(sender.conns()[0], 100_000)));
    world.run_until(ms(2_000), |_| false);
    let got: Vec<usize> = receiver.conns().into_iter().map(|conn| receiver.read(conn)).collect();
    assert!((90_000..=100_000).contains(&got.iter().sum::<usize>()), "{got:?}");
    assert!(got.iter().all(|n| (20_000..30_000).contains(n)), "{got:?}");
    world.check_bytes();
}

#[test]
fn a_stream_ends_after_its_last_byte_whatever_its_parts() {
    for seed in 0..20 {
        let mut world = World::new(seed, PLAIN);
        let link = Link { split: true, window: 20_000, max_read: 3_000, ..PLAIN };
        let (a, b) = (puppet(&mut world, link, false), puppet(&mut world, link, false));
        a.order(Order::Connect(b.address));
        world.run_until(ms(100), |_| false);
        let (here, there) = (a.conns()[0], b.conns()[0]);
        a.order(Order::Write(here, 70_000));
        a.order(Order::Finish(here));
        b.order(Order::Write(there, 500));
        world.run_until(ms(20_000), |_| false);
        let read = |s| if let (_, Saw::Read(_, bytes)) = s { Some(bytes) } else { None };
        let parts: Vec<Vec<u8>> = b.saw().into_iter().filter_map(read).collect();
        assert!(parts.iter().all(|p| p.len() <= 3_000) && parts.len() > 20);
        let expected: Vec<u8> = (0..70_000).map(|i| (i % 251) as u8).collect();
        assert_eq!(parts.concat(), expected);
        assert!(a.saw().iter().chain(&b.saw()).filter(|(_, s)| *s == Saw::Closed).count() == 2, "seed {seed}");
        world.check_bytes();
    }
}

#[test]
fn nobody_connects_to_a_node_behind_a_firewall_and_it_connects_to_others() {
    let mut world = World::new(1, PLAIN);
    let hidden = puppet(&mut world, Link { firewalled: true, ..PLAIN }, false);
    let open = puppet(&mut world, PLAIN, false);
    open.order(Order::Connect(hidden.address));
    world.run_until(ms(100_000), |_| false);
    assert_eq!(open.saw(), []);
    world.run_until(ms(100_000), |_| false);
    assert!(matches!(open.saw()[..], [(_, Saw::Failed(std::io::ErrorKind::TimedOut))]));
    hidden.order(Order::Connect(open.address));
    world.run_until(ms(100), |_| false);
    assert_eq!((hidden.conns().len(), open.conns().len()), (1, 1));
}

#[test]
fn a_node_that_is_cut_off_is_missed_at_once_and_one_that_vanishes_is_not() {
    let mut world = World::new(1, PLAIN);
    let (cut, gone, left) =
        (puppet(&mut world, PLAIN, false), puppet(&mut world, PLAIN, false), puppet(&mut world, PLAIN, false));
    left.order(Order::Connect(cut.address));
    left.order(Order::Connect(gone.address));
    world.run_until(ms(100), |_| false);
    world.cut(cut.host);
    world.vanish(gone.host);
    world.hosts[cut.host].crash();
    world.hosts[gone.host].crash();
    left.order(Order::Write(left.conns()[1], 5_000));
    world.run_until(ms(100_000), |_| false);
    assert_eq!(left.saw().iter().filter(|(_, s)| *s == Saw::Closed).count(), 1);
    world.check_bytes();
}

#[test]
fn datagrams_are_lost_and_overtaken_as_the_link_says() {
    let mut world = World::new(3, PLAIN);
    let bad = Link { loss: 250, jitter: ms(50), ..PLAIN };
    let (here, there) = (puppet(&mut world, PLAIN, false), puppet(&mut world, bad, true));
    for n in 0..200 {
        here.order(Order::Datagram(there.address, n));
    }
    world.run_until(ms(1_000), |_| false);
    let of = |played: &Played| {
        let got = |(_, s)| if let Saw::Datagram(bytes) = s { Some(bytes[0]) } else { None };
        played.saw().into_iter().filter_map(got).collect::<Vec<u8>>()
    };
    let (got, back) = (of(&there), of(&here));
    assert!((120..180).contains(&got.len()), "{}", got.len());
    assert!(!got.is_sorted());
    assert_eq!(back, got, "nothing is lost on the way back");
}
