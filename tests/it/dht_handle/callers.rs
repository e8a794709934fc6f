//! A node in a loop of the caller's.

use super::{HANG, first, hash, loopback, node};
use bip::reactor::Reactor;
use bip::session::dht::{Answer, Dht, Error, Next};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Turns until there is an answer.
fn turned<T>(reactor: &mut Reactor, mut answer: Answer<T>) -> T {
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < HANG, "it hangs");
        reactor.turn(Some(Duration::from_millis(10))).unwrap();
        if let Some(answer) = answer.try_take() {
            return answer.unwrap();
        }
    }
}

#[test]
fn a_node_in_the_callers_loop_does_all_without_a_thread() {
    crate::hosting::alone("dht_handle::callers::in_the_callers_loop");
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn in_the_callers_loop() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    let before = threads();
    let folder = crate::hosting::Folder::new();
    let file = folder.path().join("node.dat");
    let (first, mut a) = Dht::builder().bind(loopback()).in_caller().unwrap();
    let router = format!("localhost:{}", first.addresses()[0].port());
    let builder = Dht::builder().bind(loopback()).router(router.parse::<bip::dht::Router>().unwrap());
    let (second, mut b) = builder.state_file(&file).in_caller().unwrap();

    let begin = Instant::now();
    let mut round = |second: &mut dyn FnMut() -> bool| {
        while !second() {
            assert!(begin.elapsed() < HANG, "it hangs");
            a.turn(Some(Duration::ZERO)).unwrap();
            b.turn(Some(Duration::from_millis(1))).unwrap();
        }
    };
    let mut answer = second.bootstrapped();
    round(&mut || answer.try_take().map(Result::unwrap) == Some(1));
    let mut answer = second.announce(hash(1), Some(6881), false);
    round(&mut || answer.try_take().map(|answer| answer.unwrap().nodes) == Some(1));
    let (mut found, mut peers) = (second.get_peers(hash(1)), Vec::<SocketAddr>::new());
    round(&mut || loop {
        match found.try_next() {
            Next::Found(peer) => peers.push(peer),
            Next::Waiting => return false,
            Next::Ended => return true,
        }
    });
    assert_eq!(peers, ["127.0.0.1:6881".parse().unwrap()]);
    assert_eq!(found.try_end().unwrap().unwrap().stats.answered, 1);
    second.try_shut_down();
    round(&mut || !second.is_alive());
    assert!(file.is_file());
    assert_eq!(threads(), before, "a thread was started that nobody asked for");
}

#[test]
fn what_would_wait_for_ever_says_so() {
    let (dht, mut reactor) = Dht::builder().bind(loopback()).in_caller().unwrap();
    assert!(matches!(dht.bootstrapped().wait(HANG), Err(Error::WouldDeadlock)));
    assert!(matches!(dht.bootstrapped().wait_for(HANG), Some(Err(Error::WouldDeadlock))));
    assert!(matches!(dht.get_peers(hash(1)).next_timeout(HANG), Err(Error::WouldDeadlock)));
    assert!(matches!(dht.get_peers(hash(1)).end(HANG), Err(Error::WouldDeadlock)));
    assert!(matches!(dht.next_query(HANG), Err(Error::WouldDeadlock)));
    assert_eq!(dht.get_peers(hash(1)).count(), 0, "the iterator gives what is there");
    let answer = dht.bootstrapped();
    assert_eq!(turned(&mut reactor, answer), 0, "and none of it did harm");
    assert!(matches!(dht.shut_down(HANG), Err(Error::WouldDeadlock)));
}

#[test]
fn a_status_is_read_without_asking_the_node() {
    let first = first();
    let (dht, mut reactor) = node(first.addresses()[0]).in_caller().unwrap();
    let before = dht.status();
    assert_eq!((before.sides[0].local, before.sides[0].nodes), (dht.addresses()[0], 0));
    assert_eq!(turned(&mut reactor, dht.bootstrapped()), 1);
    let begin = Instant::now();
    while dht.status().sides[0].nodes == 0 {
        assert!(begin.elapsed() < HANG, "it hangs");
        reactor.turn(Some(Duration::from_millis(50))).unwrap();
    }
    assert!(dht.status().traffic.replies_in > 0);
}

#[test]
fn a_node_in_a_reactor_that_its_owner_spawned_is_asked_without_waiting() {
    let (dht, reactor) = Dht::builder().bind(loopback()).in_caller().unwrap();
    let running = reactor.spawn("somebody's").unwrap();
    let mut answer = dht.bootstrapped();
    let begin = Instant::now();
    let nodes = loop {
        assert!(begin.elapsed() < HANG, "it hangs");
        if let Some(nodes) = answer.try_take() {
            break nodes.unwrap();
        }
        std::thread::yield_now();
    };
    assert_eq!(nodes, 0);
    running.stop(HANG).unwrap();
    assert!(!dht.is_alive());
}
