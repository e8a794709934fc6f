//! What is said to allocate nothing allocates nothing. It stands here because counting takes an allocator of its own, which this crate has.

use bip::machine::{Input, Instant, Machine, NoJobs, Output, Rng, Secret, SocketId};
use bip::proto::compact::Family;
use bip::proto::id::{InfoHash, PeerId};
use bip::proto::udp_tracker::{Announce, ConnectionId, Request, Response, TransactionId, encode_scrape_request};
use bip::tracker::server::{Access, Config, Everybody, Server, Start, SwarmLimits, Swarms};
use std::net::SocketAddr;
use std::sync::Arc;

/// Gives a datagram to a server, and puts its answer into the buffer.
fn ask(server: &mut Server, from: SocketAddr, bytes: &[u8], answer: &mut Vec<u8>) {
    answer.clear();
    server.handle_input(Instant::from_micros(1), Input::Datagram { socket: SocketId(0), from, bytes });
    while let Some(output) = server.poll_output(answer) {
        assert!(matches!(output, Output::<NoJobs>::Datagram { .. }));
    }
}

#[test]
fn a_tracker_answers_those_it_knows_without_an_allocation() {
    let secret = Secret::new([1; 32]);
    let swarms = Arc::new(Swarms::new(SwarmLimits::default(), &secret));
    let list = (0..9).map(|n| InfoHash([n; 20])).collect();
    let start = Start { access: Access::Allow(list), ..Start::default() };
    let mut server = Server::new(Config::default(), start, swarms, Box::new(Everybody), Rng::new(1), &secret);
    let transaction = TransactionId(7);
    let mut answer = Vec::with_capacity(2_000);
    let (mut connects, mut announces, mut scrapes) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..600_u16 {
        // Of both families, in a small swarm and in one that has an index.
        let ip =
            if n % 2 == 0 { [192, 0, (n >> 8) as u8, n as u8].into() } else { [0x2a00, 0, 0, n, 0, 0, 0, 1].into() };
        let from = SocketAddr::new(ip, 5_000);
        let mut connect = Vec::new();
        Request::Connect { transaction }.encode(&mut connect);
        ask(&mut server, from, &connect, &mut answer);
        let connection = match Response::decode(&answer, Family::V4) {
            Ok(Response::Connect { connection, .. }) => connection,
            other => panic!("{other:?}"),
        };
        let hash = InfoHash([u8::from(n % 20 == 0); 20]);
        let announce = Announce { port: 6_881, ..Announce::new(hash, PeerId([2; 20])) };
        let mut bytes = Vec::new();
        Request::Announce { connection, transaction, announce }.encode(&mut bytes);
        announces.push((from, bytes));
        let mut bytes = Vec::new();
        encode_scrape_request(connection, transaction, (0..74).map(|n| InfoHash([n; 20])), &mut bytes);
        scrapes.push((from, bytes));
        connects.push((from, connect));
    }
    let forged = {
        let mut bytes = Vec::new();
        encode_scrape_request(ConnectionId(1), transaction, [InfoHash([1; 20])], &mut bytes);
        (connects[0].0, bytes)
    };
    // They come to be known, and the memory for answers is there.
    for (from, bytes) in announces.iter().chain(&scrapes) {
        ask(&mut server, *from, bytes, &mut answer);
        assert!(!answer.is_empty());
    }
    let counted = allocation_counter::measure(|| {
        for (from, bytes) in connects.iter().chain(&announces).chain(&scrapes).chain([&forged]) {
            ask(&mut server, *from, bytes, &mut answer);
        }
    });
    assert_eq!(counted.count_total, 0, "{} bytes in {} allocations", counted.bytes_total, counted.count_total);
}
